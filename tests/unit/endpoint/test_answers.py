"""What became of a message: sent or delivered, by whom it was answered, and what happens when nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.contract import Direct, Group, Message, Permanent, Reason, Sent, Throttled, Unreachable
from bridge.endpoint import Endpoint, RetryLimits, translate
from bridge.endpoint.ledger.contract import Change, DeliveryKind, DeliveryRow, Fate, MessageRow, State, StatusRow
from bridge.endpoint.to_network.answers import News, judge
from protocol import cbor, content, status
from protocol.content import Expiration, NullPart, text
from protocol.status import Status
from tests.unit.endpoint.fake_adapter import FakeAdapter
from tests.unit.endpoint.house import House, logged, now, until


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


@pytest.fixture
def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


@pytest.fixture
async def square(tmp_path: Path) -> AsyncIterator[House]:
    """Three networks, and one room plumbed to a native room of each."""
    house = House(tmp_path, "sea", "sky", "shore")
    house.plumb("square", {name: f"{name}-square" for name in ("sea", "sky", "shore")}, creator="sea")
    await house.open_hub()
    yield house
    await house.stop()


async def timeline(house: House, name: str) -> list[State]:
    """The steps of the newest message in an endpoint's log."""
    (row,) = await house.endpoints[name].operator.messages(limit=1)
    shown = await house.endpoints[name].operator.message(row.mimi_id)
    assert shown is not None
    return [step.state for step in shown.timeline]


async def nothing_kept(endpoint: Endpoint, room: str) -> None:
    """Wait until an endpoint keeps nothing any more that somebody in a room has to answer."""
    async with asyncio.timeout(40):
        while await endpoint.ledger.unanswered(room):
            await asyncio.sleep(0.01)


# --- sent is not delivered --------------------------------------------------------------------------------------------


async def test_what_a_network_has_only_taken_is_sent_until_it_says_more(
    house: House, here: Direct, there: Direct
) -> None:
    house.networks["sky"].delivers = False
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "on its way", "m1")
    await until(lambda: sea.reports)
    assert sea.statuses("m1") == [Status.SENT]
    await logged(house.endpoints["sea"], State.SENT)
    await logged(house.endpoints["sky"], State.SENT)
    sky.receipt(there, "bert", (sky.taken[0].native_id,), Status.DELIVERED)
    await until(lambda: len(sea.reports) == 2)
    sky.receipt(there, "bert", (sky.taken[0].native_id,), Status.READ)
    await until(lambda: len(sea.reports) == 3)
    assert sea.statuses("m1") == [Status.SENT, Status.DELIVERED, Status.READ]
    await logged(house.endpoints["sea"], State.READ)


async def test_what_was_sent_may_fail_later_and_its_sender_hears_why(house: House, here: Direct, there: Direct) -> None:
    house.networks["sky"].delivers = False
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "to a server far away", "m1")
    await until(lambda: sea.reports)
    bounced = (sky.taken[0].native_id,)
    sky.receipt(there, "bert", bounced, Status.ERROR, Reason.RECIPIENT_UNKNOWN, "10.0.0.7 says: no such user")
    await until(lambda: len(sea.reports) == 2)
    failed = sea.reports[1][1]
    assert (failed.status, failed.reason) == (Status.ERROR, "recipient-unknown")
    assert "10.0.0.7" not in failed.text
    await logged(house.endpoints["sea"], State.FAILED)
    await logged(house.endpoints["sky"], State.FAILED)


async def test_what_was_delivered_cannot_fail_any_more(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "it is there", "m1")
    await until(lambda: sea.reports)
    sky.receipt(there, "bert", (sky.taken[0].native_id,), Status.ERROR, Reason.REJECTED)
    sky.receipt(there, "bert", (sky.taken[0].native_id,), Status.READ)
    await until(lambda: len(sea.reports) == 2)
    assert sea.statuses("m1") == [Status.DELIVERED, Status.READ]


# --- several answers --------------------------------------------------------------------------------------------------


