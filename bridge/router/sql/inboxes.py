"""Endpoints' inboxes as one transaction fills them, counted in octets.

Each row has the sum of all bodies that were ever put into its inbox. What an endpoint has not acknowledged yet is then
the difference of two numbers, however many messages it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, insert, select

from bridge.router.sql.schema import endpoints, inbox
from bridge.storage import Bulk

_filled = (
    select(inbox.c.total)
    .where(inbox.c.endpoint == endpoints.c.id)
    .order_by(inbox.c.position.desc())
    .limit(1)
    .correlate(endpoints)
    .scalar_subquery()
)
_counts = select(endpoints.c.id, endpoints.c.released, _filled).where(
    endpoints.c.id.in_(bindparam("endpoints", expanding=True))
)
_insert = Bulk(insert(inbox), [column.name for column in inbox.columns])


class Inboxes:
    """The inboxes of ``endpoints`` (their ids) in one transaction."""

    def __init__(self, connection: Connection, endpoints: Iterable[int]) -> None:
        self._connection = connection
        self._rows: list[tuple[object, ...]] = []
        self._released: dict[int, int] = {}
        self._total: dict[int, int] = {}
        if wanted := sorted(set(endpoints)):
            for endpoint, released, filled in connection.execute(_counts, {"endpoints": wanted}):
                self._released[endpoint] = released
                self._total[endpoint] = max(released, filled or 0)

    def held(self, endpoint: int) -> int:
        """Return how many octets wait for an endpoint that is served."""
        return self._total[endpoint] - self._released[endpoint]

    def put(self, endpoint: int, position: int, size: int) -> None:
        """Put the envelope at ``position``, whose body has ``size`` octets, into an inbox."""
        self._total[endpoint] += size
        self._rows.append((endpoint, position, self._total[endpoint]))

    def write(self) -> None:
        """Insert what was put."""
        _insert.run(self._connection, self._rows)
        self._rows = []
