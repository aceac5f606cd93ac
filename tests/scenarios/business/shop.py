"""A shop's program inside the test: an unmodified pywa client with its own webhook server in a thread."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any, Self, TypeVar

import httpx
import pywa
import uvicorn
from pywa import types
from starlette.applications import Starlette

from adapters.business.pywa import transport
from tests.scenarios.business.host import APP, PHONE, SECRET, TOKEN, WABA
from tests.servers.ports import free_ports

T = TypeVar("T")


class Shop:
    """``wa`` is the pywa client; ``updates`` holds every update that pywa understood, in order."""

    def __init__(self, api: str, *, version: float = 26.0) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.updates: queue.Queue[Any] = queue.Queue()
        app = Starlette()
        self.wa = pywa.WhatsApp(
            phone_id=PHONE,
            token=TOKEN,
            waba_id=WABA,
            app_id=APP,
            app_secret=SECRET,
            verify_token="shop-of-verona",
            server=app,
            session=httpx.Client(transport=transport(api), timeout=20),
            callback_url=self.url,
            webhook_challenge_delay=1,
            api_version=version,
        )
        for listen in (
            self.wa.on_message,
            self.wa.on_message_status,
            self.wa.on_edited_message,
            self.wa.on_deleted_message,
            self.wa.on_callback_button,
            self.wa.on_callback_selection,
            self.wa.on_flow_completion,
        ):
            listen(lambda _, update: self.updates.put(update))
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run)

    async def __aenter__(self) -> Self:
        self._thread.start()
        async with asyncio.timeout(60):
            while not await self.do(self._registered):
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await asyncio.to_thread(self._thread.join)
        self.wa.api._session.close()

    def _registered(self) -> bool:
        registered = (self.wa.get_business_phone_number().webhook_configuration or {}).get("application", "")
        return registered.startswith(self.url)

    async def do(self, what: Any, *args: Any, **keywords: Any) -> Any:
        """Call something of pywa's, which blocks."""
        return await asyncio.to_thread(what, *args, **keywords)

    async def next(self, kind: type[T] = types.Message, timeout: float = 40.0) -> T:
        """Return the next update, which must be of this kind."""
        update = await asyncio.to_thread(self.updates.get, timeout=timeout)
        assert isinstance(update, kind), update
        return update
