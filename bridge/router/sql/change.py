"""Changing a room: its creation and its commits, each judged inside the transaction that keeps it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from bridge.router.contract import Accepted, Kind, Notification, Refusal
from bridge.router.journal import Decide, Fanned, Post, RoomChange, RoomState
from bridge.router.runs import Runs
from bridge.router.sql.inboxes import Inboxes
from bridge.router.sql.rows import (
    RoomRow,
    endpoint_ids,
    envelope_row,
    insert_envelopes,
    last_position,
    load_members,
    load_rooms,
)
from bridge.router.sql.runs import PARTITION
from bridge.router.sql.schema import envelopes, groups, members, rooms


def load_state(connection: Connection, row: RoomRow) -> RoomState:
    """Read what a decision about a room needs."""
    state = connection.execute(select(groups.c.state).where(groups.c.room == row.id)).scalar_one()
    leaves = load_members(connection, [row.id]).get(row.id, ())
    return RoomState(room=row.uri, group_id=row.group_id, epoch=row.epoch, members=leaves, group=state)


class Changing:
    """One request to change a room."""

    def __init__(self, connection: Connection, runs: Runs, room: str, sender: str, digest: bytes, now: int) -> None:
        self._connection = connection
        self._runs = runs
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
        row = self._create(verdict) if row is None else self._move_on(row, verdict)
        self._write_members(row, verdict)
        at = row.next_time(self._now)
        if verdict.posts:
            row.sequence += 1
            self._write_posts(row, verdict.posts, at)
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

    def _write_posts(self, row: RoomRow, posts: tuple[Post, ...], at: int) -> None:
        position = last_position(self._connection)
        recipients = {self._endpoints[uri] for post in posts for uri in post.recipients}
        inboxes = Inboxes(self._connection, recipients)
        for post in posts:
            position += 1
            notification = Notification(
                position=position,
                room=row.uri,
                sequence=row.sequence,
                kind=post.kind,
                epoch=post.epoch,
                sender=self._sender,
                body=post.body,
                at=at,
                cursor=self._runs.cursor(position),
            )
            digest = self._digest if post.kind is Kind.COMMIT else None
            values = envelope_row(row, notification, self._endpoints[self._sender], digest)
            insert_envelopes.run(self._connection, [values])
            for uri in post.recipients:
                inboxes.put(self._endpoints[uri], position, len(post.body))
            self.fanned.append(Fanned(notification, post.recipients))
        inboxes.write()
