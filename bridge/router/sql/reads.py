"""Reading the journal: inboxes, rooms and single records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from bridge.router.contract import Notification, RoomView
from bridge.router.journal import RoomState
from bridge.router.runs import Runs
from bridge.router.sql.change import load_state
from bridge.router.sql.rows import load_members, load_rooms
from bridge.router.sql.schema import KINDS, blobs, endpoints, envelopes, groups, inbox, members, rooms

FETCH_BYTES = 4 * 1024 * 1024
"""A batch ends with the message that makes its bodies reach this size."""

_sender = endpoints.alias("sender")
_records = (
    select(
        envelopes.c.position,
        rooms.c.uri.label("room"),
        envelopes.c.sequence,
        envelopes.c.kind,
        envelopes.c.epoch,
        _sender.c.uri.label("sender"),
        envelopes.c.body,
        envelopes.c.at,
    )
    .join(rooms, rooms.c.id == envelopes.c.room)
    .join(_sender, _sender.c.id == envelopes.c.sender)
)
_endpoint_id = select(endpoints.c.id).where(endpoints.c.uri == bindparam("uri"))
_acknowledged = select(endpoints.c.acknowledged).where(endpoints.c.uri == bindparam("uri"))
_inbox_after = (
    _records.join(inbox, inbox.c.position == envelopes.c.position)
    .where(
        inbox.c.endpoint == bindparam("endpoint"), inbox.c.position > bindparam("after"), envelopes.c.body.is_not(None)
    )
    .order_by(inbox.c.position)
    .limit(bindparam("limit"))
)


def _notification(row: Row[int, str, int, int, int, str, bytes | None, int], runs: Runs) -> Notification:
    position, room, sequence, kind, epoch, sender, body, at = row
    return Notification(position, room, sequence, KINDS[kind], epoch, sender, body or b"", at, runs.cursor(position))


def acknowledged(connection: Connection, endpoint: str) -> int:
    """Read how far an endpoint has acknowledged."""
    return int(connection.execute(_acknowledged, {"uri": endpoint}).scalar_one())


def lost(connection: Connection, endpoint: str) -> int:
    """Read the highest position that was taken from an inbox unread."""
    query = select(endpoints.c.lost).where(endpoints.c.uri == endpoint)
    return int(connection.execute(query).scalar_one())


def seen(connection: Connection) -> Mapping[str, int]:
    """Read when each endpoint was last heard of."""
    return {row.uri: row.seen for row in connection.execute(select(endpoints.c.uri, endpoints.c.seen))}


def blob_octets(connection: Connection, endpoint: str) -> int:
    """Read how many octets of attachments an endpoint has stored."""
    query = select(func.coalesce(func.sum(blobs.c.size), 0)).join(endpoints, endpoints.c.id == blobs.c.endpoint)
    return int(connection.execute(query.where(endpoints.c.uri == endpoint)).scalar_one())


def fetch(connection: Connection, runs: Runs, endpoint: str, after: int, limit: int) -> Sequence[Notification]:
    """Read an inbox from after a position."""
    endpoint_id = connection.execute(_endpoint_id, {"uri": endpoint}).scalar_one()
    found: list[Notification] = []
    size = 0
    with connection.execute(_inbox_after, {"endpoint": endpoint_id, "after": after, "limit": limit}) as result:
        for row in result:
            notification = _notification(row, runs)
            found.append(notification)
            size += len(notification.body)
            if size >= FETCH_BYTES:
                break
    return found


def room_state(connection: Connection, room: str) -> RoomState | None:
    """Read one room."""
    row = load_rooms(connection, [room]).get(room)
    return None if row is None else load_state(connection, row)


def group_info(connection: Connection, room: str) -> bytes | None:
    """Read the GroupInfo of a room."""
    query = select(groups.c.info).join(rooms, rooms.c.id == groups.c.room).where(rooms.c.uri == room)
    return connection.execute(query).scalar_one_or_none()


def room_views(connection: Connection, endpoint: str | None) -> Sequence[RoomView]:
    """Read the list of rooms, with their leaves."""
    query: Select[tuple[int, str, int, int, int, int, int, bytes]] = select(
        rooms.c.id,
        rooms.c.uri,
        rooms.c.epoch,
        rooms.c.messages,
        rooms.c.updated_at,
        rooms.c.founding,
        rooms.c.revision,
        rooms.c.group_id,
    ).order_by(rooms.c.uri)
    if endpoint is not None:
        own = select(members.c.room).join(endpoints, endpoints.c.id == members.c.endpoint)
        query = query.where(rooms.c.id.in_(own.where(endpoints.c.uri == endpoint)))
    rows = connection.execute(query).all()
    leaves = load_members(connection, [row.id for row in rows]) if rows else {}
    return [
        RoomView(
            room=row.uri,
            epoch=row.epoch,
            members=leaves.get(row.id, ()),
            messages=row.messages,
            updated_at=row.updated_at,
            founding=row.founding,
            revision=row.revision,
            group_id=bytes(row.group_id),
        )
        for row in rows
    ]


def message(connection: Connection, runs: Runs, room: str, sequence: int) -> Notification | None:
    """Read one record by its place in a room; a commit sorts before its Welcome."""
    query = _records.where(rooms.c.uri == room, envelopes.c.sequence == sequence).order_by(envelopes.c.kind).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _notification(row, runs)
