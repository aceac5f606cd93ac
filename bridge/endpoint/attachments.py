"""The journey of an attachment: fetched where it lies, sealed, stored with the router; fetched there and opened again.

Only ciphertext is ever stored with the router or written to a disk here, and nobody is given a plaintext octet before
all of it is proven genuine. A file that is small stays in memory; a larger one lies, sealed, in a folder that only its
owner may read, and all of them together have a limit.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit

import aiohttp
import structlog
from msgspec import structs

from adapters.contract import Adapter, Media, Outcome, Permanent, Reason, Retry, SignedOut, Throttled
from bridge.endpoint.context import Context
from bridge.endpoint.settings import EndpointSettings
from bridge.router.contract import BlobTooLarge, Router, RouterUnavailable
from protocol import attachment
from protocol.attachment import AttachmentError, Opener, Sealer, TooLarge
from protocol.content import ExternalPart, MultiPart, Part

_RETRY_S = (0.5, 60.0)

log = structlog.get_logger(__name__)


class MediaFailure(Exception):
    """A file cannot be had; ``reason`` is one of ``Reason``."""

    def __init__(self, reason: str, text: str, words: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.words = words
        """What people may be told of it; '' for the usual words of the reason."""


class SpoolFull(Exception):
    """All that may lie in files for a moment lies there: it is tried again."""


def has_files(part: Part) -> bool:
    """Whether a part as an adapter gives it has files that must be fetched and sealed."""
    if isinstance(part, MultiPart):
        return any(map(has_files, part.parts))
    return isinstance(part, ExternalPart) and not part.enc_alg


class Attachments:
    """Seals what comes from the network, opens what goes to it."""

    def __init__(self, context: Context, settings: EndpointSettings, adapter: Adapter[Any], router: Router) -> None:
        self._context = context
        self._limits = settings.media
        self._prefix = f"https://{settings.domain}/proxyDownload/"
        self._adapter = adapter
        self._router = router
        self._session: aiohttp.ClientSession | None = None
        self._fetching = asyncio.Semaphore(settings.media.parallel)
        self._spooled = 0

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()

    # --- from the network ---------------------------------------------------------------------------------------------

    async def seal_all(self, part: Part, *, since: int) -> Part:
        """Return ``part`` with every file sealed and stored; a link is tried for minutes, never for hours.

        ``since`` is when the message came, in milliseconds. Raises ``MediaFailure``, whatever went wrong.
        """
        if isinstance(part, MultiPart):
            inner = [await self.seal_all(one, since=since) for one in part.parts]
            return structs.replace(part, parts=tuple(inner))
        if not isinstance(part, ExternalPart) or part.enc_alg:
            return part
        age_ms = 1000 * (self._limits.link_age if is_link(part.url) else self._limits.file_age)
        backoff = self._context.backoff(*_RETRY_S)
        while True:
            try:
                async with self._fetching:
                    return await self._seal(part)
            except Exception as error:
                failure = permanent(error)
                if failure is not None:
                    raise failure from error
                if self._context.clock() - since >= age_ms:
                    text = "the file could not be fetched in time"
                    raise MediaFailure(Reason.MEDIA_UNREACHABLE, text) from error
                log.info("file not fetched yet", error=type(error).__name__, why=str(error))
                asked = error.after if isinstance(error, Retry | Throttled) else None
                left = max(0.0, (since + age_ms - self._context.clock()) / 1000)
                await self._context.sleep(min(backoff.next(asked), left))

    async def _seal(self, part: ExternalPart) -> ExternalPart:
        sealer = Sealer.generate(self._context.random, limit=self._limits.largest)
        with self._spool() as spool:
            async with self._context.timeout(self._limits.timeout):
                await attachment.seal(self._fetch(part), spool, sealer)
            spool.seek(0)
            name = await self._router.put_blob(_chunks(spool))
        return sealer.part(
            part.content_type,
            self._prefix + name,
            description=part.description,
            filename=part.filename,
            disposition=part.disposition,
            language=part.language,
        )

    async def _fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        if part.url.startswith("data:"):
            yield _inline(part.url)
            return
        if is_link(part.url):
            check_host(part.url)
        fetched = self._adapter.fetch(part) if isinstance(self._adapter, Media) else self._download(part.url)
        async for chunk in fetched:
            yield chunk

    async def _download(self, url: str) -> AsyncIterator[bytes]:
        if not is_link(url):
            raise Permanent(Reason.MEDIA_UNREACHABLE, "a file that is neither on the web nor in the message")
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_connect=15, sock_read=30))
        async with self._session.get(url) as response:
            if response.status in (408, 425, 429) or response.status >= 500:
                raise Retry(f"HTTP {response.status}")
            if response.status != 200:
                raise Permanent(Reason.MEDIA_UNREACHABLE, f"the file's server answers {response.status}")
            if (response.content_length or 0) > self._limits.largest:
                raise TooLarge(f"a file of {response.content_length} octets; {self._limits.largest} are allowed")
            async for chunk in response.content.iter_chunked(attachment.CHUNK_OCTETS):
                yield chunk

    # --- to the network -----------------------------------------------------------------------------------------------

    async def open(self, part: ExternalPart) -> AsyncIterator[bytes]:
        """Stream the plaintext of a part of a delivery, proven before its first octet.

        Raises ``Permanent`` if it cannot be opened, ``Retry`` if it cannot be fetched just now.
        """
        try:
            opener = Opener(part, limit=self._limits.largest)
            with self._spool() as spool:
                async for chunk in attachment.unseal(self._stored(part), spool, opener):
                    yield chunk
        except TooLarge as error:
            raise Permanent(Reason.MEDIA_TOO_LARGE, str(error)) from error
        except AttachmentError as error:
            raise Permanent(Reason.MEDIA_UNREACHABLE, f"the attachment cannot be opened: {error}") from error
        except KeyError as error:
            raise Permanent(Reason.ATTACHMENT_LOST, "the attachment is no longer there") from error
        except ValueError as error:  # a link that no library can make sense of
            raise Permanent(Reason.MEDIA_UNREACHABLE, f"the attachment's link is none: {error}") from error
        except (RouterUnavailable, aiohttp.ClientError, SpoolFull, OSError) as error:  # TimeoutError is an OSError
            raise Retry(f"the attachment cannot be fetched: {error}") from error

    def _stored(self, part: ExternalPart) -> AsyncIterator[bytes]:
        if part.url.startswith("data:"):
            return _once(_inline(part.url))
        if part.url.startswith(self._prefix):
            return self._router.get_blob(part.url.removeprefix(self._prefix))
        return self._download(part.url)

    @contextmanager
    def _spool(self) -> Iterator[_Spool]:
        with tempfile.SpooledTemporaryFile(max_size=self._limits.spool, dir=self._limits.folder or None) as file:
            spool = _Spool(file, self._grow)
            try:
                yield spool
            finally:
                self._spooled -= spool.size

    def _grow(self, octets: int) -> None:
        """Note that more lies in spools. Raises ``SpoolFull`` if it would be too much in all."""
        if self._spooled + octets > self._limits.spooled:
            raise SpoolFull(f"more than {self._limits.spooled} octets of attachments are on their way")
        self._spooled += octets


class _Spool:
    """A temporary file whose octets are counted."""

    def __init__(self, file: IO[bytes], grow: Any) -> None:  # noqa: ANN401
        self._file = file
        self._grow = grow
        self.size = 0

    def write(self, data: bytes, /) -> object:
        """Append ``data``. Raises ``SpoolFull``."""
        self._grow(len(data))
        self.size += len(data)
        return self._file.write(data)

    def read(self, size: int, /) -> bytes:
        """Return the next octets, at most ``size``; none at the end."""
        return self._file.read(size)

    def seek(self, offset: int, /) -> object:
        """Go to ``offset``."""
        return self._file.seek(offset)


def is_link(url: str) -> bool:
    """Whether it is a link into the web, which a person could follow too."""
    return url.startswith(("https://", "http://"))


def check_host(url: str) -> None:
    """Check that a link's host can be a name or an address at all (RFC 1035 §2.3.4). Raises ``Permanent``.

    Resolvers answer a name that none can be in as many ways as there are resolvers, some of them as if it were for now.
    """
    try:
        host = urlsplit(url).hostname or ""
        if ":" not in host:
            host.encode("idna")
    except ValueError as error:  # UnicodeError is one
        raise Permanent(Reason.MEDIA_UNREACHABLE, f"a link that leads nowhere: {error}") from error
    if not host.strip("."):
        raise Permanent(Reason.MEDIA_UNREACHABLE, "a link without a host")


def permanent(error: Exception) -> MediaFailure | None:
    """Return the failure that an error at fetching is for good; None if it may be over at the next attempt.

    Whatever a fetch may raise is one or the other: a link that ``urllib``, ``idna``, ``ssl`` or aiohttp cannot make
    sense of (their errors are ``ValueError``) will not become better, a network that fails may.
    """
    match error:
        case TooLarge() | BlobTooLarge():
            return MediaFailure(Reason.MEDIA_TOO_LARGE, str(error), str(error))
        case Permanent():
            return MediaFailure(error.reason, str(error))
        case ssl.SSLCertVerificationError():
            return MediaFailure(Reason.MEDIA_UNREACHABLE, "the file's server has no valid certificate")
        case ValueError():  # also UnicodeError and aiohttp.InvalidURL
            return MediaFailure(Reason.MEDIA_UNREACHABLE, f"a link that leads nowhere: {error}")
        case SignedOut() | Outcome() | RouterUnavailable() | aiohttp.ClientError() | SpoolFull() | OSError():
            return None  # TimeoutError is an OSError
        case _:
            log.error("a defect: fetching a file", exc_info=error)
            return MediaFailure(Reason.MEDIA_UNREACHABLE, f"{type(error).__name__} while it was fetched")


async def _once(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


async def _chunks(file: _Spool) -> AsyncIterator[bytes]:
    while chunk := file.read(attachment.CHUNK_OCTETS):
        yield chunk


def _inline(url: str) -> bytes:
    """Return the octets of a ``data:`` URL (RFC 2397). Raises ``Permanent``."""
    head, comma, data = url.partition(",")
    if not comma:
        raise Permanent(Reason.MEDIA_UNREACHABLE, "a data URL without data")
    octets = unquote_to_bytes(data)
    if not head.endswith(";base64"):
        return octets
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error as error:
        raise Permanent(Reason.MEDIA_UNREACHABLE, f"a data URL that is not base64: {error}") from error
