"""Keys are used once, whatever was restored: a member sends only under keys that its own session drew."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from protocol.mls import Group, Session, Staged
from protocol.mls.errors import OwnMessageError, RekeyRequiredError, StaleCommitError
from protocol.mls.proposals import SelfRemove
from tests.recorder import Recorder, recording
from tests.unit.mls.support import (
    NOW,
    Drawer,
    commit,
    invite,
    new_bundle,
    new_group,
    new_identity,
    new_members,
    say,
    stage,
)


@pytest.fixture(autouse=True)
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Every story here is watched at the seal."""
    with recording(monkeypatch) as watching:
        yield watching


def silent(group):
    """Whether a member keeps quiet, in every way that would need a key."""
    assert (group.may_send, group.must_rekey) == (False, True)
    for speak in (
        lambda: say(group),
        lambda: group.propose(SelfRemove(), random=os.urandom, private=True),
        lambda: stage(group, private=True),
    ):
        with pytest.raises(RekeyRequiredError):
            speak()
    return True


def test_the_recorder_sees_a_pair_that_comes_twice():
    watching = Recorder()
    watching.note(b"key", b"abcdefghijkl")
    watching.note(b"key", b"????efghijkl")  # another reuse guard, the same nonce
    with pytest.raises(AssertionError):
        watching.check()


def test_who_founds_may_speak_and_who_comes_back_must_commit_first():
    alice, bob = new_members("a", "b")
    drawer = Drawer(alice)
    sent = say(alice)
    alice = drawer.restore()
    assert silent(alice)
    carol = new_bundle(new_identity("c"))
    commit(alice, bob, add=[carol.message])  # even a commit that only adds has a path now
    assert alice.may_send
    assert bob.unprotect(say(alice)).data == b"hello"
    assert bob.unprotect(sent).epoch == 1


def test_a_commit_without_a_path_draws_no_keys():
    alice, bob = new_members("a", "b")
    alice = Drawer(alice).restore()
    commit(alice, bob, add=[new_bundle(new_identity("c")).message], path=False)
    assert silent(alice)


def test_a_welcome_of_a_last_resort_may_come_twice():
    """The router hands the last resort out again and again, and its Welcome as often as it likes."""
    alice = new_group(new_identity("a"))
    bob = new_identity("b")
    bundle = new_bundle(bob, last_resort=True)
    staged = commit(alice, add=[bundle.message])
    twins = [Group.join(bob, staged.welcome, [bundle], fresh=fresh, now=NOW) for fresh in (False, True)]
    assert all(map(silent, twins))
    first = stage(twins[0])
    alice.process(first.commit, now=NOW)
    twins[0].merge(first)
    assert alice.unprotect(say(twins[0])).data == b"hello"


def test_a_welcome_for_a_key_package_of_another_session():
    alice = new_group(new_identity("a"))
    bob = new_identity("b")
    bundle = new_bundle(bob)
    staged = commit(alice, add=[bundle.message])
    assert silent(Group.join(bob, staged.welcome, [bundle], now=NOW))
    assert Group.join(bob, staged.welcome, [bundle], fresh=True, now=NOW).may_send


def test_two_lives_follow_the_same_commit():
    """The first follows, and says something if it can, and dies before its records are written."""
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    theirs = commit(alice)
    lives = [drawer.restore() for _ in range(2)]
    for life in lives:
        life.process(theirs.commit, now=NOW)
        assert silent(life)
    commit(lives[1], alice)
    assert alice.unprotect(say(lives[1])).data == b"hello"


def test_two_copies_merge_the_staged_commit_that_both_hold():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    staged = stage(bob)
    kept = staged.to_bytes()
    copies = [drawer.restore() for _ in range(2)]
    for copy in copies:
        copy.merge(Staged.from_bytes(kept))
        assert silent(copy)
    alice.process(staged.commit, now=NOW)
    commit(copies[0], alice)
    assert alice.unprotect(say(copies[0])).data == b"hello"


