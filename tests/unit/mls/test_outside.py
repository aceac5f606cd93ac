"""Coming in from outside: external commits, external proposals, departures, and groups that continue others."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace as msgspec_replace

from protocol.mls import (
    Component,
    Extension,
    ExtensionType,
    Group,
    Identity,
    KeyPackageBundle,
    PublicGroup,
    RequiredCapabilities,
    Standing,
    branch,
    external_proposal,
    follow_again,
    follow_branch,
    join_proposal,
    start_again,
)
from protocol.mls.errors import (
    ExtensionError,
    FramingError,
    InputError,
    ProposalError,
    PskError,
    SenderError,
    SuspendedError,
    WelcomeError,
)
from protocol.mls.leaf import KeyPackage
from protocol.mls.plan import external_psk, resumption_psk
from protocol.mls.proposals import (
    Add,
    AppDataUpdate,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    PskUsage,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from protocol.mls.successor import _begin
from protocol.mls.view import ExternalSender, encode_external_senders
from tests.unit.mls.support import NOW, commit, invite, new_bundle, new_group, new_identity, new_members, say, stage


def router_of(group):
    return PublicGroup.create(group.group_info(random=os.urandom), now=NOW)


def with_hub(hub):
    data = encode_external_senders([ExternalSender(hub.public, hub.credential)])
    return (Extension(ExtensionType.EXTERNAL_SENDERS, data),)


def agree(*groups):
    assert len({group.epoch_authenticator for group in groups}) == 1


def test_a_lost_member_replaces_its_former_self():
    alice, bob, carol = new_members("a", "b", "c")
    router = router_of(alice)
    back = Group.join_external(bob.identity, alice.group_info(random=os.urandom), replace=1, now=NOW, random=os.urandom)
    change = router.process(back.commit, now=NOW)
    assert [member.leaf for member in change.removed] == [1]
    for group in (alice, carol):
        group.process(back.commit, now=NOW)
    agree(alice, carol, back.group)
    assert bob.process(back.commit, now=NOW).left
    assert len(alice.members()) == 3
    assert carol.unprotect(say(back.group)).data == b"hello"


def test_a_psk_can_be_asked_of_an_external_joiner():
    alice, bob = new_members("a", "b")
    psks = {b"door": b"key" * 11}
    ids = [external_psk(b"door", os.urandom, 32)]
    info = alice.group_info(random=os.urandom)
    joined = Group.join_external(new_identity("c"), info, psk_ids=ids, psks=psks, now=NOW, random=os.urandom)
    with pytest.raises(PskError):
        alice.process(joined.commit, now=NOW)
    for group in (alice, bob):
        group.process(joined.commit, psks=psks, now=NOW)
    agree(alice, bob, joined.group)


def test_a_hub_proposes_and_a_member_commits():
    hub = new_identity("hub")
    alice, bob, carol = new_members("a", "b", "c", extensions=with_hub(hub))
    router = router_of(alice)
    dave = new_identity("d")
    bundle = new_bundle(dave)
    place = {"group_id": b"room", "epoch": alice.epoch}
    proposals = [
        external_proposal(hub, 0, Remove(2), **place),
        external_proposal(hub, 0, AppDataUpdate(0x8001, b"topic"), **place),
        join_proposal(dave, bundle, **place),
    ]
    for proposal in proposals:
        assert router.process(proposal, now=NOW).ref
        for group in (alice, bob, carol):
            assert group.process(proposal, now=NOW).proposal is not None
    router = PublicGroup.from_bytes(router.to_bytes())
    staged = stage(alice)
    change = router.process(staged.commit, now=NOW)
    assert [added.member.uri for added in change.added] == [dave.uri]
    assert [member.leaf for member in change.removed] == [2]
    assert carol.process(staged.commit, now=NOW).left
    assert carol.standing == Standing.REMOVED
    bob.process(staged.commit, now=NOW)
    alice.merge(staged)
    joined = Group.join(dave, staged.welcome, [bundle], fresh=True, now=NOW)
    agree(alice, bob, joined)
    assert joined.context == router.context == {0x8001: b"topic"}


def test_strangers_cannot_propose():
    hub, stranger = new_identity("hub"), new_identity("stranger")
    alice, _ = new_members("a", "b", extensions=with_hub(hub))
    place = {"group_id": b"room", "epoch": alice.epoch}
    with pytest.raises(SenderError):
        alice.process(external_proposal(hub, 1, Remove(1), **place), now=NOW)
    with pytest.raises(SenderError):
        external_proposal(hub, 0, ExternalInit(b""), **place)
    with pytest.raises(SenderError):
        external_proposal(hub, 0, SelfRemove(), **place)
    forged = external_proposal(stranger, 0, Remove(1), **place)
    with pytest.raises(Exception, match="does not verify"):
        alice.process(forged, now=NOW)


def test_a_member_leaves_by_asking():
    alice, bob, carol = new_members("a", "b", "c")
    router = router_of(alice)
    wish = bob.propose(SelfRemove(), random=os.urandom)
    for group in (alice, carol):
        group.process(wish, now=NOW)
    router.process(wish, now=NOW)
    staged = commit(alice, carol)
    assert [member.leaf for member in router.process(staged.commit, now=NOW).removed] == [1]
    agree(alice, carol)
    assert bob.process(staged.commit, now=NOW).left
    with pytest.raises(SuspendedError):
        say(bob)
    with pytest.raises(SuspendedError):
        bob.process(staged.commit, now=NOW)


def test_nobody_commits_its_own_departure():
    alice, _ = new_members("a", "b")
    alice.propose(SelfRemove(), random=os.urandom)
    assert stage(alice).commit  # left out: someone else must commit it
    alice.merge(stage(alice))
    assert len(alice.members()) == 2


def test_updates_by_proposal_change_the_keys():
    alice, bob, carol = new_members("a", "b", "c")
    before = bob.view.tree.leaf(1).encryption_key
    wish = bob.propose_update(random=os.urandom)
    for group in (alice, carol):
        group.process(wish, now=NOW)
    staged = commit(alice, carol)
    assert [member.leaf for member in bob.process(staged.commit, now=NOW).updated] == [0, 1]
    agree(alice, bob, carol)
    assert bob.view.tree.leaf(1).encryption_key != before
    commit(bob, alice, carol)
    agree(alice, bob, carol)


def test_proposals_and_commits_can_be_hidden_from_the_router():
    alice, bob, carol = new_members("a", "b", "c")
    wish = bob.propose_update(random=os.urandom, private=True)
    for group in (alice, carol):
        group.process(wish, now=NOW)
    staged = stage(alice, private=True)
    with pytest.raises(FramingError):
        router_of(alice).process(staged.commit, now=NOW)
    for group in (bob, carol):
        group.process(staged.commit, now=NOW)
    alice.merge(staged)
    agree(alice, bob, carol)


def test_pre_shared_keys_from_outside_and_from_former_epochs():
    alice, bob = new_members("a", "b")
    psks = {b"paper": b"secret on paper"}
    ids = [
        external_psk(b"paper", os.urandom, 32),
        resumption_psk(b"room", 1, PskUsage.APPLICATION, os.urandom, 32),
    ]
    commit(alice, bob, psk_ids=ids, psks=psks)
    agree(alice, bob)
    with pytest.raises(PskError):
        stage(alice, psk_ids=[external_psk(b"unknown", os.urandom, 32)])
    carol = invite(alice, new_identity("c"), bob, psk_ids=[external_psk(b"paper", os.urandom, 32)], psks=psks)
    agree(alice, bob, carol)


def test_the_groups_components_change_without_a_path():
    alice, bob = new_members("a", "b", context={0x8001: b"old", 0x8002: b"gone"})
    commit(alice, bob, context={0x8001: b"new", 0x8002: None, 0x8003: b"more"}, path=False)
    assert bob.context == {0x8001: b"new", 0x8003: b"more"}
    agree(alice, bob)
    with pytest.raises(ProposalError):
        stage(alice, context={0x8009: None})


def test_the_groups_extensions_can_be_replaced():
    alice, bob = new_members("a", "b")
    required = RequiredCapabilities((ExtensionType.LEG,), (0x0008,), (1,))
    extension = Extension(ExtensionType.REQUIRED_CAPABILITIES, required.encode())
    commit(alice, bob, extensions=(extension,))
    agree(alice, bob)
    dictionary = Extension(ExtensionType.APP_DATA_DICTIONARY, b"\x00")
    with pytest.raises(ExtensionError):
        stage(alice, extensions=(extension, dictionary))


def test_safe_authenticated_data_travels_in_front():
    alice, bob = new_members("a", "b", context={Component.SAFE_AAD: b"\x00"})
    commit(alice, bob)
    sent = say(alice, authenticated_data=b"tail", safe_aad={0x8001: b"franking tag"})
    opened = bob.unprotect(sent)
    assert (opened.safe_aad, opened.authenticated_data) == ({0x8001: b"franking tag"}, b"tail")
    joined = Group.join_external(new_identity("c"), alice.group_info(random=os.urandom), now=NOW, random=os.urandom)
    alice.process(joined.commit, now=NOW)
    agree(alice, joined.group)
    plain, _ = new_members("a", "b")
    with pytest.raises(InputError):
        say(plain, safe_aad={0x8001: b"x"})


def test_authenticated_data_without_its_frame_is_refused():
    hub = new_identity("hub")
    alice, bob = new_members("a", "b", context={Component.SAFE_AAD: b"\x00"}, extensions=with_hub(hub))
    bare = external_proposal(hub, 0, Remove(1), group_id=b"room", epoch=alice.epoch)
    with pytest.raises(FramingError):
        bob.process(bare, now=NOW)


def reinitialised(suite=2):
    alice, bob, carol = new_members("a", "b", "c")
    commit(alice, bob, carol, reinit=ReInit(b"room 2", 1, suite, ()))
    assert {group.standing for group in (alice, bob, carol)} == {Standing.REINITIALISED}
    return alice, bob, carol


def test_a_group_starts_again_with_another_cipher_suite():
    alice, bob, carol = reinitialised()
    with pytest.raises(SuspendedError):
        say(alice)
    with pytest.raises(SuspendedError):
        stage(bob)
    fresh = [new_identity(name, suite=2) for name in "abc"]
    bundles = [new_bundle(identity) for identity in fresh]
    begun = start_again(alice, fresh[0], [b.message for b in bundles[1:]], now=NOW, random=os.urandom)
    begun.group.merge(begun.staged)
    welcome = begun.staged.welcome
    members = [
        follow_again(old, identity, welcome, [bundle], now=NOW)
        for old, identity, bundle in zip((bob, carol), fresh[1:], bundles[1:], strict=True)
    ]
    agree(begun.group, *members)
    known = {(b"room", bob.epoch): bob.resumption_psk()}
    with pytest.raises(WelcomeError):
        Group.join(fresh[1], welcome, bundles[1:2], psks=known, now=NOW)
    with pytest.raises(WelcomeError):
        follow_branch(bob, fresh[1], welcome, bundles[1:2], now=NOW)


def test_a_group_that_was_not_re_initialised_does_not_start_again():
    alice, _ = new_members("a", "b")
    with pytest.raises(InputError):
        start_again(alice, alice.identity, [], now=NOW, random=os.urandom)
    alice, *_ = reinitialised()
    with pytest.raises(InputError):
        start_again(alice, alice.identity, [], now=NOW, random=os.urandom)


def test_a_successor_keeps_to_what_was_agreed():
    alice, bob, _ = reinitialised()
    fresh = [new_identity(name, suite=2) for name in "abc"]
    bundles = [new_bundle(identity) for identity in fresh]
    short = start_again(alice, fresh[0], [bundles[1].message], now=NOW, random=os.urandom)
    with pytest.raises(WelcomeError, match="other members"):
        follow_again(bob, fresh[1], short.staged.welcome, bundles[1:2], now=NOW)
    alice._state.reinit = ReInit(b"another name", 1, 2, ())
    other = start_again(alice, fresh[0], [b.message for b in bundles[1:]], now=NOW, random=os.urandom)
    with pytest.raises(WelcomeError, match="agreed"):
        follow_again(bob, fresh[1], other.staged.welcome, bundles[1:2], now=NOW)


def test_some_members_branch_off():
    alice, bob, carol = new_members("a", "b", "c")
    bundle = new_bundle(bob.identity)
    begun = branch(alice, alice.identity, b"side room", [bundle.message], now=NOW, random=os.urandom)
    begun.group.merge(begun.staged)
    side = follow_branch(bob, bob.identity, begun.staged.welcome, [bundle], now=NOW)
    agree(begun.group, side)
    assert say(carol)  # the old group lives on
    with pytest.raises(InputError):
        branch(alice, new_identity("a", suite=2), b"side", [], now=NOW, random=os.urandom)


def test_a_branch_has_no_strangers_and_belongs_to_its_group():
    alice, bob = new_members("a", "b")
    _, friend = new_members("a", "b", group_id=b"other room")
    stranger, bundle = new_identity("s"), new_bundle(bob.identity)
    guest = new_bundle(stranger)
    begun = branch(alice, alice.identity, b"side", [bundle.message, guest.message], now=NOW, random=os.urandom)
    with pytest.raises(WelcomeError, match="members"):
        follow_branch(bob, bob.identity, begun.staged.welcome, [bundle], now=NOW)
    with pytest.raises(PskError):
        follow_branch(friend, bob.identity, begun.staged.welcome, [bundle], now=NOW)


def test_a_group_of_its_own_kind_only():
    info = new_group(new_identity("a")).group_info(random=os.urandom)
    with pytest.raises(InputError):
        Group.join_external(new_identity("b", suite=3), info, now=NOW, random=os.urandom)


def test_update_and_replacement_are_for_members():
    hub = new_identity("hub")
    alice, _ = new_members("a", "b", extensions=with_hub(hub))
    leaf = alice.view.tree.leaf(0)
    with pytest.raises(SenderError):
        external_proposal(hub, 0, Update(leaf), group_id=b"room", epoch=1)
    proposal = GroupContextExtensions(())
    assert external_proposal(hub, 0, proposal, group_id=b"room", epoch=1)


def test_a_required_proposal_type_leaves_the_dictionary_to_its_own_proposal():
    required = Extension(ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities((), (0x0008,), ()).encode())
    alice, bob = new_members("a", "b", context={0x8001: b"x"}, extensions=(required,))
    commit(alice, bob, extensions=alice.extensions)
    agree(alice, bob)


def test_a_committer_leaves_out_what_its_own_wishes_replace():
    alice, bob, carol = new_members("a", "b", "c")
    wish = bob.propose(GroupContextExtensions(()), random=os.urandom)
    again = bob.propose(Remove(2), random=os.urandom)
    ending = bob.propose(ReInit(b"x", 1, 1, ()), random=os.urandom)
    for proposal in (wish, again, ending):
        for group in (alice, carol):
            group.process(proposal, now=NOW)
    required = Extension(ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities().encode())
    staged = commit(alice, bob, extensions=(required,), remove=[2])
    assert carol.process(staged.commit, now=NOW).left
    assert alice.extensions == (required,)
    agree(alice, bob)
    alone = stage(alice, pending=False)
    assert alone.next.context.extensions == (required,)


def test_successors_of_the_wrong_epoch_or_suite():
    alice, bob, _ = reinitialised()
    fresh = [new_identity(name, suite=2) for name in "abc"]
    bundles = [new_bundle(identity) for identity in fresh]
    state = alice._state
    early = ReInit(b"room 2", 1, 2, ())
    context = state.view.context
    state.view.context = msgspec_replace(context, epoch=context.epoch - 1)
    begun = start_again(alice, fresh[0], [b.message for b in bundles[1:]], now=NOW, random=os.urandom)
    assert alice.reinit == early
    with pytest.raises(WelcomeError, match="before"):
        follow_again(bob, fresh[1], begun.staged.welcome, bundles[1:2], now=NOW)
    alice, bob = new_members("a", "b")
    begun = _begin(alice, fresh[0], b"side", (), PskUsage.BRANCH, [bundles[1].message], now=NOW, random=os.urandom)
    with pytest.raises(WelcomeError, match="cipher suite"):
        follow_branch(bob, fresh[1], begun.staged.welcome, bundles[1:2], now=NOW)


def test_grease_is_tolerated_everywhere():
    grease = (0x0A0A, 0x1A1A, 0xEAEA)
    plain = new_identity(
        "g",
        suites=(1, *grease),
        versions=(1, *grease),
        extensions=(*grease, ExtensionType.LEG, ExtensionType.APP_DATA_DICTIONARY),
        proposals=(*grease, 0x0008, 0x000A),
        credentials=(1, *grease),
    )
    extensions = (*plain.extensions, Extension(0x1A1A, b"anything"))
    greased = Identity(plain.suite, plain._private, plain.credential, extensions, plain.capabilities)
    bundle = new_bundle(greased)
    package = bundle.package
    odd = KeyPackage.signed(plain.suite, greased.key, package.init_key, package.leaf, (Extension(0xEAEA, b"x"),))
    bundle = KeyPackageBundle(odd, bundle.init_private, bundle.leaf_private)
    alice, bob = new_members("a", "b")
    staged = commit(alice, bob, add=[bundle.message])
    joined = Group.join(greased, staged.welcome, [bundle], fresh=True, now=NOW)
    commit(joined, alice, bob)
    agree(alice, bob, joined)
    extra = (Extension(0x2A2A, b"x"),)
    assert PublicGroup.create(alice.group_info(random=os.urandom, extensions=extra), now=NOW).epoch == joined.epoch


def test_padding_hides_lengths():
    alice, bob = new_members("a", "b")
    sizes = {len(say(alice, bytes(length), padding=256)) for length in range(1, 100, 7)}
    assert len(sizes) == 1
    assert bob.unprotect(say(alice, b"short", padding=256)).data == b"short"


def test_nobody_blocks_a_group_with_a_proposal_that_cannot_be_committed():
    alice, bob, carol = new_members("a", "b", "c")
    impossible = [
        bob.propose(AppDataUpdate(0x8001, None), random=os.urandom),
        bob.propose(PreSharedKey(external_psk(b"nobody has it", os.urandom, 32)), random=os.urandom),
        bob.propose(Add(new_bundle(carol.identity).package), random=os.urandom),
    ]
    fine = bob.propose(AppDataUpdate(0x8002, b"fine"), random=os.urandom)
    for proposal in (*impossible, fine):
        for group in (alice, carol):
            group.process(proposal, now=NOW)
    commit(alice, bob, carol)
    assert alice.context == {0x8002: b"fine"}
    agree(alice, bob, carol)


def test_a_private_handshake_that_was_refused_can_come_again():
    alice, bob = new_members("a", "b")
    psks = {b"paper": b"secret"}
    staged = stage(alice, psk_ids=[external_psk(b"paper", os.urandom, 32)], psks=psks, private=True)
    with pytest.raises(PskError):
        bob.process(staged.commit, now=NOW)
    bob.process(staged.commit, psks=psks, now=NOW)
    alice.merge(staged)
    agree(alice, bob)


def test_pending_proposals_are_bounded(monkeypatch):
    monkeypatch.setattr("protocol.mls.view.MAX_PROPOSALS", 1)
    alice, bob = new_members("a", "b")
    bob.process(alice.propose(SelfRemove(), random=os.urandom), now=NOW)
    with pytest.raises(ProposalError, match="most"):
        alice.propose(SelfRemove(), random=os.urandom)


def test_a_joiner_sees_out_those_who_want_to_leave():
    alice, bob, carol = new_members("a", "b", "c")
    router = router_of(alice)
    wish = bob.propose(SelfRemove(), random=os.urandom)
    for take in (alice, carol, router):
        take.process(wish, now=NOW)
    info = alice.group_info(random=os.urandom)
    joined = Group.join_external(new_identity("d"), info, departures=[wish], now=NOW, random=os.urandom)
    change = router.process(joined.commit, now=NOW)
    assert [member.leaf for member in change.removed] == [1]
    for group in (alice, carol):
        group.process(joined.commit, now=NOW)
    agree(alice, carol, joined.group)
    assert joined.group.own_leaf == 1
    assert bob.process(joined.commit, now=NOW).left
    hidden = carol.propose(SelfRemove(), random=os.urandom, private=True)
    with pytest.raises(InputError):
        Group.join_external(
            new_identity("e"),
            alice.group_info(random=os.urandom),
            departures=[hidden],
            now=NOW,
            random=os.urandom,
        )
