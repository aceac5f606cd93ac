"""A host that plays the endpoint for one business account: it mounts the routes, accepts what comes, and delivers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from aiohttp import web

from adapters.business import Business
from adapters.business.config import BusinessConfig, Number
from adapters.contract import (
    Account,
    Delivery,
    Direct,
    Event,
    Inbound,
    Message,
    Outcome,
    Profile,
    Receipt,
    Refused,
    Sent,
    StatusUpdate,
)
from protocol.content import ExternalPart, text
from protocol.status import Status
from protocol.uri import Address
from tests.servers.ports import free_ports
from tests.unit.adapters.business.memory import MemoryStore

EventT = TypeVar("EventT", bound=Event)

PHONE, SECOND_PHONE, WABA, APP = "1001", "1002", "2001", "3001"
TOKEN, SECRET = "a-token-for-tests", "a-secret-for-tests"
SHOP = Address("business", "shop")
JULIET = Profile(address=Address("xmpp", "juliet@capulet.example"), name="Juliet Capulet")
ROMEO = Profile(address=Address("matrix", "@romeo:montague.example"), name="Romeo")
NOW = 1_790_000_000_000


class Host:
    """``refuse`` is asked about each event and may give a refusal; if ``deaf``, it acknowledges nothing; ``now`` is the
    adapter's clock.
    """

    def __init__(self, folder: Path, store: MemoryStore | None = None, **settings: Any) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = store or MemoryStore()
        self.now = NOW
        self.events: list[Event] = []
        self.deaf = False
        self.refuse: Callable[[Event], Refused | None] = lambda _: None
        self.files: dict[str, bytes] = {}
        self.fetched: dict[str, bytes] = {}
        self._settings = {
            "numbers": [
                Number("shop", PHONE, "+1 555-000-1001", "The Apothecary"),
                Number("annex", SECOND_PHONE, "+1 555-000-1002"),
            ],
            "waba_id": WABA,
            "app_id": APP,
            "app_secret": SECRET,
            "access_token": TOKEN,
            "public_url": self.url,
            "media_folder": str(folder / "media"),
            "private_links": True,
            **settings,
        }
        self.adapter = Business()
        self._runner: web.AppRunner | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._keys = itertools.count(1)

    async def __aenter__(self) -> Self:
        account = Account("shop", BusinessConfig(**self._settings), self.store, now=lambda: self.now)
        await self.adapter.open(account)
        app = web.Application()
        app.add_routes(self.adapter.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self._receiving = asyncio.create_task(self._receive())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None and self._receiving is not None
        await self.adapter.close()
        self._receiving.cancel()
        await asyncio.gather(self._receiving, return_exceptions=True)
        await self._runner.cleanup()

    async def _receive(self) -> None:
        async for event in self.adapter.receive(None):
            if self.deaf:
                continue
            refusal = self.refuse(event)
            if isinstance(event, Inbound):
                await self._fetch(event)
            if isinstance(event, Inbound | Receipt):
                event.acknowledge(refusal)
            if refusal is None:
                async with self._news:
                    self.events.append(event)
                    self._news.notify_all()

    async def _fetch(self, event: Inbound) -> None:
        parts = getattr(event.message.part, "parts", (event.message.part,))
        for part in parts:
            if isinstance(part, ExternalPart):
                chunks = [chunk async for chunk in self.adapter.fetch(part)]
                self.fetched[event.native_id] = b"".join(chunks)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Return the accepted events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def wait(self, kind: type[EventT], count: int = 1, timeout: float = 40.0) -> EventT:
        """Return the ``count``-th event of a kind when it is there."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def talk(self, customer: Profile = JULIET, shop: Address = SHOP) -> Direct:
        """Return the conversation of a customer with the shop."""
        return Direct(local=shop, peer=customer.address)

    def delivery(
        self, message: Message | str, customer: Profile = JULIET, *, at: int | None = None
    ) -> tuple[Delivery, str]:
        """Make a delivery of what a customer says, and its key."""
        if isinstance(message, str):
            message = Message(part=text(message))
        made = Delivery(
            conversation=self.talk(customer), sender=customer, message=message, at=at or self.now, open=self._open
        )
        return made, f"delivery-{next(self._keys)}"

    async def says(self, message: Message | str, customer: Profile = JULIET) -> Sent:
        """Deliver what a customer says, trying again as the endpoint would."""
        made, key = self.delivery(message, customer)
        for attempt in range(1, 20):
            try:
                return await self.adapter.send(made, key)
            except Outcome as outcome:
                if outcome.code == "permanent" or attempt == 19:
                    raise
                await asyncio.sleep(0.1)
        raise AssertionError("unreachable")

    async def reports(
        self, native_id: str, status: Status, customer: Profile = JULIET, *, reason: str = "", words: str = ""
    ) -> None:
        """Report what became of a message of the shop."""
        update = StatusUpdate(
            conversation=self.talk(customer),
            native_id=native_id,
            status=status,
            at=self.now,
            by=customer,
            reason=reason,
            text=words,
        )
        await self.adapter.report(update, f"report-{native_id}-{int(status)}")

    async def _open(self, part: ExternalPart) -> AsyncIterator[bytes]:
        body = self.files[part.url]
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]
