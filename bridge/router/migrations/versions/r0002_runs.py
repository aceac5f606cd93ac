"""Runs, sessions, founding numbers, and the counts by which limits are kept.

Everything that was accepted before belongs to one run of its own, whose cursors were bare positions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns and tables, and carry over what there is."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("first", sa.BigInteger, nullable=False),
    )
    op.create_index("runs_in_order", "runs", ["partition", "first"])
    op.execute(
        "INSERT INTO runs (id, partition, first) SELECT '0', 0, 1 WHERE EXISTS (SELECT 1 FROM envelopes)",
    )
    for column in ("lost", "released"):
        op.add_column("endpoints", sa.Column(column, sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("endpoints", sa.Column("sessions", sa.Text, nullable=False, server_default="[]"))
    op.add_column("endpoints", sa.Column("used", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("rooms", sa.Column("partition", sa.SmallInteger, nullable=False, server_default="0"))
    for column in ("founding", "revision"):
        op.add_column("rooms", sa.Column(column, sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("rooms", sa.Column("founder", KEY, nullable=True))
    op.create_index("rooms_by_founder", "rooms", ["founder"])
    op.create_table(
        "blobs",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("endpoint", KEY, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("blobs_by_endpoint", "blobs", ["endpoint"])
    _count_inboxes()


def _count_inboxes() -> None:
    """Count what each inbox holds, row by row upwards, so that what its endpoint acknowledges is known in octets."""
    op.add_column("inbox", sa.Column("total", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(
        "UPDATE inbox SET total = counted.total FROM ("
        " SELECT inbox.endpoint, inbox.position,"
        " SUM(COALESCE(LENGTH(envelopes.body), 0)) OVER (PARTITION BY inbox.endpoint ORDER BY inbox.position) AS total"
        " FROM inbox JOIN envelopes ON envelopes.position = inbox.position"
        ") AS counted WHERE inbox.endpoint = counted.endpoint AND inbox.position = counted.position"
    )
    op.execute(
        "UPDATE endpoints SET released = COALESCE((SELECT MAX(inbox.total) FROM inbox"
        " WHERE inbox.endpoint = endpoints.id AND inbox.position <= endpoints.acknowledged), 0)"
    )
