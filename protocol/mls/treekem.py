"""TreeKEM: making and following an UpdatePath (RFC 9420 §7.4 to §7.6).

A committer draws one secret and hashes it up the tree; each node's key pair follows from its path secret, and each
path secret is sealed to the side of the tree that does not know it yet.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from protocol.mls import treemath as tm
from protocol.mls.errors import ParentHashError, PathError
from protocol.mls.proposals import UpdatePath, UpdatePathNode
from protocol.mls.suites import CipherSuite
from protocol.mls.tree import RatchetTree

_LABEL = b"UpdatePathNode"


class PathSecrets(Struct, frozen=True):
    """The secrets on a path: per node its path secret and private key, and what comes out at the top."""

    secrets: dict[int, bytes]
    private: dict[int, bytes]
    public: dict[int, bytes]
    commit_secret: bytes


def climb(suite: CipherSuite, first: bytes, places: list[int]) -> PathSecrets:
    """Derive the secrets and key pairs of these nodes, bottom up, from the path secret of the first."""
    secrets: dict[int, bytes] = {}
    private: dict[int, bytes] = {}
    public: dict[int, bytes] = {}
    secret = first
    for place in places:
        secrets[place] = secret
        private[place], public[place] = suite.kem.derive(suite.derive_secret(secret, b"node"))
        secret = suite.derive_secret(secret, b"path")
    return PathSecrets(secrets, private, public, secret)


def recipients(tree: RatchetTree, across: int, new: frozenset[int]) -> list[int]:
    """Return the nodes to which a copath child's path secret is sealed: its resolution without new members."""
    return [place for place in tree.resolution(across) if place % 2 or place // 2 not in new]


def seal_path(
    tree: RatchetTree, index: int, path: PathSecrets, context: bytes, new: frozenset[int]
) -> tuple[UpdatePathNode, ...]:
    """Seal each path secret to the other side of its node; ``context`` is the new epoch's GroupContext."""
    suite = tree.suite
    nodes = []
    for place, across in tree.filtered_path(index):
        sealed = []
        for target in recipients(tree, across, new):
            node = tree.nodes[target]
            if node is None:
                raise PathError(f"node {target} is blank")  # pragma: no cover, a resolution has no blanks
            secret = path.secrets[place]
            sealed.append(suite.encrypt_with_label(node.public(suite), _LABEL, context, secret))
        nodes.append(UpdatePathNode(path.public[place], tuple(sealed)))
    return tuple(nodes)


def apply_path(tree: RatchetTree, index: int, path: UpdatePath, new: frozenset[int]) -> None:
    """Put a received path's public keys into the tree, after checking its shape and its leaf's parent hash."""
    pairs = tree.filtered_path(index)
    if len(path.nodes) != len(pairs):
        raise PathError(f"a path of {len(path.nodes)} nodes where {len(pairs)} belong")
    for (place, across), node in zip(pairs, path.nodes, strict=True):
        expected = len(recipients(tree, across, new))
        if len(node.ciphertexts) != expected:
            raise PathError(f"{len(node.ciphertexts)} ciphertexts at node {place} where {expected} belong")
    parent_hash = tree.set_path(index, [node.encryption_key for node in path.nodes])
    if path.leaf.content.parent_hash != parent_hash:
        raise ParentHashError("the parent hash of a commit's leaf does not hold")
    tree.set(2 * index, path.leaf)


def open_path(
    tree: RatchetTree,
    sender: int,
    own: int,
    private: Mapping[int, bytes],
    path: UpdatePath,
    context: bytes,
    new: frozenset[int],
) -> PathSecrets:
    """Open the path secret that is sealed to us and derive everything above it; the tree already has the path."""
    suite = tree.suite
    pairs = tree.filtered_path(sender)
    position = next(i for i, (place, _) in enumerate(pairs) if tm.below(2 * own, place))
    targets = recipients(tree, pairs[position][1], new)
    ours = next((i for i, target in enumerate(targets) if target in private), None)
    if ours is None:
        raise PathError("the path is sealed to none of our keys")
    key = suite.kem.load_private(private[targets[ours]])
    output, ciphertext = path.nodes[position].ciphertexts[ours]
    secret = suite.decrypt_with_label(key, _LABEL, context, output, ciphertext)
    opened = climb(suite, secret, [place for place, _ in pairs[position:]])
    check_keys(tree, opened)
    return opened


def check_keys(tree: RatchetTree, opened: PathSecrets) -> None:
    """Refuse path secrets that do not lead to the public keys in the tree."""
    for place, public in opened.public.items():
        node = tree.nodes[place]
        if node is None or node.encryption_key != public:
            raise PathError(f"the path secret of node {place} does not lead to its key")
