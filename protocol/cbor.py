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

from collections.abc import Callable, Generator, Mapping, Sequence
from reprlib import repr as shorten
from struct import Struct as Layout
from typing import Any, ClassVar, Final, TypeAlias

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
        value, end = _decoded(data, 0)
    except CborError as error:
        raise type(error)(error.text, error.offset, path_to(data, error.offset or 0)) from None
    if end != len(data):
        raise TrailingBytes(f"{len(data) - end} bytes are left over", end)
    return value


def _decoded(data: bytes, start: int) -> tuple[Any, int]:
    """Return the item that starts at ``start``, and where it ends."""
    try:
        return _Decoder(data).item(start)
    except IndexError:
        raise Truncated("an item is missing", len(data)) from None


class _Decoder:
    """Reads items out of ``data``: each method takes where an item starts and returns its value and where it ends.

    An item's first byte leads to what reads it by way of ``_FIRST``. No method looks before it takes the first byte of
    an item: an IndexError says that the data ended where an item should have started.
    """

    __slots__ = ("data", "depth", "room", "size")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.depth = MAX_DEPTH  # how many more containers may lie inside one another
        self.room = MAX_ITEMS  # how many more items there may be

    def item(self, start: int) -> tuple[Any, int]:
        """Read any one item."""
        read, argument = _FIRST[self.data[start]]
        if read:
            return read(self, start, argument)
        return argument, start + 1

    def argument(self, start: int) -> tuple[int, int]:
        """Read the argument that follows the first byte in octets of its own; return it and where it ends."""
        info = self.data[start] & 31
        if info > 27:
            raise _no_width(start, info)
        width, smallest = _ARGUMENTS[info]
        end = start + 1 + width
        if end > self.size:
            raise Truncated("the bytes end inside a head", start)
        argument = self.data[start + 1] if width == 1 else int.from_bytes(self.data[start + 1 : end])
        if argument < smallest:
            raise NotShortest(f"{argument} is written in {width} octets, not in the fewest", start)
        return argument, end

    def unsigned(self, start: int, _: None) -> tuple[int, int]:
        return self.argument(start)

    def negative(self, start: int, _: None) -> tuple[int, int]:
        argument, end = self.argument(start)
        return ~argument, end

    def octets(self, start: int, length: int | None) -> tuple[bytes, int]:
        position = start + 1
        if length is None:
            length, position = self.argument(start)
        end = position + length
        if end > self.size:
            raise Truncated(f"{end - self.size} octets of a string are missing", start)
        return self.data[position:end], end

    def text(self, start: int, length: int | None) -> tuple[str, int]:
        position = start + 1
        if length is None:
            length, position = self.argument(start)
        end = position + length
        if end > self.size:
            raise Truncated(f"{end - self.size} octets of a string are missing", start)
        try:
            return self.data[position:end].decode(), end
        except UnicodeDecodeError as error:
            raise BadUtf8(f"text is not UTF-8 from its octet {error.start} on", start) from None

    def array(self, start: int, length: int | None) -> tuple[list[Any], int]:
        position = start + 1
        if length is None:
            length, position = self.argument(start)
        self.enter(start, position, length)
        data = self.data
        items: list[Any] = []
        for _ in range(length):
            read, value = _FIRST[data[position]]  # what item() does, without the call
            if read:
                value, position = read(self, position, value)
            else:
                position += 1
            items.append(value)
        self.depth += 1
        return items, position

    def map(self, start: int, length: int | None) -> tuple[dict[Any, Any], int]:
        position = start + 1
        if length is None:
            length, position = self.argument(start)
        self.enter(start, position, 2 * length)
        entries: dict[Any, Any] = {}
        previous = b""
        for _ in range(length):
            key, end = self.item(position)
            if flaw := _flaw_of_key(key):
                raise BadKey(flaw, position)
            encoded = self.data[position:end]
            if encoded <= previous:
                if encoded == previous:
                    raise DuplicateKey(f"the key {shorten(key)} occurs twice", position)
                raise KeyOrder(f"the key {shorten(key)} sorts before the key that precedes it", position)
            previous = encoded
            entries[key], position = self.item(end)
        self.depth += 1
        return entries, position

    def tag(self, start: int, number: int | None) -> tuple[Tag, int]:
        position = start + 1
        if number is None:
            number, position = self.argument(start)
        self.enter(start, position, 1)
        value, end = self.item(position)
        if number in _BIGNUMS and _fits(value):
            raise NotShortest("a big number is written where an integer would do", start)
        self.depth += 1
        return Tag(number, value), end

    def enter(self, start: int, position: int, items: int) -> None:
        """Refuse a container that lies too deep, or promises more items than there are bytes or than anyone needs."""
        if not self.depth:
            raise TooDeep(f"nesting is deeper than {MAX_DEPTH}", start)
        if items > self.size - position:
            raise Truncated(f"{items} items cannot fit into the {self.size - position} bytes left", start)
        self.room -= items
        if self.room < 0:
            raise TooManyItems(f"more than {MAX_ITEMS} items", start)
        self.depth -= 1

    def simple(self, start: int, _: None) -> tuple[Any, int]:
        """Read a float, or a simple value of two bytes."""
        info = self.data[start] & 31
        if info > 27:
            raise _no_width(start, info)
        width = _ARGUMENTS[info][0]
        end = start + 1 + width
        raw = self.data[start + 1 : end]
        if len(raw) < width:
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


