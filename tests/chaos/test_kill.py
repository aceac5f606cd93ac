"""The daemon is killed with -9 again and again while two people talk; nobody may notice more than a pause.

Juliet's client does what careful clients do: it repeats a message under the same id until it has the receipt. Romeo's
homeserver repeats by itself. What is judged is what their clients were shown, and what the ledgers say.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.stage.matrix import MatrixPerson
from tests.stage.person import Did, Person
from tests.stage.world import World
from tests.stage.xmpp import XmppPerson

MESSAGES = int(os.environ.get("RIALTO_KILL_MESSAGES", "500"))
KILLS = int(os.environ.get("RIALTO_KILLS", "20"))
SEED = int(os.environ.get("RIALTO_SEED", "1597"))
PACE = 0.04
"""Seconds between Romeo's messages: about what Synapse takes."""


@pytest.mark.servers
@pytest.mark.slow
async def test_nothing_is_lost_doubled_or_reordered_through_twenty_kills(tmp_path: Path) -> None:
    async with World(tmp_path, shop=False, verona=False) as world:
        juliet = await world.xmpp_person("Juliet")
        romeo = await world.matrix_person("Romeo")
        assert isinstance(juliet, XmppPerson)
        assert isinstance(romeo, MatrixPerson)
        await _acquaint(juliet, romeo)

        kills = asyncio.create_task(_kill_again_and_again(world))
        async with asyncio.TaskGroup() as streams:
            streams.create_task(_juliet_speaks(juliet, kills))
            streams.create_task(_romeo_speaks(romeo, kills))
        await kills

        at_romeo = await _all_heard(romeo, "Juliet")
        at_juliet = await _all_heard(juliet, "Romeo")
        print(f"\n{KILLS} kills, {MESSAGES} messages each way, seed {SEED}")
        for where, heard in (("Matrix", at_romeo), ("XMPP", at_juliet)):
            _judge(where, heard)
        await _judge_statuses(world)


async def _acquaint(juliet: XmppPerson, romeo: MatrixPerson) -> None:
    """One message each way, so that the room and its group exist before the accidents begin."""
    await juliet.say(juliet.addresses["Romeo"], "hello")
    await romeo.wait(lambda n: n.text == "hello", "Juliet's first message")
    await romeo.say(romeo.addresses["Juliet"], "hello back")
    await juliet.wait(lambda n: n.text == "hello back", "Romeo's answer")


async def _kill_again_and_again(world: World) -> None:
    chance = random.Random(SEED)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.05, 2.0))
        await asyncio.to_thread(world.rialto.kill)
        await asyncio.to_thread(world.rialto.start)


async def _juliet_speaks(juliet: XmppPerson, kills: asyncio.Task[None]) -> None:
    romeo = juliet.addresses["Romeo"]
    for number in range(MESSAGES):
        stanza_id = f"numbered-{number}"
        while True:
            await juliet.say(romeo, f"numbered {number}", stanza_id=stanza_id)
            if await _receipt(juliet, stanza_id):
                break
        await _share(number, kills)


async def _receipt(juliet: XmppPerson, stanza_id: str, patience: float = 1.0) -> bool:
    end = asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < end:
        if stanza_id in juliet.receipts:
            return True
        await asyncio.sleep(0.002)
    return False


async def _romeo_speaks(romeo: MatrixPerson, kills: asyncio.Task[None]) -> None:
    for number in range(MESSAGES):
        await romeo.say(romeo.addresses["Juliet"], f"numbered {number}")
        await asyncio.sleep(PACE)
        await _share(number, kills)


async def _share(number: int, kills: asyncio.Task[None]) -> None:
    """Spread the messages over all the kills: the last tenth waits until the last accident has happened."""
    if number >= MESSAGES * 9 // 10:
        await asyncio.shield(kills)
    elif not kills.done():
        await asyncio.sleep(0.05)


async def _all_heard(person: Person, sender: str) -> list[int]:
    """Wait until the last message is there and nothing more comes, and return the numbers as they were shown."""
    await person.wait(lambda n: n.text == f"numbered {MESSAGES - 1}", f"{sender}'s last message", patience=120)
    await asyncio.sleep(3.0)
    shown = [thing for thing in person.noticed if thing.did is Did.SAY and thing.text.startswith("numbered ")]
    assert all(thing.sender == sender for thing in shown)
    return [int(thing.text.split()[1]) for thing in shown]


def _judge(where: str, heard: list[int]) -> None:
    lost = sorted(set(range(MESSAGES)) - set(heard))
    doubled = sorted(number for number, times in Counter(heard).items() if times > 1)
    reordered = sum(later < earlier for earlier, later in pairwise(heard))
    print(f"{where}: {len(heard)} heard, {len(lost)} lost, {len(doubled)} doubled, {reordered} out of order")
    assert (lost, doubled, reordered) == ([], [], 0), where


async def _judge_statuses(world: World) -> None:
    """Each message that came from a network has exactly one terminal status at the endpoint it came in by."""
    for endpoint in ("xmpp", "matrix"):
        command = world.rialto.command("message", "list", "--json", "--limit", "1000", "--endpoint", endpoint)
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        rows = [row for row in json.loads(done.stdout) if row["direction"] == "in"]
        states = Counter(row["state"] for row in rows)
        print(f"{endpoint}: {dict(states)}")
        assert len(rows) == MESSAGES + 1
        assert states.total() == states["delivered"] + states["read"]
