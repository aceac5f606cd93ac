"""Reading the multipart body of an upload, in whatever order its parts come."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import BodyPartReader, hdrs, web

from adapters.business.errors import BadParameter, MediaRefused
from adapters.business.files import ANYTHING, File, bare, size_limit
from adapters.business.media import UPLOAD_LIFETIME, Incoming, MediaStore
from protocol.content import repaired

_FIELD_OCTETS: Final = 4096
_MOST_PARTS: Final = 16
_CHUNK: Final = 64 << 10


class Upload:
    """One upload to the number ``owner``: the fields that have come so far, and the file."""

    def __init__(self, media: MediaStore, owner: str, limit: int) -> None:
        self._media = media
        self._owner = owner
        self._limit = limit
        self._fields: dict[str, str] = {}
        self._parts = 0
        self._file: Incoming | None = None
        self._stated = ""
        self._name = ""

    async def read(self, request: web.Request) -> File:
        """Read the request and keep its file. Raises a ``BusinessError``; nothing stays then."""
        if request.content_type != "multipart/form-data":
            raise BadParameter("the body is not multipart/form-data")
        try:
            try:
                reader = await request.multipart()
                while (part := await reader.next()) is not None:
                    await self._take(part)
            except (ValueError, RuntimeError, AssertionError) as error:
                raise BadParameter(f"the multipart body is malformed: {error}") from error
            return await self._keep()
        except BaseException:
            if self._file is not None:
                self._file.discard()
            raise

    async def _take(self, part: object) -> None:
        if not isinstance(part, BodyPartReader):
            raise BadParameter("a multipart body within the multipart body")
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise BadParameter(f"more than {_MOST_PARTS} parts")
        if part.name != "file":
            self._fields[part.name or ""] = (await _field(part)).decode(errors="replace")
            return
        if self._file is not None:
            raise BadParameter("file: there are two")
        self._stated = part.headers.get(hdrs.CONTENT_TYPE, "")
        self._name = repaired(part.filename or "")[:240]  # it may be in any encoding
        self._file = await self._media.receive(_chunks(part), self._limit)

    async def _keep(self) -> File:
        if self._fields.get("messaging_product") != "whatsapp":
            raise BadParameter("messaging_product: must be 'whatsapp'")
        if self._file is None:
            raise BadParameter("file: is missing")
        stated = self._fields.get("type", "")
        mime = bare(stated)
        if stated and not mime:
            raise BadParameter("type: is not a media type")
        mime = mime or bare(self._stated) or ANYTHING
        if mime == ANYTHING:
            mime = mimetypes.guess_type(self._name)[0] or ANYTHING
        if self._file.size > size_limit(mime):
            raise MediaRefused(f"{mime}: {self._file.size} octets, where {size_limit(mime)} are allowed")
        return await self._media.keep(
            self._file, mime=mime, owner=self._owner, lifetime=UPLOAD_LIFETIME, name=self._name
        )


async def _field(part: BodyPartReader) -> bytes:
    value = bytearray()
    async for chunk in _chunks(part):
        value += chunk
        if len(value) > _FIELD_OCTETS:
            raise BadParameter(f"{part.name}: more than {_FIELD_OCTETS} octets")
    return bytes(value)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK):
        yield chunk
