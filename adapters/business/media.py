"""Files on their way: what the business uploads until it is sent, and what customers send until it is fetched.

A file is its bytes (``<id>``) and a record (``<id>.json``) in one folder; the record is put there last, so what has one
is whole. Ids are digits. A customer's file gets an id that is derived from the delivery, the same at every attempt.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from io import BufferedWriter
from pathlib import Path
from typing import Final

import msgspec

from adapters.business.errors import MediaRefused
from adapters.business.files import File

UPLOAD_LIFETIME: Final = 30 * 86_400_000
"""Milliseconds for which the business's uploads are kept."""
CUSTOMER_LIFETIME: Final = 7 * 86_400_000
"""Milliseconds for which customers' files are kept."""
LINK_LIFETIME: Final = 86_400_000
"""Milliseconds for which a file that was fetched from a link is kept."""
_CHUNK: Final = 64 << 10
_SWEEP_EVERY: Final = 3_600_000
_ID = re.compile(r"[0-9]{1,32}")


class MediaStore:
    """The folder; ``now`` gives the time in milliseconds since 1970."""

    def __init__(self, folder: Path, now: Callable[[], int]) -> None:
        self._folder = folder
        self._now = now
        self._swept = now()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in folder.glob("*.part"):
            leftover.unlink(missing_ok=True)
        self.sweep()

    def get(self, media_id: str) -> File | None:
        """Return the record of a file, unless there is none or its time is over."""
        if not _ID.fullmatch(media_id):
            return None
        try:
            file = msgspec.json.decode(self._record(media_id).read_bytes(), type=File)
        except FileNotFoundError:
            return None
        return file if file.expires > self._now() else None

    def path(self, file: File) -> Path:
        """Return where the bytes of a file are."""
        return self._folder / file.id

    async def read(self, file: File) -> AsyncIterator[bytes]:
        """Stream the bytes of a file. Raises ``FileNotFoundError`` if they were deleted meanwhile."""
        with await asyncio.to_thread(self.path(file).open, "rb") as source:
            while chunk := await asyncio.to_thread(source.read, _CHUNK):
                yield chunk

    async def receive(self, chunks: AsyncIterator[bytes], limit: int) -> Incoming:
        """Take bytes in, up to ``limit`` octets. Raises ``MediaRefused`` if there are more; nothing stays then."""
        if self._now() - self._swept > _SWEEP_EVERY:
            await asyncio.to_thread(self.sweep)
        incoming = Incoming(self._folder / f"{secrets.token_hex(16)}.part", limit)
        try:
            with await asyncio.to_thread(incoming.path.open, "xb") as sink:
                async for chunk in chunks:
                    incoming.add(chunk)
                    sink.write(chunk)
                await asyncio.to_thread(_to_disk, sink)
        except BaseException:
            incoming.discard()
            raise
        return incoming

    async def keep(
        self, incoming: Incoming, *, mime: str, owner: str, lifetime: int, name: str = "", media_id: str = ""
    ) -> File:
        """Keep what was taken in, durably, for ``lifetime`` milliseconds; without an id it gets one at random."""
        file = File(
            id=media_id or self._free_id(),
            mime=mime,
            sha256=incoming.digest.hexdigest(),
            size=incoming.size,
            owner=owner,
            expires=self._now() + lifetime,
            name=name,
        )
        await asyncio.to_thread(self._commit, incoming, file)
        return file

    def delete(self, file: File) -> None:
        """Forget a file."""
        self._record(file.id).unlink(missing_ok=True)
        self.path(file).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Forget the files whose time is over."""
        self._swept = self._now()
        for record in self._folder.glob("*.json"):
            file = msgspec.json.decode(record.read_bytes(), type=File)
            if file.expires <= self._swept:
                self.delete(file)

    def _record(self, media_id: str) -> Path:
        return self._folder / f"{media_id}.json"

    def _free_id(self) -> str:
        while True:
            media_id = str(10**15 + secrets.randbelow(9 * 10**15))
            if not self._record(media_id).exists():
                return media_id

    def _commit(self, incoming: Incoming, file: File) -> None:
        incoming.path.rename(self.path(file))
        draft = self._folder / f"{file.id}.json.part"
        with draft.open("wb") as sink:
            sink.write(msgspec.json.encode(file))
            _to_disk(sink)
        draft.rename(self._record(file.id))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Incoming:
    """Bytes that were taken in, ``limit`` octets at most, and are not kept yet."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self._limit = limit
        self.size = 0
        self.digest = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Count and hash some bytes. Raises ``MediaRefused`` when there are too many."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise MediaRefused(f"the file has more than the {self._limit} octets that are allowed")
        self.digest.update(chunk)

    def discard(self) -> None:
        """Forget them."""
        self.path.unlink(missing_ok=True)


def derived_id(key: str) -> str:
    """Return the id of the file of the delivery with this key."""
    digest = hashlib.sha256(b"rialto business media\0" + key.encode()).digest()
    return str(10**15 + int.from_bytes(digest[:16]) % (9 * 10**15))


def _to_disk(sink: BufferedWriter) -> None:
    sink.flush()
    os.fsync(sink.fileno())
