"""Death at a chosen instant: every effect of an endpoint on the world counts as a step, and at one of them it dies.

From that step on nothing that the endpoint does has any effect: its transactions are not queued, its calls to the
router and to the network never arrive. Just before a step and just after it are two different instants: a transaction
that was made but not noticed, a message that the network took but whose answer never came back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from adapters.contract import Delivery, Sent, StatusUpdate
from bridge.endpoint import Endpoint
from bridge.endpoint.ledger.contract import Change
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from bridge.router.contract import Router
from tests.unit.endpoint.fake_adapter import AskableAdapter, FakeAdapter, FakeNetwork

T = TypeVar("T")


class Fuse:
    """Blows at the ``at``-th instant, of those of the kind ``only`` if that is given; ``where`` then says which it was.

    ``passed`` counts the instants of each kind that went by.
    """

    def __init__(self, at: int, only: str = "") -> None:
        self.left = at
        self.only = only
        self.where = ""
        self.blown = asyncio.Event()
        self.passed: Counter[str] = Counter()

    def dies(self, where: str) -> bool:
        """Count one instant; say whether the endpoint is dead."""
        if self.blown.is_set():
            return True
        self.passed[where] += 1
        self.left -= self.only in ("", where)
        if self.left == 0:
            self.where = where
            self.blown.set()
            return True
        return False

    async def around(self, where: str, effect: Callable[[], Awaitable[T]]) -> T:
        """Let an effect happen, unless death comes before it; return its result, unless death comes after it."""
        if self.dies(f"before {where}"):
            await asyncio.Event().wait()
        result = await effect()
        if self.dies(f"after {where}"):
            await asyncio.Event().wait()
        return result


class MortalLedger(SqlLedger):
    fuse: Fuse

    def commit(self, change: Change) -> asyncio.Future[None]:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.fuse.dies("before a commit"):
            return never
        done = super().commit(change)
        return never if self.fuse.dies("after a commit") else done


def mortal_ledger(fuse: Fuse) -> Callable[[str, Sealer], Any]:
    async def open_ledger(url: str, sealer: Sealer) -> SqlLedger:
        ledger = await MortalLedger.open(url, sealer)
        ledger.fuse = fuse  # type: ignore[attr-defined]
        return ledger

    return open_ledger


class MortalRouter:
    """A connection to the router that dies with its endpoint."""

    def __init__(self, router: Router, fuse: Fuse) -> None:
        self._router = router
        self._fuse = fuse
        self.endpoint = router.endpoint

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._router, name)
        return lambda *args, **kwargs: self._fuse.around(name, lambda: call(*args, **kwargs))

    async def notify(self, cursor: str) -> AsyncIterator[Sequence[Any]]:
        async for batch in self._router.notify(cursor):
            if self._fuse.blown.is_set():
                await asyncio.Event().wait()
            yield batch

    async def get_blob(self, name: str) -> AsyncIterator[bytes]:
        async for chunk in self._router.get_blob(name):
            yield chunk


class MortalAdapter(FakeAdapter):
    def __init__(self, network: FakeNetwork, fuse: Fuse) -> None:
        super().__init__(network)
        self._fuse = fuse

    async def send(self, delivery: Delivery, key: str) -> Sent:
        return await self._fuse.around("send", lambda: super(MortalAdapter, self).send(delivery, key))

    async def report(self, update: StatusUpdate, key: str) -> None:
        await self._fuse.around("report", lambda: super(MortalAdapter, self).report(update, key))


class AskableMortalAdapter(MortalAdapter, AskableAdapter):
    pass


async def kill(endpoint: Endpoint) -> None:
    """Let go of a dead endpoint as the system does: its files are closed and nothing is finished."""
    deliveries = endpoint.deliveries
    endpoint._ready = False
    tasks = [
        *endpoint._tasks,
        *filter(None, [endpoint.membership._task]),
        *deliveries._workers.values(),
        *endpoint.media._workers.values(),
        *endpoint.receiving._waits,
        *endpoint.signs._tasks,
    ]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await endpoint.attachments.close()
    await endpoint.ledger.close()
