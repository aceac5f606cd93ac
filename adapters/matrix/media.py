"""Files in the homeserver's media repository."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import IO, Final

from adapters.contract import Permanent, Reason
from adapters.matrix.client import Client, Rejected, path
from protocol.content import ExternalPart

_CHUNK: Final = 1 << 16
_IN_MEMORY: Final = 1 << 20
_SIZE_UNKNOWN_LIMIT: Final = 50 << 20


class Media:
    """Uploads and downloads. ``max_size`` is the largest upload in octets."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.max_size = _SIZE_UNKNOWN_LIMIT

    async def load(self) -> None:
        """Ask how large an upload may be."""
        try:
            answer = await self._client.call("GET", "/_matrix/client/v1/media/config")
        except Rejected:
            return
        size = answer.get("m.upload.size")
        if isinstance(size, int) and size > 0:
            self.max_size = size

    async def upload(self, ghost: str, part: ExternalPart, content: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store ``content`` as ``ghost``; return its ``mxc://`` URI and its size.

        The length must be said before the first octet, so the whole is read before (to disk, if it is large): then
        what is sent is what was read, and a failure to read it is known for what it is.
        """
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            size = 0
            async for chunk in content:
                size += file.write(chunk)
                if size > self.max_size:
                    raise Permanent(Reason.MEDIA_TOO_LARGE, f"the homeserver takes {self.max_size} octets at most")
            file.seek(0)
            mime = part.content_type.partition(";")[0].strip() or "application/octet-stream"
            try:
                return await self._client.upload(_chunks(file), size, mime, part.filename, ghost), size
            except Rejected as e:
                reason = Reason.MEDIA_TOO_LARGE if e.status == 413 else Reason.MEDIA_REFUSED
                raise Permanent(reason, str(e)) from e

    async def fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        """Stream a file by its ``mxc://`` URI; raises ``Retry`` or ``Permanent``."""
        server, _, name = part.url.removeprefix("mxc://").partition("/")
        if not part.url.startswith("mxc://") or not server or not name:
            raise Permanent(Reason.MEDIA_UNREACHABLE, "not the address of a file on Matrix")
        url = path(server, name, base="/_matrix/client/v1/media/download")
        try:
            async with self._client.download(url) as stream:
                async for chunk in stream.iter_chunked(_CHUNK):
                    yield chunk
        except Rejected as e:
            raise Permanent(Reason.MEDIA_UNREACHABLE, str(e)) from e


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
