"""The router over HTTP: an endpoint in a process of its own sees what one inside would see."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import Connection, event

from bridge.router import wire
from bridge.router.client import HttpRouter
from bridge.router.contract import (
    Accepted,
    BadRequest,
    BlobTooLarge,
    Kind,
    Refusal,
    RefusalCode,
    Router,
    RouterDenied,
    RouterUnavailable,
)
from bridge.router.server import RouterServer
from tests.unit.router.conftest import House, hear, open_room
from tests.unit.router.doubles import endpoint, key_package, namespace, room_uri, says, text_of

BALCONY = room_uri("balcony")


class Site:
    """A house whose hub is served, and clients of it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.port = 0
        self.server = RouterServer(house.hub, heartbeat=0.05)
        self.clients: list[HttpRouter] = []

    async def open(self) -> None:
        self.server = RouterServer(self.house.hub, heartbeat=0.05)
        self.port = await self.server.start("127.0.0.1", self.port)

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        await self.server.stop()

    def client(self, name: str, token: str | None = None, silence: float = 5) -> HttpRouter:
        client = HttpRouter(self.url, token or f"token of {name}", endpoint(name), silence=silence)
        client.session = self.house.router(name).session
        self.clients.append(client)
        return client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
async def site(house: House):
    site = Site(house)
    await site.open()
    yield site
    await site.close()


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def fetch(router: HttpRouter, name: str) -> bytes:
    async with aclosing(router.get_blob(name)) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_a_conversation_over_http(site: Site) -> None:
    xmpp, matrix = site.client("xmpp"), site.client("matrix")
    assert await matrix.publish([key_package("matrix")]) == 1
    assert list(await xmpp.key_material(matrix.endpoint)) == [key_package("matrix")]
    await open_room(xmpp, "matrix")
    answers = await xmpp.submit([says("xmpp", "But soft", epoch=1), says("xmpp", "too late", epoch=0)])
    assert isinstance(answers[0], Accepted)
    assert (answers[0].sequence, answers[0].at) == (2, site.house.clock.now)
    assert isinstance(answers[1], Refusal) and answers[1].code is RefusalCode.EPOCH_TOO_OLD
    welcome, message = await hear(matrix, 2)
    assert welcome.kind is Kind.WELCOME and text_of(message.body) == "But soft"
    assert await hear(matrix, 2) == await hear(site.house.router("matrix"), 2)
    await matrix.acknowledge(message.cursor)
    assert answers[0].cursor == message.cursor
    assert await matrix.identifier_query(f"{namespace('xmpp')}juliet") == (xmpp.endpoint,)
    assert await matrix.identifier_query("mimi://bridge.example/u/smoke~x") == ()
    assert isinstance(await xmpp.group_info(BALCONY), bytes)
    assert await xmpp.rooms() == await site.house.router("xmpp").rooms()


async def test_refusals_come_through_as_they_are(site: Site) -> None:
    xmpp = site.client("xmpp")
    assert (await xmpp.key_material(endpoint("matrix"))).code is RefusalCode.KEY_MATERIAL_EXHAUSTED
    assert (await xmpp.group_info(BALCONY)).code is RefusalCode.NO_SUCH_ROOM


@pytest.mark.parametrize("token", ["wrong", "token of nobody", " "])
async def test_a_wrong_token_opens_nothing(site: Site, token: str) -> None:
    stranger = site.client("xmpp", token)
    with pytest.raises(RouterDenied):
        await stranger.rooms()
    with pytest.raises(RouterDenied):
        await stranger.submit([says("xmpp", "hello")])
    with pytest.raises(RouterDenied):
        await anext(stranger.notify(""))
    with pytest.raises(RouterDenied):
        await stranger.put_blob(stream(b"x"))


