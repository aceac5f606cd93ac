"""Asking a running daemon, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from bridge.config import Loaded
from bridge.errors import ServiceError
from bridge.secrets import operator_token

T = TypeVar("T")


class NobodyAnswers(ServiceError):
    """No process of the daemon answers."""

    code = "nobody-answers"


class ApiClient:
    """Asks the endpoints of one configuration, wherever their processes listen; use with ``async with``."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def get(self, endpoint: str, path: str, kind: type[T], /, **query: str) -> T:
        """GET ``path`` of an endpoint and read the answer as ``kind``. Raises ``ServiceError``."""
        body = await self._ask("GET", endpoint, path, query)
        return msgspec.json.decode(body, type=kind)

    async def post(self, endpoint: str, path: str) -> None:
        """POST to ``path`` of an endpoint. Raises ``ServiceError``."""
        await self._ask("POST", endpoint, path, {})

    async def _ask(self, method: str, endpoint: str, path: str, query: dict[str, str]) -> bytes:
        config = self._loaded.config
        tried = [listen for listen in (config.http.listen, config.endpoint[endpoint].health) if listen]
        return await self._first(method, tried, f"/v1/endpoints/{quote(endpoint)}/{path}", query, endpoint)

    async def reload(self) -> dict[str, list[str]]:
        """Have every process of this configuration that answers read it again. Raises ``ServiceError``."""
        config = self._loaded.config
        places = [config.http.listen, *(each.health for each in config.endpoint.values() if each.health)]
        found: dict[str, list[str]] = {}
        answered = False
        for place in places:
            try:
                body = await self._first("POST", [place], "/v1/reload", {}, "reload")
            except NobodyAnswers:
                continue
            answered = True
            for word, names in msgspec.json.decode(body, type=dict[str, list[str]]).items():
                found[word] = sorted({*found.get(word, ()), *names})
        if not answered:
            raise ServiceError(f"nothing answers at {' or '.join(places)}: is the daemon running?")
        return found

    async def _first(self, method: str, places: Sequence[str], path: str, query: dict[str, str], what: str) -> bytes:
        """Return what the first process that knows of it answers. Raises ``ServiceError``."""
        token = operator_token(self._loaded.data)
        refused = ""
        for listen in places:
            url = f"http://{listen}{path}"
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
            raise ServiceError(f"{what}: {refused}")
        raise NobodyAnswers(f"{what}: nothing answers at {' or '.join(places)}: is the daemon running?")
