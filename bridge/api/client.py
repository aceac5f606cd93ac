"""Asking a running daemon, for the command line."""

from __future__ import annotations

from typing import Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from bridge.config import Loaded
from bridge.errors import ServiceError
from bridge.secrets import router_token

T = TypeVar("T")


class ApiClient:
    """Asks the endpoints of one configuration, wherever their processes listen; use with ``async with``."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def get(self, endpoint: str, path: str, kind: type[T], **query: str) -> T:
        """GET ``path`` of an endpoint and read the answer as ``kind``. Raises ``ServiceError``."""
        body = await self._ask("GET", endpoint, path, query)
        return msgspec.json.decode(body, type=kind)

    async def post(self, endpoint: str, path: str) -> None:
        """POST to ``path`` of an endpoint. Raises ``ServiceError``."""
        await self._ask("POST", endpoint, path, {})

    async def _ask(self, method: str, endpoint: str, path: str, query: dict[str, str]) -> bytes:
        token = router_token(self._loaded.data, endpoint)
        config = self._loaded.config
        tried = [listen for listen in (config.http.listen, config.endpoint[endpoint].health) if listen]
        refused = ""
        for listen in tried:
            url = f"http://{listen}/v1/endpoints/{quote(endpoint)}/{path}"
            try:
                async with self._http.request(
                    method, url, params=query, headers={"Authorization": f"Bearer {token}"}
                ) as answer:
                    body = await answer.read()
                    if answer.status == 200:
                        return body
                    refused = msgspec.json.decode(body).get("text", "") or answer.reason or ""
            except (aiohttp.ClientError, TimeoutError):
                continue
        if refused:
            raise ServiceError(f"{endpoint}: {refused}")
        raise ServiceError(f"{endpoint}: nothing answers at {' or '.join(tried)}: is the daemon running?")
