"""A link of the business's must not lead us around in our own network."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from adapters.business.errors import MediaDownload
from adapters.business.links import Links, PublicResolver, is_public

PLACES = {
    "/rose.png": lambda _: web.Response(body=b"rose", content_type="image/png"),
    "/guess/rose.jpg": lambda _: web.Response(body=b"rose", content_type="application/octet-stream"),
    "/once": lambda _: web.HTTPFound("/rose.png"),
    "/round": lambda _: web.HTTPFound("/round"),
    "/nowhere": lambda _: web.Response(status=302),
    "/file": lambda _: web.HTTPFound("file:///etc/passwd"),
    "/gone": lambda _: web.Response(status=410),
}


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = PLACES[request.path](request)
        if isinstance(response, web.HTTPException):
            raise response
        return response

    app = web.Application()
    app.router.add_get("/{place:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _get(link: str, *, private: bool) -> tuple[str, str, bytes]:
    links = Links(private=private, seconds=5)
    try:
        async with links.get(link) as fetched:
            body = b"".join([chunk async for chunk in fetched.chunks()])
            return fetched.mime, fetched.name, body
    finally:
        await links.close()


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("/rose.png", ("image/png", "rose.png", b"rose")),
        ("/once", ("image/png", "rose.png", b"rose")),
        ("/guess/rose.jpg", ("image/jpeg", "rose.jpg", b"rose")),
    ],
)
async def test_a_file_is_fetched(server: str, place: str, found: tuple[str, str, bytes]) -> None:
    assert await _get(server + place, private=True) == found


@pytest.mark.parametrize("place", ["/round", "/nowhere", "/file", "/gone"])
async def test_what_is_no_file_is_refused(server: str, place: str) -> None:
    with pytest.raises(MediaDownload):
        await _get(server + place, private=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0.0.0.0", "[::ffff:7f00:1]"]
)
async def test_our_own_network_is_closed_however_it_is_written(server: str, host: str) -> None:
    port = server.rpartition(":")[2]
    with pytest.raises(MediaDownload):
        await _get(f"http://{host}:{port}/rose.png", private=False)


@pytest.mark.parametrize("link", ["", "rose", "ftp://example.org/x", "http://", "http://[", "file:///etc/passwd"])
async def test_what_is_no_link_is_refused(link: str) -> None:
    with pytest.raises(MediaDownload):
        await _get(link, private=True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_is_judged_by_what_it_resolves_to() -> None:
    resolver = PublicResolver()
    with pytest.raises(OSError, match="not in the public Internet"):
        await resolver.resolve("localhost", 80, socket.AF_UNSPEC)
    await resolver.close()
