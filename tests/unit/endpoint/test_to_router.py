"""To the router: rooms take turns, requests are as long as the router takes them, and one bad row costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from adapters.contract import Direct
from bridge.endpoint.rooms import room as rooms
from bridge.endpoint.to_router import outbox
from bridge.router.contract import (
    Accepted,
    BadRequest,
    Envelope,
    Forked,
    Kind,
    Refusal,
    RefusalCode,
    Router,
    RouterUnavailable,
)
from protocol.status import Status
from tests.recorder import recording
from tests.unit.endpoint.house import House, until

Answers = Sequence[Accepted | Refusal]


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


class Gate:
    """A connection to the router that notes each request with messages, and may be down or particular about them."""

    def __init__(self, router: Router) -> None:
        self._router, self.endpoint = router, router.endpoint
        self.down = False
        self.requests: list[list[Envelope]] = []
        self.particular: Callable[[Sequence[Envelope]], None] | None = None
        self.answers: Callable[[Envelope], Refusal | None] = lambda envelope: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    async def submit(self, envelopes: Sequence[Envelope]) -> Answers:
        if self.down:
            raise RouterUnavailable("down")
        messages = [envelope for envelope in envelopes if envelope.kind is Kind.APPLICATION]
        if messages:
            self.requests.append(messages)
        if self.particular is not None:
            self.particular(envelopes)
        refused = [self.answers(envelope) for envelope in envelopes]
        passed = iter(await self._router.submit([e for e, no in zip(envelopes, refused, strict=True) if no is None]))
        return [no or next(passed) for no in refused]


async def gated(house: House) -> Gate:
    gate = Gate(house.hub.connect("sea"))
    await house.start("sky")
    await house.make("sea", router=gate).start()
    return gate


async def test_a_lonely_message_does_not_wait_behind_three_thousand_of_another_room(house: House, here: Direct) -> None:
    gate = await gated(house)
    sea, sky = house.networks["sea"], house.networks["sky"]
    lonely = house.direct("sea", "carl", "sky", "bert")
    sea.say(here, "open", "m")
    sea.say(lonely, "open", "l")
    await until(lambda: sea.statuses("m") and sea.statuses("l"))
    gate.down = True
    for number in range(3000):
        sea.say(here, str(number), f"m{number}")
    sea.say(lonely, "me too", "l1")
    await until(lambda: "l1" in sea.acknowledged)
    gate.requests.clear()
    gate.down = False
    room = house.endpoints["sea"].rooms.of(lonely).uri
    await until(lambda: any(envelope.room == room for request in gate.requests for envelope in request))
    before = [request for request in gate.requests if all(envelope.room != room for envelope in request)]
    assert len(before) <= 1  # what was under way already
    del sky


async def test_what_is_too_long_for_one_request_goes_in_several(house: House, here: Direct) -> None:
    gate = await gated(house)
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "open", "m")
    await until(lambda: sea.statuses("m"))
    most = house.endpoints["sea"].outbox.request_octets = 40_000

    def particular(envelopes: Sequence[Envelope]) -> None:
        if sum(len(envelope.body) for envelope in envelopes) > most:
            raise BadRequest("413: too long")

    gate.particular = particular
    gate.down = True
    for number in range(12):
        sea.say(here, f"{number}" + "x" * 9_000, f"m{number}")
    await until(lambda: "m11" in sea.acknowledged)
    gate.requests.clear()
    gate.down = False
    await until(lambda: len(sky.taken) == 13)
    assert [len(request) for request in gate.requests if len(request[0].body) > 9_000] == [3, 3, 3, 3]
    assert [text.split("x")[0] for text in sky.texts()[1:]] == [str(number) for number in range(12)]


async def test_one_message_that_the_router_cannot_read_costs_no_other(house: House, here: Direct) -> None:
    gate = await gated(house)
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "open", "m")
    await until(lambda: sea.statuses("m"))

    def particular(envelopes: Sequence[Envelope]) -> None:
        if any(len(envelope.body) > 20_000 for envelope in envelopes):
            raise BadRequest("400: no")

    gate.particular = particular
    gate.down = True
    for number in range(7):
        sea.say(here, "x" * 30_000 if number == 3 else str(number), f"m{number}")
    await until(lambda: "m6" in sea.acknowledged)
    gate.down = False
    await until(lambda: len(sky.taken) == 7)
    assert sky.texts()[1:] == ["0", "1", "2", "4", "5", "6"]
    await until(lambda: sea.statuses("m3"))
    assert sea.statuses("m3") == [Status.ERROR]
    assert not house.endpoints["sea"].outbox


@pytest.mark.parametrize("code", [RefusalCode.RECIPIENT_FULL, RefusalCode.TOO_MANY])
async def test_what_the_router_does_not_take_now_is_kept_for_later(
    house: House, here: Direct, monkeypatch: pytest.MonkeyPatch, code: RefusalCode
) -> None:
    monkeypatch.setattr(outbox, "_LATER_S", 0.05)
    gate = await gated(house)
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "open", "m")
    await until(lambda: sea.statuses("m"))
    full = Refusal(code, "not now")
    gate.answers = lambda envelope: full
    sea.say(here, "later", "m1")
    await until(lambda: len(gate.requests) >= 4)
    bodies = {request[0].body for request in gate.requests[-2:]}
    assert len(bodies) == 1  # the same octets: a refusal spends no key
    gate.answers = lambda envelope: None
    await until(lambda: len(sky.taken) == 2)
    assert not sea.refused


async def test_a_content_is_committed_bare_and_sealed_when_it_is_submitted(house: House, here: Direct) -> None:
    """So a session that dies leaves nothing sealed behind, and the next seals under keys of its own."""
    gate = await gated(house)
    sea = house.networks["sea"]
    sea.say(here, "open", "m")
    await until(lambda: sea.statuses("m"))
    gate.down = True
    group = house.endpoints["sea"].rooms.of(here).held
    before = group.generation
    for number in range(600):
        sea.say(here, str(number), f"m{number}")
    await until(lambda: "m599" in sea.acknowledged)
    assert group.generation - before <= outbox.AT_ONCE
    rows = await house.endpoints["sea"].ledger.outbox(0, 1000)
    assert len(rows) == 600
    assert not any(row.body for row in rows)
    gate.down = False
    await until(lambda: len(house.networks["sky"].taken) == 601)


async def test_new_keys_are_drawn_before_the_ratchet_is_too_far_ahead(
    house: House, here: Direct, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that refuses what was sealed burns its keys; receivers must not lose track of the ratchet."""
    monkeypatch.setattr(rooms, "AHEAD", 20)
    gate = await gated(house)
    sea, sky = house.networks["sea"], house.networks["sky"]
    with recording(monkeypatch):
        sea.say(here, "open", "m")
        await until(lambda: sea.statuses("m"))
        room = house.endpoints["sea"].rooms.of(here)
        epoch = room.held.epoch
        refused = Refusal(RefusalCode.NOT_ALLOWED, "never")
        gate.answers = lambda envelope: refused
        for number in range(25):
            sea.say(here, str(number), f"m{number}")
        await until(lambda: all(sea.statuses(f"m{number}") for number in range(25)))
        gate.answers = lambda envelope: None
        sea.say(here, "at last", "end")
        await until(lambda: sky.texts()[-1:] == ["at last"])
        assert room.held.epoch > epoch


async def test_a_session_that_another_has_displaced_loses_nothing_that_waits(house: House, here: Direct) -> None:
    """It ends, and what it could not say is said by the next one, under keys of its own."""
    gate = await gated(house)
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "open", "m")
    await until(lambda: sea.statuses("m"))
    displaced = Refusal(RefusalCode.FORKED, "another session")
    gate.answers = lambda envelope: displaced
    sea.say(here, "from the next life", "m1")
    with pytest.raises(Forked):
        await house.endpoints["sea"].wait()
    await house.endpoints["sea"].stop()
    await house.start("sea")
    await until(lambda: len(sky.taken) == 2)
    assert sky.texts() == ["open", "from the next life"]
    assert sea.statuses("m1") != [Status.ERROR]