async def test_of_three_networks_the_worst_is_told_once_and_all_are_listed(square: House) -> None:
    square.networks["shore"].delivers = False
    await square.make("sky", FakeAdapter(square.networks["sky"], lambda *_: Permanent(Reason.REJECTED, "no"))).start()
    await square.start("sea", "shore")
    sea = square.networks["sea"]
    await until(lambda: len(square.endpoints["sky"].rooms.of(Group("sky-square")).members) == 3)
    sea.say(Group("sea-square"), "to both", "m1", sender="anna")
    row = await logged(square.endpoints["sea"], State.FAILED)
    assert row.reason == "rejected"
    assert sea.statuses("m1") == [Status.ERROR]
    shown = await square.endpoints["sea"].operator.message(row.mimi_id)
    assert shown is not None
    said = {step.who.rpartition("/")[2]: step.state for step in shown.timeline if step.who}
    assert said == {"sky": State.FAILED, "shore": State.SENT}
    await nothing_kept(square.endpoints["sea"], row.room)


ROOM, US, SKY, SHORE = "mimi://b/r/1", "mimi://b/d/sea", "mimi://b/d/sky", "mimi://b/d/shore"
BERT = "mimi://b/u/sky~bert"
ID = b"\x01" * 32


def fate(*steps: StatusRow, state: State = State.QUEUED, owed: tuple[str, ...] | None = (SKY, SHORE)) -> Fate:
    message = MessageRow(mimi_id=ID, room=ROOM, source=True, sender="mimi://b/u/sea~anna", at=0, state=state)
    return Fate(message=message, steps=steps, owed=owed)


def step(who: str, state: State, by: str = "", reason: str = "") -> StatusRow:
    return StatusRow(mimi_id=ID, by=by or who, state=state, at=1, who=who, reason=reason)


def of(known: Fate, answer: StatusRow) -> News | None:
    return judge(known, answer, ours=US, members=(SKY, SHORE))


def test_the_first_of_two_answers_says_nothing_of_the_whole() -> None:
    news = of(fate(), step(SKY, State.DELIVERED))
    assert news is not None
    assert (news.whole, news.over, news.shown) == (None, False, ())


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        (State.DELIVERED, State.FAILED, State.FAILED),
        (State.FAILED, State.DELIVERED, State.FAILED),
        (State.SENT, State.UNCERTAIN, State.UNCERTAIN),
        (State.UNCERTAIN, State.FAILED, State.FAILED),
        (State.DELIVERED, State.SENT, State.SENT),
        (State.DELIVERED, State.DELIVERED, State.DELIVERED),
    ],
)
def test_the_last_answer_makes_it_the_worst_of_them(first: State, second: State, whole: State) -> None:
    news = of(fate(step(SKY, first)), step(SHORE, second))
    assert news is not None
    assert news.whole is not None
    assert (news.whole.state, news.over) == (whole, True)
    assert [shown.state for shown in news.shown] == [whole]


def test_nobody_answers_for_another_or_unasked() -> None:
    assert of(fate(owed=(SHORE,)), step(SKY, State.FAILED)) is None
    answered = fate(step(SHORE, State.SENT), state=State.SENT, owed=None)
    assert of(answered, step(SKY, State.FAILED)) is None


def test_who_has_read_it_is_shown_while_others_have_not_answered() -> None:
    news = of(fate(step(SKY, State.DELIVERED)), step(SKY, State.READ, by=BERT))
    assert news is not None
    assert news.whole is None
    assert [(shown.state, shown.by) for shown in news.shown] == [(State.READ, BERT)]


def test_an_answer_that_comes_again_is_no_news() -> None:
    known = fate(step(SKY, State.FAILED, by=BERT), state=State.FAILED, owed=None)
    assert of(known, step(SKY, State.FAILED, by=BERT)) is None
    assert of(known, step(SKY, State.DELIVERED, by=BERT)) is None
    replayed = of(known, step(SKY, State.DELIVERED, by=BERT, reason="replayed"))
    assert replayed is not None
    assert replayed.revived
    assert replayed.whole is not None


def test_what_the_router_has_only_just_accepted_is_owed_by_who_is_there() -> None:
    news = of(fate(step(SKY, State.DELIVERED), owed=()), step(SHORE, State.DELIVERED))
    assert news is not None
    assert news.over


