"""Proposals and commits as they travel (RFC 9420 §12; AppDataUpdate and SelfRemove of the extensions draft)."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import ClassVar, TypeAlias

from msgspec import Struct

from protocol.mls.codec import Reader, optional, u8, u16, u32, u64, vec, vec_of
from protocol.mls.errors import DecodeError, UnsupportedError
from protocol.mls.extensions import Extensions, encode_extensions, read_extensions
from protocol.mls.leaf import KeyPackage, LeafNode


class ProposalType(IntEnum):
    """Proposal types by their IANA numbers."""

    ADD = 0x0001
    UPDATE = 0x0002
    REMOVE = 0x0003
    PSK = 0x0004
    REINIT = 0x0005
    EXTERNAL_INIT = 0x0006
    GROUP_CONTEXT_EXTENSIONS = 0x0007
    APP_DATA_UPDATE = 0x0008
    SELF_REMOVE = 0x000A


DEFAULT_PROPOSALS = frozenset(range(1, 8))
"""Proposal types that every implementation speaks, so that capabilities need not list them."""


class Add(Struct, frozen=True):
    """Add the owner of a key package."""

    kind: ClassVar[ProposalType] = ProposalType.ADD
    key_package: KeyPackage

    def body(self) -> bytes:
        """Encode what follows the type."""
        return self.key_package.encoded


class Update(Struct, frozen=True):
    """Replace the sender's leaf."""

    kind: ClassVar[ProposalType] = ProposalType.UPDATE
    leaf: LeafNode

    def body(self) -> bytes:
        """Encode what follows the type."""
        return self.leaf.encoded


class Remove(Struct, frozen=True):
    """Remove the member at a leaf."""

    kind: ClassVar[ProposalType] = ProposalType.REMOVE
    leaf: int

    def body(self) -> bytes:
        """Encode what follows the type."""
        return u32(self.leaf)


class PskUsage(IntEnum):
    """What a resumption PSK is used for."""

    APPLICATION = 1
    REINIT = 2
    BRANCH = 3


class PskId(Struct, frozen=True):
    """Names one pre-shared key: an external one by its id, a resumption one by usage, group and epoch."""

    psk_id: bytes
    usage: PskUsage | None
    group_id: bytes
    epoch: int
    nonce: bytes

    @property
    def external(self) -> bool:
        """Whether the key comes from outside MLS."""
        return self.usage is None

    def encode(self) -> bytes:
        """Encode it."""
        if self.usage is None:
            return b"\x01" + vec(self.psk_id) + vec(self.nonce)
        return b"\x02" + u8(self.usage) + vec(self.group_id) + u64(self.epoch) + vec(self.nonce)

    @classmethod
    def read(cls, reader: Reader) -> PskId:
        """Read one."""
        kind = reader.u8()
        if kind == 1:
            return cls(reader.vec(), None, b"", 0, reader.vec())
        if kind != 2:
            raise DecodeError(f"PSK type {kind} does not exist")
        usage = reader.u8()
        if not 1 <= usage <= 3:
            raise DecodeError(f"PSK usage {usage} does not exist")
        return cls(b"", PskUsage(usage), reader.vec(), reader.u64(), reader.vec())


class PreSharedKey(Struct, frozen=True):
    """Mix a pre-shared key into the key schedule."""

    kind: ClassVar[ProposalType] = ProposalType.PSK
    psk: PskId

    def body(self) -> bytes:
        """Encode what follows the type."""
        return self.psk.encode()


class ReInit(Struct, frozen=True):
    """End the group so that it can be started again with other parameters."""

    kind: ClassVar[ProposalType] = ProposalType.REINIT
    group_id: bytes
    version: int
    suite_id: int
    extensions: Extensions

    def body(self) -> bytes:
        """Encode what follows the type."""
        head = vec(self.group_id) + u16(self.version) + u16(self.suite_id)
        return head + encode_extensions(self.extensions)

    @classmethod
    def read(cls, reader: Reader) -> ReInit:
        """Read what follows the type."""
        return cls(reader.vec(), reader.u16(), reader.u16(), read_extensions(reader))


class ExternalInit(Struct, frozen=True):
    """Start the next epoch's key schedule from an encapsulation to the group's external key."""

    kind: ClassVar[ProposalType] = ProposalType.EXTERNAL_INIT
    kem_output: bytes

    def body(self) -> bytes:
        """Encode what follows the type."""
        return vec(self.kem_output)


class GroupContextExtensions(Struct, frozen=True):
    """Replace the extensions of the GroupContext."""

    kind: ClassVar[ProposalType] = ProposalType.GROUP_CONTEXT_EXTENSIONS
    extensions: Extensions

    def body(self) -> bytes:
        """Encode what follows the type."""
        return encode_extensions(self.extensions)


