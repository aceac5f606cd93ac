"""What the adapter makes of a homeserver's moods, and who may push to it: no real homeserver, only HTTP."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from adapters.contract import (
    Direct,
    Inbound,
    Outcome,
    Permanent,
    Profile,
    Reason,
    Receipt,
    Retry,
    SignedOut,
    Throttled,
    TypingNotice,
    Unsure,
)
from adapters.matrix import MatrixConfig
from adapters.matrix.client import Client, Rejected
from adapters.matrix.directs import Binding
from protocol.uri import Address
from tests.scenarios.matrix.host import Host
from tests.servers.ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PUSH = "/_matrix/app/v1/transactions"
ROOM = "!room"
GHOST = "@rialto_xmpp_juliet=40xmpp.test:hs.test"
ROMEO = "@romeo:hs.test"


class Homeserver:
    """Answers as it is told: ``answer`` for anything that has no answer of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.asked: list[tuple[str, str]] = []
        self.answer: Handler | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        if self.answer is not None:
            return await self.answer(request)
        if request.path.endswith("/whoami"):
            return web.json_response({"user_id": "@rialto:hs.test"})
        return web.json_response({"event_id": "$said"})


@pytest.fixture
async def homeserver() -> AsyncIterator[Homeserver]:
    homeserver = Homeserver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", homeserver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", homeserver.port).start()
    yield homeserver
    await runner.cleanup()


@pytest.fixture
async def client(homeserver: Homeserver) -> AsyncIterator[Client]:
    client = Client(homeserver.url, "token")
    yield client
    await client.close()


@pytest.fixture
async def host(homeserver: Homeserver) -> AsyncIterator[Host]:
    port = free_port()
    config = MatrixConfig(
        homeserver=homeserver.url,
        server_name="hs.test",
        url=f"http://127.0.0.1:{port}",
        as_token="as-token",
        hs_token="hs-token",
    )
    host = Host(config, port)
    binding = Binding(ROMEO, "xmpp", "juliet@xmpp.test", 1)
    host.store.values[f"direct/{ROOM}"] = msgspec.json.encode(binding)
    await host.start()
    yield host
    await host.stop()


def answering(status: int, body: object, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return answer


# --- moods ---


@pytest.mark.parametrize(
    ("status", "body", "headers", "outcome"),
    [
        (429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1500}, {}, Throttled),
        (429, {"errcode": "M_LIMIT_EXCEEDED"}, {"Retry-After": "3"}, Throttled),
        (429, "slower", {}, Throttled),
        (500, {"errcode": "M_UNKNOWN"}, {}, Unsure),
        (502, "<html>", {}, Unsure),
        (401, {"errcode": "M_UNKNOWN_TOKEN"}, {}, SignedOut),
        (403, {"errcode": "M_FORBIDDEN", "error": "no"}, {}, Rejected),
        (413, {"errcode": "M_TOO_LARGE"}, {}, Rejected),
        (400, [], {}, Rejected),
    ],
)
async def test_each_answer_is_an_outcome(
    homeserver: Homeserver, client: Client, status: int, body: object, headers: dict[str, str], outcome: type[Outcome]
) -> None:
    homeserver.answer = answering(status, body, **headers)
    with pytest.raises(Outcome) as raised:
        await client.call("PUT", "/x", {}, says=True)
    assert type(raised.value) is outcome


async def test_a_limit_says_how_long_to_wait(homeserver: Homeserver, client: Client) -> None:
    for body, headers, seconds in (
        ({"retry_after_ms": 1500}, {"Retry-After": "9"}, 1.5),
        ({}, {"Retry-After": "9"}, 9.0),
        ({"retry_after_ms": "soon"}, {}, 0.5),
    ):
        homeserver.answer = answering(429, body, **headers)
        with pytest.raises(Throttled) as raised:
            await client.call("GET", "/x")
        assert raised.value.after == seconds


async def test_refusals_have_reasons(homeserver: Homeserver, client: Client) -> None:
    for errcode, reason in (
        ("M_FORBIDDEN", Reason.NOT_ALLOWED),
        ("M_NOT_FOUND", Reason.RECIPIENT_UNKNOWN),
        ("M_TOO_LARGE", Reason.TOO_LARGE),
        ("M_WEIRD", Reason.REJECTED),
    ):
        homeserver.answer = answering(400, {"errcode": errcode, "error": "why"})
        with pytest.raises(Permanent, match="why") as raised:
            await client.call("GET", "/x")
        assert raised.value.reason == reason