_ARGUMENTS: Final = {24: (1, 24), 25: (2, 1 << 8), 26: (4, 1 << 16), 27: (8, 1 << 32)}
"""How many octets an argument takes, by additional information, and the smallest that needs them."""
_FLOATS: Final = {25: Layout(">e"), 26: Layout(">f"), 27: Layout(">d")}
_WORDS: Final[Mapping[int, Any]] = {20: False, 21: True, 22: None}
_BIGNUMS: Final = frozenset({2, 3})

_Reader: TypeAlias = Callable[[_Decoder, int, Any], tuple[Any, int]]
_READERS: Final[tuple[_Reader, ...]] = (
    _Decoder.unsigned,
    _Decoder.negative,
    _Decoder.octets,
    _Decoder.text,
    _Decoder.array,
    _Decoder.map,
    _Decoder.tag,
    _Decoder.simple,
)


def _first(octet: int) -> tuple[_Reader | None, Any]:
    """Return what reads an item with this first byte, and its argument if the byte holds it; or None and the value."""
    major, info = octet >> 5, octet & 31
    if info > 23:
        return _READERS[major], None
    if major == 0:
        return None, info
    if major == 1:
        return None, ~info
    if major == 7:
        return None, _WORDS.get(info, Simple(info))
    return _READERS[major], info


_FIRST: Final = tuple(map(_first, range(256)))


def _fits(magnitude: Any) -> bool:  # noqa: ANN401
    """Say whether the magnitude of a big number has a shorter form: fewer octets, or an integer of 64 bits."""
    return isinstance(magnitude, bytes) and (len(magnitude) <= 8 or not magnitude[0])


