"""Messages as they travel, and the header that a relay reads (RFC 9420 §6, §8.1 and §12.4.3)."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TypeAlias

from msgspec import Struct

from protocol.mls.codec import Reader, decode, optional, u8, u16, u32, u64, vec, vec_of
from protocol.mls.errors import DecodeError, UnsupportedError
from protocol.mls.extensions import Extensions, encode_extensions, read_extensions
from protocol.mls.leaf import KeyPackage
from protocol.mls.proposals import (
    Commit,
    Proposal,
    PskId,
    encode_proposal,
    read_proposal,
)
from protocol.mls.suites import MLS10, CipherSuite


class WireFormat(IntEnum):
    """What an MLSMessage carries."""

    PUBLIC = 1
    PRIVATE = 2
    WELCOME = 3
    GROUP_INFO = 4
    KEY_PACKAGE = 5


class ContentType(IntEnum):
    """What framed content is."""

    APPLICATION = 1
    PROPOSAL = 2
    COMMIT = 3


_CONTENT_TYPES: tuple[ContentType, ...] = (ContentType.APPLICATION, *ContentType)
_WIRE_FORMATS: tuple[WireFormat, ...] = (WireFormat.PUBLIC, *WireFormat)


class SenderType(IntEnum):
    """Who sent framed content."""

    MEMBER = 1
    EXTERNAL = 2
    NEW_MEMBER_PROPOSAL = 3
    NEW_MEMBER_COMMIT = 4


class Sender(Struct, frozen=True):
    """A sender: a member by leaf, an external sender by its place in the list, or someone new (index 0)."""

    type: SenderType
    index: int = 0

    def encode(self) -> bytes:
        """Encode it."""
        return u8(self.type) + (u32(self.index) if self.type <= SenderType.EXTERNAL else b"")

    @classmethod
    def read(cls, reader: Reader) -> Sender:
        """Read one."""
        number = reader.u8()
        if not 1 <= number <= 4:
            raise DecodeError(f"sender type {number} does not exist")
        kind = SenderType(number)
        return cls(kind, reader.u32() if kind <= SenderType.EXTERNAL else 0)


NEW_MEMBER_PROPOSAL = Sender(SenderType.NEW_MEMBER_PROPOSAL)
NEW_MEMBER_COMMIT = Sender(SenderType.NEW_MEMBER_COMMIT)

Body: TypeAlias = bytes | Proposal | Commit


def read_content_type(reader: Reader) -> ContentType:
    """Read a content type."""
    number = reader.u8()
    if not 1 <= number <= 3:
        raise DecodeError(f"content type {number} does not exist")
    return _CONTENT_TYPES[number]


def type_of(body: Body) -> ContentType:
    """Say what a body is."""
    if isinstance(body, bytes):
        return ContentType.APPLICATION
    return ContentType.COMMIT if isinstance(body, Commit) else ContentType.PROPOSAL


def encode_body(body: Body) -> bytes:
    """Encode a body without its content type."""
    if isinstance(body, bytes):
        return vec(body)
    return body.encode() if isinstance(body, Commit) else encode_proposal(body)


def read_body(reader: Reader, kind: ContentType) -> Body:
    """Read a body of this content type."""
    if kind == ContentType.APPLICATION:
        return reader.vec()
    return Commit.read(reader) if kind == ContentType.COMMIT else read_proposal(reader)


class FramedContent(Struct, frozen=True):
    """A body and where it belongs; ``encoded`` is its exact encoding."""

    group_id: bytes
    epoch: int
    sender: Sender
    authenticated_data: bytes
    body: Body
    encoded: bytes

    @classmethod
    def make(
        cls, group_id: bytes, epoch: int, sender: Sender, body: Body, authenticated_data: bytes = b""
    ) -> FramedContent:
        """Build content and its encoding."""
        encoded = b"".join(
            (
                vec(group_id),
                u64(epoch),
                sender.encode(),
                vec(authenticated_data),
                u8(type_of(body)),
                encode_body(body),
            )
        )
        return cls(group_id, epoch, sender, authenticated_data, body, encoded)

    @classmethod
    def read(cls, reader: Reader) -> FramedContent:
        """Read it and keep its exact bytes."""
        start = reader.pos
        group_id, epoch, sender, aad = reader.vec(), reader.u64(), Sender.read(reader), reader.vec()
        body = read_body(reader, read_content_type(reader))
        return cls(group_id, epoch, sender, aad, body, reader.data[start : reader.pos])


class Authenticated(Struct, frozen=True):
    """AuthenticatedContent: framed content with its signature, and a commit's confirmation tag."""

    wire_format: WireFormat
    content: FramedContent
    signature: bytes
    confirmation_tag: bytes | None = None

    def auth(self) -> bytes:
        """Encode FramedContentAuthData."""
        tag = b"" if self.confirmation_tag is None else vec(self.confirmation_tag)
        return vec(self.signature) + tag

    def encode(self) -> bytes:
        """Encode AuthenticatedContent."""
        return u16(self.wire_format) + self.content.encoded + self.auth()

    @classmethod
    def read(cls, reader: Reader) -> Authenticated:
        """Read AuthenticatedContent."""
        wire_format = reader.u16()
        if wire_format not in (WireFormat.PUBLIC, WireFormat.PRIVATE):
            raise DecodeError(f"wire format {wire_format} cannot carry content")
        return cls.read_tail(reader, WireFormat(wire_format), FramedContent.read(reader))

    @classmethod
    def read_tail(cls, reader: Reader, wire_format: WireFormat, content: FramedContent) -> Authenticated:
        """Read the authentication data that follows ``content``."""
        signature = reader.vec()
        tag = reader.vec() if isinstance(content.body, Commit) else None
        return cls(wire_format, content, signature, tag)

    def tbs(self, context: bytes) -> bytes:
        """Encode FramedContentTBS; ``context`` is the GroupContext, used for members and joiners by commit."""
        signer = self.content.sender.type
        tail = context if signer in (SenderType.MEMBER, SenderType.NEW_MEMBER_COMMIT) else b""
        return u16(MLS10) + u16(self.wire_format) + self.content.encoded + tail


