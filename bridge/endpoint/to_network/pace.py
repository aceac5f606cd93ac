"""How fast one account may be used just now: throttled, signed out, or stopping."""

from __future__ import annotations

import asyncio
import time


class Stopping(Exception):
    """The endpoint is being stopped: what is not sent yet goes on at the next start."""


class Pace:
    """Shared by everything that calls one adapter."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._resume_at = 0.0
        self.signed_out = ""
        """What the operator has to do before anything can be sent; '' if nothing."""

    def stop(self) -> None:
        """Let nothing more begin."""
        self._stop.set()

    async def sleep(self, seconds: float) -> None:
        """Wait. Raises ``Stopping`` when the endpoint is stopped meanwhile."""
        if self._stop.is_set():
            raise Stopping
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stop.wait()
            except TimeoutError:
                return
            raise Stopping

    def throttle(self, seconds: float) -> None:
        """Let nobody call the network for so long: it has asked for that."""
        self._resume_at = max(self._resume_at, time.monotonic() + seconds)

    async def clear(self) -> None:
        """Wait until the network may be called. Raises ``Stopping``."""
        while (left := self._resume_at - time.monotonic()) > 0:
            await self.sleep(left)
        await self.sleep(0)
