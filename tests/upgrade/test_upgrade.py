"""What an older version left behind is opened by this one: what was known then is known still, what waited goes on.

``data/<commit>/`` holds dumps of a router and two endpoints, as that commit wrote them, with the script that made them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from adapters.contract import Group, Message, Profile, TypingNotice
from bridge.endpoint.ledger.contract import State
from protocol.content import Disposition, NullPart, text
from protocol.status import Status
from protocol.uri import Address
from tests.unit.endpoint.fake_adapter import Taken
from tests.unit.endpoint.house import QUICK, House, until

DATA = Path(__file__).parent / "data"
THEN = range(1, 21)
BROUGHT = {"sea": 11, "sky": 3}
"""How many events came from each network until the dump was made."""
VERSIONS = sorted(folder.name for folder in DATA.iterdir() if folder.is_dir())


def restore(dump: Path, database: Path) -> None:
    """Make a database out of a dump."""
    connection = sqlite3.connect(database)
    connection.executescript(dump.read_text())
    connection.close()


@pytest.fixture(params=VERSIONS)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """The house of then, its doors still shut."""
    built = House(tmp_path, "sea", "sky")
    built.plumb("verona", {"sea": "verona@sea", "sky": "#verona"}, creator="sea")
    built.retry = structs.replace(QUICK, age=1e9)  # the dump grows older every day, and what it holds must not expire
    for name in ("router", "sea", "sky"):
        restore(DATA / request.param / f"{name}.sql", tmp_path / f"{name}.db")
    for name, network in built.networks.items():
        # What the networks took and brought then, so that no native id is given twice and the cursors fit.
        somebody = Profile(Address(name, "x"))
        network.taken += [Taken("", "", somebody, Message(text("")), f"{name}-{number}", []) for number in THEN]
        network.events += [TypingNotice(conversation=Group("then"), sender=somebody, active=True)] * BROUGHT[name]
    built.networks["sea"].files["sea:photo"] = b"a photo"
    await built.open_hub()
    yield built
    await built.stop()


async def test_everything_that_was_known_then_is_known_still(house: House) -> None:
    await house.start()
    sea, sky = house.endpoints["sea"], house.endpoints["sky"]
    assert sorted(room.name for room in await sea.operator.room_summaries()) == ["", "Verona"]

    logged = {row.native_id: row for row in await sea.operator.messages(limit=100)}
    assert {"m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "n1", "n2"} - set(logged) <= {"n1", "n2"}
    assert logged["m1"].sender == "mimi://bridge.example/u/sea~anna"
    assert logged["m1"].state is State.DELIVERED
    assert (logged["m5"].state, logged["m5"].reason) == (State.FAILED, "rejected")
    assert logged["m6"].state is State.FAILED
    timeline = (await sea.operator.message(logged["m5"].mimi_id)).timeline  # type: ignore[union-attr]
    assert timeline[0].state is State.QUEUED
    assert timeline[-1].reason == "rejected"
    assert timeline[-1].text == "no"
    assert {row.native_id for row in await sky.operator.messages(limit=100)} >= {"n1", "n2", "w1", "sky-1"}


async def test_what_waited_then_goes_on(house: House) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    await house.start()
    await until(lambda: len(sky.taken) >= 23)
    arrived = sky.taken[20:]
    assert [taken.text for taken in arrived[:2]] == ["while you were away", "never submitted"]
    assert arrived[2].files == [b"a photo"]
    await until(lambda: sea.statuses("m8") and sea.statuses("m9") and sea.statuses("m10"))
    assert Status.DELIVERED in sea.statuses("m8")

    parked = await house.endpoints["sky"].ledger.parked(limit=10)
    await house.endpoints["sky"].operator.replay(parked[0].mimi_id)
    await until(lambda: len(sky.taken) == 24)
    assert sky.taken[-1].text == "park me"


async def test_old_messages_are_still_edited_deleted_reacted_to_and_known(house: House) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    here, there = house.direct("sea", "anna", "sky", "bert"), house.direct("sky", "bert", "sea", "anna")
    await house.start()
    await until(lambda: len(sky.taken) >= 23)

    sea.say(here, "Hello up there", "m1")
    await until(lambda: "m1" in sea.acknowledged)
    sea.say(here, Message(NullPart(), replaces="m1"), "m11")
    await until(lambda: len(sky.taken) == 24)
    assert sky.taken[-1].message.replaces == "sky-1"
    assert isinstance(sky.taken[-1].message.part, NullPart)

    heart = Message(text("❤", disposition=Disposition.REACTION), in_reply_to="sky-1")
    sky.say(there, heart, "n3")
    await until(lambda: len(sea.taken) == 21)
    assert sea.taken[-1].message.in_reply_to == "m1"


async def test_what_was_offered_then_is_answered_now(house: House) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    there = house.direct("sky", "bert", "sea", "anna")
    await house.start()
    offers = await house.endpoints["sky"].ledger.offers(
        next(room.room for room in await house.endpoints["sky"].operator.room_summaries() if not room.name)
    )
    assert len(offers) == 1
    await until(lambda: len(sky.taken) >= 23)
    sky.say(there, Message(text("2"), in_reply_to=offers[0].native_id), "n4")
    await until(lambda: len(sea.taken) == 21)
    assert "Blue" in str(sea.taken[-1].message.part)


async def test_the_plumbed_room_of_then_carries(house: House) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    await house.start()
    await until(lambda: len(sky.taken) >= 23)
    sky.say(Group("#verona"), "Go to, I say", "w2", sender="romeo")
    await until(lambda: len(sea.taken) == 21)
    assert sea.taken[-1].conversation == Group("verona@sea").key


async def test_what_waited_then_goes_on_where_endpoints_have_grants_by_now(house: House) -> None:
    """Nobody had a grant then: the signature keys stay, old members are borne, and who speaks carries a grant."""
    await house.hub.stop()
    house.found_authority(bytes(range(32)))
    await house.open_hub()
    await house.start()
    await until(lambda: len(house.networks["sky"].taken) >= 23)
    assert all(room.held_for == "" for name in house.names for room in house.endpoints[name].rooms)
    rooms = [room for room in house.endpoints["sea"].rooms if room.group is not None and not room.must_rekey]
    assert rooms
    assert not any(room.held.outdated for room in rooms)
