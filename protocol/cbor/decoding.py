"""Octets to values: one pass that reads and checks, and what finds an item's place when something is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from reprlib import repr as shorten
from struct import Struct as Layout
from typing import Any, Final, Never, TypeAlias

from protocol.cbor.encoding import FLOATS, shortest_float
from protocol.cbor.errors import (
    BadKey,
    BadUtf8,
    CborError,
    DuplicateKey,
    IndefiniteLength,
    KeyOrder,
    Malformed,
    NonCanonicalNan,
    NotShortest,
    TooDeep,
    TooManyItems,
    TrailingBytes,
    Truncated,
    spell,
)
from protocol.cbor.values import MAX_DEPTH, MAX_ITEMS, TAGGED, Simple, Tag, flaw_of_key, is_needless


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


_Reader: TypeAlias = "Callable[[_Decoder, int, int, Any], tuple[Any, int]]"


class _Decoder:
    """Reads items out of ``data``; what an item's first byte leads to, by way of ``_FIRST``, is a method of this class.

    It is told where the item starts, where to read on, and what the first byte holds beside; it returns the value and
    where the item ends. Only the first byte of an item is looked at without asking whether it is there, so an
    IndexError means that an item is missing.
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
            return read(self, start, start + 1, argument)
        return argument, start + 1

    def wide(self, start: int, position: int, announced: tuple[_Reader, int, int]) -> tuple[Any, int]:
        """Read an item whose argument follows its first byte in octets of its own: in how many, and at least what."""
        read, width, smallest = announced
        end = position + width
        if end > self.size:
            raise Truncated("the bytes end inside a head", start)
        argument = self.data[position] if width == 1 else int.from_bytes(self.data[position:end])
        if argument < smallest:
            raise NotShortest(f"{argument} is written in {width} octets, not in the fewest", start)
        return read(self, start, end, argument)

    def reserved(self, start: int, _: int, info: int) -> Never:
        """Refuse a first byte whose additional information announces no argument."""
        if info == 31:
            raise IndefiniteLength("a length is indefinite, or a break stands alone", start)
        raise Malformed(f"additional information {info} is reserved", start)

    def unsigned(self, start: int, position: int, argument: int) -> tuple[int, int]:
        return argument, position

    def negative(self, start: int, position: int, argument: int) -> tuple[int, int]:
        return ~argument, position

    def octets(self, start: int, position: int, length: int) -> tuple[bytes, int]:
        end = position + length
        if end > self.size:
            raise Truncated(f"{end - self.size} octets of a string are missing", start)
        return self.data[position:end], end

    def text(self, start: int, position: int, length: int) -> tuple[str, int]:
        end = position + length
        if end > self.size:
            raise Truncated(f"{end - self.size} octets of a string are missing", start)
        try:
            return self.data[position:end].decode(), end
        except UnicodeDecodeError as error:
            raise BadUtf8(f"text is not UTF-8 from its octet {error.start} on", start) from None

    def array(self, start: int, position: int, length: int) -> tuple[list[Any], int]:
        self.enter(start, position, length)
        data = self.data
        items: list[Any] = []
        for _ in range(length):
            read, value = _FIRST[data[position]]  # what item() does, without the call
            if read:
                value, position = read(self, position, position + 1, value)
            else:
                position += 1
            items.append(value)
        self.depth += 1
        return items, position

    def map(self, start: int, position: int, length: int) -> tuple[dict[Any, Any], int]:
        self.enter(start, position, 2 * length)
        entries: dict[Any, Any] = {}
        previous = b""
        for _ in range(length):
            key, end = self.item(position)
            if flaw := flaw_of_key(key):
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

    def tag(self, start: int, position: int, number: int) -> tuple[Tag, int]:
        self.enter(start, position, 1)
        value, end = self.item(position)
        if is_needless(number, value):
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

    def simple(self, start: int, position: int, _: None) -> tuple[Simple, int]:
        """Read a simple value of two bytes."""
        if position == self.size:
            raise Truncated("the bytes end inside a simple value", start)
        value = self.data[position]
        if value < 32:
            raise Malformed(f"simple value {value} is written in two bytes", start)
        return Simple(value), position + 1

    def number(self, start: int, position: int, layout: Layout) -> tuple[float, int]:
        """Read a float."""
        end = position + layout.size
        if end > self.size:
            raise Truncated("the bytes end inside a float", start)
        number: float = layout.unpack_from(self.data, position)[0]
        shortest = shortest_float(number)
        if self.data[start:end] != shortest:
            if number != number:
                raise NonCanonicalNan("a NaN is not written as f97e00", start)
            raise NotShortest(f"{number!r} is not written as {shortest.hex()}", start)
        return number, end


_READERS: Final[tuple[_Reader, ...]] = (
    _Decoder.unsigned,
    _Decoder.negative,
    _Decoder.octets,
    _Decoder.text,
    _Decoder.array,
    _Decoder.map,
    _Decoder.tag,
)
"""What reads an item of which major type once its argument is known."""

_WIDE: Final = {24: (1, 24), 25: (2, 1 << 8), 26: (4, 1 << 16), 27: (8, 1 << 32)}
"""How many octets an argument takes, by additional information, and the smallest that needs them."""

_WORDS: Final[Mapping[int, Any]] = {20: False, 21: True, 22: None}


def _first(octet: int) -> tuple[_Reader | None, Any]:
    """Return what reads on after this first byte of an item, and what it is told; None and the value if that is all."""
    major, info = octet >> 5, octet & 31
    if info > 27:
        return _Decoder.reserved, info
    if major == 7:
        if info > 24:
            return _Decoder.number, FLOATS[info]
        return (_Decoder.simple, None) if info == 24 else (None, _WORDS.get(info, Simple(info)))
    if info > 23:
        return _Decoder.wide, (_READERS[major], *_WIDE[info])
    if major < 2:
        return None, ~info if major else info
    return _READERS[major], info


_FIRST: Final = tuple(map(_first, range(256)))


# --- where ------------------------------------------------------------------------------------------------------------


def path_to(data: bytes, offset: int) -> str:
    """Return the path of the item that starts at ``offset``, everything before it being well-formed."""
    return spell(next(path for start, path in _walk(data, 0, ()) if start == offset))


def locate(data: bytes, path: tuple[Any, ...]) -> int:
    """Return the offset at which the item at ``path`` starts in valid ``data``."""
    return next(start for start, found in _walk(data, 0, ()) if found == path)


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
