"""Details that one changed line would spoil and nothing else would show."""

from __future__ import annotations

import os

import pytest

from protocol.mls import SenderType, errors, joining, schedule
from protocol.mls.codec import decode
from protocol.mls.extensions import Extension, ExtensionType, encode_dictionary
from protocol.mls.messages import Sender, read_message
from protocol.mls.proposals import AppDataUpdate, ExternalInit, GroupContextExtensions, Remove, SelfRemove
from protocol.mls.rules import Item, apply_app_data, check_list
from protocol.mls.secret_tree import APPLICATION, HANDSHAKE, MAX_SKIPPED, SecretTree
from protocol.mls.staged import Patch
from protocol.mls.suites import SUITES, suite_of
from tests.unit.mls.support import NOW, Drawer, commit, new_group, new_identity, new_members, say, sealed, stage

SUITE = suite_of(1)


def test_what_a_private_message_says_of_itself_is_what_was_signed():
    alice, bob = new_members("a", "b")
    message = read_message(say(alice, b"hello", authenticated_data=b"seen"))
    content = bob._state.epoch.open(message).message.content
    assert (content.group_id, content.epoch, content.sender) == (b"room", bob.epoch, Sender(SenderType.MEMBER, 0))
    assert (content.authenticated_data, content.body) == (b"seen", b"hello")
    hidden = stage(alice, private=True, authenticated_data=b"seen").commit
    assert bob.process(hidden, now=NOW).authenticated_data == b"seen"


def test_a_hidden_proposal_spends_its_own_generation_and_no_other():
    alice, _ = new_members("a", "b")
    alice.propose(SelfRemove(), random=os.urandom, private=True)
    counts = {kind: generation for kind, (generation, _) in alice._state.epoch.tree.sending().items()}
    assert counts == {"h": 1, "a": 0}


def test_padding_is_as_asked_for_and_hidden_handshakes_have_none():
    alice, _ = new_members("a", "b")
    sizes = {len(say(alice, bytes(size), padding=256)) for size in range(100)}
    assert len(sizes) == 1
    lengths = {len(say(alice, bytes(size))) for size in range(20)}
    assert len(lengths) == 20


def test_a_sender_just_outside_the_tree_is_refused():
    alice, bob = new_members("a", "b")
    epoch = alice._state.epoch
    key = epoch.tree.next_key(APPLICATION)
    epoch.tree = type("Given", (), {"next_key": lambda *_: key})()
    epoch.own = len(epoch.leaves)
    with pytest.raises(errors.SenderError):
        bob.unprotect(sealed(alice, b""))


def test_our_own_message_is_refused_for_what_it_is():
    alice, _ = new_members("a", "b")
    with pytest.raises(errors.OwnMessageError, match="a message of our own came back"):
        alice.unprotect(say(alice))


def test_a_signature_that_fails_says_whose():
    alice, bob = new_members("a", "b")
    alice.identity.key = new_identity("mallory").key
    with pytest.raises(errors.SignatureError, match="the signature of a message does not verify"):
        bob.unprotect(say(alice))


@pytest.mark.parametrize(
    ("proposals", "reason"),
    [
        ((AppDataUpdate(1, None), AppDataUpdate(1, None)), "stands alone"),
        ((AppDataUpdate(1, b"new"), AppDataUpdate(1, None)), "stands alone"),
        ((AppDataUpdate(2, None),), "0x0002 is not there"),
    ],
)
def test_components_that_cannot_be_removed(proposals, reason):
    extensions = (Extension(ExtensionType.APP_DATA_DICTIONARY, encode_dictionary({1: b"old"})),)
    with pytest.raises(errors.ProposalError, match=reason):
        apply_app_data(extensions, proposals)


def test_components_are_set_and_removed_together():
    extensions = (Extension(ExtensionType.APP_DATA_DICTIONARY, encode_dictionary({1: b"old", 2: b"kept"})),)
    updates = (AppDataUpdate(1, None), AppDataUpdate(3, b"a"), AppDataUpdate(3, b"b"))
    assert apply_app_data(extensions, updates) == {2: b"kept", 3: b"b"}


JOINER = Sender(SenderType.NEW_MEMBER_COMMIT)
INIT = Item(ExternalInit(bytes(32)), JOINER, inline=True)
GONE = Item(SelfRemove(), Sender(SenderType.MEMBER, 1), inline=False)


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ((), "exactly one ExternalInit"),
        ((INIT, INIT), "exactly one ExternalInit"),
        ((INIT, *(Item(Remove(leaf), JOINER, inline=True) for leaf in (1, 2))), "removes at most one leaf"),
        ((INIT, Item(AppDataUpdate(1, b""), JOINER, inline=False)), "refers only to departures"),
        ((INIT, Item(Remove(1), JOINER, inline=True), GONE), "two proposals change one leaf"),
    ],
)
def test_an_external_commit_is_refused_for_the_right_reason(items, reason):
    context = new_group(new_identity("a")).view.context
    with pytest.raises(errors.ProposalError, match=reason):
        check_list(items, JOINER, context, SUITE)


def test_keys_that_fall_out_of_the_window_leave_the_records_too():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    for _ in range(2):
        for _ in range(200):
            say(alice)
        bob.unprotect(say(alice))
    drawer.keep(bob)
    waiting = sorted(int(name.rsplit("/", 1)[1]) for name in drawer.records if name.startswith("s/"))
    assert len(waiting) == MAX_SKIPPED
    assert waiting == [*range(400 - MAX_SKIPPED, 200), *range(201, 401)][-MAX_SKIPPED:]


