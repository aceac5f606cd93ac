"""Stories about sessions: of two copies of one endpoint only one speaks, whichever way they come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from bridge.router import wire
from bridge.router.client import HttpRouter
from bridge.router.contract import (
    CONTRACT,
    FEATURES,
    Forked,
    Kind,
    NoHello,
    Notification,
    Refusal,
    RefusalCode,
    Router,
    RouterUnavailable,
    Standing,
    Unintelligible,
    common_contract,
)
from bridge.router.server import RouterServer
from tests.unit.router.conftest import House, hear, hello, open_room
from tests.unit.router.doubles import commit, endpoint, key_package, room_uri, says, text_of

BALCONY = room_uri("balcony")
Connect = Callable[[str], Router]


@pytest.fixture(params=["in process", "over http"])
async def connect(house: House, request: pytest.FixtureRequest):
    """Gives connections on which nobody has said hello yet."""
    if request.param == "in process":
        yield lambda name: house.hub.connect(name)
        return
    server = RouterServer(house.hub, heartbeat=0.05)
    port = await server.start("127.0.0.1", 0)
    clients: list[HttpRouter] = []

    def client(name: str) -> HttpRouter:
        clients.append(HttpRouter(f"http://127.0.0.1:{port}", f"token of {name}", endpoint(name)))
        return clients[-1]

    yield client
    for each in clients:
        await each.close()
    await server.stop()


async def test_who_never_says_hello_is_told_to(connect: Connect) -> None:
    silent = connect("xmpp")
    calls: list[Callable[[], object]] = [
        lambda: silent.publish([key_package("xmpp")]),
        lambda: silent.key_material(endpoint("matrix")),
        lambda: silent.identifier_query("mimi://bridge.example/u/xmpp~a"),
        lambda: silent.update(BALCONY, commit("xmpp", 0)),
        lambda: silent.submit([says("xmpp", "x")]),
        lambda: silent.acknowledge(""),
        lambda: silent.group_info(BALCONY),
        lambda: silent.rooms(),
        lambda: anext(aiter(silent.notify(""))),
        lambda: anext(aiter(silent.get_blob("0" * 64))),
    ]
    for call in calls:
        with pytest.raises(NoHello, match="hello"):
            await call()  # type: ignore[misc]


async def test_the_first_hello_begins_and_the_next_goes_on_from_it(connect: Connect) -> None:
    first, second = connect("xmpp"), connect("xmpp")
    assert (await first.hello(hello("one", "session of xmpp"))).standing is Standing.CURRENT
    await open_room(first, "matrix")
    assert (await second.hello(hello("two", "one"))).standing is Standing.CURRENT
    (answer,) = await second.submit([says("xmpp", "here I am", epoch=1)])
    assert not isinstance(answer, Refusal)


async def test_an_older_session_is_refused_everything(connect: Connect, house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    old, new = connect("xmpp"), connect("xmpp")
    await old.hello(hello("old", "session of xmpp"))
    (before,) = await old.submit([says("xmpp", "from the old one", epoch=1)])
    assert not isinstance(before, Refusal)
    async with aclosing(old.notify("")) as stream:
        await asyncio.wait_for(anext(stream), 5)
        await new.hello(hello("new", "old"))
        with pytest.raises(Forked):
            await asyncio.wait_for(_drain(stream), 5)
    said, signed = await old.submit([says("xmpp", "x", epoch=1), says("xmpp", "y", epoch=1, kind=Kind.PASSING)])
    changed = await old.update(BALCONY, commit("xmpp", 1))
    assert {answer.code for answer in (said, signed, changed)} == {RefusalCode.FORKED}
    with pytest.raises(Forked):
        await old.acknowledge("")
    with pytest.raises(Forked):
        await old.publish([])
    assert (await old.hello(hello("old", "session of xmpp"))).standing is Standing.OLDER
    (still,) = await new.submit([says("xmpp", "from the new one", epoch=1)])
    assert not isinstance(still, Refusal)
    heard = await hear(house.router("matrix"), 3)
    assert [text_of(note.body) for note in heard[1:]] == ["from the old one", "from the new one"]


async def test_the_second_of_two_copies_is_a_fork_and_shuts_the_other_out(connect: Connect) -> None:
    ledger = "session of xmpp"  # what both copies say they come from
    original, copy = connect("xmpp"), connect("xmpp")
    assert (await original.hello(hello("original", ledger))).standing is Standing.CURRENT
    await original.publish([])
    assert (await copy.hello(hello("copy", ledger))).standing is Standing.FORKED
    await copy.publish([])
    with pytest.raises(Forked):
        await original.publish([])
    assert (await original.hello(hello("again", "original"))).standing is Standing.FORKED


async def test_a_hello_whose_answer_was_lost_may_be_said_again(connect: Connect) -> None:
    router = connect("xmpp")
    for _ in range(3):
        assert (await router.hello(hello("one", "session of xmpp"))).standing is Standing.CURRENT
        await router.publish([])


async def test_a_session_that_was_drawn_and_never_written_down_is_nobodys(connect: Connect, house: House) -> None:
    """The endpoint died between the router's answer and its own ledger: it comes from where it came from."""
    await house.router("xmpp").publish([])
    for number in range(40):
        lost = connect("xmpp")
        assert (await lost.hello(hello(f"lost {number}", "session of xmpp"))).standing is Standing.CURRENT
    kept = connect("xmpp")
    assert (await kept.hello(hello("kept", "session of xmpp"))).standing is Standing.CURRENT
    await kept.publish([])
    with pytest.raises(Forked):
        await lost.publish([])
    assert (await lost.hello(hello("after all", "lost 39"))).standing is Standing.FORKED


