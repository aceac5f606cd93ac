"""The ledger's tables, as SQLAlchemy Core sees them. ``migrations/`` makes them; a test holds the two together.

``LargeBinary`` columns that are no ids and no ciphertext of the room are sealed (``sealing``). What people, places and
native messages are called is nowhere open: it is sealed, or an HMAC where it is looked up.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData()

BIG = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts rows up only in an INTEGER key

ledger = Table("ledger", metadata, Column("id", LargeBinary, primary_key=True))

record = Table(
    "record",
    metadata,
    Column("space", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

room = Table(
    "room",
    metadata,
    Column("room", Text, primary_key=True),
    Column("conversation", LargeBinary, nullable=False),
    Column("phase", Text, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("group_id", LargeBinary, nullable=False),
    Column("pending", LargeBinary, nullable=False),
    Column("founding", BIG, nullable=False, server_default="-1"),
    Column("highest_epoch", BIG, nullable=False, server_default="-1"),
    Column("complete", Boolean, nullable=False, server_default=false()),
    Column("removed", Boolean, nullable=False, server_default=false()),
    Column("reason", Text, nullable=False, server_default=""),
    Column("since", BIG, nullable=False, server_default="0"),
    Column("next_step", Text, nullable=False, server_default=""),
)

native = Table(
    "native",
    metadata,
    Column("native_id", LargeBinary, primary_key=True),  # HMAC
    Column("mimi_id", LargeBinary, nullable=False),
    Index("native_message", "mimi_id"),
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("mimi_id", LargeBinary, nullable=False, unique=True),
    Column("room", Text, nullable=False),
    Column("source", Boolean, nullable=False),
    Column("sender", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Column("native_id", LargeBinary, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("excerpt", LargeBinary, nullable=False),
    Column("reaction", Boolean, nullable=False),
    Column("accepted_at", BIG, nullable=True),
    Column("whole", LargeBinary, nullable=False),  # the message that this one edits
    Index("message_whole", "whole"),
    Index("message_at", "at"),
    Index(
        "message_excerpt",
        "at",
        sqlite_where=text("length(excerpt) > 0"),
        postgresql_where=text("length(excerpt) > 0"),
    ),
    Index("message_room", "room", "number"),
    Index("message_state", "state", "number"),
)

timeline = Table(
    "timeline",
    metadata,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("mimi_id", LargeBinary, nullable=False),
    Column("by", LargeBinary, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("at", BIG, nullable=False),
    Column("reason", Text, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("who", Text, nullable=False, server_default=""),
    Index("timeline_message", "mimi_id"),
    Index("timeline_at", "at"),
)

offer = Table(
    "offer",
    metadata,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("mimi_id", LargeBinary, nullable=False, unique=True),
    Column("room", Text, nullable=False),
    Column("native_id", LargeBinary, nullable=False),
    Column("part", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Column("open", Boolean, nullable=False),
    Index("offer_room", "room", "number"),
    Index("offer_at", "at"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("place", LargeBinary, nullable=False),  # HMAC of the conversation
    Column("conversation", LargeBinary, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Index("inbox_place", "place", "id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("room", Text, nullable=False),
    Column("mimi_id", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("epoch", BIG, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Index("outbox_room", "room", "id"),
    Index("outbox_message", "mimi_id"),
)

unanswered = Table(
    "unanswered",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("mimi_id", LargeBinary, nullable=False),
    Column("room", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Column("deadline", BIG, nullable=False),
    Column("owed", Text, nullable=False),  # endpoints' URIs, with a space between two
    Index("unanswered_message", "mimi_id"),
    Index("unanswered_room", "room", "id"),
    Index("unanswered_deadline", "deadline"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("mimi_id", LargeBinary, nullable=False),
    Column("room", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sender", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Column("parked", Boolean, nullable=False),
    Column("replayed", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BIG, nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("part", Integer, nullable=False),
    Column("sending", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Index("delivery_room", "parked", "room", "id"),
    Index("delivery_parked", "parked", "id"),
    Index("delivery_message", "mimi_id"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("place", LargeBinary, nullable=False),
    Column("item", LargeBinary, nullable=False),
    Column("code", Text, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("raw", Boolean, nullable=False),
    Index("quarantine_kind", "kind", "id"),
)
