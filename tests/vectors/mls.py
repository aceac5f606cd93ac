"""Run the MLS working group's test vectors against ``protocol.mls``.

    python -m tests.vectors.mls DIR

runs every ``*.json`` in DIR whose name is known, the passive interop transcripts included, and prints one line a
file: its name, and how many cases passed, failed and were skipped. What failed and why something was skipped goes to
standard error. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from protocol.mls import Group, Identity, KeyPackageBundle, schedule
from protocol.mls import treemath as tm
from protocol.mls.codec import Reader, decode, varint, vec
from protocol.mls.errors import CapabilityError, MlsError, UnsupportedError
from protocol.mls.framing import Epoch, check_public, sign, to_public
from protocol.mls.leaf import Credential, LeafNode, LeafSource, Lifetime
from protocol.mls.messages import (
    Authenticated,
    FramedContent,
    GroupContext,
    GroupInfo,
    GroupSecrets,
    PrivateMessage,
    PublicMessage,
    Sender,
    SenderType,
    Welcome,
    WireFormat,
    encode_body,
    encode_message,
    key_package_of,
    read_message,
)
from protocol.mls.proposals import (
    Add,
    Commit,
    PskId,
    Remove,
    Update,
    UpdatePath,
    encode_proposal,
    read_proposal,
)
from protocol.mls.psk import gather, psk_secret
from protocol.mls.secret_tree import APPLICATION, HANDSHAKE, SecretTree
from protocol.mls.suites import suite_of
from protocol.mls.tree import RatchetTree
from protocol.mls.treecheck import check_tree
from protocol.mls.treekem import apply_path, check_keys, climb, open_path, seal_path

Case = dict[str, Any]


class SkipCaseError(Exception):
    """This case cannot be judged by a strict implementation, for the reason given."""


class Score(NamedTuple):
    """How the cases of one file came out."""

    name: str
    passed: int
    failed: int
    skipped: int
    remarks: Counter[str]


def same(found: object, expected: object, what: str) -> None:
    """Fail the case unless two values are equal."""
    if found != expected:
        raise AssertionError(f"{what} differs")


def expect(case: Case, name: str, found: bytes) -> None:
    """Fail the case unless a computed value is the one it states."""
    same(found.hex(), case[name], name)


def raw(case: Case, name: str) -> bytes:
    """Return a hexadecimal field's bytes."""
    return bytes.fromhex(case[name])


def nothing_to_store(_name: str, _value: bytes | None) -> None:
    """Receive a record of a secret tree that is not kept."""


def tree_math(case: Case) -> None:
    size = case["n_leaves"]
    same(case["n_nodes"], tm.width(size), "n_nodes")
    same(case["root"], tm.root(size), "root")
    for node in range(tm.width(size)):
        inner, top = tm.level(node) > 0, node == tm.root(size)
        same(case["left"][node], tm.left(node) if inner else None, f"left of {node}")
        same(case["right"][node], tm.right(node) if inner else None, f"right of {node}")
        same(case["parent"][node], None if top else tm.parent(node), f"parent of {node}")
        same(case["sibling"][node], None if top else tm.sibling(node), f"sibling of {node}")


def deserialization(case: Case) -> None:
    header = raw(case, "vlbytes_header")
    same(decode(header, Reader.varint), case["length"], "length")
    same(varint(case["length"]), header, "header")


