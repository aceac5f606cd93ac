"""Deterministic CBOR (RFC 8949 §4.2.1), strict both ways.

One pass decodes and checks: a byte string is accepted only if ``encode(decode(data)) == data``, so two parties that
hold equal values hold equal bytes, and a message id computed from bytes means one thing. Refused, each with an error
that says at which byte and in which item: forms that are not the shortest, indefinite lengths, map keys out of order
or twice, text that is not UTF-8, a NaN other than ``f97e00``, nesting deeper than ``MAX_DEPTH``, more than
``MAX_ITEMS`` items, bytes missing or left over. MIMI content (mimi-content §6.2) narrows map keys further, to
text, bytes and integers within +-(2^53 - 1), and so does this package.

Types: integers of 64 bits, ``bytes``, ``str``, ``list`` (a tuple is encoded like one), ``dict``, ``bool``, ``None``,
``float``, and two that Python lacks: ``Tag`` and ``Simple``. Tags are carried, never interpreted: interpreting them is
how a few bytes become a gigabyte. Work and memory are linear in the number of bytes.

``values`` says what there is, ``encoding`` writes it, ``decoding`` reads it, and ``errors`` says why not.
"""

from __future__ import annotations

from protocol.cbor.decoding import decode, locate
from protocol.cbor.encoding import encode
from protocol.cbor.errors import (
    BadKey,
    BadUtf8,
    CborError,
    DuplicateKey,
    IndefiniteLength,
    IntegerRange,
    KeyOrder,
    Malformed,
    NonCanonicalNan,
    NotEncodable,
    NotShortest,
    TooDeep,
    TooManyItems,
    TrailingBytes,
    Truncated,
    spell,
)
from protocol.cbor.values import MAX_DEPTH, MAX_INTEGER_KEY, MAX_ITEMS, TAGGED, Simple, Tag

__all__ = [
    "MAX_DEPTH",
    "MAX_INTEGER_KEY",
    "MAX_ITEMS",
    "TAGGED",
    "BadKey",
    "BadUtf8",
    "CborError",
    "DuplicateKey",
    "IndefiniteLength",
    "IntegerRange",
    "KeyOrder",
    "Malformed",
    "NonCanonicalNan",
    "NotEncodable",
    "NotShortest",
    "Simple",
    "Tag",
    "TooDeep",
    "TooManyItems",
    "TrailingBytes",
    "Truncated",
    "decode",
    "encode",
    "locate",
    "spell",
]
