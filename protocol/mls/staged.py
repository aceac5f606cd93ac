"""A commit of ours that waits for the router's word, and the epoch that it leads to (RFC 9420 §14)."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.mls import treemath as tm
from protocol.mls.codec import Reader, decode, optional, u8, u32, u64, vec, vec_of
from protocol.mls.errors import DecodeError, StateError
from protocol.mls.messages import GroupContext
from protocol.mls.proposals import ReInit
from protocol.mls.schedule import EpochSecrets
from protocol.mls.tree import Node, RatchetTree, encode_node, is_tree_size, read_node

_VERSION = 2
_FORMER = 1  # had the mark of a restored state, which is no longer


@dataclass(slots=True, eq=False)
class Patch:
    """How one tree differs from another: its size, and the nodes that are not the same."""

    leaves: int
    nodes: list[tuple[int, Node | None]]

    @classmethod
    def between(cls, old: RatchetTree, new: RatchetTree) -> Patch:
        """Compare two trees, the second of which began as a copy of the first."""
        before, after = old.nodes, new.nodes
        common = min(len(before), len(after))
        changed = [(place, after[place]) for place in range(common) if after[place] is not before[place]]
        grown = ((place, after[place]) for place in range(common, len(after)))
        return cls(new.size, changed + [(place, node) for place, node in grown if node is not None])

    def apply(self, old: RatchetTree) -> RatchetTree:
        """Rebuild the second tree from the first."""
        tree = old.clone()
        tree.resize(self.leaves)
        for place, node in self.nodes:
            tree.set(place, node)
        return tree

    def encode(self) -> bytes:
        """Encode it for storage."""
        return u32(self.leaves) + vec_of(u32(place) + encode_node(node) for place, node in self.nodes)

    @classmethod
    def read(cls, reader: Reader) -> Patch:
        """Read it from storage."""
        patch = cls(reader.u32(), list(reader.items(lambda inner: (inner.u32(), read_node(inner)))))
        if not is_tree_size(patch.leaves) or any(place >= tm.width(patch.leaves) for place, _ in patch.nodes):
            raise StateError(f"a patch for a tree of {patch.leaves} leaves")
        return patch


@dataclass(slots=True, eq=False)
class Next:
    """The epoch after a commit, as its member will know it."""

    context: GroupContext
    interim: bytes
    secrets: EpochSecrets
    encryption: bytes
    own_leaf: int
    private: dict[int, bytes]
    patch: Patch
    reinit: ReInit | None
    tree: RatchetTree | None = None

    def encode(self) -> bytes:
        """Encode it for storage."""
        keys = vec_of(u32(place) + vec(key) for place, key in self.private.items())
        return b"".join(
            (
                self.context.encode(),
                vec(self.interim),
                self.secrets.encode(),
                vec(self.encryption),
                u32(self.own_leaf),
                keys,
                self.patch.encode(),
                optional(None if self.reinit is None else self.reinit.body()),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> Next:
        """Read it from storage."""
        context, interim, secrets = GroupContext.read(reader), reader.vec(), EpochSecrets.read(reader)
        encryption, own_leaf = reader.vec(), reader.u32()
        private = dict(reader.items(lambda inner: (inner.u32(), inner.vec())))
        patch, reinit = Patch.read(reader), reader.optional(ReInit.read)
        return cls(context, interim, secrets, encryption, own_leaf, private, patch, reinit)


@dataclass(slots=True, eq=False)
class Staged:
    """A commit of ours: merge it when the router has accepted it, drop it when another was first.

    ``welcome`` and ``group_info`` are empty where there is none. ``drawn`` names, in memory only, the group object that
    drew the new keys of its path: None for a commit without a path, and for one that was read from storage.
    """

    commit: bytes
    welcome: bytes
    group_info: bytes
    epoch: int
    now: int | None
    next: Next
    drawn: object | None = None

    def to_bytes(self) -> bytes:
        """Encode for storage, secrets included."""
        head = u8(_VERSION) + vec(self.commit) + vec(self.welcome) + vec(self.group_info)
        when = optional(None if self.now is None else u64(self.now))
        return head + u64(self.epoch) + when + self.next.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Staged:
        """Decode what ``to_bytes`` gave; raises ``StateError`` if it is something else."""
        try:
            return decode(data, cls._read)
        except DecodeError as error:
            raise StateError(f"not a stored commit: {error}") from None

    @classmethod
    def _read(cls, reader: Reader) -> Staged:
        version = reader.u8()
        if version not in (_VERSION, _FORMER):
            raise StateError(f"a stored commit of version {version}")
        commit, welcome, group_info, epoch = reader.vec(), reader.vec(), reader.vec(), reader.u64()
        now = reader.optional(Reader.u64)
        if version == _FORMER:
            reader.vec()
        return cls(commit, welcome, group_info, epoch, now, Next.read(reader))
