"""What a member refuses, and by which code. Most attackers here are members: they hold the group's keys."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from protocol.mls import Extension, ExtensionType, Group, Identity, MlsError, PublicGroup, RequiredCapabilities, errors
from protocol.mls.codec import u32, vec
from protocol.mls.committing import sign_group_info
from protocol.mls.leaf import Credential, KeyPackage, LeafNode, LeafSource, Lifetime
from protocol.mls.messages import (
    NEW_MEMBER_COMMIT,
    ContentType,
    Sender,
    SenderType,
    encode_message,
    read_message,
)
from protocol.mls.plan import external_psk
from protocol.mls.proposals import (
    Add,
    AppDataUpdate,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    PskId,
    PskUsage,
    ReInit,
    Remove,
    SelfRemove,
    Update,
    UpdatePath,
)
from protocol.mls.tree import MAX_LEAVES, ParentNode, RatchetTree, encode_node
from tests.unit.mls.support import (
    NOW,
    commit,
    forge,
    invite,
    new_bundle,
    new_group,
    new_identity,
    new_members,
    rewrite,
    say,
    sealed,
    stage,
)


@pytest.fixture
def pair():
    return new_members("a", "b")


@pytest.fixture
def trio():
    return new_members("a", "b", "c")


def refuses(error, *texts):
    return pytest.raises(error, match=".*".join(texts) if texts else None)


def router_of(group):
    return PublicGroup.create(group.group_info(random=os.urandom), now=NOW)


def test_every_error_has_a_code_of_its_own():
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MlsError)]
    assert len({one.code for one in classes}) == len(classes)
    assert all(one.code.startswith("mls") for one in classes)


# Application messages


def test_an_unsigned_message(pair):
    alice, bob = pair
    with refuses(errors.SignatureError, "not signed"):
        bob.unprotect(sealed(alice, vec(b"trust me") + vec(b"")))


def test_a_message_without_room_for_a_signature(pair):
    alice, bob = pair
    with refuses(errors.FramingError, "without its signature"):
        bob.unprotect(sealed(alice, vec(b"trust me")))


def test_a_message_that_another_member_forged(trio):
    alice, bob, carol = trio
    bob._state.epoch.own = alice.own_leaf
    bob._state.epoch.tree.resume_sending(alice._state.epoch.tree.sending())  # every member can derive them
    forged = say(bob, b"I am alice")
    with refuses(errors.SignatureError, "does not verify"):
        carol.unprotect(forged)
    assert carol.unprotect(say(alice, b"no, I am")).data == b"no, I am"  # the forgery spent no key of hers


def test_a_replayed_message(pair):
    alice, bob = pair
    message = say(alice)
    bob.unprotect(message)
    with refuses(errors.ReplayError):
        bob.unprotect(message)


def test_a_message_changed_on_its_way(pair):
    alice, bob = pair
    message = bytearray(say(alice))
    message[-1] ^= 1
    with refuses(errors.DecryptionError):
        bob.unprotect(bytes(message))


def test_a_message_of_another_group(pair):
    other, _ = new_members("a", "b", group_id=b"cellar")
    with refuses(errors.WrongGroupError):
        pair[1].unprotect(say(other))


def test_a_message_of_an_epoch_to_come(pair):
    alice, bob = pair
    alice.merge(stage(alice))
    with refuses(errors.WrongEpochError):
        bob.unprotect(say(alice))


def test_a_message_of_an_epoch_long_past(pair):
    alice, bob = pair
    late = say(alice)
    for _ in range(3):
        commit(alice, bob)
    assert bob.unprotect(late).epoch == 1
    later = say(alice)
    for _ in range(4):
        commit(alice, bob)
    with refuses(errors.WrongEpochError):
        bob.unprotect(later)


def test_a_message_of_an_epoch_too_old(pair):
    alice, bob = pair
    late = say(alice)
    commit(alice, bob)
    with refuses(errors.WrongEpochError):
        bob.unprotect(late, now=NOW + 8 * 86400)


def test_a_message_from_a_blank_leaf(trio):
    alice, _, carol = trio
    commit(alice, carol, remove=[1])
    alice._state.epoch.own = 1
    with refuses(errors.SenderError, "blank"):
        carol.unprotect(say(alice))


def test_a_message_from_outside_the_tree(pair):
    alice, bob = pair
    epoch = alice._state.epoch
    message = read_message(say(alice))
    head = epoch._head + bytes((ContentType.APPLICATION,))
    data = u32(77) + u32(0) + bytes(4)
    forged = replace(
        message,
        encrypted_sender_data=epoch.suite.seal(*epoch._sender_data_key(message.ciphertext), data, head),
    )
    with refuses(errors.SenderError, "outside"):
        bob.unprotect(encode_message(forged))


def test_skipped_keys_are_given_up_oldest_first(pair):
    alice, bob = pair
    messages = [say(alice) for _ in range(302)]
    bob.unprotect(messages[150])
    bob.unprotect(messages[301])
    for number in (42, 43):
        with refuses(errors.ReplayError):
            bob.unprotect(messages[number])
    assert bob.unprotect(messages[44]).generation == 44


def test_a_message_of_our_own(pair):
    with refuses(errors.OwnMessageError):
        pair[0].unprotect(say(pair[0]))


def test_a_message_too_far_ahead(pair):
    alice, bob = pair
    messages = [say(alice) for _ in range(1003)]
    with refuses(errors.GenerationError):
        bob.unprotect(messages[1001])
    bob.unprotect(messages[1000])
    assert bob.unprotect(messages[999]).generation == 999
    with refuses(errors.ReplayError):
        bob.unprotect(messages[743])  # only 256 skipped keys are kept
    assert bob.unprotect(messages[744]).generation == 744


def test_a_ratchet_at_its_end(pair):
    alice, _ = pair
    say(alice)
    alice._state.epoch.tree._sending["a"].generation = (1 << 32) - 2
    with refuses(errors.GenerationError, "end"):
        say(alice)


def test_padding_that_is_not_zero(pair):
    alice, bob = pair
    epoch = alice._state.epoch
    tbs = epoch._tbs_head + b"\x01" + u32(0) + b"\x00\x01" + vec(b"x") + epoch._tbs_tail
    signature = epoch.suite.sign(alice.identity.key, b"FramedContentTBS", tbs)
    plaintext = vec(b"x") + vec(signature)
    with refuses(errors.FramingError, "padding"):
        bob.unprotect(sealed(alice, plaintext + b"\x00\x01"))
    assert bob.unprotect(sealed(alice, plaintext + bytes(100))).data == b"x"


def test_an_application_message_in_the_clear(pair):
    alice, bob = pair
    bare = forge(alice, b"hello")
    for take in (bob.unprotect, lambda message: bob.process(message, now=NOW)):
        with refuses(errors.FramingError, "not encrypted"):
            take(bare)
    with refuses(errors.FramingError, "not encrypted"):
        router_of(alice).process(bare, now=NOW)


def test_messages_at_the_wrong_door(pair):
    alice, bob = pair
    with refuses(errors.FramingError):
        bob.process(say(alice), now=NOW)
    with refuses(errors.FramingError):
        bob.unprotect(stage(alice).commit)
    with refuses(errors.DecodeError):
        bob.process(alice.group_info(random=os.urandom), now=NOW)


# Handshakes


def test_a_commit_with_a_wrong_membership_tag(pair):
    alice, bob = pair
    for tag in (b"", bytes(32)):
        with refuses(errors.MembershipTagError):
            bob.process(forge(alice, Commit((), None), membership=tag), now=NOW)


def test_a_commit_with_a_wrong_signature(pair):
    alice, bob = pair
    forged = forge(alice, Commit((), None), key=bob.identity.key)
    for take in (bob, router_of(alice)):
        with refuses(errors.SignatureError):
            take.process(forged, now=NOW)


def test_a_commit_with_a_wrong_confirmation_tag(pair):
    alice, bob = pair
    body = read_message(stage(alice).commit).authenticated.content.body
    with refuses(errors.ConfirmationTagError):
        bob.process(forge(alice, body, confirmation=bytes(32)), now=NOW)
    assert bob.epoch == 1


def test_a_commit_of_another_group_or_epoch(pair):
    alice, bob = pair
    for take in (bob, router_of(alice)):
        with refuses(errors.WrongGroupError):
            take.process(forge(alice, Commit((), None), group_id=b"cellar"), now=NOW)
        for epoch in (0, 2):
            with refuses(errors.WrongEpochError):
                take.process(forge(alice, Commit((), None), epoch=epoch), now=NOW)


def test_a_hidden_proposal_of_an_epoch_that_is_over(pair):
    alice, bob = pair
    late = alice.propose_update(random=os.urandom, private=True)
    commit(bob, alice)
    with refuses(errors.WrongEpochError, "over"):
        bob.process(late, now=NOW)


def test_the_second_of_two_commits_in_one_epoch(trio):
    alice, bob, carol = trio
    first, second = stage(alice), stage(bob)
    carol.process(first.commit, now=NOW)
    with refuses(errors.WrongEpochError):
        carol.process(second.commit, now=NOW)


def test_a_commit_from_a_blank_leaf_or_from_outside_the_tree(trio):
    alice, _, carol = trio
    router = router_of(alice)
    router.process(commit(alice, carol, remove=[1]).commit, now=NOW)
    for index in (1, 99):
        forged = forge(alice, Commit((), None), sender=Sender(SenderType.MEMBER, index))
        for take in (carol, router):
            with refuses(errors.SenderError):
                take.process(forged, now=NOW)


def test_a_commit_that_removes_its_author(pair):
    alice, bob = pair
    for proposal in (Remove(0), Update(alice.view.tree.leaf(0)), SelfRemove()):
        for take in (bob, router_of(alice)):
            with refuses(errors.CommitterRemovedError):
                take.process(forge(alice, Commit((proposal,), None)), now=NOW)
    with refuses(errors.CommitterRemovedError):
        stage(alice, remove=[0])


def test_a_commit_without_the_path_it_needs(pair):
    alice, bob = pair
    for proposals in ((), (GroupContextExtensions(()),)):
        with refuses(errors.PathRequiredError):
            bob.process(forge(alice, Commit(proposals, None)), now=NOW)
    with refuses(errors.InputError):
        stage(alice, path=False)


def test_a_commit_that_refers_to_an_unknown_proposal(pair):
    with refuses(errors.UnknownProposalError):
        pair[1].process(forge(pair[0], Commit((bytes(32),), None)), now=NOW)


def test_lists_of_proposals_that_contradict_themselves(trio):
    alice, bob, _ = trio
    package = Add(read_message(new_bundle(new_identity("d")).message))
    forbidden = {
        (Remove(2), Remove(2)): errors.ProposalError,
        (Remove(9),): errors.ProposalError,
        (package, package): errors.ProposalError,
        (ReInit(b"x", 0, 1, ()),): errors.ProposalError,
        (ReInit(b"x", 1, 1, ()), AppDataUpdate(0x8001, b"")): errors.ProposalError,
        (GroupContextExtensions(()), GroupContextExtensions(())): errors.ProposalError,
        (AppDataUpdate(0x8001, b""), AppDataUpdate(0x8001, None)): errors.ProposalError,
        (ExternalInit(bytes(32)),): errors.SenderError,
        (PreSharedKey(PskId(b"x", None, b"", 0, b"short")),): errors.PskError,
        (PreSharedKey(PskId(b"", PskUsage.BRANCH, b"", 0, bytes(32))),): errors.PskError,
        (PreSharedKey(PskId(b"x", None, b"", 0, bytes(32))),) * 2: errors.PskError,
    }
    for proposals, error in forbidden.items():
        for take in (bob, router_of(alice)):
            with refuses(error):
                take.process(forge(alice, Commit(proposals, None)), now=NOW)


def test_an_external_commit_that_does_more_than_join(trio):
    alice, bob, _ = trio
    joiner = new_identity("d")
    info = alice.group_info(random=os.urandom)
    joined = Group.join_external(joiner, info, now=NOW, random=os.urandom)
    real = read_message(joined.commit).authenticated.content.body

    def forged(*proposals):
        body = Commit(proposals, real.path)
        return forge(alice, body, sender=NEW_MEMBER_COMMIT, key=joiner.key)

    init = ExternalInit(bytes(32))
    hidden = alice.propose(AppDataUpdate(0x8001, b""), random=os.urandom)
    ref = bob.process(hidden, now=NOW).ref
    leaving = alice.propose(SelfRemove(), random=os.urandom)
    gone = bob.process(leaving, now=NOW).ref
    for proposals in ((), (init, init), (init, Remove(1), Remove(2)), (init, ref), (init, gone, Remove(0))):
        with refuses(errors.ProposalError):
            bob.process(forged(*proposals), now=NOW)
    with refuses(errors.SenderError):
        bob.process(forged(init, GroupContextExtensions(())), now=NOW)


def test_an_external_commit_that_throws_somebody_else_out(pair):
    alice, _ = pair
    carol = new_identity("c")
    info = alice.group_info(random=os.urandom)
    joined = Group.join_external(carol, info, replace=1, now=NOW, random=os.urandom)
    for take in (alice, router_of(alice)):
        with refuses(errors.SenderError, "former self"):
            take.process(joined.commit, now=NOW)


def test_a_leaf_that_changes_who_it_is_or_what_it_claims(pair):
    alice, bob = pair
    mallory = Identity.from_bytes(alice.identity.to_bytes())
    key = alice.view.suite.kem.derive(b"new")[1]
    for name, value, word in (
        ("credential", Credential(1, b"mimi://bridge.example/d/b"), "credential"),
        ("extensions", (), "leg"),
    ):
        honest = getattr(mallory, name)
        setattr(mallory, name, value)
        leaf = mallory.leaf(key, LeafSource.UPDATE, binding=(b"room", 0))
        setattr(mallory, name, honest)
        with refuses(errors.LeafError, word):
            bob.process(forge(alice, Update(leaf)), now=NOW)


def test_a_new_members_commit_without_a_path_has_no_signer(pair):
    alice, bob = pair
    body = Commit((ExternalInit(bytes(32)),), None)
    with refuses(errors.SenderError):
        bob.process(forge(alice, body, sender=NEW_MEMBER_COMMIT), now=NOW)


def test_an_external_join_for_another_epochs_key(pair):
    alice, bob = pair
    joined = Group.join_external(new_identity("c"), alice.group_info(random=os.urandom), now=NOW, random=os.urandom)
    real = read_message(joined.commit).authenticated.content
    body = Commit((ExternalInit(bytes(31)),), real.body.path)
    with refuses(errors.DecodeError):
        bob.process(forge(alice, body, sender=NEW_MEMBER_COMMIT, key=joined.group.identity.key), now=NOW)
    other = alice.view.suite.kem.derive(b"another encapsulation")[1]
    body = Commit((ExternalInit(other),), real.body.path)
    forged = forge(alice, body, sender=NEW_MEMBER_COMMIT, key=joined.group.identity.key)
    with refuses(errors.ConfirmationTagError):
        bob.process(forged, now=NOW)


def test_our_own_commit_comes_back(pair):
    alice, _ = pair
    with refuses(errors.OwnMessageError):
        alice.process(stage(alice).commit, now=NOW)
    with refuses(errors.OwnMessageError):
        alice.process(stage(alice, private=True).commit, now=NOW)


def test_a_staged_commit_for_another_epoch_or_group(pair):
    alice, bob = pair
    ours = stage(alice)
    commit(bob, alice)
    with refuses(errors.StaleCommitError):
        alice.merge(ours)
    other, _ = new_members("a", "b", group_id=b"cellar")
    commit(other)
    with refuses(errors.WrongGroupError):
        alice.merge(stage(other))


def test_a_policy_has_the_last_word(pair):
    alice, bob = pair

    def nobody(view, items, committer, leaf):
        assert leaf.content.credential == alice.identity.credential
        raise errors.PolicyError(f"{committer.index} may not do {len(items)} things in epoch {view.context.epoch}")

    staged = stage(alice)
    for take in (bob, router_of(alice)):
        with refuses(errors.PolicyError):
            take.process(staged.commit, policy=nobody, now=NOW)
    assert bob.process(staged.commit, policy=lambda *_: None, now=NOW).epoch == 2


def test_proposals_that_make_no_sense(pair):
    alice, bob = pair
    with refuses(errors.ProposalError):
        bob.process(forge(alice, Remove(5)), now=NOW)
    with refuses(errors.LeafError):
        bob.process(forge(alice, Update(alice.view.tree.leaf(0))), now=NOW)
    binding = (b"room", 0)
    same = alice.identity.leaf(alice.view.tree.leaf(0).encryption_key, LeafSource.UPDATE, binding=binding)
    with refuses(errors.LeafError, "keeps"):
        bob.process(forge(alice, Update(same)), now=NOW)
    elsewhere = alice.identity.leaf(bytes(32), LeafSource.UPDATE, binding=(b"cellar", 0))
    with refuses(errors.SignatureError):
        bob.process(forge(alice, Update(elsewhere)), now=NOW)


def test_an_update_of_ours_whose_key_we_lost(pair):
    alice, bob = pair
    wish = bob.propose_update(random=os.urandom)
    alice.process(wish, now=NOW)
    bob._state.updates.clear()
    with refuses(errors.PathError):
        bob.process(stage(alice).commit, now=NOW)


# Paths


def test_a_path_that_does_not_fit_the_tree(trio):
    alice, bob, carol = trio
    staged = stage(carol)

    def cut(body):
        return replace(body, path=replace(body.path, nodes=body.path.nodes[:-1]))

    def widened(body):
        node = body.path.nodes[-1]
        wide = replace(node, ciphertexts=node.ciphertexts * 2)
        return replace(body, path=replace(body.path, nodes=(*body.path.nodes[:-1], wide)))

    for change in (cut, widened):
        for take in (bob, router_of(alice)):
            with refuses(errors.PathError):
                take.process(rewrite(carol, staged, change), now=NOW)


def test_a_path_whose_secret_leads_elsewhere(trio):
    _, bob, carol = trio
    other = read_message(stage(carol).commit).authenticated.content.body.path.nodes

    def swapped(body):
        nodes = tuple(
            replace(node, ciphertexts=strange.ciphertexts) for node, strange in zip(body.path.nodes, other, strict=True)
        )
        return replace(body, path=replace(body.path, nodes=nodes))

    with refuses(errors.DecryptionError):  # another commit, another context
        bob.process(rewrite(carol, stage(carol), swapped), now=NOW)


def test_a_path_whose_keys_are_not_those_of_its_secrets(pair):
    alice, bob = pair
    suite = alice.view.suite

    def strange(body):
        key = suite.kem.derive(b"strange")[1]
        node = replace(body.path.nodes[0], encryption_key=key)
        tree = alice.view.tree.clone()
        parent_hash = tree.set_path(0, [key])
        leaf = alice.identity.leaf(
            body.path.leaf.encryption_key, LeafSource.COMMIT, binding=(b"room", 0), parent_hash=parent_hash
        )
        tree.set(0, leaf)
        context = replace(alice.view.context, epoch=2, tree_hash=tree.hash()).encode()
        target = tree.leaf(1).public(suite)
        sealed_secret = suite.encrypt_with_label(target, b"UpdatePathNode", context, bytes(32))
        return replace(body, path=UpdatePath(leaf, (replace(node, ciphertexts=(sealed_secret,)),)))

    with refuses(errors.PathError, "does not lead"):
        bob.process(rewrite(alice, stage(alice), strange), now=NOW)


def test_a_path_with_a_wrong_parent_hash(pair):
    alice, bob = pair

    def untied(body):
        key = body.path.leaf.encryption_key
        leaf = alice.identity.leaf(key, LeafSource.COMMIT, binding=(b"room", 0), parent_hash=bytes(32))
        return replace(body, path=replace(body.path, leaf=leaf))

    for take in (bob, router_of(alice)):
        with refuses(errors.ParentHashError):
            take.process(rewrite(alice, stage(alice), untied), now=NOW)


def test_a_path_with_a_leaf_made_for_something_else(pair):
    alice, bob = pair

    def wrong(body):
        leaf = alice.identity.leaf(body.path.leaf.encryption_key, LeafSource.UPDATE, binding=(b"room", 0))
        return replace(body, path=replace(body.path, leaf=leaf))

    with refuses(errors.LeafError):
        bob.process(rewrite(alice, stage(alice), wrong), now=NOW)


def test_a_path_that_brings_back_an_old_key(pair):
    alice, bob = pair
    known = bob.view.tree.leaf(1).encryption_key

    def stale(body):
        nodes = tuple(replace(node, encryption_key=known) for node in body.path.nodes)
        return replace(body, path=replace(body.path, nodes=nodes))

    for take in (bob, router_of(alice)):
        with refuses(errors.DuplicateKeyError):
            take.process(rewrite(alice, stage(alice), stale), now=NOW)


def test_a_path_with_a_key_that_is_none(pair):
    alice, bob = pair

    def broken(body):
        nodes = tuple(replace(node, encryption_key=b"short") for node in body.path.nodes)
        return replace(body, path=replace(body.path, nodes=nodes))

    with refuses(errors.DecodeError):
        bob.process(rewrite(alice, stage(alice), broken), now=NOW)


# Members and their leaves


def test_a_member_that_is_there_already(pair):
    alice, bob = pair
    again = new_bundle(bob.identity)
    with refuses(errors.DuplicateKeyError, "signature key"):
        stage(alice, add=[again.message])
    for take in (bob, router_of(alice)):
        with refuses(errors.DuplicateKeyError):
            take.process(forge(alice, Commit((Add(again.package),), None)), now=NOW)


def test_a_key_package_outside_its_lifetime(pair):
    alice, bob = pair
    for at in (NOW - 91 * 86400, NOW + 7200):
        bundle = new_bundle(new_identity("c"), now=at)
        with refuses(errors.LifetimeError):
            stage(alice, add=[bundle.message])
        for take in (bob, router_of(alice)):
            with refuses(errors.LifetimeError):
                take.process(forge(alice, Commit((Add(bundle.package),), None)), now=NOW)
            with refuses(errors.LifetimeError):
                take.process(forge(alice, Add(bundle.package)), now=NOW)


def test_a_welcome_for_a_key_package_that_has_expired(pair):
    alice, _ = pair
    carol = new_identity("c")
    bundle = new_bundle(carol)
    staged = stage(alice, add=[bundle.message])
    with refuses(errors.LifetimeError):
        Group.join(carol, staged.welcome, [bundle], now=NOW + 91 * 86400)
    with refuses(errors.LifetimeError):
        PublicGroup.create(staged.group_info, now=NOW + 91 * 86400)
    assert PublicGroup.create(staged.group_info, now=None).epoch == 2


def test_a_member_to_whom_nobody_could_seal_anything(pair):
    alice, bob = pair
    carol = new_identity("c")
    suite = carol.suite
    leaf = carol.leaf(bytes(32), LeafSource.KEY_PACKAGE, lifetime=Lifetime(0, 1 << 40))
    package = KeyPackage.signed(suite, carol.key, suite.kem.derive(b"init")[1], leaf, ())
    for take in (bob, router_of(alice)):
        with refuses(errors.DecodeError, "small order"):
            take.process(forge(alice, Commit((Add(package),), None)), now=NOW)
    package = KeyPackage.signed(suite, carol.key, bytes(32), new_bundle(carol).package.leaf, ())
    with refuses(errors.DecodeError, "small order"):
        stage(alice, add=[encode_message(package)])


def test_a_lifetime_beyond_reason():
    for seconds in (0, 500 * 86400):
        with refuses(errors.InputError):
            new_bundle(new_identity("c"), lifetime=seconds)


def bent_package(identity, **bent):
    suite = identity.suite
    init, key = suite.kem.derive(b"init")[1], suite.kem.derive(b"leaf")[1]
    source = bent.get("source", LeafSource.KEY_PACKAGE)
    lifetime = Lifetime(0, 1 << 40) if source == LeafSource.KEY_PACKAGE else None
    leaf = identity.leaf(key, source, lifetime=lifetime, binding=(b"", 0))
    init = key if bent.get("one_key") else init
    package = KeyPackage.signed(suite, bent.get("signer", identity.key), init, leaf, bent.get("extensions", ()))
    return encode_message(package)


def test_key_packages_that_are_no_good(pair):
    alice, _ = pair
    carol, stranger = new_identity("c"), new_identity("s")
    doubled = (Extension(0x0A0A, b""), Extension(0x0A0A, b""))
    cases = [
        (bent_package(carol, source=LeafSource.UPDATE), errors.LeafError),
        (bent_package(carol, one_key=True), errors.KeyPackageError),
        (bent_package(carol, signer=stranger.key), errors.SignatureError),
        (bent_package(carol, extensions=doubled), errors.ExtensionError),
        (new_bundle(new_identity("c", suite=3)).message, errors.KeyPackageError),
        (stage(alice).commit, errors.DecodeError),
    ]
    for message, error in cases:
        with refuses(error):
            stage(alice, add=[message])


@pytest.mark.parametrize(
    "lacking",
    [
        {"suites": (2, 3)},
        {"versions": ()},
        {"credentials": (2,)},
        {"extensions": (0x0006,)},
    ],
)
def test_a_leaf_without_a_capability_that_it_uses(pair, lacking):
    carol = new_identity("c", **lacking)
    with refuses(errors.CapabilityError):
        stage(pair[0], add=[new_bundle(carol).message])


def test_a_leaf_without_a_capability_that_the_group_requires():
    required = RequiredCapabilities((0xF0F0, ExtensionType.LEG), (0x0008,), (1,))
    data = Extension(ExtensionType.REQUIRED_CAPABILITIES, required.encode())
    able = (0xF0F0, ExtensionType.APP_DATA_DICTIONARY, ExtensionType.LEG)
    alice = new_group(new_identity("a", extensions=able), extensions=(data,))
    with refuses(errors.CapabilityError, "required"):
        stage(alice, add=[new_bundle(new_identity("b")).message])
    assert invite(alice, new_identity("b", extensions=able)).epoch == 1


def test_a_group_whose_founder_cannot_do_what_it_requires():
    required = RequiredCapabilities((0xF0F0,), (), ())
    data = Extension(ExtensionType.REQUIRED_CAPABILITIES, required.encode())
    with refuses(errors.CapabilityError):
        new_group(new_identity("a"), extensions=(data,))


def test_a_proposal_that_some_member_does_not_speak():
    alice = new_group(new_identity("a"))
    invite(alice, new_identity("b", proposals=()))
    with refuses(errors.CapabilityError):
        stage(alice, context={0x8001: b""})


def test_a_credential_that_some_member_cannot_read(pair):
    alice, _ = pair
    carol = new_identity("c", credentials=(1,))
    invite(alice, carol)
    plain = new_identity("d")
    x509 = Identity(plain.suite, plain._private, Credential(2, vec(b"certificate")), plain.extensions)
    with refuses(errors.CapabilityError, "credential"):
        stage(alice, add=[new_bundle(x509).message])


def test_an_extension_of_the_group_that_a_member_does_not_speak(pair):
    alice, _ = pair
    with refuses(errors.CapabilityError):
        stage(alice, extensions=(Extension(0xF0F0, b""),))
    doubled = (Extension(0x0003, b"\0\0\0"), Extension(0x0003, b"\0\0\0"))
    with refuses(errors.ExtensionError):
        stage(alice, extensions=doubled)


def test_a_group_that_uses_an_extension_unknown_to_us():
    able = (0xF0F0, ExtensionType.APP_DATA_DICTIONARY, ExtensionType.LEG)
    alice = new_group(new_identity("a", extensions=able), extensions=(Extension(0xF0F0, b""),))
    lying = new_identity("c", extensions=able)
    carol = Identity(lying.suite, lying._private, lying.credential, lying.extensions)
    bundle = new_bundle(lying)
    staged = stage(alice, add=[bundle.message])
    with refuses(errors.ExtensionError, "do not speak"):
        Group.join(carol, staged.welcome, [bundle], now=NOW)
    with refuses(errors.ExtensionError, "do not speak"):
        Group.join_external(carol, alice.group_info(random=os.urandom), now=NOW, random=os.urandom)


def test_a_leg_that_does_not_parse(pair):
    plain = new_identity("c")
    for data in (b"", b"\x09\x00", b"\x00\x02\x01\xff", b"\x00\x01\x00", b"\x00\x00\x00"):
        odd = Identity(plain.suite, plain._private, plain.credential, (Extension(ExtensionType.LEG, data),))
        with refuses(errors.LegError):
            stage(pair[0], add=[new_bundle(odd).message])


def test_a_namespace_that_would_cover_everyone():
    from protocol.leg import LegClass
    from protocol.mls.leafext import Leg

    for namespaces in ([""], ["x" * 1025], ["x"] * 65):
        with refuses(errors.InputError):
            Leg.make(LegClass.DEVICES, namespaces)


# Welcomes and GroupInfos


def test_a_welcome_for_somebody_else(pair):
    staged = stage(pair[0], add=[new_bundle(new_identity("c")).message])
    with refuses(errors.WelcomeError, "none of these"):
        Group.join(pair[1].identity, staged.welcome, [new_bundle(pair[1].identity)], now=NOW)
    with refuses(errors.DecodeError):
        Group.join(pair[1].identity, staged.commit, [], now=NOW)


def test_a_welcome_for_another_identity_of_ours(pair):
    carol, other = new_identity("c"), new_identity("o")
    bundle = new_bundle(carol)
    staged = stage(pair[0], add=[bundle.message])
    with refuses(errors.InputError, "another identity"):
        Group.join(other, staged.welcome, [bundle], now=NOW)


def test_a_commit_of_someone_who_is_no_longer_a_member(pair):
    alice, bob = pair
    ours = stage(bob)
    bob.process(stage(alice, remove=[1]).commit, now=NOW)
    with refuses(errors.SuspendedError):
        bob.merge(ours)


def test_a_welcome_for_another_suite_than_its_key_packages(pair):
    carol = new_identity("c")
    bundle = new_bundle(carol)
    welcome = read_message(stage(pair[0], add=[bundle.message]).welcome)
    with refuses(errors.WelcomeError, "cipher suite"):
        Group.join(carol, encode_message(replace(welcome, suite_id=2)), [bundle], now=NOW)


def info_with(author, **bent):
    """A GroupInfo that this member signed, with something in it bent."""
    view, state = author.view, author._state
    context = bent.get("context", view.context)
    tree = bent.get("tree", view.tree)
    info = sign_group_info(author.identity, context, state.secrets, tree, author.own_leaf)
    info = replace(info, **{name: bent[name] for name in ("extensions", "signer") if name in bent})
    signature = view.suite.sign(author.identity.key, b"GroupInfoTBS", info.tbs())
    return encode_message(replace(info, signature=bent.get("signature", signature)))


def test_group_infos_that_are_no_good(trio):
    alice, bob, _ = trio
    commit(alice, bob, remove=[2])
    info = read_message(alice.group_info(random=os.urandom))
    tree, external = info.extensions
    cases = [
        ({"extensions": (external,)}, errors.TreeError),
        ({"extensions": (tree, tree, external)}, errors.ExtensionError),
        ({"signer": 2}, errors.SenderError),
        ({"signer": 77}, errors.SenderError),
        ({"signer": 1}, errors.SignatureError),
        ({"signature": b""}, errors.SignatureError),
        ({"context": replace(alice.view.context, tree_hash=bytes(32))}, errors.TreeHashError),
        ({"context": replace(alice.view.context, suite_id=4)}, errors.UnsupportedError),
    ]
    for bent, error in cases:
        with refuses(error):
            PublicGroup.create(info_with(alice, **bent), now=NOW)
    with refuses(errors.InputError):
        Group.join_external(new_identity("d"), info_with(alice, extensions=(tree,)), now=NOW, random=os.urandom)
    with refuses(errors.DecodeError):
        PublicGroup.create(stage(alice).commit, now=NOW)


def test_a_tree_may_travel_apart(pair):
    alice, _ = pair
    tree = alice.view.tree.encode()
    external = read_message(alice.group_info(random=os.urandom)).extensions[1]
    bare = info_with(alice, extensions=(external,))
    assert PublicGroup.create(bare, tree=tree, now=NOW).epoch == 1


def trees_of(author, change):
    """A GroupInfo over a changed tree, its hash made to fit."""
    tree = author.view.tree.clone()
    change(tree)
    context = replace(author.view.context, tree_hash=tree.hash())
    return info_with(author, tree=tree, context=context)


def test_trees_that_break_their_invariants():
    alice, bob, carol, dave = new_members("a", "b", "c", "d")
    commit(carol, alice, bob, dave)
    author = carol
    root = author.view.tree.parent(3)
    other = author.view.suite.kem.derive(b"other")[1]

    def changed(place, **fields):
        def change(tree):
            old = tree.parent(place)
            node = ParentNode(
                fields.get("key", old.encryption_key),
                fields.get("parent_hash", old.parent_hash),
                fields.get("unmerged", old.unmerged),
            )
            tree.set(place, node)

        return change

    cases = [
        (changed(3, key=other), errors.ParentHashError),
        (changed(3, unmerged=(0, 0)), errors.TreeError),
        (changed(3, unmerged=(7,)), errors.TreeError),
        (changed(5, unmerged=(0,)), errors.TreeError),
        (changed(3, unmerged=(3,)), errors.TreeError),
        (changed(5, key=root.encryption_key), errors.ParentHashError),
        (lambda tree: tree.set(1, ParentNode(other)), errors.ParentHashError),
    ]
    for change, error in cases:
        with refuses(error):
            PublicGroup.create(trees_of(author, change), now=NOW)


def test_a_tree_that_is_deep_only_on_paper(pair):
    alice, _ = pair
    nodes = b"".join(encode_node(node) for node in alice.view.tree.nodes)
    suite = alice.view.suite
    with refuses(errors.TreeSizeError, "ends with"):
        RatchetTree.decode(suite, vec(nodes + bytes(12)))
    with refuses(errors.TreeSizeError, "the most"):
        RatchetTree.decode(suite, vec(nodes + bytes(2 * MAX_LEAVES - 1) + encode_node(alice.view.tree.nodes[0])))
    with refuses(errors.TreeHashError):
        PublicGroup.create(trees_of(alice, lambda tree: tree.resize(8)), now=NOW)


def test_trees_that_are_no_trees(pair):
    suite, nodes = pair[0].view.suite, pair[0].view.tree.nodes
    leaf, parent = encode_node(nodes[0]), encode_node(ParentNode(bytes(32)))
    for data in (b"", leaf + parent, leaf + parent + b"\x00"):
        with refuses(errors.TreeError):
            RatchetTree.decode(suite, vec(data))
    with refuses(errors.TreeError, "kind"):
        RatchetTree.decode(suite, vec(leaf + leaf + leaf))
    with refuses(errors.TreeError):
        pair[0].view.tree.parent_hash(1, 0)
    with refuses(errors.DecodeError):
        RatchetTree.decode(suite, vec(b"\x01\x03"))


def test_a_full_tree_takes_no_more(pair, monkeypatch):
    monkeypatch.setattr("protocol.mls.tree.MAX_LEAVES", 2)
    with refuses(errors.TreeSizeError, "full"):
        stage(pair[0], add=[new_bundle(new_identity("c")).message])


def test_one_key_at_two_places_of_the_tree(trio):
    alice, bob, _ = trio
    key = bob.view.tree.leaf(2).encryption_key

    def twin(tree):
        leaf = bob.identity.leaf(key, LeafSource.UPDATE, binding=(b"room", 1))
        tree.set(2, leaf)

    commit(bob, alice)
    with refuses(errors.DuplicateKeyError):
        tree = bob.view.tree.clone()
        twin(tree)
        tree.check_keys()


def test_a_whole_tree_is_checked_leaf_by_leaf(pair):
    alice, bob = pair
    commit(bob, alice)

    def unsigned(tree):
        old = tree.leaf(1)
        tree.set(2, LeafNode(old.content, b"", old.body, old.body + b"\x00"))

    with refuses(errors.SignatureError, "leaf node"):
        PublicGroup.create(trees_of(alice, unsigned), now=NOW)


def test_a_welcome_whose_tree_does_not_have_us(pair):
    alice, _ = pair
    carol = new_identity("c")
    bundle = new_bundle(carol)
    from protocol.mls import joining

    with refuses(errors.WelcomeError, "not in the tree"):
        joining._own_leaf(alice.view.tree, bundle)
    with refuses(errors.WelcomeError, "blank"):
        joining._path_keys(alice.view.tree, 0, 1, bytes(32))


def test_a_psk_without_its_secret_keeps_a_joiner_out(pair):
    alice, _ = pair
    carol = new_identity("c")
    bundle = new_bundle(carol)
    ids = [external_psk(b"x", os.urandom, 32)]
    staged = stage(alice, add=[bundle.message], psk_ids=ids, psks={b"x": b"secret"})
    with refuses(errors.PskError):
        Group.join(carol, staged.welcome, [bundle], now=NOW)


def test_a_welcome_into_a_group_of_another_suite(pair, monkeypatch):
    alice, _ = pair
    carol = new_identity("c")
    bundle = new_bundle(carol)
    from protocol.mls import committing

    honest = committing.sign_group_info

    def lying(identity, context, *rest):
        return honest(identity, replace(context, suite_id=3), *rest)

    monkeypatch.setattr(committing, "sign_group_info", lying)
    staged = stage(alice, add=[bundle.message])
    with refuses(errors.WelcomeError, "than its group's"):
        Group.join(carol, staged.welcome, [bundle], now=NOW)


def test_the_tag_of_a_welcome_is_checked(pair, monkeypatch):
    alice, _ = pair
    carol = new_identity("c")
    bundle = new_bundle(carol)
    from protocol.mls import committing

    honest = committing.sign_group_info

    def lying(identity, context, secrets, tree, own, extra=()):
        wrong = replace(secrets, confirmation=bytes(32))
        return honest(identity, context, wrong, tree, own, extra)

    monkeypatch.setattr(committing, "sign_group_info", lying)
    staged = stage(alice, add=[bundle.message])
    with refuses(errors.ConfirmationTagError):
        Group.join(carol, staged.welcome, [bundle], now=NOW)


def test_a_commit_by_someone_who_may_not_commit(pair):
    alice, bob = pair
    sender = Sender(SenderType.EXTERNAL, 0)
    with refuses(errors.SenderError):
        bob.process(forge(alice, Commit((), None), sender=sender), now=NOW)
    view = bob.view
    authenticated = read_message(forge(alice, Commit((), None), sender=sender)).authenticated
    with refuses(errors.SenderError, "commit"):
        view.follow(authenticated, NOW)
    with refuses(errors.ConfirmationTagError):
        view.follow(replace(authenticated, confirmation_tag=None), NOW)
    proposal = read_message(forge(alice, Remove(1))).authenticated
    with refuses(errors.FramingError):
        view.follow(proposal, NOW)
    with refuses(errors.FramingError):
        view.remember(authenticated, NOW)


def test_a_router_lets_nothing_into_a_group_that_ended(pair):
    alice, bob = pair
    router = router_of(alice)
    staged = commit(alice, bob, reinit=ReInit(b"next", 1, 1, ()))
    assert router.process(staged.commit, now=NOW).reinit is not None
    assert router.ended and PublicGroup.from_bytes(router.to_bytes()).ended
    with refuses(errors.SuspendedError):
        router.process(staged.commit, now=NOW)


def test_the_path_must_be_sealed_to_us(trio):
    alice, bob, _ = trio
    bob._state.private.clear()
    with refuses(errors.PathError, "none of our keys"):
        bob.process(stage(alice).commit, now=NOW)
