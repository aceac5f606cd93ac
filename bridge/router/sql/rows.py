"""What the statements of several modules here share: rooms and members read as one, endpoints by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select

from bridge.router.contract import Member, Notification
from bridge.router.sql.schema import KINDS, endpoints, envelopes, members, rooms
from bridge.storage import Bulk
from protocol.leg import LegClass


@dataclass(slots=True)
class RoomRow:
    """One room as a transaction sees it and moves it on."""

    id: int
    uri: str
    group_id: bytes
    epoch: int
    sequence: int
    messages: int
    origin: bytes
    created_at: int
    updated_at: int
    partition: int
    founding: int
    revision: int
    founder: int | None
    members: dict[str, int] = field(default_factory=dict)  # endpoint URI -> its id
    dismissed: set[str] = field(default_factory=set)  # members that are served no longer

    def next_time(self, now: int) -> int:
        """Advance the room's clock to ``now``, or leave it if it would go back."""
        self.updated_at = max(self.updated_at, now)
        return self.updated_at


_rooms_by_uri = select(rooms).where(rooms.c.uri.in_(bindparam("uris", expanding=True)))
_members_by_room = (
    select(members.c.room, endpoints.c.uri, endpoints.c.id, endpoints.c.dismissed)
    .join(endpoints, endpoints.c.id == members.c.endpoint)
    .where(members.c.room.in_(bindparam("rooms", expanding=True)))
)
_last_position = select(func.coalesce(func.max(envelopes.c.position), 0))
_full_members = (
    select(members.c.room, endpoints.c.uri, members.c.leaf, members.c.leg, members.c.namespaces)
    .join(endpoints, endpoints.c.id == members.c.endpoint)
    .where(members.c.room.in_(bindparam("rooms", expanding=True)))
    .order_by(members.c.room, members.c.leaf)
)


def load_rooms(connection: Connection, uris: Iterable[str]) -> dict[str, RoomRow]:
    """Read the rooms of these names, with their members' endpoints."""
    found = {row.uri: RoomRow(*row) for row in connection.execute(_rooms_by_uri, {"uris": list(uris)})}
    by_id = {room.id: room for room in found.values()}
    if by_id:
        for room, uri, endpoint, dismissed in connection.execute(_members_by_room, {"rooms": list(by_id)}):
            by_id[room].members[uri] = endpoint
            if dismissed:
                by_id[room].dismissed.add(uri)
    return found


def load_members(connection: Connection, room_ids: Iterable[int]) -> Mapping[int, tuple[Member, ...]]:
    """Read the leaves of these rooms, in the order of the tree."""
    found: dict[int, list[Member]] = {}
    for room, uri, leaf, leg, namespaces in connection.execute(_full_members, {"rooms": list(room_ids)}):
        names = msgspec.json.decode(namespaces, type=tuple[str, ...])
        found.setdefault(room, []).append(Member(endpoint=uri, leaf=leaf, leg=LegClass(leg), namespaces=names))
    return {room: tuple(leaves) for room, leaves in found.items()}


def last_position(connection: Connection) -> int:
    """Return the highest position given so far; its row is never pruned, so none is given twice."""
    return int(connection.execute(_last_position).scalar_one())


def endpoint_ids(connection: Connection) -> dict[str, int]:
    """Read the ids of all endpoints."""
    return {row.uri: row.id for row in connection.execute(select(endpoints.c.uri, endpoints.c.id))}


insert_envelopes = Bulk(insert(envelopes), [column.name for column in envelopes.columns])


def envelope_row(room: RoomRow, notification: Notification, sender: int, digest: bytes | None) -> tuple[object, ...]:
    """Return a notification as ``insert_envelopes`` wants it."""
    return (
        notification.position,
        room.id,
        notification.sequence,
        KINDS.index(notification.kind),
        notification.epoch,
        sender,
        notification.at,
        digest,
        notification.body,
    )
