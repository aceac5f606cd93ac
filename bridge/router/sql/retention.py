"""Forgetting what nobody needs any more, a bounded piece at a time so that messages never wait long for it."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, exists, func, select, update

from bridge.router.sql.schema import endpoints, envelopes, inbox, key_packages

KEY_PACKAGE_GRACE = 24 * 3600 * 1000
"""Milliseconds for which an expired KeyPackage's reference is still remembered."""


def acknowledge(connection: Connection, endpoint: str, position: int) -> None:
    """Move an endpoint's acknowledged position forward."""
    behind = and_(endpoints.c.uri == endpoint, endpoints.c.acknowledged < position)
    connection.execute(update(endpoints).where(behind).values(acknowledged=position))


def prune(connection: Connection, now: int, *, bodies_before: int, receipts_before: int, limit: int) -> int:
    """Take acknowledged rows out of inboxes, then bodies, then receipts, then KeyPackages."""
    return (
        _clear_inboxes(connection, limit)
        + _drop_bodies(connection, bodies_before, limit)
        + _drop_receipts(connection, receipts_before, limit)
        + connection.execute(delete(key_packages).where(key_packages.c.expires_at < now - KEY_PACKAGE_GRACE)).rowcount
    )


def _clear_inboxes(connection: Connection, limit: int) -> int:
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


def _drop_bodies(connection: Connection, before: int, limit: int) -> int:
    # One look by primary key for each endpoint, of which there are few, instead of another index on every row.
    wanted = (
        exists()
        .where(inbox.c.endpoint == endpoints.c.id, inbox.c.position == envelopes.c.position)
        .correlate(envelopes)
    )
    unneeded = (
        select(envelopes.c.position)
        .where(envelopes.c.body.is_not(None), envelopes.c.at < before, ~wanted)
        .order_by(envelopes.c.position)
        .limit(limit)
    )
    return connection.execute(update(envelopes).where(envelopes.c.position.in_(unneeded)).values(body=None)).rowcount


def _drop_receipts(connection: Connection, before: int, limit: int) -> int:
    last = select(func.max(envelopes.c.position)).scalar_subquery()
    old = (
        select(envelopes.c.position)
        .where(envelopes.c.body.is_(None), envelopes.c.at < before, envelopes.c.position < last)
        .order_by(envelopes.c.position)
        .limit(limit)
    )
    return connection.execute(delete(envelopes).where(envelopes.c.position.in_(old))).rowcount
