"""The one that repairs rooms: compares what router, ledger and configuration say of each, and does what the plan says.

It looks at every room at a start and when the configuration is read again, and at one room when something has happened
in it that should not. Nothing is committed at a start: a room that is as it should be draws its keys when something is
to be sent. Rooms for which something waits come first; everything is paced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from adapters.contract import Direct, Group
from adapters.contract import Reason as Why
from bridge.directory import Directory
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import Ledger, RoomPhase
from bridge.endpoint.membership.following import Following
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.membership.moves import drop_group, moved
from bridge.endpoint.membership.steps import Steps
from bridge.endpoint.membership.views import configured, group_view, ledger_view, router_view
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.translate import Failure
from bridge.policy import membership as policy
from bridge.policy.membership import RouterView, Step, Unseen, plan
from bridge.router.contract import Refusal, RefusalCode, Router, RouterUnavailable
from bridge.router.contract import RoomView as Listed
from protocol import mls

_AT_ONCE = 16
_PACE = 200.0  # rooms a second
_RETRY_MS = (100, 10_000)
_LOOK_AGAIN_MS = 30_000
_OUTRUN = 4  # refused commits in one epoch, after which what led beyond it will not be heard any more

log = structlog.get_logger(__name__)


class NoSuchPerson(Exception):
    """Nobody speaks for the other person of a direct conversation."""


class Reconciler:
    """Makes the rooms of one endpoint what they should be."""

    def __init__(
        self, settings: EndpointSettings, directory: Directory, ledger: Ledger, router: Router, keys: Keys,
        rooms: Rooms, outbox: Outbox, *, context: Context, fatal: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._settings = settings
        self._directory = directory
        self._ledger = ledger
        self._router = router
        self._keys = keys
        self._rooms = rooms
        self._outbox = outbox
        self._clock = context.clock
        self._sleep = context.sleep
        self._metrics = context.metrics
        self._fatal = fatal
        self._due: dict[str, int] = {}  # when, in the loop's own milliseconds: the wall clock may be set back
        self._tries: dict[str, int] = {}
        self._unknown: dict[
            str, int
        ] = {}  # rooms that the router counts us in and the ledger does not know: since when
        self._look = False
        self._replace = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.following = Following(settings, directory, rooms, keys, nudge=self._nudge)
        self._steps = Steps(settings, directory, router, keys, outbox, self.following, context=context)
        rooms.establish = self.need

    # --- when ---------------------------------------------------------------------------------------------------------

    def trust(self) -> None:
        """Begin: the session is known to the router, so rooms may open, and each is looked at once."""
        for room in self._rooms:
            room.trusted = True
            self._due[room.uri] = 0
        self._look = True
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"{self._settings.name}: reconcile")
            self._task.add_done_callback(self._ended)

    def need(self, room: Room) -> None:
        """Look at a room for which something is to be done; one that is waited for is left to its wait."""
        room.doubted |= room.superseded > room.founding
        if room.uri not in self._due or self._due[room.uri] > _ticks() + _RETRY_MS[1]:
            self._due[room.uri] = 0
            self._wake.set()

    def doubt(self) -> None:
        """Compare every room with the router again: it was started anew, or went back."""
        for room in self._rooms:
            room.doubted = True
            self._due[room.uri] = 0
        self._look = True
        self._wake.set()

    async def reload(self, settings: EndpointSettings) -> None:
        """Make the rooms what another configuration says; Welcomes that were for none of ours are looked at again."""
        self._settings = settings
        self._directory.plumb(settings.rooms)
        self._steps.revision = settings.revision
        self._rooms.start(settings.rooms)
        for room in self._rooms:
            room.trusted = True
        await self._reconsider_welcomes()
        self.doubt()

    def went_back(self) -> None:
        """The router's history is not the one we knew: what it hands out of our KeyPackages may be spent already."""
        self._replace = True
        for room in self._rooms:
            room.unanswered = True
        self.doubt()

    def _nudge(self, room: Room) -> None:
        self._tries.pop(room.uri, None)
        self._due[room.uri] = 0
        self._wake.set()
        self._outbox.wake()

    async def stop(self) -> None:
        """Stop; what is half done goes on at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    async def _run(self) -> None:
        await self._reconsider_welcomes()
        while True:
            now = _ticks()
            due = sorted((uri for uri, at in self._due.items() if at <= now), key=self._urgency)[:_AT_ONCE]
            if due or self._look:
                await self._round(due)
                await self._sleep(len(due) / _PACE if len(due) == _AT_ONCE else 0)
                continue
            next_at = min(self._due.values(), default=now + _LOOK_AGAIN_MS)
            try:
                async with asyncio.timeout(max(next_at - now, 1) / 1000):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    def _urgency(self, uri: str) -> tuple[bool, int]:
        room = self._rooms.get(uri)
        return (room is None or not self._outbox.waits(room), self._due[uri])

    # --- what ---------------------------------------------------------------------------------------------------------

    async def _round(self, due: Sequence[str]) -> None:
        """Look at some rooms. The ledger is read before the router is asked: who is behind the other is then known."""
        look, self._look = self._look, False
        for uri in due:
            self._due.pop(uri, None)
        rooms = [room for uri in due if (room := self._rooms.get(uri)) is not None]
        before = {room.uri: self._ledger_view(room) for room in rooms}
        listed: Mapping[str, Listed] = {}
        try:
            if self._replace:
                await self._keys.replace(self._router)
                self._replace = False
            if look or self._unknown or any(self._asks(room) for room in rooms):
                listed = {view.room: view for view in await self._router.rooms()}
                await self._find_lost(listed)
        except RouterUnavailable as error:
            log.info("router cannot be reached", error=str(error))
            self._look = look
            for room in rooms:
                self._later(room)
            await self._sleep(_RETRY_MS[0] / 1000)
            return
        await asyncio.gather(*(self._reconcile(room, before[room.uri], listed) for room in rooms))

    async def _find_lost(self, listed: Mapping[str, Listed]) -> None:
        """Come back into rooms that the ledger does not know, unless their Welcome is heard within a moment."""
        now = _ticks()
        unknown = [uri for uri in listed if self._rooms.get(uri) is None]
        self._unknown = {uri: self._unknown.get(uri, now) for uri in unknown[:1000]}
        for uri, since in self._unknown.items():
            if now >= since + policy.HEARING:
                self._unknown[uri] = now + _LOOK_AGAIN_MS
                leaf = self._leaf(listed[uri])
                await self._steps.come_back(uri, self._wanted, leaf)
                self._metrics.count("reconciled", reason=policy.Reason.STATE_LOST.value)
            self._due.setdefault(uri, max(since + policy.HEARING, now + _RETRY_MS[0]))

    def _leaf(self, view: Listed) -> int:
        return next(member.leaf for member in view.members if member.endpoint == self._router.endpoint)

    async def _reconcile(self, room: Room, before: policy.LedgerView, listed: Mapping[str, Listed]) -> None:
        steps: Sequence[Step] = ()
        try:
            members = await self._wanted(room)
            wanted = configured(room, members, self._settings.revision)
            asked = self._asks(room)
            seen = await self._seen(room, listed)
            for _ in range(3):
                view = before if asked else self._ledger_view(room)
                steps = plan(self._router.endpoint, seen, view, wanted, (), self._clock())
                await self._note(room, steps, wanted)
                if asked and not steps:
                    room.doubted = False
                if not await self._carry_out(room, steps, listed.get(room.uri)) or self._asks(room):
                    break
                asked, seen = False, self._remembered(room)
        except NoSuchPerson:
            log.info("nobody speaks for the other person", room=room.tag)
            failure = Failure(Why.RECIPIENT_UNKNOWN, "there is no such person on any network connected here")
            self._outbox.abandon(room, failure)
            return
        except RouterUnavailable as error:
            log.info("router cannot be reached", room=room.tag, error=str(error))
            self._later(room)
            return
        except mls.UngrantedError as error:
            log.warning("no room can be founded without a grant", room=room.tag, error=str(error))
            self._later(room)
            return
        self._schedule(room, steps)

    def _ledger_view(self, room: Room) -> policy.LedgerView:
        return ledger_view(room, traffic=room.renews or self._outbox.waits(room))

    async def _wanted(self, room: Room) -> tuple[str, ...]:
        """Return who should be in a room, in the order of its keepers."""
        me = self._router.endpoint
        if isinstance(room.conversation, Group):
            plumbed = self._directory.plumbed(room.conversation)
            return () if plumbed is None else self._directory.members(plumbed)
        assert isinstance(room.conversation, Direct)  # noqa: S101 - there are these two
        others = await self._directory.endpoints_of(room.conversation.peer)
        if not set(others) - {me}:
            raise NoSuchPerson
        return tuple(sorted({me, *others}))

    def _asks(self, room: Room) -> bool:
        """Whether the router must be asked how a room stands: nothing is asked about one that was never founded."""
        return room.doubted and not (room.phase is RoomPhase.WANTED and room.founding < 0)

    def _remembered(self, room: Room) -> RouterView | Unseen:
        """What the router last said of a room, by its answers and by what it fanned out."""
        if room.phase is RoomPhase.MEMBER and room.group is not None:
            group = group_view(room.group)
            return RouterView(
                group.group_id, group.epoch, group.members, group.founding, group.revision, away=room.away
            )
        return Unseen.CLOSED if room.phase is RoomPhase.WAITING else Unseen.ABSENT

    async def _seen(self, room: Room, listed: Mapping[str, Listed]) -> RouterView | Unseen:
        if not self._asks(room):
            return self._remembered(room)
        if (view := listed.get(room.uri)) is not None:
            seen = router_view(view, self._clock() - int(self._settings.away * 1000))
            room.away = seen.away
            return seen
        answer = await self._router.group_info(room.uri)
        absent = isinstance(answer, Refusal) and answer.code is RefusalCode.NO_SUCH_ROOM
        if isinstance(answer, Refusal) and answer.founding is not None:
            room.refused = max(room.refused, answer.founding)
        return Unseen.ABSENT if absent else Unseen.CLOSED

    async def _note(self, room: Room, steps: Sequence[Step], wanted: policy.Configured) -> None:
        """Hold the room or let it go, and have shown what it needs."""
        hold = next((step for step in steps if isinstance(step, policy.Hold)), None)
        room.hold = "" if hold is None else hold.reason.value
        room.strangers = frozenset() if hold is None else frozenset(hold.suspects)
        there = {member.uri for member in room.members}
        complete = room.complete or (room.phase is RoomPhase.MEMBER and there >= set(wanted.members))
        reason = steps[0].reason.value if steps else ""
        next_step = ", ".join(str(step.__struct_config__.tag) for step in steps if not isinstance(step, policy.Hold))
        if (reason, next_step, complete) != (room.reason, room.next_step, room.complete):
            if reason and reason != room.reason:
                self._metrics.count("reconciled", reason=reason)
                log.info("room", room=room.tag, reason=reason, next=next_step)
            room.since = (room.since or self._clock()) if steps else 0
            room.reason, room.next_step, room.complete = reason, next_step, complete
            if room.stored:
                tx = self._outbox.transaction()
                tx.change.rooms.append(room.row())
                await tx.commit()
        if not room.hold:
            self._outbox.wake()

    # --- doing it -----------------------------------------------------------------------------------------------------

    async def _carry_out(self, room: Room, steps: Sequence[Step], listed: Listed | None) -> bool:
        """Do what the plan says; return whether the router's answers are enough to plan again at once."""
        add = [member for step in steps if isinstance(step, policy.Invite) for member in step.members]
        remove = [member for step in steps if isinstance(step, policy.Remove) for member in step.members]
        if add or remove:
            await self._steps.change(room, add, remove)
        again = False
        for step in steps:
            again |= await self._do(room, step, listed)
        return again

    async def _do(self, room: Room, step: Step, listed: Listed | None) -> bool:
        match step:
            case policy.Found():
                if room.group is None:
                    await self._steps.create(room)
                await self._steps.announce(room)
                return room.phase is RoomPhase.MEMBER
            case policy.FoundAnew(founding=founding):
                await self._steps.found_anew(room, founding)
                room.doubted = room.founding < founding
                return room.founding >= founding
            case policy.ComeBack():
                if listed is not None:
                    await self._steps.come_back(room.uri, self._wanted, self._leaf(listed))
            case policy.Rekey():
                await self._steps.rekey(room)
            case policy.Settle():
                if room.pending is not None:
                    await self._steps.propose(room, room.pending)
                    room.diverged |= room.outrun >= _OUTRUN
            case policy.Repeat():
                await self._outbox.repeat(room)
                room.unanswered = False
                return True
            case policy.Forget():
                tx = self._outbox.transaction()
                drop_group(tx, room)
                room.phase = RoomPhase.WAITING
                moved(tx, room)
                await tx.commit()
            case policy.Invite() | policy.Remove() | policy.Wait() | policy.Hold():
                pass
        return False

    def _schedule(self, room: Room, steps: Sequence[Step]) -> None:
        if room.uri in self._due:
            return  # something has happened meanwhile
        waits = [step for step in steps if isinstance(step, policy.Wait)]
        idle = all(isinstance(step, policy.Wait | policy.Hold | policy.Repeat) for step in steps)
        if not steps:
            self._tries.pop(room.uri, None)
        elif idle:
            until = max((wait.until for wait in waits), default=0)
            wait = until - self._clock() if until else _LOOK_AGAIN_MS
            room.doubted = True
            self._due[room.uri] = _ticks() + max(min(wait, _LOOK_AGAIN_MS), 1)
        else:
            self._later(room)

    def _later(self, room: Room) -> None:
        tries = self._tries[room.uri] = min(self._tries.get(room.uri, 0) + 1, 20)
        self._due.setdefault(room.uri, _ticks() + min(_RETRY_MS[0] << tries - 1, _RETRY_MS[1]))

    # --- now and then -------------------------------------------------------------------------------------------------

    async def _reconsider_welcomes(self) -> None:
        """Take up Welcomes that came before the configuration named their room, or drop those that are too old."""
        await self.following.reconsider(self._ledger, self._outbox, self._clock())

    async def forget_old_epochs(self) -> None:
        """Delete the keys of epochs that are over for longer than late messages may take."""
        tx = self._outbox.transaction()
        for room in self._rooms:
            if room.group is not None:
                room.refresh()  # a grant may have ended
                room.group.forget(self._clock() // 1000)
                tx.touch(room)
        await tx.commit()


def _ticks() -> int:
    """Return the loop's own time in milliseconds, which nobody sets."""
    return int(asyncio.get_running_loop().time() * 1000)
