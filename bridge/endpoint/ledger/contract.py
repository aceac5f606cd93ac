"""The ledger: everything that an endpoint must not forget, behind an interface.

An endpoint gathers the writes that belong together in a ``Change`` and commits them as one transaction, which takes its
place in the order of writes at the moment ``commit`` is called. Values that hold keys or plaintext are marked below as
sealed: the engine seals them on the way in and opens them on the way out.

An engine is judged by ``tests/unit/endpoint/ledger_suite.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Protocol

from msgspec import Struct, field

Record = tuple[str, str, bytes | None]
"""A small durable value: its space, its name in it, and the value (sealed), or None to delete it."""


class State(IntEnum):
    """How far a message has come; the larger, the later. ``moves`` says which steps are steps forward."""

    QUEUED = 0
    SENT = 1
    DELIVERED = 2
    READ = 3
    UNCERTAIN = 8
    FAILED = 9


def moves(now: State, to: State) -> bool:
    """Whether ``to`` is a step forward: queued < sent < delivered < read, and failed and uncertain are the end.

    What has been delivered can only be read: it cannot fail any more.
    """
    return to > now and (now < State.DELIVERED or to is State.READ) and now < State.UNCERTAIN


class Native(Struct, frozen=True):
    """One line of the id map: ``native_id`` names (a part of) the message ``mimi_id``.

    ``mimi_id`` is empty while the message waits in the inbox: it is known, but not yet translated.
    """

    native_id: str
    mimi_id: bytes = b""


class MessageRow(Struct, frozen=True, kw_only=True):
    """One message in the log: who, where, when and how far; never what was said, but for a short sealed excerpt.

    ``source``: it came from this endpoint's network (else it goes there). ``native_id`` is its first id there ('' until
    there is one). ``at`` is when it was received from the network, or accepted by the router. ``excerpt`` (sealed) is
    the beginning of its text, for networks that cannot reply or react otherwise than by quoting.
    """

    mimi_id: bytes
    room: str
    source: bool
    sender: str
    at: int
    native_id: str = ""
    state: State = State.QUEUED
    reason: str = ""
    excerpt: str = ""
    reaction: bool = False


class StatusRow(Struct, frozen=True, kw_only=True):
    """One step in the life of a message: what ``by`` (a URI; '' for this endpoint itself) says has become of it."""

    mimi_id: bytes
    by: str
    state: State
    at: int
    reason: str = ""
    text: str = ""


class OfferRow(Struct, frozen=True, kw_only=True):
    """A message that offered something in words, so that people may answer it in words.

    ``part`` (sealed) is what was offered; ``native_id`` a name of the message on the network. ``at`` is when it was
    delivered. ``open``: nothing has been said to the conversation since, and nobody has answered.
    """

    mimi_id: bytes
    room: str
    native_id: str
    part: bytes
    at: int
    open: bool = True


OFFERS_KEPT = 8
"""How many offers of one room are kept; older ones are forgotten."""


class RoomPhase(StrEnum):
    """How far the endpoint is with a room."""

    WANTED = "wanted"
    """It must be made, or somebody else's Welcome must come."""
    CREATING = "creating"
    """Made here; the router has not said yet that it is ours."""
    WAITING = "waiting"
    """Somebody else made it; their Welcome must come."""
    MEMBER = "member"
    """This endpoint is a member of its group."""


class RoomRow(Struct, frozen=True, kw_only=True):
    """One room. ``conversation`` is this network's side of it, encoded; ``pending`` (sealed) a staged commit of ours.

    ``group_id`` is that of its MLS group, whose records are in the space ``mls/<group id in hexadecimal>``.
    """

    room: str
    conversation: bytes
    phase: RoomPhase
    name: str = ""
    group_id: bytes = b""
    pending: bytes = b""


class InboxRow(Struct, frozen=True, kw_only=True):
    """An accepted event (sealed) that waits for its media, or behind one that does."""

    id: int
    conversation: str
    event: bytes
    at: int


