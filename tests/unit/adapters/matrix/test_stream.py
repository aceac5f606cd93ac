"""Nothing that the homeserver pushes stops what comes after it: the real adapter, on a homeserver of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.contract import Account, Direct, Event, Inbound, Receipt, TypingNotice
from adapters.matrix import Matrix, arrivals, invitations, people
from adapters.matrix.config import MatrixConfig
from protocol.content import SinglePart
from protocol.uri import Address
from tests.unit.adapters.business.memory import MemoryStore

GHOST = "@rialto_xmpp_juliet=40xmpp.test:hs.test"
ROMEO = "@romeo:hs.test"
DEAD, ROOM = "!dead:evil.example", "!room:hs.test"


class Homeserver:
    """Answers the adapter's calls and pushes transactions. ``join``: what joining a room is answered."""

    def __init__(self) -> None:
        self.join: dict[str, int] = {}
        self.joins: list[str] = []
        self.left: list[str] = []
        self.said: list[str] = []
        self.said_before: list[dict[str, Any]] = []
        self.hang = asyncio.Event()
        self.numbers = count(1)
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self._call)

    async def _call(self, request: web.Request) -> web.Response:
        tail = request.path.removeprefix("/_matrix/client/v3/")
        user = request.query.get("user_id", "")
        if tail == "account/whoami":
            return web.json_response({"user_id": "@rialto:hs.test"})
        if tail.startswith("join/"):
            room = tail.removeprefix("join/")
            self.joins.append(room)
            if (status := self.join.get(room, 200)) == 0:
                await self.hang.wait()
            return web.json_response({}, status=status or 200)
        if "/send/m.room.message/" in tail:
            self.said.append((await request.json())["body"])
            return web.json_response({"event_id": "$notice"})
        if tail.endswith("/leave"):
            self.left.append(tail.split("/")[1])
        elif tail.endswith("/members"):
            here = [
                {"state_key": who, "content": {"membership": "join", "displayname": who[1:].title()}}
                for who in (user, ROMEO)
            ]
            return web.json_response({"chunk": here})
        elif tail.endswith("/messages"):
            return web.json_response({"chunk": self.said_before[::-1]})
        elif "/state/m.room.member/" in tail:
            await self.hang.wait()
        return web.json_response({})