def test_a_ratchet_comes_to_its_end_on_both_sides():
    last = (1 << 32) - 2
    tree = SecretTree(SUITE, 0, 2, lambda name, value: None, 0)
    tree.load("r/0/1/a", (last - 1).to_bytes(4, "big") + bytes(32))
    tree.resume_sending({APPLICATION: (last - 1, bytes(32))})
    found = tree.find_key(1, APPLICATION, last)
    with pytest.raises(errors.GenerationError):
        tree.find_key(1, APPLICATION, last + 1)
    assert tree.next_key(APPLICATION)[0] == last - 1
    with pytest.raises(errors.GenerationError):
        tree.next_key(APPLICATION)
    tree.spend(found)
    with pytest.raises(errors.GenerationError):
        tree.find_key(1, APPLICATION, last + 1)


@pytest.mark.parametrize(
    ("name", "size"), [("t/0/1", 31), ("t/0/1", 33), ("r/0/1/a", 32), ("r/0/1/a", 37), ("s/0/1/a/0", 27)]
)
def test_records_of_keys_have_the_length_of_keys(name, size):
    tree = SecretTree(SUITE, 0, 2, lambda name, value: None, 0)
    tree.load("r/0/1/a", bytes(36))
    with pytest.raises(errors.StateError, match="octets in record"):
        tree.load(name, bytes(size))


def test_records_that_lack_where_a_key_comes_from():
    tree = SecretTree(SUITE, 0, 4, lambda name, value: None, 0)
    tree.load("t/0/1", bytes(32))
    tree.find_key(1, HANDSHAKE, 0)
    with pytest.raises(errors.StateError, match="the keys of leaf 2"):
        tree.find_key(2, HANDSHAKE, 0)


def test_a_stored_proposal_must_be_one():
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    message = read_message(stage(alice).commit).authenticated
    drawer.records["p/00"] = message.encode()
    with pytest.raises(errors.StateError, match="none"):
        drawer.restore()


def test_the_last_epoch_that_has_a_number_is_the_last():
    alice = new_group(new_identity("a"))
    state = alice._state
    state.view.context = type(state.view.context)(1, b"room", (1 << 64) - 1, state.view.tree.hash(), b"", ())
    with pytest.raises(errors.WrongEpochError):
        stage(alice)


@pytest.mark.parametrize("suite", sorted(SUITES))
def test_the_exporter_is_bound_to_label_context_and_length(suite):
    [alice] = new_members("a", suite=suite)
    made = {alice.export("a", b"x", 32), alice.export("b", b"x", 32), alice.export("a", b"y", 32)}
    assert len(made) == 3
    assert len(alice.export("a", b"x", 200)) == 200
    suite_ = suite_of(suite)
    secret = suite_.derive_secret(bytes(suite_.hash_size), b"label")
    expected = suite_.expand_with_label(secret, b"exported", suite_.hash(b"context"), 32)
    assert schedule.export(suite_, bytes(suite_.hash_size), b"label", b"context", 32) == expected


def test_a_path_secret_to_a_group_of_one_leads_nowhere():
    alice = new_group(new_identity("a"))
    with pytest.raises(errors.WelcomeError, match="group of one"):
        joining._path_keys(alice.view.tree, 0, 0, bytes(32))


@pytest.mark.parametrize("leaves", [0, 3, 1 << 31])
def test_stored_trees_have_the_size_of_a_tree(leaves):
    alice, bob = new_members("a", "b")
    drawer = Drawer(bob)
    commit(alice, bob)
    drawer.keep(bob)
    record, size = drawer.records["x/1"], (2).to_bytes(4, "big")
    assert record.count(size + bob._state.past[1].context.encode()) == 1
    drawer.records["x/1"] = record.replace(size + b"\x00\x01", leaves.to_bytes(4, "big") + b"\x00\x01", 1)
    with pytest.raises(errors.StateError, match="leaves"):
        drawer.restore()
    with pytest.raises(errors.StateError, match="leaves"):
        decode(Patch(leaves, []).encode(), Patch.read)


def test_a_stored_patch_stays_within_its_tree():
    with pytest.raises(errors.StateError):
        decode(Patch(2, [(3, None)]).encode(), Patch.read)
    assert decode(Patch(2, [(2, None)]).encode(), Patch.read).nodes == [(2, None)]


MEMBER = Sender(SenderType.MEMBER, 0)


@pytest.mark.parametrize(
    ("proposals", "error", "reason"),
    [
        ((AppDataUpdate(1, b""), Remove(0)), errors.CommitterRemovedError, "own author"),
        ((AppDataUpdate(1, b""), Remove(1), Remove(1)), errors.ProposalError, "two proposals change one leaf"),
        ((GroupContextExtensions(()),) * 2, errors.ProposalError, "two proposals replace"),
    ],
)
def test_a_commit_is_refused_for_the_right_reason(proposals, error, reason):
    context = new_group(new_identity("a")).view.context
    with pytest.raises(error, match=reason):
        check_list([Item(one, MEMBER, inline=True) for one in proposals], MEMBER, context, SUITE)


def test_two_members_can_be_removed_at_once():
    context = new_group(new_identity("a")).view.context
    check_list([Item(Remove(leaf), MEMBER, inline=True) for leaf in (1, 2)], MEMBER, context, SUITE)


def test_both_ratchets_of_a_leaf_last_from_the_moment_one_is_used():
    alice, bob = new_members("a", "b")
    bob.changes()
    bob.unprotect(say(alice))
    written = bob.changes()
    assert [len(written[f"r/{bob.epoch}/0/{kind}"]) for kind in (HANDSHAKE, APPLICATION)] == [36, 36]
