"""MIMI message status: reports, and the rule that a status only moves forward."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import pytest

from protocol import cbor
from protocol.status import Status, StatusError, advance, decode, encode, latest

ONE, TWO = b"\x01" + b"a" * 31, b"\x01" + b"b" * 31


def test_a_report_tells_of_several_messages_in_order() -> None:
    report = [(ONE, Status.READ), (TWO, Status.DELIVERED), (ONE, Status.ERROR)]
    assert decode(encode(report)) == report
    assert encode(report).hex() == f"8382{'5820' + ONE.hex()}0282{'5820' + TWO.hex()}0182{'5820' + ONE.hex()}06"
    assert decode(encode([])) == []


def test_all_seven_have_their_numbers_and_come_back_as_their_names() -> None:
    names = ["UNREAD", "DELIVERED", "READ", "EXPIRED", "DELETED", "HIDDEN", "ERROR"]
    assert [status.name for status in Status] == names
    assert [status.value for status in Status] == list(range(7))
    assert all(isinstance(status, Status) for _, status in decode(encode((ONE, n) for n in range(7))))


def test_unknown_statuses_are_kept() -> None:
    assert decode(encode([(ONE, 7), (TWO, 255)])) == [(ONE, 7), (TWO, 255)]


@pytest.mark.parametrize(
    ("report", "where"),
    [
        ({}, "$ (byte 0)"),
        (7, "$ (byte 0)"),
        ([{}], "$[0] (byte 1)"),
        ([[ONE]], "$[0] (byte 1)"),
        ([[ONE, 1, 1]], "$[0] (byte 1)"),
        ([[ONE, 1], [b"short", 1]], "$[1][0] (byte 38)"),
        ([[ONE + b"x", 1]], "$[0][0] (byte 2)"),
        ([["a" * 32, 1]], "$[0][0] (byte 2)"),
        ([[ONE, 256]], "$[0][1] (byte 36)"),
        ([[ONE, -1]], "$[0][1] (byte 36)"),
        ([[ONE, True]], "$[0][1] (byte 36)"),
        ([[ONE, "read"]], "$[0][1] (byte 36)"),
    ],
)
def test_what_is_no_report_is_refused_with_its_place(report: Any, where: str) -> None:
    with pytest.raises(StatusError) as caught:
        decode(cbor.encode(report))
    assert str(caught.value).endswith(f" at {where}")
    assert where == f"{caught.value.path} (byte {caught.value.offset})"
    assert str(caught.value)[0] in ascii_lowercase


@pytest.mark.parametrize("entry", [(b"short", 1), (ONE, 256), (ONE, -1), (ONE, True), (ONE,)])
def test_what_is_no_report_is_not_sent(entry: Any) -> None:
    with pytest.raises(StatusError) as caught:
        encode([(TWO, 1), entry])
    assert caught.value.steps[0] == 1
    assert caught.value.offset is None
    assert str(caught.value) == f"{caught.value.text} at {caught.value.path}"


def test_a_report_must_be_deterministic_cbor() -> None:
    with pytest.raises(cbor.IndefiniteLength):
        decode(bytes.fromhex("9fff"))


@pytest.mark.parametrize(
    ("old", "new", "reached"),
    [
        (Status.UNREAD, Status.DELIVERED, Status.DELIVERED),
        (Status.DELIVERED, Status.READ, Status.READ),
        (Status.UNREAD, Status.READ, Status.READ),
        (Status.READ, Status.DELIVERED, Status.READ),  # came late
        (Status.READ, Status.UNREAD, Status.READ),
        (Status.READ, Status.EXPIRED, Status.EXPIRED),
        (Status.EXPIRED, Status.DELETED, Status.DELETED),
        (Status.DELETED, Status.DELIVERED, Status.DELETED),  # the draft's own example of nonsense
        (Status.HIDDEN, Status.READ, Status.HIDDEN),
        (Status.HIDDEN, Status.DELETED, Status.DELETED),  # archived first, then thrown away
        (Status.HIDDEN, Status.EXPIRED, Status.EXPIRED),
        (Status.DELETED, Status.HIDDEN, Status.DELETED),  # what is gone cannot be archived
        (Status.UNREAD, Status.ERROR, Status.ERROR),
        (Status.DELIVERED, Status.ERROR, Status.DELIVERED),
        (Status.HIDDEN, Status.ERROR, Status.HIDDEN),
        (Status.ERROR, Status.READ, Status.ERROR),
        (Status.ERROR, Status.ERROR, Status.ERROR),
        (Status.READ, 7, Status.READ),
        (Status.UNREAD, 255, Status.UNREAD),
        (99, Status.DELIVERED, Status.DELIVERED),
        (99, 98, Status.UNREAD),
    ],
)
def test_a_status_only_moves_forward(old: int, new: int, reached: Status) -> None:
    assert advance(old, new) is reached


def test_a_message_that_is_named_twice_in_one_report_does_not_move_back() -> None:
    assert latest([(ONE, Status.READ), (TWO, Status.DELIVERED), (ONE, Status.DELIVERED)]) == {
        ONE: Status.READ,
        TWO: Status.DELIVERED,
    }
    assert latest([(ONE, Status.ERROR), (ONE, Status.READ)]) == {ONE: Status.ERROR}
    assert latest([(ONE, 99), (ONE, Status.READ), (TWO, Status.READ), (TWO, 99)]) == {
        ONE: Status.READ,
        TWO: Status.READ,
    }
    assert latest([(ONE, 99), (ONE, 99)]) == {ONE: 99}
    assert latest([]) == {}
