"""KeyPackages: each handed out once, bar the last resort."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from bridge.router.journal import KeyPackageRecord
from bridge.router.sql.schema import endpoints, key_packages


def publish(
    connection: Connection,
    endpoint: str,
    packages: Sequence[KeyPackageRecord],
    last_resort: KeyPackageRecord | None,
    now: int,
    *,
    replace: bool = False,
) -> int:
    """Keep what is new, replace the last resort, or everything there was, and count what may be claimed."""
    owner = connection.execute(select(endpoints.c.id).where(endpoints.c.uri == endpoint)).scalar_one()
    if replace:  # they stay known, as claimed, so that none of them is ever handed out again
        ours = (key_packages.c.endpoint == owner) & ~key_packages.c.claimed
        connection.execute(update(key_packages).where(ours).values(claimed=True, body=b""))
    if last_resort is not None:
        former = (key_packages.c.endpoint == owner) & key_packages.c.last_resort
        connection.execute(delete(key_packages).where(former))
    for package in (*packages, *([] if last_resort is None else [last_resort])):
        _keep(connection, owner, package, last_resort=package is last_resort)
    available = select(func.count()).where(
        key_packages.c.endpoint == owner,
        ~key_packages.c.last_resort,
        ~key_packages.c.claimed,
        key_packages.c.expires_at > now,
    )
    return connection.execute(available).scalar_one()


def _keep(connection: Connection, owner: int, package: KeyPackageRecord, *, last_resort: bool) -> None:
    known = connection.execute(select(key_packages.c.id).where(key_packages.c.ref == package.ref)).first()
    if known is None:
        connection.execute(
            insert(key_packages).values(
                endpoint=owner,
                ref=package.ref,
                body=package.body,
                expires_at=package.expires_at,
                last_resort=last_resort,
                claimed=False,
            )
        )


def claim(connection: Connection, endpoint: str, now: int) -> bytes | None:
    """Take the oldest single-use package, or a copy of the last resort."""
    query = (
        select(key_packages.c.id, key_packages.c.body, key_packages.c.last_resort)
        .join(endpoints, endpoints.c.id == key_packages.c.endpoint)
        .where(endpoints.c.uri == endpoint, ~key_packages.c.claimed, key_packages.c.expires_at > now)
        .order_by(key_packages.c.last_resort, key_packages.c.id)
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    if not row.last_resort:
        taken = update(key_packages).where(key_packages.c.id == row.id).values(claimed=True, body=b"")
        connection.execute(taken)
    return bytes(row.body)
