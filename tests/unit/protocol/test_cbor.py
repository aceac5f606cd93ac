"""Deterministic CBOR: the examples of RFC 8949, and each way in which bytes may be something else."""

from __future__ import annotations

import math
import time
import tracemalloc
from enum import IntEnum, StrEnum
from string import ascii_lowercase, digits
from typing import Any

import pytest

from protocol import cbor
from protocol.cbor import Simple, Tag

WORDS = f"{ascii_lowercase}{digits}-'\""
"""How an error begins to say what is wrong."""

# RFC 8949, appendix A, without what deterministic encoding does not have
EXAMPLES: list[tuple[Any, str]] = [
    (0, "00"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (100, "1864"),
    (255, "18ff"),
    (256, "190100"),
    (1000, "1903e8"),
    (65535, "19ffff"),
    (65536, "1a00010000"),
    (1000000, "1a000f4240"),
    (4294967295, "1affffffff"),
    (4294967296, "1b0000000100000000"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (Tag(2, bytes.fromhex("010000000000000000")), "c249010000000000000000"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (Tag(3, bytes.fromhex("010000000000000000")), "c349010000000000000000"),
    (-1, "20"),
    (-10, "29"),
    (-24, "37"),
    (-25, "3818"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (0.0, "f90000"),
    (-0.0, "f98000"),
    (1.0, "f93c00"),
    (1.1, "fb3ff199999999999a"),
    (1.5, "f93e00"),
    (65504.0, "f97bff"),
    (100000.0, "fa47c35000"),
    (3.4028234663852886e38, "fa7f7fffff"),
    (1.0e300, "fb7e37e43c8800759c"),
    (5.960464477539063e-08, "f90001"),
    (0.00006103515625, "f90400"),
    (-4.0, "f9c400"),
    (-4.1, "fbc010666666666666"),
    (math.inf, "f97c00"),
    (-math.inf, "f9fc00"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (Simple(23), "f7"),
    (Simple(16), "f0"),
    (Simple(0), "e0"),
    (Simple(19), "f3"),
    (Simple(32), "f820"),
    (Simple(255), "f8ff"),
    (Tag(0, "2013-03-21T20:04:00Z"), "c074323031332d30332d32315432303a30343a30305a"),
    (Tag(1, 1363896240), "c11a514b67b0"),
    (Tag(23, b"\x01\x02\x03\x04"), "d74401020304"),
    (Tag(32, "http://www.example.com"), "d82076687474703a2f2f7777772e6578616d706c652e636f6d"),
    (Tag(2, "no bytes"), "c2686e6f206279746573"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    (b"x" * 24, "5818" + "78" * 24),
    ("", "60"),
    ("a", "6161"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(25)), "9819000102030405060708090a0b0c0d0e0f10111213141516171818"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
    ({10: 1, 100: 2, -1: 3, "z": 4, "aa": 5, b"k": 6}, "a60a011864022003416b06617a0462616105"),
]


@pytest.mark.parametrize(("value", "encoded"), EXAMPLES, ids=lambda case: repr(case)[:30])
def test_the_examples_of_the_standard(value: Any, encoded: str) -> None:
    assert cbor.encode(value).hex() == encoded
    decoded = cbor.decode(bytes.fromhex(encoded))
    assert decoded == value
    assert type(decoded) is type(value)
    assert cbor.encode(decoded).hex() == encoded


def test_nan_is_one_value() -> None:
    assert cbor.encode(math.nan).hex() == "f97e00"
    assert math.isnan(cbor.decode(bytes.fromhex("f97e00")))


def test_tuples_and_enumerations_are_encoded_like_what_they_are() -> None:
    class Colour(IntEnum):
        RED = 1

    class Word(StrEnum):
        YES = "yes"

    assert cbor.encode((Colour.RED, Word.YES, {Word.YES: Colour.RED})) == cbor.encode([1, "yes", {"yes": 1}])


REFUSED: list[tuple[str, type[cbor.CborError], str]] = [
    # nothing, or too little
    ("", cbor.Truncated, "$ (byte 0)"),
    ("18", cbor.Truncated, "$ (byte 0)"),
    ("19ff", cbor.Truncated, "$ (byte 0)"),
    ("1bffffffffffffff", cbor.Truncated, "$ (byte 0)"),
    ("41", cbor.Truncated, "$ (byte 0)"),
    ("8201", cbor.Truncated, "$ (byte 0)"),
    ("828100", cbor.Truncated, "$[1] (byte 3)"),
    ("a10a", cbor.Truncated, "$ (byte 0)"),
    ("82a10a", cbor.Truncated, "$[0] (byte 1)"),
    ("820062c3", cbor.Truncated, "$[1] (byte 2)"),
    ("d820", cbor.Truncated, "$ (byte 0)"),
    ("f97e", cbor.Truncated, "$ (byte 0)"),
    ("f8", cbor.Truncated, "$ (byte 0)"),
    ("fb000000", cbor.Truncated, "$ (byte 0)"),
    # too much
    ("0000", cbor.TrailingBytes, "$ (byte 1)"),
    ("80ff", cbor.TrailingBytes, "$ (byte 1)"),
    # longer than needed
    ("1800", cbor.NotShortest, "$ (byte 0)"),
    ("1817", cbor.NotShortest, "$ (byte 0)"),
    ("1900ff", cbor.NotShortest, "$ (byte 0)"),
    ("1a0000ffff", cbor.NotShortest, "$ (byte 0)"),
    ("1b00000000ffffffff", cbor.NotShortest, "$ (byte 0)"),
    ("3817", cbor.NotShortest, "$ (byte 0)"),
    ("820b5800", cbor.NotShortest, "$[1] (byte 2)"),
    ("7801ff", cbor.NotShortest, "$ (byte 0)"),
    ("9800", cbor.NotShortest, "$ (byte 0)"),
    ("b800", cbor.NotShortest, "$ (byte 0)"),
    ("d80000", cbor.NotShortest, "$ (byte 0)"),
    ("fa3f800000", cbor.NotShortest, "$ (byte 0)"),
    ("fb3ff8000000000000", cbor.NotShortest, "$ (byte 0)"),
    ("fb47c3500000000000", cbor.NotShortest, "$ (byte 0)"),
    ("fa7f800000", cbor.NotShortest, "$ (byte 0)"),
    ("c248ffffffffffffffff", cbor.NotShortest, "$ (byte 0)"),
    ("c24900ffffffffffffffff", cbor.NotShortest, "$ (byte 0)"),
    ("c340", cbor.NotShortest, "$ (byte 0)"),
    # of no definite length
    ("5f4100ff", cbor.IndefiniteLength, "$ (byte 0)"),
    ("7fff", cbor.IndefiniteLength, "$ (byte 0)"),
    ("829f00ff00", cbor.IndefiniteLength, "$[0] (byte 1)"),
    ("bfff", cbor.IndefiniteLength, "$ (byte 0)"),
    ("81ff", cbor.IndefiniteLength, "$[0] (byte 1)"),
    ("1f", cbor.IndefiniteLength, "$ (byte 0)"),
    # reserved
    ("1c", cbor.Malformed, "$ (byte 0)"),
    ("5e", cbor.Malformed, "$ (byte 0)"),
    ("fc", cbor.Malformed, "$ (byte 0)"),
    ("f800", cbor.Malformed, "$ (byte 0)"),
    ("f818", cbor.Malformed, "$ (byte 0)"),
    ("f81f", cbor.Malformed, "$ (byte 0)"),
    # maps
    ("a202000100", cbor.KeyOrder, "$ (byte 3)"),
    ("a2616100187800", cbor.KeyOrder, "$ (byte 4)"),
    ("81a262616100617a00", cbor.KeyOrder, "$[0] (byte 6)"),
    ("a201000100", cbor.DuplicateKey, "$ (byte 3)"),
    ("a1617aa2416b00416b00", cbor.DuplicateKey, "$['z'] (byte 7)"),
    ("a1f500", cbor.BadKey, "$ (byte 1)"),
    ("a1f600", cbor.BadKey, "$ (byte 1)"),
    ("a1f93c0000", cbor.BadKey, "$ (byte 1)"),
    ("a1800a", cbor.BadKey, "$ (byte 1)"),
    ("a1c10000", cbor.BadKey, "$ (byte 1)"),
    ("a11b002000000000000000", cbor.BadKey, "$ (byte 1)"),
    ("a13b001fffffffffffff00", cbor.BadKey, "$ (byte 1)"),
    # text
    ("62c328", cbor.BadUtf8, "$ (byte 0)"),
    ("8163eda080", cbor.BadUtf8, "$[0] (byte 1)"),
    ("62c080", cbor.BadUtf8, "$ (byte 0)"),
    ("a161ff00", cbor.BadUtf8, "$ (byte 1)"),
    ("c161ff", cbor.BadUtf8, "$['tagged'] (byte 1)"),
    # other forms of NaN
    ("f97e01", cbor.NonCanonicalNan, "$ (byte 0)"),
    ("f9fe00", cbor.NonCanonicalNan, "$ (byte 0)"),
    ("fa7fc00000", cbor.NonCanonicalNan, "$ (byte 0)"),
    ("81fb7ff8000000000000", cbor.NonCanonicalNan, "$[0] (byte 1)"),
    # depth
    ("81" * 17, cbor.TooDeep, "$" + "[0]" * 16 + " (byte 16)"),
    ("c1" * 17 + "00", cbor.TooDeep, "$" + "['tagged']" * 16 + " (byte 16)"),
    ("a100" * 17, cbor.TooDeep, "$" + "[0]" * 16 + " (byte 32)"),
]


@pytest.mark.parametrize(
    ("data", "error", "where"), REFUSED, ids=[f"{error.code}-{data[:24]}" for data, error, _ in REFUSED]
)
def test_each_flaw_has_its_own_error_that_says_where(data: str, error: type[cbor.CborError], where: str) -> None:
    with pytest.raises(error) as caught:
        cbor.decode(bytes.fromhex(data))
    assert type(caught.value) is error
    assert str(caught.value).endswith(f" at {where}")
    assert str(caught.value)[0] in WORDS
    assert where == f"{caught.value.path} (byte {caught.value.offset})"


def test_each_error_has_a_code_of_its_own() -> None:
    family = cbor.CborError.__subclasses__()
    assert len({error.code for error in family} | {cbor.CborError.code}) == len(family) + 1


def test_sixteen_levels_are_fine() -> None:
    for opening in ("81", "a100", "c1"):
        data = bytes.fromhex(opening * 16 + "00")
        assert cbor.encode(cbor.decode(data)) == data


UNENCODABLE: list[tuple[Any, type[cbor.CborError], str]] = [
    ([0, {"a": [1 << 64]}], cbor.IntegerRange, "$[1]['a'][0]"),
    (-(1 << 64) - 1, cbor.IntegerRange, "$"),
    (["\ud800"], cbor.BadUtf8, "$[0]"),
    ({"\udfff": 0}, cbor.BadUtf8, "$"),
    ({1: {2.0: 3}}, cbor.BadKey, "$[1]"),
    ({True: 0}, cbor.BadKey, "$"),
    ({1 << 53: 0}, cbor.BadKey, "$"),
    ({-(1 << 53): 0}, cbor.BadKey, "$"),
    ({None: 0}, cbor.BadKey, "$"),
    ([...], cbor.NotEncodable, "$[0]"),
    ({1, 2}, cbor.NotEncodable, "$"),
    (Tag(-1, 0), cbor.NotEncodable, "$"),
    (Tag(1 << 64, 0), cbor.NotEncodable, "$"),
    (Tag(9, Simple(20)), cbor.NotEncodable, "$['tagged']"),
    (Simple(22), cbor.NotEncodable, "$"),
    (Simple(24), cbor.NotEncodable, "$"),
    (Simple(31), cbor.NotEncodable, "$"),
    (Simple(-1), cbor.NotEncodable, "$"),
    (Simple(256), cbor.NotEncodable, "$"),
    (Tag(2, b"\x01"), cbor.NotShortest, "$"),
    (Tag(3, bytes(9)), cbor.NotShortest, "$"),
    ([0] * (cbor.MAX_ITEMS + 1), cbor.TooManyItems, "$"),
    ([[0] * cbor.MAX_ITEMS], cbor.TooManyItems, "$[0]"),
    (dict.fromkeys(range(cbor.MAX_ITEMS // 2 + 1)), cbor.TooManyItems, "$"),
]


@pytest.mark.parametrize(("value", "error", "where"), UNENCODABLE, ids=lambda case: repr(case)[:30])
def test_what_has_no_encoding_says_why_and_where(value: Any, error: type[cbor.CborError], where: str) -> None:
    with pytest.raises(error) as caught:
        cbor.encode(value)
    assert type(caught.value) is error
    assert str(caught.value).endswith(f" at {where}")
    assert str(caught.value)[0] in WORDS
    assert caught.value.offset is None


def test_an_array_inside_itself_is_too_deep_and_not_the_end_of_the_world() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(cbor.TooDeep):
        cbor.encode(endless)


def test_the_largest_keys_and_as_many_items_as_allowed() -> None:
    for value in (
        {cbor.MAX_INTEGER_KEY: 0, -cbor.MAX_INTEGER_KEY: 0},
        [None] * cbor.MAX_ITEMS,
        dict.fromkeys(range(32_768)),
    ):
        assert cbor.decode(cbor.encode(value)) == value


def test_an_item_is_found_by_its_path() -> None:
    value = [{1: [0, 500], "k": Tag(9, [b"b", "t"])}, {}, 1.5, None, [7], 23, 24, "t" * 23, b"b" * 24, True]
    data = cbor.encode(value)
    for path, item in [
        ((), value),
        ((0,), value[0]),
        ((0, 1, 1), 500),
        ((0, "k"), Tag(9, [b"b", "t"])),
        ((0, "k", cbor.TAGGED, 1), "t"),
        ((1,), {}),
        ((2,), 1.5),
        ((4, 0), 7),
        ((5,), 23),
        ((6,), 24),
        ((7,), "t" * 23),
        ((8,), b"b" * 24),
        ((9,), True),
    ]:
        assert data[cbor.locate(data, path) :].startswith(cbor.encode(item))
        assert cbor.spell(path) == "$" + "".join(f"[{step!r}]" for step in path)


def test_a_long_key_is_shortened_where_an_error_names_it() -> None:
    with pytest.raises(cbor.BadUtf8) as caught:
        cbor.decode(cbor.encode({"k" * 1000: 0})[:-1] + b"\x61\xff")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "data",
    [
        "9bffffffffffffffff",  # an array of 2^64 - 1
        "bb7fffffffffffffff",  # a map of 2^63 - 1
        "9a7fffffff" + "00" * 100,
        "5bffffffffffffffff",  # a string of 2^64 - 1
        "7affffffff",
        "c48219ffff01",  # 1e65535 as a decimal fraction, well-formed and never computed
        "c5821a7fffffff01",  # 2^(2^31) as a bigfloat, likewise
    ],
)
def test_a_few_bytes_never_become_many(data: str) -> None:
    tracemalloc.start()
    try:
        cbor.decode(bytes.fromhex(data))
    except cbor.Truncated:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 100_000


def test_a_million_empty_maps_are_refused_before_they_exist() -> None:
    data = bytes.fromhex("9a000f4240") + b"\xa0" * 1_000_000
    tracemalloc.start()
    with pytest.raises(cbor.TooManyItems):
        cbor.decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_work_is_linear_in_size() -> None:
    def seconds(items: int) -> float:
        data = cbor.encode([{n: str(n) for n in range(10)}] * items)
        return min(_timed(data) for _ in range(10))

    assert seconds(2000) < 4 * 10 * seconds(200)  # quadratic would be a hundredfold


def _timed(data: bytes) -> float:
    start = time.process_time()  # not the clock on the wall, which other programs move
    cbor.decode(data)
    return time.process_time() - start
