"""What lasts: records, deltas, reserved generations, and what happens when old records come back."""

from __future__ import annotations

import os

import pytest

from protocol.mls import Group, Identity, KeyPackageBundle, PublicGroup, Retention, Staged
from protocol.mls.errors import ReplayError, StateError, WrongEpochError
from tests.unit.mls.support import (
    NOW,
    Drawer,
    commit,
    invite,
    new_bundle,
    new_identity,
    new_members,
    say,
    stage,
)


def size_of(changes):
    return sum(len(name) + len(value or b"") for name, value in changes.items())


def test_a_message_costs_its_sender_nothing_and_who_reads_it_less_than_two_hundred_bytes():
    alice, bob = new_members("a", "b")
    for _ in range(2):
        bob.unprotect(say(alice))
    alice.changes(), bob.changes()
    message = say(alice)
    bob.unprotect(message)
    assert alice.changes() == {}
    assert 0 < size_of(bob.changes()) < 200


def test_a_commit_writes_its_path_and_not_the_tree():
    names = [f"m{number}" for number in range(12)]
    members = new_members(*names)
    first, second = members[0], members[1]
    for group in members:
        group.changes()
    commit(first, second)
    assert size_of(first.changes()) < 6000
    touched = [name for name in second.changes() if name.startswith("n/")]
    assert len(touched) <= 6


def test_keys_that_were_used_are_not_in_the_records():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    message = say(alice)
    old = dict(drawer.records)
    bob.unprotect(message)
    drawer.keep(bob)
    with pytest.raises(ReplayError):
        drawer.restore().unprotect(message)
    assert Group.restore(bob.identity, old).unprotect(message).data == b"hello"


def test_skipped_keys_survive_and_go_when_used():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    messages = [say(alice) for _ in range(4)]
    bob.unprotect(messages[3])
    drawer.keep(bob)
    assert sum(name.startswith("s/") for name in drawer.records) == 3
    bob = drawer.restore()
    for message in messages[:3]:
        bob.unprotect(message)
    drawer.keep(bob)
    assert not [name for name in drawer.records if name.startswith("s/")]


def test_past_epochs_are_read_after_a_restart_even_from_members_who_left():
    alice, bob, carol = new_members("a", "b", "c")
    drawer = Drawer(bob)
    late = say(carol, b"before I went")
    commit(alice, bob, remove=[2])
    drawer.keep(bob)
    commit(alice, bob)
    invite(alice, new_identity("d"), bob)
    drawer.keep(bob)
    bob = drawer.restore()
    opened = bob.unprotect(late)
    assert (opened.data, opened.sender.uri) == (b"before I went", carol.identity.uri)
    assert bob.unprotect(say(alice)).data == b"hello"


def test_a_tree_that_shrank_and_grew_is_restored_with_its_past():
    alice, bob, carol, dave, erin = new_members("a", "b", "c", "d", "e")
    drawer = Drawer(bob)
    late = say(erin)
    commit(alice, bob, carol, dave, remove=[4])
    commit(alice, bob, carol, remove=[3])
    commit(alice, bob, remove=[2])
    drawer.keep(bob)
    bob = drawer.restore()
    assert len(bob.view.tree.nodes) == 3
    assert bob.unprotect(late).sender.uri == erin.identity.uri


def test_what_is_over_leaves_the_records():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    for _ in range(40):
        bob.unprotect(say(alice))
        commit(alice, bob)
    drawer.keep(bob)
    epochs = {name.split("/")[1] for name in drawer.records if name[0] in "trsx" and "/" in name}
    assert epochs == {"38", "39", "40", "41"}
    assert sum(name.startswith("z/") for name in drawer.records) == 32
    bob.forget(NOW + 7 * 86400)
    assert bob._state.past
    bob.forget(NOW + 7 * 86400 + 1)
    drawer.keep(bob)
    assert {name.split("/")[1] for name in drawer.records if name[0] in "trsxo"} == {"41"}
    with pytest.raises(StateError):
        bob.resumption_psk(1)


