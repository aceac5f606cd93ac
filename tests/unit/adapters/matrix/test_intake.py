"""What a homeserver pushes: read, or refused so that it can be seen, however it is made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.matrix.arrivals import Arrivals
from adapters.matrix.codec import Json
from adapters.matrix.intake import Intake
from tests.unit.adapters.business.memory import MemoryStore

TOKEN = "t" * 40


class Heard(list[Json]):
    """Takes every event."""

    async def event(self, event: Json) -> None:
        self.append(event)


class Homeserver:
    """Pushes transactions."""

    def __init__(self, server: TestServer, http: aiohttp.ClientSession, heard: Heard) -> None:
        self.server, self.http, self.heard = server, http, heard

    async def push(self, body: bytes, token: str = TOKEN) -> int:
        url = self.server.make_url("/_matrix/app/v1/transactions/1")
        async with self.http.put(url, data=body, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status


@pytest.fixture
async def homeserver() -> AsyncIterator[Homeserver]:
    async def nobody(_: str) -> bool:
        return False

    heard = Heard()
    intake = Intake(TOKEN, MemoryStore(), cast("Arrivals", cast("Any", heard)), nobody, nobody)
    app = web.Application()
    app.add_routes(intake.routes())
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield Homeserver(server, http, heard)


async def test_each_event_is_heard_and_a_broken_one_spoils_no_others(homeserver: Homeserver) -> None:
    assert await homeserver.push(b'{"events":[{"type":"a"},7,{"type":"b"}]}') == 200
    assert homeserver.heard == [{"type": "a"}, {}, {"type": "b"}]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"events":7}', b'{"events":[\xff]}', b'{"events":[' + b"[" * 5_000 + b"]" * 4_999 + b"]}"]
)
async def test_what_is_no_transaction_is_refused(homeserver: Homeserver, body: bytes) -> None:
    assert await homeserver.push(body) == 400
    assert not homeserver.heard


@pytest.mark.parametrize(
    ("odd", "heard"),
    [
        (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "a list of lists"),
        (b'{"a":' + b'{"b":' * 5_000 + b"1" + b"}" * 5_000 + b"}", "an object of objects"),
        (b'{"a":"\\ud83d"}', "half of a surrogate pair"),
    ],
)
async def test_an_event_that_no_parser_bears_spoils_no_others(homeserver: Homeserver, odd: bytes, heard: str) -> None:
    assert await homeserver.push(b'{"events":[{"type":"a"},' + odd + b',{"type":"b"}]}') == 200, heard
    assert [event.get("type") for event in homeserver.heard] == ["a", None, "b"]


async def test_a_wrong_token_is_refused(homeserver: Homeserver) -> None:
    assert await homeserver.push(msgspec.json.encode({}), "wrong") == 403
