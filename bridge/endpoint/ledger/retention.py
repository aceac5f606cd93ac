"""What the ledger no longer needs is forgotten: a bounded piece in each transaction, so that no message waits for it.

What still waits is kept whatever its age: a message with a delivery, an outbox row or an answer outstanding.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Protocol

import structlog
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, literal_column, or_, select, update

from bridge.backoff import Sleep
from bridge.endpoint.ledger import tables
from bridge.storage import Database

PIECE = 500
"""How many rows are forgotten in one transaction."""

_PAUSE_S = 0.02

log = structlog.get_logger(__name__)

DAY = 24 * 3600 * 1000
"""Milliseconds."""


class Keep(Struct, frozen=True, kw_only=True):
    """For how many milliseconds each kind is kept once nothing waits for it any more.

    ``excerpts``: the beginnings of texts, and what was offered in words. ``timeline``: the steps of a message.
    ``log``: a message's row, and with it the native ids that name it and its pieces. ``parked``: deliveries that an
    operator could replay. ``statuses``: for how long a message that comes again is known; neither ``log`` nor
    ``timeline`` goes below it.
    """

    excerpts: int = 7 * DAY
    timeline: int = 30 * DAY
    log: int = 90 * DAY
    parked: int = 30 * DAY
    statuses: int = 7 * DAY


class _Step(Protocol):
    def __call__(self, connection: Connection, before: int) -> int:
        """Forget a piece of what is older than ``before``; return how many rows that were."""


async def prune(database: Database, keep: Keep, now: int, sleep: Sleep = asyncio.sleep) -> int:
    """Forget what is older than ``keep`` says at ``now`` (milliseconds); return how many rows were touched.

    Raises ``StorageError``.
    """
    log_before = now - max(keep.log, keep.statuses)
    timeline_before = now - max(min(keep.timeline, keep.log), keep.statuses)
    steps: Iterable[tuple[str, _Step, int]] = (
        ("excerpts", _excerpts, now - keep.excerpts),
        ("offers", _offers, now - keep.excerpts),
        ("parked", _parked, now - keep.parked),
        ("timeline", _timeline, timeline_before),
        ("log", _log, log_before),
    )
    total = 0
    for name, step, before in steps:
        count = 0
        while touched := await database.writer.run(partial(step, before=before)):
            count += touched
            await sleep(_PAUSE_S)
        if count:
            log.info("forgotten", kind=name, rows=count)
        total += count
    return total


def _waits(mimi_id: ColumnElement[bytes]) -> ColumnElement[bool]:
    """Whether something is still to be done about a message."""
    waiting = (tables.delivery, tables.outbox, tables.unanswered)
    return or_(*(exists().where(table.c.mimi_id == mimi_id) for table in waiting))


def _excerpts(connection: Connection, before: int) -> int:
    table = tables.message
    kept = func.length(table.c.excerpt) > literal_column("0")  # as the index says it
    oldest = select(table.c.number).where(kept, table.c.at < before).order_by(table.c.at).limit(PIECE)
    return connection.execute(update(table).where(table.c.number.in_(oldest)).values(excerpt=b"")).rowcount


def _offers(connection: Connection, before: int) -> int:
    table = tables.offer
    oldest = select(table.c.number).where(table.c.at < before).order_by(table.c.at).limit(PIECE)
    return connection.execute(delete(table).where(table.c.number.in_(oldest))).rowcount


def _parked(connection: Connection, before: int) -> int:
    table = tables.delivery
    oldest = select(table.c.id).where(table.c.parked.is_(True), table.c.at < before).order_by(table.c.id).limit(PIECE)
    return connection.execute(delete(table).where(table.c.id.in_(oldest))).rowcount


def _timeline(connection: Connection, before: int) -> int:
    table = tables.timeline
    over = and_(table.c.at < before, ~_waits(table.c.mimi_id))
    oldest = select(table.c.number).where(over).order_by(table.c.at).limit(PIECE)
    return connection.execute(delete(table).where(table.c.number.in_(oldest))).rowcount


def _log(connection: Connection, before: int) -> int:
    """Forget messages with all that is known of them."""
    table, timeline, native, offer, record = (
        tables.message,
        tables.timeline,
        tables.native,
        tables.offer,
        tables.record,
    )
    over = and_(table.c.at < before, ~_waits(table.c.mimi_id))
    oldest = select(table.c.number, table.c.mimi_id).where(over).order_by(table.c.at).limit(PIECE)
    rows = connection.execute(oldest).all()
    if not rows:
        return 0
    ids = [bytes(row.mimi_id) for row in rows]
    connection.execute(delete(timeline).where(timeline.c.mimi_id.in_(ids)))
    connection.execute(delete(native).where(native.c.mimi_id.in_(ids)))
    connection.execute(delete(offer).where(offer.c.mimi_id.in_(ids)))
    for mimi_id in ids:
        first = f"{mimi_id.hex()}."
        pieces = and_(record.c.space == "piece", record.c.name >= first, record.c.name < first[:-1] + "/")
        connection.execute(delete(record).where(pieces))
    return connection.execute(delete(table).where(table.c.number.in_([row.number for row in rows]))).rowcount
