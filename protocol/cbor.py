"""Deterministic CBOR (RFC 8949, section 4.2.1), strict both ways.

One pass decodes and checks: a byte string is accepted only if ``encode(decode(data)) == data``, so two parties that
hold equal values hold equal bytes, and a message id computed from bytes means one thing. Refused, each with an error
that says at which byte and in which item: forms that are not the shortest, indefinite lengths, map keys out of order
or twice, text that is not UTF-8, a NaN other than ``f97e00``, nesting deeper than ``MAX_DEPTH``, more than
``MAX_ITEMS`` items, bytes missing or left over. MIMI content (section 6.2 of its draft) narrows map keys further, to
text, bytes and integers within +-(2^53 - 1), and so does this module.

Types: integers of 64 bits, ``bytes``, ``str``, ``list`` (a tuple is encoded like one), ``dict``, ``bool``, ``None``,
``float``, and two that Python lacks: ``Tag`` and ``Simple``. Tags are carried, never interpreted: interpreting them is
how a few bytes become a gigabyte. Work and memory are linear in the number of bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from reprlib import repr as shorten
from struct import Struct as Layout
from typing import Any, ClassVar, Final

from msgspec import Struct

from protocol.errors import ProtocolError

MAX_DEPTH: Final = 16
"""How many arrays, maps and tags may lie inside one another; MIMI content needs 12."""

MAX_ITEMS: Final = 65_536
"""How many items one encoding may hold in all; a content of 1,024 external parts has 16,000."""

MAX_INTEGER_KEY: Final = 2**53 - 1
"""The largest magnitude of an integer key: what every language can represent."""


class Tag(Struct, frozen=True):
    """A tagged value, uninterpreted."""

    number: int
    value: Any


class Simple(Struct, frozen=True):
    """A simple value that Python has no word for: 0..19, 23 (undefined) or 32..255."""

    value: int


TAGGED: Final = "tagged"
"""The step of a path that leads from a tag to its value."""


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


# --- decoding ---------------------------------------------------------------------------------------------------------


def decode(data: bytes) -> Any:  # noqa: ANN401 - CBOR holds anything
    """Return the one item that ``data`` holds; raise a ``CborError`` that says what is wrong and where."""
    try:
        value, end = _Decoder(data).item(0, MAX_DEPTH)
    except CborError as error:
        raise type(error)(error.text, error.offset, path_to(data, error.offset or 0)) from None
    if end != len(data):
        raise TrailingBytes(f"{len(data) - end} bytes are left over", end)
    return value


class _Decoder:
    """Reads items out of ``data``: a method takes where an item starts and returns where it ends beside its value."""

    __slots__ = ("data", "room")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.room = MAX_ITEMS

    def item(self, start: int, depth: int) -> tuple[Any, int]:
        """Read any one item; ``depth`` more containers may lie inside one another here."""
        data = self.data
        try:
            first = data[start]
        except IndexError:
            raise Truncated("an item is missing", start) from None
        if first < 24:
            return first, start + 1
        if first == 0xF6:
            return None, start + 1
        major, argument = first >> 5, first & 31
        if major == 7:
            return self._simple(start, argument)
        position = start + 1
        if argument > 23:
            argument, position = self._argument(start, argument)
        if major == 2 or major == 3:
            end = position + argument
            if end > len(data):
                raise Truncated(f"{end - len(data)} octets of a string are missing", start)
            if major == 2:
                return data[position:end], end
            try:
                return str(data[position:end], "utf-8"), end
            except UnicodeDecodeError as error:
                raise BadUtf8(f"text is not UTF-8 from its octet {error.start} on", start) from None
        if major < 2:
            return (~argument if major else argument), position
        if not depth:
            raise TooDeep(f"nesting is deeper than {MAX_DEPTH}", start)
        if major == 4:
            return self._array(start, position, argument, depth - 1)
        if major == 5:
            return self._map(start, position, argument, depth - 1)
        return self._tag(start, position, argument, depth - 1)

    def _argument(self, start: int, info: int) -> tuple[int, int]:
        """Read the argument that follows a first byte whose additional information is over 23."""
        if info > 27:
            raise _no_width(start, info)
        data, end = self.data, start + 1 + _WIDTHS[info]
        if end > len(data):
            raise Truncated("the bytes end inside a head", start)
        argument = data[start + 1] if info == 24 else int.from_bytes(data[start + 1 : end])
        if argument < _SMALLEST[info]:
            raise NotShortest(f"{argument} is written in {_WIDTHS[info]} octets, not in the fewest", start)
        return argument, end

    def _reserve(self, start: int, items: int, bytes_left: int) -> None:
        """Refuse a container that promises more items than there are bytes or than anyone needs."""
        if items > bytes_left:
            raise Truncated(f"{items} items cannot fit into the {bytes_left} bytes left", start)
        self.room -= items
        if self.room < 0:
            raise TooManyItems(f"more than {MAX_ITEMS} items", start)

    def _array(self, start: int, position: int, length: int, depth: int) -> tuple[list[Any], int]:
        self._reserve(start, length, len(self.data) - position)
        item = self.item
        items: list[Any] = []
        for _ in range(length):
            value, position = item(position, depth)
            items.append(value)
        return items, position

    def _map(self, start: int, position: int, length: int, depth: int) -> tuple[dict[Any, Any], int]:
        self._reserve(start, 2 * length, len(self.data) - position)
        item, data = self.item, self.data
        entries: dict[Any, Any] = {}
        previous = b""
        for _ in range(length):
            key, end = item(position, depth)
            if flaw := _flaw_of_key(key):
                raise BadKey(flaw, position)
            encoded = data[position:end]
            if encoded <= previous:
                if encoded == previous:
                    raise DuplicateKey(f"the key {shorten(key)} occurs twice", position)
                raise KeyOrder(f"the key {shorten(key)} sorts before the key that precedes it", position)
            previous = encoded
            entries[key], position = item(end, depth)
        return entries, position

    def _tag(self, start: int, position: int, number: int, depth: int) -> tuple[Tag, int]:
        self._reserve(start, 1, len(self.data) - position)
        value, end = self.item(position, depth)
        if number in _BIGNUMS and _fits(value):
            raise NotShortest("a big number is written where an integer would do", start)
        return Tag(number, value), end

    def _simple(self, start: int, info: int) -> tuple[Any, int]:
        """Read what major type 7 holds beside null: booleans, other simple values and floats."""
        if info < 24:
            return _BOOLEANS.get(info, Simple(info)), start + 1
        if info > 27:
            raise _no_width(start, info)
        end = start + 1 + _WIDTHS[info]
        raw = self.data[start + 1 : end]
        if len(raw) < _WIDTHS[info]:
            raise Truncated("the bytes end inside a float or a simple value", start)
        if info == 24:
            if raw[0] < 32:
                raise Malformed(f"simple value {raw[0]} is written in two bytes", start)
            return Simple(raw[0]), end
        number: float = _FLOATS[info].unpack(raw)[0]
        shortest = _float(number)
        if self.data[start:end] != shortest:
            if number != number:
                raise NonCanonicalNan("a NaN is not written as f97e00", start)
            raise NotShortest(f"{number!r} is not written as {shortest.hex()}", start)
        return number, end


def _no_width(start: int, info: int) -> CborError:
    """Say what is wrong with a first byte whose additional information announces no argument."""
    if info == 31:
        return IndefiniteLength("a length is indefinite, or a break stands alone", start)
    return Malformed(f"additional information {info} is reserved", start)


_WIDTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}
_SMALLEST: Final = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
_FLOATS: Final = {25: Layout(">e"), 26: Layout(">f"), 27: Layout(">d")}
_BOOLEANS: Final[Mapping[int, Any]] = {20: False, 21: True}
_BIGNUMS: Final = frozenset({2, 3})


def _fits(magnitude: Any) -> bool:  # noqa: ANN401
    """Say whether the magnitude of a big number has a shorter form: fewer octets, or an integer of 64 bits."""
    return isinstance(magnitude, bytes) and (len(magnitude) <= 8 or not magnitude[0])


def _flaw_of_key(key: Any) -> str:  # noqa: ANN401
    """Say in words why ``key`` cannot be the key of a map; '' if it can."""
    if isinstance(key, str | bytes):
        return ""
    if isinstance(key, bool) or not isinstance(key, int):
        return "a key of a map must be an integer, text or bytes"
    if -MAX_INTEGER_KEY <= key <= MAX_INTEGER_KEY:
        return ""
    return "an integer key of a map lies outside +-(2^53 - 1)"


# --- encoding ---------------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:  # noqa: ANN401 - CBOR holds anything
    """Return the one encoding of ``value`` that ``decode`` accepts; raise a ``CborError`` if it has none."""
    encoder = _Encoder()
    try:
        encoder.item(value, MAX_DEPTH)
    except CborError as error:
        raise type(error)(error.text, path=spell(tuple(reversed(encoder.trail)))) from None
    return b"".join(encoder.chunks)


def head(major: int, argument: int) -> bytes:
    """Return the shortest head of major type ``major`` (0..7) with ``argument``."""
    initial = major << 5
    if argument < 24:
        return _OCTETS[initial | argument]
    if argument < 1 << 8:
        return _OCTETS[initial | 24] + _OCTETS[argument]
    if argument < 1 << 16:
        return _OCTETS[initial | 25] + argument.to_bytes(2)
    if argument < 1 << 32:
        return _OCTETS[initial | 26] + argument.to_bytes(4)
    return _OCTETS[initial | 27] + argument.to_bytes(8)


_OCTETS: Final = tuple(bytes((octet,)) for octet in range(256))


class _Encoder:
    """Writes items into ``chunks``; of one that cannot be written, ``trail`` holds the path, innermost step first."""

    __slots__ = ("chunks", "room", "trail")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.trail: list[Any] = []
        self.room = MAX_ITEMS

    def item(self, value: Any, depth: int) -> None:  # noqa: ANN401
        """Write any one item; ``depth`` more containers may lie inside one another here."""
        write = self.chunks.append
        if isinstance(value, str):
            raw = _utf8(value)
            write(head(3, len(raw)) + raw)
        elif isinstance(value, bytes):
            write(head(2, len(value)))
            write(value)
        elif value is None:
            write(b"\xf6")
        elif isinstance(value, bool):
            write(b"\xf5" if value else b"\xf4")
        elif isinstance(value, int):
            if not -(1 << 64) <= value < 1 << 64:
                raise IntegerRange(f"an integer of {value.bit_length()} bits does not fit into 64")
            write(head(0, value) if value >= 0 else head(1, ~value))
        elif isinstance(value, float):
            write(_float(value))
        elif isinstance(value, Simple):
            write(_simple(value.value))
        elif not depth:
            raise TooDeep(f"nesting is deeper than {MAX_DEPTH}")
        elif isinstance(value, list | tuple):
            self._head(4, len(value), len(value))
            for index, inner in enumerate(value):
                self._inner(index, inner, depth - 1)
        elif isinstance(value, Mapping):
            self._map(value, depth - 1)
        elif isinstance(value, Tag):
            self._tag(value, depth - 1)
        else:
            raise NotEncodable(f"a value of type {type(value).__name__} has no encoding")

    def _head(self, major: int, argument: int, items: int) -> None:
        """Write the head of a container of ``items`` items."""
        self.room -= items
        if self.room < 0:
            raise TooManyItems(f"more than {MAX_ITEMS} items")
        self.chunks.append(head(major, argument))

    def _inner(self, step: Any, value: Any, depth: int) -> None:  # noqa: ANN401
        try:
            self.item(value, depth)
        except CborError:
            self.trail.append(step)
            raise

    def _map(self, entries: Mapping[Any, Any], depth: int) -> None:
        self._head(5, len(entries), 2 * len(entries))
        for raw, key in sorted((_encoded_key(key), key) for key in entries):
            self.chunks.append(raw)
            self._inner(key, entries[key], depth)

    def _tag(self, tag: Tag, depth: int) -> None:
        if not 0 <= tag.number < 1 << 64:
            raise NotEncodable(f"a tag cannot be numbered {tag.number}")
        if tag.number in _BIGNUMS and _fits(tag.value):
            raise NotShortest("a big number is written where an integer would do")
        self._head(6, tag.number, 1)
        self._inner(TAGGED, tag.value, depth)


def _encoded_key(key: Any) -> bytes:  # noqa: ANN401
    if flaw := _flaw_of_key(key):
        raise BadKey(f"{flaw}: {shorten(key)}")
    encoder = _Encoder()
    encoder.item(key, 0)
    return b"".join(encoder.chunks)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadUtf8(f"character {error.start} of the text is half of a surrogate pair") from None


def _simple(value: int) -> bytes:
    if 0 <= value < 20 or value == 23 or 32 <= value < 256:
        return head(7, value)
    raise NotEncodable(f"there is no simple value {value}")


def _float(number: float) -> bytes:
    """Return the shortest float that holds ``number`` without loss."""
    if number != number:
        return b"\xf9\x7e\x00"
    for info in (25, 26):
        layout = _FLOATS[info]
        try:
            raw = layout.pack(number)
        except OverflowError:
            continue
        if layout.unpack(raw)[0] == number:
            return bytes((0xE0 | info,)) + raw
    return b"\xfb" + _FLOATS[27].pack(number)


# --- where ------------------------------------------------------------------------------------------------------------


def path_to(data: bytes, offset: int) -> str:
    """Return the path of the item that starts at ``offset``, everything before it being well-formed."""
    return spell(next(path for start, path in _walk(data, 0, ()) if start == offset))


def locate(data: bytes, path: tuple[Any, ...]) -> int:
    """Return the offset at which the item at ``path`` starts in valid ``data``."""
    return next(start for start, found in _walk(data, 0, ()) if found == path)


def spell(path: tuple[Any, ...]) -> str:
    """Return a path the way that errors write it: ``$[6][4]``."""
    return "$" + "".join(f"[{shorten(step)}]" for step in path)


def _walk(data: bytes, start: int, path: tuple[Any, ...]) -> Generator[tuple[int, tuple[Any, ...]], None, int]:
    """Yield where each item starts and the path to it, in order; return where the outermost one ends.

    A map's key has the path of its map.
    """
    yield start, path
    major, info = data[start] >> 5, data[start] & 31
    width = 1 << (info - 24) if info > 23 else 0
    position = start + 1 + width
    argument = int.from_bytes(data[start + 1 : position]) if width else info
    if major in {2, 3}:
        return position + argument
    if major == 4:
        for index in range(argument):
            position = yield from _walk(data, position, (*path, index))
    elif major == 5:
        for _ in range(argument):
            end = yield from _walk(data, position, path)
            key, _ = _Decoder(data).item(position, MAX_DEPTH)
            position = yield from _walk(data, end, (*path, key))
    elif major == 6:
        position = yield from _walk(data, position, (*path, TAGGED))
    return position
