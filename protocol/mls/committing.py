"""Making a commit and the Welcome that goes with it (RFC 9420 §12.4.1 and §12.4.3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from protocol.mls import schedule
from protocol.mls import treemath as tm
from protocol.mls.codec import vec
from protocol.mls.extensions import Extension, ExtensionType
from protocol.mls.framing import sign
from protocol.mls.identity import Identity
from protocol.mls.leaf import KeyPackage, LeafSource
from protocol.mls.messages import (
    NEW_MEMBER_COMMIT,
    Authenticated,
    FramedContent,
    GroupContext,
    GroupInfo,
    GroupSecrets,
    SealedSecrets,
    Sender,
    SenderType,
    Welcome,
    WireFormat,
    encode_message,
)
from protocol.mls.proposals import Commit, PskId, UpdatePath
from protocol.mls.psk import Psks, psk_secret
from protocol.mls.rules import Item, needs_path
from protocol.mls.schedule import EpochSecrets, Schedule
from protocol.mls.staged import Next, Patch
from protocol.mls.suites import CipherSuite, Random
from protocol.mls.tree import RatchetTree
from protocol.mls.treekem import PathSecrets, climb, seal_path
from protocol.mls.view import Applied, View


class Base(Struct, frozen=True):
    """Where a commit starts from: the view, what we hold in it, and who we are."""

    view: View
    identity: Identity
    init: bytes
    private: Mapping[int, bytes]
    own_leaf: int | None


class Plan(Struct, frozen=True):
    """What a commit shall do: its proposals, with references for those that were sent before."""

    items: Sequence[tuple[Item, bytes | None]]
    psks: Psks
    path: bool = False
    wire_format: WireFormat = WireFormat.PUBLIC
    authenticated_data: bytes = b""
    group_info_extensions: tuple[Extension, ...] = ()


class Made(Struct, frozen=True):
    """A commit that was made: the signed message, the epoch it leads to, and what joiners get."""

    message: Authenticated
    next: Next
    welcome: bytes
    group_info: bytes


class _Path(Struct, frozen=True):
    update: UpdatePath
    secrets: PathSecrets
    leaf_private: bytes


def keep_private(private: Mapping[int, bytes], old: RatchetTree, new: RatchetTree) -> dict[int, bytes]:
    """Return the private keys whose nodes are still in the tree with the same public key."""
    kept = {}
    for place, key in private.items():
        before = old.nodes[place]
        after = new.nodes[place] if place < len(new.nodes) else None
        if before is not None and after is not None and before.encryption_key == after.encryption_key:
            kept[place] = key
    return kept


def make(base: Base, plan: Plan, *, now: int | None, random: Random) -> Made:
    """Make a commit; nothing of the group changes. Raises what makes the commit invalid."""
    view, suite = base.view, base.view.suite
    items = [item for item, _ in plan.items]
    joining = base.own_leaf is None
    sender = NEW_MEMBER_COMMIT if base.own_leaf is None else Sender(SenderType.MEMBER, base.own_leaf)
    applied = view.apply(items, sender, now)
    path, own = None, base.own_leaf
    if joining or plan.path or needs_path([item.proposal for item in items]):
        own, path = _make_path(base, applied, random)
    assert own is not None  # noqa: S101 - a joiner always makes a path, and with it its leaf
    view.check_tree(applied)
    entries = tuple(item.proposal if ref is None else ref for item, ref in plan.items)
    commit = Commit(entries, None if path is None else path.update)
    here = view.context
    content = FramedContent.make(here.group_id, here.epoch, sender, commit, plan.authenticated_data)
    signed = sign(suite, base.identity.key, plan.wire_format, content, view.encoded_context)
    confirmed = view.confirmed(signed)
    context = view.next_context(applied, confirmed)
    commit_secret = suite.zero if path is None else path.secrets.commit_secret
    joiner = schedule.joiner_secret(suite, base.init, commit_secret, context.encode())
    run = schedule.run(suite, joiner, psk_secret(suite, applied.psks, plan.psks), context.encode())
    tag = suite.mac(run.secrets.confirmation, confirmed)
    message = Authenticated(plan.wire_format, content, signed.signature, tag)
    private = keep_private(base.private, view.tree, applied.tree)
    if path is not None:
        private = _on_path(private, path, own, applied.tree)
    following = Next(
        context,
        schedule.interim_hash(suite, confirmed, tag),
        run.secrets,
        run.encryption,
        own,
        private,
        Patch.between(view.tree, applied.tree),
        applied.reinit,
        applied.tree,
    )
    info = group_info(base.identity, following, applied.tree, plan.group_info_extensions)
    welcome = _welcome(suite, applied, joiner, run, info, path, applied.psks) if applied.added else b""
    return Made(message, following, welcome, encode_message(info))


def _on_path(private: dict[int, bytes], path: _Path, own: int, tree: RatchetTree) -> dict[int, bytes]:
    above = set(tm.direct_path(2 * own, tree.size))
    kept = {place: key for place, key in private.items() if place not in above}
    return kept | path.secrets.private | {2 * own: path.leaf_private}


def _make_path(base: Base, applied: Applied, random: Random) -> tuple[int, _Path]:
    """Draw a new path for our leaf, adding the leaf first if we are only joining."""
    view, suite, tree = base.view, base.view.suite, applied.tree
    group_id = view.context.group_id
    leaf_private, leaf_public = suite.kem.derive(random(suite.hash_size))
    own = base.own_leaf
    if own is None:
        own = tree.add(base.identity.leaf(leaf_public, LeafSource.COMMIT, binding=(group_id, 0)))  # holds the place
    places = [place for place, _ in tree.filtered_path(own)]
    secrets = climb(suite, random(suite.hash_size), places)
    parent_hash = tree.set_path(own, [secrets.public[place] for place in places])
    binding = (group_id, own)
    leaf = base.identity.leaf(leaf_public, LeafSource.COMMIT, binding=binding, parent_hash=parent_hash)
    tree.set(2 * own, leaf)
    context = view.next_context(applied, view.context.confirmed_transcript_hash).encode()
    nodes = seal_path(tree, own, secrets, context, applied.new)
    return own, _Path(UpdatePath(leaf, nodes), secrets, leaf_private)


def group_info(identity: Identity, following: Next, tree: RatchetTree, extra: tuple[Extension, ...] = ()) -> GroupInfo:
    """Sign a description of an epoch that holds its tree and its external key."""
    return sign_group_info(identity, following.context, following.secrets, tree, following.own_leaf, extra)


def sign_group_info(
    identity: Identity,
    context: GroupContext,
    secrets: EpochSecrets,
    tree: RatchetTree,
    own_leaf: int,
    extra: tuple[Extension, ...] = (),
) -> GroupInfo:
    """Sign a GroupInfo for an epoch of which we are a member."""
    suite = identity.suite
    _, external = suite.kem.derive(secrets.external)
    extensions = (
        Extension(ExtensionType.RATCHET_TREE, tree.encode()),
        Extension(ExtensionType.EXTERNAL_PUB, vec(external)),
        *extra,
    )
    tag = suite.mac(secrets.confirmation, context.confirmed_transcript_hash)
    unsigned = GroupInfo(context, extensions, tag, own_leaf, b"")
    signature = suite.sign(identity.key, b"GroupInfoTBS", unsigned.tbs())
    return GroupInfo(context, extensions, tag, own_leaf, signature)


def _welcome(
    suite: CipherSuite,
    applied: Applied,
    joiner: bytes,
    run: Schedule,
    info: GroupInfo,
    path: _Path | None,
    psks: Sequence[PskId],
) -> bytes:
    key, nonce = schedule.welcome_key(suite, run.welcome)
    sealed_info = suite.seal(key, nonce, info.encode(), b"")
    sealed = tuple(
        _sealed_for(suite, package, joiner, _path_secret(index, path), tuple(psks), sealed_info)
        for index, package in applied.added
    )
    return encode_message(Welcome(suite.id, sealed, sealed_info))


def _path_secret(index: int, path: _Path | None) -> bytes | None:
    """Return the path secret of the lowest node of the path above a new leaf."""
    if path is None:
        return None
    secrets = path.secrets.secrets
    return next((secret for place, secret in secrets.items() if tm.below(2 * index, place)), None)


def _sealed_for(
    suite: CipherSuite,
    package: KeyPackage,
    joiner: bytes,
    path_secret: bytes | None,
    psks: tuple[PskId, ...],
    sealed_info: bytes,
) -> SealedSecrets:
    secrets = GroupSecrets(joiner, path_secret, psks).encode()
    public = suite.kem.load_public(package.init_key)
    output, ciphertext = suite.encrypt_with_label(public, b"Welcome", sealed_info, secrets)
    return SealedSecrets(package.ref(suite), output, ciphertext)
