"""Typing: any number of notices that nobody heard harms no message, and each person gives one a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from adapters.contract import Direct
from bridge.endpoint.to_router import passing
from bridge.router.contract import Accepted, Envelope, Kind, Refusal, Router
from tests.unit.endpoint.house import House, now, until


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


@pytest.fixture
def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


class Counting:
    """A connection to the router that keeps what was submitted."""

    def __init__(self, router: Router) -> None:
        self._router, self.endpoint = router, router.endpoint
        self.signs: list[Envelope] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        answers = await self._router.submit(envelopes)
        self.signs += [envelope for envelope in envelopes if envelope.kind is Kind.PASSING]
        return answers


@pytest.mark.parametrize("many", [1_100, pytest.param(5_000, marks=pytest.mark.slow, id="five-thousand")])
async def test_notices_that_nobody_hears_cost_no_message(
    house: House, here: Direct, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """The listener is away; then it comes back, after the other side has been started anew too."""
    monkeypatch.setattr(passing, "EVERY_MS", 0)  # the worst that a sender could do
    await house.start("sky")
    router = Counting(house.hub.connect("sea"))
    await house.make("sea", router=router).start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "open the room", "m0")
    await until(lambda: sea.reports)
    await house.endpoints["sky"].stop()
    for number in range(many):
        sea.types(here, "anna", active=number % 2 == 0)
        if number % 100 == 99:
            await until(lambda said=number + 1: len(router.signs) == said)
    monkeypatch.undo()
    await house.endpoints["sea"].stop()
    await house.start("sea", "sky")
    for number in range(1, 6):
        sea.say(here, str(number), f"m{number}")
    await until(lambda: len(sky.taken) == 6)
    assert sky.texts() == ["open the room", "1", "2", "3", "4", "5"]
    await until(lambda: all(sea.statuses(f"m{number}") for number in range(6)))


async def test_typing_is_told_before_this_session_has_said_anything(house: House, here: Direct, there: Direct) -> None:
    """A session that may not send messages yet need not commit for a sign."""
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "open the room", "m1")
    await until(lambda: sea.reports)
    await house.endpoints["sea"].stop()
    await house.start("sea")
    await house.endpoints["sea"]._settled.wait()  # it has said hello
    room = house.endpoints["sea"].rooms.of(here)
    before = room.held.epoch
    await until(lambda: room.held_for == "" and room.hold == "")  # its members were compared with who they should be
    sea.types(here, "anna")
    await until(lambda: sky.typing)
    assert sky.typing == [(there.key, "anna", True)]
    assert (room.held.epoch, room.held.may_send) == (before, False)


async def test_a_person_gives_one_sign_a_second_and_the_last_of_it_is_told(house: House, here: Direct) -> None:
    await house.start("sky")
    router = Counting(house.hub.connect("sea"))
    moment = [now()]
    await house.make("sea", router=router, clock=lambda: moment[0]).start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "open the room", "m1")
    await until(lambda: sea.reports)
    for number in range(20):
        sea.types(here, "anna", active=number % 2 == 0)  # the last of them: not typing
    await until(lambda: len(sky.typing) == 2)
    assert [active for _, _, active in sky.typing] == [True, False]
    assert len(router.signs) == 2


async def test_who_was_silent_longest_is_forgotten_first(house: House, here: Direct) -> None:
    await house.start()
    sea = house.networks["sea"]
    sea.say(here, "open the room", "m1")
    await until(lambda: sea.reports)
    endpoint = house.endpoints["sea"]
    room = endpoint.rooms.of(here)
    for number in range(passing.KEPT + 10):
        endpoint.signs.give(room, f"mimi://bridge.example/u/sea~p{number}", b"")
        if len(endpoint.signs._tasks) == passing.AT_ONCE:
            await until(lambda: not endpoint.signs._tasks)
    assert len(endpoint.signs._givers) == passing.KEPT
