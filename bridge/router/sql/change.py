"""Changing a room: its creation and its commits, each judged inside the transaction that keeps it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from bridge.router.contract import Accepted, Refusal, RefusalCode
from bridge.router.journal import Decide, Fanned, RoomChange, RoomState
from bridge.router.runs import Runs
from bridge.router.sql.dismissal import drop_unread
from bridge.router.sql.posting import put_posts
from bridge.router.sql.rows import RoomRow, endpoint_ids, load_members, load_rooms
from bridge.router.sql.runs import PARTITION
from bridge.router.sql.schema import envelopes, groups, members, rooms


def load_state(connection: Connection, row: RoomRow) -> RoomState:
    """Read what a decision about a room needs."""
    state = connection.execute(select(groups.c.state).where(groups.c.room == row.id)).scalar_one()
    leaves = load_members(connection, [row.id]).get(row.id, ())
    return RoomState(
        room=row.uri, group_id=row.group_id, epoch=row.epoch, members=leaves, group=state, founding=row.founding
    )


class Changing:
    """One request to change a room."""

    def __init__(
        self, connection: Connection, runs: Runs, room: str, sender: str, digest: bytes, now: int, *, most_rooms: int
    ) -> None:
        self._connection = connection
        self._runs = runs
        self._most_rooms = most_rooms
        self._uri = room
        self._sender = sender
        self._digest = digest
        self._now = now
        self._endpoints = endpoint_ids(connection)
        self._row = load_rooms(connection, [room]).get(room)
        self.fanned: list[Fanned] = []

    def run(self, decide: Decide) -> Accepted | Refusal:
        """Answer a repeated request as before; otherwise ask ``decide`` and do what it says."""
        row = self._row
        if row is not None and (before := self._accepted_before(row)):
            return before
        verdict = decide(None if row is None else load_state(self._connection, row))
        if isinstance(verdict, Refusal):
            return verdict
        if row is None:
            if refusal := self._too_many():
                return refusal
            row = self._create(verdict)
        elif verdict.founding != row.founding:
            row = self._supersede(row, verdict)
        else:
            gone = set(row.members) - {member.endpoint for member in verdict.members}
            drop_unread(self._connection, row.id, [row.members[uri] for uri in gone])
            row = self._move_on(row, verdict)
        self._write_members(row, verdict)
        at = row.next_time(self._now)
        if verdict.posts:
            self.fanned = put_posts(
                self._connection,
                self._runs,
                row,
                verdict.posts,
                sender=self._sender,
                digest=self._digest,
                endpoints=self._endpoints,
                at=at,
            )
        self._connection.execute(
            update(rooms).where(rooms.c.id == row.id).values(sequence=row.sequence, updated_at=row.updated_at)
        )
        cursor = self.fanned[0].notification.cursor if verdict.posts else ""
        return Accepted(sequence=row.sequence if verdict.posts else 0, at=at, cursor=cursor)

    def _accepted_before(self, row: RoomRow) -> Accepted | None:
        if row.origin == self._digest:
            return Accepted(sequence=0, at=row.created_at, repeated=True)
        query = select(envelopes.c.sequence, envelopes.c.at, envelopes.c.position).where(
            envelopes.c.room == row.id, envelopes.c.digest == self._digest
        )
        found = self._connection.execute(query).first()
        if found is None:
            return None
        return Accepted(found.sequence, found.at, repeated=True, cursor=self._runs.cursor(found.position))

    def _create(self, change: RoomChange) -> RoomRow:
        values = {
            "uri": self._uri,
            "group_id": change.group_id,
            "epoch": change.epoch,
            "sequence": 0,
            "messages": 0,
            "origin": self._digest,
            "created_at": self._now,
            "updated_at": self._now,
            "partition": PARTITION,
            "founding": change.founding,
            "revision": change.revision,
            "founder": self._endpoints[self._sender],
        }
        (id_,) = self._connection.execute(insert(rooms).values(values)).inserted_primary_key or (0,)
        self._connection.execute(insert(groups).values(room=id_, state=change.group, info=change.group_info))
        return RoomRow(id=id_, **values)  # type: ignore[arg-type]  # the mapping's values are of several types

    def _move_on(self, row: RoomRow, change: RoomChange) -> RoomRow:
        row.epoch = change.epoch
        values = {"epoch": change.epoch, "revision": change.revision}
        self._connection.execute(update(rooms).where(rooms.c.id == row.id).values(values))
        self._connection.execute(
            update(groups).where(groups.c.room == row.id).values(state=change.group, info=change.group_info)
        )
        return row

    def _too_many(self) -> Refusal | None:
        founder = self._endpoints[self._sender]
        query = select(rooms.c.id).where(rooms.c.founder == founder).offset(self._most_rooms - 1).limit(1)
        if self._connection.execute(query).first() is None:
            return None
        return Refusal(
            RefusalCode.TOO_MANY, f"{self._sender} has made {self._most_rooms} rooms, as many as are allowed"
        )

    def _supersede(self, row: RoomRow, change: RoomChange) -> RoomRow:
        """Let the room go on with another group: its order and its history stay, its epochs begin again."""
        row.group_id, row.founding, row.origin = change.group_id, change.founding, self._digest
        values = {"group_id": row.group_id, "founding": row.founding, "origin": row.origin}
        self._connection.execute(update(rooms).where(rooms.c.id == row.id).values(values))
        return self._move_on(row, change)

    def _write_members(self, row: RoomRow, change: RoomChange) -> None:
        self._connection.execute(delete(members).where(members.c.room == row.id))
        leaves = [
            {
                "room": row.id,
                "leaf": member.leaf,
                "endpoint": self._endpoints[member.endpoint],
                "leg": int(member.leg),
                "namespaces": msgspec.json.encode(member.namespaces).decode(),
            }
            for member in change.members
        ]
        if leaves:
            self._connection.execute(insert(members), leaves)
