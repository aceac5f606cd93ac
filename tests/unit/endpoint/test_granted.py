"""Grants in the life of an endpoint: come to an old ledger, changed with the configuration, renewed by another key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.contract import Direct
from bridge.authority import Granting, OperatorAuthority
from bridge.endpoint.errors import LedgerError
from bridge.errors import NotGrantedError
from protocol.grant import public_of
from protocol.leg import LegClass
from protocol.mls.leafext import grant_of
from tests.unit.endpoint.house import DOMAIN, House, now, until


@pytest.fixture
async def granted(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, "sea", "sky")
    house.found_authority(os.urandom(32))
    await house.open_hub()
    yield house
    await house.stop()


def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


def leaves(house: House, name: str) -> list[int]:
    """The numbers of the grants in the leaves of an endpoint's room; 0 for a leaf that has none."""
    (room,) = house.endpoints[name].rooms
    found = [grant_of(leaf.content.extensions) for _, leaf in room.held.view.tree.leaves()]
    return [0 if signed is None else signed.grant.number for signed in found]


async def restart(house: House) -> None:
    """Stop everything and start it with what the house says now."""
    await house.stop()
    await house.open_hub()
    await house.start()


async def test_a_ledger_from_before_grants_starts_goes_on_and_is_granted_as_it_speaks(tmp_path: Path) -> None:
    house = House(tmp_path, "sea", "sky")
    await house.open_hub()
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here(house), "before", "m1")
    await until(lambda: sky.taken)
    sky.say(there(house), "yes", "n1")
    await until(lambda: sea.taken)
    before = house.endpoints["sea"].keys.identity.public
    house.found_authority(os.urandom(32))
    await restart(house)
    assert house.endpoints["sea"].keys.identity.public == before, "the signature key outlives its grants"
    assert all(room.held_for == "" for name in house.names for room in house.endpoints[name].rooms)
    sea.say(here(house), "after", "m2")
    await until(lambda: len(sky.taken) == 2)
    sky.say(there(house), "and still", "n2")
    await until(lambda: len(sea.taken) == 2)
    await until(lambda: 0 not in leaves(house, "sea"))
    fresh = house.direct("sea", "carla", "sky", "bert")
    sea.say(fresh, "by a new key package", "m3", sender="carla")
    await until(lambda: len(sky.taken) == 3)
    await house.stop()


async def test_without_any_grace_an_old_room_is_held_until_its_members_have_their_grants(tmp_path: Path) -> None:
    house = House(tmp_path, "sea", "sky")
    await house.open_hub()
    await house.start()
    house.networks["sea"].say(here(house), "before", "m1")
    await until(lambda: house.networks["sky"].taken)
    house.found_authority(os.urandom(32))
    await house.stop()
    await house.open_hub()
    await house.make("sea", grace=0).start()
    room = next(iter(house.endpoints["sea"].rooms))
    assert room.held_for
    house.networks["sea"].say(here(house), "after", "m2")
    await house.make("sky", grace=0).start()
    await until(lambda: len(house.networks["sky"].taken) == 2)
    assert not room.held_for
    await house.stop()


async def test_leg_and_namespaces_of_the_leaf_follow_the_configuration(granted: House) -> None:
    await granted.start()
    sea, sky = granted.networks["sea"], granted.networks["sky"]
    sea.say(here(granted), "hello", "m1")
    await until(lambda: sky.taken)
    await granted.endpoints["sea"].stop()
    await granted.make("sea", leg=LegClass.PROVIDER).start()
    assert granted.endpoints["sea"].keys.identity.leg.leg is LegClass.PROVIDER
    sea.say(here(granted), "from a worse leg", "m2")
    await until(lambda: len(sky.taken) == 2)
    (summary,) = await granted.endpoints["sky"].operator.room_summaries()
    assert summary.assurance is LegClass.PROVIDER
    assert summary.held_for == ""


