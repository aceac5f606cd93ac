"""Memory and start: the daemon's resident set after its start and after many messages, and the seconds until ready.

``python -m tests.bench.bench_memory [MESSAGES]`` sends messages from XMPP to a shop whose program only says 200: no
other server sets the pace.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.servers.ports import free_ports
from tests.stage.world import API_TOKEN, APP_ID, APP_SECRET, World
from tests.stage.xmpp import XmppPerson


class Shop:
    """A program that takes every webhook and counts the messages in them."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.port = free_ports(1)[0]

    async def start(self) -> web.AppRunner:
        """Listen."""
        app = web.Application()
        app.add_routes([web.get("/", self._verify), web.post("/", self._take)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def _verify(self, request: web.Request) -> web.Response:
        return web.Response(text=request.query["hub.challenge"])

    async def _take(self, request: web.Request) -> web.Response:
        value = json.loads(await request.read())["entry"][0]["changes"][0]["value"]
        self.seen.update(message["id"] for message in value.get("messages", ()))
        return web.Response()

    async def subscribe(self, api: str) -> None:
        """Register the callback as the Cloud API wants it."""
        proof = hashlib.sha256((APP_ID + APP_SECRET).encode()).hexdigest()[:16]
        form = {
            "object": "whatsapp_business_account",
            "callback_url": f"http://127.0.0.1:{self.port}/",
            "verify_token": proof,
            "fields": "messages",
            "access_token": f"{APP_ID}|{APP_SECRET}",
        }
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{api}/v23.0/{APP_ID}/subscriptions", params=form, headers={"Authorization": f"Bearer {API_TOKEN}"}
            ) as answer,
        ):
            assert answer.status == 200, await answer.text()


async def main(messages: int) -> None:
    """Run it and print the figures."""
    with tempfile.TemporaryDirectory(prefix="rialto-bench-") as folder:
        async with World(Path(folder), shop=False, verona=False) as world:
            shop = Shop()
            runner = await shop.start()
            await shop.subscribe(f"http://127.0.0.1:{world.ports['business']}")
            juliet = await world.xmpp_person("Juliet")
            assert isinstance(juliet, XmppPerson)
            before = world.rialto.memory()["run"]
            began = time.monotonic()
            for number in range(messages):
                await juliet.say(juliet.addresses["Shop"], f"message {number}")
                while number - len(shop.seen) > 200:
                    await asyncio.sleep(0.005)
            while len(shop.seen) < messages and time.monotonic() - began < 600:
                await asyncio.sleep(0.05)
            rate = len(shop.seen) / (time.monotonic() - began)
            after = world.rialto.memory()["run"]
            await runner.cleanup()
            restarted = []
            for _ in range(5):
                await asyncio.to_thread(world.rialto.stop)
                restarted.append(await asyncio.to_thread(world.rialto.start))
            print(
                f"ready after its start: {world.ready_after:.2f} s the first time, then {min(restarted):.2f} s at best"
            )
            print(f"resident set: {before:.0f} MiB after start, {after:.0f} MiB after {len(shop.seen)} messages")
            print(f"XMPP to business: {rate:.0f} messages/s, {messages - len(shop.seen)} lost")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
