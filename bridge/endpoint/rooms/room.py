"""One room as this endpoint sees it: its conversation, its MLS group, and whether content may leave just now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

import msgspec
import structlog

from adapters.contract import Conversation, Direct
from bridge.endpoint.errors import LedgerError
from bridge.endpoint.ledger.contract import Record, RoomPhase, RoomRow
from bridge.room_context import RoomContext, encode_context, room_context
from protocol.mls import ExternalJoin, Group, Member, Staged, Suspect

Random = Callable[[int], bytes]

UNJUDGED = "unjudged"
"""Why a room is held of which nobody has compared the members with the configuration yet."""

log = structlog.get_logger(__name__)

_conversation = msgspec.json.Decoder(Conversation)


AHEAD = 500
"""How many messages may be sealed beyond the last that the router accepted, before new keys are drawn: receivers follow
a ratchet that is a thousand ahead."""


class Room:
    """A room; ``wanted`` are the URIs of the endpoints that should be its members, as far as this one knows."""

    def __init__(
        self, uri: str, conversation: Conversation, *, name: str = "", phase: RoomPhase = RoomPhase.WANTED
    ) -> None:
        self.uri = uri
        self.conversation = conversation
        self.name = name
        self.phase = phase
        self.wanted: frozenset[str] = frozenset()
        self.group: Group | None = None
        self.members: tuple[Member, ...] = ()
        self.away: frozenset[str] = frozenset()
        """The endpoints that the router has not heard of for long, when it was last asked."""
        self.suspects: tuple[Suspect, ...] = ()
        """The members whose leaves the authority does not vouch for."""
        self.pending: Staged | None = None
        self.returning: ExternalJoin | None = None
        """Our way back into a group that has gone on without us, until it is known to be accepted."""
        self.trusted = True
        """Whether what the ledger says of the group is known to be the latest: until then nothing is encrypted."""
        self.outrun = 0
        """How often in this epoch our commit came too late."""
        self.accepted = 0
        """The generation up to which the router has accepted our messages of this epoch."""
        self.founding = -1
        self.highest_epoch = -1
        """The highest founding number, and epoch of it, that we were ever in: nothing at or below is joined."""
        self.complete = False
        """Whether everybody who should be in the room was, once."""
        self.unanswered = False
        """Whether what was sent here may have been lost, so that what nobody has answered is to be sent again."""
        self.removed = False
        """Whether we have heard the commit that removed us."""
        self.hold = UNJUDGED
        """Why nothing may be sealed to the room; '' if it may."""
        self.strangers: frozenset[str] = frozenset()
        """Endpoints in it that should not be: what they say is dropped."""
        self.doubted = True
        """Whether the router is to be asked how the room stands, for what we know of it may not be so any more."""
        self.refused = -1
        """The highest founding number that the router has refused us."""
        self.reason, self.since, self.next_step = "", 0, ""
        """What the room still needs, since when (milliseconds), and what is done about it."""
        self.former: Group | None = None
        """The group before the room was founded anew: kept for reading until what was said in it has been heard."""
        self.diverged = False
        """Whether the group has gone where we cannot follow, so that we have to come back by a commit from outside."""
        self.stored = False
        """Whether the ledger knows of the room."""
        self.behind = -1
        """The epoch that the router says it is in, when it is ahead of ours: nothing can leave until we are there."""
        self.superseded = 0
        """The founding number that the router says the room has: nothing can leave until ours is that one."""
        self.tag = hashlib.blake2b(uri.encode(), digest_size=6).hexdigest()
        """A short name for logs."""

    def refresh(self) -> None:
        """Look again who is in the group: to be called when its epoch or the authority's judgement may have changed."""
        there = {member.uri for member in self.members}
        self.members = () if self.group is None else tuple(self.group.members())
        before, self.suspects = self.held_for, () if self.group is None else self.group.suspects
        if self.held_for != before:
            log.warning("room held" if self.held_for else "room no longer held", room=self.tag, reason=self.held_for)
        self.outrun = 0
        self.accepted = 0
        if there != {member.uri for member in self.members}:
            self.hold = UNJUDGED
        if self.group is not None and self.phase is RoomPhase.MEMBER:
            said = room_context(self.group.context)
            now = (0 if said is None else said.founding, self.group.epoch)
            self.founding, self.highest_epoch = max((self.founding, self.highest_epoch), now)

    def accept(self, epoch: int, generation: int) -> None:
        """Note that the router has accepted a message of ours."""
        if self.group is not None and epoch == self.group.epoch:
            self.accepted = max(self.accepted, generation + 1)

    @property
    def exhausted(self) -> bool:
        """Whether our ratchet is so far ahead of what the router accepted that receivers might lose track of it."""
        return self.group is not None and self.group.generation - self.accepted >= AHEAD

    @property
    def open(self) -> bool:
        """Whether content may be encrypted and sent now: there is somebody to hear it, and no epoch is in flux."""
        group = self.group
        return (
            group is not None
            and self.phase is RoomPhase.MEMBER
            and self.trusted
            and group.may_send
            and not self.exhausted
            and len(self.members) > 1
            and self.pending is None
            and not self.diverged
            and self.superseded <= self.founding
            and not self.hold
            and self.behind <= group.epoch
            and not self.suspects
        )

    @property
    def audible(self) -> bool:
        """Whether there is somebody who could hear a passing sign, which may be given before ``open``."""
        heard = self.group is not None and self.phase is RoomPhase.MEMBER and len(self.members) > 1
        return heard and not self.diverged and not self.suspects and not self.hold

    @property
    def held_for(self) -> str:
        """Why nothing of ours is sealed to the room although we are in it; '' if it is not held."""
        return "; ".join(f"{suspect.uri}: {suspect.reason}" for suspect in self.suspects)

    @property
    def renews(self) -> bool:
        """Whether our own leaf is not vouched for, and a commit of ours would put our grant into it."""
        group = self.group
        return group is not None and group.outdated and any(one.leaf == group.own_leaf for one in self.suspects)

    @property
    def held(self) -> Group:
        """The group. Raises ``LedgerError`` if there is none."""
        if self.group is None:
            raise LedgerError(f"{self.uri}: there is no group here")
        return self.group

    @property
    def must_rekey(self) -> bool:
        """Whether this session has drawn no keys of its own in the group: it must before it says anything."""
        return self.group is not None and self.group.must_rekey

    def protect(self, content: bytes, random: Random) -> tuple[int, bytes]:
        """Encrypt; return the epoch and the MLSMessage. Only while ``open``."""
        group = self.held
        return group.epoch, group.protect(content, random=random)

    @property
    def missing(self) -> frozenset[str]:
        """The endpoints that should be members and are not."""
        return self.wanted - {member.uri for member in self.members}

    def row(self) -> RoomRow:
        """Return what the ledger keeps of it, beside the group's own records."""
        return RoomRow(
            room=self.uri,
            conversation=msgspec.json.encode(self.conversation),
            phase=self.phase,
            name=self.name,
            group_id=self.group.group_id if self.group is not None else b"",
            pending=self.pending.to_bytes() if self.pending is not None else b"",
            founding=self.founding,
            highest_epoch=self.highest_epoch,
            complete=self.complete,
            removed=self.removed,
            reason=self.reason,
            since=self.since,
            next_step=self.next_step,
        )

    @classmethod
    def from_row(cls, row: RoomRow) -> Room:
        """Make the room of a ledger's row, without its group."""
        room = cls(row.room, _conversation.decode(row.conversation), name=row.name, phase=row.phase)
        room.stored = True
        room.founding, room.highest_epoch = row.founding, row.highest_epoch
        room.complete, room.removed = row.complete, row.removed
        room.reason, room.since, room.next_step = row.reason, row.since, row.next_step
        if row.pending:
            room.pending = Staged.from_bytes(row.pending)
        return room

    def records(self) -> list[Record]:
        """Return the group's records that have changed since the last call: they must be written before anything of
        it leaves.
        """
        if self.group is None:
            return []
        space = space_of(self.group.group_id)
        return [(space, key, value) for key, value in self.group.changes().items()]


def space_of(group_id: bytes) -> str:
    """Return the ledger's space for the records of a group."""
    return f"mls/{group_id.hex()}"


def describe(room: Room, participants: list[str], founding: int = 0, revision: int = 0) -> dict[int, bytes]:
    """Return what stands in the GroupContext, so that who joins knows what conversation it is."""
    kind: Literal["direct", "group"] = "direct" if isinstance(room.conversation, Direct) else "group"
    return encode_context(RoomContext(room.uri, kind, room.name, tuple(sorted(participants)), founding, revision))
