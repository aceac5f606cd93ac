"""MIMI content (draft-ietf-mimi-content-09): what one message says, and its deterministic CBOR encoding.

A ``Content`` is a salt, what the message replaces or answers, a topic, an expiry, extensions and one ``Part``, which
is empty, inline, external or several parts. ``decode`` accepts exactly the bytes that ``encode`` produces, so a
message id, which hashes the bytes, is the same for everybody.

What the draft calls legitimate is accepted and kept: dispositions, media types and extensions that nobody here knows,
and references to messages that nobody here has seen, whatever hash their ids were made with. What it calls nonsense is
refused: see the limits below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, ClassVar, Final, TypeAlias

from protocol import cbor
from protocol.errors import ProtocolError
from protocol.parts import (
    HTML,
    MARKDOWN,
    MIMI_CONTENT,
    MIMI_STATUS,
    TEXT_PLAIN,
    TYPING,
    Content,
    Disposition,
    Expiration,
    ExternalPart,
    MultiPart,
    NullPart,
    Part,
    Semantics,
    SinglePart,
    cid,
    reaction,
    reactions,
    referenced,
    repaired,
    text,
    walk,
)

__all__ = [
    "HTML",
    "MARKDOWN",
    "MIMI_CONTENT",
    "MIMI_STATUS",
    "TEXT_PLAIN",
    "TYPING",
    "Content",
    "ContentError",
    "Disposition",
    "Expiration",
    "ExternalPart",
    "MultiPart",
    "NullPart",
    "Part",
    "Semantics",
    "SinglePart",
    "check",
    "cid",
    "decode",
    "encode",
    "message_id",
    "reaction",
    "reactions",
    "referenced",
    "repaired",
    "text",
    "walk",
]

SALT_OCTETS: Final = 16
MESSAGE_ID_OCTETS: Final = 32
MAX_DEPTH: Final = 4
"""How many parts may lie inside one another, the outermost included."""
MAX_PARTS: Final = 1024
MAX_TOPIC_OCTETS: Final = 4096
MAX_EXPIRY_SECONDS: Final = 366 * 86_400
"""How far from now, either way, an expiry may lie: a year, and the day that some years have more."""


class ContentError(ProtocolError):
    """Not a MIMI content: bytes or an object outside the draft's structure or limits.

    ``steps`` lead to the offending item from the outermost array, by array indices and map keys; ``path`` is the same
    as text, and ``offset`` the byte at which the item starts, None when encoding.
    """

    code: ClassVar[str] = "content"

    def __init__(self, text: str, steps: tuple[Any, ...], offset: int | None = None) -> None:
        self.text = text
        self.steps = steps
        self.offset = offset
        self.path = cbor.spell(steps)
        super().__init__(f"{text} at {self.path}" + ("" if offset is None else f" (byte {offset})"))

    def inside(self, *steps: Any) -> ContentError:  # noqa: ANN401 - a map's key may be a step
        """Return the same error with ``steps`` before its own."""
        return type(self)(self.text, steps + self.steps)


class BadShape(ContentError):
    """An item of the wrong type, or an array with the wrong number of items."""

    code: ClassVar[str] = "content-shape"


class OutOfRange(ContentError):
    """A number or a length outside its range."""

    code: ClassVar[str] = "content-range"


class UnknownCardinality(ContentError):
    """A part that is neither empty, single, external nor multiple."""

    code: ClassVar[str] = "content-cardinality"


class UnknownSemantics(ContentError):
    """Several parts that belong together in a way that the draft does not know."""

    code: ClassVar[str] = "content-semantics"


class TooDeep(ContentError):
    """Parts, or extension values, nested more than four deep."""

    code: ClassVar[str] = "content-depth"


class TooManyParts(ContentError):
    """More than 1,024 parts."""

    code: ClassVar[str] = "content-parts"


class LongTopic(ContentError):
    """A topic of more than 4,096 octets."""

    code: ClassVar[str] = "content-topic"


class AbsurdExpiry(ContentError):
    """An expiry more than a year away."""

    code: ClassVar[str] = "content-expiry"


class BadExtensionKey(ContentError):
    """An extension key that is neither an integer nor text of 1 to 255 octets."""

    code: ClassVar[str] = "content-extension-key"


def decode(data: bytes, *, now: int | None = None) -> Content:
    """Return the content that ``data`` encodes.

    ``now``, in seconds since 1970, is what an absolute expiry is measured against; without it none is refused.
    Raises a ``CborError`` or a ``ContentError``; either says at which byte and in which item.
    """
    fields = cbor.decode(data)
    try:
        content = _content(fields)
        check(content, now=now)
    except ContentError as error:
        raise type(error)(error.text, error.steps, cbor.locate(data, error.steps)) from None
    return content


def encode(content: Content, *, now: int | None = None) -> bytes:
    """Return the deterministic encoding of ``content``; raise like ``decode`` unless ``decode`` would accept it."""
    check(content, now=now)
    expires = content.expires
    return cbor.encode(
        [
            content.salt,
            content.replaces,
            content.topic_id,
            None if expires is None else [expires.relative, expires.time],
            content.in_reply_to,
            content.extensions,
            _fields(content.part),
        ]
    )


def message_id(encoded: bytes, sender_uri: str, room_uri: str) -> bytes:
    """Return the id of the message whose encoding is ``encoded``: 0x01, then 31 octets of a SHA-256.

    The salt, which is hashed once more at the end, is read out of ``encoded``. Raises ``BadShape`` if that is no
    content or a URI no text that UTF-8 can hold, ``OutOfRange`` if a URI is too long for its length to be hashed.
    """
    if not encoded.startswith(_ID_PREFIX):
        raise BadShape("no content: it does not start with an array of seven and a salt of sixteen octets,", ())
    names = b"".join(map(_counted, (sender_uri, room_uri)))
    return b"\x01" + sha256(names + encoded + encoded[2 : 2 + SALT_OCTETS]).digest()[:31]


def _counted(uri: str) -> bytes:
    try:
        octets = uri.encode()
    except UnicodeEncodeError:
        raise BadShape("a URI with half of a surrogate pair", ()) from None
    if len(octets) > _UINT16:
        raise OutOfRange(f"a URI of {len(octets)} octets; {_UINT16} are allowed", ())
    return len(octets).to_bytes(2) + octets


# --- limits -----------------------------------------------------------------------------------------------------------
# A check raises an error whose steps lead on from the item that it was given; its caller puts the way there first.


def check(content: Content, *, now: int | None = None) -> None:
    """Raise a ``ContentError`` unless ``content`` follows the draft; ``now`` as for ``decode``."""
    _octets(content.salt, SALT_OCTETS, 0, "the salt")
    for step, named in ((1, content.replaces), (4, content.in_reply_to)):
        if named is not None:
            _octets(named, MESSAGE_ID_OCTETS, step, "a message id")
    _expect(content.topic_id, bytes, 2, "the topic")
    if len(content.topic_id) > MAX_TOPIC_OCTETS:
        raise LongTopic(f"a topic of {len(content.topic_id)} octets; {MAX_TOPIC_OCTETS} are allowed", (2,))
    if content.expires is not None:
        _check_expiry(content.expires, now)
    if type(content.extensions) is not dict:  # to ask whether it is a Mapping takes longer
        _expect(content.extensions, Mapping, 5, "the map of extensions")
    for key, value in content.extensions.items():
        _check_extension(key, value)
    try:
        _check_part(content.part, MAX_DEPTH, MAX_PARTS)
    except ContentError as error:
        raise error.inside(6) from None


def _expect(value: object, kind: type, step: int, name: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadShape(f"{name} is {type(value).__name__}, not {kind.__name__},", (step,))


def _octets(value: object, length: int, step: int, name: str) -> None:
    if not isinstance(value, bytes):
        raise BadShape(f"{name} is {type(value).__name__}, not bytes,", (step,))
    if len(value) != length:
        raise OutOfRange(f"{name} of {len(value)} octets instead of {length}", (step,))


def _check_expiry(expires: Expiration, now: int | None) -> None:
    _expect(expires, Expiration, 3, "the expiry")
    try:
        _expect(expires.relative, bool, 0, "whether the expiry is relative")
        _expect(expires.time, int, 1, "the expiry")
        if not 0 <= expires.time <= _UINT32:
            raise OutOfRange(f"the expiry is {expires.time}, not within 0..{_UINT32},", (1,))
    except ContentError as error:
        raise error.inside(3) from None
    start = 0 if expires.relative else expires.time if now is None else now
    if abs(expires.time - start) > MAX_EXPIRY_SECONDS:
        raise AbsurdExpiry(f"an expiry {abs(expires.time - start) // 86_400} days away", (3, 1))


def _check_extension(key: Any, value: Any) -> None:  # noqa: ANN401 - whatever a sender has made of them
    if isinstance(key, str):
        if not 0 < len(key.encode(errors="surrogatepass")) < 256:
            raise BadExtensionKey("an extension key of 0 or over 255 octets", (5,))
    elif not isinstance(key, int) or isinstance(key, bool):
        raise BadExtensionKey(f"an extension key that is {type(key).__name__}, not int or str,", (5,))
    if key in _URI_KEYS and not isinstance(value, str):
        raise BadShape(f"a URI is {type(value).__name__}, not str,", (5, key))
    if not isinstance(value, _LEAVES):
        try:
            _check_depth(value, MAX_DEPTH - 1)
        except ContentError as error:
            raise error.inside(5, key) from None


def _check_depth(value: object, depth: int) -> None:
    """Refuse more than ``depth`` levels of arrays, maps and tags."""
    inner: Iterable[tuple[Any, Any]]
    if isinstance(value, _LEAVES):
        return
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    elif isinstance(value, cbor.Tag):
        inner = ((cbor.TAGGED, value.value),)
    else:
        return
    if not depth:
        raise TooDeep(f"an extension nested more than {MAX_DEPTH} levels deep, the map of extensions included,", ())
    for step, item in inner:
        try:
            _check_depth(item, depth - 1)
        except ContentError as error:
            raise error.inside(step) from None


def _check_part(part: Part, depth: int, room: int) -> int:
    """Refuse a part outside the limits; return how many more parts there is room for after it."""
    if not depth:
        raise TooDeep(f"a part nested more than {MAX_DEPTH} levels deep", ())
    if not room:
        raise TooManyParts(f"more than {MAX_PARTS} parts", ())
    layout = _LAYOUT.get(type(part))
    if layout is None:
        raise BadShape(f"{type(part).__name__} instead of a part", ())
    for step, name, kind, limit in layout:
        value = getattr(part, name)
        if type(value) is not kind:
            _expect(value, kind, step, name)
        if kind is int and not 0 <= value <= limit:
            raise OutOfRange(f"{name} is {value}, not within 0..{limit},", (step,))
    return _check_parts(part, depth, room - 1) if isinstance(part, MultiPart) else room - 1


def _check_parts(part: MultiPart, depth: int, room: int) -> int:
    if part.semantics not in _SEMANTICS:
        raise UnknownSemantics(f"unknown part semantics {part.semantics}", (3,))
    if len(part.parts) < 2:
        raise BadShape("several parts that are fewer than two", (4,))
    for index, inner in enumerate(part.parts):
        try:
            room = _check_part(inner, depth - 1, room)
        except ContentError as error:
            raise error.inside(4, index) from None
    return room


# --- the arrays of the encoding ---------------------------------------------------------------------------------------


def _content(fields: object) -> Content:
    """Turn the array of seven into a ``Content``, believing it only as far as its structure goes."""
    salt, replaces, topic, expires, in_reply_to, extensions, part = _array(fields, (), 7, "a content")
    if expires is not None:
        expires = Expiration(*_array(expires, (3,), 2, "an expiry"))
    try:
        return Content(salt, _part(part), replaces, topic, expires, in_reply_to, extensions)
    except ContentError as error:
        raise error.inside(6) from None


def _array(value: object, steps: tuple[int, ...], length: int, name: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise BadShape(f"{name} that is not an array of {length} items", steps)
    return value


def _part(value: object) -> Part:
    if not isinstance(value, list) or len(value) < 3:
        raise BadShape("a part that is not an array of at least three items", ())
    disposition, language, cardinality, *fields = value
    if type(cardinality) is not int or cardinality not in _KINDS:
        raise UnknownCardinality("unknown cardinality", (2,))
    kind = _KINDS[cardinality]
    if len(value) != len(_LAYOUT[kind]) + 1:
        raise BadShape(f"a part of {len(value)} items where its kind has {len(_LAYOUT[kind]) + 1}", ())
    if kind is MultiPart:
        fields = [_known(fields[0], _SEMANTICS), _parts(fields[1])]
    part: Part = kind(*fields, disposition=_known(disposition, _DISPOSITIONS), language=language)
    return part


def _parts(value: object) -> tuple[Part, ...]:
    if not isinstance(value, list):
        raise BadShape("parts that are not an array", (4,))
    parts = []
    for index, inner in enumerate(value):
        try:
            parts.append(_part(inner))
        except ContentError as error:
            raise error.inside(4, index) from None
    return tuple(parts)


def _known(value: Any, members: Mapping[int, Any]) -> Any:  # noqa: ANN401
    """Return the enumeration's member for ``value``, or ``value`` itself if it has none."""
    return members.get(value, value) if type(value) is int else value


