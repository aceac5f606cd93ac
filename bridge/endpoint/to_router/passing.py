"""Passing signs (typing) on their way to the router: at most one a second and person, and what is lost is lost.

They spend no key of the room's messages (``protocol.mls.passing``) and are not kept. Of what a person does within one
second the last is told, when the second is over: so a "stopped typing" arrives although "typing" came just before it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine

import structlog
from msgspec import Struct

from bridge.endpoint.rooms.room import Room
from bridge.router.contract import Envelope, Kind, Refusal, Router, RouterError
from protocol.mls import MlsError

Clock = Callable[[], int]
Random = Callable[[int], bytes]

EVERY_MS = 1000
"""How long a person's next sign in a room waits after the last."""

KEPT = 1024
"""How many persons' last signs are remembered; who was silent longest is forgotten first."""

AT_ONCE = 256
"""How many signs may be under way or waiting at once; one more is dropped."""

log = structlog.get_logger(__name__)


class _Giver(Struct):
    """What one person in one room gave last: when it left, and what waits for its second to be over."""

    at: int
    waiting: bytes = b""


class PassingSigns:
    """The way of one endpoint's passing signs."""

    def __init__(self, router: Router, *, clock: Clock, random: Random) -> None:
        self._router = router
        self._clock = clock
        self._random = random
        self._givers: OrderedDict[tuple[str, str], _Giver] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def give(self, room: Room, person: str, content: bytes) -> None:
        """Tell who listens now in ``room`` what ``person`` (a URI) does; in the background, without an answer."""
        if not room.audible or len(self._tasks) >= AT_ONCE:
            return
        key, now = (room.uri, person), self._clock()
        giver = self._givers.get(key)
        if giver is not None and 0 <= now - giver.at < EVERY_MS:
            if not giver.waiting:
                self._spawn(self._later(room, giver, (giver.at + EVERY_MS - now) / 1000))
            giver.waiting = content
            return
        self._givers[key] = _Giver(now)
        self._givers.move_to_end(key)
        while len(self._givers) > KEPT:
            self._givers.popitem(last=False)
        self._spawn(self._send(room, content))

    async def stop(self) -> None:
        """Let go of what has not left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name="passing sign")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, room: Room, giver: _Giver, wait: float) -> None:
        await asyncio.sleep(wait)
        content, giver.waiting, giver.at = giver.waiting, b"", self._clock()
        await self._send(room, content)

    async def _send(self, room: Room, content: bytes) -> None:
        group = room.group
        if group is None or not room.audible:
            return
        try:
            body = group.pass_sign(room.uri, content, now=self._clock(), random=self._random)
            (answer,) = await self._router.submit(
                [Envelope(room.uri, group.epoch, self._router.endpoint, body, kind=Kind.PASSING)]
            )
        except (MlsError, RouterError) as error:
            log.debug("a passing sign was not sent", room=room.tag, error=str(error))
        else:
            if isinstance(answer, Refusal):
                log.debug("a passing sign was refused", room=room.tag, code=answer.code)
