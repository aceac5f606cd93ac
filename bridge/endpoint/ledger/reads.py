"""The ledger's reads: rows of the tables, opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from bridge.endpoint.ledger import tables
from bridge.endpoint.ledger.opening import Opening
from bridge.endpoint.ledger.rows import (
    DeliveryKind,
    DeliveryRow,
    Fate,
    InboxRow,
    MessageLog,
    MessageRow,
    OfferRow,
    OutboxRow,
    QuarantineKind,
    QuarantineRow,
    RoomRow,
    State,
    StatusRow,
    UnansweredRow,
)
from bridge.endpoint.ledger.sealing import Sealer, cell
from bridge.storage import Database

_SOME = 500  # values in one IN (...): well below every engine's limit

T = TypeVar("T")


class Reads(Opening):
    """The reading half of ``Ledger`` over one database; see the protocol for the meaning of each call."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        super().__init__(sealer)
        self._database = database

    async def _read(self, query: Callable[[Connection], T]) -> T:
        return await self._database.reader.run(query)

    async def get(self, space: str, name: str) -> bytes | None:
        """Return one record."""
        table = tables.record
        query = select(table.c.sealed).where(table.c.space == space, table.c.name == name)
        sealed = await self._read(lambda connection: connection.execute(query).scalar_one_or_none())
        return None if sealed is None else self._open(sealed, f"record/{space}/{name}")

    async def scan(self, space: str, prefix: str = "") -> Sequence[tuple[str, bytes]]:
        """Return the records of a space whose name has this prefix, in order of the name."""
        table = tables.record
        query = select(table.c.name, table.c.sealed).where(table.c.space == space)
        if prefix:
            query = query.where(table.c.name >= prefix)
            if (end := _after(prefix)) is not None:
                query = query.where(table.c.name < end)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return [(name, self._open(sealed, f"record/{space}/{name}")) for name, sealed in sorted(map(tuple, rows))]

    async def rooms(self) -> Sequence[RoomRow]:
        """Return every room."""
        rows = await self._read(lambda connection: connection.execute(select(tables.room)).all())
        return self._readable("room", rows, self._room)

    async def natives(self, native_ids: Iterable[str]) -> Mapping[str, bytes]:
        """Return the MIMI ids of those native ids that are known."""
        table = tables.native
        query = select(table.c.native_id, table.c.mimi_id)
        names = {self._sealer.index("native", native_id): native_id for native_id in native_ids}
        rows = await self._read(lambda connection: in_batches(connection, query, table.c.native_id, names))
        return {names[bytes(row.native_id)]: bytes(row.mimi_id) for row in rows}

    async def messages(self, mimi_ids: Iterable[bytes]) -> Mapping[bytes, MessageRow]:
        """Return those messages that are in the log."""
        table = tables.message
        rows = await self._read(lambda connection: in_batches(connection, select(table), table.c.mimi_id, mimi_ids))
        return {bytes(row.mimi_id): self._message(row) for row in rows}

    async def fates(self, mimi_ids: Iterable[bytes]) -> Mapping[bytes, Fate]:
        """Return all that is known of those messages that are in the log."""
        ids = list(mimi_ids)
        message, timeline, unanswered = tables.message, tables.timeline, tables.unanswered
        owing = select(unanswered.c.mimi_id, unanswered.c.owed)

        def query(connection: Connection) -> tuple[list[Row[Any]], list[Row[Any]], list[Row[Any]]]:
            return (
                in_batches(connection, select(message), message.c.mimi_id, ids),
                in_batches(connection, select(timeline).order_by(timeline.c.number), timeline.c.mimi_id, ids),
                in_batches(connection, owing, unanswered.c.mimi_id, ids),
            )

        messages, steps, owed = await self._read(query)
        walked: dict[bytes, list[StatusRow]] = {}
        for row in steps:
            walked.setdefault(bytes(row.mimi_id), []).append(self._status(row))
        owes = {bytes(row.mimi_id): tuple(row.owed.split()) for row in owed}
        return {
            found.mimi_id: Fate(message=found, steps=tuple(walked.get(found.mimi_id, ())), owed=owes.get(found.mimi_id))
            for found in map(self._message, messages)
        }

    async def unanswered(self, room: str) -> Sequence[UnansweredRow]:
        """Return what somebody in a room has not answered yet, in the order in which it was said."""
        table = tables.unanswered
        query = select(table).where(table.c.room == room).order_by(table.c.id)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return [self._unanswered(row, self._open(row.content, cell("unanswered", row.id))) for row in rows]

    async def overdue(self, now: int, limit: int) -> Sequence[UnansweredRow]:
        """Return what should have been answered by ``now``, oldest first; without contents."""
        table = tables.unanswered
        query = select(table).where(table.c.deadline <= now).order_by(table.c.deadline, table.c.id).limit(limit)
        return [self._unanswered(r, b"") for r in await self._read(lambda connection: connection.execute(query).all())]

    async def states(self, mimi_ids: Iterable[bytes]) -> Mapping[tuple[bytes, str], State]:
        """Return the latest state in the timeline for each message and each ``by``."""
        table = tables.timeline
        query = select(table.c.mimi_id, table.c.by, table.c.state).order_by(table.c.number)
        rows = await self._read(lambda connection: in_batches(connection, query, table.c.mimi_id, mimi_ids))
        return {
            (bytes(row.mimi_id), self._text(row.by, cell("timeline", row.mimi_id, "by"))): State(row.state)
            for row in rows
        }

    async def offers(self, room: str) -> Sequence[OfferRow]:
        """Return what was offered in a room, newest first."""
        table = tables.offer
        query = select(table).where(table.c.room == room).order_by(table.c.number.desc())
        rows = await self._read(lambda connection: connection.execute(query).all())
        return self._readable("offer", rows, self._offer)

    async def offer_rooms(self) -> Mapping[str, bool]:
        """Return the rooms in which something was offered, and whether one of its offers is open."""
        table = tables.offer
        query = select(table.c.room, table.c.open).distinct().order_by(table.c.room, table.c.open)
        return dict(map(tuple, await self._read(lambda connection: connection.execute(query).all())))

    async def inbox(self, conversation: str, limit: int) -> Sequence[InboxRow]:
        """Return the oldest events that wait in a conversation."""
        table = tables.inbox
        place = self._sealer.index("conversation", conversation)
        query = select(table).where(table.c.place == place).order_by(table.c.id).limit(limit)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return self._readable("inbox", rows, self._inbox)

    async def inbox_conversations(self) -> Mapping[str, int]:
        """Return the conversations with waiting events, and how many."""
        table = tables.inbox
        counts = (
            select(func.min(table.c.id).label("id"), func.count().label("waiting")).group_by(table.c.place).subquery()
        )
        query = select(table, counts.c.waiting).join(counts, table.c.id == counts.c.id)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return dict(self._readable("inbox", rows, lambda row: (self._conversation(row), row.waiting)))

    async def outbox(self, after: int, limit: int) -> Sequence[OutboxRow]:
        """Return outbox rows whose id is larger than ``after``, oldest first."""
        table = tables.outbox
        query = select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return self._readable("outbox", rows, self._outbox)

    async def outbox_rows(self, ids: Iterable[int]) -> Sequence[OutboxRow]:
        """Return these outbox rows, oldest first."""
        table = tables.outbox
        rows = await self._read(lambda connection: in_batches(connection, select(table), table.c.id, ids))
        return sorted(self._readable("outbox", rows, self._outbox), key=lambda row: row.id)

    async def deliveries(self, room: str, limit: int) -> Sequence[DeliveryRow]:
        """Return the oldest deliveries of a room that are not parked."""
        table = tables.delivery
        query = select(table).where(table.c.room == room, table.c.parked.is_(False)).order_by(table.c.id).limit(limit)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return self._readable("delivery", rows, self._delivery)

    async def delivery_rooms(self) -> Mapping[str, int]:
        """Return the rooms with deliveries that are not parked, and how many."""
        table = tables.delivery
        query = select(table.c.room, func.count()).where(table.c.parked.is_(False)).group_by(table.c.room)
        return dict(map(tuple, await self._read(lambda connection: connection.execute(query).all())))

    async def parked(self, *, limit: int, room: str = "", before: bytes = b"") -> Sequence[DeliveryRow]:
        """Return the newest parked deliveries, newest first; those before ``before``, a MIMI id, if it is given."""
        table, other = tables.delivery, tables.delivery.alias()
        query = select(table).where(table.c.parked.is_(True)).order_by(table.c.id.desc()).limit(limit)
        if room:
            query = query.where(table.c.room == room)
        if before:
            query = query.where(
                table.c.id < select(func.max(other.c.id)).where(other.c.mimi_id == before).scalar_subquery()
            )
        rows = await self._read(lambda connection: connection.execute(query).all())
        return self._readable("delivery", rows, self._delivery)

    async def log(
        self, *, limit: int, room: str = "", state: State | None = None, before: bytes = b""
    ) -> Sequence[MessageRow]:
        """Return the newest messages of the log, newest first; those before ``before``, a MIMI id, if it is given."""
        table, other = tables.message, tables.message.alias()
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if room:
            query = query.where(table.c.room == room)
        if state is not None:
            query = query.where(table.c.state == int(state))
        if before:
            query = query.where(
                table.c.number < select(other.c.number).where(other.c.mimi_id == before).scalar_subquery()
            )
        return [self._message(r) for r in await self._read(lambda connection: connection.execute(query).all())]

    async def show(self, mimi_id: bytes) -> MessageLog | None:
        """Return one message with its timeline."""
        found = (await self.messages([mimi_id])).get(mimi_id)
        if found is None:
            return None
        steps, delivery = tables.timeline, tables.delivery
        queries = (
            select(steps).where(steps.c.mimi_id == mimi_id).order_by(steps.c.number),
            select(delivery).where(delivery.c.mimi_id == mimi_id, delivery.c.kind == DeliveryKind.MESSAGE.value),
            select(tables.message.c.accepted_at).where(tables.message.c.mimi_id == mimi_id),
        )
        timeline, pending, accepted = await self._read(
            lambda connection: [connection.execute(query).all() for query in queries]
        )
        return MessageLog(
            message=found,
            timeline=(*_first_steps(found, accepted[0].accepted_at), *map(self._status, timeline)),
            delivery=next(iter(self._readable("delivery", pending, self._delivery)), None),
        )

    async def quarantine(self, *, limit: int, kind: QuarantineKind | None = None) -> Sequence[QuarantineRow]:
        """Return what was put aside, newest first."""
        table = tables.quarantine
        query = select(table).order_by(table.c.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(table.c.kind == kind.value)
        return [self._aside(r) for r in await self._read(lambda connection: connection.execute(query).all())]

    async def quarantined(self, id_: int) -> QuarantineRow | None:
        """Return one thing that was put aside."""
        query = select(tables.quarantine).where(tables.quarantine.c.id == id_)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return self._aside(rows[0]) if rows else None

    async def quarantine_counts(self) -> Mapping[QuarantineKind, int]:
        """Return how much of each kind is put aside."""
        table = tables.quarantine
        query = select(table.c.kind, func.count()).group_by(table.c.kind)
        rows = await self._read(lambda connection: connection.execute(query).all())
        return {QuarantineKind(kind): count for kind, count in map(tuple, rows)}

    async def last_id(self) -> int:
        """Return the largest id that inbox, outbox, deliveries, quarantine or what is unanswered hold (0 if empty)."""
        numbered = (tables.inbox, tables.outbox, tables.delivery, tables.quarantine, tables.unanswered)
        queries = [select(func.max(table.c.id)) for table in numbered]
        found = await self._read(lambda connection: [connection.execute(q).scalar_one_or_none() for q in queries])
        return max(value or 0 for value in found)


def _after(prefix: str) -> str | None:
    """Return the first text after all that begin with ``prefix``, in order of code points; None if there is none."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    code = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if 0xD800 <= code < 0xE000 else code)


def _first_steps(message: MessageRow, accepted_at: int | None) -> Iterable[StatusRow]:
    """The steps that every message takes, which the log therefore keeps in the message's own row."""
    yield StatusRow(mimi_id=message.mimi_id, by="", state=State.QUEUED, at=message.at)
    if accepted_at is not None:
        yield StatusRow(mimi_id=message.mimi_id, by="", state=State.QUEUED, at=accepted_at, text="the router has it")


def in_batches(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Iterable[Any]
) -> list[Row[Any]]:
    """Run a query for the rows whose ``column`` is one of ``values``, some at a time."""
    wanted = list(values)
    rows: list[Row[Any]] = []
    for start in range(0, len(wanted), _SOME):
        rows += connection.execute(query.where(column.in_(wanted[start : start + _SOME]))).all()
    return rows