def _fields(part: Part) -> list[Any]:
    kind = type(part)
    fields = [getattr(part, name) for _, name, _, _ in _LAYOUT[kind]]
    if isinstance(part, MultiPart):
        fields[-1] = [_fields(inner) for inner in part.parts]
    fields.insert(2, _CARDINALITY[kind])
    return fields


_UINT8: Final = (1 << 8) - 1
_UINT16: Final = (1 << 16) - 1
_UINT32: Final = (1 << 32) - 1
_UINT64: Final = (1 << 64) - 1
_ID_PREFIX: Final = b"\x87\x50"
"""How every content starts: an array of seven, and a byte string of sixteen."""
_LEAVES: Final = (str, bytes, int)
_URI_KEYS: Final = frozenset({1, 2})
_CARDINALITY: Final[Mapping[type, int]] = {NullPart: 0, SinglePart: 1, ExternalPart: 2, MultiPart: 3}
_KINDS: Final[Mapping[int, Any]] = {cardinality: kind for kind, cardinality in _CARDINALITY.items()}
_DISPOSITIONS: Final = {member.value: member for member in Disposition}
_SEMANTICS: Final = {member.value: member for member in Semantics}

_Layout: TypeAlias = tuple[tuple[int, str, type, int], ...]
_EVERY: Final[_Layout] = ((0, "disposition", int, _UINT8), (1, "language", str, 0))
_LAYOUT: Final[Mapping[type, _Layout]] = {
    NullPart: _EVERY,
    SinglePart: (*_EVERY, (3, "content_type", str, 0), (4, "content", bytes, 0)),
    ExternalPart: (
        *_EVERY,
        (3, "content_type", str, 0),
        (4, "url", str, 0),
        (5, "expires", int, _UINT32),
        (6, "size", int, _UINT64),
        (7, "enc_alg", int, _UINT16),
        (8, "key", bytes, 0),
        (9, "nonce", bytes, 0),
        (10, "aad", bytes, 0),
        (11, "hash_alg", int, _UINT8),
        (12, "content_hash", bytes, 0),
        (13, "description", str, 0),
        (14, "filename", str, 0),
    ),
    MultiPart: (*_EVERY, (3, "semantics", int, _UINT64), (4, "parts", tuple, 0)),
}
"""The fields of each kind of part but its cardinality: place, attribute, type and, for a number, its maximum."""
