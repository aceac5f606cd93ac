"""Files: fetched, sealed, stored as ciphertext with the router, and opened again at the other end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from aiohttp import web
from msgspec import structs

from adapters.contract import Direct, Message, Permanent, Reason, Retry
from bridge.endpoint import MediaLimits
from protocol.content import ExternalPart, MultiPart, Semantics, text
from protocol.status import Status
from tests.unit.endpoint.fake_adapter import FakeAdapter, Plain
from tests.unit.endpoint.house import House, until

PICTURE = bytes(range(256)) * 2000  # half a megabyte


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


def picture(url: str) -> ExternalPart:
    return ExternalPart("image/png", url, filename="p.png", description="a picture")


def stored(house: House) -> bytes:
    blobs = house.folder / "blobs"
    return b"".join(path.read_bytes() for path in blobs.rglob("*") if path.is_file())


async def test_a_file_arrives_and_the_router_has_only_ciphertext(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.files["sea:1"] = PICTURE
    caption = MultiPart(Semantics.SINGLE_UNIT, (picture("sea:1"), text("look")))
    sea.say(here, Message(caption), "m1")
    await until(lambda: sea.reports)
    assert [file for taken in sky.taken for file in taken.files] == [PICTURE]
    part = next(p for taken in sky.taken for p in _external(taken.message.part))
    assert part.size == len(PICTURE)
    assert part.url.startswith("https://bridge.example/proxyDownload/")
    assert (part.filename, part.description) == ("p.png", "a picture")
    assert len(stored(house)) >= len(PICTURE)
    assert PICTURE[:64] not in stored(house)
    assert sea.statuses("m1") == [Status.DELIVERED]


def _external(part: object) -> list[ExternalPart]:
    if isinstance(part, ExternalPart):
        return [part]
    return [found for inner in getattr(part, "parts", ()) for found in _external(inner)]


async def test_what_follows_a_file_does_not_overtake_it(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.files["sea:1"] = PICTURE
    sea.fetch_outcomes += [Retry("busy", after=0.2)]
    sea.say(here, "first", "m1")
    sea.say(here, Message(picture("sea:1")), "m2")
    sea.say(here, "third", "m3")
    sea.say(here, Message(text("about the picture"), in_reply_to="m2"), "m4")
    await until(lambda: sea.acknowledged == ["m1", "m2", "m3", "m4"])
    assert not sky.taken[1:]  # all are accepted, and the picture is not there yet
    await until(lambda: len(sky.taken) == 4)
    assert [getattr(taken.message.part, "text", "file") for taken in sky.taken] == [
        "first",
        "file",
        "third",
        "about the picture",
    ]
    assert sky.taken[3].message.in_reply_to == sky.taken[1].native_id


async def test_a_file_that_cannot_be_had_fails_its_message_and_no_other(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.fetch_outcomes += [Permanent(Reason.MEDIA_REFUSED, "it has a virus")]
    sea.say(here, Message(picture("sea:gone")), "m1")
    sea.say(here, "the next", "m2")
    await until(lambda: len(sea.reports) == 2)
    failed = next(update for _, update in sea.reports if update.native_id == "m1")
    assert (failed.status, failed.reason, failed.text) == (
        Status.ERROR,
        "media-refused",
        "The recipient's network does not take this file.",
    )
    assert sky.texts() == ["the next"]


async def test_a_file_over_the_limit_is_refused_with_the_limit(house: House, here: Direct) -> None:
    await house.make("sea", media=MediaLimits(largest=1000)).start()
    await house.start("sky")
    sea = house.networks["sea"]
    sea.files["sea:1"] = PICTURE
    sea.say(here, Message(picture("sea:1")), "m1")
    await until(lambda: sea.reports)
    update = sea.reports[0][1]
    assert update.reason == "media-too-large"
    assert "1000" in update.text


async def test_a_file_that_was_changed_on_its_way_is_never_shown(house: House, here: Direct) -> None:
    seen: list[bytes] = []

    class Watching(FakeAdapter):
        async def take(self, delivery, key):
            seen.extend([chunk async for chunk in delivery.open(delivery.message.part)])
            raise AssertionError("a forged file was opened")

    await house.start("sea")
    sea = house.networks["sea"]
    sea.files["sea:1"] = PICTURE
    sea.say(here, "open the room", "m0")
    sea.say(here, Message(picture("sea:1")), "m1")
    endpoint = house.make("sky", Watching(house.networks["sky"]))
    await until(lambda: (house.folder / "blobs").exists() and stored(house))
    for path in (house.folder / "blobs").rglob("*"):
        if path.is_file():
            damaged = bytearray(path.read_bytes())
            damaged[1000] ^= 1
            path.write_bytes(bytes(damaged))

    def script(delivery, key):
        return Permanent("rejected") if hasattr(delivery.message.part, "text") else None

    house.adapters["sky"].script = script
    await endpoint.start()
    await until(lambda: len(sea.reports) == 2)
    update = next(update for _, update in sea.reports if update.native_id == "m1")
    assert (update.status, update.reason) == (Status.ERROR, "media-unreachable")
    assert not seen


async def test_a_file_on_the_web_is_fetched_where_the_adapter_has_none_of_its_own(house: House, here: Direct) -> None:
    answers = {"/ok": 200, "/gone": 404}
    busy = [503]

    async def serve(request: web.Request) -> web.Response:
        if request.path == "/busy" and busy:
            return web.Response(status=busy.pop())
        return web.Response(status=answers.get(request.path, 200), body=PICTURE)

    async with _server(serve) as base:
        await house.make("sea", Plain(house.networks["sea"])).start()
        await house.start("sky")
        sea, sky = house.networks["sea"], house.networks["sky"]
        for number, path in enumerate(("/ok", "/gone", "/busy")):
            sea.say(here, Message(picture(base + path)), f"m{number}")
        inline = "data:image/png;base64," + base64.b64encode(b"tiny").decode()
        sea.say(here, Message(picture(inline)), "m4")
        sea.say(here, Message(picture("file:///etc/passwd")), "m5")
        await until(lambda: len(sky.taken) == 4, 20)
        assert [taken.files for taken in sky.taken] == [[PICTURE], [], [PICTURE], [b"tiny"]]
        assert sky.taken[1].text.endswith(f"{base}/gone"), "its link, for what it is worth"
        for _ in range(200):
            failed = [row for row in await house.endpoints["sea"].operator.messages() if row.reason]
            if len(failed) == 2:
                break
            await asyncio.sleep(0.02)
        assert {row.native_id: row.reason for row in failed} == {
            "m1": "media-unreachable",
            "m5": "media-unreachable",
        }


async def test_a_file_inside_a_message_is_proven_like_any_other(house: House) -> None:
    await house.start()
    attachments = house.endpoints["sky"].attachments
    tiny = ExternalPart("text/plain", "data:,tiny", size=4, hash_alg=1, content_hash=sha256(b"tiny").digest())
    assert [chunk async for chunk in attachments.open(tiny)] == [b"tiny"]
    for wrong in ({"url": "data:,TINY"}, {"size": 5}, {"url": "data:tiny"}):
        with pytest.raises(Permanent):
            [chunk async for chunk in attachments.open(structs.replace(tiny, **wrong))]


def _server(handler):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def running() -> AsyncIterator[str]:
        runner = web.ServerRunner(web.Server(handler))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()

    return running()


async def test_a_file_still_wanted_after_a_restart_is_fetched_then(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.fetch_outcomes += [Retry("later", after=30)]
    sea.say(here, Message(picture("sea:1")), "m1")
    sea.say(here, "behind it", "m2")
    await until(lambda: len(sea.acknowledged) == 2 and not sea.fetch_outcomes)
    await house.endpoints["sea"].stop()
    sea.files["sea:1"] = PICTURE
    await house.make("sea").start()
    await until(lambda: len(sky.taken) == 2)
    assert (sky.taken[0].files, sky.taken[1].text) == ([PICTURE], "behind it")


def test_the_limits_of_media_are_configuration() -> None:
    assert structs.replace(MediaLimits(), largest=5).largest == 5
