"""Exactly those octets are accepted that the standard's rules make of what another library reads in them.

The judge shares no code with ours: cbor2 reads, leniently, and what it read is written again by RFC 8949 §4.1 and
§4.2.1, scalars by cbor2 itself. Octets are deterministic if they come out as they went in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol import cbor
from tests.property.strategies import cbor_values, damaged

# --- octets that are CBOR, and sometimes deterministic ----------------------------------------------------------------

INTEGERS = (0, 1, 23, 24, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 53) - 1, 1 << 53, (1 << 64) - 1)
STRINGS = (b"", b"a", b"b", b"ab", b"\xc3\xa9", b"\xc3", b"\xed\xa0\x80", b"\x00a", b"a" * 8, b"a" * 9, b"a" * 24)
SIMPLE = ("e0", "f3", "f4", "f5", "f6", "f7", "f800", "f818", "f81f", "f820", "f8ff")
RESERVED = ("fc", "ff", "1c", "5f4100ff", "7f6161ff", "9fff", "bfff")
HALVES = ("f90000", "f98000", "f93c00", "f97c00", "f90001", "f97e00", "f97e01", "f9fe00")
SINGLES = ("fa00000000", "fa47c35000", "fa7f800000", "fa7fc00000", "fa33800000", "fa3f800001")
DOUBLES = ("fb3ff199999999999a", "fb0000000000000000", "fb7ff8000000000000", "fb47efffffe0000000", "fb47effffff0000000")
REST = [bytes.fromhex(item) for item in SIMPLE + RESERVED + HALVES + SINGLES + DOUBLES]


def head(draw: st.DrawFn, major: int, argument: int) -> bytes:
    """Return a head that may be longer than it needs to be."""
    least = draw(st.sampled_from([0, 0, 0, 0, 1, 2, 4, 8]))
    if argument < 24 and not least:
        return bytes((major << 5 | argument,))
    info, width = next((24 + n, 1 << n) for n in range(4) if 1 << n >= least and argument < 1 << (8 << n))
    return bytes((major << 5 | info,)) + argument.to_bytes(width)


@st.composite
def items(draw: st.DrawFn, depth: int = 3) -> bytes:
    """One item, where forms and limits change, in a form that may be wrong."""
    major = draw(st.integers(0, 7 if depth else 3))
    if major < 2:
        return head(draw, major, draw(st.sampled_from(INTEGERS)))
    if major < 4:
        octets = draw(st.sampled_from(STRINGS))
        return head(draw, major, len(octets)) + octets
    if major == 7:
        return draw(st.sampled_from(REST))
    if major == 6:
        return head(draw, 6, draw(st.sampled_from([0, 2, 3, 24, 256]))) + draw(items(depth - 1))
    inner = draw(st.lists(items(depth - 1), max_size=3))
    if major == 4:
        return head(draw, 4, len(inner)) + b"".join(inner)
    keys = draw(st.lists(items(0) | items(depth - 1), min_size=len(inner), max_size=len(inner)))
    keys = sorted(keys) if draw(st.booleans()) else keys
    return head(draw, 5, len(keys)) + b"".join(key + value for key, value in zip(keys, inner, strict=True))


# --- the judge --------------------------------------------------------------------------------------------------------


def carried(tag: int) -> Any:
    """Make cbor2 carry a tag that it would interpret."""
    return lambda value, _immutable: cbor2.CBORTag(tag, value)


def big(tag: int) -> Any:
    """Read a big number as the integer that it is, whatever its form; of anything else, carry the tag."""

    def read(magnitude: Any, _immutable: bool) -> Any:
        if not isinstance(magnitude, bytes):
            return cbor2.CBORTag(tag, magnitude)
        return int.from_bytes(magnitude) if tag == 2 else ~int.from_bytes(magnitude)

    return read


CARRIED = (0, 1, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)
READERS = {tag: carried(tag) for tag in CARRIED} | {2: big(2), 3: big(3)}


class Outside(Exception):
    """Something that the standard allows, and we do not."""


def written(value: Any, depth: int = 16) -> bytes:
    """Return the deterministic encoding of what cbor2 has read: at most ``depth`` containers inside one another."""
    if not isinstance(value, list | tuple | Mapping | cbor2.CBORTag):
        return bytes(cbor2.dumps(value, canonical=True))
    if not depth:
        raise Outside
    if isinstance(value, Mapping):  # inside a tag cbor2 makes no dict
        entries = {written(key, 0): written(inner, depth - 1) for key, inner in value.items() if usable(key)}
        return shortest(5, len(value)) + b"".join(key + entries[key] for key in sorted(entries))
    if isinstance(value, cbor2.CBORTag):
        return shortest(6, value.tag) + written(value.value, depth - 1)
    return shortest(4, len(value)) + b"".join(written(inner, depth - 1) for inner in value)


def shortest(major: int, argument: int) -> bytes:
    """Return a head: that of an integer, for another major type."""
    integer = cbor2.dumps(argument)
    return bytes((integer[0] | major << 5,)) + integer[1:]


def usable(key: Any) -> bool:
    """Say that a key is one that MIMI content allows."""
    if isinstance(key, str | bytes) or (type(key) is int and abs(key) < 1 << 53):
        return True
    raise Outside


def judged(data: bytes) -> bool:
    """Say whether ``data`` is deterministic CBOR within our limits."""
    try:
        return written(cbor2.loads(data, semantic_decoders=READERS)) == data
    except (cbor2.CBORDecodeError, Outside):
        return False


# --- the verdicts -----------------------------------------------------------------------------------------------------


@settings(max_examples=1000)
@given(items() | items(1) | damaged(cbor_values(3).map(cbor.encode)) | st.binary(max_size=40))
@example(b"")
@example(bytes.fromhex("81" * 16 + "00"))
@example(bytes.fromhex("81" * 17 + "00"))
@example(bytes.fromhex("c1" * 17 + "00"))
@example(bytes.fromhex("a2190100001818 00"))
@example(bytes.fromhex("a13b001ffffffffffffe00"))
@example(bytes.fromhex("a13b001fffffffffffff00"))
@example(bytes.fromhex("c249010000000000000000"))
@example(bytes.fromhex("c248ffffffffffffffff"))
@example(bytes.fromhex("c340"))
@example(bytes.fromhex("c6a21818002000"))
def test_two_decoders_that_share_nothing_accept_the_same(data: bytes) -> None:
    try:
        cbor.decode(data)
    except cbor.CborError:
        assert not judged(data)
    else:
        assert judged(data)


@pytest.mark.parametrize("tag", [*CARRIED, 2, 3])
def test_the_judge_carries_the_tags_that_its_reader_knows(tag: int) -> None:
    for value in ("2013-03-21T20:04:00Z", 1, [], [1, 2], {"a": 1}, b"\x01" * 9, None):
        assert judged(cbor.encode(cbor.Tag(tag, value)))
