"""The daemon is killed with -9 again and again while two people talk; nobody may notice more than a pause.

Juliet's client does what careful clients do: it repeats a message under the same id until it has the receipt. Romeo's
homeserver repeats by itself. What is judged is what their clients were shown, and what the ledgers say.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.chaos.stream import acquaint, heard, judge, judge_statuses, juliet_speaks, romeo_speaks
from tests.stage.matrix import MatrixPerson
from tests.stage.world import World
from tests.stage.xmpp import XmppPerson

MESSAGES = int(os.environ.get("RIALTO_KILL_MESSAGES", "500"))
KILLS = int(os.environ.get("RIALTO_KILLS", "20"))
SEED = int(os.environ.get("RIALTO_SEED", "1597"))
PACE = 0.05
"""Seconds between messages: about what Synapse takes."""


@pytest.mark.servers
@pytest.mark.slow
async def test_nothing_is_lost_doubled_or_reordered_through_twenty_kills(tmp_path: Path) -> None:
    async with World(tmp_path, shop=False, verona=False) as world:
        juliet, romeo = await world.xmpp_person("Juliet"), await world.matrix_person("Romeo")
        assert isinstance(juliet, XmppPerson)
        assert isinstance(romeo, MatrixPerson)
        await acquaint(juliet, romeo)
        kills = asyncio.create_task(_kill_again_and_again(world))

        async def pause(number: int) -> None:
            """Spread the messages over all the kills: the last tenth waits until the last accident has happened."""
            if number >= MESSAGES * 9 // 10:
                await asyncio.shield(kills)
            await asyncio.sleep(PACE)

        async with asyncio.TaskGroup() as streams:
            streams.create_task(juliet_speaks(juliet, MESSAGES, pause))
            streams.create_task(romeo_speaks(romeo, MESSAGES, pause))
        await kills

        print(f"\n{KILLS} kills, {MESSAGES} messages each way, seed {SEED}")
        judge("Matrix", await heard(romeo, "Juliet", MESSAGES), MESSAGES)
        judge("XMPP", await heard(juliet, "Romeo", MESSAGES), MESSAGES)
        await judge_statuses(world, MESSAGES)


async def _kill_again_and_again(world: World) -> None:
    chance = random.Random(SEED)
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.05, 2.0))
        await asyncio.to_thread(world.rialto.kill)
        await asyncio.to_thread(world.rialto.start)
