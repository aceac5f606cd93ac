"""Every way in which a delivery can go, and what its sender is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import structs

from adapters.contract import (
    Delivery,
    Direct,
    Message,
    Outcome,
    Permanent,
    Reason,
    Retry,
    SignedOut,
    Throttled,
    Unsure,
)
from bridge.endpoint import Endpoint, NotReplayable, RetryLimits
from bridge.endpoint.ledger.contract import State
from protocol.content import Expiration, NullPart, text
from protocol.status import Status
from tests.unit.endpoint.fake_adapter import EVERYTHING, AskableAdapter, FakeAdapter, Plain
from tests.unit.endpoint.house import House, logged, now, until

ONCE_ONLY = structs.replace(EVERYTHING, idempotent_send=False)


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


@pytest.fixture
def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


class Script:
    """Outcomes for the attempts to come; after them everything succeeds."""

    def __init__(self, *outcomes: Outcome | None, only: str = "") -> None:
        self.outcomes = list(outcomes)
        self.only = only

    def __call__(self, delivery: Delivery, key: str) -> Outcome | None:
        if self.only and delivery.message.part.text != self.only:
            return None
        return self.outcomes.pop(0) if self.outcomes else None


async def started(
    house: House, script: Callable[[Delivery, str], Outcome | None] | None, kind: type[Plain] = FakeAdapter, **changes
) -> Plain:
    adapter = kind(house.networks["sky"], script)
    await house.start("sea")
    await house.make("sky", adapter, **changes).start()
    return adapter


async def logged_as(endpoint: Endpoint, mimi_id: bytes) -> State:
    """How far a message has come, as the log of an endpoint has it."""
    found = await endpoint.operator.message(mimi_id)
    assert found is not None
    return found.message.state


async def test_a_failed_attempt_is_repeated_with_the_same_key_and_content(house: House, here: Direct) -> None:
    adapter = await started(house, Script(Retry("busy"), Retry("busy", after=0.02)))
    house.networks["sea"].say(here, "patience", "m1")
    await until(lambda: house.networks["sea"].reports)
    assert house.networks["sky"].texts() == ["patience"]
    assert [attempt for _, attempt in adapter.attempts] == [1, 2, 3]
    assert len({key for key, _ in adapter.attempts}) == 1
    assert len(adapter.attempts[0][0]) <= 64


async def test_a_stuck_conversation_blocks_only_itself(house: House, here: Direct) -> None:
    slow = RetryLimits(first=0.3, longest=0.3, attempts=5)
    await started(house, Script(Retry(), only="stuck"), retry=slow)
    sea, sky = house.networks["sea"], house.networks["sky"]
    other = house.direct("sea", "carl", "sky", "bert")
    sea.say(here, "stuck", "m1")
    sea.say(here, "behind it", "m2")
    sea.say(other, "free", "m3")
    await until(lambda: len(sky.taken) == 3)
    assert sky.texts() == ["free", "stuck", "behind it"]


async def test_a_network_that_asks_for_a_pause_gets_it(house: House, here: Direct) -> None:
    adapter = await started(house, Script(Throttled(0.3)))
    sea, sky = house.networks["sea"], house.networks["sky"]
    began = now()
    sea.say(here, "one", "m1")
    await until(lambda: adapter.attempts)
    sea.say(house.direct("sea", "carl", "sky", "bert"), "two", "m2")
    await until(lambda: len(sky.taken) == 2)
    assert now() - began >= 290
    assert [attempt for _, attempt in adapter.attempts] == [1, 1, 1]  # a pause is not a failed attempt


async def test_what_can_never_arrive_fails_with_its_reason(house: House, here: Direct) -> None:
    await started(house, Script(Permanent(Reason.RECIPIENT_UNKNOWN, "no such subscriber")))
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "to nobody", "m1")
    sea.say(here, "the next", "m2")
    await until(lambda: len(sea.reports) == 2)
    failed, delivered = (update for _, update in sea.reports)
    assert (failed.status, failed.reason, failed.text) == (
        Status.ERROR,
        "recipient-unknown",
        "There is nobody of this name.",
    )
    assert delivered.status is Status.DELIVERED
    assert sky.texts() == ["the next"]
    sky_endpoint = house.endpoints["sky"]
    (row,) = await sky_endpoint.operator.messages(state=State.FAILED)
    assert row.reason == "recipient-unknown"
    shown = await sky_endpoint.operator.message(row.mimi_id)
    assert shown is not None
    assert shown.timeline[-1].text == "no such subscriber"  # what the network said stays where it was said


async def test_after_enough_attempts_it_is_parked_and_can_be_replayed(house: House, here: Direct) -> None:
    await started(house, Script(*[Retry("down")] * 5, only="try me"))
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "try me", "m1")
    sea.say(here, "after it", "m2")
    await until(lambda: len(sea.reports) == 2)
    assert sea.statuses("m1") == [Status.ERROR]
    assert sea.statuses("m2") == [Status.DELIVERED]
    endpoint = house.endpoints["sky"]
    (parked,) = await endpoint.ledger.parked(limit=10)
    assert (parked.attempts, parked.reason) == (5, "recipient-unreachable")

    await endpoint.operator.replay(parked.mimi_id)
    await until(lambda: len(sky.taken) == 2)
    assert sky.texts() == ["after it", "try me"]
    await until(lambda: len(sea.statuses("m1")) == 2)
    assert sea.statuses("m1") == [Status.ERROR, Status.DELIVERED]
    assert sea.reports[-1][1].reason == "replayed"
    assert (await logged_as(endpoint, parked.mimi_id)) is State.DELIVERED
    assert (await logged_as(house.endpoints["sea"], parked.mimi_id)) is State.DELIVERED
    shown = await endpoint.operator.message(parked.mimi_id)
    assert shown is not None
    assert [step.state for step in shown.timeline] == [State.QUEUED, State.FAILED, State.DELIVERED]
    assert not await endpoint.ledger.parked(limit=10)
    with pytest.raises(NotReplayable):
        await endpoint.operator.replay(parked.mimi_id)


async def test_an_unsure_send_is_repeated_where_that_is_safe(house: House, here: Direct) -> None:
    class Forgetful(FakeAdapter):
        forgot = False

        async def take(self, delivery, key):
            sent = await super().take(delivery, key)
            if not self.forgot:
                self.forgot = True
                raise Unsure("the answer was lost")
            return sent

    await started(house, None, Forgetful)
    house.networks["sea"].say(here, "once", "m1")
    await until(lambda: house.networks["sea"].reports)
    assert house.networks["sky"].texts() == ["once"]
    assert house.networks["sea"].statuses("m1") == [Status.DELIVERED]


async def test_an_unsure_send_that_nobody_can_ask_about_is_uncertain(house: House, here: Direct) -> None:
    house.networks["sky"].capabilities = ONCE_ONLY
    adapter = await started(house, Script(Unsure("the line went dead")))
    sea = house.networks["sea"]
    sea.say(here, "perhaps", "m1")
    await until(lambda: sea.reports)
    assert len(adapter.attempts) == 1
    update = sea.reports[0][1]
    assert (update.status, update.reason, update.text) == (
        Status.ERROR,
        "uncertain",
        "Nobody can say whether it was delivered.",
    )
    await logged(house.endpoints["sea"], State.UNCERTAIN)


async def test_an_unsure_send_is_asked_about_where_that_is_possible(house: House, here: Direct) -> None:
    class Forgetful(AskableAdapter):
        async def take(self, delivery, key):
            sent = await super().take(delivery, key)
            if delivery.message.part.text == "it arrived":
                raise Unsure("the answer was lost")
            return sent

    house.networks["sky"].capabilities = ONCE_ONLY
    adapter = await started(house, Script(Unsure("lost on the way"), only="it did not"), Forgetful)
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "it arrived", "m1")
    sea.say(here, "it did not", "m2")
    await until(lambda: len(sea.reports) == 2)
    assert sky.texts() == ["it arrived", "it did not"]
    assert [update.status for _, update in sea.reports] == [Status.DELIVERED] * 2
    assert len(adapter.attempts) == 3


async def test_a_defect_of_the_adapter_is_an_unsure_send(house: House, here: Direct) -> None:
    class Broken(FakeAdapter):
        async def send(self, delivery, key):
            raise ZeroDivisionError

    house.networks["sky"].capabilities = ONCE_ONLY
    await started(house, None, Broken)
    sea = house.networks["sea"]
    sea.say(here, "hello", "m1")
    await until(lambda: sea.reports)
    assert sea.reports[0][1].reason == "uncertain"


async def test_a_signed_out_account_loses_nothing(house: House, here: Direct) -> None:
    adapter = await started(house, Script(*[SignedOut("scan the code again")] * 8))
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "later", "m1")
    await until(lambda: house.endpoints["sky"].health()["action"] == "scan the code again")
    assert house.endpoints["sky"].health()["ready"] is False
    await until(lambda: sea.reports)
    assert sky.texts() == ["later"]
    assert len(adapter.attempts) == 9  # more often than a failing send would have been tried
    assert house.endpoints["sky"].health()["ready"] is True


async def test_what_has_expired_is_not_delivered_late(house: House, here: Direct) -> None:
    await started(house, None)
    sea, sky = house.networks["sea"], house.networks["sky"]
    past, future = now() // 1000 - 5, now() // 1000 + 3600
    sea.say(here, Message(text("too late"), expires=Expiration(relative=False, time=past)), "m1")
    sea.say(here, Message(text("in time"), expires=Expiration(relative=False, time=future)), "m2")
    await until(lambda: len(sea.reports) == 2)
    assert sky.texts() == ["in time"]
    assert sea.reports[0][1].reason == "expired"


async def test_only_the_sender_of_a_message_may_change_it(house: House, here: Direct, there: Direct) -> None:
    await started(house, None)
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "mine", "m1")
    await until(lambda: sea.reports)
    sky.say(there, Message(NullPart(), replaces=sky.taken[0].native_id), "n1")
    await until(lambda: sky.reports)
    assert (sky.reports[0][1].status, sky.reports[0][1].reason) == (Status.ERROR, "not-allowed")
    assert not sea.taken


async def test_many_conversations_are_served_side_by_side_within_a_bound(house: House) -> None:
    adapter = await started(house, None, parallel=4)
    adapter.delay = 0.05
    sea, sky = house.networks["sea"], house.networks["sky"]
    for number in range(12):
        sea.say(house.direct("sea", f"p{number}", "sky", "bert"), "hello", f"m{number}")
    await until(lambda: len(sky.taken) == 12)
    assert adapter.most_at_once == 4


async def test_a_network_without_receipts_is_told_nothing(house: House, here: Direct) -> None:
    await house.make("sea", Plain(house.networks["sea"])).start()
    await house.start("sky")
    house.networks["sea"].say(here, "hello", "m1")
    await until(lambda: house.networks["sky"].taken)
    sea = house.endpoints["sea"]
    row = await logged(sea, State.DELIVERED)
    shown = await sea.operator.message(row.mimi_id)
    assert shown is not None
    assert [(step.state, step.by) for step in shown.timeline] == [
        (State.QUEUED, ""),
        (State.QUEUED, ""),  # accepted by the router
        (State.DELIVERED, "mimi://bridge.example/u/sky~bert"),
    ]
    assert not house.networks["sea"].reports


async def test_a_graceful_stop_finishes_what_is_being_sent(house: House, here: Direct) -> None:
    adapter = await started(house, None)
    adapter.delay = 0.2
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "on its way", "m1")
    await until(lambda: adapter.busy)
    await house.endpoints["sky"].stop()
    assert sky.texts() == ["on its way"]
    assert adapter.closed
    await until(lambda: sea.reports)  # its status left before the endpoint closed
