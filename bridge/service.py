"""The daemon: whichever of the router and the endpoints this process runs, from start to a graceful stop.

The router, its listener and the operator's interface come up first and go down last; what they cannot do ends the
process. Endpoints are kept alive one by one (``bridge.supervisor``): what one of them cannot do concerns nobody else.
SIGTERM and SIGINT end the process, a second one at once; SIGHUP and ``rialto reload`` have the configuration read
again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bridge import assembly, systemd
from bridge.api.app import Api
from bridge.api.metrics import Figures
from bridge.assembly import split_address
from bridge.config import Loaded, load
from bridge.endpoint.context import Context
from bridge.errors import ConfigError, RialtoError, ServiceError
from bridge.reload import Difference, compare
from bridge.router.client import HttpRouter
from bridge.router.contract import Router
from bridge.router.hub import Hub
from bridge.router.server import RouterServer
from bridge.secrets import create_authority, operator_token, router_token
from bridge.storage import DatabaseInUseError
from bridge.supervisor import Standing, State, Supervisor
from bridge.unit import EndpointUnit, listen
from protocol.uri import endpoint_uri

log = structlog.get_logger(__name__)


async def serve(
    loaded: Loaded,
    *,
    path: Path,
    router: bool,
    endpoints: Sequence[str],
    own_process: bool,
    restored: bool = False,
) -> None:
    """Run until told to stop. ``own_process``: router and endpoints are processes of their own, linked by HTTP.

    ``path`` is where the configuration is read again at a reload. ``restored``: the operator says that the ledgers are
    older copies: every room is re-keyed before anything is sent.

    Raises ``RialtoError`` or ``StorageError`` for what concerns the whole process.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_or_quit, stop)
    async with AsyncExitStack() as stack:
        daemon = Daemon(loaded, path, stack, own_process=own_process, restored=restored)
        await daemon.start(router=router, endpoints=endpoints)
        loop.add_signal_handler(signal.SIGHUP, daemon.reload_soon)
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

    def __init__(self, loaded: Loaded, path: Path, stack: AsyncExitStack, *, own_process: bool, restored: bool) -> None:
        self._loaded = loaded
        self._path = path
        self._stack = stack
        self._own_process = own_process
        self._distrusted = restored
        self._figures = Figures()
        self._hub: Hub | None = None
        self._only = ""
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._supervisor = Supervisor(self._unit, Context(), changed=self._changed, failed=self._failed)
        self._api = Api(self.health, self._figures, operator_token(loaded.data), self.reload)

    async def start(self, *, router: bool, endpoints: Sequence[str]) -> None:
        """Bring everything up; what has come up is on the stack."""
        began = time.monotonic()
        if router and not self._own_process and not self._loaded.config.authority.keys:
            for path in create_authority(self._loaded.data):
                log.info("authority made", file=str(path))
        if router:
            await self._start_router()
        elif len(endpoints) == 1:
            self._only = endpoints[0]
        if address := self._api_address(router, endpoints):
            await listen(self._stack, self._api.app, address, "http.listen")
        # A network that is down keeps only its own endpoint waiting; /healthz says which.
        self._stack.push_async_callback(self._supervisor.stop)
        for name in endpoints:
            self._supervisor.add(name)
        self._spawn(self._say_ready(endpoints, began))
        self._stack.push_async_callback(self._cancel)

    async def _say_ready(self, names: Sequence[str], began: float) -> None:
        await self._supervisor.tried()
        seconds = round(time.monotonic() - began, 3)
        log.info("daemon.ready", seconds=seconds, endpoints=list(names), router=self._hub is not None)

    def _spawn(self, coroutine: Any) -> None:  # noqa: ANN401 - any coroutine
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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

    # --- endpoints ----------------------------------------------------------------------------------------------------

    def _unit(self, name: str) -> EndpointUnit:
        context = Context(metrics=self._figures.of(name))
        return EndpointUnit(self._loaded, name, self._connect, self._api, context, distrust=self._distrusted)

    def _connect(self, name: str, stack: AsyncExitStack) -> Router:
        if self._hub is not None:
            return self._hub.connect(name)
        config = self._loaded.config
        url = config.endpoint[name].router or f"http://{config.router.listen}"
        router = HttpRouter(url, router_token(self._loaded.data, name), endpoint_uri(config.domain, name))
        stack.push_async_callback(router.close)
        return router

    def _changed(self, name: str, standing: Standing) -> None:
        if standing.state is State.RUNNING:
            self._distrusted = False  # what was said of the ledgers was said for one start
        self._figures.standing(name, up=standing.state is State.RUNNING, since=standing.since, again=standing.again)

    def _failed(self, name: str, error: Exception) -> None:
        """Count a failure. What keeps the only endpoint of a process from its first start concerns the process."""
        self._figures.of(name).count("restarts")
        fatal = isinstance(error, RialtoError | DatabaseInUseError)
        if name == self._only and fatal and not self._ended.done():
            self._ended.set_exception(error)

    def health(self) -> Mapping[str, Mapping[str, object]]:
        """Say of each part whether it is ready, from memory."""
        parts = self._supervisor.health()
        if self._hub is not None:
            parts["router"] = {"ready": True}
        return parts

    # --- another configuration ----------------------------------------------------------------------------------------

    def reload_soon(self) -> None:
        """Read the configuration again, as SIGHUP asks for."""
        self._spawn(self._reload_logged())

    async def _reload_logged(self) -> None:
        try:
            await self.reload()
        except ConfigError as error:
            for finding in error.findings:
                log.error("reload: the configuration stays as it was", finding=finding)  # noqa: TRY400

    async def reload(self) -> Difference:
        """Read the configuration again and have the parts follow it; return what is different.

        Raises ``ConfigError`` with everything that is wrong with it; then everything stays as it was.
        """
        async with self._reloading:
            systemd.notify("RELOADING=1")
            try:
                loaded = await asyncio.to_thread(load, self._path)
                return await self._follow(loaded)
            finally:
                systemd.notify("READY=1")

    async def _follow(self, loaded: Loaded) -> Difference:
        mine = frozenset((self._only,)) if self._only else None
        found = compare(self._loaded, loaded, mine)
        grants = assembly.grants(loaded) if self._hub is not None else {}
        self._loaded = loaded
        if self._hub is not None:
            await self._hub.configure(grants, assembly.room_configuration(loaded.config))
        if self._own_process and self._hub is not None:
            found = Difference(needs_restart=found.needs_restart)  # the router alone runs no endpoint
        for name in found.removed:
            await self._supervisor.remove(name)
        for name in found.added:
            self._supervisor.add(name)
        await asyncio.gather(*map(self._change, found.changed), *map(partial(self._reconfigure, loaded), found.told))
        log.info("reloaded", **found.words())
        return found

    async def _change(self, name: str) -> None:
        await self._supervisor.restart(name)

    async def _reconfigure(self, loaded: Loaded, name: str) -> None:
        """Tell a running endpoint of other rooms, people or limits; one that is not running reads them as it starts."""
        unit = self._supervisor.part(name)
        if isinstance(unit, EndpointUnit) and not await unit.reconfigure(loaded):
            await self._supervisor.restart(name)

    # --- the process --------------------------------------------------------------------------------------------------

    async def watch(self, stop: asyncio.Event) -> None:
        """Wait for the end, feeding systemd's watchdog. Raises what concerns the whole process."""
        ending = asyncio.create_task(stop.wait())
        pause = systemd.watchdog_seconds() or 30.0
        try:
            while not stop.is_set() and not self._ended.done():
                waited: set[asyncio.Future[Any]] = {ending, self._ended}
                await asyncio.wait(waited, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                systemd.notify("WATCHDOG=1")
            if self._ended.done():
                self._ended.result()
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