# --- nobody answers ---------------------------------------------------------------------------------------------------

HOUR_MS = 3_600_000


class Later:
    """A wall clock that a test puts forward."""

    def __init__(self) -> None:
        self.by = 0

    def __call__(self) -> int:
        return now() + self.by


async def test_a_message_to_an_endpoint_that_never_returns_ends_uncertain(house: House, here: Direct) -> None:
    clock = Later()
    await house.make("sea", clock=clock).start()
    await house.start("sky")
    sea, sky, endpoint = house.networks["sea"], house.networks["sky"], house.endpoints["sea"]
    sea.say(here, "are you there?", "m1")
    await until(lambda: sea.reports)
    await house.endpoints["sky"].stop()
    sea.say(here, "and now?", "m2")
    await until(lambda: endpoint.outbox.submitted == 2)
    assert await endpoint.reports.end_overdue() == 0
    clock.by = 3 * HOUR_MS
    assert await endpoint.reports.end_overdue() == 1
    await until(lambda: sea.statuses("m2"))
    update = sea.reports[-1][1]
    assert (update.status, update.reason) == (Status.ERROR, "uncertain")
    row = await logged(endpoint, State.UNCERTAIN)
    await nothing_kept(endpoint, row.room)
    assert sky.texts() == ["are you there?"]


async def test_a_removed_endpoint_owes_no_answer_and_the_sender_hears(house: House, here: Direct) -> None:
    await house.start()
    sea = house.networks["sea"]
    sea.say(here, "still here?", "m1")
    await until(lambda: sea.reports)
    await house.endpoints["sky"].stop()
    sea.say(here, "and now?", "m2")
    endpoint = house.endpoints["sea"]
    room = endpoint.rooms.of(here)
    assert room is not None
    await until(lambda: endpoint.outbox.submitted >= 2)
    sky = "mimi://bridge.example/d/sky"
    while not any(sky in row.owed for row in await endpoint.ledger.unanswered(room.uri)):
        await asyncio.sleep(0.01)
    left = DeliveryRow(
        id=endpoint.outbox.next_id(),
        mimi_id=b"",
        room=room.uri,
        kind=DeliveryKind.LEFT,
        sender=sky,
        content=b"",
        at=now(),
    )
    await endpoint.ledger.commit(Change(deliveries=[left]))
    endpoint.deliveries.nudge(room)
    await until(lambda: sea.statuses("m2"))
    assert (sea.reports[-1][1].status, sea.reports[-1][1].reason) == (Status.ERROR, "left")
    assert sea.statuses("m1") == [Status.DELIVERED]
    await nothing_kept(endpoint, room.uri)


async def test_what_its_sender_deletes_is_kept_by_nobody(house: House, here: Direct) -> None:
    await house.start()
    sea = house.networks["sea"]
    sea.say(here, "first", "m1")
    await until(lambda: sea.reports)
    await house.endpoints["sky"].stop()
    sea.say(here, "my PIN is 4711", "m2")
    endpoint = house.endpoints["sea"]
    room = endpoint.rooms.of(here)
    assert room is not None
    await until(lambda: "m2" in sea.acknowledged)
    assert [b"4711" in row.content for row in await endpoint.ledger.unanswered(room.uri)] == [True]
    sea.say(here, Message(NullPart(), replaces="m2"), "m3")
    await until(lambda: "m3" in sea.acknowledged)
    kept = await endpoint.ledger.unanswered(room.uri)
    assert kept[0].content == b""
    assert all(b"4711" not in row.content for row in kept)


async def test_what_is_said_again_is_answered_again_and_delivered_once(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "once", "m1")
    await until(lambda: sea.reports)
    endpoint = house.endpoints["sea"]
    row = await logged(endpoint, State.DELIVERED)
    room = endpoint.rooms.get(row.room)
    assert room is not None
    # the ledger of before the answer, as after the router went back: the content is there and owes its answer
    (kept,) = await held(endpoint, room.uri, "twice", "m2", sea, here)
    assert await endpoint.outbox.repeat(room) == 1
    await until(lambda: sea.statuses("m2"))
    assert sky.texts() == ["once", "twice"]
    assert sea.statuses("m2") == [Status.DELIVERED]
    await nothing_kept(endpoint, kept.room)


