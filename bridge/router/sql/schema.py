"""The router's tables. Their history is in ``bridge/router/migrations``; this is how they look after the last one.

No column holds plaintext or a key that opens any: bodies are MLS messages, ``groups.state`` is a PublicGroup.
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
)

from bridge.router.contract import Kind

metadata = MetaData()

_KEY = BigInteger().with_variant(Integer, "sqlite")  # SQLite's row id is an INTEGER, whatever its size

KINDS = (Kind.APPLICATION, Kind.COMMIT, Kind.WELCOME, Kind.LEFT)
"""A kind is stored as its index here; new ones go to the end."""

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partition", SmallInteger, nullable=False),  # 0: one machine has all rooms
    Column("first", BigInteger, nullable=False),  # the first position that it may give
    Index("runs_in_order", "partition", "first"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("uri", Text, nullable=False, unique=True),
    Column("acknowledged", BigInteger, nullable=False),  # the position up to which it needs nothing any more
    Column("lost", BigInteger, nullable=False),  # the highest position that was taken from its inbox unread
    Column("released", BigInteger, nullable=False),  # inbox.total at the acknowledged position
    Column("sessions", Text, nullable=False),  # a JSON array, the current one last
    Column("used", Boolean, nullable=False),  # whether the current one has asked for anything
    Column("seen", BigInteger, nullable=False),  # when it was last heard of
    Column("dismissed", Boolean, nullable=False),  # no longer served: nothing is put into its inbox
)

rooms = Table(
    "rooms",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("uri", Text, nullable=False, unique=True),
    Column("group_id", LargeBinary, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the last one given
    Column("messages", BigInteger, nullable=False),
    Column("origin", LargeBinary, nullable=False),  # digest of the GroupInfo that made the room
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),  # the last accepted time: the next is never before it
    Column("partition", SmallInteger, nullable=False),  # 0: one machine has all rooms
    Column("founding", BigInteger, nullable=False),  # how often it was founded anew
    Column("revision", BigInteger, nullable=False),  # of the configuration that made its members what they are
    Column("founder", _KEY),  # the endpoint that made it; null for rooms older than this column
    Index("rooms_by_founder", "founder"),
)

groups = Table(
    "groups",
    metadata,
    Column("room", _KEY, primary_key=True, autoincrement=False),
    Column("state", LargeBinary, nullable=False),
    Column("info", LargeBinary, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("room", _KEY, primary_key=True, autoincrement=False),
    Column("leaf", Integer, primary_key=True, autoincrement=False),
    Column("endpoint", _KEY, nullable=False),
    Column("leg", SmallInteger, nullable=False),
    Column("namespaces", Text, nullable=False),  # a JSON array
    Index("members_by_endpoint", "endpoint", "room"),
    sqlite_with_rowid=False,
)

envelopes = Table(
    "envelopes",
    metadata,
    Column("position", _KEY, primary_key=True, autoincrement=False),
    Column("room", _KEY, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sender", _KEY, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("digest", LargeBinary),  # null for a Welcome, which is never submitted by itself
    Column("body", LargeBinary),  # null once everybody has it; the row stays a while to know a repeated submit
    Index("envelopes_in_order", "room", "sequence", "kind", unique=True),
    Index("envelopes_by_digest", "digest", "room", unique=True),
)

inbox = Table(
    "inbox",
    metadata,
    Column("endpoint", _KEY, primary_key=True, autoincrement=False),
    Column("position", _KEY, primary_key=True, autoincrement=False),
    Column("total", BigInteger, nullable=False),  # octets of all bodies that were ever put here, this one included
    sqlite_with_rowid=False,
)

blobs = Table(
    "blobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("endpoint", _KEY, primary_key=True, autoincrement=False),  # who stored it; several may
    Column("size", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("blobs_by_endpoint", "endpoint"),
)

key_packages = Table(
    "key_packages",
    metadata,
    Column("id", _KEY, primary_key=True),
    Column("endpoint", _KEY, nullable=False),
    Column("ref", LargeBinary, nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_resort", Boolean, nullable=False),
    Column("claimed", Boolean, nullable=False),  # the row stays until it expires, so that it is never handed out twice
    Index("key_packages_by_endpoint", "endpoint", "claimed"),
)
