"""Attachments' ciphertext: opaque files, each named by its SHA-256, written whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import IO

from bridge.router.contract import BlobTooLarge

_PIECE = 1024 * 1024
_NAME = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """A folder of blobs: each of at most ``limit`` octets, all together of at most ``total``.

    Memory use does not depend on their size; file work happens outside the event loop.
    """

    def __init__(self, folder: Path, limit: int, total: int) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._limit = limit
        self._total = total
        self._held = 0
        self._coming = 0  # octets of what is being stored

    def open(self) -> None:
        """Make the folder and throw away what an earlier process left half-written."""
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        self._held = sum(path.stat().st_size for path in self._folder.glob("??/*"))

    async def put(self, blob: AsyncIterator[bytes], room: int) -> tuple[str, int]:
        """Store a stream; return its name and size. It is durable then.

        Raises ``BlobTooLarge``, also if it has more than ``room`` octets or than there is room for.
        """
        file = _create(self._incoming)  # here and not in a thread: a cancelled caller would leave the file behind
        size = 0
        digest = hashlib.sha256()
        try:
            async for piece in _pieces(blob):
                size += len(piece)
                self._coming += len(piece)
                self._check_room(size, room)
                await asyncio.to_thread(_append, file, piece, digest)
            name = digest.hexdigest()
            known = await asyncio.to_thread(self._path(name).exists)
            await asyncio.to_thread(_keep, file, self._path(name))
            self._held += 0 if known else size
        except BaseException:
            _discard(file)
            raise
        finally:
            self._coming -= size
        return name, size

    def _check_room(self, size: int, room: int) -> None:
        if size > self._limit:
            raise BlobTooLarge(f"an attachment of over {self._limit} octets")
        if size > room:
            raise BlobTooLarge("all attachments of this endpoint together would be over its limit")
        if self._held + self._coming > self._total:
            raise BlobTooLarge(f"all attachments together would be over {self._total} octets")

    async def get(self, name: str) -> AsyncGenerator[bytes]:
        """Stream a blob. Raises ``KeyError`` if there is none of that name."""
        file = await asyncio.to_thread(self.open_blob, name)
        with file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece

    def open_blob(self, name: str) -> IO[bytes]:
        """Open a blob for reading. Raises ``KeyError``; a name that is none can never become a path."""
        if not _NAME.fullmatch(name):
            raise KeyError(name)
        try:
            return self._path(name).open("rb")
        except FileNotFoundError:
            raise KeyError(name) from None

    async def prune(self, older_than: int) -> int:
        """Delete blobs stored more than ``older_than`` milliseconds ago; return how many."""
        count, freed = await asyncio.to_thread(self._prune, time.time() - older_than / 1000)
        self._held -= freed
        return count

    def _prune(self, before: float) -> tuple[int, int]:
        count, freed = 0, 0
        for path in self._folder.glob("??/*"):
            status = path.stat()
            if status.st_mtime < before:
                path.unlink()
                freed += status.st_size
                count += 1
        return count, freed

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name


async def _pieces(blob: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Join small chunks into pieces worth a trip to another thread."""
    piece = bytearray()
    async for chunk in blob:
        piece += chunk
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _create(folder: Path) -> IO[bytes]:
    descriptor, name = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    return Path(name).open("wb")


def _append(file: IO[bytes], piece: bytes, digest: hashlib._Hash) -> None:
    digest.update(piece)
    file.write(piece)


def _discard(file: IO[bytes]) -> None:
    file.close()
    Path(file.name).unlink(missing_ok=True)


def _keep(file: IO[bytes], path: Path) -> None:
    """Make the file durable, then its name. The same blob stored again only counts as younger."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    path.parent.mkdir(exist_ok=True, mode=0o700)
    Path(file.name).replace(path)
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
