"""Appending application messages: the hot path. Six statements, whatever the number of messages."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs
from sqlalchemy import Connection, bindparam, select, update

from bridge.router.contract import Accepted, Envelope, Kind, Notification, Refusal, RefusalCode
from bridge.router.journal import Fanned
from bridge.router.runs import Runs
from bridge.router.sql.inboxes import Inboxes
from bridge.router.sql.rows import (
    RoomRow,
    envelope_row,
    insert_envelopes,
    last_position,
    load_rooms,
)
from bridge.router.sql.schema import envelopes, rooms
from bridge.storage import Bulk

_by_digest = select(
    envelopes.c.room, envelopes.c.digest, envelopes.c.sequence, envelopes.c.at, envelopes.c.position
).where(envelopes.c.digest.in_(bindparam("digests", expanding=True)))
_update_rooms = Bulk(
    update(rooms)
    .where(rooms.c.id == bindparam("room"))
    .values(sequence=bindparam("last"), messages=bindparam("count"), updated_at=bindparam("time")),
    ["last", "count", "time", "room"],
)

Submission = tuple[Envelope, int, bytes | None]
"""An envelope, the time at which it came, and the group that its body is of, if that is to be checked."""


class Appending:
    """One transaction's worth of submissions: what is answered, what is inserted, who is told."""

    def __init__(self, connection: Connection, submissions: Sequence[Submission], runs: Runs, held: int) -> None:
        self._connection = connection
        self._submissions = submissions
        self._runs = runs
        self._held = held
        self._stuck: set[tuple[int, str]] = set()  # rooms and senders that have met a full inbox in this transaction
        self._rooms = load_rooms(connection, {envelope.room for envelope, *_ in submissions})
        self._digests = [envelope.digest for envelope, *_ in submissions]
        self._accepted = self._load_accepted()
        self._position = last_position(connection)
        self._touched: dict[int, RoomRow] = {}
        self._envelopes: list[tuple[object, ...]] = []
        self._inboxes = Inboxes(connection, (id_ for room in self._rooms.values() for id_ in room.members.values()))
        self.fanned: list[Fanned] = []

    def run(self) -> list[Accepted | Refusal]:
        """Judge and insert everything; return the answers in the order of the submissions."""
        answers = [
            self._judge(envelope, digest, now, group)
            for (envelope, now, group), digest in zip(self._submissions, self._digests, strict=True)
        ]
        insert_envelopes.run(self._connection, self._envelopes)
        self._inboxes.write()
        moved = [(room.sequence, room.messages, room.updated_at, room.id) for room in self._touched.values()]
        _update_rooms.run(self._connection, moved)
        return answers

    def _load_accepted(self) -> dict[tuple[int, bytes], Accepted]:
        return {
            (room, bytes(digest)): Accepted(sequence, at, repeated=True, cursor=self._runs.cursor(position))
            for room, digest, sequence, at, position in self._connection.execute(_by_digest, {"digests": self._digests})
        }

    def _judge(self, envelope: Envelope, digest: bytes, now: int, group: bytes | None) -> Accepted | Refusal:
        room = self._rooms.get(envelope.room)
        if room is None:
            return Refusal(RefusalCode.NO_SUCH_ROOM, f"there is no room {envelope.room}")
        before = self._accepted.get((room.id, digest))
        if group is not None and group != room.group_id and room.founding:
            # Its sender may not be in the new group yet, and is to keep what it said until it is.
            text = f"{room.uri} was founded anew (number {room.founding}): that group is over"
            return before or Refusal(RefusalCode.EPOCH_TOO_OLD, text, room.epoch, room.founding)
        if envelope.sender not in room.members:
            return Refusal(RefusalCode.NOT_ALLOWED, f"{envelope.sender} is not in {envelope.room}")
        if before is not None:
            return before
        refusal = _refuse_group(group, room) or refuse_epoch(envelope.epoch, room.epoch) or self._full(room, envelope)
        if refusal is not None:
            return refusal
        return self._place(room, envelope, digest, now)

    def _full(self, room: RoomRow, envelope: Envelope) -> Refusal | None:
        """Refuse what would not fit into a recipient's inbox, and what its sender says in the room behind it."""
        stuck = (room.id, envelope.sender)
        for uri, endpoint in room.members.items():
            if uri == envelope.sender or uri in room.dismissed:
                continue
            held = self._inboxes.held(endpoint)
            if stuck in self._stuck or held + len(envelope.body) > self._held:
                self._stuck.add(stuck)
                text = f"{held} octets wait for {uri}; {self._held} are allowed"
                return Refusal(RefusalCode.RECIPIENT_FULL, text, room.epoch)
        return None

    def _place(self, room: RoomRow, envelope: Envelope, digest: bytes, now: int) -> Accepted:
        room.sequence += 1
        room.messages += 1
        self._position += 1
        self._touched[room.id] = room
        notification = Notification(
            position=self._position,
            room=envelope.room,
            sequence=room.sequence,
            kind=Kind.APPLICATION,
            epoch=envelope.epoch,
            sender=envelope.sender,
            body=envelope.body,
            at=room.next_time(now),
            cursor=self._runs.cursor(self._position),
        )
        sender = room.members[envelope.sender]
        self._envelopes.append(envelope_row(room, notification, sender, digest))
        recipients = []
        for uri, endpoint in room.members.items():
            if endpoint != sender and uri not in room.dismissed:
                recipients.append(uri)
                self._inboxes.put(endpoint, self._position, len(envelope.body))
        self.fanned.append(Fanned(notification, tuple(recipients)))
        accepted = Accepted(room.sequence, notification.at, cursor=notification.cursor)
        self._accepted[room.id, digest] = structs.replace(accepted, repeated=True)
        return accepted


def _refuse_group(group: bytes | None, room: RoomRow) -> Refusal | None:
    """Refuse a message of another group than the only one that the room ever had."""
    if group is None or group == room.group_id:
        return None
    return Refusal(RefusalCode.MALFORMED, f"a message of another group than {room.uri}'s")


def refuse_epoch(epoch: int, current: int) -> Refusal | None:
    """Refuse an application message of another epoch than the room's, with MIMI's word for it."""
    if epoch == current:
        return None
    if epoch < current:
        return Refusal(RefusalCode.EPOCH_TOO_OLD, f"epoch {epoch} is over, the room is in {current}", current)
    return Refusal(RefusalCode.WRONG_EPOCH, f"epoch {epoch} has not begun, the room is in {current}", current)
