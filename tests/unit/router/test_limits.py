"""All attachments together are bounded; ``test_bounds`` tells of what else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.router.blobs import BlobStore
from bridge.router.contract import BlobTooLarge


async def octets(count: int, filler: bytes = b"x") -> AsyncIterator[bytes]:
    yield filler * count


async def test_all_attachments_together_have_a_bound_that_a_restart_remembers(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, limit=100, total=250)
    store.open()
    await store.put(octets(100), room=1000)
    await store.put(octets(100), room=1000)  # the same one: it is kept once
    await store.put(octets(100, b"z"), room=1000)
    with pytest.raises(BlobTooLarge, match="all attachments together would be over 250"):
        await store.put(octets(100, b"y"), room=1000)
    again = BlobStore(tmp_path, limit=100, total=250)
    again.open()
    with pytest.raises(BlobTooLarge, match="together"):
        await again.put(octets(100, b"y"), room=1000)
    assert await again.prune(-60_000) == 2
    await again.put(octets(100, b"y"), room=1000)