@pytest.mark.parametrize("header", [None, "Basic eDp5", "Bearer", "Bearer ", "token of xmpp"])
async def test_without_a_proper_token_the_answer_is_401_in_json(site: Site, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with aiohttp.ClientSession() as session, session.get(f"{site.url}/v1/rooms", headers=headers) as response:
        assert response.status == 401
        assert json.loads(await response.read())["code"] == "router-denied"


async def test_a_header_may_hold_any_octets(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"GET /v1/rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"401"
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def test_text_that_is_not_utf_8_is_a_bad_request(site: Site) -> None:
    headers = {"Authorization": "Bearer token of xmpp", wire.SESSION_HEADER: "session of xmpp"}
    body = b"\x81\xa6target\xa1\xff"  # {"target": one octet that no text starts with}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{site.url}/v1/groupInfo", headers=headers, data=body) as response,
    ):
        assert response.status == 400
        assert json.loads(await response.read())["code"] == BadRequest.code


@pytest.mark.parametrize("kind", [wire.TargetRequest, list[Accepted | Refusal], wire.Material | Refusal, int])
@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x8c", b"\xa1\xff", b"\x91" * 5_000])
def test_what_is_none_of_a_kind_is_refused_in_words(kind: type[object], body: bytes) -> None:
    with pytest.raises(BadRequest, match="not a "):
        wire.decode(body, kind)


async def test_one_endpoints_token_does_not_make_it_another(site: Site) -> None:
    await open_room(site.client("xmpp"), "matrix")
    impostor = site.client("matrix", token="token of shop")
    impostor.session = site.house.router("shop").session
    (answer,) = await impostor.submit([says("matrix", "hello", epoch=1)])
    assert isinstance(answer, Refusal) and answer.code is RefusalCode.NOT_ALLOWED


@pytest.mark.parametrize("operation", ["publish", "keyMaterial", "update", "submitMessage", "acknowledge", "groupInfo"])
@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"\x80", b'{"json": 1}', b"\x81\xa5extra\x01", os.urandom(200)])
async def test_a_body_that_cannot_be_read_is_refused_in_words(site: Site, operation: str, body: bytes) -> None:
    headers = {"Authorization": "Bearer token of xmpp", wire.SESSION_HEADER: "session of xmpp"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{site.url}/v1/{operation}", data=body) as response,
    ):
        failure = json.loads(await response.read())
        assert (response.status, failure["code"]) == (400, "bad-request")
        assert failure["text"].startswith("not a ")


