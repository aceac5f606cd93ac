"""Private keys of KeyPackages do not stay for ever."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.settings import EndpointSettings
from protocol.uri import namespace
from tests.unit.endpoint.house import DOMAIN, KEY

DAY = 86_400_000


class Shelf:
    """What a router keeps of one endpoint's KeyPackages."""

    def __init__(self) -> None:
        self.unclaimed = 0
        self.last_resorts: list[bytes] = []

    async def publish(self, packages: list[bytes] | tuple[()], last_resort: bytes | None = None) -> int:
        self.unclaimed += len(packages)
        if last_resort is not None and last_resort not in self.last_resorts:
            self.last_resorts.append(last_resort)
        return self.unclaimed


async def test_keys_that_were_replaced_or_have_expired_are_deleted_here_and_in_the_ledger(tmp_path: Path) -> None:
    ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", Sealer(KEY, os.urandom))
    time = [1_800_000_000_000]
    keys = Keys(ledger, lambda: time[0], os.urandom)
    await keys.load(EndpointSettings(name="sea", domain=DOMAIN, network="sea", namespaces=(namespace(DOMAIN, "sea"),)))
    shelf = Shelf()
    await keys.publish(shelf)  # type: ignore[arg-type]
    assert len(keys.bundles) == 25
    first = set(keys.bundles)

    time[0] += 31 * DAY
    await keys.publish(shelf)  # type: ignore[arg-type]
    assert len(shelf.last_resorts) == 2
    assert len(keys.bundles) == 26, "a Welcome for the one that was replaced may be on its way"
    time[0] += 8 * DAY
    await keys.publish(shelf)  # type: ignore[arg-type]
    assert len(keys.bundles) == 25
    assert len(first - set(keys.bundles)) == 1

    shelf.unclaimed = 0
    for _ in range(12):
        time[0] += 30 * DAY + 1000
        shelf.unclaimed = 0
        await keys.publish(shelf)  # type: ignore[arg-type]
        assert len(keys.bundles) <= 25 * 5, "what has expired goes"
    assert not first & set(keys.bundles)
    stored = await ledger.scan("key-package")
    assert {bytes.fromhex(name) for name, _ in stored} == {bundle.ref for bundle in keys.bundles}
    await ledger.close()
