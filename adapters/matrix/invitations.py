"""Invitations are answered beside the transactions that bring them.

Joining a room may ask a server that is down, and take minutes; a transaction that waits for it holds up everything that
the homeserver has for us. So an invitation is noted in the store, the transaction goes on, and a task of its own
answers it: again with longer and longer pauses while the answer is "not now", until it is answered or ``GIVE_UP_MS``
are over. Those into the rooms of one other server are answered one after the other, so that none takes up all attempts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import Struct

from adapters.contract import Outcome, Permanent, Store, Throttled
from adapters.matrix.locks import Locks

log = logging.getLogger(__name__)

MAX_OPEN: Final = 5_000
"""So many invitations may wait to be answered; further ones stay as they are, open on the homeserver."""
GIVE_UP_MS: Final = 3_600_000
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
TRY_S: Final = 120.0
"""How long one attempt may take."""
_AT_ONCE: Final = 16
_PREFIX: Final = "invited/"


class Invitation(Struct, frozen=True):
    """Who invited whom into which room, and when it was noted (ms since 1970)."""

    room_id: str
    user: str
    inviter: str
    at: int


Answer = Callable[[Invitation], Awaitable[None]]
"""Follow or decline an invitation. Raises an outcome."""


class Invitations:
    """What is to be answered. ``decline`` is called when ``answer`` has not come to an end in time."""

    def __init__(self, server: str, store: Store, now: Callable[[], int], answer: Answer, decline: Answer) -> None:
        self._server = server
        self._store = store
        self._now = now
        self._answer = answer
        self._decline = decline
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._locks = Locks()

    def __len__(self) -> int:
        return len(self._tasks)

    async def load(self) -> None:
        """Go on with those that an earlier run has noted and not answered."""
        for _, value in await self._store.scan(_PREFIX):
            self._start(msgspec.json.decode(value, type=Invitation))

    async def close(self) -> None:
        """Stop; what is not answered is noted, and goes on at the next ``load``."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def take(self, room_id: str, user: str, inviter: str) -> None:
        """Note an invitation, durably, and answer it by and by."""
        if (room_id, user) in self._tasks:
            return
        if len(self._tasks) >= MAX_OPEN:
            log.warning("an invitation to %s stays open: %d wait already", room_id, MAX_OPEN)
            return
        invitation = Invitation(room_id, user, inviter, self._now())
        await self._store.put(_key(invitation), msgspec.json.encode(invitation))
        self._start(invitation)

    async def settled(self, room_id: str, seconds: float) -> None:
        """Wait until no invitation into a room waits any more, at most so long."""
        tasks = [task for (room, _), task in self._tasks.items() if room == room_id]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def waits(self, room_id: str) -> bool:
        """Say whether an invitation into this room waits to be answered."""
        return any(room == room_id for room, _ in self._tasks)

    def _start(self, invitation: Invitation) -> None:
        name = (invitation.room_id, invitation.user)
        task = self._tasks[name] = asyncio.create_task(self._settle(invitation), name="invitation")
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _settle(self, invitation: Invitation) -> None:
        pause = FIRST_PAUSE_S
        while (wait := await self._tried(invitation, pause)) is not None:
            if self._now() - invitation.at > GIVE_UP_MS:
                log.warning("an invitation to %s could not be answered in time", invitation.room_id)
                await self._tried(invitation, pause, decline=True)
                break
            await asyncio.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_S)
        await self._store.delete(_key(invitation))

    async def _tried(self, invitation: Invitation, pause: float, *, decline: bool = False) -> float | None:
        """Try once; return how many seconds to wait before the next attempt, None if there is to be none."""
        try:
            async with self._locks.hold(self._queue(invitation)), self._places, asyncio.timeout(TRY_S):
                await (self._decline if decline else self._answer)(invitation)
        except Throttled as outcome:
            return min(max(outcome.after, pause), LONGEST_PAUSE_S)
        except Permanent as outcome:
            log.warning("an invitation to %s cannot be answered: %s", invitation.room_id, outcome)
            if not decline:
                return await self._tried(invitation, pause, decline=True)
        except (Outcome, TimeoutError) as outcome:
            log.info("an invitation to %s cannot be answered yet: %s", invitation.room_id, outcome)
            return pause
        except Exception:  # one invitation that we cannot bear must stop no other
            log.exception("a defect: the invitation to %s was left open", invitation.room_id)
        return None

    def _queue(self, invitation: Invitation) -> str:
        """Return what this invitation waits its turn in: another server's rooms, or its own room."""
        server = invitation.room_id.partition(":")[2] or invitation.inviter.partition(":")[2]
        return invitation.room_id if server == self._server else server


def _key(invitation: Invitation) -> str:
    return f"{_PREFIX}{invitation.room_id} {invitation.user}"
