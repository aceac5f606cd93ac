"""A long talk with many accidents in it: ``python -m tests.chaos.soak [MINUTES]`` (60 unless told).

Two people say a message each every quarter of a second, while the daemon is killed now and then and stays away for up
to five seconds. At the end nothing is lost, doubled or out of order; the memory is printed as it goes.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.stream import acquaint, heard, judge, juliet_speaks, romeo_speaks
from tests.stage.matrix import MatrixPerson
from tests.stage.world import World
from tests.stage.xmpp import XmppPerson

PACE = 0.25
BETWEEN = (20.0, 60.0)
"""Seconds between two accidents."""


async def main(minutes: float) -> None:
    """Run it; an AssertionError says what was broken."""
    messages = int(minutes * 60 / PACE)
    with tempfile.TemporaryDirectory(prefix="rialto-soak-") as folder:
        async with World(Path(folder), shop=False, verona=False) as world:
            juliet, romeo = await world.xmpp_person("Juliet"), await world.matrix_person("Romeo")
            assert isinstance(juliet, XmppPerson)
            assert isinstance(romeo, MatrixPerson)
            await acquaint(juliet, romeo)
            accidents = asyncio.create_task(_accidents(world))

            async def pause(_number: int) -> None:
                await asyncio.sleep(PACE)

            async with asyncio.TaskGroup() as streams:
                streams.create_task(juliet_speaks(juliet, messages, pause))
                streams.create_task(romeo_speaks(romeo, messages, pause))
            accidents.cancel()
            await asyncio.gather(accidents, return_exceptions=True)
            await asyncio.to_thread(world.rialto.start)
            judge("Matrix", await heard(romeo, "Juliet", messages, 300), messages)
            judge("XMPP", await heard(juliet, "Romeo", messages, 300), messages)
            print(f"resident set at the end: {world.rialto.memory()['run']:.0f} MiB")


async def _accidents(world: World) -> None:
    chance = random.Random(1597)
    began = time.monotonic()
    while True:
        await asyncio.sleep(chance.uniform(*BETWEEN))
        memory = world.rialto.memory().get("run", 0.0)
        print(f"{time.monotonic() - began:7.0f} s   {memory:5.0f} MiB   the daemon is killed", flush=True)
        await asyncio.to_thread(world.rialto.kill)
        await asyncio.sleep(chance.uniform(0.0, 5.0))
        await asyncio.to_thread(world.rialto.start)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
