"""Event, row, room and endpoint are bulkheads: what cannot be handled is put aside, and everything else goes on."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import create_engine, text

from adapters.contract import Alias, Cursor, Direct, Event, Inbound, Message, Outcome, Profile, Receipt, Retry, Sent
from bridge.endpoint import Endpoint
from bridge.endpoint.errors import AdapterFailed, NotRetriable
from bridge.endpoint.ledger.contract import QuarantineKind, QuarantineRow, State
from bridge.endpoint.settings import MediaLimits
from protocol.content import ExternalPart
from protocol.status import Status
from protocol.uri import Address
from tests.unit.endpoint.fake_adapter import FakeAdapter, Plain
from tests.unit.endpoint.house import House, now, until

NOWHERE = ("http://a..b/x.png", f"http://{'a' * 64}.example/x.png", "http://./x", "http://[", "http://\ud83d.example/")


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Tracebacks in plain words: drawing them for a terminal takes seconds each."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, renderer])
    yield
    structlog.reset_defaults()


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


async def aside(endpoint: Endpoint) -> list[QuarantineRow]:
    return list(await endpoint.quarantine.list(limit=100))


async def alive(house: House, here: Direct, said: str) -> None:
    """What is said now still arrives, and everybody is well."""
    house.networks["sea"].say(here, said, said)
    await until(lambda: said in house.networks["sky"].texts())
    assert all(endpoint.health()["ready"] for endpoint in house.endpoints.values())


# --- files that cannot be had ---


class WithoutFiles(Plain):
    """A network that shows statuses and has no files of its own: its links lead into the web."""

    report = FakeAdapter.report


@pytest.mark.parametrize("url", NOWHERE[:4])
async def test_a_link_that_leads_nowhere_costs_its_message_and_nothing_else_at_any_start(
    house: House, here: Direct, url: str
) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    await house.make("sea", WithoutFiles(sea)).start()
    await house.start("sky")
    sea.say(here, Message(ExternalPart(content_type="image/png", url=url)), "m1")
    await until(lambda: "m1" in sea.acknowledged)
    await until(lambda: url in sky.texts())
    sea_end = house.endpoints["sea"]
    (row,) = [row for row in await sea_end.operator.messages(limit=10) if row.native_id == "m1"]
    assert (row.state, row.reason) == (State.FAILED, "media-unreachable")
    await sea_end.stop()
    await house.make("sea", WithoutFiles(sea)).start()
    await alive(house, here, "still well?")
    await until(lambda: sea.statuses("m1") == [Status.ERROR])
    assert sky.texts() == [url, "still well?"]


async def test_a_dead_link_is_tried_for_minutes_and_then_told_while_later_words_wait_no_longer(
    house: House, here: Direct
) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    began = now()
    clock = [began]

    async def sleep(seconds: float) -> None:
        clock[0] += int(seconds * 1000)
        await asyncio.sleep(0)

    sea.fetch_outcomes = [Retry("no such host")] * 1000
    endpoint = house.make("sea", clock=lambda: clock[0], media=MediaLimits(link_age=300))
    await endpoint.start()
    fetching = endpoint.attachments  # its waits alone are put forward
    fetching._context = dataclasses.replace(fetching._context, sleep=sleep)
    await house.start("sky")
    sea.say(here, Message(ExternalPart(content_type="image/png", url="https://nonexistent.invalid/x.png")), "m1")
    sea.say(here, "and then?", "m2")
    await until(lambda: sky.texts() == ["https://nonexistent.invalid/x.png", "and then?"])
    assert 300_000 <= clock[0] - began < 330_000
    assert len(sea.fetch_outcomes) > 900, "the waits grew"


# --- events that cannot be borne ---


async def test_every_kind_of_bad_event_is_put_aside_and_the_good_ones_beside_it_go_on(
    house: House, here: Direct
) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    await alive(house, here, "first")
    stranger = Profile(Address("sea", "\x00never an address\ud800"))
    answered: list[Any] = []
    sea.flood(
        [
            Receipt(conversation=here, sender=stranger, native_ids=("first",), status=Status.READ),
            Receipt(conversation=here, sender=stranger, native_ids=("\ud800",), status=Status.READ),
            Inbound(native_id="\ud800", conversation=here, sender=Profile(here.local), message=Message(None)),  # type: ignore[arg-type]
            Inbound(native_id="m9", conversation=None, sender=None, message=None, acknowledge=answered.append),  # type: ignore[arg-type]
            Alias(native_id="first", alias="\ud800"),
            None,  # type: ignore[list-item]
            "an event",  # type: ignore[list-item]
        ]
    )
    sea.types(here, "\ud800")
    await alive(house, here, "second")
    assert [refused.reason for refused in answered] == ["invalid"], "its sender was told"
    rows = await aside(house.endpoints["sea"])
    assert {row.kind for row in rows} == {QuarantineKind.EVENT}
    assert {"unknown-event"} <= {row.code for row in rows}
    assert len(rows) >= 5
    assert all(row.text for row in rows), "each with its reason"
    assert sky.texts() == ["first", "second"]


async def test_an_acknowledgement_that_raises_is_the_adapters_defect_and_not_ours(house: House, here: Direct) -> None:
    await house.start()

    def raises(_: object) -> None:
        raise RuntimeError("no stream")

    house.networks["sea"].say(here, "wherefore", "m1", acknowledge=raises)
    await alive(house, here, "therefore")
    assert house.metrics["sea"].of("defects") == 1


class Ends(FakeAdapter):
    """Its ``receive`` yields what has happened, and then does what ``end`` says."""

    end: BaseException | None = None

    async def receive(self, cursor: Cursor | None) -> AsyncIterator[Event]:
        for event in self.network.events[int(cursor or 0) :]:
            yield event
        if self.end is not None:
            raise self.end


@pytest.mark.parametrize("end", [None, ValueError("not XML"), ConnectionRefusedError()])
async def test_a_receive_that_ends_ends_this_endpoint_only_and_loses_nothing(
    house: House, here: Direct, end: BaseException | None
) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "before the end", "m1")
    adapter = Ends(sea)
    adapter.end = end
    await house.start("sky")
    await house.make("sea", adapter).start()
    with pytest.raises(AdapterFailed if end is None else type(end)):
        await asyncio.wait_for(house.endpoints["sea"].wait(), 40)
    await house.endpoints["sea"].stop()
    await house.start("sea")
    await until(lambda: sky.texts() == ["before the end"])
    assert house.endpoints["sky"].health()["ready"]


async def test_a_health_that_raises_is_shown_and_harms_nobody(house: House) -> None:
    await house.start()

    def health() -> dict[str, object]:
        raise RuntimeError("no idea")

    house.adapters["sea"].health = health
    assert house.endpoints["sea"].health()["network"] == {"connected": False, "defect": "RuntimeError: no idea"}


# --- rows that cannot be read ---


async def test_a_row_that_cannot_be_opened_costs_its_message_at_three_starts(house: House, here: Direct) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]

    def away(_delivery: object, _key: str) -> Outcome:
        return Retry("away", after=3600)

    await house.start("sea")
    await house.make("sky", FakeAdapter(sky, away)).start()
    sea.say(here, "unreadable", "m1")
    await until(lambda: house.endpoints["sky"].deliveries.working)
    await house.endpoints["sky"].stop()
    engine = create_engine(f"sqlite:///{house.folder}/sky.db")
    with engine.begin() as connection:
        assert connection.execute(text("UPDATE delivery SET content = X'00'")).rowcount == 1
    engine.dispose()
    for start in range(3):
        await house.start("sky")
        await alive(house, here, f"after start {start}")
        (row,) = await aside(house.endpoints["sky"])
        assert (row.kind, row.code) == (QuarantineKind.DELIVERY, "unreadable")
        if start < 2:
            await house.endpoints["sky"].stop()
    await until(lambda: sea.statuses("m1") == [Status.ERROR])
    assert await house.endpoints["sky"].quarantine.drop(row.id)
    assert await aside(house.endpoints["sky"]) == []


async def test_a_room_whose_group_cannot_be_read_costs_itself_at_every_start(house: House, here: Direct) -> None:
    await house.start()
    await alive(house, here, "first")
    (broken,) = [room.uri for room in house.endpoints["sky"].rooms]
    group = house.endpoints["sky"].rooms.get(broken).group.group_id.hex()  # type: ignore[union-attr]
    await house.endpoints["sky"].stop()
    engine = create_engine(f"sqlite:///{house.folder}/sky.db")
    with engine.begin() as connection:
        assert connection.execute(
            text("UPDATE record SET sealed = X'00' WHERE space = :s"), {"s": f"mls/{group}"}
        ).rowcount
    engine.dispose()
    other = house.direct("sea", "carla", "sky", "dora")
    for start in range(2):
        await house.start("sky")
        house.networks["sea"].say(other, f"beside it {start}", f"b{start}")
        await until(lambda start=start: f"beside it {start}" in house.networks["sky"].texts(other_side(other)))
        (row,) = await aside(house.endpoints["sky"])
        assert (row.kind, row.place) == (QuarantineKind.ROOM, broken)
        await house.endpoints["sky"].stop()


def other_side(direct: Direct) -> Direct:
    return Direct(direct.peer, direct.local)


# --- what was put aside, tried again ---


async def test_what_was_put_aside_is_accepted_when_the_reason_is_gone(
    house: House, here: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    endpoint = house.endpoints["sea"]
    with monkeypatch.context() as defect:
        defect.setattr("bridge.endpoint.translate.excerpt", lambda _part: 1 / 0)
        sea.say(here, "unbearable", "m1")
        await until(lambda: "m1" in sea.refused)
        (row,) = await aside(endpoint)
        with pytest.raises(NotRetriable, match="ZeroDivisionError"):
            await endpoint.quarantine.retry(row.id)
    (row,) = await aside(endpoint)
    assert row.attempts == 2
    assert await endpoint.quarantine.retry(row.id)
    await until(lambda: sky.texts() == ["unbearable"])
    assert await aside(endpoint) == []
    assert not await endpoint.quarantine.retry(row.id), "there is nothing of that id any more"


# --- waiting apart ---


async def test_a_send_that_hangs_holds_up_what_refers_to_it_and_no_other_room(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    other = house.direct("sky", "carla", "sea", "dora")
    await alive(house, here, "first")
    hanging = asyncio.Event()

    class Hangs(FakeAdapter):
        async def send(self, delivery: Any, key: str) -> Sent:
            if delivery.message.part.text == "hang":
                hanging.set()
                await asyncio.Event().wait()
            return await super().send(delivery, key)

    await house.endpoints["sky"].stop()
    await house.make("sky", Hangs(sky), stop_timeout=0.1).start()
    sea.say(here, "hang", "m2")
    await hanging.wait()
    there = Direct(here.peer, here.local)
    began = asyncio.get_running_loop().time()
    for number in range(8):
        sky.receipt(there, "bert", (f"unknown {number}",), Status.READ)
        sky.say(other, f"beside {number}", f"n{number}")
        await until(lambda number=number: f"n{number}" in sky.acknowledged)
    waited = asyncio.get_running_loop().time() - began
    assert waited < 8 * 2.0 / 2, "eight times the landing time, before: two seconds for each batch"


async def test_a_router_that_does_not_answer_about_a_stranger_holds_up_nobody_else(
    house: House, here: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.start()
    await alive(house, here, "first")
    directory = house.endpoints["sea"].directory
    known = directory.endpoint_of

    async def endpoint_of(address: Address) -> Any:
        if address.id == "nobody":
            await asyncio.Event().wait()
        return await known(address)

    monkeypatch.setattr(directory, "endpoint_of", endpoint_of)
    house.networks["sea"].say(house.direct("sea", "anna", "sky", "nobody"), "hello?", "m0")
    await alive(house, here, "second")
    assert "m0" not in house.networks["sea"].acknowledged


async def test_the_cursor_does_not_pass_what_still_waits(
    house: House, here: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    await alive(house, here, "first")
    directory = house.endpoints["sea"].directory
    known = directory.endpoint_of

    async def endpoint_of(address: Address) -> Any:
        if address.id == "carla":
            await asyncio.Event().wait()
        return await known(address)

    monkeypatch.setattr(directory, "endpoint_of", endpoint_of)
    sea.say(house.direct("sea", "anna", "sky", "carla"), "to a stranger", "m1")
    await alive(house, here, "second")
    await house.endpoints["sea"].stop()
    await house.start("sea")
    await until(lambda: sorted(sky.texts()) == ["first", "second", "to a stranger"])


async def test_an_id_that_comes_again_with_other_words_is_another_message(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "one", "1")
    await until(lambda: sky.texts() == ["one"])
    sea.say(here, "one", "1")
    sea.say(here, "two", "1")
    await until(lambda: sky.texts() == ["one", "two"])
    assert sea.acknowledged == ["1", "1", "1"]
    assert house.metrics["sea"].of("duplicates") == 1