@pytest.mark.parametrize(
    ("path", "status"),
    [("nothing", 404), ("notify?cursor=-1", 400), ("notify?cursor=a.b", 400), ("submitMessage", 405)],
)
async def test_paths_that_are_none_answer_in_json_too(site: Site, path: str, status: int) -> None:
    headers = {"Authorization": "Bearer token of xmpp", wire.SESSION_HEADER: "session of xmpp"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{site.url}/v1/{path}") as response:
        assert response.status == status
        assert json.loads(await response.read())["code"] == "bad-request"


async def test_what_cannot_be_used_is_refused_in_words(site: Site) -> None:
    xmpp = site.client("xmpp")
    with pytest.raises(BadRequest, match="not a usable KeyPackage"):
        await xmpp.publish([b"garbage"])


async def test_a_router_that_is_away_is_unavailable(site: Site) -> None:
    xmpp = site.client("xmpp")
    await site.server.stop()
    with pytest.raises(RouterUnavailable):
        await xmpp.rooms()
    with pytest.raises(RouterUnavailable):
        await xmpp.submit([says("xmpp", "hello")])


async def test_a_listener_survives_a_restart_of_the_router_and_hears_each_message_once(site: Site) -> None:
    matrix = site.client("matrix")
    await open_room(site.client("xmpp"), "matrix")
    heard: list[str] = []

    async def listen() -> None:
        async with aclosing(matrix.notify("")) as batches:
            async for batch in batches:
                heard.extend(text_of(note.body) for note in batch if note.kind is Kind.APPLICATION)
                if len(heard) >= 40:
                    return

    listening = asyncio.create_task(listen())
    for visit in range(4):
        xmpp = site.client("xmpp")
        await xmpp.submit([says("xmpp", str(visit * 10 + n), epoch=1) for n in range(10)])
        if visit == 1:
            await site.server.stop()
            await site.house.restart()
            await site.open()
        await asyncio.sleep(0.1)
    await asyncio.wait_for(listening, 5)
    assert heard == [str(n) for n in range(40)]


async def test_a_quiet_stream_carries_heartbeats(site: Site) -> None:
    headers = {"Authorization": "Bearer token of matrix", wire.SESSION_HEADER: "session of matrix"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{site.url}/v1/notify?cursor=") as response,
    ):
        assert await asyncio.wait_for(response.content.readexactly(12), 5) == bytes(12)


async def test_a_stream_that_falls_silent_is_given_up_and_made_again(house: House) -> None:
    connections = 0
    released = asyncio.Event()

    async def dead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await released.wait()
        writer.close()

    server = await asyncio.start_server(dead, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = HttpRouter(f"http://127.0.0.1:{port}", "token", endpoint("xmpp"), silence=0.1)
    listening = asyncio.create_task(anext(client.notify("")))
    while connections < 3:
        await asyncio.sleep(0.02)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    released.set()
    await client.close()
    server.close()
    await server.wait_closed()


async def test_a_server_that_is_not_the_router_is_unavailable() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\nConnection: close\r\n\r\noops!")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    client = HttpRouter(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "token", endpoint("xmpp"))
    with pytest.raises(RouterUnavailable, match="502"):
        await client.rooms()
    await client.close()
    server.close()
    await server.wait_closed()


async def test_frames_are_found_however_the_stream_is_cut() -> None:
    notes = await _some_notifications()
    data = wire.frame(None) + wire.frame(notes[:2]) + wire.frame(None) + wire.frame(notes[2:])
    for size in (1, 3, 7, len(data)):
        chunks = stream(*(data[start : start + size] for start in range(0, len(data), size)))
        assert [batch async for batch in wire.batches(chunks)] == [notes[:2], notes[2:]]


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\x01\xc0", b"\0\0\0\x02\x91\x05"])
async def test_a_stream_that_is_not_the_routers_is_given_up(data: bytes) -> None:
    with pytest.raises(RouterUnavailable):
        await anext(wire.batches(stream(data)))


async def _some_notifications() -> list:
    from bridge.router.contract import Notification

    return [Notification(n, BALCONY, n, Kind.APPLICATION, 1, endpoint("xmpp"), b"x" * n, 5) for n in range(1, 5)]


# Attachments


async def test_an_attachment_is_stored_and_fetched_by_its_hash(site: Site) -> None:
    data = os.urandom(700_000)
    name = await site.client("xmpp").put_blob(stream(data[:5], data[5:300_000], data[300_000:]))
    assert name == hashlib.sha256(data).hexdigest()
    assert await fetch(site.client("matrix"), name) == data
    assert await site.client("shop").put_blob(stream(data)) == name
    files = [path for path in (site.house.folder / "blobs").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [name]


async def test_an_empty_attachment_is_one_too(site: Site) -> None:
    name = await site.client("xmpp").put_blob(stream())
    assert await fetch(site.client("matrix"), name) == b""


@pytest.mark.parametrize("name", ["0" * 64, "short", "..%2f..%2frouter.db", "A" * 64])
async def test_an_attachment_that_is_not_there_is_a_key_error(site: Site, name: str) -> None:
    with pytest.raises(KeyError):
        await fetch(site.client("xmpp"), name)


async def test_an_attachment_over_the_limit_leaves_nothing_behind(site: Site) -> None:
    with pytest.raises(BlobTooLarge):
        await site.client("xmpp").put_blob(stream(*[bytes(100_000)] * 11))
    assert [path for path in (site.house.folder / "blobs").rglob("*") if path.is_file()] == []


async def test_an_upload_whose_source_fails_says_so_and_leaves_nothing(site: Site) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield b"beginning"
        raise LookupError("the source dried up")

    with pytest.raises(LookupError):
        await site.client("xmpp").put_blob(breaks())
    await asyncio.sleep(0.1)
    assert [path for path in (site.house.folder / "blobs").rglob("*") if path.is_file()] == []


async def test_half_an_upload_is_thrown_away_at_the_next_start(house: House) -> None:
    leftover: Path = house.folder / "blobs" / "incoming" / "half"
    leftover.write_bytes(b"half")
    await house.restart()
    assert not leftover.exists()


async def test_old_attachments_are_forgotten(house: House) -> None:
    router = house.router("xmpp")
    name = await router.put_blob(stream(b"old"))
    kept = await router.put_blob(stream(b"young"))
    os.utime(house.folder / "blobs" / name[:2] / name, (0, 0))
    await house.hub.prune()
    with pytest.raises(KeyError):
        await anext(aiter(router.get_blob(name)))
    assert await anext(aiter(router.get_blob(kept))) == b"young"


# A disk that is full


async def test_a_router_with_a_full_disk_takes_nothing_and_goes_on_when_there_is_room(site: Site) -> None:
    database = site.house.hub._journal._database  # type: ignore[attr-defined]
    pages = 10

    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    async def talk(router: Router) -> None:
        for number in range(200):
            await router.submit([says("xmpp", f"{number}" * 500, epoch=1)])

    routers = [site.client("xmpp"), site.house.router("xmpp")]
    await open_room(routers[0], "matrix")
    event.listen(database.engine, "begin", limit)
    talks = [asyncio.create_task(talk(router)) for router in routers]
    while not database.writer.trouble:
        await asyncio.sleep(0.01)
    assert not any(task.done() for task in talks)
    pages = 1_000_000
    await asyncio.gather(*talks)
    heard = [note for note in await hear(site.client("matrix"), 1) if note.kind is Kind.APPLICATION]
    (answer,) = await routers[0].submit([says("xmpp", "room again", epoch=1)])
    assert isinstance(answer, Accepted) and answer.sequence == len(heard) + 2
