"""A burst of messages from ten senders each way: how fast, and whether all of it arrives, once and in order.

``python -m tests.bench.bench_burst [MESSAGES]`` runs it in one plumbed room and over ten direct ones, beside the same
senders on the destination's own server in the same run.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.stage.matrix import MatrixPerson
from tests.stage.person import Did, Person
from tests.stage.world import World

SENDERS = 10


async def burst(senders: Sequence[Person], to: Sequence[str], receiver: Person, messages: int, title: str) -> float:
    """Send at once from all senders; print and return messages a second from the first send to the last arrival."""
    each = messages // len(senders)
    receiver.noticed.clear()
    began = time.monotonic()

    async def speak(number: int) -> None:
        for count in range(each):
            await senders[number].say(to[number], f"{title}/{number}/{count}")
            await asyncio.sleep(0)

    await asyncio.gather(*(speak(number) for number in range(len(senders))))
    sent = time.monotonic() - began
    arrived = await _arrivals(receiver, title, each * len(senders))
    took = max((at for _, _, at in arrived), default=began) - began
    numbers: dict[int, list[int]] = defaultdict(list)
    for number, count, _ in arrived:
        numbers[number].append(count)
    doubled = sum(times - 1 for times in Counter((n, c) for n, c, _ in arrived).values())
    lost = each * len(senders) - (len(arrived) - doubled)
    disorder = sum(later < earlier for counts in numbers.values() for earlier, later in pairwise(counts))
    rate = len(arrived) / took
    print(
        f"{title:34} {rate:7.1f} messages/s (taken by the source in {sent:5.1f} s)   "
        f"lost {lost}   doubled {doubled}   out of order {disorder}"
    )
    return rate


async def _arrivals(receiver: Person, title: str, expected: int) -> list[tuple[int, int, float]]:
    """Wait until all is there, or nothing has come for 30 s."""

    def arrived() -> list[tuple[int, int, float]]:
        found = []
        for thing in receiver.noticed:
            if thing.did is Did.SAY and thing.text.startswith(title + "/"):
                _, number, count = thing.text.rsplit("/", 2)
                found.append((int(number), int(count), thing.at))
        return found

    seen, since = 0, time.monotonic()
    while True:
        found = arrived()
        if len(found) > seen:
            seen, since = len(found), time.monotonic()
        if seen >= expected or time.monotonic() - since > 30:
            await asyncio.sleep(1.0)  # a doubled one would still come
            return arrived()
        await asyncio.sleep(0.1)


async def main(messages: int) -> None:
    """Run all of it and print the table."""
    with tempfile.TemporaryDirectory(prefix="rialto-bench-") as folder:
        async with World(Path(folder), shop=False) as world:
            capulets = [await world.xmpp_person(f"Capulet{n}") for n in range(SENDERS)]
            montagues = [await world.matrix_person(f"Montague{n}") for n in range(SENDERS)]
            juliet, romeo = capulets[0], montagues[0]
            verona = await world.enter_verona()
            await _warm(capulets, montagues, verona)
            for montague in montagues[1:]:  # they only speak: twenty clients that sync would be what is measured
                assert isinstance(montague, MatrixPerson)
                await montague.rest()
            print(f"{messages} messages from {SENDERS} senders")
            there = await burst(
                montagues[1:], [verona[m.name] for m in montagues[1:]], romeo, messages, "Synapse alone"
            )
            rate = await burst(
                capulets, [verona[c.name] for c in capulets], romeo, messages, "XMPP to Matrix, one room"
            )
            print(f"    {rate / there:.2f} of what the homeserver takes from its own users")
            await burst(montagues, [verona[m.name] for m in montagues], juliet, messages, "Matrix to XMPP, one room")
            others = [c.addresses[romeo.name] for c in capulets]
            await burst(capulets, others, romeo, messages, "XMPP to Matrix, ten rooms")
            others = [m.addresses[juliet.name] for m in montagues]
            await burst(montagues, others, juliet, messages, "Matrix to XMPP, ten rooms")


async def _warm(capulets: Sequence[Person], montagues: Sequence[Person], verona: dict[str, str]) -> None:
    """One message in each room, so that rooms, ghosts and groups exist: that is not what is measured."""
    juliet, romeo = capulets[0], montagues[0]
    for person in (*capulets, *montagues):
        await person.say(verona[person.name], f"here is {person.name}")
        other = juliet if person in montagues else romeo
        await other.wait(lambda n, name=person.name: n.text == f"here is {name}", person.name)
    for capulet in capulets:
        await capulet.say(capulet.addresses[romeo.name], f"I am {capulet.name}")
        await romeo.wait(lambda n, name=capulet.name: n.text == f"I am {name}", capulet.name)
    for montague in montagues:
        if montague is not romeo:
            await juliet.say(juliet.addresses[montague.name], f"welcome {montague.name}")
            await montague.wait(lambda n, name=montague.name: n.text == f"welcome {name}", montague.name)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
