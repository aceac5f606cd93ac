"""Content extensions: the one table of those that Rialto reads and writes, their keys, and who may set them.

Positive integer keys are IANA's: 1 and 2 of MIMI content, 3 and 4 as draft-mimi-content-more-extensions suggests. Ours
are text keys, which are for private use and, unlike negative integers, will not collide with another vendor's. Keys
that are not in the table travel on untouched, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeAlias

from msgspec import Struct

from protocol.cbor import Tag
from protocol.errors import ProtocolError
from protocol.parts import repaired

Extensions: TypeAlias = Mapping[int | str, Any]

MAX_NAME_OCTETS: Final = 1024
MAX_REFERENCE_OCTETS: Final = 4096
MAX_URI_OCTETS: Final = 65_535
URI_TAG: Final = 32
"""The CBOR tag of a text that is a URI (RFC 8949 §3.4.5.3)."""


class ExtensionError(ProtocolError):
    """An extension with a value of the wrong shape, or set by someone who may not."""

    code: ClassVar[str] = "extension"


class Setter(StrEnum):
    """Who may set an extension on its way into the encrypted room."""

    ENDPOINT = "endpoint"
    ADAPTER = "adapter"


class Extension(Struct, frozen=True):
    """One row of the table: ``value`` says in words which values ``accepts`` takes."""

    key: int | str
    name: str
    setter: Setter
    meaning: str
    value: str
    accepts: Callable[[Any], bool]

    def of(self, extensions: Extensions) -> Any:  # noqa: ANN401 - each extension has a type of its own
        """Return this extension's value, None if it is not there; raise ``ExtensionError`` if its shape is wrong."""
        value = extensions.get(self.key)
        if value is not None and not self.accepts(value):
            raise ExtensionError(f"{self.name} (key {self.key!r}) cannot be {value!r:.200}")
        return value