async def held(endpoint: Any, room: str, said: str, native_id: str, network: Any, conversation: Direct) -> Any:
    """Say something whose answer this endpoint loses, and return what it therefore keeps."""
    carry, lost = endpoint.reports.carry, []

    async def lose(room: Any, row: Any, places: Any) -> None:
        lost.append(row)
        await endpoint.ledger.commit(Change(deliveries_done=[row.id]))

    endpoint.reports.carry = lose
    network.say(conversation, said, native_id)
    await until(lambda: lost)
    endpoint.reports.carry = carry
    return await endpoint.ledger.unanswered(room)


# --- what the receiver cannot deliver ---------------------------------------------------------------------------------


async def test_a_content_that_nobody_here_understands_is_answered(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "plain", "m1")
    await until(lambda: sea.reports)
    endpoint = house.endpoints["sea"]
    room = endpoint.rooms.get((await logged(endpoint, State.DELIVERED)).room)
    assert room is not None
    newer, mimi_id = await of_a_newer_version(house, endpoint, room)
    tx = endpoint.outbox.transaction()
    tx.change.messages.append(
        MessageRow(mimi_id=mimi_id, room=room.uri, source=True, sender=anna(house), at=now(), native_id="m2")
    )
    tx.send(room, newer, mimi_id=mimi_id)
    await tx.commit()
    await until(lambda: sea.statuses("m2"))
    assert (sea.reports[-1][1].status, sea.reports[-1][1].reason) == (Status.ERROR, "unsupported")
    assert sky.texts() == ["plain"]


def anna(house: House) -> str:
    return house.endpoints["sea"].directory.user(house.networks["sea"].address("anna"))


async def of_a_newer_version(house: House, endpoint: Any, room: Any) -> tuple[bytes, bytes]:
    """Return a content with a kind of part that this version does not know, and its id."""
    sender = anna(house)
    event = next(event for event in house.networks["sea"].events)
    posted = translate.post(
        event, salt=bytes(16), sender=sender, name="Anna", room=room.uri, known={}, now=now(), avatar="", part=None
    )
    fields = cbor.decode(posted.encoded)
    fields[6][2] = 17
    encoded = cbor.encode(fields)
    return encoded, content.message_id(encoded, sender, room.uri)


async def test_a_status_of_a_message_that_nobody_knows_is_ignored(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "known", "m1")
    await until(lambda: sea.reports)
    endpoint = house.endpoints["sky"]
    room = endpoint.rooms.of(there)
    assert room is not None
    unknown = status.encode([(b"\x01" * 32, Status.ERROR)])
    by = endpoint.directory.user(sky.address("bert"))
    tx = endpoint.outbox.transaction()
    tx.send(room, translate.status_content(unknown, salt=bytes(16), by=by, room=room.uri))
    await tx.commit()
    sea.say(here, "and on it goes", "m2")
    await until(lambda: sea.statuses("m2"))
    assert len(sea.reports) == 2


# --- every attempt has an end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Throttled(0.05), Throttled(1e9), Unreachable("no route"), Unreachable("x", 1e9)])
async def test_whatever_the_network_says_age_ends_it(house: House, here: Direct, outcome: Any) -> None:
    adapter = FakeAdapter(house.networks["sky"], lambda *_: outcome)
    limits = RetryLimits(first=0.01, longest=0.02, attempts=3, age=1.0, signed_out=0.02)
    await house.start("sea")
    await house.make("sky", adapter, retry=limits).start()
    house.networks["sea"].say(here, "never", "m1")
    await until(lambda: house.networks["sea"].reports, 10)
    update = house.networks["sea"].reports[0][1]
    assert (update.status, update.reason) == (Status.ERROR, "recipient-unreachable")
    (parked,) = await house.endpoints["sky"].ledger.parked(limit=50)
    assert parked.attempts == 0  # an outage is no attempt at a message


