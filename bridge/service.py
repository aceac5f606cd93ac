"""The daemon: whichever of the router and the endpoints this process runs, from start to a graceful stop.

Parts come up in order (router, its listener, endpoints, their listeners) and go down in the opposite one: nothing ever
calls what is gone. SIGTERM and SIGINT end it; a second one ends it at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiohttp import web

from adapters.contract import Webhooks
from bridge import adapters, assembly, systemd
from bridge.api.app import Api
from bridge.api.metrics import Figures
from bridge.assembly import split_address
from bridge.config import Loaded
from bridge.endpoint.context import Context
from bridge.endpoint.endpoint import Endpoint
from bridge.errors import ServiceError
from bridge.observed import ObservedEndpoint
from bridge.router.client import HttpRouter
from bridge.router.contract import Router
from bridge.router.hub import Hub
from bridge.router.server import RouterServer
from bridge.secrets import create_authority, ledger_key, router_token
from protocol.uri import endpoint_uri

log = structlog.get_logger(__name__)


async def serve(
    loaded: Loaded, *, router: bool, endpoints: Sequence[str], own_process: bool, restored: bool = False
) -> None:
    """Run until told to stop. ``own_process``: router and endpoints are processes of their own, linked by HTTP.

    ``restored``: the operator says that the ledgers are older copies: every room is re-keyed before anything is sent.

    Raises ``RialtoError`` or ``StorageError`` when a part cannot start.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_quit, stop)
    async with AsyncExitStack() as stack:
        daemon = Daemon(loaded, stack, own_process=own_process, restored=restored)
        await daemon.start(router=router, endpoints=endpoints)
        systemd.notify("READY=1")
        await daemon.watch(stop)
        log.info("daemon.stopping")
        systemd.notify("STOPPING=1")
    log.info("daemon.stopped")


def _stop_or_quit(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(1)
    stop.set()


class Daemon:
    """The parts of one process."""

    def __init__(self, loaded: Loaded, stack: AsyncExitStack, *, own_process: bool, restored: bool) -> None:
        self._loaded = loaded
        self._stack = stack
        self._own_process = own_process
        self._restored = restored
        self._figures = Figures()
        self._api = Api(self.health, self._figures)
        self._hub: Hub | None = None
        self._endpoints: dict[str, Endpoint] = {}

    async def start(self, *, router: bool, endpoints: Sequence[str]) -> None:
        """Bring everything up; what has come up is on the stack."""
        began = time.monotonic()
        if router and not self._own_process and not self._loaded.config.authority.keys:
            for path in create_authority(self._loaded.data):
                log.info("authority made", file=str(path))
        if router:
            await self._start_router()
        await self._listen(self._api.app, self._api_address(router, endpoints), "http")
        # A network that is down keeps only its own endpoint waiting; /healthz says which.
        self._starting = asyncio.create_task(self._start_endpoints(endpoints, began))
        self._stack.push_async_callback(_cancelled, self._starting)

    async def _start_endpoints(self, names: Sequence[str], began: float) -> None:
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._start_endpoint(name), name=f"start {name}")
        seconds = round(time.monotonic() - began, 3)
        log.info("daemon.ready", seconds=seconds, endpoints=list(names), router=self._hub is not None)

    def _api_address(self, router: bool, endpoints: Sequence[str]) -> str:
        """Where health and metrics answer; nowhere ('') for a lone endpoint without ``health``."""
        if self._own_process and not router:
            return self._loaded.config.endpoint[endpoints[0]].health
        return self._loaded.config.http.listen

    async def _start_router(self) -> None:
        self._hub = assembly.hub(self._loaded)
        await self._hub.start()
        self._stack.push_async_callback(self._hub.stop)
        if self._own_process:
            server = RouterServer(self._hub)
            host, port = split_address(self._loaded.config.router.listen)
            try:
                await server.start(host, port)
            except OSError as error:
                raise ServiceError(f"router.listen: {host}:{port}: {error.strerror}") from error
            self._stack.push_async_callback(server.stop)

    async def _start_endpoint(self, name: str) -> None:
        config = self._loaded.config.endpoint[name]
        kind = adapters.of_endpoint(name, config)
        adapter = kind()
        judge = assembly.authority(self._loaded)
        endpoint = Endpoint(
            assembly.endpoint_settings(self._loaded, name, kind.info, distrust=self._restored),
            adapter,
            adapters.account(self._loaded, name, kind),
            self._router_of(name),
            assembly.endpoint_database(self._loaded, name, config),
            ledger_key(self._loaded.data),
            Context(metrics=self._figures.of(name)),
            authority=judge,
            granter=assembly.granting(self._loaded, judge),
        )
        self._endpoints[name] = endpoint
        self._stack.push_async_callback(endpoint.stop)
        await endpoint.start()
        self._api.add(name, ObservedEndpoint(endpoint), router_token(self._loaded.data, name))
        if isinstance(adapter, Webhooks):
            app = web.Application(client_max_size=1 << 30)
            app.add_routes(list(adapter.routes()))
            if not config.listen:
                raise ServiceError(f"endpoint.{name}.listen: its network calls us over HTTP: say where")
            await self._listen(app, config.listen, f"endpoint.{name}")

    def _router_of(self, name: str) -> Router:
        if self._hub is not None:
            return self._hub.connect(name)
        config = self._loaded.config
        url = config.endpoint[name].router or f"http://{config.router.listen}"
        router = HttpRouter(url, router_token(self._loaded.data, name), endpoint_uri(config.domain, name))
        self._stack.push_async_callback(router.close)
        return router

    async def _listen(self, app: web.Application, address: str, what: str) -> None:
        if not address:
            return
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        host, port = split_address(address)
        try:
            await web.TCPSite(runner, host, port, shutdown_timeout=5).start()
        except OSError as error:
            raise ServiceError(f"{what}.listen: {address}: {error.strerror}") from error

    def health(self) -> Mapping[str, Mapping[str, object]]:
        """Say of each part whether it is ready, from memory."""
        parts: dict[str, Mapping[str, object]] = {name: part.health() for name, part in self._endpoints.items()}
        if self._hub is not None:
            parts["router"] = {"ready": True}
        return parts

    async def watch(self, stop: asyncio.Event) -> None:
        """Wait for the end, feeding systemd's watchdog; raises what an endpoint died of, or could not start for."""
        running = asyncio.create_task(self._running())
        ending = asyncio.create_task(stop.wait())
        pause = systemd.watchdog_seconds() or 30.0
        try:
            while not stop.is_set() and not running.done():
                await asyncio.wait({ending, running}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                systemd.notify("WATCHDOG=1")
            if running.done():
                running.result()
        finally:
            await _cancelled(ending)
            await _cancelled(running)

    async def _running(self) -> None:
        await self._starting
        if not self._endpoints:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            for endpoint in self._endpoints.values():
                group.create_task(endpoint.wait())


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