def test_a_copy_meets_the_commit_of_another_copy():
    """It is of our own leaf and not staged here: it cannot be followed, and so says."""
    _, bob = new_members("a", "b")
    drawer = Drawer(bob)
    one, other = (drawer.restore() for _ in range(2))
    with pytest.raises(OwnMessageError):
        other.process(stage(one).commit, now=NOW)
    assert silent(other)


def test_a_commit_counts_only_for_the_object_that_staged_it():
    _, bob = new_members("a", "b")
    drawer = Drawer(bob)
    staged = stage(bob)
    other = drawer.restore()
    other.merge(staged)
    assert silent(other)
    bob.merge(staged)
    assert bob.may_send
    with pytest.raises(StaleCommitError):
        bob.merge(staged)


def test_following_others_keeps_what_was_drawn():
    alice, bob = new_members("a", "b")
    bob = Drawer(bob).restore()
    commit(bob, alice)
    commit(alice, bob)
    assert alice.unprotect(say(bob)).epoch == 3
    kept = stage(bob).to_bytes()
    alice.process(Staged.from_bytes(kept).commit, now=NOW)
    bob.merge(Staged.from_bytes(kept))  # read from storage, but after what this session drew
    assert alice.unprotect(say(bob)).epoch == 4


def test_an_external_join_draws_its_own_keys():
    alice, _ = new_members("a", "b")
    info = alice.group_info(random=os.urandom)
    joined = Group.join_external(new_identity("c"), info, now=NOW, random=os.urandom)
    alice.process(joined.commit, now=NOW)
    assert alice.unprotect(say(joined.group)).data == b"hello"
    assert silent(Drawer(joined.group).restore())


def test_the_records_hold_nothing_to_send_with():
    alice, bob, carol = new_members("a", "b", "c")
    drawers = [Drawer(member) for member in (alice, bob, carol)]
    for member, drawer in zip((alice, bob, carol), drawers, strict=True):
        own = member.own_leaf
        assert say(member)
        assert drawer.keep(member) == {}
        secrets = {name for name in drawer.records if name[0] in "rt"}
        assert not {name for name in secrets if name.startswith(f"r/{member.epoch}/{own}/")}
        above = {2 * own, 1, 3, 5}  # a tree of four leaves: 3 is its root
        path = {place for place in above if place == 2 * own or place == 3 or abs(place - 2 * own) == 1}
        assert not {f"t/{member.epoch}/{place}" for place in path} & secrets


def test_an_unloaded_group_goes_on_in_its_own_session_and_in_no_other():
    alice, bob = new_members("a", "b")
    drawer, session = Drawer(alice), Session(os.urandom(16))
    said = [say(alice), say(alice)]
    alice.unload(session)
    assert silent(alice)
    drawer.keep(alice)
    assert silent(drawer.restore())
    assert silent(drawer.restore(session=Session(os.urandom(16))))
    back = drawer.restore(session=session)
    assert back.generation == 2
    said.append(say(back))
    assert [bob.unprotect(message).generation for message in said] == [0, 1, 2]
    assert silent(drawer.restore(session=session))  # once is all
    drawer.keep(back)
    assert "w" not in drawer.records


def test_records_of_an_earlier_unloading_are_no_way_back():
    alice, _ = new_members("a", "b")
    drawer, session = Drawer(alice), Session(os.urandom(16))
    alice.unload(session)
    drawer.keep(alice)
    old = dict(drawer.records)
    alice = drawer.restore(session=session)
    say(alice)
    alice.unload(session)
    assert silent(Group.restore(alice.identity, old, session=session))


def test_a_group_that_may_not_send_is_unloaded_as_such():
    _, bob = new_members("a", "b")
    drawer, session = Drawer(bob), Session(os.urandom(16))
    bob = drawer.restore()
    bob.unload(session)
    drawer.keep(bob)
    assert silent(drawer.restore(session=session))


def test_an_invited_member_that_was_welcomed_afresh_speaks_at_once():
    alice, bob = new_members("a", "b")
    carol = invite(alice, new_identity("c"), bob)
    assert bob.unprotect(say(carol)).data == b"hello"
