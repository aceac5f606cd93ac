"""The first ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=False)


def _big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, BIG, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "record", _text("space", key=True), _text("name", key=True), _bytes("sealed"), sqlite_with_rowid=False
    )
    op.create_table(
        "room",
        _text("room", key=True),
        _bytes("conversation"),
        _text("phase"),
        _text("name"),
        _bytes("group_id"),
        _bytes("pending"),
    )
    op.create_table("native", _text("native_id", key=True), _bytes("mimi_id"), sqlite_with_rowid=False)
    _create_log()
    _create_queues()


def _create_log() -> None:
    op.create_table(
        "message",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("mimi_id", sa.LargeBinary, nullable=False, unique=True),
        _text("room"),
        _flag("source"),
        _text("sender"),
        _big("at"),
        _text("native_id"),
        sa.Column("state", sa.SmallInteger, nullable=False),
        _text("reason"),
        _bytes("excerpt"),
        _flag("reaction"),
        _big("accepted_at", nullable=True),
    )
    op.create_table(
        "timeline",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        _bytes("mimi_id"),
        _text("by"),
        sa.Column("state", sa.SmallInteger, nullable=False),
        _big("at"),
        _text("reason"),
        _text("text"),
    )
    op.create_index("timeline_message", "timeline", ["mimi_id"])


def _create_queues() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        _text("conversation"),
        _bytes("event"),
        _big("at"),
    )
    op.create_index("inbox_conversation", "inbox", ["conversation", "id"])
    op.create_table(
        "outbox",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        _text("room"),
        _bytes("mimi_id"),
        _bytes("content"),
        _big("epoch"),
        _bytes("body"),
        _big("at"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", BIG, primary_key=True, autoincrement=False),
        _bytes("mimi_id"),
        _text("room"),
        _text("kind"),
        _text("sender"),
        _bytes("content"),
        _big("at"),
        _flag("parked"),
        _flag("replayed"),
        sa.Column("attempts", sa.Integer, nullable=False),
        _big("next_at"),
        _bytes("plan"),
        sa.Column("part", sa.Integer, nullable=False),
        _flag("sending"),
        _text("reason"),
        _text("text"),
    )
    op.create_index("delivery_room", "delivery", ["room", "parked", "id"])
