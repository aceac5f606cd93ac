"""Values to octets: what a value's type leads to writes it, in the shortest form and with map keys in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from reprlib import repr as shorten
from struct import Struct as Layout
from typing import Any, Final

from protocol.cbor.errors import (
    BadKey,
    BadUtf8,
    CborError,
    IntegerRange,
    NotEncodable,
    NotShortest,
    TooDeep,
    TooManyItems,
    spell,
)
from protocol.cbor.values import MAX_DEPTH, MAX_ITEMS, TAGGED, Simple, Tag, flaw_of_key, is_needless


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
        self.chunks.append(shortest_float(value))

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
        if is_needless(tag.number, tag.value):
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
                return self.setdefault(kind, self[base])
        if issubclass(kind, Mapping):
            return self.setdefault(kind, self[dict])
        raise NotEncodable(f"a value of type {kind.__name__} has no encoding")


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
    if flaw := flaw_of_key(key):
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


def shortest_float(number: float) -> bytes:
    """Return the shortest float that holds ``number`` without loss."""
    if number != number:
        return b"\xf9\x7e\x00"
    for info in (25, 26):
        layout = FLOATS[info]
        try:
            raw = layout.pack(number)
        except OverflowError:
            continue
        if layout.unpack(raw)[0] == number:
            return bytes((0xE0 | info,)) + raw
    return b"\xfb" + FLOATS[27].pack(number)


FLOATS: Final = {25: Layout(">e"), 26: Layout(">f"), 27: Layout(">d")}
"""The widths of floats, by the additional information of their first byte."""
