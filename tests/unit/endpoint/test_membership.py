"""Who is in a room is what the configuration says, whatever was lost, moved, renamed or done by somebody bad."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from adapters.contract import Direct, Group
from bridge.router.contract import HandshakeBundle, Kind, Notification, Refusal
from bridge.router.grants import EndpointGrant
from bridge.router.hub import Hub
from protocol import mls
from protocol.leg import LegClass
from protocol.mls.errors import WrongEpochError
from protocol.uri import endpoint_uri, namespace
from tests.unit.endpoint.house import DOMAIN, House, now, until

MEMBERS = ("sea", "sky", "shore")


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


@pytest.fixture
def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


@pytest.fixture
async def square(tmp_path: Path) -> AsyncIterator[House]:
    """Three networks; sea and sky have a room plumbed to a native room of each."""
    house = House(tmp_path, *MEMBERS)
    house.plumb("square", natives("sea", "sky"), creator="sea")
    await house.open_hub()
    yield house
    await house.stop()


def natives(*names: str) -> dict[str, str]:
    return {name: f"{name}-square" for name in names}


def members(house: House, name: str, native: str = "") -> set[str]:
    """Who is in the square, as one endpoint's own group says."""
    room = house.endpoints[name].rooms.of(Group(native or f"{name}-square"))
    return set() if room is None else {member.uri.rpartition("/")[2] for member in room.members}


def needs(house: House) -> dict[str, list[str]]:
    """What the endpoints' rooms still need."""
    return {name: [room.reason for room in endpoint.rooms if room.reason] for name, endpoint in house.endpoints.items()}


async def say(house: House, name: str, *words: str) -> None:
    """Have somebody say something in one network's side of the square."""
    for word in words:
        house.networks[name].say(Group(f"{name}-square"), word, f"{name}-{word}", sender="anna")


# --- files of different age -------------------------------------------------------------------------------------------


async def test_a_room_is_added_by_a_rolling_restart_and_the_one_invited_has_still_the_old_file(square: House) -> None:
    await square.start()
    square.plumb("harbour", {"sea": "sea-harbour", "shore": "shore-harbour"}, creator="sea")
    await square.endpoints["sea"].stop()
    await square.make("sea", revision=1).start()
    await until(lambda: members(square, "sea", "sea-harbour") == {"sea", "shore"})
    sea, shore = square.networks["sea"], square.networks["shore"]
    await square.endpoints["shore"].stop()
    await square.make("shore", revision=1).start()
    await until(lambda: members(square, "shore", "shore-harbour") == {"sea", "shore"})
    for number in range(3):
        sea.say(Group("sea-harbour"), f"out {number}", f"m{number}", sender="anna")
    shore.say(Group("shore-harbour"), "in", "s1", sender="carl")
    await until(lambda: len(shore.taken) == 3 and len(sea.taken) == 1)
    assert shore.texts() == [f"out {number}" for number in range(3)]


async def test_a_room_is_added_while_everybody_runs(square: House) -> None:
    await square.start()
    square.plumb("harbour", {"sea": "sea-harbour", "shore": "shore-harbour"}, creator="sea")
    await square.reload("sea", revision=1)
    await until(lambda: members(square, "sea", "sea-harbour") == {"sea", "shore"})
    await square.reload("shore", revision=1)
    await until(lambda: members(square, "shore", "shore-harbour") == {"sea", "shore"})
    square.networks["sea"].say(Group("sea-harbour"), "ahoy", "m1", sender="anna")
    await until(lambda: square.networks["shore"].taken)


async def test_another_member_is_taken_up_while_running_and_another_native_room_needs_a_start(square: House) -> None:
    await square.start()
    square.plumb("square", natives(*MEMBERS), creator="sea")
    for name in ("shore", "sea", "sky"):
        assert await square.endpoints[name].reconfigure(square.settings(name, revision=1)) is (name != "shore")
    await square.reload("shore", revision=1)
    await until(lambda: all(members(square, name) == set(MEMBERS) for name in MEMBERS))
    square.plumb("square", natives(*MEMBERS) | {"sky": "sky-terrace"}, creator="sea")
    assert not await square.endpoints["sky"].reconfigure(square.settings("sky", revision=2))
    changed = structs.replace(square.settings("sea", revision=1), parallel=3)
    assert not await square.endpoints["sea"].reconfigure(changed)


