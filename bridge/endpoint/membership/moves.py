"""How a room moves from one group or epoch to the next: in memory, and in the transaction that keeps it."""

from __future__ import annotations

from bridge.endpoint.ledger.contract import RoomPhase
from bridge.endpoint.rooms.room import Room, space_of
from bridge.endpoint.transaction import Transaction
from bridge.room_context import room_context
from protocol import mls


def moved(tx: Transaction, room: Room) -> None:
    """Write the room and its group as they are now."""
    room.refresh()
    room.stored = True
    tx.touch(room)
    tx.change.rooms.append(room.row())


def drop_group(tx: Transaction, room: Room) -> None:
    """Forget the room's group and its keys."""
    if room.group is not None:
        tx.change.forgotten.append(space_of(room.group.group_id))
        room.group = None


def goes_forward(room: Room, group: mls.Group) -> bool:
    """Whether a group is of a higher founding number, or a higher epoch, than any that we were ever in."""
    said = room_context(group.context)
    return said is not None and (said.founding, group.epoch) > (room.founding, room.highest_epoch)


def enter(tx: Transaction, room: Room, group: mls.Group) -> None:
    """Be a member by this group; one that we made in vain, or have fallen out of, is only kept for reading."""
    room.former = room.group if room.group is not None and room.group.group_id != group.group_id else None
    drop_group(tx, room)
    room.group, room.phase, room.pending, room.returning = group, RoomPhase.MEMBER, None, None
    room.diverged = room.removed = False
    room.behind, room.unanswered = -1, True
    moved(tx, room)


def merge(tx: Transaction, room: Room, staged: mls.Staged) -> None:
    """Enter the epoch of our own commit."""
    room.held.merge(staged)
    room.pending = None
    moved(tx, room)
