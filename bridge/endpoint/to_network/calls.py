"""Calls into an adapter: each has an end, and one that hangs holds up nobody but its own conversation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

from bridge.endpoint.context import Context

GRACE_S = 5.0
"""How long a call that was cancelled may take to end."""

_HANGING = 16  # for one place, so many calls may be under way, counting those that have given it back

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Places:
    """How many calls are made at once. One that takes longer than ``patience`` seconds gives its place to another."""

    def __init__(self, count: int, patience: float) -> None:
        self._free = asyncio.Semaphore(count)
        self._under_way = asyncio.Semaphore(count * _HANGING)
        self._patience = patience

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place, for no longer than a call that does not hang needs it."""
        async with self._under_way:
            await self._free.acquire()
            held = True

            def give_back() -> None:
                nonlocal held
                if held:
                    held = False
                    self._free.release()

            hangs = asyncio.get_running_loop().call_later(self._patience, give_back)
            try:
                yield
            finally:
                hangs.cancel()
                give_back()


async def within(context: Context, seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Return what a call returns, or raise what it raises. Raises ``TimeoutError`` when its time is over.

    It is cancelled then, and when the caller is. What does not end by that either is left alone.
    """
    task = asyncio.create_task(call)
    try:
        async with context.timeout(seconds):
            await asyncio.wait({task})
    except TimeoutError:
        await _end(context, task)
        if task.done() and not task.cancelled() and not isinstance(task.exception(), TimeoutError):
            return task.result()  # it came back at the last moment
        raise
    except asyncio.CancelledError:
        await _end(context, task)
        raise
    return task.result()


async def _end(context: Context, task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(TimeoutError):
        async with context.timeout(GRACE_S):
            await asyncio.wait({task})
    if not task.done():
        log.error("a defect of the adapter: a call that cannot be cancelled")
        task.add_done_callback(lambda late: late.cancelled() or late.exception())
    elif not task.cancelled():
        task.exception()  # it is read by who wants to know, or nobody does