async def test_a_native_room_that_moves_is_the_same_room(square: House) -> None:
    await square.start()
    sea, sky = square.networks["sea"], square.networks["sky"]
    await say(square, "sea", "before")
    await until(lambda: sky.taken)
    square.plumb("square", {"sea": "sea-square", "sky": "sky-terrace"}, creator="sea")
    await square.endpoints["sky"].stop()
    await square.make("sky").start()
    await say(square, "sea", "after")
    await until(lambda: len(sky.taken) == 2)
    assert [taken.conversation for taken in sky.taken] == ["sky-square", "sky-terrace"]
    sky.say(Group("sky-terrace"), "here", "n1", sender="bert")
    await until(lambda: sea.taken)


async def test_who_is_taken_out_of_a_room_reads_nothing_that_is_said_afterwards(square: House) -> None:
    square.plumb("square", natives(*MEMBERS), creator="sea")
    await square.start()
    await say(square, "sea", "with shore")
    await until(lambda: square.networks["shore"].taken)
    square.plumb("square", natives("sea", "sky"), creator="sea")
    await square.reload("sea", revision=1)
    await until(lambda: members(square, "sky") == {"sea", "sky"})
    await square.reload("sky", revision=1)
    await say(square, "sea", "without shore")
    await until(lambda: len(square.networks["sky"].taken) == 2)
    await asyncio.sleep(0.2)
    assert square.networks["shore"].texts() == ["with shore"]
    assert square.endpoints["shore"].rooms.of(Group("shore-square")).group is None


async def test_an_older_file_undoes_nothing_and_its_room_is_held_until_it_is_read_again(square: House) -> None:
    await square.start()
    await say(square, "sea", "two")
    await until(lambda: square.networks["sky"].taken)
    square.plumb("square", natives(*MEMBERS), creator="sea")
    await square.reload("shore", "sea", revision=2)
    await until(lambda: members(square, "sky") == set(MEMBERS))
    await until(lambda: needs(square)["sky"] == ["newer-configuration"])
    square.networks["sky"].say(Group("sky-square"), "to whom?", "n1", sender="bert")
    await asyncio.sleep(0.3)
    assert not square.networks["shore"].taken
    await square.reload("sky", revision=2)
    await until(lambda: square.networks["shore"].texts() == ["to whom?"])
    assert members(square, "sea") == set(MEMBERS)


async def test_who_is_away_for_a_month_is_removed_and_comes_in_again_when_it_is_back(square: House) -> None:
    later = 0

    def clock() -> int:
        return now() + later

    square.hub.clock = square.hub.sessions._clock = clock
    square.plumb("square", natives(*MEMBERS), creator="sea")
    for name in MEMBERS:
        await square.make(name, clock=clock).start()
    await until(lambda: all(members(square, name) == set(MEMBERS) for name in MEMBERS))
    await square.endpoints["shore"].stop()
    later = 31 * 86_400_000
    square.endpoints["sky"].membership.doubt()  # it asks the router, which so hears of it
    await until(lambda: square.hub.sessions.seen[endpoint_uri(DOMAIN, "sky")] > now() + later - 60_000)
    square.endpoints["sea"].membership.doubt()
    await until(lambda: members(square, "sky") == {"sea", "sky"})
    square.endpoints["sea"].membership.doubt()
    await asyncio.sleep(0.3)
    assert members(square, "sea") == {"sea", "sky"}
    await square.make("shore", clock=clock).start()
    await until(lambda: square.endpoints["shore"].hearing.connected)
    square.endpoints["sea"].membership.doubt()
    await until(lambda: members(square, "shore") == set(MEMBERS))


