"""What somebody has not answered yet is kept by its sender, and each answer with the endpoint that gave it.

``sent`` was what the router had accepted, and is now what the recipient's network has taken: messages that had only
come to the router are queued again. When it accepted them stands in ``accepted_at``, as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table of what is unanswered, and carry over what was called sent."""
    op.create_table(
        "unanswered",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        sa.Column("mimi_id", sa.LargeBinary, nullable=False),
        sa.Column("room", sa.Text, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("deadline", BIG, nullable=False),
        sa.Column("owed", sa.Text, nullable=False),
    )
    op.create_index("unanswered_message", "unanswered", ["mimi_id"])
    op.create_index("unanswered_room", "unanswered", ["room", "id"])
    op.create_index("unanswered_deadline", "unanswered", ["deadline"])
    op.add_column("timeline", sa.Column("who", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE message SET state = 0 WHERE state = 1")