class Stage:
    """The adapter, the homeserver, and what the endpoint was given."""

    def __init__(self, server: Homeserver, url: str, store: MemoryStore) -> None:
        self.server, self.url, self.store = server, url, store
        self.adapter = Matrix()
        self.events: list[Event] = []
        self.now = 1_000_000
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        config = MatrixConfig(
            homeserver=self.url, server_name="hs.test", url="http://127.0.0.1:1", as_token="a", hs_token="h"
        )
        await self.adapter.open(Account("matrix", config, self.store, (), lambda: self.now))
        app = web.Application()
        app.add_routes(list(self.adapter.routes()))
        self.served = TestServer(app)
        await self.served.start_server()
        self.http = aiohttp.ClientSession(headers={"Authorization": "Bearer h"})
        self._tasks = [asyncio.create_task(self._endpoint())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.adapter.close()
        await self.http.close()
        await self.served.close()

    async def _endpoint(self) -> None:
        async for event in self.adapter.receive(None):
            self.events.append(event)
            if isinstance(event, Inbound | Receipt):
                event.acknowledge(None)

    async def push(self, *events: dict[str, Any], **more: Any) -> int:
        url = self.served.make_url(f"/_matrix/app/v1/transactions/{next(self.server.numbers)}")
        async with self.http.put(url, json={"events": events, **more}) as answer:
            return answer.status

    def texts(self) -> list[str]:
        return [
            event.message.part.text
            for event in self.events
            if isinstance(event, Inbound) and isinstance(event.message.part, SinglePart)
        ]

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.005)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(invitations, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(people, "ANSWER_S", 0.1)
    monkeypatch.setattr(arrivals, "_ENTERING_S", 0.2)
    server = Homeserver()
    async with TestServer(server.app) as served:
        stage = Stage(server, str(served.make_url("/")), MemoryStore())
        await stage.start()
        yield stage
        server.hang.set()
        await stage.stop()


def invite(room: str = ROOM, ghost: str = GHOST, sender: str = ROMEO) -> dict[str, Any]:
    return {
        "type": "m.room.member",
        "event_id": f"$invite{room}",
        "room_id": room,
        "sender": sender,
        "state_key": ghost,
        "content": {"membership": "invite"},
    }


def message(text: str, room: str = ROOM, sender: str = ROMEO) -> dict[str, Any]:
    content = {"msgtype": "m.text", "body": text}
    return {"type": "m.room.message", "event_id": f"${text}", "room_id": room, "sender": sender, "content": content}


async def direct(stage: Stage) -> None:
    """Romeo's room with Juliet, bound."""
    assert await stage.push(invite()) == 200
    await stage.until(
        lambda: stage.adapter._directs.of(ROOM) is not None and not len(stage.adapter._arrivals._invitations)
    )


@pytest.mark.parametrize("answer", [502, 429, 504, 0])
async def test_an_invitation_into_a_room_whose_server_is_down_stops_nothing(stage: Stage, answer: int) -> None:
    await direct(stage)
    stage.server.join[DEAD] = answer
    async with asyncio.timeout(20):
        assert await stage.push(invite(DEAD, sender="@mallory:evil.example"), message("hello")) == 200
        assert await stage.push(message("hello again")) == 200
    assert stage.texts() == ["hello", "hello again"]


async def test_it_is_followed_once_the_server_is_well_again(stage: Stage) -> None:
    stage.server.join[ROOM] = 502
    assert await stage.push(invite()) == 200
    await stage.until(lambda: stage.server.joins.count(ROOM) > 2)
    del stage.server.join[ROOM]
    await stage.until(lambda: stage.adapter._directs.of(ROOM) is not None)
    assert stage.adapter._directs.of(ROOM) == Direct(Address("matrix", ROMEO), Address("xmpp", "juliet@xmpp.test"))


async def test_it_is_not_forgotten_over_a_restart(stage: Stage) -> None:
    stage.server.join[ROOM] = 502
    assert await stage.push(invite()) == 200
    await stage.stop()
    del stage.server.join[ROOM]
    stage.server.said_before = [message("said while nobody was there")]
    stage.adapter = Matrix()
    await stage.start()
    await stage.until(lambda: stage.texts() == ["said while nobody was there"])


async def test_one_that_cannot_be_answered_in_time_is_declined(stage: Stage) -> None:
    stage.server.join[DEAD] = 502
    assert await stage.push(invite(DEAD)) == 200
    await stage.until(lambda: stage.server.joins.count(DEAD) > 1)
    stage.now += invitations.GIVE_UP_MS + 1
    await stage.until(lambda: DEAD in stage.server.left)
    await stage.until(lambda: not len(stage.adapter._arrivals._invitations))
    assert not await stage.store.scan("invited/")


@pytest.mark.parametrize(
    "ghost", ["@rialto_matrix.work_x:hs.test", "@rialto_xmpp_=40:hs.test", "@rialto_xmpp_J=40x:hs.test"]
)
async def test_one_of_a_ghost_that_can_be_nobody_is_declined(stage: Stage, ghost: str) -> None:
    assert await stage.push(invite(ghost=ghost)) == 200
    await stage.until(lambda: ROOM in stage.server.left)


async def test_what_is_said_while_a_ghost_enters_comes_after_what_was_said_before(stage: Stage) -> None:
    stage.server.join[ROOM] = 0
    stage.server.said_before = [message("one"), message("two")]
    assert await stage.push(invite()) == 200
    await stage.until(lambda: ROOM in stage.server.joins)
    pushed = asyncio.create_task(stage.push(message("three")))
    await asyncio.sleep(0.02)
    stage.server.join.clear()
    stage.server.hang.set()
    assert await pushed == 200
    assert stage.texts() == ["one", "two", "three"]


async def test_a_name_that_nobody_tells_holds_nothing_up(stage: Stage) -> None:
    await direct(stage)
    stage.adapter._arrivals._people._known.clear()
    async with asyncio.timeout(20):
        assert await stage.push(message("hello")) == 200
    assert stage.texts() == ["hello"]


@pytest.mark.parametrize("user", ["@r:hs.test:99999999", "@r:hs.test:", "@r", "", "@" + "r" * 300 + ":x"])
async def test_signs_of_somebody_who_cannot_exist_are_left_out(stage: Stage, user: str) -> None:
    await direct(stage)
    receipt = {"$x": {"m.read": {user: {}, ROMEO: {}}}}
    signs = [
        {"type": "m.receipt", "room_id": ROOM, "content": receipt},
        {"type": "m.typing", "room_id": ROOM, "content": {"user_ids": [user, ROMEO]}},
    ]
    body = {"events": [], "ephemeral": signs}
    assert await stage.push(**{key: value for key, value in body.items() if key != "events"}) == 200
    heard = [event for event in stage.events if isinstance(event, Receipt | TypingNotice)]
    assert {event.sender.address.id for event in heard} == {ROMEO}


async def test_what_somebody_says_who_cannot_exist_elsewhere_is_refused_where_it_was_said(stage: Stage) -> None:
    await direct(stage)
    assert await stage.push(message("x", sender="@r:hs.test:99999999"), message("hello")) == 200
    assert stage.texts() == ["hello"]
    await stage.until(lambda: any("is no Matrix user id" in notice for notice in stage.server.said))


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "m.room.member", "event_id": "$1", "room_id": ROOM, "sender": ROMEO, "state_key": 7, "content": []},
        {"type": "m.room.message", "event_id": "$2", "room_id": ROOM, "sender": ROMEO, "content": [[[]]]},
        {"type": 7},
        {"type": "m.reaction", "event_id": "$3", "room_id": ROOM, "sender": ROMEO, "content": {"m.relates_to": 1}},
    ],
)
async def test_odd_events_are_left_out(stage: Stage, odd: dict[str, Any]) -> None:
    await direct(stage)
    assert await stage.push(odd, message("hello"), ephemeral=[{"type": "m.receipt"}, {}, {"room_id": ROOM}]) == 200
    assert stage.texts()[-1] == "hello"


async def test_a_defect_in_one_event_is_that_events_own(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await direct(stage)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stage.adapter._arrivals._signs, "typing", broken)
    monkeypatch.setattr(stage.adapter._arrivals._membership, "take", broken)
    typing = {"type": "m.typing", "room_id": ROOM, "content": {"user_ids": []}}
    assert await stage.push(invite("!other:hs.test"), message("hello"), ephemeral=[typing]) == 200
    assert stage.texts() == ["hello"]