async def test_an_endpoint_that_is_renamed_goes_on_with_its_conversations(tmp_path: Path) -> None:
    house = House(tmp_path, "sea", "sky")
    await house.open_hub()
    await house.start()
    here, there = house.direct("sea", "anna", "sky", "bert"), house.direct("sky", "bert", "sea", "anna")
    house.networks["sea"].say(here, "as sea", "m1")
    await until(lambda: house.networks["sky"].taken)
    await house.stop()
    house.names = ("ocean", "sky")
    house.networks["ocean"], house.metrics["ocean"], house.plumbed["ocean"] = (
        house.networks["sea"],
        house.metrics["sea"],
        [],
    )
    grants = {
        name: EndpointGrant(endpoint_uri(DOMAIN, name), (namespace(DOMAIN, network),))
        for name, network in (("ocean", "sea"), ("sky", "sky"))
    }
    house.hub = Hub(f"sqlite:///{tmp_path}/router.db", tmp_path / "blobs", grants, DOMAIN)
    await house.hub.start()
    await house.start("sky")
    await house.make("ocean", network="sea", namespaces=(namespace(DOMAIN, "sea"),)).start()
    house.networks["sky"].say(there, "who are you?", "n1")
    await until(lambda: "who are you?" in house.networks["sea"].texts())
    house.networks["sea"].say(here, "ocean", "m2")
    await until(lambda: house.networks["sky"].texts()[-1] == "ocean")
    await house.stop()


# --- what was lost ----------------------------------------------------------------------------------------------------


async def test_after_the_router_lost_everything_all_that_is_said_arrives(
    house: House, here: Direct, there: Direct
) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "before", "m-before")
    await until(lambda: sea.statuses("m-before"))
    await stop(house)
    for file in house.folder.glob("router.db*"):
        file.unlink()
    await house.open_hub()
    await house.start()
    for number in range(10):
        sea.say(here, f"up {number}", f"m{number}")
        sky.say(there, f"down {number}", f"n{number}")
    await until(lambda: len(sky.taken) == 11 and len(sea.taken) == 10)
    assert sky.texts() == ["before", *(f"up {number}" for number in range(10))]
    (room,) = house.endpoints["sea"].rooms
    assert room.founding == 1


@pytest.mark.parametrize("pushed", [False, True], ids=["behind", "pushed past"])
async def test_after_the_router_was_restored_all_that_is_said_arrives_and_what_was_lost_is_said_again(
    house: House, here: Direct, there: Direct, pushed: bool
) -> None:
    """An epoch has moved since the backup; before sky is back, the router may have been pushed past what sky heard."""
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "before", "m-before")
    await until(lambda: sea.statuses("m-before"))
    await stop(house)
    backup = (house.folder / "router.db").read_bytes()
    await house.open_hub()
    await house.start()
    for number in range(4):
        sea.say(here, f"lost by the router {number}", f"lost{number}")
    sky.say(there, "answered", "n-lost")
    await until(lambda: len(sky.taken) == 5 and len(sea.taken) == 1)
    await stop(house)
    for file in house.folder.glob("router.db*"):
        file.unlink()
    (house.folder / "router.db").write_bytes(backup)
    await house.open_hub()
    await house.start("sea")
    if pushed:
        for number in range(20):
            sea.say(here, f"past {number}", f"past{number}")
        await until(lambda: not house.endpoints["sea"].outbox)
    await house.start("sky")
    for number in range(10):
        sea.say(here, f"up {number}", f"m{number}")
        sky.say(there, f"down {number}", f"n{number}")
    expected = [*(f"past {number}" for number in range(20 * pushed)), *(f"up {number}" for number in range(10))]
    await until(lambda: sky.texts()[5:] == expected and len(sea.taken) == 11)
    assert {room.founding for endpoint in house.endpoints.values() for room in endpoint.rooms} == {1}


async def stop(house: House) -> None:
    """Stop everybody and the router, as for a backup at rest."""
    for endpoint in house.endpoints.values():
        await endpoint.stop()
    await house.hub.stop()


