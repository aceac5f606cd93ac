"""A business program in its barest form: it keeps every webhook as it came, and answers what the test tells it to."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from aiohttp import ClientSession, web

from tests.scenarios.business.host import TOKEN
from tests.servers.ports import free_ports

VERIFY = "a-verify-token"


class Receiver:
    """``answers`` are the statuses of the next answers (200 when there are none left); ``hold`` keeps them back."""

    def __init__(self, api: str) -> None:
        self.api = api
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.received: list[tuple[str, bytes]] = []
        self.answers: list[int | tuple[int, dict[str, str]]] = []
        self.challenge: str | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self._runner: web.AppRunner | None = None
        self.session: ClientSession

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/hook", self._handshake)
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.session = ClientSession(headers={"Authorization": f"Bearer {TOKEN}"})
        return self

    async def __aexit__(self, *_: object) -> None:
        self.hold.set()
        await self.session.close()
        assert self._runner is not None
        await self._runner.cleanup()

    async def register(self, scope: str = "2001/subscribed_apps") -> tuple[int, Any]:
        """Register the callback with the account."""
        wanted = {"override_callback_uri": self.url, "verify_token": VERIFY}
        return await self.call("POST", f"/v23.0/{scope}", json=wanted)

    async def call(self, method: str, path: str, **keywords: Any) -> tuple[int, Any]:
        """Call the API; return the status and the JSON."""
        async with self.session.request(method, self.api + path, **keywords) as response:
            return response.status, await response.json()

    @property
    def values(self) -> list[dict[str, Any]]:
        """What the webhooks said, in the order in which they came."""
        return [json.loads(body)["entry"][0]["changes"][0]["value"] for _, body in self.received]

    async def _handshake(self, request: web.Request) -> web.Response:
        if request.query["hub.verify_token"] != VERIFY:
            return web.Response(status=403)
        return web.Response(text=self.challenge or request.query["hub.challenge"])

    async def _take(self, request: web.Request) -> web.Response:
        self.received.append((request.headers["X-Hub-Signature-256"], await request.read()))
        answer = self.answers.pop(0) if self.answers else 200
        await self.hold.wait()
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        return web.Response(status=status, headers=headers)
