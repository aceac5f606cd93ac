"""A deleted message: its words leave every table at once, in the transaction that takes the deletion."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, or_, select, update

from bridge.endpoint.ledger import tables
from bridge.endpoint.ledger.rows import Erased
from bridge.endpoint.ledger.sealing import Sealer, cell

_DEEPEST = 16
"""How many edits of edits of a message are followed."""


def erase(connection: Connection, sealer: Sealer, erased: Sequence[Erased]) -> list[bytes]:
    """Take the words of messages, and of all edits of them, out of every table; return the MIMI ids of all of these.

    What somebody else than its sender wants deleted stays: the network or its far side decides about that.
    """
    gone: list[bytes] = []
    for each in erased:
        gone += _with_edits(connection, sealer, each)
    if gone:
        _empty(connection, gone)
    return gone


def _with_edits(connection: Connection, sealer: Sealer, erased: Erased) -> list[bytes]:
    table = tables.message
    found: dict[bytes, None] = {}
    wanted = [erased.mimi_id]
    for _ in range(_DEEPEST):
        query = select(table.c.mimi_id, table.c.sender)
        query = query.where(or_(table.c.mimi_id.in_(wanted), table.c.whole.in_(wanted)))
        new = []
        for row in connection.execute(query).all():
            mimi_id = bytes(row.mimi_id)
            sender = sealer.open(bytes(row.sender), cell("message", mimi_id, "sender")).decode("utf-8", "surrogatepass")
            if mimi_id not in found and sender == erased.sender:
                new.append(mimi_id)
        found.update(dict.fromkeys(new))
        if erased.mimi_id not in found or not new:
            break
        wanted = new
    return list(found) if erased.mimi_id in found else []


def _empty(connection: Connection, gone: Sequence[bytes]) -> None:
    message, offer = tables.message, tables.offer
    connection.execute(update(message).where(message.c.mimi_id.in_(gone)).values(excerpt=b""))
    connection.execute(delete(offer).where(offer.c.mimi_id.in_(gone)))
    for table in (tables.outbox, tables.unanswered, tables.delivery):
        connection.execute(update(table).where(table.c.mimi_id.in_(gone)).values(content=b""))
    plans = tables.delivery.c.mimi_id.in_(gone)
    connection.execute(update(tables.delivery).where(plans).values(plan=b""))
