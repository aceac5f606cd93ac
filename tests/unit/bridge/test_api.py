"""An operator asks a running daemon; a stranger learns nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from bridge.api.app import Api, KeyView, MessageView, QuarantineView, RoomView
from bridge.api.metrics import Figures
from bridge.errors import ConfigError
from bridge.reload import Difference

TOKEN = "t" * 40
ID = "01" * 32


class Endpoint:
    """One endpoint with one parked message."""

    def __init__(self) -> None:
        self.replayed: list[str] = []
        self.aside = [QuarantineView(7, "event", "a|b", "defect", "KeyError: 'x'", 1, 1)]

    async def messages(self, *, limit: int, room: str, state: str, before: str = "") -> Sequence[MessageView]:
        if state not in ("", "parked"):
            raise ValueError(f"state: '{state}' is none of queued, parked")
        return [MessageView(ID, "mimi://b.example/r/1", "out", "mimi://b.example/u/xmpp~a", 1, "parked", parked=True)]

    async def message(self, id: str) -> MessageView | None:
        return (await self.messages(limit=1, room="", state=""))[0] if id == ID else None

    async def replay(self, id: str) -> bool:
        self.replayed.append(id)
        return id == ID

    async def rooms(self) -> Sequence[RoomView]:
        return []

    async def quarantine(self, *, limit: int, kind: str) -> Sequence[QuarantineView]:
        if kind not in ("", "event"):
            raise ValueError(f"kind: '{kind}' is none of event")
        return self.aside[:limit]

    async def quarantined(self, id: int) -> QuarantineView | None:
        return next((view for view in self.aside if view.id == id), None)

    async def retry(self, id: int) -> bool:
        if id == 7:
            raise ValueError("it failed again: no such room")
        return False

    async def drop(self, id: int) -> bool:
        before = len(self.aside)
        self.aside = [view for view in self.aside if view.id != id]
        return len(self.aside) < before

    def key(self) -> KeyView:
        return KeyView("xmpp", "mimi://b.example/d/xmpp", "ab" * 32, 2, "re-encrypted at the operator")


class Asked:
    """A client of the interface, with or without the right token."""

    def __init__(self, server: TestServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http

    async def __call__(self, method: str, path: str, token: str = TOKEN) -> tuple[int, object]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.request(method, self.server.make_url(path), headers=headers) as answer:
            return answer.status, await answer.json(content_type=None) if path != "/metrics" else await answer.text()


@pytest.fixture
async def ask() -> AsyncIterator[Asked]:
    figures = Figures()
    figures.of("xmpp").count("received", 3)
    ready = {"ready": True}
    api = Api(lambda: {"xmpp": ready}, figures, TOKEN)
    api.add("xmpp", Endpoint())
    async with TestServer(api.app) as server, aiohttp.ClientSession() as http:
        asked = Asked(server, http)
        asked.ready = ready  # type: ignore[attr-defined]
        yield asked


async def test_health_says_which_part_is_not_ready(ask: Asked) -> None:
    assert await ask("GET", "/healthz", "") == (200, {"status": "ready", "parts": {"xmpp": {"ready": True}}})
    ask.ready["ready"] = False  # type: ignore[attr-defined]
    status, body = await ask("GET", "/healthz", "")
    assert status == 503
    assert body == {"status": "not ready", "parts": {"xmpp": {"ready": False}}}


async def test_figures_are_named_and_labelled(ask: Asked) -> None:
    status, text = await ask("GET", "/metrics", "")
    assert status == 200
    assert 'rialto_received_total{endpoint="xmpp"} 3.0' in str(text)
    assert 'rialto_parked_total{endpoint="xmpp"} 0.0' in str(text)


async def test_a_parked_message_is_listed_shown_and_replayed(ask: Asked) -> None:
    status, listed = await ask("GET", "/v1/endpoints/xmpp/messages?state=parked")
    assert status == 200
    assert isinstance(listed, list)
    assert listed[0]["id"] == ID
    assert (await ask("GET", f"/v1/endpoints/xmpp/messages/{ID}"))[0] == 200
    assert await ask("POST", f"/v1/endpoints/xmpp/messages/{ID}/replay") == (200, {"replayed": ID})
    assert (await ask("POST", "/v1/endpoints/xmpp/messages/02/replay"))[0] == 404


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("/v1/endpoints/xmpp/rooms", "wrong", 401),
        ("/v1/endpoints/matrix/rooms", TOKEN, 404),
        ("/v1/endpoints/xmpp/quarantine?kind=none", TOKEN, 400),
        ("/v1/endpoints/xmpp/quarantine/8", TOKEN, 404),
        ("/v1/endpoints/xmpp/quarantine/x", TOKEN, 400),
        ("/v1/endpoints/xmpp/messages?limit=0", TOKEN, 400),
        ("/v1/endpoints/xmpp/messages?state=lost", TOKEN, 400),
        ("/v1/endpoints/xmpp/messages/02", TOKEN, 404),
        ("/nowhere", TOKEN, 404),
    ],
)
async def test_what_is_wrong_is_said_in_one_shape(ask: Asked, path: str, token: str, status: int) -> None:
    answered, body = await ask("GET", path, token)
    assert answered == status
    assert isinstance(body, dict)
    assert set(body) == {"code", "text"}


async def test_what_was_put_aside_is_listed_shown_tried_again_and_dropped(ask: Asked) -> None:
    status, listed = await ask("GET", "/v1/endpoints/xmpp/quarantine")
    assert (status, [view["code"] for view in listed]) == (200, ["defect"])  # type: ignore[index]
    assert (await ask("GET", "/v1/endpoints/xmpp/quarantine/7"))[0] == 200
    status, told = await ask("POST", "/v1/endpoints/xmpp/quarantine/7/retry")
    assert (status, told["text"]) == (400, "it failed again: no such room")  # type: ignore[index]
    assert await ask("POST", "/v1/endpoints/xmpp/quarantine/7/drop") == (200, {"dropped": 7})
    assert (await ask("POST", "/v1/endpoints/xmpp/quarantine/7/drop"))[0] == 404


async def test_a_reload_answers_with_what_is_different_or_with_every_finding() -> None:
    answers: list[object] = [Difference(added=("irc",)), ConfigError(("rialto.toml:3: unknown key 'x'",))]

    async def reload() -> Difference:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Difference)
        return answer

    api = Api(dict, Figures(), TOKEN, reload)
    async with TestServer(api.app) as server, aiohttp.ClientSession() as http:
        ask = Asked(server, http)
        assert (await ask("POST", "/v1/reload", "a token of the router's"))[0] == 401
        assert await ask("POST", "/v1/reload") == (200, {"added": ["irc"]})
        status, told = await ask("POST", "/v1/reload")
        assert (status, told["text"]) == (400, "rialto.toml:3: unknown key 'x'")  # type: ignore[index]


async def test_a_token_of_any_octets_is_a_wrong_one(ask: Asked) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ask.server.port)
    request = (
        b"GET /v1/endpoints/xmpp/rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\r\nConnection: close\r\n\r\n"
    )
    writer.write(request)
    assert (await reader.readline()).split()[1] == b"401"
    await reader.read()
    writer.close()
    await writer.wait_closed()


def test_the_specification_names_every_route() -> None:
    api = Api(dict, Figures(), TOKEN)
    routes = {route.resource.canonical for route in api.app.router.routes() if route.resource is not None}
    specified = re.findall(r"^  (/\S*):$", (Path(__file__).parents[3] / "specs/openapi.yaml").read_text(), re.MULTILINE)
    assert routes == set(specified)
