"""Passing signs: beside the ratchets, to who listens now, from who says so and no one else."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.mls import MlsError
from protocol.mls.codec import u32, u64, vec
from protocol.mls.errors import DecryptionError, ReplayError, SenderError, SignatureError
from protocol.mls.passing import LIFETIME
from tests.unit.mls.support import Drawer, commit, new_members, say

ROOM = "mimi://bridge.example/r/square"
NOW = 1_700_000_000_000


def give(member, content=b"typing", *, now=NOW, room=ROOM):
    return member.pass_sign(room, content, now=now, random=os.urandom)


def take(member, sender, sign, *, now=NOW, room=ROOM):
    return member.open_passing(room, sender.identity.uri, sign, now=now)


def test_a_sign_says_who_gave_it_and_when():
    alice, bob = new_members("a", "b")
    passed = take(bob, alice, give(alice), now=NOW + 5)
    assert (passed.sender.uri, passed.at, passed.content) == (alice.identity.uri, NOW, b"typing")


def test_a_sign_is_made_as_the_specification_says():
    alice, _ = new_members("a", "b")
    sign = give(alice)
    key = alice.export("rialto passing sign", u32(alice.own_leaf), 16)
    aad = vec(ROOM.encode()) + vec(alice.group_id) + u64(alice.epoch) + u32(alice.own_leaf)
    plain = AESGCM(key).decrypt(sign[:12], sign[12:], aad)
    said = u64(NOW) + vec(b"typing")
    assert plain.startswith(said)
    signed = aad + said + vec(alice.epoch_authenticator)
    suite = alice.view.suite
    leaf = alice.view.tree.leaf(alice.own_leaf)
    signature = plain[len(said) + 2 :]  # its length takes two octets
    suite.verify(leaf.verifier(suite), b"RialtoPassingSign", signed, signature, "a sign")


def test_five_thousand_lost_signs_cost_no_message():
    """Each would have been a generation, and a thousand of them too many for the next message."""
    alice, bob = new_members("a", "b")
    for number in range(5_000):
        give(alice, now=NOW + 1000 * number)
    assert alice.generation == 0
    assert [bob.unprotect(say(alice, str(n).encode())).generation for n in range(5)] == [0, 1, 2, 3, 4]


def test_who_may_not_send_messages_may_pass_signs():
    alice, bob = new_members("a", "b")
    bob = Drawer(bob).restore()
    assert not bob.may_send
    assert take(alice, bob, give(bob)).content == b"typing"


def test_signs_rise_and_none_comes_twice():
    alice, bob = new_members("a", "b")
    first, second = give(alice), give(alice)  # in the same millisecond: the second is one later
    assert take(bob, alice, second).at == NOW + 1
    for late in (first, second):
        with pytest.raises(ReplayError):
            take(bob, alice, late)


@pytest.mark.parametrize("away", [LIFETIME + 1, -LIFETIME - 1])
def test_a_sign_far_from_our_clock_is_dropped(away):
    alice, bob = new_members("a", "b")
    sign = give(alice)
    with pytest.raises(ReplayError):
        take(bob, alice, sign, now=NOW + away)
    assert take(bob, alice, sign, now=NOW + LIFETIME).content == b"typing"


def test_a_sign_of_another_epoch_room_or_member():
    alice, bob, carol = new_members("a", "b", "c")
    before = give(alice)
    with pytest.raises(DecryptionError):
        take(bob, alice, give(alice), room="mimi://bridge.example/r/elsewhere")
    with pytest.raises(DecryptionError):
        take(bob, carol, give(alice))  # the router says it is Carol's
    commit(carol, alice, bob)
    with pytest.raises(DecryptionError):
        take(bob, alice, before)


def test_a_member_cannot_pass_a_sign_for_another():
    alice, bob, carol = new_members("a", "b", "c")
    own, carol._state.own_leaf = carol.own_leaf, alice.own_leaf
    forged = give(carol)  # under Alice's key, which every member can derive
    carol._state.own_leaf = own
    with pytest.raises(SignatureError):
        take(bob, alice, forged)
    assert take(bob, alice, give(alice)).content == b"typing"  # the forgery has not spoilt hers


def test_our_own_sign_and_what_is_none():
    alice, bob = new_members("a", "b")
    with pytest.raises(SenderError):
        take(alice, alice, give(alice))
    sign = give(alice)
    for cut in range(len(sign)):
        with pytest.raises(MlsError):
            take(bob, alice, sign[:cut])
    for place in range(len(sign)):
        with pytest.raises(MlsError):
            take(bob, alice, sign[:place] + bytes((sign[place] ^ 1,)) + sign[place + 1 :])


def test_an_object_that_was_forked_sends_nothing_before_its_commit():
    alice, bob = new_members("a", "b")
    say(alice)
    alice.mistrust()
    assert alice.must_rekey
    commit(alice, bob)
    assert bob.unprotect(say(alice)).generation == 0
