"""A scripted host: it plays the endpoint to one XMPP adapter, in memory, and writes down all that arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import TypeVar

from adapters.contract import (
    Account,
    Conversation,
    Delivery,
    Direct,
    Event,
    Inbound,
    Message,
    Profile,
    Receipt,
    Refused,
    Sent,
)
from adapters.xmpp import Xmpp
from adapters.xmpp.config import XmppConfig
from protocol.content import ExternalPart, text
from protocol.uri import Address

EventT = TypeVar("EventT", bound=Event)

ROMEO = Profile(Address("matrix", "@romeo:hs.test"), "Romeo")
ROMEO_JID = r"matrix~\40romeo\3ahs.test@rialto.xmpp.test"
SHOP = Profile(Address("business", "US.Shop7"), "The Shop")


def chat(user: str, peer: Profile = ROMEO) -> Direct:
    return Direct(Address("xmpp", user), peer.address)


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
    """One adapter. ``judge`` decides what is refused; while ``held``, nothing is answered."""

    def __init__(self, config: XmppConfig, *, groups: tuple[str, ...] = ()) -> None:
        self.config = config
        self.groups = groups
        self.store = MemoryStore()
        self.files: dict[str, bytes] = {}
        self.events: list[Event] = []
        self.cursor: str | None = None
        self.judge: Callable[[Event], Refused | None] = lambda _: None
        self.held = False
        self.adapter = Xmpp()
        self._arrived = asyncio.Event()
        self._taken = 0
        self._keys = count(1)
        self._receiving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open a new adapter on the same store and from the same cursor, as after a restart."""
        self.adapter = Xmpp()
        await self.adapter.open(
            Account("xmpp", self.config, self.store, self.groups, lambda: time.time_ns() // 1_000_000)
        )
        self._receiving = asyncio.create_task(self._receive())

    async def stop(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        await self.adapter.close()

    async def _receive(self) -> None:
        async for event in self.adapter.receive(self.cursor):
            self.events.append(event)
            self._arrived.set()
            if isinstance(event, Inbound | Receipt) and not self.held:
                self.cursor = event.cursor or self.cursor
                event.acknowledge(self.judge(event))

    # --- what arrived ---

    async def next(self, kind: type[EventT], patience: float = 40.0) -> EventT:
        """The next event of a kind; those of other kinds before it are skipped."""
        async with asyncio.timeout(patience):
            while True:
                while self._taken < len(self.events):
                    event = self.events[self._taken]
                    self._taken += 1
                    if isinstance(event, kind):
                        return event
                self._arrived.clear()
                await self._arrived.wait()

    async def heard(self, patience: float = 40.0) -> Inbound:
        return await self.next(Inbound, patience)

    def texts(self) -> list[str]:
        return [e.message.part.text for e in self.events if isinstance(e, Inbound)]  # type: ignore[union-attr]

    # --- what is said ---

    def delivery(
        self, conversation: Conversation, sender: Profile, what: str | Message, at: int | None = None
    ) -> Delivery:
        message = what if isinstance(what, Message) else Message(text(what))
        now = time.time_ns() // 1_000_000
        return Delivery(conversation=conversation, sender=sender, message=message, at=at or now, open=self._open)

    async def say(
        self, conversation: Conversation, sender: Profile, what: str | Message, key: str = "", at: int | None = None
    ) -> Sent:
        return await self.adapter.send(self.delivery(conversation, sender, what, at), key or f"key-{next(self._keys)}")

    async def _open(self, part: ExternalPart) -> AsyncIterator[bytes]:
        content = self.files[part.url]
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]