async def test_a_lost_answer_is_unsure_only_for_what_is_said(homeserver: Homeserver, client: Client) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    homeserver.answer = hang_up
    with pytest.raises(Unsure):
        await client.call("PUT", "/x", {}, says=True)
    with pytest.raises(Retry):
        await client.call("POST", "/x", {})
    assert client.reachable is False


async def test_nobody_there_is_a_retry() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", "token")
    with pytest.raises(Retry, match="cannot reach"):
        await client.call("PUT", "/x", {}, says=True)
    await client.close()


async def test_a_wrong_token_is_said_when_it_opens(homeserver: Homeserver) -> None:
    config = MatrixConfig(
        homeserver=homeserver.url, server_name="hs.test", url="http://127.0.0.1:1", as_token="a", hs_token="h"
    )
    for answer, word in (
        (answering(401, {"errcode": "M_UNKNOWN_TOKEN"}), "as_token"),
        (answering(400, {"errcode": "M_EXCLUSIVE", "error": "not yours"}), "registration"),
        (answering(200, {"user_id": "@other:hs.test"}), "sender_localpart"),
    ):
        homeserver.answer = answer
        with pytest.raises(SignedOut, match=word):
            await Host(config, 1).start()
    missing = MatrixConfig(
        homeserver=homeserver.url, server_name="hs.test", url="http://127.0.0.1:1", as_token="a", hs_token_file="/no"
    )
    with pytest.raises(SignedOut, match="hs_token_file"):
        await Host(missing, 1).start()


# --- who may push ---


async def push(
    host: Host, path: str, body: Any = None, *, token: str | None = "hs-token", method: str = "PUT", data: bytes = b""
) -> tuple[int, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session:
        sent = {"data": io.BytesIO(data if body is None else json.dumps(body).encode())}
        async with session.request(method, host.config.url + path, headers=headers, **sent) as answer:
            return answer.status, (await answer.json()).get("errcode")


def message(event_id: str, body: object = "x", sender: str = ROMEO, **more: Any) -> dict[str, Any]:
    content = {"msgtype": "m.text", "body": body}
    return {
        "type": "m.room.message", "event_id": event_id, "room_id": ROOM, "sender": sender, "content": content,
        "origin_server_ts": 1,
    } | more  # fmt: skip


async def test_only_the_homeserver_may_push(host: Host) -> None:
    for path, method in ((f"{PUSH}/1", "PUT"), ("/_matrix/app/v1/users/x", "GET"), ("/_matrix/app/v1/ping", "POST")):
        body = {"events": [message("$1")]}
        assert await push(host, path, body, token="wrong", method=method) == (403, "M_FORBIDDEN")
        assert await push(host, path, body, token=None, method=method) == (401, "M_UNAUTHORIZED")
    assert host.events == []
    assert await push(host, "/_matrix/app/v1/ping", {}, method="POST") == (200, None)


async def test_old_homeservers_use_older_paths(host: Host) -> None:
    assert await push(host, "/transactions/1?access_token=hs-token", {"events": [message("$1")]}, token=None) == (
        200,
        None,
    )
    assert await push(host, "/transactions/2?access_token=wrong", {"events": [message("$2")]}, token=None) == (
        403,
        "M_FORBIDDEN",
    )
    assert host.texts() == ["x"]


async def test_what_is_no_transaction_is_refused(host: Host) -> None:
    for data in (b"", b"{", b"[]", b'{"events": 7}', b'"\xff"'):
        assert await push(host, f"{PUSH}/1", data=data) == (400, "M_NOT_JSON")
    assert await push(host, f"{PUSH}/1", {"events": [message("$1")]}) == (200, None), "the id was not used up"
    assert host.texts() == ["x"]


async def test_one_bad_event_spoils_no_other(host: Host) -> None:
    events = [
        7, None, {}, [], message("$a", sender=7), message("$b", room_id=None), message("$c", type=None),  # type: ignore[arg-type]
        message("$d", type="m.room.member", state_key=5),
        message("$e", type="m.room.member", content="x", state_key="@x:y"),
        message("$f", type="m.room.member", content={"membership": ["x"]}, state_key=GHOST),
        message("$g", room_id="!unknown"), message("$h", sender=GHOST), message("$good", "heard"),
    ]  # fmt: skip
    assert await push(host, f"{PUSH}/1", {"events": events}) == (200, None)
    assert host.texts() == ["heard"]


async def test_a_body_larger_than_most_servers_take(host: Host) -> None:
    events = [message(f"${n}", "x" * 50_000) for n in range(60)]
    assert await push(host, f"{PUSH}/1", {"events": events}) == (200, None)
    assert len(host.events) == 60


async def test_a_transaction_is_answered_when_all_is_durable_and_not_before(host: Host) -> None:
    host.held = True
    pushing = [
        asyncio.create_task(push(host, f"{PUSH}/1", {"events": [message("$1"), message("$2")]})) for _ in range(2)
    ]
    first, second = await host.heard(), await host.heard()
    first.acknowledge(None)
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in pushing)
    second.acknowledge(None)
    assert await asyncio.gather(*pushing) == [(200, None)] * 2
    assert len(host.events) == 2, "the same transaction, pushed twice at once, is one"

    await host.stop()
    host.held = False
    await host.start()
    assert await push(host, f"{PUSH}/1", {"events": [message("$1"), message("$2")]}) == (200, None)
    assert len(host.events) == 2, "and it is remembered"


