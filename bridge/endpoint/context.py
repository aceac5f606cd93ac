"""What every part of an endpoint is given: time, chance and counting, so that nothing takes them from the system."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from bridge.backoff import Backoff, Random, Sleep
from bridge.endpoint.metrics import Metrics, Silent
from bridge.limits import Limits

Clock = Callable[[], int]
"""The wall clock, in milliseconds since 1970."""

Timeout = Callable[[float | None], AbstractAsyncContextManager[object]]
"""``async with timeout(seconds)`` raises ``TimeoutError`` when the block takes longer; None is without an end."""


def wall_clock() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Time, chance and counting of one endpoint. In tests time may be virtual and chance repeatable.

    ``clock`` is the wall clock in milliseconds, ``sleep`` and ``timeout`` are those of asyncio, ``random(n)`` gives n
    unpredictable octets, ``metrics`` counts, ``limits`` bounds.
    """

    clock: Clock = wall_clock
    random: Random = os.urandom
    metrics: Metrics = field(default_factory=Silent)
    sleep: Sleep = asyncio.sleep
    timeout: Timeout = asyncio.timeout
    limits: Limits = field(default_factory=Limits)

    def backoff(self, first: float, longest: float) -> Backoff:
        """Return the waits, in seconds from ``first`` to ``longest``, of something that is tried again and again."""
        return Backoff(first, longest, random=self.random, sleep=self.sleep)
