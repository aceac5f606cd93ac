"""Two and three members talk, come and go; a router without keys follows them."""

from __future__ import annotations

import os

import pytest

from protocol.leg import LegClass
from protocol.mls import Group, Identity, KeyPackageBundle, PublicGroup, Staged, peek, speaks_for
from protocol.mls.errors import OwnMessageError, ReplayError, StaleCommitError, WrongEpochError

NOW = 1_700_000_000


def new_identity(name, leg=LegClass.OPERATOR, suite=1):
    uri = f"mimi://bridge.example/d/{name}"
    spaces = [f"mimi://bridge.example/u/{name}~"]
    return Identity.generate(uri, leg=leg, namespaces=spaces, suite=suite, random=os.urandom)


def new_bundle(identity, **options):
    return KeyPackageBundle.generate(identity, now=NOW, random=os.urandom, **options)


def new_pair(suite=1):
    alice, bob = new_identity("xmpp", suite=suite), new_identity("matrix", LegClass.DEVICES, suite)
    bundle = new_bundle(bob)
    group = Group.create(alice, b"room", context={0x0023: b"name"}, now=NOW, random=os.urandom)
    staged = group.stage(add=[bundle.message], now=NOW, random=os.urandom)
    group.merge(staged)
    return group, Group.join(bob, staged.welcome, [bundle], fresh=True, now=NOW)


@pytest.mark.parametrize("suite", [1, 2, 3, 5, 7])
def test_two_members_talk_both_ways(suite):
    alice, bob = new_pair(suite)
    assert alice.epoch == bob.epoch == 1
    assert alice.epoch_authenticator == bob.epoch_authenticator
    assert bob.context == {0x0023: b"name"}
    opened = bob.unprotect(alice.protect(b"wherefore", random=os.urandom, authenticated_data=b"aad"))
    assert (opened.data, opened.authenticated_data, opened.sender.leaf) == (b"wherefore", b"aad", 0)
    assert opened.sender.uri == "mimi://bridge.example/d/xmpp"
    assert alice.unprotect(bob.protect(b"art thou", random=os.urandom)).data == b"art thou"
    assert alice.export("label", b"context", 48) == bob.export("label", b"context", 48)


def test_the_assurance_of_a_group_is_its_worst_leaf():
    alice, bob = new_pair()
    assert [member.leg for member in bob.members()] == [LegClass.OPERATOR, LegClass.DEVICES]
    assert alice.assurance == LegClass.OPERATOR


def test_a_member_speaks_for_itself_and_for_its_namespaces_only():
    alice, _ = new_pair()
    member = alice.members()[0]
    assert speaks_for(member, "mimi://bridge.example/u/xmpp~juliet%40capulet.example")
    assert speaks_for(member, "mimi://bridge.example/d/xmpp")
    assert not speaks_for(member, "mimi://bridge.example/u/matrix~romeo")


def test_a_third_member_joins_and_leaves_while_the_router_follows_without_keys():
    alice, bob = new_pair()
    router = PublicGroup.create(alice.group_info(random=os.urandom), now=NOW)
    carol = new_identity("shop", LegClass.PROVIDER)
    bundle = new_bundle(carol)

    staged = Staged.from_bytes(bob.stage(add=[bundle.message], now=NOW, random=os.urandom).to_bytes())
    change = router.process(staged.commit, now=NOW)
    assert [(a.member.uri, a.key_package_ref) for a in change.added] == [("mimi://bridge.example/d/shop", bundle.ref)]
    alice.process(staged.commit, now=NOW)
    bob.merge(staged)
    shop = Group.join(carol, staged.welcome, [bundle], fresh=True, now=NOW)
    assert shop.joined_with == bundle.ref
    assert router.assurance == LegClass.PROVIDER

    router = PublicGroup.from_bytes(router.to_bytes())
    staged = alice.stage(remove=[1], now=NOW, random=os.urandom)
    assert [member.uri for member in router.process(staged.commit, now=NOW).removed] == [
        "mimi://bridge.example/d/matrix"
    ]
    alice.merge(staged)
    assert shop.process(staged.commit, now=NOW).epoch == 3
    assert bob.process(staged.commit, now=NOW).left
    assert alice.epoch_authenticator == shop.epoch_authenticator
    assert shop.unprotect(alice.protect(b"alone at last", random=os.urandom)).data == b"alone at last"
    with pytest.raises(WrongEpochError):
        bob.unprotect(alice.protect(b"not for bob", random=os.urandom))


def test_messages_come_out_of_order_but_never_twice():
    alice, bob = new_pair()
    sent = [alice.protect(str(number).encode(), random=os.urandom) for number in range(5)]
    for number in (3, 0, 4, 2, 1):
        assert bob.unprotect(sent[number]).data == str(number).encode()
    for message in sent:
        with pytest.raises(ReplayError):
            bob.unprotect(message)


def test_a_group_survives_its_restoration_from_records():
    alice, bob = new_pair()
    stored: dict[str, bytes] = {}

    def keep(group):
        for name, value in group.changes().items():
            if value is None:
                stored.pop(name, None)
            else:
                stored[name] = value

    keep(bob)
    early = alice.protect(b"late arrival", random=os.urandom)
    assert bob.unprotect(alice.protect(b"one", random=os.urandom)).data == b"one"
    delta = bob.changes()
    assert sum(len(name) + len(value or b"") for name, value in delta.items())
    stored.update({name: value for name, value in delta.items() if value is not None})
    for name, value in delta.items():
        if value is None:
            stored.pop(name, None)
    bob = Group.restore(bob.identity, stored)
    staged = bob.stage(now=NOW, random=os.urandom)
    alice.process(staged.commit, now=NOW)
    bob.merge(staged)
    keep(bob)
    bob = Group.restore(bob.identity, stored)
    assert bob.epoch_authenticator == alice.epoch_authenticator
    assert bob.unprotect(early).data == b"late arrival"
    assert bob.unprotect(alice.protect(b"two", random=os.urandom)).data == b"two"
    staged = bob.stage(now=NOW, random=os.urandom)
    alice.process(staged.commit, now=NOW)
    bob.merge(staged)
    assert alice.unprotect(bob.protect(b"three", random=os.urandom)).data == b"three"


def test_the_loser_of_a_race_drops_its_commit_and_follows_the_other():
    alice, bob = new_pair()
    ours = alice.stage(now=NOW, random=os.urandom)
    theirs = bob.stage(now=NOW, random=os.urandom)
    with pytest.raises(OwnMessageError):
        alice.process(ours.commit, now=NOW)
    alice.process(theirs.commit, now=NOW)
    bob.merge(theirs)
    with pytest.raises(StaleCommitError):
        alice.merge(ours)
    assert alice.epoch_authenticator == bob.epoch_authenticator


def test_an_external_join_needs_only_a_group_info():
    alice, bob = new_pair()
    router = PublicGroup.create(alice.group_info(random=os.urandom), now=NOW)
    carol = new_identity("shop")
    joined = Group.join_external(carol, alice.group_info(random=os.urandom), now=NOW, random=os.urandom)
    change = router.process(joined.commit, now=NOW)
    assert change.joined is not None and change.joined.uri == carol.uri
    for group in (alice, bob):
        group.process(joined.commit, now=NOW)
        assert group.epoch_authenticator == joined.group.epoch_authenticator
    assert alice.unprotect(joined.group.protect(b"hello", random=os.urandom)).data == b"hello"


def test_a_relay_reads_the_header_only():
    alice, _ = new_pair()
    header = peek(alice.protect(b"secret", random=os.urandom))
    assert (header.group_id, header.epoch, header.content_type) == (b"room", 1, 1)
