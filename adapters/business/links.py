"""Fetching a file that the business names by a link, without being led into our own network.

A program that can make a server fetch any URL can look around where the server stands. Unless the configuration allows
it, only addresses of the public Internet are fetched: names are checked after they were resolved, by the same look-up
that the connection uses, and every redirect anew.
"""

from __future__ import annotations

import mimetypes
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from pathlib import PurePosixPath
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from adapters.business.errors import MediaDownload

_MAX_REDIRECTS: Final = 5
_CHUNK: Final = 64 << 10


class Fetched:
    """An answer whose body is yet to come: its media type, the name its URL suggests, and the body."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.name = PurePosixPath(response.url.path).name
        stated = response.headers.get("Content-Type", "")
        guessed = mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        self.mime = guessed if stated in {"", "application/octet-stream"} else stated

    def chunks(self) -> AsyncIterator[bytes]:
        """Stream the body."""
        return self._response.content.iter_chunked(_CHUNK)


class PublicResolver(AbstractResolver):
    """Resolves names as usual and keeps the public addresses only."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve ``host``. Raises ``OSError`` if none of its addresses is public."""
        found = await self._inner.resolve(host, port, family)
        public = [each for each in found if is_public(each["host"])]
        if not public:
            raise OSError(f"{host} is not in the public Internet")
        return public

    async def close(self) -> None:
        """Nothing is held."""
        await self._inner.close()


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public Internet."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast


class Links:
    """Fetches links; ``private`` allows those into private networks, ``seconds`` is the time for one file."""

    def __init__(self, *, private: bool, seconds: float) -> None:
        self._private = private
        resolver = None if private else PublicResolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver),
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    @asynccontextmanager
    async def get(self, link: str) -> AsyncIterator[Fetched]:
        """Fetch a link. Raises ``MediaDownload`` for whatever goes wrong, also while the body is read."""
        try:
            async with self._follow(link) as response:
                yield Fetched(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise MediaDownload(f"'{link[:200]}' cannot be fetched: {str(error) or type(error).__name__}") from error

    @asynccontextmanager
    async def _follow(self, link: str) -> AsyncIterator[aiohttp.ClientResponse]:
        url = URL(link)
        for _ in range(_MAX_REDIRECTS + 1):
            self._check(url)
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status == 200:
                    yield response
                    return
                if response.status not in {301, 302, 303, 307, 308} or "Location" not in response.headers:
                    raise MediaDownload(f"'{link[:200]}' answers {response.status}")
                url = url.join(URL(response.headers["Location"]))
        raise MediaDownload(f"'{link[:200]}' redirects too often")

    def _check(self, url: URL) -> None:
        if url.scheme not in {"http", "https"} or not url.host:
            raise MediaDownload(f"'{str(url)[:200]}' is not an http or https link")
        if self._private:
            return
        try:
            public = is_public(url.host)
        except ValueError:
            return  # a name: the resolver looks at what it stands for
        if not public:
            raise MediaDownload(f"'{str(url)[:200]}' is not in the public Internet")
