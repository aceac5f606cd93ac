"""The journal: rooms, their groups and members, envelopes, inboxes and KeyPackages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create everything."""
    _rooms()
    _envelopes()
    op.create_table(
        "key_packages",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("endpoint", KEY, nullable=False),
        sa.Column("ref", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("last_resort", sa.Boolean, nullable=False),
        sa.Column("claimed", sa.Boolean, nullable=False),
    )
    op.create_index("key_packages_by_endpoint", "key_packages", ["endpoint", "claimed"])


def _rooms() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("uri", sa.Text, nullable=False, unique=True),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rooms",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("uri", sa.Text, nullable=False, unique=True),
        sa.Column("group_id", sa.LargeBinary, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.Column("origin", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "groups",
        sa.Column("room", KEY, primary_key=True, autoincrement=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("info", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "members",
        sa.Column("room", KEY, primary_key=True, autoincrement=False),
        sa.Column("leaf", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("endpoint", KEY, nullable=False),
        sa.Column("leg", sa.SmallInteger, nullable=False),
        sa.Column("namespaces", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("members_by_endpoint", "members", ["endpoint", "room"])


def _envelopes() -> None:
    op.create_table(
        "envelopes",
        sa.Column("position", KEY, primary_key=True, autoincrement=False),
        sa.Column("room", KEY, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("sender", KEY, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
    )
    op.create_index("envelopes_in_order", "envelopes", ["room", "sequence", "kind"], unique=True)
    op.create_index("envelopes_by_digest", "envelopes", ["digest", "room"], unique=True)
    op.create_table(
        "inbox",
        sa.Column("endpoint", KEY, primary_key=True, autoincrement=False),
        sa.Column("position", KEY, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
