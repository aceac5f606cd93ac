"""An account's store in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence


class MemoryStore:
    """Keeps everything in a dictionary and counts what was written."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.writes = 0

    async def get(self, key: str) -> bytes | None:
        return self.rows.get(key)

    async def put(self, key: str, value: bytes) -> None:
        self.writes += 1
        self.rows[key] = value

    async def delete(self, key: str) -> None:
        self.rows.pop(key, None)

    async def scan(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        return sorted(item for item in self.rows.items() if item[0].startswith(prefix))
