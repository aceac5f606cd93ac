"""When to try again: pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from bridge.endpoint.settings import RetryLimits


def wait(attempt: int, limits: RetryLimits, random: Callable[[int], bytes], asked: float | None = None) -> float:
    """Return how many seconds to wait after the ``attempt``-th attempt failed (from 1).

    The wait doubles each time, up to a limit, and half of it is chance, so that a thousand conversations do not come
    back together. What the network ``asked`` for is the least.
    """
    full = min(limits.first * 2.0 ** min(attempt - 1, 30), limits.longest)
    jittered = full * (0.5 + int.from_bytes(random(2)) / 131_072)
    return max(jittered, asked or 0.0)


def exhausted(attempts: int, age_s: float, limits: RetryLimits) -> bool:
    """Whether a delivery has been tried often enough, or for long enough."""
    return attempts >= limits.attempts or age_s >= limits.age
