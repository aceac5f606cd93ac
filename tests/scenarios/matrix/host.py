"""A scripted host: it plays the endpoint to one Matrix adapter, in memory, and writes down all that arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import TypeVar

from aiohttp import web

from adapters.contract import (
    Account,
    Conversation,
    Delivery,
    Event,
    Inbound,
    Message,
    Profile,
    Receipt,
    Refused,
    Sent,
    TypingNotice,
)
from adapters.matrix import Matrix, MatrixConfig
from protocol.content import ExternalPart, text

EventT = TypeVar("EventT", bound=Event)


class MemoryStore:
    """A store that outlives an adapter, as the endpoint's ledger does."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    async def put(self, key: str, value: bytes) -> None:
        self.values[key] = value

    async def delete(self, key: str) -> None:
        self.values.pop(key, None)

    async def scan(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        return sorted((k, v) for k, v in self.values.items() if k.startswith(prefix))


class Host:
    """One adapter and the server it gives routes to. ``judge`` decides what is refused; ``held`` delays all answers."""

    def __init__(self, config: MatrixConfig, port: int, *, groups: tuple[str, ...] = ()) -> None:
        self.config = config
        self.port = port
        self.groups = groups
        self.store = MemoryStore()
        self.files: dict[str, bytes] = {}
        self.events: list[Event] = []
        self.times: dict[str, float] = {}
        self.judge: Callable[[Event], Refused | None] = lambda _: None
        self.held = False
        self.adapter = Matrix()
        self._arrived = asyncio.Event()
        self.taken = 0
        self._keys = count(1)
        self._runner: web.AppRunner | None = None
        self._receiving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open a new adapter on the same store, as after a restart."""
        self.adapter = Matrix()
        account = Account("matrix", self.config, self.store, self.groups, lambda: time.time_ns() // 1_000_000)
        await self.adapter.open(account)
        app = web.Application()
        app.add_routes(self.adapter.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self._receiving = asyncio.create_task(self._receive())

    async def stop(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        await self.adapter.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self) -> None:
        async for event in self.adapter.receive(None):
            if isinstance(event, Inbound):
                self.times[event.native_id] = time.perf_counter()
            self.events.append(event)
            self._arrived.set()
            if isinstance(event, Inbound | Receipt) and not self.held:
                event.acknowledge(self.judge(event))

    # --- what arrived ---

    async def next(self, kind: type[EventT], patience: float = 40.0) -> EventT:
        """The next event of a kind; those of other kinds before it are skipped."""
        async with asyncio.timeout(patience):
            while True:
                while self.taken < len(self.events):
                    event = self.events[self.taken]
                    self.taken += 1
                    if isinstance(event, kind):
                        return event
                self._arrived.clear()
                await self._arrived.wait()

    async def heard(self, patience: float = 40.0) -> Inbound:
        return await self.next(Inbound, patience)

    async def next_quiet(self, quiet: float = 0.3) -> None:
        """Wait until nothing has come for a while."""
        before = -1
        while before != len(self.events):
            before = len(self.events)
            await asyncio.sleep(quiet)

    async def typing(self) -> TypingNotice:
        return await self.next(TypingNotice)

    def texts(self) -> list[str]:
        return [e.message.part.text for e in self.events if isinstance(e, Inbound)]  # type: ignore[union-attr]

    # --- what is said ---

    async def say(
        self, conversation: Conversation, sender: Profile, what: str | Message, key: str = "", at: int | None = None
    ) -> Sent:
        message = what if isinstance(what, Message) else Message(text(what))
        delivery = Delivery(
            conversation=conversation,
            sender=sender,
            message=message,
            at=at or time.time_ns() // 1_000_000,
            open=self._open,
        )
        return await self.adapter.send(delivery, key or f"key-{id(self)}-{next(self._keys)}")

    async def _open(self, part: ExternalPart) -> AsyncIterator[bytes]:
        content = self.files[part.url]
        for start in range(0, len(content), 1 << 16):
            yield content[start : start + (1 << 16)]
