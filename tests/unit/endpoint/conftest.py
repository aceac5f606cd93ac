from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.endpoint.house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Two networks, sea and sky, and a router between them."""
    built = House(tmp_path, "sea", "sky")
    await built.open_hub()
    yield built
    await built.stop()
