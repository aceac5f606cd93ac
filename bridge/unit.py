"""One endpoint with all that belongs to it: its connection to the router, its web server, its place in the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from adapters.contract import Adapter, Webhooks
from bridge import adapters, assembly
from bridge.api.app import Api
from bridge.assembly import split_address
from bridge.config import Loaded
from bridge.endpoint.context import Context
from bridge.endpoint.endpoint import Endpoint
from bridge.errors import ServiceError
from bridge.observed import ObservedEndpoint
from bridge.router.contract import Router
from bridge.secrets import ledger_key

Connect = Callable[[str, AsyncExitStack], Router]
"""Gives an endpoint its connection to the router; what must be closed afterwards is pushed on the stack."""

_LARGEST_REQUEST = 1 << 30


class EndpointUnit:
    """One life of one configured endpoint, as ``bridge.supervisor`` keeps it; ``distrust``: its ledger is a copy.

    Raises ``AdapterError``, ``ConfigError`` or ``SecretError`` as it is made.
    """

    def __init__(
        self, loaded: Loaded, name: str, connect: Connect, api: Api, context: Context, *, distrust: bool = False
    ) -> None:
        self._name = name
        self._api = api
        self._stack = AsyncExitStack()
        config = self._config = loaded.config.endpoint[name]
        kind = adapters.of_endpoint(name, config)
        self._adapter: Adapter[Any] = kind()
        if isinstance(self._adapter, Webhooks) and not config.listen:
            raise ServiceError(f"endpoint.{name}.listen: its network calls us over HTTP: say where")
        judge = assembly.authority(loaded)
        self.endpoint = Endpoint(
            assembly.endpoint_settings(loaded, name, kind.info, distrust=distrust),
            self._adapter,
            adapters.account(loaded, name, kind),
            connect(name, self._stack),
            assembly.endpoint_database(loaded, name, config),
            ledger_key(loaded.data),
            context,
            authority=judge,
            granter=assembly.granting(loaded, judge),
        )

    async def start(self) -> None:
        """Open the account, then its web server; returns when both are there."""
        await self.endpoint.start()
        self._api.add(self._name, ObservedEndpoint(self.endpoint))
        if isinstance(self._adapter, Webhooks):
            app = web.Application(client_max_size=_LARGEST_REQUEST)
            app.add_routes(list(self._adapter.routes()))
            await listen(self._stack, app, self._config.listen, f"endpoint.{self._name}.listen")

    async def reconfigure(self, loaded: Loaded) -> bool:
        """Tell the running endpoint of other rooms, people or limits; False if only another start can."""
        settings = assembly.endpoint_settings(loaded, self._name, self._adapter.info)
        return await self.endpoint.reconfigure(settings)

    async def wait(self) -> None:
        """Wait for ever; raise what the endpoint cannot go on for."""
        await self.endpoint.wait()

    async def stop(self) -> None:
        """Let go of the web server, the account, the ledger and the router."""
        self._api.remove(self._name)
        try:
            await self._stack.aclose()
        finally:
            await self.endpoint.stop()

    def health(self) -> Mapping[str, object]:
        """Say from memory how the endpoint is."""
        return self.endpoint.health()


async def listen(stack: AsyncExitStack, app: web.Application, address: str, setting: str) -> None:
    """Serve ``app`` at HOST:PORT until the stack is closed. Raises ``ServiceError``, which names the setting."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    host, port = split_address(address)
    try:
        await web.TCPSite(runner, host, port, shutdown_timeout=5).start()
    except OSError as error:
        raise ServiceError(f"{setting}: {address}: {error.strerror}") from error
