"""Waiting between attempts: the wait doubles up to a limit, and half of it is chance.

One way for everything that is tried again, whatever it is. What waits is told its randomness and how to sleep, so that
a test can play days in no time and the same twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

Random = Callable[[int], bytes]
"""``random(n)`` gives n unpredictable octets."""

Sleep = Callable[[float], Awaitable[object]]
"""``await sleep(seconds)`` waits."""

_DOUBLINGS = 30  # beyond that every wait is the longest


def wait(attempt: int, first: float, longest: float, random: Random, asked: float | None = None) -> float:
    """Return the seconds to wait after the ``attempt``-th attempt (from 1) has failed.

    ``first`` doubled for each earlier failure, at most ``longest``, of which between half and all is waited, so that a
    thousand that failed together do not come back together. What the other side ``asked`` for is the least.
    """
    full = min(first * 2.0 ** min(max(attempt, 1) - 1, _DOUBLINGS), longest)
    return max(full * (0.5 + int.from_bytes(random(2)) / 131_072), asked or 0.0)


class Backoff:
    """The waits of one thing that is tried again and again: ``reset`` it whenever it has succeeded."""

    def __init__(self, first: float, longest: float, *, random: Random, sleep: Sleep = asyncio.sleep) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self._sleep = sleep
        self.failures = 0
        """How many attempts have failed since the last ``reset``."""

    def next(self, asked: float | None = None) -> float:
        """Count one failure and return the seconds to wait before the next attempt."""
        self.failures += 1
        return wait(self.failures, self._first, self._longest, self._random, asked)

    async def pause(self, asked: float | None = None) -> None:
        """Count one failure and wait before the next attempt."""
        await self._sleep(self.next(asked))

    def reset(self) -> None:
        """Begin again with the first wait: it has succeeded."""
        self.failures = 0
