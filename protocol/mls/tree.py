"""The ratchet tree's public half (RFC 9420 §4 and §7).

An array of nodes, each with the cached hash of the subtree under it. Nodes are never changed in place, so a copy
of the array is a copy of the tree; that is what makes staging a commit cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from protocol.mls import treemath as tm
from protocol.mls.codec import Reader, decode, optional, u32, vec, vec_of
from protocol.mls.errors import DecodeError, DuplicateKeyError, TreeError, TreeSizeError
from protocol.mls.kem import HpkePublic
from protocol.mls.leaf import LeafNode
from protocol.mls.suites import CipherSuite

MAX_LEAVES = 1 << 16
"""The largest tree that we accept, in leaves."""


@dataclass(slots=True, eq=False)
class ParentNode:
    """An inner node: its key, the hash that ties it to its parent, and the leaves that do not know its secret."""

    encryption_key: bytes
    parent_hash: bytes = b""
    unmerged: tuple[int, ...] = ()
    _public: HpkePublic | None = field(default=None, repr=False)
    _encoded: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Encode it, once: every GroupInfo holds all nodes again."""
        if not self._encoded:
            unmerged = vec_of(u32(leaf) for leaf in self.unmerged)
            self._encoded = vec(self.encryption_key) + vec(self.parent_hash) + unmerged
        return self._encoded

    @classmethod
    def read(cls, reader: Reader) -> ParentNode:
        """Read one."""
        return cls(reader.vec(), reader.vec(), reader.items(Reader.u32))

    def public(self, suite: CipherSuite) -> HpkePublic:
        """Return the loaded encryption key."""
        if self._public is None:
            self._public = suite.kem.load_public(self.encryption_key)
        return self._public


Node = LeafNode | ParentNode


def encode_node(node: Node | None) -> bytes:
    """Encode ``optional<Node>``."""
    if node is None:
        return b"\x00"
    return (b"\x01\x01" if isinstance(node, LeafNode) else b"\x01\x02") + node.encode()


def read_node(reader: Reader) -> Node | None:
    """Read ``optional<Node>``."""

    def read(inner: Reader) -> Node:
        kind = inner.u8()
        if kind == 1:
            return LeafNode.read(inner)
        if kind != 2:
            raise DecodeError(f"node type {kind} does not exist")
        return ParentNode.read(inner)

    return reader.optional(read)


def is_tree_size(leaves: int) -> bool:
    """Say whether a tree of ours can have so many leaves: a power of two, within the limit."""
    return 0 < leaves <= MAX_LEAVES and leaves & (leaves - 1) == 0


