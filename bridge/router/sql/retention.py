"""Forgetting what nobody needs any more, a bounded piece at a time so that messages never wait long for it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, and_, delete, exists, func, insert, select, update

from bridge.router.sql.schema import blobs, endpoints, envelopes, inbox, key_packages

KEY_PACKAGE_GRACE = 24 * 3600 * 1000
"""Milliseconds for which an expired KeyPackage's reference is still remembered."""


def acknowledge(connection: Connection, endpoint: str, position: int) -> None:
    """Move an endpoint's acknowledged position forward, and with it what is counted as held for it."""
    behind = and_(endpoints.c.uri == endpoint, endpoints.c.acknowledged < position)
    total = (
        select(inbox.c.total)
        .where(inbox.c.endpoint == endpoints.c.id, inbox.c.position <= position)
        .order_by(inbox.c.position.desc())
        .limit(1)
        .correlate(endpoints)
        .scalar_subquery()
    )
    values = {"acknowledged": position, "released": func.coalesce(total, endpoints.c.released)}
    connection.execute(update(endpoints).where(behind).values(values))


def clear_inboxes(connection: Connection, limit: int) -> int:
    """Take out of each inbox up to ``limit`` of what its endpoint has acknowledged; return how many there were."""
    cleared = 0
    for endpoint, acknowledged in connection.execute(select(endpoints.c.id, endpoints.c.acknowledged)).all():
        oldest = (
            select(inbox.c.position)
            .where(inbox.c.endpoint == endpoint, inbox.c.position <= acknowledged)
            .order_by(inbox.c.position)
            .limit(limit)
        )
        cleared += connection.execute(
            delete(inbox).where(inbox.c.endpoint == endpoint, inbox.c.position.in_(oldest))
        ).rowcount
    return cleared


def drop_unfetched(connection: Connection, before: int, limit: int) -> int:
    """Take from each inbox up to ``limit`` of what was accepted before a time; return how many there were.

    The endpoint is told when it comes back with a cursor that lies before what is gone.
    """
    dropped = 0
    for (endpoint,) in connection.execute(select(endpoints.c.id)).all():
        oldest = (
            select(inbox.c.position, envelopes.c.at, inbox.c.total)
            .join(envelopes, envelopes.c.position == inbox.c.position)
            .where(inbox.c.endpoint == endpoint)
            .order_by(inbox.c.position)
            .limit(limit)
        )
        old = [row for row in connection.execute(oldest) if row.at < before]
        if not old:
            continue
        end = max(row.position for row in old)
        mine = inbox.c.endpoint == endpoint
        dropped += connection.execute(delete(inbox).where(mine, inbox.c.position <= end)).rowcount
        released = func.max if connection.dialect.name == "sqlite" else func.greatest
        values = {"lost": end, "released": released(endpoints.c.released, max(row.total for row in old))}
        unread = (endpoints.c.id == endpoint) & (endpoints.c.acknowledged < end)
        connection.execute(update(endpoints).where(unread).values(values))
    return dropped


def note_blob(connection: Connection, endpoint: str, name: str, size: int, now: int) -> None:
    """Note who has stored an attachment; the same one again only counts as younger."""
    owner = connection.execute(select(endpoints.c.id).where(endpoints.c.uri == endpoint)).scalar_one()
    connection.execute(delete(blobs).where(blobs.c.name == name, blobs.c.endpoint == owner))
    connection.execute(insert(blobs).values(name=name, endpoint=owner, size=size, at=now))


def drop_blobs(connection: Connection, before: int) -> int:
    """Forget who stored the attachments that are as old as the files that are deleted."""
    return connection.execute(delete(blobs).where(blobs.c.at < before)).rowcount


class Swept(NamedTuple):
    """How far a sweep came (None: to where everything is too young), and how many things it forgot."""

    position: int | None
    forgotten: int


def sweep(connection: Connection, after: int, bodies_before: int, receipts_before: int, limit: int) -> Swept:
    """Go through the next ``limit`` envelopes: drop bodies that are in no inbox, and rows that had none, if old enough.

    Times rise with positions but for clocks that were set back, so a sweep ends with the first window that is young.
    """
    query = select(envelopes.c.position, envelopes.c.at).where(envelopes.c.position > after)
    window = connection.execute(query.order_by(envelopes.c.position).limit(limit)).all()
    if not window:
        return Swept(None, 0)
    end = window[-1].position
    inside = envelopes.c.position.between(window[0].position, end)
    # One look by primary key for each endpoint, of which there are few, instead of another index on every row.
    wanted = (
        exists()
        .where(inbox.c.endpoint == endpoints.c.id, inbox.c.position == envelopes.c.position)
        .correlate(envelopes)
    )
    last = select(func.max(envelopes.c.position)).scalar_subquery()  # its row keeps positions from being given twice
    empty = envelopes.c.body.is_(None) & (envelopes.c.at < receipts_before) & (envelopes.c.position < last)
    unneeded = envelopes.c.body.is_not(None) & (envelopes.c.at < bodies_before) & ~wanted
    count = connection.execute(delete(envelopes).where(inside, empty)).rowcount
    count += connection.execute(update(envelopes).where(inside, unneeded).values(body=None)).rowcount
    finished = len(window) < limit or all(row.at >= bodies_before for row in window)
    return Swept(None if finished else end, count)


def drop_key_packages(connection: Connection, now: int) -> int:
    """Forget KeyPackages that expired a while ago."""
    old = key_packages.c.expires_at < now - KEY_PACKAGE_GRACE
    return connection.execute(delete(key_packages).where(old)).rowcount
