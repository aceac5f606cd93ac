"""How fast the router takes messages in, beside bare SQLite: ``python -m tests.bench.bench_journal``.

Bodies of 1 KiB over 100 rooms in calls of 50, through ``Hub.submit`` with synchronous=FULL. The floor is what
``sqlite3`` needs for the same rows, indexes and transactions without any of the checks.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import structlog

from bridge.limits import Limits as Bounds
from bridge.router.client import HttpRouter
from bridge.router.configuration import RoomConfiguration
from bridge.router.contract import Accepted, Envelope, Router
from bridge.router.grants import EndpointGrant, hash_token
from bridge.router.groups import Header
from bridge.router.hub import Hub
from bridge.router.local import LocalRouter
from bridge.router.server import RouterServer
from protocol.mls.codec import u8, u16, u64, vec
from protocol.mls.messages import peek
from tests.unit.router.conftest import hello
from tests.unit.router.doubles import DOMAIN, PlainGroups, commit, creation, endpoint, namespace, room_uri

CALL = 50
ROOMS = 100
TASKS = 8


class Groups(PlainGroups):
    """Handshakes of the stand-in, application messages as they are on the wire."""

    def application(self, body: bytes) -> Header:
        peeked = peek(body)
        return Header(peeked.group_id or b"", peeked.epoch or 0)


def message(room: int, epoch: int = 1) -> bytes:
    """A PrivateMessage with 1 KiB of noise for ciphertext."""
    head = u16(1) + u16(2) + vec(f"g{room}".encode()) + u64(epoch) + u8(1) + vec(b"") + vec(os.urandom(28))
    return head + vec(os.urandom(1024))


def envelopes(count: int) -> list[Envelope]:
    return [
        Envelope(room=room_uri(f"r{n % ROOMS}"), epoch=1, sender=endpoint("xmpp"), body=message(n % ROOMS))
        for n in range(count)
    ]


def calls(count: int) -> list[list[Envelope]]:
    every = envelopes(count)
    return [every[start : start + CALL] for start in range(0, count, CALL)]


async def submit_all(router: Router, count: int, tasks: int) -> float:
    """Submit from several tasks; return messages a second."""
    todo = calls(count)
    start = time.perf_counter()

    async def work() -> None:
        while todo:
            answers = await router.submit(todo.pop())
            assert all(isinstance(answer, Accepted) for answer in answers)

    await asyncio.gather(*(work() for _ in range(tasks)))
    return count / (time.perf_counter() - start)


async def hub_rate(folder: Path, count: int, tasks: int) -> float:
    hub = await open_hub(folder)
    rate = await submit_all(await connected(hub, "xmpp"), count, tasks)
    await hub.stop()
    return rate


async def http_rate(folder: Path, count: int) -> tuple[float, list[float]]:
    """The same over HTTP, server and client on one loop: messages a second, and milliseconds of lone ones."""
    hub = await open_hub(folder)
    server = RouterServer(hub)
    port = await server.start("127.0.0.1", 0)
    router = HttpRouter(f"http://127.0.0.1:{port}", "token", endpoint("xmpp"))
    await router.hello(hello("session of xmpp"))
    rate = await submit_all(router, count, TASKS)
    times = await submit_alone(router, 300)
    await router.close()
    await server.stop()
    await hub.stop()
    return rate, times


async def connected(hub: Hub, name: str) -> LocalRouter:
    router = hub.connect(name)
    await router.hello(hello(f"session of {name}"))
    return router


async def open_hub(folder: Path) -> Hub:
    grants = {
        name: EndpointGrant(endpoint(name), (namespace(name),), hash_token("token" if name == "xmpp" else name))
        for name in ("xmpp", "matrix")
    }
    both = frozenset(grant.uri for grant in grants.values())
    rooms = RoomConfiguration({room_uri(f"r{n}"): both for n in range(ROOMS)})
    bounds = Bounds(endpoint_per_minute=0, commits_per_minute=0)
    hub = Hub(
        f"sqlite:///{folder / 'router.db'}",
        folder / "blobs",
        grants,
        DOMAIN,
        rooms=rooms,
        bounds=bounds,
        groups=Groups(),
    )
    await hub.start()
    router = await connected(hub, "xmpp")
    for n in range(ROOMS):
        await router.update(room_uri(f"r{n}"), creation("xmpp", group=f"g{n}", room=f"r{n}"))
        await router.update(room_uri(f"r{n}"), commit("xmpp", 0, add=["matrix"], group=f"g{n}"))
    return hub


async def submit_alone(router: Router, count: int) -> list[float]:
    """Milliseconds of one message at a time."""
    times = []
    for envelope in envelopes(count):
        start = time.perf_counter()
        await router.submit([envelope])
        times.append((time.perf_counter() - start) * 1000)
    return times


async def lone_latency(folder: Path, count: int) -> list[float]:
    hub = await open_hub(folder)
    times = await submit_alone(await connected(hub, "xmpp"), count)
    await hub.stop()
    return times


async def listening_rate(folder: Path, count: int) -> float:
    """Messages a second from submit to a listener in the same process."""
    hub = await open_hub(folder)
    router, matrix, heard = await connected(hub, "xmpp"), await connected(hub, "matrix"), 0
    todo = calls(count)
    start = time.perf_counter()

    async def listen() -> None:
        nonlocal heard
        async for batch in matrix.notify(""):
            heard += len(batch)
            if heard >= count + ROOMS:
                return

    async def work() -> None:
        while todo:
            await router.submit(todo.pop())

    await asyncio.gather(listen(), *(work() for _ in range(TASKS)))
    elapsed = time.perf_counter() - start
    await hub.stop()
    return count / elapsed


def bare_rate(folder: Path, count: int) -> float:
    """The same rows and indexes, a transaction for each call, by ``sqlite3`` alone."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(
        """
        CREATE TABLE rooms (id INTEGER PRIMARY KEY, sequence INTEGER, messages INTEGER, updated_at INTEGER);
        CREATE TABLE envelopes (position INTEGER PRIMARY KEY, room INTEGER, sequence INTEGER, kind INTEGER,
            epoch INTEGER, sender INTEGER, at INTEGER, digest BLOB, body BLOB);
        CREATE UNIQUE INDEX in_order ON envelopes (room, sequence, kind);
        CREATE UNIQUE INDEX by_digest ON envelopes (digest, room);
        CREATE TABLE inbox (
            endpoint INTEGER, position INTEGER, total INTEGER, PRIMARY KEY (endpoint, position)
        ) WITHOUT ROWID;
        """
    )
    connection.executemany("INSERT INTO rooms VALUES (?, 1, 0, 0)", [(n,) for n in range(ROOMS)])
    todo = calls(count)
    position, sequences = 0, [1] * ROOMS
    start = time.perf_counter()
    for call in todo:
        rows, inbox = [], []
        for envelope in call:
            room = position % ROOMS
            position += 1
            sequences[room] += 1
            digest = hashlib.sha256(envelope.body).digest()
            rows.append((position, room, sequences[room], 0, 1, 1, 0, digest, envelope.body))
            inbox.append((2, position, position))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO envelopes VALUES (?,?,?,?,?,?,?,?,?)", rows)
        connection.executemany("INSERT INTO inbox VALUES (?,?,?)", inbox)
        connection.executemany("UPDATE rooms SET sequence = ? WHERE id = ?", [(row[2], row[1]) for row in rows])
        connection.execute("COMMIT")
    elapsed = time.perf_counter() - start
    connection.close()
    return count / elapsed


