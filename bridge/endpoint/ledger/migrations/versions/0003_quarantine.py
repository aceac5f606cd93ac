"""What could not be handled, put aside with its reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the quarantine."""
    op.create_table(
        "quarantine",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("place", sa.LargeBinary, nullable=False),
        sa.Column("item", sa.LargeBinary, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("text", sa.LargeBinary, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("raw", sa.Boolean, nullable=False),
    )
    op.create_index("quarantine_kind", "quarantine", ["kind", "id"])
