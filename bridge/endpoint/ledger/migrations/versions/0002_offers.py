"""What was offered in words, and may be answered in words."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table of offers."""
    op.create_table(
        "offer",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("mimi_id", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("room", sa.Text, nullable=False),
        sa.Column("native_id", sa.Text, nullable=False),
        sa.Column("part", sa.LargeBinary, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
    )
    op.create_index("offer_room", "offer", ["room", "number"])
