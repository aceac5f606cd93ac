"""A small house for tests: a real hub and endpoints on fake networks, all in files below one folder."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import structs

from adapters.contract import Adapter, Direct
from bridge.authority import Granting, OperatorAuthority
from bridge.directory import PlumbedRoom
from bridge.endpoint import Endpoint, EndpointSettings, RetryLimits
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import MessageRow, State
from bridge.router.configuration import RoomConfiguration
from bridge.router.contract import CONTRACT, FEATURES, OLDEST_CONTRACT, Hello
from bridge.router.grants import EndpointGrant
from bridge.router.hub import Hub
from bridge.router.local import LocalRouter
from bridge.router.mls_groups import MlsGroups
from bridge.router.rooms import RoomRules
from bridge.router.sessions import Caller, Sessions
from protocol.grant import public_of
from protocol.uri import Address, endpoint_uri, namespace, room_uri
from tests.unit.endpoint.fake_adapter import FakeAdapter, FakeNetwork

DOMAIN = "bridge.example"
KEY = bytes(range(32))
QUICK = RetryLimits(first=0.01, longest=0.05, attempts=5, age=3600, signed_out=0.02)


def now() -> int:
    return time.time_ns() // 1_000_000


class Counted:
    """Counters that a test can read."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, event: str, amount: int = 1, **labels: str) -> None:
        self.counts[event] += amount

    def of(self, event: str) -> int:
        return self.counts[event]


class LaxRules(RoomRules):
    """A router that lets anybody into any room."""

    def _refuse_founder(self, *_: Any) -> None:
        return None

    def _refuse_membership(self, *_: Any) -> None:
        return None


class LaxSessions(Sessions):
    """A router that serves whoever asks, in whatever session."""

    async def admit(self, caller: Caller) -> None:
        del caller


class House:
    """One router, and an endpoint for each network."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.names = names
        self.networks = {name: FakeNetwork(name) for name in names}
        self.metrics = {name: Counted() for name in names}
        self.adapters: dict[str, Any] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.plumbed: dict[str, list[PlumbedRoom]] = {name: [] for name in names}
        self.named: dict[str, frozenset[str]] = {}
        self.retry = QUICK
        self.hub: Hub
        self.private = b""
        """The authority's private key, by which endpoints are granted; b'' in a house that knows no authority."""
        self.believed: tuple[bytes, ...] = ()
        self.revoked: dict[str, int] = {}
        self.honest = True
        """Whether the router judges leaves and rooms as the endpoints do."""

    async def open_hub(self) -> None:
        grants = {name: EndpointGrant(endpoint_uri(DOMAIN, name), (namespace(DOMAIN, name),)) for name in self.names}
        groups = MlsGroups(self.judge() if self.honest else None)
        rooms = RoomConfiguration(self.named)
        self.hub = Hub(
            f"sqlite:///{self.folder}/router.db", self.folder / "blobs", grants, DOMAIN, rooms=rooms, groups=groups
        )
        if not self.honest:
            self.hub._rules = LaxRules(groups, self.hub.grants, DOMAIN, rooms)
            self.hub.sessions = LaxSessions(self.hub._journal, now)
        await self.hub.start()

    def found_authority(self, private: bytes) -> None:
        """Have an authority from now on, whose word alone is believed."""
        self.private, self.believed = private, (public_of(private),)

    def judge(self) -> OperatorAuthority | None:
        return OperatorAuthority(self.believed, DOMAIN, now, revoked=self.revoked) if self.private else None

    def make(self, name: str, adapter: Adapter[Any] | None = None, **changes: Any) -> Endpoint:
        """Make an endpoint on the ledger that it has had before, if there was one."""
        adapter = adapter or FakeAdapter(self.networks[name])
        self.adapters[name] = adapter
        settings: dict[str, Any] = {
            "name": name,
            "domain": DOMAIN,
            "network": name,
            "namespaces": (namespace(DOMAIN, name),),
            "rooms": tuple(self.plumbed[name]),
            "retry": self.retry,
            "stop_timeout": 3.0,
        }
        extra = {key: changes.pop(key) for key in ("router", "open_ledger") if key in changes}
        times = {key: changes.pop(key) for key in ("clock", "sleep", "timeout", "metrics") if key in changes}
        context = Context(**({"clock": now, "metrics": self.metrics[name]} | times))
        if judge := self.judge():
            granting = Granting(judge, self.folder / "grants", now, private=self.private)
            extra |= {"authority": judge, "granter": granting}
        endpoint = Endpoint(
            EndpointSettings(**(settings | changes)),
            adapter,
            None,
            extra.pop("router", None) or self.hub.connect(name),
            f"sqlite:///{self.folder}/{name}.db",
            KEY,
            context,
            **extra,
        )
        self.endpoints[name] = endpoint
        return endpoint

    def plumb(self, room: str, natives: dict[str, str], *, creator: str) -> None:
        """Have a native room of each network plumbed into one."""
        self.named[room_uri(DOMAIN, room)] = frozenset(endpoint_uri(DOMAIN, name) for name in natives)
        for plumbed in self.plumbed.values():
            plumbed[:] = [other for other in plumbed if other.id != room]
        for name, native in natives.items():
            self.plumbed[name].append(PlumbedRoom(room, room.title(), native, name == creator, tuple(natives)))

    async def greeted(self, name: str) -> LocalRouter:
        """Return the hub as an endpoint has it that says hello by itself, or as the running one has it."""
        router = self.hub.connect(name)
        running = self.endpoints.get(name)
        if running is not None:
            router.session = running._router.session
        else:
            await router.hello(Hello(OLDEST_CONTRACT, CONTRACT, FEATURES, "of a test", "", revision=0))
        return router

    def settings(self, name: str, **changes: Any) -> EndpointSettings:
        """What an endpoint is told by the configuration as it is now."""
        return structs.replace(self.endpoints[name].settings, rooms=tuple(self.plumbed[name]), **changes)

    async def reload(self, *names: str, revision: int) -> None:
        """Have these endpoints read the configuration as it is now, under a revision."""
        for name in names:
            await self.endpoints[name].reload(self.settings(name, revision=revision))

    async def start(self, *names: str) -> None:
        for name in names or self.names:
            await self.make(name).start()

    async def stop(self) -> None:
        for endpoint in self.endpoints.values():
            await endpoint.stop()
        self.endpoints.clear()
        await self.hub.stop()

    def direct(self, here: str, local: str, there: str, peer: str) -> Direct:
        return Direct(Address(here, local), Address(there, peer))


async def logged(endpoint: Endpoint, state: State, seconds: float = 40.0) -> MessageRow:
    """Wait until the newest message of an endpoint's log has come to a state."""
    end = time.monotonic() + seconds
    while True:
        rows = await endpoint.operator.messages(limit=1)
        if rows and rows[0].state is state:
            return rows[0]
        assert time.monotonic() < end, f"not {state.name} within {seconds} s: {rows}"
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], object], seconds: float = 40.0) -> None:
    """Wait until something has come true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {condition.__doc__ or condition}")
        await asyncio.sleep(0.005)
