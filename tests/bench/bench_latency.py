"""How long one message takes between networks, beside the same clients talking within one network in the same run.

``python -m tests.bench.bench_latency [MESSAGES]`` starts Prosody, Synapse and the daemon, and sends one message at a
time. A floor is what the servers alone take: Romeo to a neighbour on Synapse, Juliet to a neighbour on Prosody, and the
PUT by which a message comes into Synapse at all.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.stage.person import Person
from tests.stage.world import World


async def measure(sender: Person, receiver: Person, messages: int, word: str) -> tuple[list[float], list[float]]:
    """Send one message after the other; return milliseconds until the receiver's client shows it, and until sent."""
    shown, sent = [], []
    for number in range(messages + 5):
        text = f"{word} {number}"
        began = time.monotonic()
        await sender.say(sender.addresses[receiver.name], text)
        put = time.monotonic()
        noticed = await receiver.wait(lambda n, text=text: n.text == text, text)
        if number >= 5:  # the first ones make rooms and warm caches
            shown.append((noticed.at - began) * 1000)
            sent.append((put - began) * 1000)
        receiver.noticed.clear()
    return shown, sent


def row(name: str, values: list[float], floor: float | None = None) -> None:
    """Print one line of the table."""
    cuts = statistics.quantiles(values, n=100)
    ratio = "" if floor is None else f"   {cuts[49] / floor:5.2f} x its floor"
    print(f"{name:34} p50 {cuts[49]:6.1f} ms   p95 {cuts[94]:6.1f}   p99 {cuts[98]:6.1f}{ratio}")


async def main(messages: int) -> None:
    """Run all of it and print the table."""
    with tempfile.TemporaryDirectory(prefix="rialto-bench-") as folder:
        async with World(Path(folder), shop=False, verona=False) as world:
            juliet, nurse = await world.xmpp_person("Juliet"), await world.xmpp_person("Nurse")
            romeo, tybalt = await world.matrix_person("Romeo"), await world.matrix_person("Tybalt")
            await measure(juliet, romeo, 5, "warm")
            await measure(romeo, tybalt, 5, "warm")
            print(
                f"{messages} messages each, one at a time; Rialto was ready {world.ready_after:.1f} s after its start"
            )
            x2x, _ = await measure(juliet, nurse, messages, "neighbour")
            m2m, put = await measure(romeo, tybalt, messages, "neighbour")
            x2m, _ = await measure(juliet, romeo, messages, "over")
            m2x, _ = await measure(romeo, juliet, messages, "back")
            row("floor: XMPP to XMPP, Prosody", x2x)
            row("floor: Matrix to Matrix, Synapse", m2m)
            row("floor: PUT into Synapse", put)
            row("XMPP to Matrix through Rialto", x2m, statistics.median(m2m))
            row("Matrix to XMPP through Rialto", m2x, statistics.median(put))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