def _text(maximum: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and 0 < _octets(value) <= maximum


def _octets(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _number(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _timestamp(value: object) -> bool:
    if not isinstance(value, Mapping) or not _number(value.get(1), 0, _UINT64):
        return False
    fractions = [key for key in value if key != 1]
    return len(fractions) <= 1 and all(
        key in _FRACTIONS and _number(value[key], 0, _FRACTIONS[key] - 1) for key in fractions
    )


def _external_id(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2 or not isinstance(value[0], bytes):
        return False
    scope = value[1]
    if isinstance(scope, Tag):
        return scope.number == URI_TAG and _text(MAX_URI_OCTETS)(scope.value)
    return _text(MAX_REFERENCE_OCTETS)(scope) or _number(scope, 1, _UINT64)


def _failure(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() == {"reason", "text"}
        and isinstance(value["reason"], str)
        and _REASON.fullmatch(value["reason"]) is not None
        and isinstance(value["text"], str)
        and _octets(value["text"]) <= MAX_REFERENCE_OCTETS
    )


_UINT64: Final = (1 << 64) - 1
_FRACTIONS: Final[Mapping[object, int]] = {-3: 10**3, -6: 10**6, -9: 10**9}
_REASON: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_NETWORK: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

SENDER_URI: Final = Extension(
    1, "senderUri", Setter.ENDPOINT, "the URI of who speaks", "text, 1 to 65,535 octets", _text(MAX_URI_OCTETS)
)
ROOM_URI: Final = Extension(
    2,
    "roomUri",
    Setter.ENDPOINT,
    "the URI of the room it is said in",
    "text, 1 to 65,535 octets",
    _text(MAX_URI_OCTETS),
)
SENDER_TIMESTAMP: Final = Extension(
    3,
    "senderTimestamp",
    Setter.ENDPOINT,
    "when the sender's network says it was sent",
    "a map: 1 to seconds since 1970 and, perhaps, one of -3, -6, -9 to the milli-, micro- or nanoseconds after them",
    _timestamp,
)
EXTERNAL_MESSAGE_ID: Final = Extension(
    4,
    "externalMessageId",
    Setter.ENDPOINT,
    "the id it has on the sender's network, and whose id that is",
    "an array: bytes, and a URI (tag 32), a domain (text) or an enterprise number",
    _external_id,
)
SENDER_NAME: Final = Extension(
    "rialto.sender-name",
    "sender name",
    Setter.ENDPOINT,
    "the name to show for who speaks",
    "text, 1 to 1,024 octets",
    _text(MAX_NAME_OCTETS),
)
SENDER_AVATAR: Final = Extension(
    "rialto.sender-avatar",
    "sender avatar",
    Setter.ENDPOINT,
    "a reference to the picture to show for who speaks",
    "text, 1 to 4,096 octets",
    _text(MAX_REFERENCE_OCTETS),
)
FORWARDED: Final = Extension(
    "rialto.forwarded",
    "forwarded",
    Setter.ADAPTER,
    "how often, at least, it was forwarded",
    "an integer, 1 to 2^31",
    lambda value: _number(value, 1, 1 << 31),
)
ORIGIN_NETWORK: Final = Extension(
    "rialto.origin-network",
    "origin network",
    Setter.ENDPOINT,
    "the network it was first said on",
    "text: 1 to 32 of a-z, 0-9 and, not first, -",
    lambda value: isinstance(value, str) and _NETWORK.fullmatch(value) is not None,
)
FAILURE: Final = Extension(
    "rialto.failure",
    "failure",
    Setter.ENDPOINT,
    "why the messages of a status report ended in error: a stable word, and a text for people",
    "a map: reason to 1 to 64 of a-z, 0-9 and -, a letter first; text to text, up to 4,096 octets",
    _failure,
)

TABLE: Final[Mapping[int | str, Extension]] = {
    row.key: row
    for row in (
        SENDER_URI,
        ROOM_URI,
        SENDER_TIMESTAMP,
        EXTERNAL_MESSAGE_ID,
        SENDER_NAME,
        SENDER_AVATAR,
        FORWARDED,
        ORIGIN_NETWORK,
        FAILURE,
    )
}


def check(extensions: Extensions, setter: Setter | None = None) -> None:
    """Raise ``ExtensionError`` if a known extension has a wrong shape or, given ``setter``, is not theirs to set."""
    for key in extensions:
        row = TABLE.get(key)
        if row is None:
            continue
        row.of(extensions)
        if setter is not None and setter is not row.setter:
            raise ExtensionError(f"{row.name} (key {key!r}) is set by the {row.setter}, not by the {setter}")


def timestamp(milliseconds: int) -> dict[int, int]:
    """Return the value of ``SENDER_TIMESTAMP`` for a time in milliseconds since 1970."""
    seconds, fraction = divmod(milliseconds, 1000)
    return {1: seconds, -3: fraction} if fraction else {1: seconds}


def milliseconds(value: Mapping[int, int]) -> int:
    """Return the time that a value of ``SENDER_TIMESTAMP`` stands for, in milliseconds since 1970, rounded down."""
    return value[1] * 1000 + sum(
        value[key] * 1000 // scale for key, scale in ((-3, 10**3), (-6, 10**6), (-9, 10**9)) if key in value
    )


def external_id(native_id: str, scope: str) -> list[Any]:
    """Return the value of ``EXTERNAL_MESSAGE_ID``: what the message is called in the realm of ``scope``, a URI.

    The draft also knows scopes that are the name of a domain, as bare text, or the number of an enterprise.
    """
    return [native_id.encode(), Tag(URI_TAG, scope)]


def failure(reason: str, text: str) -> dict[str, str]:
    """Return the value of ``FAILURE``; a reason that is no stable word becomes ``other``, a long text is cut."""
    cut = repaired(text).encode()[:MAX_REFERENCE_OCTETS].decode(errors="ignore")
    return {"reason": reason if _REASON.fullmatch(reason) else "other", "text": cut}