async def test_after_the_routers_restart_everybody_says_hello_again(house: House) -> None:
    await house.router("xmpp").publish([])
    await house.hub.stop()
    house.hub = House.build(house.folder, clock=house.clock).hub
    await house.hub.start()
    router = house.hub.connect("xmpp")
    router.session = "session of xmpp"
    with pytest.raises(NoHello):
        await router.publish([])
    assert (await router.hello(hello("another copy", "an old one"))).standing is Standing.FORKED


async def _drain(stream: AsyncIterator[object]) -> None:
    async for _ in stream:
        pass


@pytest.mark.parametrize("session", ["", "x" * 65])
async def test_a_session_has_a_name(connect: Connect, session: str) -> None:
    with pytest.raises(Exception, match="1 to 64 characters"):
        await connect("xmpp").hello(hello(session))


# Parts of different age


async def test_parts_of_neighbouring_versions_understand_each_other(connect: Connect) -> None:
    newer = await connect("xmpp").hello(
        hello("one", "session of xmpp", newest=CONTRACT + 1, features=(*FEATURES, "what comes next"))
    )
    assert (newer.contract, newer.features) == (CONTRACT, FEATURES)
    plain = await connect("matrix").hello(hello("one", "session of matrix", features=()))
    assert plain.features == ()


@pytest.mark.parametrize(
    ("oldest", "newest", "upgrade"),
    [(1, 1, "upgrade the endpoint"), (CONTRACT + 1, CONTRACT + 2, "upgrade the router")],
)
async def test_parts_with_no_common_contract_say_which_is_too_old(
    connect: Connect, oldest: int, newest: int, upgrade: str
) -> None:
    with pytest.raises(Unintelligible, match=upgrade):
        await connect("xmpp").hello(hello("one", oldest=oldest, newest=newest))


def test_a_router_of_the_next_version_speaks_with_endpoints_of_this_one() -> None:
    said = hello("one")
    assert common_contract(said, oldest=CONTRACT, newest=CONTRACT + 1) == CONTRACT
    with pytest.raises(Unintelligible, match="upgrade the endpoint"):
        common_contract(said, oldest=CONTRACT + 1, newest=CONTRACT + 2)


async def test_a_kind_that_is_not_known_yet_stops_the_stream_in_front_of_it() -> None:
    known = [Notification(n, BALCONY, n, Kind.APPLICATION, 1, endpoint("xmpp"), b"x", 5, f"4a.{n}") for n in (1, 2)]
    newer = wire.frame([*known, Notification(3, BALCONY, 3, "poll", 1, endpoint("xmpp"), b"x", 5, "4a.3")])  # type: ignore[arg-type]

    async def stream():
        yield newer[:10]
        yield newer[10:] + wire.frame(known)

    batches = wire.batches(stream())
    assert await anext(batches) == known
    with pytest.raises(Unintelligible, match="'poll'"):
        await anext(batches)


async def test_a_kind_that_is_none_is_not_the_routers() -> None:
    async def stream():
        yield wire.frame([{"kind": "poll"}, {"kind": 7}])  # type: ignore[list-item]

    with pytest.raises((Unintelligible, RouterUnavailable)):
        await anext(wire.batches(stream()))
