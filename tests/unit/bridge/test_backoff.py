"""What is tried again waits longer each time, not all at once, and as long as it was asked to."""

from __future__ import annotations

import pytest

from bridge.backoff import Backoff, wait

LEAST, MOST = (lambda n: bytes(n)), (lambda n: b"\xff" * n)


def test_the_wait_doubles_up_to_a_limit() -> None:
    assert [wait(n, 1.0, 5.0, LEAST) for n in (1, 2, 3, 4, 5, 1000)] == [0.5, 1.0, 2.0, 2.5, 2.5, 2.5]


def test_half_of_a_wait_is_chance() -> None:
    assert wait(3, 1.0, 60.0, LEAST) == 2.0
    assert wait(3, 1.0, 60.0, MOST) == pytest.approx(4.0, rel=1e-4)


def test_what_the_other_side_asked_for_is_the_least() -> None:
    assert wait(1, 1.0, 5.0, MOST, asked=30.0) == 30.0
    assert wait(9, 1.0, 5.0, LEAST, asked=0.1) == 2.5


async def test_a_success_begins_again_and_the_sleep_is_the_callers() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    backoff = Backoff(1.0, 60.0, random=LEAST, sleep=sleep)
    for _ in range(3):
        await backoff.pause()
    backoff.reset()
    await backoff.pause()
    assert slept == [0.5, 1.0, 2.0, 0.5]
    assert backoff.failures == 1
