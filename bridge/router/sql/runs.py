"""The run that each opening of the database begins, and the sessions of endpoints."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from bridge.router.contract import Standing
from bridge.router.runs import KEPT, Run, Runs
from bridge.router.sql.rows import last_position
from bridge.router.sql.schema import endpoints, runs

PARTITION = 0
"""One machine has all rooms."""

SESSIONS = 32
"""Sessions that are remembered for each endpoint, to know an older one again."""


def begin(connection: Connection, run: str) -> Runs:
    """Begin the run of this name behind everything that is here, and forget runs that gave nothing or are very old."""
    first = last_position(connection) + 1
    connection.execute(delete(runs).where(runs.c.partition == PARTITION, runs.c.first >= first))
    connection.execute(insert(runs).values(id=run, partition=PARTITION, first=first))
    query = select(runs.c.id, runs.c.first).where(runs.c.partition == PARTITION).order_by(runs.c.first.desc())
    kept = [Run(id_, start) for id_, start in connection.execute(query.limit(KEPT))]
    connection.execute(delete(runs).where(runs.c.partition == PARTITION, runs.c.first < kept[-1].first))
    return Runs(kept[::-1])


def greet(connection: Connection, endpoint: str, session: str, previous: str, now: int) -> Standing:
    """Judge an endpoint's session by the ones that it had, and make it the current one unless another took its place.

    The same session again, as after an answer that was lost, stands as it stood. The last session only counts if it
    asked for something: one that was drawn and never written down by its endpoint is no other copy's.
    """
    mine = endpoints.c.uri == endpoint
    row = connection.execute(select(endpoints.c.sessions, endpoints.c.used).where(mine)).one()
    known: list[str] = msgspec.json.decode(row.sessions, type=list[str])
    if known and known[-1] == session:
        return Standing.CURRENT
    if session in known:
        return Standing.OLDER
    counting = known if row.used else known[:-1]  # what never asked for anything leaves no trace
    follows = not counting or previous in (counting[-1], known[-1])
    kept = msgspec.json.encode([*counting, session][-SESSIONS:]).decode()
    connection.execute(update(endpoints).where(mine).values(sessions=kept, used=False, seen=now))
    return Standing.CURRENT if follows else Standing.FORKED


def use(connection: Connection, endpoint: str, now: int) -> None:
    """Note that the current session has asked for something, and that the endpoint was heard of."""
    connection.execute(update(endpoints).where(endpoints.c.uri == endpoint).values(used=True, seen=now))