async def test_who_cannot_follow_a_commit_comes_back_by_itself(
    house: House, here: Direct, there: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "before", "m0")
    await until(lambda: sea.statuses("m0"))
    (room,) = house.endpoints["sky"].rooms
    failed = []

    def process(message: bytes, **_: Any) -> mls.Processed:
        failed.append(message)
        raise WrongEpochError("a defect")

    monkeypatch.setattr(room.held, "process", process)
    (theirs,) = house.endpoints["sea"].rooms
    await house.endpoints["sea"].membership._steps.rekey(theirs)
    await until(lambda: failed and not room.diverged and room.held.epoch == 3)
    for number in range(4):
        sea.say(here, f"up {number}", f"m{number + 1}")
    sky.say(there, "down", "n1")
    await until(lambda: len(sky.taken) == 5 and sea.taken)
    assert house.metrics["sky"].of("reconciled") >= 1


async def test_a_group_that_cannot_be_read_costs_its_room_a_commit_and_nothing_else(
    house: House, here: Direct, there: Direct
) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "before", "m0")
    await until(lambda: sea.statuses("m0"))
    await house.endpoints["sky"].stop()
    with closing(sqlite3.connect(house.folder / "sky.db")) as database, database:
        damaged = database.execute("UPDATE record SET sealed = x'00' WHERE space LIKE 'mls/%'").rowcount
    assert damaged
    await house.start("sky")
    (room,) = house.endpoints["sky"].rooms
    await until(lambda: room.group is not None and not room.hold)
    sea.say(here, "after", "m1")
    sky.say(there, "down", "n1")
    await until(lambda: sky.texts() == ["before", "after"] and sea.taken)


async def test_nothing_is_committed_at_a_start(house: House, here: Direct) -> None:
    await house.start()
    house.networks["sea"].say(here, "hello", "m1")
    await until(lambda: house.networks["sea"].statuses("m1"))
    (before,) = await house.hub.rooms()
    for name in house.names:
        await house.endpoints[name].stop()
    await house.start()
    await until(lambda: all(not room.hold for endpoint in house.endpoints.values() for room in endpoint.rooms))
    await asyncio.sleep(0.3)
    (after,) = await house.hub.rooms()
    assert after.epoch == before.epoch


# --- who should not be there ------------------------------------------------------------------------------------------


async def test_a_third_in_a_private_conversation_is_told_nothing_and_put_out(tmp_path: Path) -> None:
    """Sea's endpoint, turned bad, adds shore to the conversation of Anna and Bert, and the router lets it."""
    house = House(tmp_path, *MEMBERS)
    house.honest = False
    await house.open_hub()
    later = 0
    await house.start("sea")
    await house.make("sky", clock=lambda: now() + later).start()
    here, there = house.direct("sea", "anna", "sky", "bert"), house.direct("sky", "bert", "sea", "anna")
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "hello", "m1")
    await until(lambda: sea.statuses("m1"))
    room, theirs = house.endpoints["sky"].rooms.of(there), house.endpoints["sea"].rooms.of(here)
    router = await house.greeted("shore")
    identity = mls.Identity.generate(
        router.endpoint, leg=LegClass.OPERATOR, namespaces=(f"mimi://{DOMAIN}/u/shore~",), random=os.urandom
    )
    package = mls.KeyPackageBundle.generate(identity, now=now() // 1000, random=os.urandom, lifetime=86_400)
    await house.endpoints["sea"].membership.stop()
    staged = theirs.held.stage(add=[package.message], now=now() // 1000, random=os.urandom)
    bad = await house.greeted("sea")
    added = await bad.update(room.uri, HandshakeBundle(staged.group_info, staged.commit, staged.welcome))
    assert not isinstance(added, Refusal)
    await until(lambda: len(room.members) == 3)
    sky.say(there, "a secret", "n1")
    await until(lambda: room.hold == "unnamed-member")
    later = 31_000  # the keeper of this room is the bad one itself: the other one's turn comes
    house.endpoints["sky"].membership.doubt()
    await until(lambda: len(room.members) == 2 and not house.endpoints["sky"].outbox)
    heard: list[Notification] = []

    async def listen() -> None:
        async for batch in router.notify(""):
            heard.extend(batch)

    task = asyncio.create_task(listen())
    await until(lambda: len(heard) >= 2)
    await asyncio.sleep(0.2)
    task.cancel()
    assert {notification.kind for notification in heard} == {Kind.WELCOME, Kind.COMMIT}
    await house.stop()
