"""A hub on a real SQLite file, with a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec import structs

from bridge.limits import Limits as Bounds
from bridge.router.configuration import RoomConfiguration
from bridge.router.contract import CONTRACT, FEATURES, OLDEST_CONTRACT, Accepted, Hello, Notification, Router
from bridge.router.grants import EndpointGrant, hash_token
from bridge.router.hub import Hub, Limits
from bridge.router.local import LocalRouter
from tests.unit.router.doubles import DOMAIN, PlainGroups, commit, creation, endpoint, namespace, room_uri

NAMES = ("xmpp", "matrix", "shop")
ROOMS = RoomConfiguration({room_uri(room): frozenset(map(endpoint, NAMES)) for room in ("balcony", "orchard")})


def hello(session: str, previous: str = "", **changes) -> Hello:
    """What an endpoint of today says first."""
    said = Hello(OLDEST_CONTRACT, CONTRACT, FEATURES, session, previous, revision=0)
    return structs.replace(said, **changes)


@dataclass
class Clock:
    """Milliseconds, as the test says."""

    now: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class House:
    """A hub and what it stands on."""

    folder: Path
    clock: Clock
    hub: Hub
    routers: dict[str, LocalRouter] = field(default_factory=dict)

    @classmethod
    def build(cls, folder: Path, clock: Clock | None = None, **changes) -> House:
        clock = clock or Clock()
        grants = {
            name: EndpointGrant(endpoint(name), (namespace(name),), hash_token(f"token of {name}")) for name in NAMES
        }
        settings = {
            "limits": Limits(message=4096, handshake=16384, blob=1_000_000),
            "bounds": Bounds(),
            "groups": PlainGroups(),
            "rooms": ROOMS,
        }
        hub = Hub(f"sqlite:///{folder / 'router.db'}", folder / "blobs", grants, DOMAIN, clock, **(settings | changes))
        return cls(folder, clock, hub)

    async def open(self) -> None:
        """Start the hub, and have every endpoint say hello to it, each in the session that it had before."""
        await self.hub.start()
        for name in NAMES:
            router = self.routers[name] = self.hub.connect(name)
            await router.hello(hello(f"session of {name}"))

    def router(self, name: str) -> LocalRouter:
        """Return the hub as an endpoint has it that has said hello."""
        return self.routers[name]

    async def restart(self, **changes) -> None:
        await self.hub.stop()
        self.hub = House.build(self.folder, clock=self.clock, **changes).hub
        await self.open()


async def open_room(xmpp: Router, *others: str, room: str = "balcony", group: str = "g") -> int:
    """Endpoint xmpp creates a room and adds others; returns the epoch."""
    assert isinstance(await xmpp.update(room_uri(room), creation("xmpp", group=group, room=room)), Accepted)
    for epoch, other in enumerate(others):
        answer = await xmpp.update(room_uri(room), commit("xmpp", epoch, add=[other], group=group))
        assert isinstance(answer, Accepted), answer
    return len(others)


async def hear(router: Router, count: int, cursor: str = "") -> list[Notification]:
    """Listen until ``count`` notifications have come, then hang up."""
    heard: list[Notification] = []

    async def listen() -> None:
        async with aclosing(router.notify(cursor)) as batches:
            async for batch in batches:
                heard.extend(batch)
                if len(heard) >= count:
                    return

    await asyncio.wait_for(listen(), 5)
    return heard


def bodies(notifications: Sequence[Notification]) -> list[bytes]:
    return [notification.body for notification in notifications]


@pytest.fixture
async def house(tmp_path: Path):
    house = House.build(tmp_path)
    await house.open()
    yield house
    await house.hub.stop()
