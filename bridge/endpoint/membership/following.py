"""What the router fans out of handshakes: commits, ours among them, and Welcomes.

A commit of our own is kept, staged, until it is known to be accepted: by the router's answer or, after a crash or a
refusal, by what the router fans out, for of each epoch there is one commit and the fan-out shows which.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from adapters.contract import Direct, Group
from bridge.directory import Directory
from bridge.endpoint.ledger.contract import Ledger, RoomPhase
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.membership.moves import drop_group, enter, goes_forward, merge, moved
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.transaction import Transaction
from bridge.room_context import RoomContext, room_context
from protocol import mls
from protocol.uri import UriError

WELCOMES = "unknown-welcome"
"""The ledger's space for Welcomes to rooms that the configuration does not name (yet), by time and room."""

WELCOMES_KEPT = 1000
WELCOME_MS = 30 * 86_400_000

log = structlog.get_logger(__name__)


class Following:
    """Follows the groups of one endpoint; ``nudge`` hears of every room that has moved."""

    def __init__(
        self,
        settings: EndpointSettings,
        directory: Directory,
        rooms: Rooms,
        keys: Keys,
        *,
        nudge: Callable[[Room], None],
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._rooms = rooms
        self._keys = keys
        self._nudge = nudge

    def on_commit(self, tx: Transaction, room: Room, body: bytes, at: int) -> None:
        """Follow a commit that was accepted ``at`` (milliseconds): our own, or somebody else's.

        Raises ``MlsError`` if it cannot be followed: the room has diverged, and comes back by another way.
        """
        peeked = mls.peek(body)
        if room.returning is not None and room.returning.commit == body:
            enter(tx, room, room.returning.group)
            log.warning("back in a room, under new keys", room=room.tag)
        elif room.group is None or peeked.group_id != room.group.group_id or (peeked.epoch or 0) < room.group.epoch:
            return  # of a group that was superseded, or made before we joined
        elif room.pending is not None and room.pending.commit == body:
            merge(tx, room, room.pending)
        else:
            self._process(tx, room, body, at)
        room.former = None  # the order of the room has come to this group: nothing of the one before is left
        self._nudge(room)

    def _process(self, tx: Transaction, room: Room, body: bytes, at: int) -> None:
        try:
            done = room.held.process(body, now=at // 1000)
        except mls.MlsError as error:
            log.warning("a commit that cannot be followed", room=room.tag, code=error.code, error=str(error))
            self.lost_track(room)
            raise
        room.pending = None
        room.unanswered |= done.sender.type is mls.SenderType.NEW_MEMBER_COMMIT
        if done.left:
            log.warning("removed from a room", room=room.tag)
            drop_group(tx, room)
            room.phase, room.removed = RoomPhase.WAITING, True
        moved(tx, room)

    def lost_track(self, room: Room) -> None:
        """Take note that the group has gone where we cannot follow, or says what we cannot read."""
        if not room.diverged:
            room.diverged = room.doubted = True
            self._nudge(room)

    def on_welcome(self, tx: Transaction, room_uri: str, body: bytes, at: int) -> Room | None:
        """Join by a Welcome that was accepted ``at`` (milliseconds); return the room, None if it is not one for this
        endpoint: such a Welcome is kept until the configuration changes. Raises ``MlsError``.
        """
        identity, bundles = self._keys.identity, self._keys.bundles
        fresh = self._keys.fresh(mls.welcomed(body))
        group = mls.Group.join(identity, body, bundles, authority=self._keys.authority, fresh=fresh, now=at // 1000)
        said = room_context(group.context)
        room = None if said is None else self.room_of(room_uri, said, group)
        if room is None:
            if said is None or said.kind == "direct":
                tx.change.records += self._keys.spend(group.joined_with)
                log.error("a Welcome to a room that is none of ours", room=room_uri)
                return None
            log.warning("a Welcome to a room that is none of ours is kept", room=room_uri)
            tx.change.records.append((WELCOMES, f"{at:016d}/{room_uri}", body))
            return None
        tx.change.records += self._keys.spend(group.joined_with)
        if not goes_forward(room, group):
            log.error("a Welcome to what this room has left behind", room=room.tag)
            room.doubted = True
        else:
            enter(tx, room, group)
        self._nudge(room)
        return room

    async def reconsider(self, ledger: Ledger, outbox: Outbox, now: int) -> None:
        """Look again at the Welcomes that are kept: the configuration may name their rooms now."""
        kept = await ledger.scan(WELCOMES)
        for number, (name, body) in enumerate(reversed(kept)):
            tx = outbox.transaction()
            tx.change.records.append((WELCOMES, name, None))
            at, room_uri = int(name[:16]), name[17:]
            if number < WELCOMES_KEPT and now - at < WELCOME_MS:
                try:
                    self.on_welcome(tx, room_uri, body, at)
                except mls.MlsError as error:
                    log.info("a Welcome that was kept is of no use", room=room_uri, code=error.code, error=str(error))
            await tx.commit()

    def room_of(self, room_uri: str, said: RoomContext, group: mls.Group) -> Room | None:
        """Find or make the room that a group is for: a plumbed one, or the direct one of the two it names."""
        if said.uri != room_uri:
            return None
        if said.kind == "group":
            room = self._rooms.get(room_uri)
            return room if room is not None and isinstance(room.conversation, Group) else None
        conversation = self._direct(said)
        if conversation is None or self._directory.room_of(conversation) != room_uri:
            return None
        other = self._directory.user(conversation.peer)
        others = [member for member in group.members() if member.uri != self._keys.identity.uri]
        if others and not any(mls.speaks_for(member, other) for member in others):
            return None  # made by somebody who speaks for neither
        return self._rooms.want(conversation)

    def _direct(self, said: RoomContext) -> Direct | None:
        try:
            people = [self._directory.address(user) for user in said.participants]
        except UriError:
            return None
        ours = [address for address in people if self._is_ours(self._directory.user(address))]
        others = [address for address in people if address not in ours]
        return Direct(ours[0], others[0]) if len(ours) == len(others) == 1 else None

    def _is_ours(self, user: str) -> bool:
        return any(user.startswith(prefix) for prefix in self._settings.namespaces)
