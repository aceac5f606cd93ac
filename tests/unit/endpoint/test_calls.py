"""Calls into an adapter: cut off when their time is over, and no place is held by one that hangs."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from bridge.endpoint.context import Context
from bridge.endpoint.to_network import calls
from bridge.endpoint.to_network.calls import Places, within
from bridge.endpoint.to_network.pace import LONGEST_PAUSE_S, Pace


async def test_a_call_that_takes_too_long_is_cancelled() -> None:
    ended: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError):
        await within(Context(), 0.01, hang())
    assert ended == ["cancelled"]


async def test_what_does_not_let_itself_be_cancelled_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "GRACE_S", 0.02)
    free = asyncio.Event()

    async def stubborn() -> None:
        while not free.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await free.wait()

    with pytest.raises(TimeoutError):
        await within(Context(), 0.01, stubborn())
    free.set()
    await asyncio.sleep(0)


async def test_what_comes_back_at_the_last_moment_counts() -> None:
    async def late() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "it was taken"
        return ""

    assert await within(Context(), 0.01, late()) == "it was taken"


async def test_what_a_call_raises_comes_out() -> None:
    async def fail() -> None:
        raise LookupError("nobody")

    with pytest.raises(LookupError, match="nobody"):
        await within(Context(), 5, fail())


async def test_a_caller_that_is_cancelled_takes_its_call_along() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    caller = asyncio.create_task(within(Context(), 60, hang()))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()


async def test_sixteen_that_hang_leave_room_for_the_next() -> None:
    places, free = Places(16, patience=0.02), asyncio.Event()

    async def hold() -> None:
        async with places.place():
            await free.wait()

    hanging = [asyncio.create_task(hold()) for _ in range(16)]
    async with asyncio.timeout(10), places.place():
        pass
    free.set()
    await asyncio.gather(*hanging)


async def test_of_those_that_do_not_hang_so_many_run_at_once() -> None:
    places, running, most = Places(2, patience=60), 0, 0

    async def work() -> None:
        nonlocal running, most
        async with places.place():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    assert most == 2


@pytest.mark.parametrize(("asked", "kept"), [(5.0, 5.0), (1e12, LONGEST_PAUSE_S), (-3.0, 0.0), (float("nan"), 0.0)])
async def test_a_pause_that_a_network_asks_for_is_kept_within_reason(asked: float, kept: float) -> None:
    now = 1_000_000
    pace = Pace(Context(clock=lambda: now))
    pace.throttle(asked)
    waiting = asyncio.create_task(pace.clear(now + 10**12))
    await asyncio.sleep(0)
    now += round(kept * 1000)
    pace.alive()  # a sign of life shortens no pause that was asked for
    await asyncio.sleep(0)
    assert waiting.done() == (kept == 0.0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(10):
        await pace.clear(now + 10**12)
