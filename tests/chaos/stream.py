"""Two people who say numbered messages to one another, and the judge of what each was shown."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise

from tests.stage.matrix import MatrixPerson
from tests.stage.person import Did, Person
from tests.stage.world import World
from tests.stage.xmpp import XmppPerson

Pause = Callable[[int], Awaitable[None]]
"""Awaited after each message, with its number."""


async def acquaint(juliet: XmppPerson, romeo: MatrixPerson) -> None:
    """One message each way, so that the room and its group exist before the accidents begin."""
    await juliet.say(juliet.addresses["Romeo"], "hello")
    await romeo.wait(lambda n: n.text == "hello", "Juliet's first message")
    await romeo.say(romeo.addresses["Juliet"], "hello back")
    await juliet.wait(lambda n: n.text == "hello back", "Romeo's answer")


async def juliet_speaks(juliet: XmppPerson, messages: int, pause: Pause) -> None:
    """Say each message under one id until its receipt has come, as careful clients do; only then the next."""
    romeo = juliet.addresses["Romeo"]
    for number in range(messages):
        stanza_id = f"numbered-{number}"
        while True:
            await juliet.say(romeo, f"numbered {number}", stanza_id=stanza_id)
            if await _receipt(juliet, stanza_id):
                break
        await pause(number)


async def _receipt(juliet: XmppPerson, stanza_id: str, patience: float = 1.0) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if stanza_id in juliet.receipts:
            return True
        await asyncio.sleep(0.002)
    return False


async def romeo_speaks(romeo: MatrixPerson, messages: int, pause: Pause) -> None:
    """Say each message; the homeserver keeps them until they are taken."""
    for number in range(messages):
        await romeo.say(romeo.addresses["Juliet"], f"numbered {number}")
        await pause(number)


async def heard(person: Person, sender: str, messages: int, patience: float = 120.0) -> list[int]:
    """Wait until the last message is there and nothing more comes; return the numbers in the order they were shown."""
    await person.wait(lambda n: n.text == f"numbered {messages - 1}", f"{sender}'s last message", patience=patience)
    await asyncio.sleep(3.0)
    shown = [thing for thing in person.noticed if thing.did is Did.SAY and thing.text.startswith("numbered ")]
    assert all(thing.sender == sender for thing in shown)
    return [int(thing.text.split()[1]) for thing in shown]


def judge(where: str, numbers: list[int], messages: int) -> None:
    """Nothing lost, nothing doubled, nothing out of order."""
    lost = sorted(set(range(messages)) - set(numbers))
    doubled = sorted(number for number, times in Counter(numbers).items() if times > 1)
    disorder = sum(later < earlier for earlier, later in pairwise(numbers))
    print(f"{where}: {len(numbers)} heard, {len(lost)} lost, {len(doubled)} doubled, {disorder} out of order")
    assert (lost, doubled, disorder) == ([], [], 0), where


async def judge_statuses(world: World, messages: int) -> None:
    """Each message that came from a network has one terminal status, ``delivered``, where it came in.

    The ledger keeps every status it was told; a message that had a second terminal one would show it in its timeline.
    """
    for endpoint in ("xmpp", "matrix"):
        rows = await _cli(world, "message", "list", "--limit", "10000", endpoint=endpoint)
        incoming = [row for row in rows if row["direction"] == "in"]
        states = Counter(row["state"] for row in incoming)
        print(f"{endpoint}: {dict(states)}")
        assert len(incoming) == messages + 1
        assert states.total() == states["delivered"] + states["read"]
        for row in incoming[:: max(1, len(incoming) // 20)]:
            (shown,) = await _cli(world, "message", "show", row["id"], endpoint=endpoint)
            ends = [step for step in shown["timeline"] if step["state"] in {"delivered", "failed", "uncertain"}]
            assert [step["state"] for step in ends] == ["delivered"], shown


async def _cli(world: World, *words: str, endpoint: str) -> list[dict[str, object]]:
    command = world.rialto.command(*words, "--json", "--endpoint", endpoint)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows
