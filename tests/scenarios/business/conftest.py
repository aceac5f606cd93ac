"""The stage of these scenarios."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.business.host import Host
from tests.scenarios.business.receiver import Receiver
from tests.scenarios.business.shop import Shop


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with Host(tmp_path) as host:
        yield host


@pytest.fixture
async def shop(host: Host) -> AsyncIterator[Shop]:
    """A pywa bot whose callback is registered."""
    async with Shop(host.url) as shop:
        yield shop


@pytest.fixture
async def receiver(host: Host) -> AsyncIterator[Receiver]:
    """A bare program whose callback is registered."""
    async with Receiver(host.url) as receiver:
        assert await receiver.register() == (200, {"success": True})
        yield receiver