async def test_an_outage_spends_no_attempts_and_life_wakes_all_that_wait(house: House, here: Direct) -> None:
    down = True

    def script(*_: object) -> Unreachable | None:
        return Unreachable("connection refused") if down else None

    adapter = FakeAdapter(house.networks["sky"], script)
    limits = RetryLimits(first=0.01, longest=600.0, attempts=2, age=3600, signed_out=0.02)
    await house.start("sea")
    await house.make("sky", adapter, retry=limits).start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    for number in range(4):
        sea.say(house.direct("sea", f"p{number}", "sky", "bert"), f"hello {number}", f"m{number}")
    await until(lambda: len(adapter.attempts) >= 24)  # waits have become long by now
    down = False
    sky.say(house.direct("sky", "bert", "sea", "p0"), "I am back", "n1")  # anything that comes from there
    await until(lambda: len(sky.taken) == 4, 10)


class Hanging(FakeAdapter):
    """Sends to some people never return."""

    async def send(self, delivery: Any, key: str) -> Sent:
        if delivery.message.part.text == "hang":
            await asyncio.Event().wait()
        return await super().send(delivery, key)


async def test_sends_that_hang_hold_up_only_their_own_conversations(house: House) -> None:
    await house.start("sea")
    await house.make("sky", Hanging(house.networks["sky"]), parallel=4, patience=0.2).start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    for number in range(4):
        sea.say(house.direct("sea", f"h{number}", "sky", "bert"), "hang", f"h{number}")
    await until(lambda: house.endpoints["sky"].deliveries.working == 4)
    sea.say(house.direct("sea", "quick", "sky", "bert"), "free", "m1")
    await until(lambda: sky.taken, 10)
    assert sky.texts() == ["free"]


async def test_an_account_that_does_not_open_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(FakeAdapter):
        tries = 0

        async def open(self, account: Any) -> None:
            self.tries += 1
            if self.tries == 1:
                await asyncio.Event().wait()
            await super().open(account)

    monkeypatch.setattr("bridge.endpoint.endpoint.FILE_SECONDS", 0.05)
    adapter = Slow(house.networks["sky"])
    async with asyncio.timeout(30):
        await house.make("sky", adapter).start()
    assert adapter.tries == 2


async def test_what_expires_while_it_waits_is_not_delivered_late(house: House, here: Direct) -> None:
    clock, down = Later(), True
    adapter = FakeAdapter(house.networks["sky"], lambda *_: Unreachable("down") if down else None)
    await house.start("sea")
    await house.make("sky", adapter, clock=clock).start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    soon = now() // 1000 + 600
    sea.say(here, Message(text("by then"), expires=Expiration(relative=False, time=soon)), "m1")
    await until(lambda: adapter.attempts)
    clock.by = HOUR_MS // 2
    down = False
    await until(lambda: sea.reports)
    assert (sea.reports[0][1].status, sea.reports[0][1].reason) == (Status.ERROR, "expired")
    assert not sky.taken


async def test_a_reply_never_quotes_another_conversation(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    other = house.direct("sea", "carl", "sky", "dora")
    sea.say(other, "a secret between us", "s1")
    await until(lambda: sky.taken)
    sea.say(here, Message(text("look"), in_reply_to="s1"), "m1")
    await until(lambda: len(sky.taken) == 2)
    assert sky.taken[1].message.in_reply_to is None
    assert "secret" not in sky.taken[1].text
    sea.say(here, Message(NullPart(), replaces="s1"), "m2")
    await until(lambda: "m2" in sea.refused)
    assert sea.refused["m2"].reason == "invalid"


async def test_a_reference_to_another_room_is_none_for_who_receives_it_either(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    endpoint = house.endpoints["sea"]
    endpoint.receiving._check.bound = lambda event, _known: event  # an endpoint that does not look
    other = house.direct("sea", "carl", "sky", "dora")
    sea.say(other, "a secret between us", "s1")
    await until(lambda: sky.taken)
    sea.say(here, Message(text("look"), in_reply_to="s1"), "m1")
    await until(lambda: len(sky.taken) == 2)
    assert sky.taken[1].message.in_reply_to is None
    assert "secret" not in sky.taken[1].text
