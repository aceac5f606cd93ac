"""An adapter's own small state, kept in its endpoint's ledger."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.endpoint.ledger.contract import Change, Ledger

_SPACE = "adapter"


class LedgerStore:
    """``adapters.contract.Store`` over a ledger: sealed, and durable when a call returns."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def get(self, key: str) -> bytes | None:
        """Return the value under ``key``, or None."""
        return await self._ledger.get(_SPACE, key)

    async def put(self, key: str, value: bytes) -> None:
        """Set the value under ``key``."""
        await self._ledger.commit(Change(records=[(_SPACE, key, value)]))

    async def delete(self, key: str) -> None:
        """Forget ``key``."""
        await self._ledger.commit(Change(records=[(_SPACE, key, None)]))

    async def scan(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        """Return all keys with this prefix and their values, in order of the key."""
        return await self._ledger.scan(_SPACE, prefix)
