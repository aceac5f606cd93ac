"""A router that is told to accept messages until it is killed: ``python -m tests.unit.router.submitter FOLDER ROUND``.

Prints a line for each message once it has been answered; whatever was printed must be there afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import structlog

from bridge.router.contract import Accepted
from tests.unit.router.conftest import House, open_room
from tests.unit.router.doubles import room_uri, says

ROOMS = ("balcony", "orchard")


async def talk(house: House, room: str, task: int, turn: int) -> None:
    router = house.router("xmpp")
    for batch in range(1_000_000):
        texts = [f"{turn}.{task}.{batch}.{n}" for n in range(5)]
        answers = await router.submit([says("xmpp", text, room=room, group=room, epoch=1) for text in texts])
        for text, answer in zip(texts, answers, strict=True):
            assert isinstance(answer, Accepted), answer
            print(room, text, answer.sequence, answer.at, flush=True)


async def main(folder: Path, turn: int) -> None:
    house = House.build(folder)
    await house.open()
    for room in ROOMS:
        if await house.hub.room(room_uri(room)) is None:
            await open_room(house.router("xmpp"), "matrix", room=room, group=room)
    print("ready", flush=True)
    await asyncio.gather(*(talk(house, ROOMS[task % 2], task, turn) for task in range(8)))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
