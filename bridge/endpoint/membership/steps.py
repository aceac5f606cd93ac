"""The steps that change who is in a room: each asks the router once, and writes what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from adapters.contract import Direct
from bridge.directory import Directory
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import RoomPhase
from bridge.endpoint.membership.following import Following
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.membership.moves import drop_group, enter, goes_forward, moved
from bridge.endpoint.rooms.room import Room, describe
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_router.outbox import Outbox
from bridge.room_context import REVISION, room_context
from bridge.router.contract import HandshakeBundle, Refusal, RefusalCode, Router
from protocol import cbor, mls

log = structlog.get_logger(__name__)


class Steps:
    """Carries out changes of rooms for one endpoint. Every method may raise ``RouterUnavailable``."""

    def __init__(
        self, settings: EndpointSettings, directory: Directory, router: Router, keys: Keys, outbox: Outbox,
        following: Following, *, context: Context,
    ) -> None:  # fmt: skip
        self.revision = settings.revision
        """The revision of the configuration that the changes are made for."""
        self._directory = directory
        self._router = router
        self._keys = keys
        self._outbox = outbox
        self._following = following
        self._clock = context.clock
        self._random = context.random

    # --- making -------------------------------------------------------------------------------------------------------

    async def create(self, room: Room) -> None:
        """Make the room's first group, of which we are the only member; the router does not know of it yet."""
        room.group = self._group(room, 0)
        room.phase = RoomPhase.CREATING
        room.refresh()
        await self._store(room)

    def _group(self, room: Room, founding: int) -> mls.Group:
        participants: list[str] = []
        if isinstance(room.conversation, Direct):
            participants = [self._directory.user(a) for a in (room.conversation.local, room.conversation.peer)]
        return mls.Group.create(
            self._keys.identity,
            self._random(16),
            context=describe(room, participants, founding, self.revision),
            authority=self._keys.authority,
            now=self._clock() // 1000,
            random=self._random,
        )

    async def found_anew(self, room: Room, founding: int) -> None:
        """Put a new group in the place of the room's, if the router agrees.

        Should we die before it is written down, the router counts us as a member of a group that we have no keys of,
        and we come back into it from outside.
        """
        group = self._group(room, founding)
        answer = await self._router.update(room.uri, HandshakeBundle(group_info=group.group_info(random=self._random)))
        if isinstance(answer, Refusal):
            log.warning("not founded anew", room=room.tag, founding=founding, code=answer.code, why=answer.text)
            room.refused, room.doubted = max(room.refused, founding, answer.founding or 0), True
            return
        log.warning("founded anew", room=room.tag, founding=founding)
        tx = self._outbox.transaction()
        room.complete = False
        enter(tx, room, group)
        self._outbox.reseal(room)
        await tx.commit()

    async def announce(self, room: Room) -> None:
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
            room.doubted = True
            log.error("the router refuses the room", room=room.tag, code=answer.code, why=answer.text)

    async def _give_way(self, room: Room) -> None:
        tx = self._outbox.transaction()
        drop_group(tx, room)
        room.phase, room.doubted = RoomPhase.WAITING, True
        moved(tx, room)
        await tx.commit()

    # --- changing -----------------------------------------------------------------------------------------------------

    async def change(self, room: Room, add: Sequence[str], remove: Sequence[str]) -> None:
        """Stage the one commit that adds and removes these endpoints, and says which configuration wants that."""
        packages = [package for endpoint in add for package in await self._claim(room, endpoint)]
        if room.group is None or room.pending is not None:
            return
        leaves = [member.leaf for member in room.members if member.uri in remove]
        if not packages and not leaves:
            return
        said = room_context(room.group.context)
        newer = said is not None and said.revision < self.revision
        revision = {REVISION: cbor.encode(self.revision)} if newer else None
        try:
            room.pending = room.group.stage(
                add=packages, remove=leaves, context=revision, now=self._clock() // 1000, random=self._random
            )
        except mls.MlsError as error:
            log.warning("a change that cannot be made", room=room.tag, error=str(error))
            return
        await self._stage(room, room.pending)

    async def _claim(self, room: Room, endpoint: str) -> Sequence[bytes]:
        """Claim a KeyPackage of an endpoint; one that is somebody else's, or is not granted, is not used."""
        answer = await self._router.key_material(endpoint)
        if isinstance(answer, Refusal):
            log.info("no key package", room=room.tag, endpoint=endpoint, code=answer.code)
            return ()
        return self._keys.sound(endpoint, answer)

    async def rekey(self, room: Room) -> None:
        """Stage a commit that gives us new keys, for those we have may have been used already."""
        room.pending = room.held.stage(now=self._clock() // 1000, random=self._random)
        await self._stage(room, room.pending)

    async def _stage(self, room: Room, staged: mls.Staged) -> None:
        await self._store(room)
        if room.pending is staged:
            await self.propose(room, staged)

    async def propose(self, room: Room, staged: mls.Staged) -> None:
        """Hand the staged commit to the router. If it says no, the fan-out will show which commit it took."""
        bundle = HandshakeBundle(group_info=staged.group_info, commit=staged.commit, welcome=staged.welcome)
        answer = await self._router.update(room.uri, bundle)
        if room.pending is not staged or not isinstance(answer, Refusal):
            return  # the fan-out shows, or has shown, where in the room's order it stands
        if answer.code in (RefusalCode.WRONG_EPOCH, RefusalCode.EPOCH_TOO_OLD):
            log.info("another commit was first", room=room.tag)
            room.outrun += 1
        else:
            log.error("the router refuses a commit", room=room.tag, code=answer.code, why=answer.text)
            room.pending = None
            await self._store(room)
        room.doubted = True

    async def _store(self, room: Room) -> None:
        tx = self._outbox.transaction()
        moved(tx, room)
        await tx.commit()

    # --- coming back --------------------------------------------------------------------------------------------------

    async def come_back(self, room_uri: str, wanted: Callable[[Room], Awaitable[Collection[str]]], leaf: int) -> None:
        """Join again, by a commit from outside in the place of our ``leaf``, a group that has gone on without us.

        Not into what the room has left behind, nor among members that nobody ``wanted``. It takes effect where the
        router fans it out.
        """
        info = await self._router.group_info(room_uri)
        if isinstance(info, Refusal):
            log.warning("no way back into a room", room=room_uri, code=info.code)
            return
        now, identity = self._clock() // 1000, self._keys.identity
        try:
            way = mls.Group.join_external(
                identity, info, replace=leaf, authority=self._keys.authority, now=now, random=self._random
            )
        except mls.MlsError as error:
            log.warning("the way back is closed", room=room_uri, error=str(error))
            return
        said = room_context(way.group.context)
        room = None if said is None else self._following.room_of(room_uri, said, way.group)
        if room is None:
            log.error("a member of a room that is none of ours", room=room_uri)
            return
        strangers = {member.uri for member in way.group.members()} - set(await wanted(room))
        behind = not goes_forward(room, way.group)
        if strangers or behind:
            log.error("not back into a room", room=room.tag, strangers=sorted(strangers), behind=behind)
            return
        room.returning = way
        answer = await self._router.update(room_uri, HandshakeBundle(group_info=way.group_info, commit=way.commit))
        if isinstance(answer, Refusal) and room.returning is way:
            room.returning, room.doubted = None, True
            log.info("not back yet", room=room.tag, code=answer.code, why=answer.text)
