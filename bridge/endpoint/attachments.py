"""The journey of an attachment: fetched where it lies, sealed, stored with the router; fetched there and opened again.

Only ciphertext is ever stored with the router, and nobody is given a plaintext octet before all of it is proven
genuine. Files are streamed through a temporary file; a small one stays in memory.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import IO, Any
from urllib.parse import unquote_to_bytes

import aiohttp
import structlog
from msgspec import structs

from adapters.contract import Adapter, Media, Permanent, Reason, Retry
from bridge.endpoint.settings import EndpointSettings
from bridge.router.contract import BlobTooLarge, Router, RouterUnavailable
from protocol import attachment
from protocol.attachment import AttachmentError, Opener, Sealer, TooLarge
from protocol.content import ExternalPart, MultiPart, Part

Clock = Callable[[], int]
Random = Callable[[int], bytes]

_RETRY_S = (0.5, 60.0)

log = structlog.get_logger(__name__)


class MediaFailure(Exception):
    """A file cannot be had; ``reason`` is one of ``Reason``."""

    def __init__(self, reason: str, text: str, words: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.words = words
        """What people may be told of it; '' for the usual words of the reason."""


def has_files(part: Part) -> bool:
    """Whether a part as an adapter gives it has files that must be fetched and sealed."""
    if isinstance(part, MultiPart):
        return any(map(has_files, part.parts))
    return isinstance(part, ExternalPart) and not part.enc_alg


class Attachments:
    """Seals what comes from the network, opens what goes to it."""

    def __init__(
        self, settings: EndpointSettings, adapter: Adapter[Any], router: Router, *, clock: Clock, random: Random
    ) -> None:
        self._limits = settings.media
        self._age_ms = int(settings.retry.age * 1000)
        self._prefix = f"https://{settings.domain}/proxyDownload/"
        self._adapter = adapter
        self._router = router
        self._clock = clock
        self._random = random
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()

    # --- from the network ---------------------------------------------------------------------------------------------

    async def seal_all(self, part: Part, *, since: int) -> Part:
        """Return ``part`` with every file sealed and stored; tries until the message is too old.

        ``since`` is when the message came, in milliseconds. Raises ``MediaFailure``.
        """
        if isinstance(part, MultiPart):
            inner = [await self.seal_all(one, since=since) for one in part.parts]
            return structs.replace(part, parts=tuple(inner))
        if not isinstance(part, ExternalPart) or part.enc_alg:
            return part
        pause = _RETRY_S[0]
        while True:
            try:
                return await self._seal(part)
            except (TooLarge, BlobTooLarge) as error:
                raise MediaFailure(Reason.MEDIA_TOO_LARGE, str(error), str(error)) from error
            except Permanent as outcome:
                raise MediaFailure(outcome.reason, str(outcome)) from outcome
            except (Retry, RouterUnavailable, aiohttp.ClientError, TimeoutError, OSError) as error:
                if self._clock() - since > self._age_ms:
                    raise MediaFailure(Reason.MEDIA_UNREACHABLE, "the file could not be fetched in time") from error
                after = error.after if isinstance(error, Retry) else None
                log.info("file not fetched yet", error=type(error).__name__, text=str(error))
                await asyncio.sleep(after or pause)
                pause = min(2 * pause, _RETRY_S[1])

    async def _seal(self, part: ExternalPart) -> ExternalPart:
        sealer = Sealer.generate(self._random, limit=self._limits.largest)
        with self._spool() as spool:
            async with asyncio.timeout(self._limits.timeout):
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
        fetched = self._adapter.fetch(part) if isinstance(self._adapter, Media) else self._download(part.url)
        async for chunk in fetched:
            yield chunk

    async def _download(self, url: str) -> AsyncIterator[bytes]:
        if not url.startswith(("https://", "http://")):
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
        except (RouterUnavailable, aiohttp.ClientError, TimeoutError) as error:
            raise Retry(f"the attachment cannot be fetched: {error}") from error

    def _stored(self, part: ExternalPart) -> AsyncIterator[bytes]:
        if part.url.startswith("data:"):
            return _once(_inline(part.url))
        if part.url.startswith(self._prefix):
            return self._router.get_blob(part.url.removeprefix(self._prefix))
        return self._download(part.url)

    def _spool(self) -> IO[bytes]:
        return tempfile.SpooledTemporaryFile(max_size=self._limits.spool)


async def _once(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
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