def run(folder: Path, count: int) -> dict[str, float | list[float]]:
    """Measure everything once, in folders of its own."""
    folders = {part: folder / part for part in ("bare", "hub", "one", "listen", "http", "lone")}
    for path in folders.values():
        path.mkdir(parents=True)
    bare = bare_rate(folders["bare"], count)
    http, http_times = asyncio.run(http_rate(folders["http"], count))
    return {
        "bare": bare,
        f"Hub.submit, {TASKS} tasks": asyncio.run(hub_rate(folders["hub"], count, TASKS)),
        "Hub.submit, 1 task": asyncio.run(hub_rate(folders["one"], count, 1)),
        "submit to a listener": asyncio.run(listening_rate(folders["listen"], count)),
        f"HttpRouter.submit, {TASKS} tasks": http,
        "lone": asyncio.run(lone_latency(folders["lone"], 300)),
        "lone over HTTP": http_times,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as name:
        rounds = [run(Path(name) / str(n), arguments.count) for n in range(arguments.rounds)]
    print(f"1 KiB bodies, {ROOMS} rooms, calls of {CALL}; medians of {len(rounds)} rounds; ratio to bare sqlite3")
    for what, first in rounds[0].items():
        if isinstance(first, list):
            times = [lone for measured in rounds for lone in measured[what]]  # type: ignore[union-attr]
            p99 = statistics.quantiles(times, n=100)[98]
            print(f"{what:32} p50 {statistics.median(times):6.2f} ms   p99 {p99:6.2f} ms")
        else:
            rate = statistics.median(measured[what] for measured in rounds)  # type: ignore[type-var]
            ratio = statistics.median(measured[what] / measured["bare"] for measured in rounds)  # type: ignore[operator]
            print(f"{what:32} {rate:9,.0f}/s   {ratio:.2f}")


if __name__ == "__main__":
    main()
