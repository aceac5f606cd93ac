"""A recording relay: every octet that passes between the endpoints and the router, in both directions, in one file."""

from __future__ import annotations

import asyncio
from pathlib import Path


class Recorder:
    """Listens on ``port`` of 127.0.0.1, passes everything to ``target`` and back, and keeps a copy in ``record``."""

    def __init__(self, port: int, target: int, record: Path) -> None:
        self.port, self.target, self.record = port, target, record
        self._server: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start to listen."""
        self._file = self.record.open("ab", buffering=0)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Stop, and let what is under way end."""
        if self._server is not None:
            self._server.close()
            for relay in self._relays:
                relay.cancel()
            await asyncio.gather(*self._relays, return_exceptions=True)
            await self._server.wait_closed()
            self._file.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._relay(reader, there_writer))
                group.create_task(self._relay(there_reader, writer))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            pass  # one side has gone, or the relay ends: the other side learns it by the close below
        finally:
            writer.close()
            self._relays.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self._file.write(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
