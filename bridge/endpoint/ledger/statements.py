"""The ledger's writes, compiled once for an engine and run with tuples: what makes large batches cheap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Table,
    bindparam,
    delete,
    false,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite import insert as upsert_insert
from sqlalchemy.sql import ClauseElement

from bridge.endpoint.ledger import tables
from bridge.endpoint.ledger.rows import OFFERS_KEPT, QUARANTINE_KEPT, State, moves


class Prepared:
    """One statement, with the order in which its values stand in a row."""

    def __init__(self, dialect: Dialect, clause: ClauseElement, names: Sequence[str]) -> None:
        if isinstance(dialect, PGDialect):  # psycopg takes positions too, and rows stay tuples
            dialect = type(dialect)(paramstyle="format")
        compiled = clause.compile(dialect=dialect)
        self._sql = str(compiled)
        positions: Sequence[str] = compiled.positiontup or ()  # type: ignore[attr-defined]
        self._order = [names.index(name) for name in positions]

    def run(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Execute it once for each row; values stand in the order of ``names``."""
        if not rows:
            return
        order = self._order
        connection.exec_driver_sql(self._sql, [tuple([row[i] for i in order]) for row in rows])


def _columns(table: Table, leave_out: Sequence[str] = ()) -> list[str]:
    return [column.name for column in table.columns if column.name not in leave_out]


def _upsert(dialect: Dialect, table: Table) -> Prepared:
    names = _columns(table)
    maker = postgresql.insert if dialect.name == "postgresql" else upsert_insert
    statement = maker(table).values({name: bindparam(name) for name in names})
    keys = [column.name for column in table.primary_key]
    statement = statement.on_conflict_do_update(
        index_elements=keys, set_={name: statement.excluded[name] for name in names if name not in keys}
    )
    return Prepared(dialect, statement, names)


def _insert(dialect: Dialect, table: Table, leave_out: Sequence[str] = ()) -> Prepared:
    names = _columns(table, leave_out)
    return Prepared(dialect, insert(table).values({name: bindparam(name) for name in names}), names)


def _delete(dialect: Dialect, table: Table) -> Prepared:
    keys = [column.name for column in table.primary_key]
    statement = delete(table)
    for key in keys:
        statement = statement.where(table.c[key] == bindparam(key))
    return Prepared(dialect, statement, keys)


def _move(dialect: Dialect, since: Sequence[State]) -> Prepared:
    """The statement that moves a message which is in one of these states."""
    message = tables.message
    states: list[ColumnElement[int]] = [literal_column(str(int(state))) for state in since]
    return Prepared(
        dialect,
        update(message)
        .where(message.c.mimi_id == bindparam("key"), message.c.state.in_(states) if states else false())
        .values(state=bindparam("to"), reason=bindparam("why")),
        ["key", "to", "why"],
    )


class Statements:
    """Every write the ledger makes."""

    def __init__(self, dialect: Dialect) -> None:
        message = tables.message
        self.put_record = _upsert(dialect, tables.record)
        self.delete_record = _delete(dialect, tables.record)
        self.forget = Prepared(dialect, delete(tables.record).where(tables.record.c.space == bindparam("key")), ["key"])
        self.put_room = _upsert(dialect, tables.room)
        self.put_native = _upsert(dialect, tables.native)
        self.add_message = _insert(dialect, message, leave_out=("number", "accepted_at"))
        self.name_message = Prepared(
            dialect,
            update(message).where(message.c.mimi_id == bindparam("key")).values(native_id=bindparam("native")),
            ["key", "native"],
        )
        self.move_message = {to: _move(dialect, [now for now in State if moves(now, to)]) for to in State}
        self.revive_message = _move(dialect, [State.UNCERTAIN, State.FAILED])
        self.accept_message = Prepared(
            dialect,
            update(message)
            .where(message.c.mimi_id == bindparam("key"), message.c.accepted_at.is_(None))
            .values(accepted_at=bindparam("when")),
            ["key", "when"],
        )
        unanswered = tables.unanswered
        self.put_unanswered = _upsert(dialect, unanswered)
        self.owe = Prepared(
            dialect,
            update(unanswered).where(unanswered.c.mimi_id == bindparam("key")).values(owed=bindparam("endpoints")),
            ["key", "endpoints"],
        )
        self.delete_unanswered = Prepared(
            dialect, delete(unanswered).where(unanswered.c.mimi_id == bindparam("key")), ["key"]
        )
        self.add_status = _insert(dialect, tables.timeline, leave_out=("number",))
        self.put_inbox = _upsert(dialect, tables.inbox)
        self.delete_inbox = _delete(dialect, tables.inbox)
        self.put_outbox = _upsert(dialect, tables.outbox)
        self.delete_outbox = _delete(dialect, tables.outbox)
        self.put_delivery = _upsert(dialect, tables.delivery)
        self.delete_delivery = _delete(dialect, tables.delivery)
        offer = tables.offer
        self.delete_offer = Prepared(dialect, delete(offer).where(offer.c.mimi_id == bindparam("key")), ["key"])
        self.close_offers = Prepared(
            dialect, update(offer).where(offer.c.room == bindparam("key"), offer.c.open).values(open=false()), ["key"]
        )
        self.add_offer = _insert(dialect, offer, leave_out=("number",))
        newest = (
            select(offer.c.number)
            .where(offer.c.room == bindparam("key"))
            .order_by(offer.c.number.desc())
            .limit(literal_column(str(OFFERS_KEPT)))
            .offset(literal_column("0"))  # which the dialect of SQLite would make a parameter
        )
        self.prune_offers = Prepared(
            dialect, delete(offer).where(offer.c.room == bindparam("key"), offer.c.number.not_in(newest)), ["key"]
        )
        aside = tables.quarantine
        self.put_quarantine = _upsert(dialect, aside)
        self.delete_quarantine = _delete(dialect, aside)
        self.end_quarantine = Prepared(dialect, delete(aside).where(aside.c.at < bindparam("before")), ["before"])
        kept = (
            select(aside.c.id)
            .where(aside.c.kind == bindparam("key"))
            .order_by(aside.c.id.desc())
            .limit(literal_column(str(QUARANTINE_KEPT)))
            .offset(literal_column("0"))
        )
        self.prune_quarantine = Prepared(
            dialect, delete(aside).where(aside.c.kind == bindparam("key"), aside.c.id.not_in(kept)), ["key"]
        )
