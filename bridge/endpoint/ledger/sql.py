"""The ledger in a database of ``bridge.storage``: SQLite or PostgreSQL, the same code."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge.endpoint.ledger.contract import Change
from bridge.endpoint.ledger.reads import Reads
from bridge.endpoint.ledger.retention import Keep, prune
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.upgrade import carry_over
from bridge.endpoint.ledger.writes import Writes
from bridge.storage import Database

MIGRATIONS = Path(__file__).parent / "migrations"


class SqlLedger(Reads):
    """``Ledger`` over one database; see the protocol for the meaning of each call."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        super().__init__(database, sealer)
        self._writes = Writes(database.engine.dialect, sealer)

    @classmethod
    async def open(cls, url: str, sealer: Sealer) -> SqlLedger:
        """Open the database at ``url``, at its newest revision. Raises ``StorageError``."""
        database = await Database.open(url, MIGRATIONS)
        try:
            return cls(database, await carry_over(database, sealer))
        except BaseException:
            await database.close()
            raise

    async def close(self) -> None:
        """Commit what is queued and close."""
        await self._database.close()

    @property
    def trouble(self) -> str:
        """Why nothing can be written just now ('' while it can)."""
        return self._database.writer.trouble

    async def prune(self, keep: Keep, now: int) -> int:
        """Forget what is older than ``keep`` says at ``now`` (milliseconds), in bounded pieces; return how much."""
        return await prune(self._database, keep, now)

    def commit(self, change: Change) -> asyncio.Future[None]:
        """Queue the change as one transaction; the future is done when it is durable."""
        return self._database.writer.queue(lambda connection: self._writes.write(connection, change))
