"""What is known of a room's past, for ever, and what it still needs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns. Rooms of before were founded once, and those that we are in were complete for all we know."""
    for column in (
        sa.Column("founding", BIG, nullable=False, server_default="-1"),
        sa.Column("highest_epoch", BIG, nullable=False, server_default="-1"),
        sa.Column("complete", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("removed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("since", BIG, nullable=False, server_default="0"),
        sa.Column("next_step", sa.Text, nullable=False, server_default=""),
    ):
        op.add_column("room", column)
    room = sa.table("room", sa.column("phase"), sa.column("founding"), sa.column("complete"))
    op.execute(room.update().where(room.c.phase == "member").values(founding=0, complete=sa.true()))
