"""Killed at any instant, an endpoint loses nothing, doubles nothing, and keeps the order.

One scene is played again and again; each time one of the two endpoints dies one instant later than the last time, comes
back on the files it left, and the scene must end as if nothing had happened.

There are about two hundred instants. A run takes, of every kind (before and after a commit, a submit, an update, a
send, a report ...) for either endpoint, one that a seed chooses; ``RIALTO_SEED`` sets the seed, which every failure
names, and ``RIALTO_ALL_INSTANTS=1`` takes them all, which takes minutes.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest
from msgspec import structs

from adapters.contract import Message
from protocol.content import Disposition, ExternalPart, text
from protocol.status import Status
from tests.unit.endpoint.crash import (
    AskableMortalAdapter,
    Fuse,
    MortalAdapter,
    MortalRouter,
    kill,
    mortal_ledger,
)
from tests.unit.endpoint.fake_adapter import EVERYTHING, FakeAdapter
from tests.unit.endpoint.house import House, until

pytestmark = pytest.mark.slow

SEED = os.environ.get("RIALTO_SEED", "1597")
ALL = bool(os.environ.get("RIALTO_ALL_INSTANTS"))
PICTURE = bytes(range(256)) * 300


async def scene(house: House) -> None:
    """Anna writes twice, shows a picture and reacts; Bert answers each."""
    sea, sky = house.networks["sea"], house.networks["sky"]
    here = house.direct("sea", "anna", "sky", "bert")
    there = house.direct("sky", "bert", "sea", "anna")
    sea.files["sea:picture"] = PICTURE
    sea.say(here, "one", "m1")
    sea.say(here, "two", "m2")
    sea.say(here, Message(ExternalPart("image/png", "sea:picture", filename="p.png")), "m3")
    sea.say(here, "four", "m4")
    sky.say(there, "eins", "n1")
    await until(lambda: len(sky.taken) >= 4 and sea.taken, 20)
    sky.say(there, Message(text("to one"), in_reply_to=sky.taken[0].native_id), "n2")
    sky.receipt(there, "bert", (sky.taken[1].native_id,), Status.READ)
    sea.say(here, Message(text("!", disposition=Disposition.REACTION), in_reply_to=sea.taken[0].native_id), "m5")
    await until(lambda: len(sea.taken) >= 2 and len(sky.taken) >= 5 and len(sea.reports) >= 6, 20)
    await until(lambda: len(sky.reports) >= 2, 20)


def check(house: House, where: str) -> None:
    """Nothing lost, nothing doubled, all in order, each with one terminal status."""
    sea, sky = house.networks["sea"], house.networks["sky"]
    said = [getattr(taken.message.part, "text", "(picture)") for taken in sky.taken]
    assert said == ["one", "two", "(picture)", "four", "!"], where
    assert sky.taken[2].files == [PICTURE], where
    assert [taken.text for taken in sea.taken] == ["eins", "to one"], where
    assert sea.taken[1].message.in_reply_to == "m1", where
    assert sky.taken[4].message.in_reply_to == "n1", where
    for native in ("m1", "m3", "m4", "m5"):
        assert sea.statuses(native) == [Status.DELIVERED], where
    assert sea.statuses("m2") == [Status.DELIVERED, Status.READ], where
    for native in ("n1", "n2"):
        assert sky.statuses(native) == [Status.DELIVERED], where
    assert len(sea.acknowledged) == len(set(sea.acknowledged)), where


async def play(folder: Path, victim: str, fuse: Fuse) -> None:
    """Play the scene and kill ``victim`` when its fuse blows, if it does."""
    folder.mkdir()
    house = House(folder, "sea", "sky")
    await house.open_hub()
    endpoint = house.make(
        victim,
        MortalAdapter(house.networks[victim], fuse),
        router=MortalRouter(house.hub.connect(victim), fuse),
        open_ledger=mortal_ledger(fuse),
    )
    starting = asyncio.create_task(endpoint.start())
    await house.start(next(name for name in house.names if name != victim))
    playing = asyncio.create_task(scene(house))
    blowing = asyncio.create_task(fuse.blown.wait())
    await asyncio.wait([blowing, playing], return_when=asyncio.FIRST_COMPLETED)
    blowing.cancel()
    if fuse.blown.is_set():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await kill(endpoint)
        await house.make(victim, FakeAdapter(house.networks[victim])).start()
    where = f"{victim} died {fuse.where}, after {dict(fuse.passed)}; seed {SEED}"
    try:
        await playing
    except AssertionError as error:
        raise AssertionError(f"{where}: {error}") from error
    await asyncio.sleep(0.02)
    check(house, where)
    await house.stop()


KINDS = {
    f"{side} {what}"
    for side in ("before", "after")
    for what in ("a commit", "publish", "update", "submit", "acknowledge", "send", "report")
}


async def undisturbed_play(folder: Path, victim: str) -> Fuse:
    """Return a fuse that has passed instants of every kind: who makes the room is chance, and must be the victim."""
    for attempt in range(10):
        fuse = Fuse(10**9)
        await play(folder / f"undisturbed-{attempt}", victim, fuse)
        if set(fuse.passed) >= KINDS:
            return fuse
    raise AssertionError(f"not once in ten plays did {victim} pass {KINDS - set(fuse.passed)}")


@pytest.mark.parametrize("victim", ["sea", "sky"])
@pytest.mark.skipif(ALL, reason="every instant is played instead")
async def test_death_at_an_instant_of_every_kind(tmp_path: Path, victim: str) -> None:
    undisturbed = await undisturbed_play(tmp_path, victim)
    chance = random.Random(f"{SEED} {victim}")
    sample = [Fuse(chance.randint(1, count), only) for only, count in sorted(undisturbed.passed.items())]
    side_by_side = asyncio.Semaphore(4)

    async def one(number: int, fuse: Fuse) -> None:
        async with side_by_side:
            await play(tmp_path / str(number), victim, fuse)

    await asyncio.gather(*(one(number, fuse) for number, fuse in enumerate(sample, 1)))
    died = {fuse.where for fuse in sample}
    assert len(died & KINDS) > len(KINDS) / 2  # two plays are never quite the same: a few may have ended before


@pytest.mark.parametrize("victim", ["sea", "sky"])
@pytest.mark.skipif(not ALL, reason="set RIALTO_ALL_INSTANTS=1 to play every instant")
async def test_death_at_every_instant(tmp_path: Path, victim: str) -> None:
    places: set[str] = set()
    at = 1
    while True:
        fuse = Fuse(at)
        await play(tmp_path / str(at), victim, fuse)
        if not fuse.where:
            break
        places.add(fuse.where)
        at += 1
    assert at > 40
    assert places >= KINDS


@pytest.mark.parametrize("askable", [True, False])
async def test_death_while_sending_what_cannot_be_repeated(tmp_path: Path, askable: bool) -> None:
    """A network without idempotency keys: what may have been sent is asked about, or said to be uncertain."""
    for moment in ("before send", "after send"):
        await die_while_sending(House(tmp_path / moment.replace(" ", "-"), "sea", "sky"), moment, askable)


async def die_while_sending(house: House, moment: str, askable: bool) -> None:
    house.networks["sky"].capabilities = structs.replace(EVERYTHING, idempotent_send=False)
    await house.open_hub()
    await house.start("sea")
    fuse = Fuse(10**9)
    kind = AskableMortalAdapter if askable else MortalAdapter
    adapter = kind(house.networks["sky"], fuse)
    endpoint = house.make("sky", adapter)
    await endpoint.start()
    fuse.left = 1 if moment == "before send" else 2
    house.networks["sea"].say(house.direct("sea", "anna", "sky", "bert"), "perhaps", "m1")
    await fuse.blown.wait()
    assert fuse.where == moment
    await kill(endpoint)
    await house.make("sky", kind(house.networks["sky"], Fuse(10**9))).start()
    await until(lambda: house.networks["sea"].reports)
    arrived = house.networks["sky"].texts()
    update = house.networks["sea"].reports[0][1]
    if askable:
        assert (arrived, update.status) == (["perhaps"], Status.DELIVERED)
    else:
        assert arrived == (["perhaps"] if moment == "after send" else [])
        assert (update.status, update.reason) == (Status.ERROR, "uncertain")
    await house.stop()
