"""What is encoded comes back, what is accepted is the only encoding, and nothing but our own errors comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import cbor, content, status
from protocol.errors import ProtocolError
from tests.property.strategies import cbor_values, contents, damaged, message_ids, texts


@given(contents())
def test_content_survives_its_encoding(said: content.Content) -> None:
    encoded = content.encode(said)
    assert content.decode(encoded) == said
    assert content.encode(content.decode(encoded)) == encoded


@given(cbor_values())
def test_a_value_survives_its_encoding(value: Any) -> None:
    encoded = cbor.encode(value)
    decoded = cbor.decode(encoded)
    assert decoded == value
    assert cbor.encode(decoded) == encoded  # equality alone takes 1, 1.0 and True for the same


@given(st.recursive(st.none() | st.booleans() | st.integers(0) | texts() | st.binary(), st.lists, max_leaves=20))
def test_another_library_reads_the_same(value: Any) -> None:
    assert cbor2.loads(cbor.encode(value if _small(value) else None)) == (value if _small(value) else None)


def _small(value: Any) -> bool:
    return all(map(_small, value)) if isinstance(value, list) else not isinstance(value, int) or value < 1 << 64


def outcome(decode: Callable[[bytes], Any], data: bytes) -> tuple[Any, ProtocolError | None]:
    """What ``decode`` makes of ``data``, and what it says if that is nothing. No other exception may come out."""
    try:
        return decode(data), None
    except ProtocolError as error:
        return None, error


@given(st.binary(max_size=200) | damaged(cbor_values().map(cbor.encode)))
@example(bytes.fromhex("a201000200"))
def test_whatever_cbor_is_accepted_is_its_own_encoding(data: bytes) -> None:
    value, error = outcome(cbor.decode, data)
    if error is None:
        assert cbor.encode(value) == data
    else:
        assert isinstance(error, cbor.CborError)
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
        assert f"(byte {error.offset})" in str(error)


@given(damaged(contents().map(content.encode)))
def test_whatever_content_is_accepted_is_its_own_encoding(data: bytes) -> None:
    said, error = outcome(content.decode, data)
    if error is None:
        assert content.encode(said) == data
    else:
        assert isinstance(error, cbor.CborError | content.ContentError)
        assert "(byte " in str(error)


@given(cbor_values(8))
def test_any_value_at_all_in_place_of_a_content_is_refused_in_words(value: Any) -> None:
    for data in (cbor.encode(value), cbor.encode([value] * 7)):
        with pytest.raises(ProtocolError, match=r"\(byte \d+\)"):
            content.decode(data)


@given(contents(), st.integers(0, 6), cbor_values(4))
def test_any_value_at_all_in_place_of_a_field_is_taken_or_refused(
    said: content.Content, field: int, value: Any
) -> None:
    fields = cbor.decode(content.encode(said))
    fields[field] = value
    data = cbor.encode(fields)
    taken, error = outcome(content.decode, data)
    if error is None:
        assert content.encode(taken) == data
    else:
        assert isinstance(error, content.ContentError)
        assert error.steps[:1] == (field,)
        assert "(byte " in str(error)


@given(contents(), texts(), texts(), texts(), texts())
def test_a_message_id_binds_who_said_it_and_where(
    said: content.Content, one: str, two: str, three: str, four: str
) -> None:
    encoded = content.encode(said)
    ids = {content.message_id(encoded, sender, room) for sender, room in {(one, two), (three, four), (two, one)}}
    assert len(ids) == len({(one, two), (three, four), (two, one)})
    assert all(len(id_) == content.MESSAGE_ID_OCTETS and id_[0] == 1 for id_ in ids)


@given(contents())
def test_part_indices_count_every_part_once(said: content.Content) -> None:
    walked = list(content.walk(said.part))
    assert [index for index, _ in walked] == list(range(len(walked)))
    for index, part in walked:
        referable = isinstance(part, content.SinglePart | content.ExternalPart)
        assert content.referenced(said.part, content.cid(index)) == (part if referable else None)


@given(st.lists(st.tuples(message_ids(), st.integers(0, 255))))
def test_a_status_report_survives_its_encoding(report: list[tuple[bytes, int]]) -> None:
    assert status.decode(status.encode(report)) == report


@given(damaged(st.lists(st.tuples(message_ids(), st.integers(0, 255)), max_size=3).map(status.encode)))
def test_whatever_report_is_accepted_is_its_own_encoding(data: bytes) -> None:
    report, error = outcome(status.decode, data)
    if error is None:
        assert status.encode(report) == data
    else:
        assert isinstance(error, cbor.CborError | status.StatusError)
        assert "(byte " in str(error)


@given(st.lists(st.integers(0, 255), max_size=8))
def test_a_status_only_moves_forward(reported: list[int]) -> None:
    reached = status.Status.UNREAD
    for new in reported:
        before, reached = reached, status.advance(reached, new)
        assert status.ORDER.index(reached) >= status.ORDER.index(before)
        assert reached in {before, new}
        if before is status.Status.ERROR:
            assert reached is status.Status.ERROR