class PublicMessage(Struct, frozen=True):
    """Content that is signed and tagged, and readable by everyone on its way."""

    authenticated: Authenticated
    membership_tag: bytes | None

    def encode(self) -> bytes:
        """Encode it."""
        tag = b"" if self.membership_tag is None else vec(self.membership_tag)
        return self.authenticated.content.encoded + self.authenticated.auth() + tag

    @classmethod
    def read(cls, reader: Reader) -> PublicMessage:
        """Read one."""
        authenticated = Authenticated.read_tail(reader, WireFormat.PUBLIC, FramedContent.read(reader))
        member = authenticated.content.sender.type == SenderType.MEMBER
        return cls(authenticated, reader.vec() if member else None)


class PrivateMessage(Struct, frozen=True):
    """Content that only members can read."""

    group_id: bytes
    epoch: int
    content_type: ContentType
    authenticated_data: bytes
    encrypted_sender_data: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        """Encode it."""
        return b"".join(
            (
                vec(self.group_id),
                u64(self.epoch),
                u8(self.content_type),
                vec(self.authenticated_data),
                vec(self.encrypted_sender_data),
                vec(self.ciphertext),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> PrivateMessage:
        """Read one."""
        group_id, epoch, kind = reader.vec(), reader.u64(), read_content_type(reader)
        return cls(group_id, epoch, kind, reader.vec(), reader.vec(), reader.vec())


class GroupContext(Struct, frozen=True):
    """What all members agree on in one epoch."""

    suite_id: int
    group_id: bytes
    epoch: int
    tree_hash: bytes
    confirmed_transcript_hash: bytes
    extensions: Extensions
    version: int = MLS10

    def encode(self) -> bytes:
        """Encode it."""
        return b"".join(
            (
                u16(self.version),
                u16(self.suite_id),
                vec(self.group_id),
                u64(self.epoch),
                vec(self.tree_hash),
                vec(self.confirmed_transcript_hash),
                encode_extensions(self.extensions),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> GroupContext:
        """Read it."""
        version, suite_id = reader.u16(), reader.u16()
        group_id, epoch, tree_hash, transcript = reader.vec(), reader.u64(), reader.vec(), reader.vec()
        return cls(suite_id, group_id, epoch, tree_hash, transcript, read_extensions(reader), version)


class GroupInfo(Struct, frozen=True):
    """A signed description of a group's epoch, for those who join."""

    context: GroupContext
    extensions: Extensions
    confirmation_tag: bytes
    signer: int
    signature: bytes

    def tbs(self) -> bytes:
        """Encode what is signed."""
        head = self.context.encode() + encode_extensions(self.extensions)
        return head + vec(self.confirmation_tag) + u32(self.signer)

    def encode(self) -> bytes:
        """Encode it."""
        return self.tbs() + vec(self.signature)

    @classmethod
    def read(cls, reader: Reader) -> GroupInfo:
        """Read one."""
        context, extensions = GroupContext.read(reader), read_extensions(reader)
        return cls(context, extensions, reader.vec(), reader.u32(), reader.vec())


class GroupSecrets(Struct, frozen=True):
    """What a Welcome seals to one joiner."""

    joiner_secret: bytes
    path_secret: bytes | None
    psks: tuple[PskId, ...]

    def encode(self) -> bytes:
        """Encode it."""
        path = optional(None if self.path_secret is None else vec(self.path_secret))
        return vec(self.joiner_secret) + path + vec_of(psk.encode() for psk in self.psks)

    @classmethod
    def read(cls, reader: Reader) -> GroupSecrets:
        """Read it."""
        return cls(reader.vec(), reader.optional(Reader.vec), reader.items(PskId.read))


class SealedSecrets(Struct, frozen=True):
    """EncryptedGroupSecrets: for whom, and the HPKE ciphertext."""

    recipient: bytes
    kem_output: bytes
    ciphertext: bytes

    def encode(self) -> bytes:
        """Encode it."""
        return vec(self.recipient) + vec(self.kem_output) + vec(self.ciphertext)

    @classmethod
    def read(cls, reader: Reader) -> SealedSecrets:
        """Read it."""
        return cls(reader.vec(), reader.vec(), reader.vec())


class Welcome(Struct, frozen=True):
    """Invites the owners of key packages into a new epoch."""

    suite_id: int
    secrets: tuple[SealedSecrets, ...]
    encrypted_group_info: bytes

    def encode(self) -> bytes:
        """Encode it."""
        sealed = vec_of(secret.encode() for secret in self.secrets)
        return u16(self.suite_id) + sealed + vec(self.encrypted_group_info)

    @classmethod
    def read(cls, reader: Reader) -> Welcome:
        """Read one."""
        return cls(reader.u16(), reader.items(SealedSecrets.read), reader.vec())


Message: TypeAlias = PublicMessage | PrivateMessage | Welcome | GroupInfo | KeyPackage

_READERS: dict[WireFormat, Callable[[Reader], Message]] = {
    WireFormat.PUBLIC: PublicMessage.read,
    WireFormat.PRIVATE: PrivateMessage.read,
    WireFormat.WELCOME: Welcome.read,
    WireFormat.GROUP_INFO: GroupInfo.read,
    WireFormat.KEY_PACKAGE: KeyPackage.read,
}
_FORMATS: dict[type[Message], WireFormat] = {
    PublicMessage: WireFormat.PUBLIC,
    PrivateMessage: WireFormat.PRIVATE,
    Welcome: WireFormat.WELCOME,
    GroupInfo: WireFormat.GROUP_INFO,
    KeyPackage: WireFormat.KEY_PACKAGE,
}


def _read_format(reader: Reader) -> WireFormat:
    version, number = reader.u16(), reader.u16()
    if version != MLS10:
        raise UnsupportedError(f"protocol version {version} is not supported")
    if not 1 <= number <= 5:
        raise UnsupportedError(f"wire format {number} is not supported")
    return _WIRE_FORMATS[number]


def read_message(data: bytes) -> Message:
    """Decode one whole MLSMessage."""

    def read(reader: Reader) -> Message:
        return _READERS[_read_format(reader)](reader)

    return decode(data, read)


def encode_message(message: Message) -> bytes:
    """Encode an MLSMessage."""
    return u16(MLS10) + u16(_FORMATS[type(message)]) + message.encode()


class Peeked(Struct, frozen=True):
    """What a relay reads of a message without judging it; fields that the wire format lacks are None."""

    wire_format: WireFormat
    group_id: bytes | None = None
    epoch: int | None = None
    content_type: ContentType | None = None
    sender: Sender | None = None


def peek(message: bytes) -> Peeked:
    """Parse the header of an MLSMessage: cheap, and no word about its validity.

    Raises ``DecodeError`` for bytes that have no such header, ``UnsupportedError`` for another version.
    """
    reader = Reader(message)
    wire_format = _read_format(reader)
    if wire_format == WireFormat.GROUP_INFO:
        context = GroupContext.read(reader)
        return Peeked(wire_format, context.group_id, context.epoch)
    if wire_format == WireFormat.PRIVATE:
        group_id, epoch = reader.vec(), reader.u64()
        return Peeked(wire_format, group_id, epoch, read_content_type(reader))
    if wire_format == WireFormat.PUBLIC:
        group_id, epoch, sender = reader.vec(), reader.u64(), Sender.read(reader)
        reader.sub()
        return Peeked(wire_format, group_id, epoch, read_content_type(reader), sender)
    return Peeked(wire_format)


def key_package_of(message: bytes) -> KeyPackage:
    """Decode an MLSMessage that must carry a key package."""
    decoded = read_message(message)
    if not isinstance(decoded, KeyPackage):
        raise DecodeError("this message is not a key package")
    return decoded


def proposal_ref(suite: CipherSuite, authenticated: Authenticated) -> bytes:
    """Name a proposal by the hash of its AuthenticatedContent."""
    return suite.proposal_ref(authenticated.encode())
