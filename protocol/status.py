"""MIMI message status (draft-mahy-mimi-message-status-01): what became of messages, as their recipient reports it.

A report is the body of a ``SinglePart`` of type ``application/mimi-message-status`` in the room that the messages were
sent in. It has no time of its own: the time is when the router accepted it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any, ClassVar, Final, TypeAlias

from protocol import cbor
from protocol.errors import ProtocolError

MESSAGE_ID_OCTETS: Final = 32


class StatusError(ProtocolError):
    """Not a MIMI message status report."""

    code: ClassVar[str] = "status"


class Status(IntEnum):
    """How far a message has come to the sender of the report. Values from 7 to 255 are legitimate and unknown."""

    UNREAD = 0
    DELIVERED = 1
    READ = 2
    EXPIRED = 3
    DELETED = 4
    HIDDEN = 5
    ERROR = 6


Report: TypeAlias = list[tuple[bytes, int]]
"""Message ids and their statuses, in the order of the report; a status that is known is a ``Status``."""

_KNOWN: Final[dict[int, Status]] = {member.value: member for member in Status}


def encode(report: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the deterministic encoding of a report; raise ``StatusError`` if an id or a status is none."""
    entries: list[Any] = [list(entry) for entry in report]
    for index, entry in enumerate(entries):
        _check(entry, index)
    return cbor.encode(entries)


def decode(data: bytes) -> Report:
    """Return the report that ``data`` encodes; raise ``CborError`` or ``StatusError``, which say where."""
    entries = cbor.decode(data)
    if not isinstance(entries, list):
        raise StatusError(f"a report is an array, not {type(entries).__name__}, at $ (byte 0)")
    report: Report = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, list) or len(entry) != 2:
            raise StatusError(f"an entry that is not an array of two at $[{index}]")
        _check(entry, index)
        status: int = entry[1]
        report.append((entry[0], _KNOWN.get(status, status)))
    return report


def _check(entry: list[Any], index: int) -> None:
    message_id, status = entry
    if not isinstance(message_id, bytes) or len(message_id) != MESSAGE_ID_OCTETS:
        raise StatusError(f"a message id that is not {MESSAGE_ID_OCTETS} octets at $[{index}][0]")
    if not isinstance(status, int) or isinstance(status, bool) or not 0 <= status <= 255:
        raise StatusError(f"a status that is not within 0..255 at $[{index}][1]")


def advance(old: int, new: int) -> Status:
    """Return the status of a message that had ``old`` and is now reported as ``new``: it never moves back.

    ``ERROR`` is final. It may follow ``UNREAD`` only: what was delivered or read cannot fail any more. A status that
    nobody here knows changes nothing (and ``old``, if it is unknown, counts as ``UNREAD``).
    """
    before = _KNOWN.get(old, Status.UNREAD)
    after = _KNOWN.get(new, before)
    if before is Status.ERROR or (after is Status.ERROR and before is not Status.UNREAD):
        return before
    return max(before, after)