class RatchetTree:
    """The nodes of a group's tree; the number of leaves is always a power of two."""

    __slots__ = ("_hashes", "nodes", "suite")

    def __init__(self, suite: CipherSuite, nodes: list[Node | None]) -> None:
        self.suite = suite
        self.nodes = nodes
        self._hashes: list[bytes | None] = [None] * len(nodes)

    @classmethod
    def decode(cls, suite: CipherSuite, data: bytes) -> RatchetTree:
        """Decode the ``ratchet_tree`` extension's data."""
        nodes = list(decode(data, lambda reader: reader.items(read_node)))
        if not nodes or len(nodes) % 2 == 0 or nodes[-1] is None:
            raise TreeSizeError("a ratchet tree ends with a leaf that is there")
        leaves = tm.full_size((len(nodes) + 1) // 2)
        if leaves > MAX_LEAVES:
            raise TreeSizeError(f"a tree of {leaves} leaves; {MAX_LEAVES} are the most we accept")
        nodes.extend([None] * (tm.width(leaves) - len(nodes)))
        for place, node in enumerate(nodes):
            if node is not None and isinstance(node, LeafNode) != (place % 2 == 0):
                raise TreeError(f"node {place} is not of the kind that belongs there")
        return cls(suite, nodes)

    def encode(self) -> bytes:
        """Encode the ``ratchet_tree`` extension's data, without the blank nodes at the end."""
        end = len(self.nodes)
        while end and self.nodes[end - 1] is None:
            end -= 1
        return vec_of([encode_node(node) for node in self.nodes[:end]])

    def clone(self) -> RatchetTree:
        """Copy the tree; the nodes are shared."""
        twin = RatchetTree(self.suite, self.nodes.copy())
        twin._hashes = self._hashes.copy()
        return twin

    @property
    def size(self) -> int:
        """The number of leaves, blank ones included."""
        return (len(self.nodes) + 1) // 2

    @property
    def root(self) -> int:
        """The root's node number."""
        return self.size - 1

    def leaf(self, index: int) -> LeafNode | None:
        """Return the leaf at an index, or None where it is blank or outside."""
        node = self.nodes[2 * index] if 0 <= index < self.size else None
        return node if isinstance(node, LeafNode) else None

    def leaves(self) -> Iterator[tuple[int, LeafNode]]:
        """Iterate over the leaves that are not blank."""
        for index, node in enumerate(self.nodes[::2]):
            if isinstance(node, LeafNode):
                yield index, node

    def parent(self, place: int) -> ParentNode | None:
        """Return the inner node at a place, or None where it is blank."""
        node = self.nodes[place]
        return node if isinstance(node, ParentNode) else None

    def set(self, place: int, node: Node | None) -> None:
        """Put a node in its place and forget the hashes that covered it."""
        self.nodes[place] = node
        top = self.root
        self._hashes[place] = None
        while place != top:
            place = tm.parent(place)
            self._hashes[place] = None

    def resize(self, leaves: int) -> None:
        """Grow or shrink to so many leaves, a power of two."""
        extra = tm.width(leaves) - len(self.nodes)
        if extra > 0:
            self.nodes.extend([None] * extra)
            self._hashes.extend([None] * extra)
        else:
            del self.nodes[tm.width(leaves) :]
            del self._hashes[tm.width(leaves) :]

    def add(self, leaf: LeafNode) -> int:
        """Add a leaf at the leftmost blank place, growing the tree if there is none; return its index."""
        place = next((place for place in range(0, len(self.nodes), 2) if self.nodes[place] is None), None)
        if place is None:
            if self.size * 2 > MAX_LEAVES:
                raise TreeSizeError(f"the group is full: {MAX_LEAVES} leaves")
            place = 2 * self.size
            self.resize(self.size * 2)
        self.set(place, leaf)
        index = place // 2
        for above in tm.direct_path(place, self.size):
            node = self.parent(above)
            if node is not None:
                unmerged = tuple(sorted((*node.unmerged, index)))
                self.nodes[above] = ParentNode(node.encryption_key, node.parent_hash, unmerged)
        return index

    def update(self, index: int, leaf: LeafNode) -> None:
        """Replace a leaf and blank the nodes above it."""
        self.blank_path(index)
        self.set(2 * index, leaf)

    def remove(self, index: int) -> None:
        """Blank a leaf and the nodes above it, and give up the right half while it is empty."""
        self.blank_path(index)
        self.set(2 * index, None)
        leaves = self.size
        while leaves > 1 and all(node is None for node in self.nodes[leaves : 2 * leaves : 2]):
            leaves //= 2
        self.resize(leaves)

    def blank_path(self, index: int) -> None:
        """Blank every node above a leaf."""
        for place in tm.direct_path(2 * index, self.size):
            self.nodes[place] = None
            self._hashes[place] = None
        self._hashes[2 * index] = None

    def resolution(self, place: int) -> list[int]:
        """Return the nodes that together cover everyone under a node (RFC 9420 §4.1.1)."""
        node = self.nodes[place]
        if node is not None:
            return [place, *(2 * leaf for leaf in node.unmerged)] if isinstance(node, ParentNode) else [place]
        if place % 2 == 0:
            return []
        return self.resolution(tm.left(place)) + self.resolution(tm.right(place))

    def occupied(self, place: int) -> bool:
        """Say whether the resolution of a node is not empty."""
        if self.nodes[place] is not None:
            return True
        return place % 2 == 1 and (self.occupied(tm.left(place)) or self.occupied(tm.right(place)))

    def filtered_path(self, index: int) -> list[tuple[int, int]]:
        """Return the (node, copath child) pairs above a leaf whose copath is not empty (RFC 9420 §4.1.2)."""
        pairs, place, top = [], 2 * index, self.root
        while place != top:
            across, place = tm.sibling(place), tm.parent(place)
            if self.occupied(across):
                pairs.append((place, across))
        return pairs

    def hash(self, place: int | None = None) -> bytes:
        """Return the tree hash of a subtree, by default of the whole tree (RFC 9420 §7.8)."""
        where = self.root if place is None else place
        known = self._hashes[where]
        if known is not None:
            return known
        node = self.nodes[where]
        if where % 2 == 0:
            data = b"\x01" + u32(where // 2) + optional(None if node is None else node.encode())
        else:
            data = self._parent_input(node, self.hash(tm.left(where)), self.hash(tm.right(where)))
        value = self.suite.hash(data)
        self._hashes[where] = value
        return value

    @staticmethod
    def _parent_input(node: Node | None, left: bytes, right: bytes) -> bytes:
        return b"\x02" + optional(None if node is None else node.encode()) + vec(left) + vec(right)

    def hash_without(self, place: int, leaves: frozenset[int]) -> bytes:
        """Return the hash a subtree would have if these leaves had never been added to it."""
        span = tm.leaf_span(place)
        if not any(leaf in span for leaf in leaves):
            return self.hash(place)
        if place % 2 == 0:
            return self.suite.hash(b"\x01" + u32(place // 2) + b"\x00")
        node = self.nodes[place]
        if isinstance(node, ParentNode):
            kept = tuple(leaf for leaf in node.unmerged if leaf not in leaves)
            node = ParentNode(node.encryption_key, node.parent_hash, kept)
        left = self.hash_without(tm.left(place), leaves)
        right = self.hash_without(tm.right(place), leaves)
        return self.suite.hash(self._parent_input(node, left, right))

    def parent_hash(self, place: int, across: int) -> bytes:
        """Return what a child of ``place`` must hold, ``across`` being the other child (RFC 9420 §7.9)."""
        node = self.parent(place)
        if node is None:
            raise TreeError(f"node {place} is blank and has no parent hash")
        original = self.hash_without(across, frozenset(node.unmerged))
        return self.suite.hash(vec(node.encryption_key) + vec(node.parent_hash) + vec(original))

    def set_path(self, index: int, keys: Iterable[bytes]) -> bytes:
        """Put new keys on a leaf's filtered path, tie them by parent hashes; return the leaf's parent hash."""
        pairs = self.filtered_path(index)
        self.blank_path(index)
        known = b""
        for (place, across), key in reversed(list(zip(pairs, keys, strict=True))):
            self.nodes[place] = ParentNode(key, known)
            known = self.parent_hash(place, across)
        return known

    def check_keys(self) -> None:
        """Refuse a tree in which an encryption key or a signature key stands twice."""
        keys = [node.encryption_key for node in self.nodes if node is not None]
        if len(set(keys)) != len(keys):
            raise DuplicateKeyError("an encryption key stands twice in the tree")
        signers = [leaf.content.signature_key for _, leaf in self.leaves()]
        if len(set(signers)) != len(signers):
            raise DuplicateKeyError("a signature key stands twice in the tree")
