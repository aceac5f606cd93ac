"""Accepted means durable: a router killed with -9 in the middle of its work has everything that it answered for."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest

from bridge.router.contract import Accepted, Kind
from tests.unit.router.conftest import House, hear
from tests.unit.router.doubles import room_uri, says, text_of
from tests.unit.router.submitter import ROOMS

Answered = dict[tuple[str, str], tuple[int, int]]


async def run_and_kill(folder: Path, turn: int, after: float) -> Answered:
    """Let a router accept messages for a while, kill it, return what it had answered."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.router.submitter", str(folder), str(turn), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    await asyncio.sleep(after)
    process.kill()
    lines = (await process.stdout.read()).decode().split("\n")[:-1]  # the last may be cut
    await process.wait()
    answered = (line.split() for line in lines)
    return {(room, text): (int(sequence), int(at)) for room, text, sequence, at in answered}


@pytest.mark.slow
async def test_whatever_was_answered_survives_being_killed(tmp_path: Path) -> None:
    chance = random.Random(1597)
    answered: Answered = {}
    for turn in range(5):
        answered |= await run_and_kill(tmp_path, turn, chance.uniform(0.02, 0.4))
    house = House.build(tmp_path)
    await house.open()
    try:
        views = {view.room: view for view in await house.hub.rooms()}
        kept = await hear(house.router("matrix"), sum(view.messages for view in views.values()) + len(ROOMS))
        for room in ROOMS:
            texts = [
                (text_of(note.body), note.sequence, note.at)
                for note in kept
                if note.room == room_uri(room) and note.kind is Kind.APPLICATION
            ]
            assert [sequence for _, sequence, _ in texts] == list(range(2, len(texts) + 2)), "a gap in the order"
            promised = {text: place for (where, text), place in answered.items() if where == room}
            found = {text: (sequence, at) for text, sequence, at in texts}
            assert len(found) == len(texts), "a message is there twice"
            assert promised.items() <= found.items(), "an answered message is lost or has moved"
        (room, text), (sequence, at) = next(iter(answered.items()))
        (again,) = await house.router("xmpp").submit([says("xmpp", text, room=room, group=room, epoch=1)])
        assert isinstance(again, Accepted)
        assert (again.sequence, again.at, again.repeated) == (sequence, at, True)
    finally:
        await house.hub.stop()
    assert len(answered) > 100
