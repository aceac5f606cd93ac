"""What the router bounds: attachments in all, and KeyPackages claimed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.limits import Rate
from bridge.router.blobs import BlobStore
from bridge.router.contract import BlobTooLarge, Refusal, RefusalCode
from bridge.router.hub import Limits
from tests.unit.router.conftest import House
from tests.unit.router.doubles import endpoint


async def octets(count: int, filler: bytes = b"x") -> AsyncIterator[bytes]:
    yield filler * count


async def test_all_attachments_together_have_a_bound_that_a_restart_remembers(tmp_path: Path) -> None:
    store = BlobStore(tmp_path, limit=100, total=250)
    store.open()
    await store.put(octets(100))
    await store.put(octets(100))  # the same one: it is kept once
    await store.put(octets(100, b"z"))
    with pytest.raises(BlobTooLarge, match="all attachments together would be over 250"):
        await store.put(octets(100, b"y"))
    again = BlobStore(tmp_path, limit=100, total=250)
    again.open()
    with pytest.raises(BlobTooLarge, match="together"):
        await again.put(octets(100, b"y"))
    assert await again.prune(-60_000) == 2
    await again.put(octets(100, b"y"))


async def test_who_claims_key_packages_without_end_empties_nobodys_store(tmp_path: Path) -> None:
    house = House.build(tmp_path, limits=Limits(claims=Rate(per_minute=60, burst=3)))
    await house.hub.start()
    answers = [await house.hub.key_material(endpoint("xmpp"), endpoint("matrix")) for _ in range(10)]
    codes = [answer.code for answer in answers if isinstance(answer, Refusal)]
    assert codes.count(RefusalCode.TOO_MANY) == 7
    other = await house.hub.key_material(endpoint("shop"), endpoint("matrix"))
    assert not isinstance(other, Refusal) or other.code is not RefusalCode.TOO_MANY
    house.clock.now += 1_000
    later = await house.hub.key_material(endpoint("xmpp"), endpoint("matrix"))
    assert not isinstance(later, Refusal) or later.code is not RefusalCode.TOO_MANY
    await house.hub.stop()
