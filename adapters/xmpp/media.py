"""Files: a slot on the server's upload service (XEP-0363) for ours, and careful fetching of other people's links."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Collection
from ipaddress import ip_address
from tempfile import SpooledTemporaryFile
from typing import IO
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from adapters.contract import Permanent, Reason, Retry
from adapters.xmpp import xml
from adapters.xmpp.errors import LinkLost, StanzaError
from adapters.xmpp.link import Link
from protocol.content import ExternalPart

CHUNK = 64 * 1024
IN_MEMORY = 1024 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=15, sock_read=60)
_HEADERS = frozenset({"authorization", "cookie", "expires"})  # the only ones a slot may ask for


class Files:
    """The upload service and the web, as far as one account may reach them."""

    def __init__(self, link: Link, *, limit: int, hosts: Collection[str]) -> None:
        self.service = ""
        self.limit = limit
        self._link = link
        self._guard = _Guard(hosts)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._guard.close()

    # --- ours -----------------------------------------------------------------------------------------------------

    async def upload(self, part: ExternalPart, chunks: AsyncIterator[bytes]) -> str:
        """Put a file where people of this network can fetch it, and return its URL. Raises an ``Outcome``."""
        if not self.service:
            raise Permanent(Reason.UNSUPPORTED, "this XMPP server has no upload service")
        with SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > self.limit:
                    raise Permanent(Reason.MEDIA_TOO_LARGE, f"a file of more than {self.limit} octets")
                await asyncio.to_thread(spool.write, chunk)
            spool.seek(0)
            put, headers, get = await self._slot(part.filename or uuid4().hex, size, part.content_type)
            await self._put(put, headers, spool, size, part.content_type)
        return get

    async def _slot(self, filename: str, size: int, media_type: str) -> tuple[str, dict[str, str], str]:
        iq = xml.stanza(xml.IQ, type="get", from_=self._link.jid, to=self.service)
        bare_type = media_type.partition(";")[0].strip()
        # The service's URLs end in the name: a slash would make it another one.
        request = {"filename": filename.replace("/", "_"), "size": str(size), "content-type": bare_type}
        xml.child(iq, xml.UPLOAD, "request", **request)
        try:
            answer = await self._link.request(iq)
        except LinkLost as error:
            raise Retry(str(error)) from error
        except StanzaError as error:
            raise _refused_slot(error) from error
        put = answer.find(f"{{{xml.UPLOAD}}}slot/{{{xml.UPLOAD}}}put")
        get = answer.find(f"{{{xml.UPLOAD}}}slot/{{{xml.UPLOAD}}}get")
        if put is None or get is None or not all(map(_is_web, (put.get("url", ""), get.get("url", "")))):
            raise Retry("the upload service gave no slot")
        headers = {h.get("name", ""): (h.text or "").replace("\n", "").replace("\r", "") for h in put}
        allowed = {name: value for name, value in headers.items() if name.lower() in _HEADERS}
        return put.get("url", ""), allowed, get.get("url", "")

    async def _put(self, url: str, headers: dict[str, str], spool: IO[bytes], size: int, media_type: str) -> None:
        """Put the file where the service that was asked says, be it a private address: for this one request only.

        Nothing that is written here opens that address to links in messages.
        """
        sent = {**headers, "Content-Type": media_type, "Content-Length": str(size)}
        session = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            async with session, session.put(url, data=_read(spool), headers=sent, allow_redirects=False) as answer:
                if answer.status >= 500:
                    raise Retry(f"the upload service answered {answer.status}")
                if answer.status >= 300:
                    raise Permanent(Reason.MEDIA_REFUSED, f"the upload service answered {answer.status}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Retry(f"the upload failed: {type(error).__name__}") from error

    # --- theirs ---------------------------------------------------------------------------------------------------

    async def fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        """Stream a file that somebody linked to. Raises ``Retry`` or ``Permanent``."""
        size = 0
        try:
            if not self._guard.permits(part.url):
                raise Permanent(Reason.MEDIA_UNREACHABLE, "a link to a private address")
            async with self._web().get(part.url, allow_redirects=False) as answer:
                if answer.status >= 500 or answer.status == 429:
                    raise Retry(f"the file's server answered {answer.status}")
                if answer.status != 200:
                    raise Permanent(Reason.MEDIA_UNREACHABLE, f"the file's server answered {answer.status}")
                async for chunk in answer.content.iter_chunked(CHUNK):
                    size += len(chunk)
                    if size > self.limit:
                        raise Permanent(Reason.MEDIA_TOO_LARGE, f"a file of more than {self.limit} octets")
                    yield chunk
        except _PrivateAddress as error:
            raise Permanent(Reason.MEDIA_UNREACHABLE, str(error)) from error
        except ValueError as error:  # no URL at all, or a name of a host that is none (IDNA)
            raise Permanent(Reason.MEDIA_UNREACHABLE, f"not the address of a file: {error}"[:300]) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error.__cause__, _PrivateAddress):
                raise Permanent(Reason.MEDIA_UNREACHABLE, str(error.__cause__)) from error
            raise Retry(f"the file could not be fetched: {type(error).__name__}") from error

    def _web(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=self._guard), timeout=TIMEOUT, auto_decompress=False
            )
        return self._session


class _PrivateAddress(OSError):
    """A name that leads into our own network."""


class _Guard(AbstractResolver):
    """Names to addresses, but never to private ones: a link in a message must not reach into our own network."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._allowed = frozenset(hosts)
        self._resolver: ThreadedResolver | None = None

    def permits(self, url: str) -> bool:
        """Say whether the host of a URL, if it is written as an address, may be asked."""
        host = urlsplit(url).hostname or ""
        if host in self._allowed:
            return True
        try:
            return ip_address(host).is_global
        except ValueError:
            return bool(host)  # a name: looked at when it is resolved

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``. Raises ``_PrivateAddress``."""
        if self._resolver is None:
            self._resolver = ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        if host not in self._allowed and not all(ip_address(each["host"]).is_global for each in found):
            raise _PrivateAddress("a link to a private address")
        return found

    async def close(self) -> None:
        """Nothing is held open."""


def _is_web(url: str) -> bool:
    try:
        split = urlsplit(url)
    except ValueError:
        return False
    return split.scheme in {"http", "https"} and bool(split.hostname)


def _refused_slot(error: StanzaError) -> Retry | Permanent:
    if error.kind == "wait":
        return Retry(str(error))
    if error.condition == "not-acceptable":
        return Permanent(Reason.MEDIA_TOO_LARGE, str(error))
    return Permanent(Reason.MEDIA_REFUSED, str(error))


async def _read(spool: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(spool.read, CHUNK):
        yield chunk