class OutboxRow(Struct, frozen=True, kw_only=True):
    """A content (sealed) that the router has not accepted yet, and its newest encryption (``body``, of ``epoch``).

    ``mimi_id`` is empty for status reports. ``epoch`` is -1 while there is no body.
    """

    id: int
    room: str
    content: bytes
    at: int
    mimi_id: bytes = b""
    epoch: int = -1
    body: bytes = b""


class DeliveryKind(StrEnum):
    """What is delivered to the network."""

    MESSAGE = "message"
    STATUS = "status"


class DeliveryRow(Struct, frozen=True, kw_only=True):
    """One message or status on its way to the network.

    ``content`` (sealed) is a MIMI content container, or an encoded ``StatusUpdate``. ``plan`` (sealed) is what was made
    of it at the first attempt, ``part`` how many native messages of that are done, ``sending`` whether the next one was
    on its way when this was written. ``next_at`` is the earliest time of the next attempt, in milliseconds.
    """

    id: int
    mimi_id: bytes
    room: str
    kind: DeliveryKind
    sender: str
    content: bytes
    at: int
    parked: bool = False
    replayed: bool = False
    attempts: int = 0
    next_at: int = 0
    plan: bytes = b""
    part: int = 0
    sending: bool = False
    reason: str = ""
    text: str = ""


class Change(Struct):
    """Writes that belong together; lists of rows are written in order, ``*_done`` are deleted by id.

    Rows of ``rooms``, ``natives``, ``outbox`` and ``deliveries`` replace those of the same key. ``messages`` that are
    in the log already are left out, and so are the deliveries that came with them: a message is taken once. ``named``
    sets the native id of messages. ``statuses`` go to the timeline and move the message's state; the caller has
    checked them with ``moves``.
    """

    forgotten: list[str] = field(default_factory=list)
    """Spaces whose records are all deleted, before ``records`` are written."""
    records: list[Record] = field(default_factory=list)
    rooms: list[RoomRow] = field(default_factory=list)
    natives: list[Native] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    named: list[tuple[bytes, str]] = field(default_factory=list)
    statuses: list[StatusRow] = field(default_factory=list)
    inbox: list[InboxRow] = field(default_factory=list)
    inbox_done: list[int] = field(default_factory=list)
    outbox: list[OutboxRow] = field(default_factory=list)
    outbox_done: list[int] = field(default_factory=list)
    accepted: list[tuple[bytes, int]] = field(default_factory=list)
    """MIMI ids that the router accepted, and when: they are ``SENT``."""
    deliveries: list[DeliveryRow] = field(default_factory=list)
    deliveries_done: list[int] = field(default_factory=list)
    offers_gone: list[bytes] = field(default_factory=list)
    """MIMI ids of messages that offer nothing any more."""
    offers_closed: list[str] = field(default_factory=list)
    """Rooms whose offers are all closed, before ``offers`` are written."""
    offers: list[OfferRow] = field(default_factory=list)
    """New offers; each takes the place of an earlier one of the same message."""

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return any(getattr(self, name) for name in self.__struct_fields__)


class MessageLog(Struct, frozen=True, kw_only=True):
    """A message of the log with its whole timeline, for people."""

    message: MessageRow
    timeline: tuple[StatusRow, ...]
    delivery: DeliveryRow | None = None


class Ledger(Protocol):
    """The durable state of one endpoint. Any call may raise ``bridge.storage.StorageError`` or ``SealError``."""

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

    async def parked(self) -> Sequence[DeliveryRow]:
        """Return all parked deliveries, oldest first."""

    async def log(self, *, limit: int, room: str = "", state: State | None = None) -> Sequence[MessageRow]:
        """Return the newest messages of the log, newest first."""

    async def show(self, mimi_id: bytes) -> MessageLog | None:
        """Return one message with its timeline."""

    async def last_id(self) -> int:
        """Return the largest id that inbox, outbox or deliveries hold (0 if empty)."""

    async def close(self) -> None:
        """Commit what is queued and close."""
