"""Endpoints that are served no longer: what waits for them goes, and those who share a room with them hear it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from bridge.router.contract import Kind
from bridge.router.journal import Fanned
from bridge.router.rooms import left
from bridge.router.runs import Runs
from bridge.router.sql.posting import put_posts
from bridge.router.sql.rows import endpoint_ids, last_position, load_rooms
from bridge.router.sql.schema import KINDS, endpoints, envelopes, inbox, key_packages, members, rooms

ROOMS_AT_ONCE = 100
"""Rooms that one transaction tells."""

_APPLICATION = KINDS.index(Kind.APPLICATION)


def enrol(connection: Connection, names: Sequence[str], now: int) -> None:
    """Insert the endpoints that are new, and serve again those that were dismissed."""
    known = endpoint_ids(connection)
    fresh = {
        "acknowledged": 0, "lost": 0, "released": 0, "sessions": "[]", "used": False, "seen": now, "dismissed": False,
    }  # fmt: skip
    new = [{"uri": name, **fresh} for name in dict.fromkeys(names) if name not in known]
    if new:
        connection.execute(insert(endpoints), new)
    connection.execute(update(endpoints).where(endpoints.c.uri.in_(names)).values(dismissed=False))
    unheard = endpoints.c.uri.in_(names) & (endpoints.c.seen == 0)
    connection.execute(update(endpoints).where(unheard).values(seen=now))


def tell(connection: Connection, runs: Runs, endpoint: str, after: int, now: int) -> tuple[int | None, list[Fanned]]:
    """Tell the next rooms behind ``after`` that this endpoint left; return the last of them (None: that was all)."""
    ids = endpoint_ids(connection)
    own = (
        select(rooms.c.id, rooms.c.uri)
        .join(members, members.c.room == rooms.c.id)
        .where(members.c.endpoint == ids[endpoint], rooms.c.id > after)
        .order_by(rooms.c.id)
        .limit(ROOMS_AT_ONCE)
    )
    found = connection.execute(own).all()
    fanned: list[Fanned] = []
    for row in load_rooms(connection, [room.uri for room in found]).values():
        others = tuple(uri for uri in row.members if uri != endpoint and uri not in row.dismissed)
        if not others:
            continue
        at = row.next_time(now)
        post = left((endpoint,), row.epoch, others)
        fanned += put_posts(connection, runs, row, [post], sender=endpoint, digest=b"", endpoints=ids, at=at)
        moved = {"sequence": row.sequence, "updated_at": row.updated_at}
        connection.execute(update(rooms).where(rooms.c.id == row.id).values(moved))
    return (found[-1].id if len(found) == ROOMS_AT_ONCE else None), fanned


def forget(connection: Connection, endpoint: str) -> None:
    """Throw away what waits for an endpoint, and its KeyPackages; it is dismissed from now on."""
    id_ = endpoint_ids(connection)[endpoint]
    connection.execute(delete(inbox).where(inbox.c.endpoint == id_))
    ours = (key_packages.c.endpoint == id_) & ~key_packages.c.claimed
    connection.execute(update(key_packages).where(ours).values(claimed=True, body=b""))
    values = {"dismissed": True, "lost": last_position(connection)}
    connection.execute(update(endpoints).where(endpoints.c.id == id_).values(values))


def is_dismissed(connection: Connection, endpoint: str) -> bool:
    """Say whether an endpoint is served no longer, or was never known."""
    query = select(endpoints.c.dismissed).where(endpoints.c.uri == endpoint)
    return connection.execute(query).scalar_one_or_none() is not False


def drop_unread(connection: Connection, room: int, leavers: Sequence[int]) -> None:
    """Take from the inboxes of those who left a room what was said there and not acknowledged.

    Commits stay, so that they can follow the group to the commit that removed them.
    """
    if not leavers:
        return
    said = select(envelopes.c.position).where(envelopes.c.room == room, envelopes.c.kind == _APPLICATION)
    connection.execute(delete(inbox).where(inbox.c.endpoint.in_(leavers), inbox.c.position.in_(said)))
