"""A ledger brought back from a backup: no key is used twice, and the conversation goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from adapters.contract import Direct
from bridge.endpoint.ledger.contract import State
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from protocol.status import Status
from tests.recorder import Recorder, recording
from tests.unit.endpoint.fake_adapter import EVERYTHING, AskableAdapter, FakeAdapter
from tests.unit.endpoint.house import House, until


@pytest.fixture(autouse=True)
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Whatever any endpoint seals is watched: no key and nonce may come twice."""
    with recording(monkeypatch) as watching:
        yield watching


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


@pytest.fixture
def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


async def back_up(house: House, name: str) -> None:
    """Copy an endpoint's ledger, as a backup at rest would be, and start it again."""
    await house.endpoints[name].stop()
    shutil.copy(house.folder / f"{name}.db", house.folder / f"{name}.backup")
    await house.start(name)


async def bring_back(house: House, name: str, adapter: FakeAdapter | None = None, **changes: Any) -> None:
    """Lose an endpoint's ledger and start it with the copy."""
    await house.endpoints[name].stop()
    for suffix in ("-wal", "-shm"):
        (house.folder / f"{name}.db{suffix}").unlink(missing_ok=True)
    shutil.copy(house.folder / f"{name}.backup", house.folder / f"{name}.db")
    await house.make(name, adapter, **changes).start()


async def talk(house: House, here: Direct, there: Direct, word: str) -> None:
    """Say something both ways, and wait until each has heard that it arrived."""
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, f"{word} up", f"{word}-m")
    sky.say(there, f"{word} down", f"{word}-n")
    await until(lambda: sea.statuses(f"{word}-m") and sky.statuses(f"{word}-n"))


async def back_in(house: House, name: str, number: int) -> None:
    """Wait until an endpoint has come back into its room, which makes the epoch ``number``.

    What is said in the room between its loss and its return is said to keys that nobody has any more.
    """
    await until(lambda: [room.held.epoch for room in house.endpoints[name].rooms if room.group] == [number])


def epoch(house: House, name: str) -> int:
    (room,) = house.endpoints[name].rooms
    return room.held.epoch


@pytest.mark.parametrize("name", ["sea", "sky"])
async def test_after_a_backup_was_brought_back_no_key_is_used_twice(
    house: House, here: Direct, there: Direct, name: str
) -> None:
    await house.start()
    await talk(house, here, there, "before")
    await back_up(house, name)
    for word in ("lost", "too"):
        await talk(house, here, there, word)
    before = epoch(house, name)
    await bring_back(house, name)
    await back_in(house, name, before + 1)
    await talk(house, here, there, "after")
    texts = ["before", "lost", "too", "after"]
    assert house.networks["sky"].texts() == [f"{word} up" for word in texts]
    assert house.networks["sea"].texts() == [f"{word} down" for word in texts]
    await house.endpoints[name].stop()
    await house.start(name)
    await talk(house, here, there, "later")


async def test_an_operator_may_say_what_the_router_cannot_know(house: House, here: Direct, there: Direct) -> None:
    """Nothing was heard since the copy was made, so what was acknowledged tells nothing; but something was said."""
    await house.start()
    await talk(house, here, there, "before")
    await house.endpoints["sky"].stop()
    await back_up(house, "sea")
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "into the void", "void")
    await until(lambda: not house.endpoints["sea"].outbox and "void" in sea.acknowledged)
    lost = house.endpoints["sea"].rooms
    number = next(iter(lost)).held.epoch
    await bring_back(house, "sea", distrust=True)
    await back_in(house, "sea", number + 1)
    await house.start("sky")
    await talk(house, here, there, "after")
    assert sky.texts() == ["before up", "into the void", "after up"]


async def test_the_group_has_moved_on_by_commits_of_the_ledger_that_is_lost(
    house: House, here: Direct, there: Direct
) -> None:
    """Copies of a copy: each has drawn keys in the room, and the next cannot follow commits of its own."""
    await house.start()
    await talk(house, here, there, "before")
    await back_up(house, "sea")
    words = ["before", "first life", "second life", "third life"]
    for word in words[1:]:
        await talk(house, here, there, word)
        number = epoch(house, "sea")
        await bring_back(house, "sea")
        await back_in(house, "sea", number + 1)
    assert epoch(house, "sky") == epoch(house, "sea")
    assert house.networks["sky"].texts() == [f"{word} up" for word in words]
    assert house.networks["sea"].texts() == [f"{word} down" for word in words]


async def test_a_room_that_the_copy_has_never_heard_of(house: House, here: Direct, there: Direct) -> None:
    """The copy was made before the room was: its Welcome was for a key that is lost."""
    await house.start("sea")
    await back_up(house, "sea")
    await house.start("sky")
    await talk(house, here, there, "before")
    number = epoch(house, "sky")
    await bring_back(house, "sea")
    house.networks["sea"].say(here, "wait for me", "wait")  # it is accepted at once, and leaves when that is possible
    await back_in(house, "sea", number + 1)
    await talk(house, here, there, "after")
    assert house.networks["sky"].texts() == ["before up", "wait for me", "after up"]


@pytest.mark.parametrize("askable", [True, False])
async def test_what_the_lost_ledger_delivered_is_not_delivered_again(
    house: House, here: Direct, there: Direct, askable: bool
) -> None:
    """A network without idempotency keys is asked; one that cannot be asked gets nothing twice."""
    sea, sky = house.networks["sea"], house.networks["sky"]
    sky.capabilities = structs.replace(EVERYTHING, idempotent_send=False)
    await house.start()
    await talk(house, here, there, "before")
    await back_up(house, "sky")
    await talk(house, here, there, "once")
    number = epoch(house, "sky")
    await bring_back(house, "sky", AskableAdapter(sky) if askable else FakeAdapter(sky))
    await back_in(house, "sky", number + 1)
    await talk(house, here, there, "after")
    assert sky.texts() == ["before up", "once up", "after up"]
    assert sea.statuses("once-m") == [Status.DELIVERED]
    states = [row.state for row in await house.endpoints["sky"].operator.messages() if not row.source]
    assert states == [State.DELIVERED, State.DELIVERED if askable else State.UNCERTAIN, State.DELIVERED]


async def test_a_start_commits_nothing_and_the_first_word_after_it_has_new_keys(
    house: House, here: Direct, there: Direct
) -> None:
    await house.start()
    await talk(house, here, there, "before")
    number = epoch(house, "sky")  # who was added by a last resort has drawn its own keys already
    for _ in range(2):
        for name in ("sea", "sky"):
            await house.endpoints[name].stop()
            await house.start(name)
    await asyncio.sleep(0.2)
    assert epoch(house, "sea") == epoch(house, "sky") == number
    await talk(house, here, there, "after")
    assert epoch(house, "sea") == epoch(house, "sky") == number + 2  # each has drawn its own


async def test_keys_of_old_epochs_are_forgotten_in_time(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    await talk(house, here, there, "before")
    await house.endpoints["sea"].stop()
    await house.make("sea", distrust=True).start()
    await talk(house, here, there, "after")
    week = 8 * 86_400_000
    membership = house.endpoints["sky"].membership
    membership._clock = lambda later=membership._clock: later() + week
    await membership.forget_old_epochs()
    await house.endpoints["sky"].stop()
    ledger = await SqlLedger.open(f"sqlite:///{house.folder}/sky.db", Sealer(bytes(range(32)), bytes))
    (row,) = await ledger.rooms()
    kept = [name for name, _ in await ledger.scan(f"mls/{row.group_id.hex()}", "x/")]
    await ledger.close()
    assert kept == []