async def test_the_authoritys_key_is_rotated_in_traffic_and_no_message_is_lost(granted: House) -> None:
    await granted.start()
    sea, sky = granted.networks["sea"], granted.networks["sky"]
    said: list[str] = []
    done = asyncio.Event()

    async def talk() -> None:
        while not done.is_set():
            number = len(said)
            said.append(str(number))
            sea.say(here(granted), str(number), f"m{number}")
            sky.say(there(granted), str(number), f"n{number}")
            await asyncio.sleep(0.03)

    talking = asyncio.create_task(talk())
    await until(lambda: sky.taken and sea.taken)
    old, new = granted.private, os.urandom(32)
    steps = [(old, (old, new)), (new, (new, old)), (new, (new,))]
    for private, believed in steps:
        granted.private, granted.believed = private, tuple(map(public_of, believed))
        heard = min(len(sky.taken), len(sea.taken))
        await restart(granted)
        await until(lambda: min(len(sky.taken), len(sea.taken)) > heard + 5)  # noqa: B023 - waited for here
    done.set()
    await talking
    await until(lambda: len(sky.taken) >= len(said) and len(sea.taken) >= len(said))
    assert sky.texts() == sea.texts() == said
    assert all(room.held_for == "" for name in granted.names for room in granted.endpoints[name].rooms)


async def test_who_was_idle_while_the_key_was_rotated_renews_its_leaf_and_is_heard_again(granted: House) -> None:
    await granted.start()
    sea, sky = granted.networks["sea"], granted.networks["sky"]
    sea.say(here(granted), "hello", "m1")
    await until(lambda: sky.taken)
    granted.found_authority(os.urandom(32))  # at once, which no operator should do
    await restart(granted)
    sea.say(here(granted), "again", "m2")
    await until(lambda: len(sky.taken) == 2)
    sky.say(there(granted), "yes", "n1")
    await until(lambda: sea.taken)
    assert all(room.held_for == "" for name in granted.names for room in granted.endpoints[name].rooms)


async def test_an_endpoint_without_a_grant_says_what_to_run_and_goes_on_with_the_one_it_is_brought(
    granted: House, tmp_path: Path
) -> None:
    judge = OperatorAuthority(granted.believed, DOMAIN, now)
    apart = Granting(judge, tmp_path / "grants", now)
    endpoint = granted.make("sea")
    endpoint._granter = apart
    with pytest.raises(NotGrantedError) as found:
        await endpoint.start()
    await endpoint.stop()
    fingerprint = endpoint.keys.identity.public
    assert "rialto key admit sea " in str(found.value)
    assert str(tmp_path / "grants" / "sea") in str(found.value)
    again = granted.make("sea")
    await again.start()
    assert again.keys.identity.public == fingerprint, "what was said of the key is still true of it"


async def test_another_endpoints_ledger_is_not_taken_for_ones_own(granted: House) -> None:
    await granted.start("sea")
    await granted.endpoints["sea"].stop()
    (granted.folder / "sea.db").rename(granted.folder / "sky.db")
    for suffix in ("-wal", "-shm"):
        (granted.folder / f"sea.db{suffix}").unlink(missing_ok=True)
    with pytest.raises(LedgerError, match="d/sea"):
        await granted.make("sky").start()


async def test_replaced_and_expired_key_packages_lose_their_private_keys(granted: House) -> None:
    """Four months of an endpoint that is never invited: it holds what others may claim, and a little more."""
    at = now()
    granted.hub.clock = lambda: at
    endpoint = granted.make("sea", clock=lambda: at)
    await endpoint.start()
    await until(lambda: len(endpoint.keys.bundles) >= 25)
    first = {bundle.ref for bundle in endpoint.keys.bundles}
    for _ in range(15):
        at += 8 * 86_400_000
        await endpoint.keys.publish(endpoint._router)
    assert first.isdisjoint(bundle.ref for bundle in endpoint.keys.bundles)
    assert len(endpoint.keys.bundles) <= 51
    stored = await endpoint.ledger.scan("key-package")
    assert len(stored) == len(endpoint.keys.bundles)