class AppDataUpdate(Struct, frozen=True):
    """Set one component of the group's ``app_data_dictionary``, or remove it (data is None)."""

    kind: ClassVar[ProposalType] = ProposalType.APP_DATA_UPDATE
    component: int
    data: bytes | None

    def body(self) -> bytes:
        """Encode what follows the type."""
        head = u16(self.component)
        return head + (b"\x02" if self.data is None else b"\x01" + vec(self.data))

    @classmethod
    def read(cls, reader: Reader) -> AppDataUpdate:
        """Read what follows the type."""
        component, operation = reader.u16(), reader.u8()
        if operation not in (1, 2):
            raise DecodeError(f"AppDataUpdate operation {operation} does not exist")
        return cls(component, reader.vec() if operation == 1 else None)


class SelfRemove(Struct, frozen=True):
    """Remove the proposal's own sender."""

    kind: ClassVar[ProposalType] = ProposalType.SELF_REMOVE

    def body(self) -> bytes:
        """Encode what follows the type: nothing."""
        return b""


Proposal: TypeAlias = (
    Add | Update | Remove | PreSharedKey | ReInit | ExternalInit | GroupContextExtensions | AppDataUpdate | SelfRemove
)

_READERS: dict[int, Callable[[Reader], Proposal]] = {
    ProposalType.ADD: lambda reader: Add(KeyPackage.read(reader)),
    ProposalType.UPDATE: lambda reader: Update(LeafNode.read(reader)),
    ProposalType.REMOVE: lambda reader: Remove(reader.u32()),
    ProposalType.PSK: lambda reader: PreSharedKey(PskId.read(reader)),
    ProposalType.REINIT: ReInit.read,
    ProposalType.EXTERNAL_INIT: lambda reader: ExternalInit(reader.vec()),
    ProposalType.GROUP_CONTEXT_EXTENSIONS: lambda reader: GroupContextExtensions(read_extensions(reader)),
    ProposalType.APP_DATA_UPDATE: AppDataUpdate.read,
    ProposalType.SELF_REMOVE: lambda _: SelfRemove(),
}


def encode_proposal(proposal: Proposal) -> bytes:
    """Encode a proposal with its type."""
    return u16(proposal.kind) + proposal.body()


def read_proposal(reader: Reader) -> Proposal:
    """Read a proposal; one of an unknown type has no length and cannot be stepped over."""
    number = reader.u16()
    read = _READERS.get(number)
    if read is None:
        raise UnsupportedError(f"proposal type {number} is not supported")
    return read(reader)


class UpdatePathNode(Struct, frozen=True):
    """One node of an UpdatePath: its new key, and the path secret sealed to the copath's resolution."""

    encryption_key: bytes
    ciphertexts: tuple[tuple[bytes, bytes], ...]

    def encode(self) -> bytes:
        """Encode it."""
        sealed = vec_of(vec(output) + vec(ciphertext) for output, ciphertext in self.ciphertexts)
        return vec(self.encryption_key) + sealed

    @classmethod
    def read(cls, reader: Reader) -> UpdatePathNode:
        """Read one."""
        return cls(reader.vec(), reader.items(lambda inner: (inner.vec(), inner.vec())))


class UpdatePath(Struct, frozen=True):
    """A committer's new leaf and the new keys on its filtered direct path."""

    leaf: LeafNode
    nodes: tuple[UpdatePathNode, ...]

    def encode(self) -> bytes:
        """Encode it."""
        return self.leaf.encoded + vec_of(node.encode() for node in self.nodes)

    @classmethod
    def read(cls, reader: Reader) -> UpdatePath:
        """Read one."""
        return cls(LeafNode.read(reader), reader.items(UpdatePathNode.read))


ProposalOrRef: TypeAlias = Proposal | bytes
"""A proposal in full, or the reference of one that was sent before."""


def _read_proposal_or_ref(reader: Reader) -> ProposalOrRef:
    kind = reader.u8()
    if kind == 1:
        return read_proposal(reader)
    if kind != 2:
        raise DecodeError(f"ProposalOrRef type {kind} does not exist")
    return reader.vec()


class Commit(Struct, frozen=True):
    """The proposals that end an epoch, and the committer's path."""

    proposals: tuple[ProposalOrRef, ...]
    path: UpdatePath | None

    def encode(self) -> bytes:
        """Encode it."""
        items = (
            b"\x02" + vec(item) if isinstance(item, bytes) else b"\x01" + encode_proposal(item)
            for item in self.proposals
        )
        return vec_of(items) + optional(None if self.path is None else self.path.encode())

    @classmethod
    def read(cls, reader: Reader) -> Commit:
        """Read one."""
        return cls(reader.items(_read_proposal_or_ref), reader.optional(UpdatePath.read))
