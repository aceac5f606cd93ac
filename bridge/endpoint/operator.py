"""What operators ask of a running endpoint: its messages, its rooms, and a parked delivery sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from bridge.endpoint.errors import NotReplayable
from bridge.endpoint.ledger.contract import Change, Ledger, MessageLog, MessageRow, State
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.rooms.table import Rooms
from bridge.router.contract import Member
from protocol.leg import LegClass, assurance


class RoomSummary(Struct, frozen=True, kw_only=True):
    """A room as this endpoint sees it, for people.

    ``hold``: why nothing is sealed to it ('' if it is not held); ``reason``, ``since`` (milliseconds) and ``next_step``
    say what it still needs; ``founding`` counts how often it was founded anew (-1: never founded).
    """

    room: str
    name: str
    conversation: str
    phase: str
    hold: str
    reason: str
    since: int
    next_step: str
    founding: int
    epoch: int
    members: tuple[Member, ...]
    assurance: LegClass
    waiting: int
    held_for: str = ""


class Operator:
    """Answers for one endpoint; ``nudge`` has a room's deliveries go on."""

    def __init__(self, ledger: Ledger, rooms: Rooms, nudge: Callable[[Room], None]) -> None:
        self._ledger = ledger
        self._rooms = rooms
        self._nudge = nudge

    async def messages(
        self, *, limit: int = 50, room: str = "", state: State | None = None, before: bytes = b""
    ) -> Sequence[MessageRow]:
        """Return the newest messages of the log, newest first; those before ``before``, a MIMI id, if it is given."""
        return await self._ledger.log(limit=limit, room=room, state=state, before=before)

    async def message(self, mimi_id: bytes) -> MessageLog | None:
        """Return one message with its timeline."""
        return await self._ledger.show(mimi_id)

    async def replay(self, mimi_id: bytes) -> None:
        """Put a parked delivery back at the head of its conversation. Raises ``NotReplayable``."""
        found = await self._ledger.show(mimi_id)
        row = found.delivery if found is not None else None
        room = self._rooms.get(row.room) if row is not None else None
        if row is None or not row.parked or room is None:
            raise NotReplayable(f"nothing is parked under {mimi_id.hex()}")
        again = structs.replace(
            row, parked=False, replayed=True, sending=False, attempts=0, next_at=0, reason="", text=""
        )
        await self._ledger.commit(Change(deliveries=[again]))
        self._nudge(room)

    async def room_summaries(self) -> Sequence[RoomSummary]:
        """Return every room, its members with their leg classes, and its assurance."""
        waiting = await self._ledger.delivery_rooms()
        return [summary_of(room, waiting.get(room.uri, 0)) for room in self._rooms]


def summary_of(room: Room, waiting: int) -> RoomSummary:
    """Return a room as people see it; ``waiting`` deliveries are on their way to it."""
    members = tuple(
        Member(endpoint=member.uri, leaf=member.leaf, leg=member.leg, namespaces=tuple(member.namespaces))
        for member in room.members
    )
    return RoomSummary(
        room=room.uri,
        name=room.name,
        conversation=room.conversation.key,
        phase=room.phase.value,
        hold=room.held_for or room.hold,
        reason=room.reason,
        since=room.since,
        next_step=room.next_step,
        founding=room.founding,
        epoch=room.group.epoch if room.group is not None else -1,
        members=members,
        assurance=assurance(member.leg for member in members),
        waiting=waiting,
        held_for=room.held_for,
    )
