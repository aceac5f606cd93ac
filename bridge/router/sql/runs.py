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


def greet(connection: Connection, endpoint: str, session: str, previous: str) -> Standing:
    """Judge an endpoint's session by the ones that it had, and make it the current one unless another took its place.

    The same session again, as after an answer that was lost, stands as it stood.
    """
    mine = endpoints.c.uri == endpoint
    known: list[str] = msgspec.json.decode(
        connection.execute(select(endpoints.c.sessions).where(mine)).scalar_one(), type=list[str]
    )
    if known and known[-1] == session:
        return Standing.CURRENT
    if session in known:
        return Standing.OLDER
    standing = Standing.CURRENT if not known or known[-1] == previous else Standing.FORKED
    kept = msgspec.json.encode([*known, session][-SESSIONS:]).decode()
    connection.execute(update(endpoints).where(mine).values(sessions=kept))
    return standing
