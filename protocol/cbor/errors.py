"""What is not deterministic CBOR, or has none: one class a reason, each with a stable ``code``.

The family::

    CborError
    ├── Truncated           the bytes end inside an item
    ├── TrailingBytes       bytes are left over
    ├── NotShortest         a longer form than needed
    ├── IndefiniteLength    a length that is not given
    ├── Malformed           what the standard reserves
    ├── KeyOrder            a map's keys out of order
    ├── DuplicateKey        a map's key twice
    ├── BadKey              a map's key that may not be one
    ├── BadUtf8             text that is not UTF-8
    ├── NonCanonicalNan     another NaN than the one
    ├── IntegerRange        an integer of over 64 bits
    ├── TooDeep             too many levels
    ├── TooManyItems        too many items
    └── NotEncodable        a value that CBOR does not have
"""

from __future__ import annotations

from reprlib import repr as shorten
from typing import Any, ClassVar

from protocol.errors import ProtocolError


class CborError(ProtocolError):
    """Bytes that are not deterministic CBOR, or a value that has none.

    ``offset`` is the byte at which the offending item starts and ``path`` leads to it from the outermost item, by
    array indices and map keys; when encoding, ``offset`` is None.
    """

    code: ClassVar[str] = "cbor"

    def __init__(self, text: str, offset: int | None = None, path: str = "$") -> None:
        where = path if offset is None else f"{path} (byte {offset})"
        super().__init__(f"{text} at {where}")
        self.text = text
        self.offset = offset
        self.path = path


class Truncated(CborError):
    """The bytes end inside an item."""

    code: ClassVar[str] = "cbor-truncated"


class TrailingBytes(CborError):
    """Bytes are left after the outermost item."""

    code: ClassVar[str] = "cbor-trailing-bytes"


class NotShortest(CborError):
    """An integer, length, tag or float in a longer form than it needs."""

    code: ClassVar[str] = "cbor-not-shortest"


class IndefiniteLength(CborError):
    """A string, array or map of indefinite length, or a stray break."""

    code: ClassVar[str] = "cbor-indefinite-length"


class Malformed(CborError):
    """Additional information that RFC 8949 reserves, or a simple value that has no valid encoding."""

    code: ClassVar[str] = "cbor-malformed"


class KeyOrder(CborError):
    """A map key that sorts, bytewise, before the key that precedes it."""

    code: ClassVar[str] = "cbor-key-order"


class DuplicateKey(CborError):
    """A map key that occurs twice."""

    code: ClassVar[str] = "cbor-duplicate-key"


class BadUtf8(CborError):
    """Text that is not valid UTF-8."""

    code: ClassVar[str] = "cbor-bad-utf8"


class BadKey(CborError):
    """A map key that is neither text nor bytes nor an integer within +-(2^53 - 1)."""

    code: ClassVar[str] = "cbor-key"


class IntegerRange(CborError):
    """An integer, when encoding, that does not fit into 64 bits."""

    code: ClassVar[str] = "cbor-integer-range"


class NonCanonicalNan(CborError):
    """A NaN in another form than ``f97e00``."""

    code: ClassVar[str] = "cbor-nan"


class TooDeep(CborError):
    """Nesting deeper than ``MAX_DEPTH``."""

    code: ClassVar[str] = "cbor-depth"


class TooManyItems(CborError):
    """More than ``MAX_ITEMS`` items."""

    code: ClassVar[str] = "cbor-items"


class NotEncodable(CborError):
    """A Python value of a type that CBOR does not have, or a tag or simple value out of range."""

    code: ClassVar[str] = "cbor-not-encodable"


def spell(path: tuple[Any, ...]) -> str:
    """Return a path the way that errors write it: ``$[6][4]``."""
    return "$" + "".join(f"[{shorten(step)}]" for step in path)
