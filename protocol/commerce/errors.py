"""What can be wrong with a business part.

CommerceError
├── UnknownKind    the media type is none of ours
├── Undecodable    the bytes are not deterministic CBOR of one map
└── BadField       a field is missing, unknown, of the wrong type or outside its limits
"""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import ProtocolError


class CommerceError(ProtocolError):
    """A business part that does not follow its schema."""

    code: ClassVar[str] = "commerce"


class UnknownKind(CommerceError):
    """The media type names no business part that this version knows."""

    code: ClassVar[str] = "commerce-unknown-kind"


class Undecodable(CommerceError):
    """The bytes are not the deterministic CBOR encoding of a part."""

    code: ClassVar[str] = "commerce-undecodable"


class BadField(CommerceError):
    """A field is missing, unknown, of the wrong type or outside its limits; the message says which and where."""

    code: ClassVar[str] = "commerce-bad-field"