async def test_closing_leaves_the_rest_to_the_homeserver(host: Host) -> None:
    host.held = True
    pushing = asyncio.create_task(push(host, f"{PUSH}/1", {"events": [message("$1")]}))
    await host.heard()
    await host.adapter.close()
    assert await pushing == (503, "M_UNKNOWN")


async def test_signs_come_under_either_name_and_once(host: Host) -> None:
    typing = {"type": "m.typing", "room_id": ROOM, "content": {"user_ids": [ROMEO, GHOST, 7]}}
    read = {"m.read": {ROMEO: {"ts": 1}, GHOST: {"ts": 1}}}
    receipt = {"type": "m.receipt", "room_id": ROOM, "content": {"$1": read, "$2": {"m.read": 7}, "$3": 7}}
    odd = [{}, 7, {"room_id": "!unknown", "content": {}}, {"room_id": ROOM, "content": {}, "type": "m.typing"}]
    signs = [typing, receipt]
    unstable = "de.sorunome.msc2409.ephemeral"
    assert await push(host, f"{PUSH}/1", {"events": [], "ephemeral": signs, unstable: signs}) == (200, None)
    assert await push(host, f"{PUSH}/2", {unstable: [*odd, receipt]}) == (200, None)
    seen = [type(e) for e in host.events]
    assert seen == [TypingNotice, Receipt, TypingNotice, Receipt]
    assert [e.active for e in host.events if isinstance(e, TypingNotice)] == [True, False]
    assert [e.native_ids for e in host.events if isinstance(e, Receipt)] == [("$1",)] * 2


async def test_who_exists(host: Host, homeserver: Homeserver) -> None:
    async def exists(user: str) -> int:
        return (await push(host, f"/_matrix/app/v1/users/{user}", method="GET"))[0]

    assert await exists("@rialto_xmpp_nurse=40xmpp.test:hs.test") == 200
    assert ("POST", "/_matrix/client/v3/register") in homeserver.asked
    assert await exists("@rialto_xmpp_:hs.test") == 404
    assert await exists("@rialto_matrix_=40romeo=3ahs.test:hs.test") == 404
    assert (await push(host, "/_matrix/app/v1/rooms/%23rialto_x:hs.test", method="GET"))[0] == 404
    homeserver.answer = answering(500, {})
    assert await exists("@rialto_xmpp_tybalt:hs.test") == 503


async def test_a_refusal_that_cannot_be_told_still_ends_the_transaction(host: Host, homeserver: Homeserver) -> None:
    homeserver.answer = answering(500, {})
    assert await push(host, f"{PUSH}/1", {"events": [message("$1", 7), message("$2")]}) == (200, None)
    assert [e.native_id for e in host.events if isinstance(e, Inbound)] == ["$2"]
    assert any("/send/m.room.message/refused-1" in path for _, path in homeserver.asked)


async def test_the_hot_path_is_one_request(host: Host, homeserver: Homeserver) -> None:
    juliet = Profile(Address("xmpp", "juliet@xmpp.test"), "Juliet")
    there = Direct(Address("matrix", ROMEO), juliet.address)
    await host.say(there, juliet, "first")
    homeserver.asked.clear()
    await host.say(there, juliet, "second", key="k")
    assert homeserver.asked == [("PUT", f"/_matrix/client/v3/rooms/{ROOM}/send/m.room.message/s-k")]
