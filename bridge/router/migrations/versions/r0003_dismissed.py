"""Endpoints: when each was last heard of, and whether it is served no longer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"


def upgrade() -> None:
    """Add the columns: nobody was heard of yet, and everybody is served."""
    op.add_column("endpoints", sa.Column("seen", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("endpoints", sa.Column("dismissed", sa.Boolean, nullable=False, server_default=sa.false()))
