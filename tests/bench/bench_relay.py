"""The relay core without networks: encrypt, submit, journal, fetch, decrypt, ledger; beside what its primitives cost.

    python -m tests.bench.bench_relay [--messages 20000] [--rooms 100] [--body 1024] [--folder DIR]

Two endpoints on networks in memory and a hub in one process, all durable (SQLite, synchronous=FULL). A message counts
when it is in the receiving endpoint's ledger. "Primitives" is the time of one signature, one verification, the AEAD and
key schedule of one message each way, with keys held, and nothing else: what no implementation of MLS on this machine
can go below. On a busy machine compare the processor's time rather than the clock's. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import logging
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.contract import Event, Inbound, Message, Profile
from bridge.endpoint import Endpoint
from protocol.content import text
from tests.unit.endpoint.fake_adapter import FakeAdapter
from tests.unit.endpoint.house import House, until


def primitives(body: int, rounds: int = 2000) -> tuple[float, float]:
    """Return the microseconds of one message's primitives, both ends together: elapsed, and of processor."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    content, key = os.urandom(body + 400), os.urandom(32)
    began, worked = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        signature = private.sign(content)
        for _end in range(2):
            for _step in range(5):  # ratchet: key, nonce and next secret; sender data: key and nonce
                hmac.digest(key, b"\x00" * 24, "sha256")
        sealed = AESGCM(key[:16]).encrypt(key[:12], content + signature, b"")
        sender = AESGCM(key[16:]).encrypt(key[:12], content[:16], b"")
        AESGCM(key[16:]).decrypt(key[:12], sender, b"")
        AESGCM(key[:16]).decrypt(key[:12], sealed, b"")
        public.verify(signature, content)
        hashlib.sha256(sealed).digest()
    elapsed, processor = time.perf_counter() - began, time.process_time() - worked
    return elapsed / rounds * 1e6, processor / rounds * 1e6


class Held(FakeAdapter):
    """A network that takes nothing: what is delivered stays in the ledger, so the core is measured alone."""

    async def capabilities(self, conversation: object) -> object:
        await asyncio.Event().wait()


async def open_rooms(house: House, rooms: int) -> None:
    sea = house.networks["sea"]
    for number in range(rooms):
        sea.say(house.direct("sea", f"p{number}", "sky", "bert"), "open", f"open{number}")
    await until(lambda: house.endpoints["sky"].hearing.heard >= rooms, 300)


async def burst(house: House, messages: int, rooms: int, body: int) -> tuple[float, float]:
    """Return the microseconds that a message takes from one ledger to the other: elapsed, and of processor."""
    sea, sky = house.networks["sea"], house.endpoints["sky"]
    conversations = [house.direct("sea", f"p{number}", "sky", "bert") for number in range(rooms)]
    parts = [text(os.urandom(body // 2).hex()) for _ in range(64)]
    events: list[Event] = []
    for number in range(messages):
        conversation = conversations[number % rooms]
        events.append(
            Inbound(
                native_id=f"m{number}",
                conversation=conversation,
                sender=Profile(conversation.local, conversation.local.id.title()),
                message=Message(parts[number % 64]),
                cursor=str(len(sea.events) + number + 1),
                sent_at=1_700_000_000_123,
            )
        )
    before = sky.hearing.heard
    began, worked = time.perf_counter(), time.process_time()
    sea.flood(events)
    while sky.hearing.heard - before < messages:
        await asyncio.sleep(0.002)
    elapsed, processor = time.perf_counter() - began, time.process_time() - worked
    return elapsed / messages * 1e6, processor / messages * 1e6


async def latency(house: House, count: int, body: int) -> list[float]:
    """Return the milliseconds from one network to the other's ledger, one message at a time."""
    sea, sky = house.networks["sea"], house.endpoints["sky"]
    conversation = house.direct("sea", "p0", "sky", "bert")
    took = []
    for number in range(count):
        before = sky.hearing.heard
        began = time.perf_counter()
        sea.say(conversation, "x" * body, f"l{number}")
        while sky.hearing.heard == before:
            await asyncio.sleep(0)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def measure(folder: Path, messages: int, rooms: int, body: int) -> dict[str, object]:
    house = House(folder, "sea", "sky")
    await house.open_hub()
    await house.start("sea")
    sky: Endpoint = house.make("sky", Held(house.networks["sky"]), stop_timeout=0.2)
    await sky.start()
    await open_rooms(house, rooms)
    elapsed, processor = await burst(house, messages, rooms, body)
    took = sorted(await latency(house, 200, body))
    bare_elapsed, bare_processor = primitives(body)
    await house.stop()
    return {
        "messages_per_second": round(1e6 / elapsed),
        "primitives_per_second": round(1e6 / bare_elapsed),
        "share_of_primitives": round(bare_elapsed / elapsed, 3),
        "processor_microseconds": round(processor),
        "primitives_processor_microseconds": round(bare_processor),
        "latency_ms_p50": round(statistics.median(took), 2),
        "latency_ms_p99": round(took[int(len(took) * 0.99)], 2),
        "messages": messages,
        "rooms": rooms,
        "body": body,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the relay core.")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rooms", type=int, default=100)
    parser.add_argument("--body", type=int, default=1024)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = asyncio.run(measure(Path(folder), options.messages, options.rooms, options.body))
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")


if __name__ == "__main__":
    main()
