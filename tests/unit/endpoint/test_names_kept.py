"""What people of an account were named once, they stay: an edited configuration names nobody anew by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.endpoint.errors import MovedError
from bridge.endpoint.ledger.contract import Change
from bridge.endpoint.membership.keys import ENDPOINT
from protocol.uri import namespace
from tests.unit.endpoint.house import DOMAIN, House

TWO = {"address_network": "sky.two", "namespaces": (namespace(DOMAIN, "sky.two"),)}


async def test_an_account_that_had_the_plain_name_keeps_it(tmp_path: Path) -> None:
    house = House(tmp_path, "sky", "sea")
    await house.open_hub()
    try:
        await house.make("sky").start()
        await house.endpoints["sky"].stop()
        moved = house.make("sky", **TWO)
        words = r"named sky~ since .* would be sky.two~: write default = true below \[endpoint.sky\]"
        with pytest.raises(MovedError, match=words):
            await moved.start()
        await moved.stop()
        await house.make("sky").start()
    finally:
        await house.stop()


async def test_a_ledger_of_the_time_before_accounts_has_the_plain_name(tmp_path: Path) -> None:
    house = House(tmp_path, "sky", "sea")
    await house.open_hub()
    try:
        sky = house.make("sky")
        await sky.start()
        await sky.ledger.commit(Change(records=[(ENDPOINT, "address-network", None)]))
        await sky.stop()
        moved = house.make("sky", **TWO)
        with pytest.raises(MovedError):
            await moved.start()
        await moved.stop()
    finally:
        await house.stop()
