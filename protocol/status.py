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
    """Not a MIMI message status report.

    ``steps`` lead to the offending item; ``path`` is the same as text, and ``offset`` the byte at which it starts,
    None when encoding.
    """

    code: ClassVar[str] = "status"

    def __init__(self, text: str, steps: tuple[int, ...], offset: int | None = None) -> None:
        self.text = text
        self.steps = steps
        self.offset = offset
        self.path = cbor.spell(steps)
        super().__init__(f"{text} at {self.path}" + ("" if offset is None else f" (byte {offset})"))


class Status(IntEnum):
    """How far a message has come to the sender of the report. Values from 7 to 255 are legitimate and unknown.

    ``SENT`` is another word for ``UNREAD``: the recipient's network has taken it, and nothing more is known.
    """

    UNREAD = 0
    SENT = 0
    DELIVERED = 1
    READ = 2
    EXPIRED = 3
    DELETED = 4
    HIDDEN = 5
    ERROR = 6


ORDER: Final = (
    Status.UNREAD,
    Status.DELIVERED,
    Status.READ,
    Status.HIDDEN,
    Status.EXPIRED,
    Status.DELETED,
    Status.ERROR,
)
"""The statuses in the order in which a message may come to them; their numbers have another."""

Report: TypeAlias = list[tuple[bytes, int]]
"""Message ids and their statuses, in the order of the report; a status that is known is a ``Status``."""

_KNOWN: Final[dict[int, Status]] = {member.value: member for member in Status}


def encode(report: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the deterministic encoding of a report; raise ``StatusError`` if an id or a status is none."""
    entries = [list(entry) for entry in report]
    _check(entries)
    return cbor.encode(entries)


def decode(data: bytes) -> Report:
    """Return the report that ``data`` encodes; raise ``CborError`` or ``StatusError``, which say where."""
    entries = cbor.decode(data)
    try:
        _check(entries)
    except StatusError as error:
        raise StatusError(error.text, error.steps, cbor.locate(data, error.steps)) from None
    return [(message_id, _KNOWN.get(status, status)) for message_id, status in entries]


def _check(entries: Any) -> None:  # noqa: ANN401 - whatever a sender has made of it
    if not isinstance(entries, list):
        raise StatusError(f"{type(entries).__name__} instead of an array", ())
    for index, entry in enumerate(entries):
        if not isinstance(entry, list) or len(entry) != 2:
            raise StatusError("an entry that is not an array of two", (index,))
        message_id, status = entry
        if not isinstance(message_id, bytes) or len(message_id) != MESSAGE_ID_OCTETS:
            raise StatusError(f"a message id that is not {MESSAGE_ID_OCTETS} octets", (index, 0))
        if not isinstance(status, int) or isinstance(status, bool) or not 0 <= status <= 255:
            raise StatusError("a status that is not within 0..255", (index, 1))


def latest(report: Iterable[tuple[bytes, int]]) -> dict[bytes, int]:
    """Return the one status of each message of a report: named twice, a message does not move back."""
    found: dict[bytes, int] = {}
    for message_id, status in report:
        old = found.setdefault(message_id, status)
        if old != status:
            found[message_id] = advance(old, status)
    return found


def advance(old: int, new: int) -> Status:
    """Return the status of a message that had ``old`` and is now reported as ``new``: it never moves back.

    The way is that of ``ORDER``: what is hidden may still expire or be deleted, what is deleted is gone. ``ERROR`` is
    final. It may follow ``UNREAD`` only: what was delivered or read cannot fail any more. A status that
    nobody here knows changes nothing (and ``old``, if it is unknown, counts as ``UNREAD``).
    """
    before = _KNOWN.get(old, Status.UNREAD)
    after = _KNOWN.get(new, before)
    if before is Status.ERROR or (after is Status.ERROR and before is not Status.UNREAD):
        return before
    return max(before, after, key=ORDER.index)
