"""How fast one account may be used just now: throttled, signed out, out of reach, or stopping."""

from __future__ import annotations

import asyncio
import math

from bridge.endpoint.context import Context

LONGEST_PAUSE_S = 3600.0
"""However long a network asks for quiet: it is asked again after an hour at the latest."""


class Stopping(Exception):
    """The endpoint is being stopped: what is not sent yet goes on at the next start."""


class Pace:
    """Shared by everything that calls one adapter."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stopped = False
        self._sleepers: dict[asyncio.Future[None], bool] = {}  # and whether a sign of life wakes them
        self._resume_at = 0
        self.signed_out = ""
        """What the operator has to do before anything can be sent; '' if nothing."""

    def stop(self) -> None:
        """Let nothing more begin."""
        self._stopped = True
        self._wake(all_of_them=True)

    def alive(self) -> None:
        """Say that the network shows life: whatever waits because it could not be reached is tried now."""
        if self._sleepers:
            self._wake(all_of_them=False)

    @property
    def waiting(self) -> bool:
        """Whether anything waits for a sign of life."""
        return any(self._sleepers.values())

    def _wake(self, *, all_of_them: bool) -> None:
        for sleeper, wakes in self._sleepers.items():
            if (wakes or all_of_them) and not sleeper.done():
                sleeper.set_result(None)

    async def sleep(self, seconds: float, *, wakes: bool = False) -> None:
        """Wait; with ``wakes``, no longer than until the network shows life. Raises ``Stopping``."""
        if self._stopped:
            raise Stopping
        if seconds <= 0:
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[sleeper] = wakes
        try:
            async with self._context.timeout(seconds):
                await sleeper
        except TimeoutError:
            return
        finally:
            del self._sleepers[sleeper]
        if self._stopped:
            raise Stopping

    def throttle(self, seconds: float) -> None:
        """Let nobody call the network for so long, up to an hour: it has asked for that."""
        wait = 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_PAUSE_S)
        self._resume_at = max(self._resume_at, self._context.clock() + round(wait * 1000))

    async def clear(self, until: int) -> None:
        """Wait until the network may be called, but not beyond ``until`` (milliseconds). Raises ``Stopping``."""
        while (now := self._context.clock()) < min(self._resume_at, until):
            left = min((min(self._resume_at, until) - now) / 1000, LONGEST_PAUSE_S)
            await self.sleep(left)
        await self.sleep(0)