def test_retention_can_be_shorter():
    alice, bob = new_members("a", "b")
    bob._keep = Retention(epochs=1)
    late = say(alice)
    commit(alice, bob)
    later = say(alice)
    commit(alice, bob)
    with pytest.raises(WrongEpochError):
        bob.unprotect(late)
    assert bob.unprotect(later).epoch == 2


def test_pending_proposals_and_updates_survive():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    alice.process(bob.propose_update(random=os.urandom), now=NOW)
    drawer.keep(bob)
    bob = drawer.restore()
    staged = commit(alice, bob)
    assert staged.epoch == 1
    assert bob.epoch_authenticator == alice.epoch_authenticator
    drawer.keep(bob)
    assert not [name for name in drawer.records if name[0] in "pu"]


def test_records_that_do_not_make_a_group():
    alice, _ = new_members("a", "b")
    good = Drawer(alice).records
    for name, value in {"g": b"", "e": b"\x01", "n/0": b"\x00", "n/x": b""}.items():
        broken = dict(good)
        broken[name] = value
        with pytest.raises(StateError):
            Group.restore(alice.identity, broken)
    for broken in ({}, {**good, "g": b"\x00\x09" + good["g"][2:]}, {"g": good["g"], "e": good["e"]}):
        with pytest.raises(StateError):
            Group.restore(alice.identity, broken)
    with pytest.raises(StateError, match="identity"):
        Group.restore(new_identity("a"), good)


def test_a_member_that_was_removed_is_restored_as_such():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    bob.process(stage(alice, remove=[1]).commit, now=NOW)
    drawer.keep(bob)
    assert drawer.restore().standing == bob.standing


def test_identities_and_key_packages_keep_their_keys():
    identity = new_identity("a", suite=2)
    again = Identity.from_bytes(identity.to_bytes())
    assert (again.uri, again.public, again.leg) == (identity.uri, identity.public, identity.leg)
    bundle = new_bundle(identity, last_resort=True)
    assert bundle.package.extensions
    back = KeyPackageBundle.from_bytes(bundle.to_bytes())
    assert (back.ref, back.init_private) == (bundle.ref, bundle.init_private)


@pytest.mark.parametrize("read", [Identity, KeyPackageBundle, Staged, PublicGroup], ids=lambda one: one.__name__)
def test_stored_things_of_another_version_or_none(read):
    for data in (b"", b"\x09\x09", b"\x01", bytes(40)):
        with pytest.raises(StateError):
            read.from_bytes(data)


def test_a_staged_commit_survives_a_crash():
    alice, bob = new_members("a", "b")
    drawer = Drawer(alice)
    kept = stage(alice, remove=[1]).to_bytes()
    alice = drawer.restore()
    alice.merge(Staged.from_bytes(kept))
    drawer.keep(alice)
    assert [member.leaf for member in drawer.restore().members()] == [0]
    assert bob.epoch == 1


def test_a_router_keeps_its_view_and_can_look_before_it_leaps():
    alice, bob = new_members("a", "b", context={0x8001: b"x"})
    router = PublicGroup.create(alice.group_info(random=os.urandom), now=NOW)
    staged = commit(alice, bob)
    assert router.check(staged.commit, now=NOW).epoch == 2
    assert router.epoch == 1
    router.process(staged.commit, now=NOW)
    again = PublicGroup.from_bytes(router.to_bytes())
    assert (again.group_id, again.epoch, again.suite_id) == (b"room", 2, 1)
    assert again.context == {0x8001: b"x"}
    assert not again.ended
    assert again.members() == alice.members()


def test_private_keys_that_went_out_of_use_leave_the_records():
    alice, bob, carol, dave = new_members("a", "b", "c", "d")
    drawer = Drawer(bob)
    for author, others in ((dave, (alice, bob, carol)), (bob, (alice, carol, dave)), (carol, (alice, bob, dave))):
        commit(author, *others)
        drawer.keep(bob)
        stored = {name[2:] for name in drawer.records if name.startswith("k/")}
        assert stored == {str(place) for place in bob._state.private}
    commit(alice, bob, dave, remove=[2])
    drawer.keep(bob)
    assert "k/3" in drawer.records
    commit(dave, alice, bob, remove=[])
    drawer.keep(bob)
    assert drawer.restore()._state.private == bob._state.private
