"""Stories about limits: the router refuses what is too much, says so, keeps order, and nothing of it stays for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest

from bridge.limits import Limits as Bounds
from bridge.router.client import HttpRouter, split
from bridge.router.configuration import DAY
from bridge.router.contract import (
    Accepted,
    BlobTooLarge,
    Kind,
    Refusal,
    RefusalCode,
    RouterDenied,
    RouterUnavailable,
    WentBack,
)
from bridge.router.fanout import LISTENERS
from bridge.router.grants import EndpointGrant
from bridge.router.hub import Limits
from bridge.router.server import RouterServer
from bridge.router.submissions import LONGEST_SIGN
from tests.unit.router.conftest import ROOMS, House, hear, hello, open_room
from tests.unit.router.doubles import creation, endpoint, key_package, leaf, namespace, room_uri, says, text_of

BALCONY, ORCHARD = room_uri("balcony"), room_uri("orchard")


def code_of(answer: object) -> RefusalCode:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _drain(listening: AsyncIterator[object]) -> None:
    async for _ in listening:
        pass


async def bounded(house: House, **bounds: int) -> None:
    await house.restart(bounds=Bounds(**bounds))


# What is held for an endpoint


async def test_an_endpoint_that_does_not_fetch_is_full_until_it_does(house: House) -> None:
    await bounded(house, held_octets=1000)
    xmpp, matrix = house.router("xmpp"), house.router("matrix")
    await open_room(xmpp, "matrix")
    await matrix.acknowledge((await hear(matrix, 1))[-1].cursor)
    texts = [says("xmpp", str(n) + "x" * 300, epoch=1) for n in range(4)]
    answers = await xmpp.submit([*texts, says("xmpp", "small", epoch=1)])
    taken = [answer for answer in answers if isinstance(answer, Accepted)]
    assert 0 < len(taken) < 4
    refused = answers[len(taken) :]
    assert {code_of(answer) for answer in refused} == {RefusalCode.RECIPIENT_FULL}, "also the small one: order is kept"
    heard = await hear(matrix, 1 + len(taken))
    await matrix.acknowledge(heard[-1].cursor)
    again = await xmpp.submit([*texts[len(taken) :], says("xmpp", "small", epoch=1)])
    assert isinstance(again[0], Accepted)
    assert isinstance((await xmpp.submit(texts[:1]))[0], Accepted), "what is there already is answered as before"


async def test_a_full_recipient_of_one_room_holds_up_no_other(house: House) -> None:
    await bounded(house, held_octets=600)
    xmpp, matrix, shop = house.router("xmpp"), house.router("matrix"), house.router("shop")
    await open_room(xmpp, "matrix")
    await open_room(xmpp, "shop", room="orchard", group="o")
    for each in (matrix, shop):
        await each.acknowledge((await hear(each, 1))[-1].cursor)
    full, other = await xmpp.submit(
        [says("xmpp", "x" * 700, epoch=1), says("xmpp", "hello", room="orchard", epoch=1, group="o")]
    )
    assert code_of(full) is RefusalCode.RECIPIENT_FULL and isinstance(other, Accepted)


async def test_what_is_never_fetched_is_gone_in_time_and_the_endpoint_is_told(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    await house.router("xmpp").submit([says("xmpp", "one", epoch=1), says("xmpp", "two", epoch=1)])
    heard = await hear(house.router("matrix"), 2)
    await house.router("matrix").acknowledge(heard[0].cursor)
    house.clock.now += 29 * DAY
    await house.router("xmpp").submit([says("xmpp", "three", epoch=1)])
    await house.hub.prune()
    kept = await hear(house.router("matrix"), 3, heard[0].cursor)
    assert [text_of(note.body) for note in kept] == ["one", "two", "three"]
    house.clock.now += 2 * DAY
    await house.hub.prune()
    with pytest.raises(WentBack, match="not fetched in time"):
        await anext(aiter(house.router("matrix").notify(heard[0].cursor)))
    assert [text_of(note.body) for note in await hear(house.router("matrix"), 1)] == ["three"]
    record = await house.hub.message(BALCONY, 3)
    assert record is not None and record.body == b"", "no ciphertext is kept for who never comes"


async def test_who_is_taken_out_of_the_configuration_is_served_no_longer(house: House) -> None:
    xmpp, shop = house.router("xmpp"), house.router("shop")
    await open_room(xmpp, "matrix", "shop")
    await shop.publish([key_package("shop")], last_resort=key_package("shop", 9))
    await xmpp.submit([says("xmpp", "one", epoch=2)])
    remaining = {name: EndpointGrant(endpoint(name), (namespace(name),)) for name in ("xmpp", "matrix")}
    async with aclosing(shop.notify("")) as listening:
        await anext(listening)
        await house.hub.configure(remaining, ROOMS)
        with pytest.raises(RouterDenied):
            await asyncio.wait_for(_drain(listening), 5)
    for router, count in ((xmpp, 3), (house.router("matrix"), 4)):
        left = (await hear(router, count))[-1]
        assert (left.kind, left.sender) == (Kind.LEFT, endpoint("shop"))
        assert msgspec.json.decode(left.body) == [endpoint("shop")]
    await xmpp.submit([says("xmpp", "two", epoch=2)])
    await house.hub.configure(remaining, ROOMS)
    assert [note.kind for note in await hear(xmpp, 3)].count(Kind.LEFT) == 1, "once, however often it is said"
    journal = house.hub._journal
    assert await journal.fetch(endpoint("shop"), 0, 10) == []
    assert code_of(await xmpp.key_material(endpoint("shop"))) is RefusalCode.USER_UNKNOWN


async def test_who_is_taken_in_again_is_told_that_it_missed_something(house: House) -> None:
    xmpp, shop = house.router("xmpp"), house.router("shop")
    await open_room(xmpp, "shop")
    cursor = (await hear(shop, 1))[-1].cursor
    await xmpp.submit([says("xmpp", "one", epoch=1)])
    everybody = {name: EndpointGrant(endpoint(name), (namespace(name),)) for name in ("xmpp", "matrix", "shop")}
    await house.hub.configure({"xmpp": everybody["xmpp"]}, ROOMS)
    await house.hub.configure(everybody, ROOMS)
    with pytest.raises(WentBack):
        await anext(aiter(shop.notify(cursor)))
    await xmpp.submit([says("xmpp", "two", epoch=1)])
    assert text_of((await hear(shop, 1))[-1].body) == "two"


# Rates and counts


async def test_too_many_messages_at_once_are_refused_from_the_first_one_on(house: House) -> None:
    await bounded(house, endpoint_per_minute=60, endpoint_burst=3)
    xmpp = house.router("xmpp")
    await open_room(xmpp, "matrix")
    answers = await xmpp.submit([says("xmpp", str(n), epoch=1) for n in range(5)])
    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, True, False, False]
    assert code_of(answers[3]) is RefusalCode.TOO_MANY
    house.clock.now += 2000
    again = await xmpp.submit([says("xmpp", str(n), epoch=1) for n in (3, 4)])
    assert all(isinstance(answer, Accepted) for answer in again)


async def test_key_packages_of_one_endpoint_are_not_claimed_without_end(house: House) -> None:
    await bounded(house, claims_per_minute=60, claims_burst=2)
    matrix, xmpp = house.router("matrix"), house.router("xmpp")
    await matrix.publish([key_package("matrix", n) for n in range(10)])
    answers = [await xmpp.key_material(matrix.endpoint) for _ in range(3)]
    assert code_of(answers[2]) is RefusalCode.TOO_MANY
    assert code_of(await xmpp.key_material(endpoint("shop"))) is RefusalCode.KEY_MATERIAL_EXHAUSTED, "another's are"
    assert not isinstance(await house.router("shop").key_material(matrix.endpoint), Refusal), "another asks"
    house.clock.now += 1000
    assert not isinstance(await xmpp.key_material(matrix.endpoint), Refusal)


async def test_rooms_are_not_made_without_end(house: House) -> None:
    await bounded(house, rooms_founded=1)
    xmpp = house.router("xmpp")
    assert isinstance(await xmpp.update(BALCONY, creation("xmpp")), Accepted)
    assert code_of(await xmpp.update(ORCHARD, creation("xmpp", group="o", room="orchard"))) is RefusalCode.TOO_MANY
    assert isinstance(await xmpp.update(BALCONY, creation("xmpp", group="g2", founding=1)), Accepted)
    matrix = await house.router("matrix").update(ORCHARD, creation("matrix", group="o", room="orchard"))
    assert isinstance(matrix, Accepted)


async def test_changes_of_rooms_have_a_rate(house: House) -> None:
    await bounded(house, commits_per_minute=60, commits_burst=1)
    xmpp = house.router("xmpp")
    assert isinstance(await xmpp.update(BALCONY, creation("xmpp")), Accepted)
    assert code_of(await xmpp.update(ORCHARD, creation("xmpp", group="o", room="orchard"))) is RefusalCode.TOO_MANY


async def test_a_key_package_that_was_replaced_is_never_handed_out(house: House) -> None:
    matrix, xmpp = house.router("matrix"), house.router("xmpp")
    await matrix.publish([key_package("matrix", n) for n in range(3)], last_resort=key_package("matrix", 9))
    fresh = key_package("matrix", 10)
    assert await matrix.publish([fresh], replace=True) == 1
    assert list(await xmpp.key_material(matrix.endpoint)) == [fresh]
    assert code_of(await xmpp.key_material(matrix.endpoint)) is RefusalCode.KEY_MATERIAL_EXHAUSTED
    assert await matrix.publish([key_package("matrix", 0)]) == 0, "nor when it comes again"


async def test_a_users_key_material_is_that_of_all_who_speak_for_it(house: House) -> None:
    team = {
        name: EndpointGrant(endpoint(name), (namespace("desk"),) if name != "xmpp" else (namespace("xmpp"),))
        for name in ("xmpp", "matrix", "shop")
    }
    await house.hub.configure(team, ROOMS)
    for name in ("matrix", "shop"):
        package = key_package(name, leaves=(msgspec.structs.replace(leaf(name), namespaces=(namespace("desk"),)),))
        await house.router(name).publish([package])
    user = f"{namespace('desk')}anna"
    assert await house.router("xmpp").identifier_query(user) == (endpoint("matrix"), endpoint("shop"))
    assert len(await house.router("xmpp").key_material(user)) == 2


# Attachments


async def test_attachments_have_an_end_in_all_and_for_each(house: House) -> None:
    await bounded(house, attachments_octets=3000, attachments_octets_each=2000)
    xmpp, matrix = house.router("xmpp"), house.router("matrix")
    first = os.urandom(1500)
    await xmpp.put_blob(stream(first))
    with pytest.raises(BlobTooLarge, match="together"):
        await xmpp.put_blob(stream(os.urandom(600)))
    await xmpp.put_blob(stream(os.urandom(400)))
    with pytest.raises(BlobTooLarge, match="together"):
        await matrix.put_blob(stream(os.urandom(1200)))
    await matrix.put_blob(stream(os.urandom(1000)))
    await bounded(house, attachments_octets=3000, attachments_octets_each=2000)
    with pytest.raises(BlobTooLarge, match="together"):
        await house.router("shop").put_blob(stream(os.urandom(200)))
    for path in (house.folder / "blobs").glob("??/*"):
        os.utime(path, (0, 0))
    house.clock.now += 31 * DAY
    await house.hub.prune()
    await house.router("xmpp").put_blob(stream(os.urandom(1900)))


# Passing signs


async def test_a_sign_that_is_too_long_or_one_of_too_many_is_refused(house: House) -> None:
    await bounded(house, signs_per_minute=60, signs_burst=2)
    xmpp = house.router("xmpp")
    await open_room(xmpp, "matrix")
    long = says("xmpp", "", epoch=1, kind=Kind.PASSING, body=bytes(LONGEST_SIGN + 1))
    sign = says("xmpp", "", epoch=1, kind=Kind.PASSING, body=b"sealed by members for members")
    answers = await xmpp.submit([long, sign, sign, sign])
    assert code_of(answers[0]) is RefusalCode.TOO_LARGE
    assert [isinstance(answer, Accepted) for answer in answers[1:]] == [True, True, False]
    assert code_of(answers[3]) is RefusalCode.TOO_MANY
    (said,) = await xmpp.submit([says("xmpp", "a message", epoch=1)])
    assert isinstance(said, Accepted) and said.sequence == 2, "signs take no place in the order"


@pytest.mark.parametrize("kind", [Kind.COMMIT, Kind.WELCOME, Kind.LEFT])
async def test_only_messages_and_signs_are_submitted(house: House, kind: Kind) -> None:
    await open_room(house.router("xmpp"), "matrix")
    (answer,) = await house.router("xmpp").submit([says("xmpp", "x", epoch=1, kind=kind)])
    assert code_of(answer) is RefusalCode.MALFORMED


# Streams and requests


async def test_another_stream_ends_the_oldest_of_too_many(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    matrix = house.router("matrix")
    streams = [matrix.notify("") for _ in range(LISTENERS + 1)]
    for each in streams:
        await anext(each)
    with pytest.raises(RouterUnavailable, match="newer streams"):
        await asyncio.wait_for(anext(streams[0]), 5)
    await house.router("xmpp").submit([says("xmpp", "hello", epoch=1)])
    for each in streams[1:]:
        assert text_of((await asyncio.wait_for(anext(each), 5))[0].body) == "hello"
        await each.aclose()


async def test_what_is_too_long_for_one_request_is_sent_in_several(house: House) -> None:
    await house.restart(limits=Limits(request=20_000, message=8192, handshake=16384))
    server = RouterServer(house.hub)
    port = await server.start("127.0.0.1", 0)
    client = HttpRouter(f"http://127.0.0.1:{port}", "token of xmpp", endpoint("xmpp"))
    answer = await client.hello(hello("session of xmpp"))
    assert answer.request_octets == 20_000
    await open_room(client, "matrix")
    answers = await client.submit([says("xmpp", f"{n}" + "x" * 7000, epoch=1) for n in range(40)])
    assert [answer.sequence for answer in answers if isinstance(answer, Accepted)] == list(range(2, 42))
    assert (
        await client.publish([key_package("xmpp", n) for n in range(300)], last_resort=key_package("xmpp", 999)) == 300
    )
    await client.close()
    await server.stop()


def test_a_row_is_cut_where_it_is_too_long() -> None:
    assert split([3, 3, 3, 9, 1, 1], int, 6) == [[3, 3], [3], [9], [1, 1]]
    assert split([], int, 6) == []