def _flaw_of_key(key: Any) -> str:  # noqa: ANN401
    """Say in words why ``key`` cannot be the key of a map; '' if it can."""
    if isinstance(key, (str, bytes)):
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
        encoder.item(value)
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

    __slots__ = ("chunks", "depth", "room", "trail")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.trail: list[Any] = []
        self.depth = MAX_DEPTH  # how many more containers may lie inside one another
        self.room = MAX_ITEMS  # how many more items there may be

    def item(self, value: Any) -> None:  # noqa: ANN401
        """Write any one item."""
        _WRITERS[type(value)](self, value)

    def null(self, _: None) -> None:
        self.chunks.append(b"\xf6")

    def boolean(self, value: bool) -> None:
        self.chunks.append(b"\xf5" if value else b"\xf4")

    def integer(self, value: int) -> None:
        self.chunks.append(_OCTETS[value] if 0 <= value < 24 else _integer(value))

    def number(self, value: float) -> None:
        self.chunks.append(_float(value))

    def simple(self, simple: Simple) -> None:
        if not (0 <= simple.value < 20 or simple.value == 23 or 32 <= simple.value < 256):
            raise NotEncodable(f"there is no simple value {simple.value}")
        self.chunks.append(head(7, simple.value))

    def octets(self, value: bytes) -> None:
        self.chunks.append(head(2, len(value)))
        self.chunks.append(value)

    def text(self, value: str) -> None:
        octets = _utf8(value)
        self.chunks.append(head(3, len(octets)))
        self.chunks.append(octets)

    def array(self, items: Sequence[Any]) -> None:
        self.enter(4, len(items), len(items))
        index = 0
        try:
            for index, value in enumerate(items):  # noqa: B007 - the path names the index of what cannot be written
                _WRITERS[type(value)](self, value)
        except CborError:
            self.trail.append(index)
            raise
        self.depth += 1

    def map(self, entries: Mapping[Any, Any]) -> None:
        self.enter(5, len(entries), 2 * len(entries))
        for encoded, key in sorted([(_key(key), key) for key in entries]):
            self.chunks.append(encoded)
            self.inner(key, entries[key])
        self.depth += 1

    def tag(self, tag: Tag) -> None:
        if not 0 <= tag.number < 1 << 64:
            raise NotEncodable(f"a tag cannot be numbered {tag.number}")
        if tag.number in _BIGNUMS and _fits(tag.value):
            raise NotShortest("a big number is written where an integer would do")
        self.enter(6, tag.number, 1)
        self.inner(TAGGED, tag.value)
        self.depth += 1

    def enter(self, major: int, argument: int, items: int) -> None:
        """Write the head of a container of ``items`` items."""
        if not self.depth:
            raise TooDeep(f"nesting is deeper than {MAX_DEPTH}")
        self.room -= items
        if self.room < 0:
            raise TooManyItems(f"more than {MAX_ITEMS} items")
        self.depth -= 1
        self.chunks.append(head(major, argument))

    def inner(self, step: Any, value: Any) -> None:  # noqa: ANN401
        """Write what ``step`` leads to from its container."""
        try:
            _WRITERS[type(value)](self, value)
        except CborError:
            self.trail.append(step)
            raise


class _Writers(dict[type, Callable[[_Encoder, Any], None]]):
    """What writes a value of which type. A type that is new here is written like the first of its bases that is not."""

    def __missing__(self, kind: type) -> Callable[[_Encoder, Any], None]:
        for base in kind.__mro__:
            if base in self:
                break
        else:
            if not issubclass(kind, Mapping):
                raise NotEncodable(f"a value of type {kind.__name__} has no encoding")
            base = dict
        return self.setdefault(kind, self[base])


_WRITERS: Final = _Writers(
    {
        type(None): _Encoder.null,
        bool: _Encoder.boolean,
        int: _Encoder.integer,
        float: _Encoder.number,
        Simple: _Encoder.simple,
        bytes: _Encoder.octets,
        str: _Encoder.text,
        list: _Encoder.array,
        tuple: _Encoder.array,
        dict: _Encoder.map,
        Tag: _Encoder.tag,
    }
)


def _key(key: Any) -> bytes:  # noqa: ANN401
    """Return the encoding of the key of a map."""
    if flaw := _flaw_of_key(key):
        raise BadKey(f"{flaw}: {shorten(key)}")
    if isinstance(key, int):
        return _integer(key)
    octets = _utf8(key) if isinstance(key, str) else key
    return head(3 if isinstance(key, str) else 2, len(octets)) + octets


def _integer(value: int) -> bytes:
    if not -(1 << 64) <= value < 1 << 64:
        raise IntegerRange(f"an integer of {value.bit_length()} bits does not fit into 64")
    return head(0, value) if value >= 0 else head(1, ~value)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadUtf8(f"character {error.start} of the text is half of a surrogate pair") from None


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
            key, _ = _decoded(data, position)
            position = yield from _walk(data, end, (*path, key))
    elif major == 6:
        position = yield from _walk(data, position, (*path, TAGGED))
    return position