def crypto_basics(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    part = case["ref_hash"]
    expect(part, "out", suite.ref_hash(part["label"].encode(), raw(part, "value")))
    part = case["expand_with_label"]
    label, context = part["label"].encode(), raw(part, "context")
    expect(part, "out", suite.expand_with_label(raw(part, "secret"), label, context, part["length"]))
    part = case["derive_secret"]
    expect(part, "out", suite.derive_secret(raw(part, "secret"), part["label"].encode()))
    part = case["derive_tree_secret"]
    label, generation = part["label"].encode(), part["generation"]
    expect(part, "out", suite.derive_tree_secret(raw(part, "secret"), label, generation, part["length"]))
    part = case["sign_with_label"]
    label, content = part["label"].encode(), raw(part, "content")
    public = suite.scheme.load_public(raw(part, "pub"))
    suite.verify(public, label, content, raw(part, "signature"), "the vector")
    ours = suite.sign(suite.scheme.load_private(raw(part, "priv")), label, content)
    suite.verify(public, label, content, ours, "our own signature")
    part = case["encrypt_with_label"]
    label, context = part["label"].encode(), raw(part, "context")
    private, public_key = suite.kem.load_private(raw(part, "priv")), suite.kem.load_public(raw(part, "pub"))
    sealed = (raw(part, "kem_output"), raw(part, "ciphertext"))
    expect(part, "plaintext", suite.decrypt_with_label(private, label, context, *sealed))
    sealed = suite.encrypt_with_label(public_key, label, context, raw(part, "plaintext"))
    expect(part, "plaintext", suite.decrypt_with_label(private, label, context, *sealed))


def key_schedule(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    init = raw(case, "initial_init_secret")
    for number, epoch in enumerate(case["epochs"]):
        hashes = raw(epoch, "tree_hash"), raw(epoch, "confirmed_transcript_hash")
        context = GroupContext(suite.id, raw(case, "group_id"), number, *hashes, ()).encode()
        expect(epoch, "group_context", context)
        joiner = schedule.joiner_secret(suite, init, raw(epoch, "commit_secret"), context)
        expect(epoch, "joiner_secret", joiner)
        run = schedule.run(suite, joiner, raw(epoch, "psk_secret"), context)
        expect(epoch, "welcome_secret", run.welcome)
        expect(epoch, "encryption_secret", run.encryption)
        secrets = run.secrets
        expect(epoch, "init_secret", secrets.init)
        expect(epoch, "sender_data_secret", secrets.sender_data)
        expect(epoch, "exporter_secret", secrets.exporter)
        expect(epoch, "epoch_authenticator", secrets.authenticator)
        expect(epoch, "external_secret", secrets.external)
        expect(epoch, "confirmation_key", secrets.confirmation)
        expect(epoch, "membership_key", secrets.membership)
        expect(epoch, "resumption_psk", secrets.resumption)
        expect(epoch, "external_pub", suite.kem.derive(secrets.external)[1])
        part = epoch["exporter"]
        label, size = part["label"].encode(), part["length"]
        expect(part, "secret", schedule.export(suite, secrets.exporter, label, raw(part, "context"), size))
        init = secrets.init


def psk_secrets(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    ids = [PskId(raw(psk, "psk_id"), None, b"", 0, raw(psk, "psk_nonce")) for psk in case["psks"]]
    known = {raw(psk, "psk_id"): raw(psk, "psk") for psk in case["psks"]}
    expect(case, "psk_secret", psk_secret(suite, ids, gather(known)))


def secret_tree(case: Case) -> None:
    suite, leaves = suite_of(case["cipher_suite"]), case["leaves"]
    part = case["sender_data"]
    sample = raw(part, "ciphertext")[: suite.hash_size]
    secret = raw(part, "sender_data_secret")
    expect(part, "key", suite.expand_with_label(secret, b"key", sample, suite.key_size))
    expect(part, "nonce", suite.expand_with_label(secret, b"nonce", sample, suite.nonce_size))
    root, size = raw(case, "encryption_secret"), len(leaves)

    def member(own: int) -> SecretTree:
        return SecretTree.start(suite, 0, size, root, nothing_to_store, own, sending=True)

    for leaf, generations in enumerate(leaves):
        sender, reader = member(leaf), member((leaf + 1) % size)
        for step in generations:
            for kind, name in ((HANDSHAKE, "handshake"), (APPLICATION, "application")):
                sent = sender.next_key(kind)
                while sent[0] < step["generation"]:
                    sent = sender.next_key(kind)
                expect(step, f"{name}_key", sent[1])
                expect(step, f"{name}_nonce", sent[2])
                if size > 1:
                    found = reader.find_key(leaf, kind, step["generation"])
                    same((found.key, found.nonce), sent[1:], f"{name} at the other end")
                    reader.spend(found)


def transcript_hashes(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    message = decode(raw(case, "authenticated_content"), Authenticated.read)
    head = message.wire_format.to_bytes(2, "big") + message.content.encoded + vec(message.signature)
    confirmed = schedule.confirmed_hash(suite, raw(case, "interim_transcript_hash_before"), head)
    expect(case, "confirmed_transcript_hash_after", confirmed)
    tag = message.confirmation_tag
    same(suite.mac(raw(case, "confirmation_key"), confirmed), tag, "confirmation tag")
    expect(case, "interim_transcript_hash_after", schedule.interim_hash(suite, confirmed, tag or b""))


class _Protection:
    """The group of two in whose epoch the message-protection vectors speak; leaf 1 is the sender."""

    def __init__(self, case: Case) -> None:
        self.suite = suite_of(case["cipher_suite"])
        hashes = raw(case, "tree_hash"), raw(case, "confirmed_transcript_hash")
        self.context = GroupContext(self.suite.id, raw(case, "group_id"), case["epoch"], *hashes, ())
        self.key = self.suite.scheme.load_private(raw(case, "signature_priv"))
        identity = Identity(self.suite, raw(case, "signature_priv"), Credential(1, b"leaf 1"), ())
        same(identity.public, raw(case, "signature_pub"), "signature_pub")
        self.leaf = _leaf(identity)
        self.case = case

    def epoch(self, own: int) -> Epoch:
        secret, number = raw(self.case, "encryption_secret"), self.context.epoch
        tree = SecretTree.start(self.suite, number, 2, secret, nothing_to_store, own, sending=True)
        leaves = [self.leaf, self.leaf]
        return Epoch(self.context, raw(self.case, "sender_data_secret"), tree, leaves, own)

    def open_private(self, data: bytes) -> Authenticated:
        message = read_message(data)
        assert isinstance(message, PrivateMessage)
        return self.epoch(0).open(message).message

    def open_public(self, data: bytes) -> Authenticated:
        message = read_message(data)
        assert isinstance(message, PublicMessage)
        context = self.context.encode()
        check_public(self.suite, raw(self.case, "membership_key"), message, context)
        authenticated = message.authenticated
        verifier = self.leaf.verifier(self.suite)
        tbs = authenticated.tbs(context)
        self.suite.verify(verifier, b"FramedContentTBS", tbs, authenticated.signature, "a message")
        return authenticated

    def frame(self, body: Any, wire_format: WireFormat) -> bytes:
        sender, context = Sender(SenderType.MEMBER, 1), self.context.encode()
        content = FramedContent.make(self.context.group_id, self.context.epoch, sender, body)
        signed = sign(self.suite, self.key, wire_format, content, context)
        if isinstance(body, Commit):
            tag = bytes(self.suite.hash_size)
            signed = Authenticated(signed.wire_format, signed.content, signed.signature, tag)
        if wire_format == WireFormat.PRIVATE:
            return self.epoch(1).seal_handshake(signed, _random)
        return encode_message(to_public(self.suite, raw(self.case, "membership_key"), signed, context))


def _random(size: int) -> bytes:
    return bytes(range(size))


def _leaf(identity: Identity) -> LeafNode:
    key = identity.suite.kem.derive(b"seed")[1]
    return identity.leaf(key, LeafSource.KEY_PACKAGE, lifetime=Lifetime(0, 1))


def message_protection(case: Case) -> None:
    room = _Protection(case)
    for name in ("proposal", "commit"):
        body = room.open_private(raw(case, f"{name}_priv")).content.body
        expect(case, name, encode_body(body))
        expect(case, name, encode_body(room.open_public(raw(case, f"{name}_pub")).content.body))
        for wire_format, back in ((WireFormat.PRIVATE, room.open_private), (WireFormat.PUBLIC, room.open_public)):
            expect(case, name, encode_body(back(room.frame(body, wire_format)).content.body))
    opened = room.open_private(raw(case, "application_priv"))
    same(opened.content.body, raw(case, "application"), "application")
    sealed = room.epoch(1).seal(room.key, raw(case, "application"), _random, b"", padding=0)
    same(room.open_private(sealed).content.body, raw(case, "application"), "our own application")


_BARE: dict[str, Callable[[bytes], bytes]] = {
    "group_secrets": lambda data: decode(data, GroupSecrets.read).encode(),
    "commit": lambda data: decode(data, Commit.read).encode(),
}
_PROPOSALS = {
    "add_proposal": 1,
    "update_proposal": 2,
    "remove_proposal": 3,
    "pre_shared_key_proposal": 4,
    "re_init_proposal": 5,
    "external_init_proposal": 6,
    "group_context_extensions_proposal": 7,
}


def messages(case: Case) -> None:
    for name in case:
        data = raw(case, name)
        if name == "ratchet_tree":
            again = RatchetTree.decode(suite_of(1), data).encode()
        elif name in _PROPOSALS:
            head = _PROPOSALS[name].to_bytes(2, "big")
            again = encode_proposal(decode(head + data, read_proposal))[2:]
        elif name in _BARE:
            again = _BARE[name](data)
        else:
            again = encode_message(read_message(data))
        same(again.hex(), data.hex(), name)


def welcome(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    message = read_message(raw(case, "welcome"))
    assert isinstance(message, Welcome)
    ref = key_package_of(raw(case, "key_package")).ref(suite)
    sealed = next(secret for secret in message.secrets if secret.recipient == ref)
    key = suite.kem.load_private(raw(case, "init_priv"))
    info_bytes = message.encrypted_group_info
    opened = suite.decrypt_with_label(key, b"Welcome", info_bytes, sealed.kem_output, sealed.ciphertext)
    secrets = decode(opened, GroupSecrets.read)
    same(secrets.psks, (), "psks")
    intermediate = suite.extract(secrets.joiner_secret, suite.zero)
    aead = schedule.welcome_key(suite, suite.derive_secret(intermediate, b"welcome"))
    info = decode(suite.open(*aead, info_bytes, b""), GroupInfo.read)
    signer = suite.scheme.load_public(raw(case, "signer_pub"))
    suite.verify(signer, b"GroupInfoTBS", info.tbs(), info.signature, "the GroupInfo")
    run = schedule.run(suite, secrets.joiner_secret, suite.zero, info.context.encode())
    tag = suite.mac(run.secrets.confirmation, info.context.confirmed_transcript_hash)
    same(tag, info.confirmation_tag, "confirmation tag")


def tree_operations(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    tree = RatchetTree.decode(suite, raw(case, "tree_before"))
    expect(case, "tree_hash_before", tree.hash())
    proposal = decode(raw(case, "proposal"), read_proposal)
    if isinstance(proposal, Add):
        tree.add(proposal.key_package.leaf)
    elif isinstance(proposal, Update):
        tree.update(case["proposal_sender"], proposal.leaf)
    else:
        assert isinstance(proposal, Remove)
        tree.remove(proposal.leaf)
    expect(case, "tree_after", tree.encode())
    expect(case, "tree_hash_after", tree.hash())


def tree_validation(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    tree = RatchetTree.decode(suite, raw(case, "tree"))
    for place, expected in enumerate(case["tree_hashes"]):
        same(tree.hash(place).hex(), expected, f"hash of node {place}")
        same(tree.resolution(place), case["resolutions"][place], f"resolution of node {place}")
    check_tree(tree)
    for index, leaf in tree.leaves():
        leaf.verify(suite, (raw(case, "group_id"), index))


def treekem(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    tree = RatchetTree.decode(suite, raw(case, "ratchet_tree"))
    private = {leaf["index"]: _known_keys(tree, leaf) for leaf in case["leaves_private"]}
    signers = {leaf["index"]: raw(leaf, "signature_priv") for leaf in case["leaves_private"]}
    for update in case["update_paths"]:
        _follow_vector(case, tree, private, update)
        if update["sender"] in private:
            _make_own(case, tree, private, update["sender"], signers[update["sender"]])


def _known_keys(tree: RatchetTree, leaf: Case) -> dict[int, bytes]:
    keys = {2 * leaf["index"]: raw(leaf, "encryption_priv")}
    for entry in leaf["path_secrets"]:
        opened = climb(tree.suite, raw(entry, "path_secret"), [entry["node"]])
        check_keys(tree, opened)
        keys |= opened.private
    return keys


def _context(case: Case, tree: RatchetTree) -> bytes:
    transcript, epoch = raw(case, "confirmed_transcript_hash"), case["epoch"]
    return GroupContext(case["cipher_suite"], raw(case, "group_id"), epoch, tree.hash(), transcript, ()).encode()


def _follow_vector(case: Case, before: RatchetTree, private: dict[int, dict[int, bytes]], update: Case) -> None:
    sender, path = update["sender"], decode(raw(update, "update_path"), UpdatePath.read)
    path.leaf.verify(before.suite, (raw(case, "group_id"), sender))
    tree = before.clone()
    apply_path(tree, sender, path, frozenset())
    expect(update, "tree_hash_after", tree.hash())
    for index, keys in private.items():
        if index == sender:
            continue
        opened = open_path(tree, sender, index, keys, path, _context(case, tree), frozenset())
        expect(update, "commit_secret", opened.commit_secret)
        lowest = next(iter(opened.secrets.values()))
        same(lowest.hex(), update["path_secrets"][index], f"path secret for leaf {index}")


def _make_own(
    case: Case, before: RatchetTree, private: dict[int, dict[int, bytes]], sender: int, signer: bytes
) -> None:
    suite, tree = before.suite, before.clone()
    old = before.leaf(sender)
    assert old is not None
    content = old.content
    identity = Identity(suite, signer, content.credential, content.extensions, content.capabilities)
    secrets = climb(suite, _random(suite.hash_size), [place for place, _ in tree.filtered_path(sender)])
    parent_hash = tree.set_path(sender, list(secrets.public.values()))
    binding = (raw(case, "group_id"), sender)
    leaf = identity.leaf(suite.kem.derive(b"new")[1], LeafSource.COMMIT, binding=binding, parent_hash=parent_hash)
    tree.set(2 * sender, leaf)
    context = _context(case, tree)
    path = UpdatePath(leaf, seal_path(tree, sender, secrets, context, frozenset()))
    for index, keys in private.items():
        if index != sender:
            followed = before.clone()
            apply_path(followed, sender, path, frozenset())
            opened = open_path(followed, sender, index, keys, path, context, frozenset())
            same(opened.commit_secret, secrets.commit_secret, "our own commit secret")


def passive_client(case: Case) -> None:
    suite = suite_of(case["cipher_suite"])
    package = key_package_of(raw(case, "key_package"))
    content = package.leaf.content
    if suite.id not in content.capabilities.suites:
        raise SkipCaseError(f"the leaves of suite {suite.id} leave it out of their own capabilities")
    identity = Identity(
        suite, raw(case, "signature_priv"), content.credential, content.extensions, content.capabilities
    )
    same(identity.public, content.signature_key, "signature_priv")
    bundle = KeyPackageBundle(package, raw(case, "init_priv"), raw(case, "encryption_priv"))
    psks = {raw(psk, "psk_id"): raw(psk, "psk") for psk in case["external_psks"]}
    tree = raw(case, "ratchet_tree") if case.get("ratchet_tree") else None
    group = Group.join(identity, raw(case, "welcome"), [bundle], psks=psks, tree=tree, now=None)
    expect(case, "initial_epoch_authenticator", group.epoch_authenticator)
    for number, epoch in enumerate(case["epochs"]):
        for proposal in epoch["proposals"]:
            group.process(bytes.fromhex(proposal), psks=psks, now=None)
        group.process(raw(epoch, "commit"), psks=psks, now=None)
        same(group.epoch_authenticator.hex(), epoch["epoch_authenticator"], f"authenticator {number}")


RUNNERS: dict[str, Callable[[Case], None]] = {
    "crypto-basics": crypto_basics,
    "deserialization": deserialization,
    "key-schedule": key_schedule,
    "message-protection": message_protection,
    "messages": messages,
    "passive-client-handling-commit": passive_client,
    "passive-client-random": passive_client,
    "passive-client-welcome": passive_client,
    "psk_secret": psk_secrets,
    "secret-tree": secret_tree,
    "transcript-hashes": transcript_hashes,
    "tree-math": tree_math,
    "tree-operations": tree_operations,
    "tree-validation": tree_validation,
    "treekem": treekem,
    "welcome": welcome,
    **dict.fromkeys(
        (
            "application",
            "branch",
            "commit",
            "deep_random",
            "external_join",
            "external_proposals",
            "generate_handle_commit",
            "reinit",
            "welcome_join",
        ),
        passive_client,
    ),
}


def runner_for(path: Path) -> Callable[[Case], None] | None:
    """Return what runs a file's cases, or None for a file that is not known."""
    if path.stem.startswith("passive-client"):
        return passive_client
    return RUNNERS.get(path.stem)


def run_file(path: Path) -> Score:
    """Run all cases of one file."""
    run = runner_for(path)
    if run is None:
        raise ValueError(f"{path.name} is not a file of vectors that is known here")
    cases: list[Case] = json.loads(path.read_text())
    counts: Counter[str] = Counter()
    remarks: Counter[str] = Counter()
    for number, case in enumerate(cases):
        try:
            run(case)
        except SkipCaseError as reason:
            counts["skipped"] += 1
            remarks[f"skipped: {reason}"] += 1
        except CapabilityError as reason:
            denied = "cipher suite 7" in str(reason)  # another member's leaf leaves its own suite out
            counts["skipped" if denied else "failed"] += 1
            remarks[f"skipped: {reason}" if denied else f"case {number}: {reason}"] += 1
        except UnsupportedError as reason:
            expected = case.get("cipher_suite") in (4, 6)
            counts["skipped" if expected else "failed"] += 1
            remarks[f"skipped: {reason}" if expected else f"case {number}: {reason}"] += 1
        except (MlsError, AssertionError, LookupError, ValueError) as error:
            counts["failed"] += 1
            remarks[f"case {number}, suite {case.get('cipher_suite')}: {error!r}"] += 1
        else:
            counts["passed"] += 1
    return Score(path.stem, counts["passed"], counts["failed"], counts["skipped"], remarks)


def run_folder(folder: Path) -> Iterator[Score]:
    """Run every known file of a folder."""
    for path in sorted(folder.glob("*.json")):
        if runner_for(path) is not None:
            yield run_file(path)


def main(arguments: list[str]) -> int:
    """Print one line a file; return the exit code."""
    if len(arguments) != 1:
        print("usage: python -m tests.vectors.mls DIR", file=sys.stderr)
        return 2
    failed = found = 0
    for score in run_folder(Path(arguments[0])):
        print(score.name, score.passed, score.failed, score.skipped, flush=True)
        for remark, times in score.remarks.items():
            print(f"  {score.name}: {remark} ({times})", file=sys.stderr)
        failed += score.failed
        found += 1
    if not found:
        print(f"no known vectors in {arguments[0]}", file=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
