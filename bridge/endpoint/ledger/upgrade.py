"""Sealing what an older version left open: done once, when the ledger is opened, some rows in each transaction.

Migration 0005 renamed each open column to ``<column>_open`` and put an empty one beside it. Killed half-way, the next
start goes on where this one came to; nothing reads the ledger before it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy import (
    Connection,
    LargeBinary,
    bindparam,
    column,
    delete,
    func,
    insert,
    inspect,
    select,
    table,
    update,
)

from bridge.endpoint.ledger import tables
from bridge.endpoint.ledger.sealing import Sealer, cell
from bridge.storage import Database

PIECE = 500
"""How many rows are sealed in one transaction."""

ID_OCTETS = 16

log = structlog.get_logger(__name__)


class _Open(NamedTuple):
    """Columns of a table that were open; its key; and the column by which ``cell`` names its rows."""

    table: str
    key: str
    named: str
    columns: tuple[str, ...]


_TABLES = (
    _Open("room", "room", "room", ("conversation", "name")),
    _Open("message", "number", "mimi_id", ("sender", "native_id")),
    _Open("timeline", "number", "mimi_id", ("by", "text")),
    _Open("offer", "number", "mimi_id", ("native_id",)),
    _Open("inbox", "id", "id", ("conversation",)),
    _Open("delivery", "id", "id", ("sender", "text")),
)


async def carry_over(database: Database, sealer: Sealer) -> Sealer:
    """Return the sealer of this very ledger, once everything in it is sealed. Raises ``StorageError``."""
    own = sealer.of(await database.writer.run(lambda connection: _ledger_id(connection, sealer)))
    for each in _TABLES:
        while await database.writer.run(lambda connection, each=each: _seal_some(connection, each, own)):  # type: ignore[misc]
            log.info("sealing what an older version left open", table=each.table)
    while await database.writer.run(lambda connection: _index_some(connection, own)):
        log.info("indexing what an older version left open", table="native")
    return own


def _ledger_id(connection: Connection, sealer: Sealer) -> bytes:
    found = connection.execute(select(tables.ledger.c.id)).scalar_one_or_none()
    if found is None:
        found = sealer.random(ID_OCTETS)
        connection.execute(insert(tables.ledger), {"id": found})
    return bytes(found)


def _columns(connection: Connection, name: str) -> set[str]:
    return {found["name"] for found in inspect(connection).get_columns(name)}


def _seal_some(connection: Connection, each: _Open, sealer: Sealer) -> bool:
    """Seal some rows of a table, or drop its open columns when none is left; return whether there is more to do."""
    left = [name for name in each.columns if f"{name}_open" in _columns(connection, each.table)]
    if not left:
        return False
    names = dict.fromkeys((each.key, each.named, *left, *(f"{name}_open" for name in left), "place"))
    here = table(each.table, *map(column, names))
    first = left[0]  # is sealed, and so not empty, once its row was done
    query = select(here.c[each.key], here.c[each.named].label("named"), *(here.c[f"{name}_open"] for name in left))
    rows = connection.execute(query.where(func.length(here.c[first]) == 0).limit(PIECE)).all()
    for row in rows:
        sealed = {
            name: sealer.seal(_octets(value), cell(each.table, row.named, name))
            for name, value in zip(left, row[2:], strict=True)
        }
        if each.table == "inbox":
            sealed["place"] = sealer.index("conversation", row[2])
        connection.execute(update(here).where(here.c[each.key] == row[0]).values(sealed))
    if not rows:
        for name in left:
            connection.exec_driver_sql(f'ALTER TABLE "{each.table}" DROP COLUMN "{name}_open"')
    return bool(rows)


def _octets(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return bytes(value) if isinstance(value, bytes | memoryview) else b""


def _index_some(connection: Connection, sealer: Sealer) -> bool:
    """Move some lines of the id map; return whether there are more."""
    if not inspect(connection).has_table("native_open"):
        return False
    old = table("native_open", column("native_id"), column("mimi_id", LargeBinary))
    rows = connection.execute(select(old).limit(PIECE)).all()
    if not rows:
        connection.exec_driver_sql("DROP TABLE native_open")
        return False
    moved = [{"native_id": sealer.index("native", row.native_id), "mimi_id": bytes(row.mimi_id)} for row in rows]
    connection.execute(insert(tables.native), moved)
    gone: Sequence[dict[str, str]] = [{"key": row.native_id} for row in rows]
    connection.execute(delete(old).where(old.c.native_id == bindparam("key")), gone)
    return True
