"""Rooms and their groups: made, joined, changed.

Whoever first needs a room makes it; the router lets one endpoint win, and the others wait for its Welcome. A commit of
our own is kept, staged, until the router fans out the one commit of its epoch: whichever that is, it takes effect where
it stands in the room's order, between what was said before it and after it, and never at the router's answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import structlog

from adapters.contract import Conversation, Direct, Group, Reason
from bridge.directory import Directory
from bridge.endpoint.ledger.contract import Ledger, RoomPhase, RoomRow
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.rooms.room import Room, describe, space_of
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_router.outbox import Batch, Outbox
from bridge.endpoint.translate import Failure
from bridge.room_context import RoomContext, room_context
from bridge.router.contract import HandshakeBundle, Refusal, RefusalCode, Router, RouterUnavailable
from bridge.storage import StorageError
from protocol import mls, uri
from protocol.uri import UriError

Clock = Callable[[], int]
Random = Callable[[int], bytes]

_RETRY_S = (0.1, 10.0)
_PATIENCE = 4  # refused commits in one epoch, after which what led beyond it will not be heard any more

log = structlog.get_logger(__name__)


class NoSuchPerson(Exception):
    """Nobody speaks for the other person of a direct conversation."""


class Rooms:
    """All rooms of one endpoint."""

    def __init__(
        self,
        settings: EndpointSettings,
        directory: Directory,
        ledger: Ledger,
        router: Router,
        keys: Keys,
        outbox: Outbox,
        *,
        clock: Clock,
        random: Random,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._ledger = ledger
        self._router = router
        self._keys = keys
        self._outbox = outbox
        self._clock = clock
        self._random = random
        self._fatal = fatal
        self._uri = router.endpoint
        self._rooms: dict[str, Room] = {}
        self.unreadable: dict[str, Exception] = {}
        """Rooms that could not be read, or whose group could not be, by URI."""
        self._by_conversation: dict[str, Room] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._settled: dict[str, asyncio.Event] = {}
        self.older = False
        """Whether the ledger is an older copy, so that commits that were heard already may never be heard again."""

    # --- finding ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read the rooms and their groups from the ledger."""
        for row in await self._ledger.rooms():
            try:
                room = await self._loaded(row)
            except StorageError:
                raise
            except Exception as error:  # it costs itself: there is nothing by which it could be known
                self.unreadable[row.room] = error
                continue
            room.trusted = False
            self._add(room)

    async def _loaded(self, row: RoomRow) -> Room:
        """Return the room of a row; one whose group cannot be read is there without it, until it is in it again."""
        room = Room.from_row(row)
        if room.phase in (RoomPhase.MEMBER, RoomPhase.CREATING):
            try:
                records = dict(await self._ledger.scan(space_of(row.group_id)))
                room.group = mls.Group.restore(self._keys.identity, records, authority=self._keys.authority)
                room.refresh()
            except StorageError:
                raise
            except Exception as error:
                self.unreadable[row.room] = error
                room.group, room.pending, room.phase = None, None, RoomPhase.WAITING
        return room

    def start(self) -> None:
        """Take up the rooms of the configuration."""
        for plumbed in self._settings.rooms:
            conversation = Group(plumbed.conversation)
            room = self.of(conversation)
            if room is None:
                room = Room(uri.room_uri(self._directory.domain, plumbed.id), conversation, name=plumbed.name)
                self._add(room)

    async def stop(self) -> None:
        """Stop establishing; what is half done goes on at the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def get(self, room_uri: str) -> Room | None:
        """Return a room that is known here."""
        return self._rooms.get(room_uri)

    def of(self, conversation: Conversation) -> Room | None:
        """Return the room of a conversation, if it is known here."""
        return self._by_conversation.get(conversation.key)

    def want(self, conversation: Conversation) -> Room | None:
        """Return the room of a conversation, which may be new: its row must then be in the caller's transaction.

        None for a native room that is not plumbed. Raises ``UriError`` for an address that can have no URI.
        """
        room = self.of(conversation)
        if room is None and (room_uri := self._directory.room_of(conversation)) is not None:
            room = Room(room_uri, conversation)
            self._add(room)
        return room

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def __len__(self) -> int:
        return len(self._rooms)

    def _add(self, room: Room) -> None:
        self._rooms[room.uri] = room
        self._by_conversation[room.conversation.key] = room

    # --- making -------------------------------------------------------------------------------------------------------

    def establish(self, room: Room) -> None:
        """See to it, in the background, that the room is made and its members are in it."""
        task = self._tasks.get(room.uri)
        if task is None or task.done():
            self._settled[room.uri] = asyncio.Event()
            task = asyncio.create_task(self._establish(room), name=f"establish {room.tag}")
            self._tasks[room.uri] = task
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    async def _establish(self, room: Room) -> None:
        pause = _RETRY_S[0]
        try:
            event = self._settled[room.uri]
            while not await self._step(room):
                try:
                    async with asyncio.timeout(pause):
                        await event.wait()
                    event.clear()
                except TimeoutError:
                    pause = min(pause * 2, _RETRY_S[1])
        except NoSuchPerson:
            log.info("nobody speaks for the other person", room=room.tag)
            failure = Failure(Reason.RECIPIENT_UNKNOWN, "there is no such person on any network connected here")
            self._outbox.abandon(room, failure)
        finally:
            del self._tasks[room.uri]

    async def _step(self, room: Room) -> bool:
        """Do what can be done now; return whether there is nothing left to do."""
        try:
            if not room.trusted:
                return False
            if not room.wanted:
                room.wanted = await self._members_of(room)
            if room.phase is RoomPhase.WANTED:
                if not self._creates(room):
                    return False
                await self._create(room)
            if room.phase is RoomPhase.CREATING:
                await self._announce(room)
            if room.diverged:
                await self.come_back(room.uri)
            elif room.phase is RoomPhase.MEMBER:
                if room.pending is not None:
                    await self._propose(room, room.pending)
                elif self._owes_keys(room):
                    await self._rekey(room)
                elif room.missing:
                    await self._invite(room)
                return not (room.pending or room.missing or self._owes_keys(room))
        except RouterUnavailable as error:
            log.info("router cannot be reached", room=room.tag, error=str(error))
        except mls.UngrantedError as error:
            log.warning("no room can be founded without a grant", room=room.tag, error=str(error))
        return False

    def _owes_keys(self, room: Room) -> bool:
        """Whether something is to be said for which this session must first draw keys, or our leaf must say anew who
        we are.
        """
        return room.renews or ((room.must_rekey or room.exhausted) and self._outbox.waits(room))

    async def _members_of(self, room: Room) -> frozenset[str]:
        match room.conversation:
            case Direct(peer=peer):
                other = await self._directory.endpoint_of(peer)
                if other is None or other == self._router.endpoint:
                    raise NoSuchPerson
                return frozenset((other, self._router.endpoint))
            case Group() as native:
                plumbed = self._directory.plumbed(native)
                names = plumbed.members if plumbed is not None else ()
                return frozenset(uri.endpoint_uri(self._directory.domain, name) for name in names)

    def _creates(self, room: Room) -> bool:
        if isinstance(room.conversation, Direct):
            return True
        plumbed = self._directory.plumbed(room.conversation)
        return plumbed is not None and plumbed.creator

    async def _create(self, room: Room) -> None:
        participants: list[str] = []
        if isinstance(room.conversation, Direct):
            participants = [self._directory.user(a) for a in (room.conversation.local, room.conversation.peer)]
        room.group = mls.Group.create(
            self._keys.identity,
            self._random(16),
            context=describe(room, participants),
            authority=self._keys.authority,
            now=self._clock() // 1000,
            random=self._random,
        )
        room.phase = RoomPhase.CREATING
        room.refresh()
        await self._store(room)

    async def _announce(self, room: Room) -> None:
        """Ask the router for the room. It lets one endpoint make it, and answers a repeated request as before."""
        bundle = HandshakeBundle(group_info=room.held.group_info(random=self._random))
        answer = await self._router.update(room.uri, bundle)
        if room.phase is not RoomPhase.CREATING:
            return  # a Welcome was faster than the answer
        if not isinstance(answer, Refusal):
            room.phase = RoomPhase.MEMBER
            await self._store(room)
        elif answer.code is RefusalCode.ROOM_EXISTS:
            log.info("somebody else has made the room", room=room.tag)
            await self._give_way(room)
        else:
            log.error("the router refuses the room", room=room.tag, code=answer.code, why=answer.text)

    async def _give_way(self, room: Room) -> None:
        batch = self._outbox.batch()
        self._forget_group(batch, room)
        room.phase = RoomPhase.WAITING
        self._moved(batch, room)
        await batch.commit()

    def _forget_group(self, batch: Batch, room: Room) -> None:
        if room.group is not None:
            batch.change.forgotten.append(space_of(room.group.group_id))
            room.group = None

    async def _invite(self, room: Room) -> None:
        """Claim KeyPackages of those who are missing and stage the commit that adds them."""
        packages: list[bytes] = []
        for endpoint in sorted(room.missing):
            answer = await self._router.key_material(endpoint)
            if isinstance(answer, Refusal):
                log.info("no key package", room=room.tag, endpoint=endpoint, code=answer.code)
            else:
                packages += self._keys.sound(endpoint, answer)
        if not packages or room.group is None or room.pending is not None:
            return
        try:
            room.pending = room.group.stage(add=packages, now=self._clock() // 1000, random=self._random)
        except mls.MlsError as error:
            log.warning("a key package that cannot be added", room=room.tag, error=str(error))
            return
        staged = room.pending
        await self._store(room)
        if room.pending is staged:
            await self._propose(room, staged)

    async def _rekey(self, room: Room) -> None:
        """Stage a commit that gives us new keys, for those we have may have been used already."""
        staged = room.pending = room.held.stage(now=self._clock() // 1000, random=self._random)
        await self._store(room)
        if room.pending is staged:
            await self._propose(room, staged)

    async def _propose(self, room: Room, staged: mls.Staged) -> None:
        """Hand the staged commit to the router. If it says no, the fan-out will show which commit it took."""
        bundle = HandshakeBundle(group_info=staged.group_info, commit=staged.commit, welcome=staged.welcome)
        answer = await self._router.update(room.uri, bundle)
        if room.pending is not staged or not isinstance(answer, Refusal):
            return  # the fan-out shows, or has shown, where in the room's order it stands
        if answer.code in (RefusalCode.WRONG_EPOCH, RefusalCode.EPOCH_TOO_OLD):
            log.info("another commit was first", room=room.tag)
            room.outrun += 1
            room.diverged = self.older and room.outrun >= _PATIENCE  # the ledger that is lost heard what led there
        else:
            log.error("the router refuses a commit", room=room.tag, code=answer.code, why=answer.text)
            room.pending = None
            await self._store(room)

    def _merge(self, batch: Batch, room: Room, staged: mls.Staged) -> None:
        room.held.merge(staged)
        room.pending = None
        self._moved(batch, room)

    def _moved(self, batch: Batch, room: Room) -> None:
        room.refresh()
        room.stored = True
        batch.touch(room)
        batch.change.rooms.append(room.row())

    async def _store(self, room: Room) -> None:
        batch = self._outbox.batch()
        self._moved(batch, room)
        await batch.commit()

    # --- what the router fans out -------------------------------------------------------------------------------------

    def on_commit(self, batch: Batch, room: Room, body: bytes, at: int) -> None:
        """Follow a commit that was accepted ``at`` (milliseconds): our own, or somebody else's. Raises ``MlsError``."""
        if room.returning is not None and room.returning.commit == body:
            self._enter(batch, room, room.returning.group)
            log.warning("back in a room, under new keys", room=room.tag)
        elif room.group is None or (mls.peek(body).epoch or 0) < room.group.epoch:
            return  # made before we joined
        elif room.pending is not None and room.pending.commit == body:
            self._merge(batch, room, room.pending)
        else:
            try:
                done = room.held.process(body, now=at // 1000)
            except mls.OwnMessageError:
                log.warning("a commit of ours that this ledger does not know: we come back anew", room=room.tag)
                room.diverged = True
                self.establish(room)
                return
            room.pending = None
            if done.left:
                log.warning("removed from a room", room=room.tag)
                self._forget_group(batch, room)
                room.phase = RoomPhase.WAITING
            self._moved(batch, room)
        self._nudge(room)

    def on_welcome(self, batch: Batch, room_uri: str, body: bytes, at: int) -> Room | None:
        """Join by a Welcome that was accepted ``at`` (milliseconds); return the room, None if it is not one for this
        endpoint. Raises ``MlsError``.
        """
        identity, bundles = self._keys.identity, self._keys.bundles
        fresh = self._keys.fresh(mls.welcomed(body))
        group = mls.Group.join(identity, body, bundles, authority=self._keys.authority, fresh=fresh, now=at // 1000)
        batch.change.records += self._keys.spend(group.joined_with)
        room = self._described(room_uri, group)
        if room is None:
            log.error("a Welcome to a room that is none of ours", room=room_uri)
            return None
        if room.phase is RoomPhase.MEMBER:
            log.error("a Welcome to a room we are in", room=room.tag)
            return None
        self._enter(batch, room, group)
        self._nudge(room)
        return room

    def _enter(self, batch: Batch, room: Room, group: mls.Group) -> None:
        """Be a member by this group; one that we made in vain, or have fallen out of, is forgotten."""
        self._forget_group(batch, room)
        room.group, room.phase, room.pending, room.returning = group, RoomPhase.MEMBER, None, None
        room.diverged = False
        self._moved(batch, room)

    def _welcomed(self, room_uri: str, said: RoomContext, group: mls.Group) -> Room | None:
        """Find or make the room that a Welcome is for: a plumbed one, or the direct one of the two it names."""
        if said.uri != room_uri:
            return None
        if said.kind == "group":
            room = self.get(room_uri)
            return room if room is not None and isinstance(room.conversation, Group) else None
        conversation = self._direct(said)
        if conversation is None or self._directory.room_of(conversation) != room_uri:
            return None
        other = self._directory.user(conversation.peer)
        if not any(mls.speaks_for(member, other) for member in group.members()):
            return None  # made by somebody who speaks for neither
        return self.want(conversation)

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

    def _nudge(self, room: Room) -> None:
        if (event := self._settled.get(room.uri)) is not None:
            event.set()
        if room.missing or self._owes_keys(room):
            self.establish(room)
        self._outbox.wake()

    # --- a ledger that may be an older copy ---------------------------------------------------------------------------

    def trust(self) -> None:
        """Let the rooms open, and begin to establish what is not established or was left half made."""
        for room in list(self._rooms.values()):
            room.trusted = True
            if not (room.open and isinstance(room.conversation, Direct)):
                self.establish(room)
            self._nudge(room)

    async def come_back(self, room_uri: str) -> None:
        """Join again, by a commit from outside, a group that has gone on without us. Raises ``RouterUnavailable``."""
        room = self.get(room_uri)
        way = None if room is None else room.returning
        if room is None or way is None:
            way = await self._way_back(room_uri)
            if way is None or (room := self._described(room_uri, way.group)) is None:
                log.warning("no way back into a room", room=room_uri)
                return
            room.returning = way
        answer = await self._router.update(room_uri, HandshakeBundle(group_info=way.group_info, commit=way.commit))
        if isinstance(answer, Refusal) and room.returning is way:
            room.returning = None
            log.info("not back yet", room=room.tag, code=answer.code, why=answer.text)

    async def _way_back(self, room_uri: str) -> mls.ExternalJoin | None:
        """Make the commit that puts a new leaf of ours in the place of the one that the router shows."""
        views = await self._router.rooms()
        ours = [m.leaf for view in views if view.room == room_uri for m in view.members if m.endpoint == self._uri]
        info = await self._router.group_info(room_uri)
        if not ours or isinstance(info, Refusal):
            return None
        now, identity = self._clock() // 1000, self._keys.identity
        try:
            return mls.Group.join_external(
                identity, info, replace=ours[0], authority=self._keys.authority, now=now, random=self._random
            )
        except mls.MlsError as error:
            log.warning("the way back is closed", room=room_uri, error=str(error))
            return None

    def _described(self, room_uri: str, group: mls.Group) -> Room | None:
        said = room_context(group.context)
        return None if said is None else self._welcomed(room_uri, said, group)

    async def forget_old_epochs(self) -> None:
        """Delete the keys of epochs that are over for longer than late messages may take."""
        batch = self._outbox.batch()
        for room in self._rooms.values():
            if room.group is not None:
                room.refresh()  # a grant may have ended
                room.group.forget(self._clock() // 1000)
                batch.touch(room)
        await batch.commit()
