"""What names people, places and native messages is sealed, and looked up by HMAC; indexes for what is looked up.

A migration has no key. The columns of before are kept under another name (``*_open``); what stands in them is sealed
by ``bridge.endpoint.ledger.upgrade``, some rows at a time, as soon as the ledger is opened, and then they are dropped.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None

SEALED = (
    ("room", "conversation"),
    ("room", "name"),
    ("message", "sender"),
    ("message", "native_id"),
    ("timeline", "by"),
    ("timeline", "text"),
    ("offer", "native_id"),
    ("inbox", "conversation"),
    ("delivery", "sender"),
    ("delivery", "text"),
)


def upgrade() -> None:
    """Make room beside what was open, and the indexes."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    empty = sa.text("x''" if sqlite else "''")

    def octets(name: str) -> sa.Column[bytes]:
        return sa.Column(name, sa.LargeBinary, nullable=False, server_default=empty)

    op.create_table("ledger", sa.Column("id", sa.LargeBinary, primary_key=True, nullable=False))
    op.drop_index("inbox_conversation", "inbox")
    for table, column in SEALED:
        op.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "{column}_open"')
        op.add_column(table, octets(column))
    op.rename_table("native", "native_open")
    op.create_table(
        "native",
        sa.Column("native_id", sa.LargeBinary, primary_key=True, nullable=False),
        sa.Column("mimi_id", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("native_message", "native", ["mimi_id"])
    if not sqlite:  # records are read by ranges of their names, in the order of code points
        op.execute('ALTER TABLE record ALTER COLUMN name TYPE text COLLATE "C"')
    op.add_column("inbox", octets("place"))
    op.create_index("inbox_place", "inbox", ["place", "id"])
    op.add_column("message", octets("whole"))
    op.create_index("message_whole", "message", ["whole"])
    op.create_index("message_at", "message", ["at"])
    kept = sa.text("length(excerpt) > 0")
    op.create_index("message_excerpt", "message", ["at"], sqlite_where=kept, postgresql_where=kept)
    op.create_index("timeline_at", "timeline", ["at"])
    op.create_index("offer_at", "offer", ["at"])
    op.create_index("message_room", "message", ["room", "number"])
    op.create_index("message_state", "message", ["state", "number"])
    op.create_index("outbox_room", "outbox", ["room", "id"])
    op.create_index("outbox_message", "outbox", ["mimi_id"])
    op.drop_index("delivery_room", "delivery")
    op.create_index("delivery_room", "delivery", ["parked", "room", "id"])
    op.create_index("delivery_parked", "delivery", ["parked", "id"])
    op.create_index("delivery_message", "delivery", ["mimi_id"])
