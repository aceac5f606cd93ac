"""The ledger's tables, as SQLAlchemy Core sees them. ``migrations/`` makes them; a test holds the two together."""

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
)

metadata = MetaData()

BIG = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts rows up only in an INTEGER key

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
    Column("name", Text, nullable=False),
    Column("group_id", LargeBinary, nullable=False),
    Column("pending", LargeBinary, nullable=False),
)

native = Table(
    "native",
    metadata,
    Column("native_id", Text, primary_key=True),
    Column("mimi_id", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("mimi_id", LargeBinary, nullable=False, unique=True),
    Column("room", Text, nullable=False),
    Column("source", Boolean, nullable=False),
    Column("sender", Text, nullable=False),
    Column("at", BIG, nullable=False),
    Column("native_id", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("excerpt", LargeBinary, nullable=False),
    Column("reaction", Boolean, nullable=False),
    Column("accepted_at", BIG, nullable=True),
)

timeline = Table(
    "timeline",
    metadata,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("mimi_id", LargeBinary, nullable=False),
    Column("by", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("at", BIG, nullable=False),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("timeline_message", "mimi_id"),
)

offer = Table(
    "offer",
    metadata,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("mimi_id", LargeBinary, nullable=False, unique=True),
    Column("room", Text, nullable=False),
    Column("native_id", Text, nullable=False),
    Column("part", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Column("open", Boolean, nullable=False),
    Index("offer_room", "room", "number"),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("conversation", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("at", BIG, nullable=False),
    Index("inbox_conversation", "conversation", "id"),
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
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("mimi_id", LargeBinary, nullable=False),
    Column("room", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sender", Text, nullable=False),
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
    Column("text", Text, nullable=False),
    Index("delivery_room", "room", "parked", "id"),
)
