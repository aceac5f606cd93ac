"""The TLS presentation language with variable-length vectors (RFC 9420 §2.1).

Writing is plain functions that return bytes; reading is one ``Reader`` that never looks beyond its own end,
so a length that promises more than is there is refused before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from protocol.mls.errors import DecodeError, LengthError

T = TypeVar("T")

MAX_VECTOR = (1 << 30) - 1
_SHORT = [bytes((size,)) for size in range(0x40)]


def u8(value: int) -> bytes:
    """Encode an unsigned 8-bit integer."""
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    """Encode an unsigned 16-bit integer."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """Encode an unsigned 32-bit integer."""
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    """Encode an unsigned 64-bit integer."""
    return value.to_bytes(8, "big")


def varint(value: int) -> bytes:
    """Encode a length in its shortest form: 6, 14 or 30 bits after a two-bit prefix."""
    if value < 0x40:
        return value.to_bytes(1, "big")
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2, "big")
    if value <= MAX_VECTOR:
        return (value | 0x80000000).to_bytes(4, "big")
    raise LengthError(f"a vector of {value} bytes is longer than the encoding can say")


def vec(data: bytes) -> bytes:
    """Encode ``opaque data<V>``: its length, then the bytes."""
    size = len(data)
    return (_SHORT[size] if size < 0x40 else varint(size)) + data


def vec_of(items: Iterable[bytes]) -> bytes:
    """Encode a vector of elements that are already encoded."""
    return vec(b"".join(items))


def vec_u16(numbers: Sequence[int]) -> bytes:
    """Encode a vector of unsigned 16-bit integers."""
    return vec(struct.pack(f">{len(numbers)}H", *numbers))


def optional(data: bytes | None) -> bytes:
    """Encode ``optional<T>`` from the encoded value, or from None where it is absent."""
    return b"\x00" if data is None else b"\x01" + data


class Reader:
    """Reads one buffer from front to back; every method raises ``DecodeError`` rather than guess."""

    __slots__ = ("data", "end", "pos")

    def __init__(self, data: bytes, pos: int = 0, end: int | None = None) -> None:
        self.data = data
        self.pos = pos
        self.end = len(data) if end is None else end

    def take(self, size: int) -> bytes:
        """Read exactly ``size`` bytes."""
        start, stop = self.pos, self.pos + size
        if stop > self.end:
            raise LengthError(f"{size} bytes wanted at offset {start}, {self.end - start} left")
        self.pos = stop
        return self.data[start:stop]

    def u8(self) -> int:
        """Read an unsigned 8-bit integer."""
        start = self.pos
        if start >= self.end:
            raise LengthError(f"an octet wanted at offset {start}, and none left")
        self.pos = start + 1
        return self.data[start]

    def u16(self) -> int:
        """Read an unsigned 16-bit integer."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Read an unsigned 32-bit integer."""
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        """Read an unsigned 64-bit integer."""
        return int.from_bytes(self.take(8), "big")

    def varint(self) -> int:
        """Read a vector's length; only the shortest form is valid."""
        first = self.u8()
        prefix = first >> 6
        if prefix == 0:
            return first
        if prefix == 3:
            raise LengthError(f"invalid length prefix at offset {self.pos - 1}")
        size = 1 if prefix == 1 else 3
        value = ((first & 0x3F) << (8 * size)) | int.from_bytes(self.take(size), "big")
        if value < (0x40 if prefix == 1 else 0x4000):
            raise LengthError(f"length {value} at offset {self.pos - size - 1} is not in its shortest form")
        return value

    def vec(self) -> bytes:
        """Read ``opaque<V>``."""
        start = self.pos
        size = self.data[start] if start < self.end else 0x40
        if size >= 0x40:
            return self.take(self.varint())
        stop = start + 1 + size
        if stop > self.end:
            raise LengthError(f"a vector of {size} bytes at offset {start}, {self.end - start - 1} left")
        self.pos = stop
        return self.data[start + 1 : stop]

    def sub(self) -> Reader:
        """Return a reader over the contents of the next vector, and step over it."""
        size = self.varint()
        start, stop = self.pos, self.pos + size
        if stop > self.end:
            raise LengthError(f"a vector of {size} bytes at offset {start}, {self.end - start} left")
        self.pos = stop
        return Reader(self.data, start, stop)

    def items(self, read: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a vector of elements, each by ``read``."""
        inner = self.sub()
        found: list[T] = []
        while inner.pos < inner.end:
            found.append(read(inner))
        return tuple(found)

    def u16s(self) -> tuple[int, ...]:
        """Read a vector of unsigned 16-bit integers."""
        data = self.vec()
        if len(data) % 2:
            raise LengthError(f"a vector of 16-bit numbers with {len(data)} octets")
        return struct.unpack(f">{len(data) // 2}H", data)

    def optional(self, read: Callable[[Reader], T]) -> T | None:
        """Read ``optional<T>``."""
        present = self.u8()
        if present > 1:
            raise DecodeError(f"an optional value's presence octet is {present}")
        return read(self) if present else None

    def done(self) -> None:
        """Refuse bytes that nobody read."""
        if self.pos != self.end:
            raise DecodeError(f"{self.end - self.pos} bytes too many at offset {self.pos}")


def decode(data: bytes, read: Callable[[Reader], T]) -> T:
    """Read one whole structure from ``data`` and refuse trailing bytes."""
    reader = Reader(data)
    value = read(reader)
    reader.done()
    return value
