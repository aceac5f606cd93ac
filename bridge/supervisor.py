"""Keeps parts alive, each by itself: one that fails is stopped, waited for and started again, and no other notices.

A part that has failed is made anew, so that nothing of it is left: its adapter, its ledger, its web server. The waits
between the attempts grow, with chance in them, and begin again once it has been well for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Protocol

import structlog
from msgspec import Struct

from adapters.contract import SignedOut
from bridge.endpoint.context import Context

_AGAIN_S = (1.0, 300.0)
_WELL_MS = 60_000  # a part that was well for so long begins again with the first wait
_STOP_S = 60.0

log = structlog.get_logger(__name__)


class Part(Protocol):
    """What is kept alive. It is started once, and stopped whatever became of that."""

    async def start(self) -> None:
        """Come up; may take as long as a network is down. Raises whatever is wrong."""

    async def wait(self) -> None:
        """Wait for ever; raise what went wrong if the part cannot go on."""

    async def stop(self) -> None:
        """Let go of everything, also after a start that failed half-way."""

    def health(self) -> Mapping[str, object]:
        """Say from memory how it is; ``ready`` and ``action`` among it."""


class State(StrEnum):
    """Where a part is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It failed, and is started again at ``Standing.again``."""


class Standing(Struct):
    """How a part is: since when (milliseconds), why it failed last, when it is tried next (0: it runs), how often."""

    state: State = State.STARTING
    since: int = 0
    why: str = ""
    again: int = 0
    restarts: int = 0


Make = Callable[[str], Part]
"""Makes the part of a name anew. May raise: that is a start that failed."""

Changed = Callable[[str, Standing], None]
"""Hears of every change of a part's standing."""


class Supervisor:
    """The parts of one process, by name; ``changed`` hears how each is, ``failed`` of each failure."""

    def __init__(
        self,
        make: Make,
        context: Context,
        *,
        changed: Changed = lambda _name, _standing: None,
        failed: Callable[[str, Exception], None] = lambda _name, _error: None,
    ) -> None:
        self._make = make
        self._context = context
        self._changed = changed
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._parts: dict[str, Part] = {}
        self._standings: dict[str, Standing] = {}
        self._tried: dict[str, asyncio.Event] = {}

    def __iter__(self) -> object:
        return iter(self._tasks)

    def add(self, name: str) -> None:
        """Begin to keep a part alive."""
        self._standings[name] = Standing(since=self._context.clock())
        self._tried[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._keep(name), name=f"keep {name}")

    async def remove(self, name: str) -> None:
        """Stop a part for good; nothing happens if there is none of that name."""
        task = self._tasks.pop(name, None)
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._tried.pop(name).set()
        del self._standings[name]

    async def restart(self, name: str) -> None:
        """Stop a part and begin anew, at once."""
        await self.remove(name)
        self.add(name)

    async def stop(self) -> None:
        """Stop all parts, side by side."""
        await asyncio.gather(*map(self.remove, list(self._tasks)))

    def part(self, name: str) -> Part | None:
        """Return a part that is there just now."""
        return self._parts.get(name)

    async def tried(self) -> None:
        """Wait until every part has come up, or has failed to, once."""
        for event in list(self._tried.values()):
            await event.wait()

    def health(self) -> dict[str, Mapping[str, object]]:
        """Say of each part how it is, since when, why it failed last and when it is tried again."""
        return {name: self._health_of(name, standing) for name, standing in self._standings.items()}

    def _health_of(self, name: str, standing: Standing) -> Mapping[str, object]:
        part = self._parts.get(name)
        found: dict[str, object] = {"endpoint": name, "ready": False, "action": ""}
        if part is not None:
            try:
                found |= part.health()
            except Exception as error:
                found["action"] = f"its health cannot be asked: {type(error).__name__}"
        if standing.state is not State.RUNNING:
            found["ready"] = False
        if standing.state is State.WAITING:
            found["action"] = standing.why
        return found | {
            "state": standing.state.value,
            "since": standing.since,
            "why": standing.why,
            "again": standing.again,
            "restarts": standing.restarts,
        }

    # --- one part -----------------------------------------------------------------------------------------------------

    async def _keep(self, name: str) -> None:
        backoff = self._context.backoff(*_AGAIN_S)
        while True:
            began = self._context.clock()
            self._now(name, state=State.STARTING, again=0)
            error = await self._live(name)
            log.error("a part failed and is started again", part=name, why=_words(error), exc_info=_trace(error))
            self._context.metrics.count("restarts")
            self._failed(name, error)
            if self._context.clock() - began >= _WELL_MS:
                backoff.reset()
            wait = backoff.next(_SIGNED_OUT_S if isinstance(error, SignedOut) else None)
            restarts = self._standings[name].restarts + 1
            again = self._context.clock() + int(wait * 1000)
            self._now(name, state=State.WAITING, why=_words(error), again=again, restarts=restarts)
            self._tried[name].set()
            await self._context.sleep(wait)

    async def _live(self, name: str) -> Exception:
        """Live one life of a part; return what ended it. A part that is cancelled is stopped too."""
        try:
            part = self._parts[name] = self._make(name)
        except Exception as error:
            return error
        try:
            await part.start()
            self._now(name, state=State.RUNNING)
            self._tried[name].set()
            log.info("a part runs", part=name)
            await part.wait()
        except Exception as error:
            return error
        finally:
            await self._end(name, part)
        return RuntimeError("it ended by itself")

    async def _end(self, name: str, part: Part) -> None:
        try:
            async with asyncio.timeout(_STOP_S):
                await part.stop()
        except Exception:
            log.exception("a part did not stop as it should", part=name)
        finally:
            with contextlib.suppress(KeyError):
                del self._parts[name]

    def _now(self, name: str, **changes: object) -> None:
        standing = self._standings[name]
        if changes.get("state") is not standing.state:
            standing.since = self._context.clock()
        for key, value in changes.items():
            setattr(standing, key, value)
        self._changed(name, standing)


_SIGNED_OUT_S = 30.0


def _words(error: BaseException) -> str:
    """Return an error in one line for operators."""
    if isinstance(error, SignedOut):
        return error.action
    said = " ".join(str(error).split())[:500]
    return said if getattr(error, "code", "") and said else f"{type(error).__name__}: {said}"


def _trace(error: Exception) -> Exception | None:
    """Return what is worth a traceback: an error with a code says by itself what is wrong."""
    return None if getattr(error, "code", "") else error
