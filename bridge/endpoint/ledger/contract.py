"""The ledger: everything that an endpoint must not forget, behind an interface.

An endpoint gathers the writes that belong together in a ``Change`` and commits them as one transaction, which takes its
place in the order of writes at the moment ``commit`` is called. Values that hold keys or plaintext are marked below as
sealed: the engine seals them on the way in and opens them on the way out.

An engine is judged by ``tests/unit/endpoint/ledger_suite.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from bridge.endpoint.ledger.retention import Keep
from bridge.endpoint.ledger.rows import (
    OFFERS_KEPT,
    QUARANTINE_KEPT,
    Damaged,
    DeliveryKind,
    DeliveryRow,
    Erased,
    Fate,
    InboxRow,
    MessageLog,
    MessageRow,
    Native,
    OfferRow,
    OutboxRow,
    QuarantineKind,
    QuarantineRow,
    Record,
    RoomPhase,
    RoomRow,
    State,
    StatusRow,
    UnansweredRow,
    moves,
)

__all__ = [
    "OFFERS_KEPT",
    "QUARANTINE_KEPT",
    "Change",
    "Damaged",
    "DeliveryKind",
    "DeliveryRow",
    "Erased",
    "Fate",
    "InboxRow",
    "Ledger",
    "MessageLog",
    "MessageRow",
    "Native",
    "OfferRow",
    "OutboxRow",
    "QuarantineKind",
    "QuarantineRow",
    "Record",
    "RoomPhase",
    "RoomRow",
    "State",
    "StatusRow",
    "UnansweredRow",
    "moves",
]


class Change(Struct):
    """Writes that belong together; lists of rows are written in order, ``*_done`` are deleted by id.

    Rows of ``rooms``, ``natives``, ``outbox`` and ``deliveries`` replace those of the same key. ``messages`` that are
    in the log already are left out, and of the deliveries that came with them only ``AGAIN`` is left: a message is
    taken once. ``named`` sets the native id of messages. ``statuses`` go to the timeline and move the message's state
    where ``moves`` allows it.
    """

    forgotten: list[str] = field(default_factory=list)
    """Spaces whose records are all deleted, before ``records`` are written."""
    records: list[Record] = field(default_factory=list)
    rooms: list[RoomRow] = field(default_factory=list)
    natives: list[Native] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    named: list[tuple[bytes, str]] = field(default_factory=list)
    erased: list[Erased] = field(default_factory=list)
    """Messages that were deleted, whose words leave every table: excerpts, offers, deliveries, plans, what waits."""
    statuses: list[StatusRow] = field(default_factory=list)
    noted: list[StatusRow] = field(default_factory=list)
    """Steps that go to the timeline and move nothing: what one of several says."""
    revived: list[StatusRow] = field(default_factory=list)
    """Steps of messages that had failed and were replayed: they move what was at its end."""
    inbox: list[InboxRow] = field(default_factory=list)
    inbox_done: list[int] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    outbox_done: list[int] = field(default_factory=list)
    accepted: list[tuple[bytes, int]] = field(default_factory=list)
    """MIMI ids that the router accepted, and when."""
    unanswered: list[UnansweredRow] = field(default_factory=list)
    owed: list[tuple[bytes, tuple[str, ...]]] = field(default_factory=list)
    """MIMI ids that the router accepted, and the endpoints that it handed them to: each of them owes an answer."""
    unanswered_done: list[bytes] = field(default_factory=list)
    """MIMI ids that everybody has answered, or whose deadline has ended them."""
    deliveries: list[DeliveryRow] = field(default_factory=list)
    deliveries_done: list[int] = field(default_factory=list)
    offers_gone: list[bytes] = field(default_factory=list)
    """MIMI ids of messages that offer nothing any more."""
    offers_closed: list[str] = field(default_factory=list)
    """Rooms whose offers are all closed, before ``offers`` are written."""
    offers: list[OfferRow] = field(default_factory=list)
    """New offers; each takes the place of an earlier one of the same message."""
    quarantine: list[QuarantineRow] = field(default_factory=list)
    """What is put aside; a row takes the place of the one of the same id."""
    quarantine_done: list[int] = field(default_factory=list)
    quarantine_over: int = 0
    """What was put aside before this time, in milliseconds, is dropped."""
    restored: list[tuple[str, bytes]] = field(default_factory=list)
    """Damaged rows that are put back where they lay: the table, and ``Damaged.row``."""

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return any(getattr(self, name) for name in self.__struct_fields__)


class Ledger(Protocol):
    """The durable state of one endpoint. Any call may raise ``bridge.storage.StorageError``.

    Records that cannot be opened raise ``SealError``. Rows of inbox, outbox, deliveries and offers that cannot be read
    are left out of every answer and told to ``damaged``: one of them must not stop all others.
    """

    damaged: Callable[[Damaged], None]
    """Hears of a row that cannot be read, each time that it is met; until it is set they are logged."""

    @property
    def trouble(self) -> str:
        """Why nothing can be written just now ('' while it can): commits wait, and go on by themselves."""

    def commit(self, change: Change) -> asyncio.Future[None]:
        """Queue all of it as one transaction, written whole or not at all; durable when the awaitable is done.

        Commits keep the order of the calls, whether or not anybody awaits them.
        """

    async def get(self, space: str, name: str) -> bytes | None:
        """Return one record."""

    async def scan(self, space: str, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        """Return the records of a space whose name has this prefix, in order of the name's code points."""

    async def rooms(self) -> Sequence[RoomRow]:
        """Return every room."""

    async def natives(self, native_ids: Iterable[str]) -> Mapping[str, bytes]:
        """Return the MIMI ids of those native ids that are known (b'' for one that waits in the inbox)."""

    async def messages(self, mimi_ids: Iterable[bytes]) -> Mapping[bytes, MessageRow]:
        """Return those messages that are in the log."""

    async def fates(self, mimi_ids: Iterable[bytes]) -> Mapping[bytes, Fate]:
        """Return all that is known of those messages that are in the log."""

    async def unanswered(self, room: str) -> Sequence[UnansweredRow]:
        """Return what somebody in a room has not answered yet, in the order in which it was said."""

    async def overdue(self, now: int, limit: int) -> Sequence[UnansweredRow]:
        """Return what should have been answered by ``now`` (milliseconds), oldest first; without contents."""

    async def states(self, mimi_ids: Iterable[bytes]) -> Mapping[tuple[bytes, str], State]:
        """Return the latest state in the timeline for each message and each ``by``."""

    async def offers(self, room: str) -> Sequence[OfferRow]:
        """Return what was offered in a room, newest first."""

    async def offer_rooms(self) -> Mapping[str, bool]:
        """Return the rooms in which something was offered, and whether one of its offers is open."""

    async def inbox(self, conversation: str, limit: int) -> Sequence[InboxRow]:
        """Return the oldest events that wait in a conversation."""

    async def inbox_conversations(self) -> Mapping[str, int]:
        """Return the conversations with waiting events, and how many."""

    async def outbox(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """Return outbox rows whose id is larger than ``after``, oldest first."""

    async def outbox_rows(self, ids: Iterable[int]) -> Sequence[OutboxRow]:
        """Return these outbox rows, oldest first."""

    async def deliveries(self, room: str, limit: int) -> Sequence[DeliveryRow]:
        """Return the oldest deliveries of a room that are not parked."""

    async def delivery_rooms(self) -> Mapping[str, int]:
        """Return the rooms with deliveries that are not parked, and how many."""

    async def parked(self, *, limit: int, room: str = "", before: bytes = b"") -> Sequence[DeliveryRow]:
        """Return the newest parked deliveries, newest first; those before ``before``, a MIMI id, if it is given."""

    async def log(
        self, *, limit: int, room: str = "", state: State | None = None, before: bytes = b""
    ) -> Sequence[MessageRow]:
        """Return the newest messages of the log, newest first; those before ``before``, a MIMI id, if it is given.

        Nothing comes before a message that is not in the log.
        """

    async def show(self, mimi_id: bytes) -> MessageLog | None:
        """Return one message with its timeline."""

    async def quarantine(self, *, limit: int, kind: QuarantineKind | None = None) -> Sequence[QuarantineRow]:
        """Return what was put aside, newest first."""

    async def quarantined(self, id_: int) -> QuarantineRow | None:
        """Return one thing that was put aside."""

    async def quarantine_counts(self) -> Mapping[QuarantineKind, int]:
        """Return how much of each kind is put aside."""

    async def prune(self, keep: Keep, now: int) -> int:
        """Forget what is older than ``keep`` says at ``now`` (milliseconds), in bounded pieces; return how much."""

    async def last_id(self) -> int:
        """Return the largest id that inbox, outbox, deliveries, quarantine or what is unanswered hold (0 if empty)."""

    async def close(self) -> None:
        """Commit what is queued and close."""
