"""JSON of others has limits of ours: the same on every interpreter, and one odd part spoils no other."""

from __future__ import annotations

import time

import msgspec
import pytest

from adapters.kit import foreign


def nested(depth: int, inside: bytes = b"1") -> bytes:
    return b"[" * depth + inside + b"]" * depth


def test_what_is_nested_as_deep_as_allowed_is_read() -> None:
    assert foreign.tamed(nested(foreign.MAX_DEPTH)) == nested(foreign.MAX_DEPTH)
    found = foreign.decode(nested(foreign.MAX_DEPTH))
    for _ in range(foreign.MAX_DEPTH):
        (found,) = found
    assert found == 1


@pytest.mark.parametrize("depth", [foreign.MAX_DEPTH + 1, 5_000, 200_000])
def test_what_is_nested_deeper_is_refused_in_words(depth: int) -> None:
    with pytest.raises(ValueError, match="nested deeper than 100"):
        foreign.decode(nested(depth))


def test_only_what_is_too_deep_is_lost() -> None:
    body = b'{"a":' + nested(300) + b',"b":[{"c":"]}\\"["}],"d":' + nested(300, b"") + b"}"
    tamed = msgspec.json.decode(foreign.tamed(body))
    assert tamed["b"] == [{"c": ']}"['}]
    assert list(tamed) == ["a", "b", "d"]


def test_brackets_in_texts_count_for_nothing() -> None:
    body = msgspec.json.encode(["[{" * 1_000, '"[\\' * 1_000])
    assert foreign.decode(body) == ["[{" * 1_000, '"[\\' * 1_000]


def test_half_of_a_surrogate_pair_becomes_a_replacement_character() -> None:
    body = rb'["\ud83d\ude00", "\ud83d", "x\udc00y", "\\ud83d", "\ud83d\ud83d\ude00"]'
    assert foreign.decode(foreign.tamed(body)) == ["😀", "�", "x�y", "\\ud83d", "�😀"]


@pytest.mark.parametrize("body", [b"", b"[", nested(200)[:-1], b"]" * 300, b'"' + b"[" * 300, b"\xff"])
def test_what_is_no_json_stays_none(body: bytes) -> None:
    with pytest.raises(ValueError):
        foreign.decode(foreign.tamed(body))


def test_a_text_without_an_end_takes_no_longer_than_one_with_an_end() -> None:
    quotes = b'\\"' * 50_000
    began = time.process_time()
    foreign.tamed(b"[" * 200 + b'"' + quotes + b'"')
    ended = time.process_time() - began
    began = time.process_time()
    foreign.tamed(b"[" * 200 + b'"' + quotes)
    assert time.process_time() - began < 20 * ended + 0.05
