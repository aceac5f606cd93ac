"""A sender who writes faster than messages can be carried: slowed, and told so once."""

from __future__ import annotations

from bridge.limits import Limits
from tests.unit.endpoint.house import House, until


async def test_a_flood_is_refused_and_its_sender_told_once_while_others_are_heard(house: House) -> None:
    house.make("sea", limits=Limits(sender_per_minute=1, sender_burst=3))
    await house.endpoints["sea"].start()
    await house.start("sky")
    sea, sky = house.networks["sea"], house.networks["sky"]
    mallory, anna = house.direct("sea", "mallory", "sky", "bert"), house.direct("sea", "anna", "sky", "bert")

    for number in range(50):
        sea.say(mallory, f"spam {number}", f"m{number}")
    sea.say(anna, "may I?", "a1")
    await until(lambda: len(sky.taken) == 4)
    await until(lambda: len(sea.refused) == 47)
    assert sorted(sky.texts()) == ["may I?", "spam 0", "spam 1", "spam 2"]
    assert sorted(sea.acknowledged) == ["a1", "m0", "m1", "m2"], "nothing else was said to be received"
    assert {refused.reason for refused in sea.refused.values()} == {"too-many"}
    assert [native for native, refused in sea.refused.items() if not refused.quiet] == ["m3"]


async def test_a_message_that_comes_again_is_no_new_one(house: House) -> None:
    house.make("sea", limits=Limits(sender_per_minute=1, sender_burst=1))
    await house.endpoints["sea"].start()
    await house.start("sky")
    sea = house.networks["sea"]
    anna = house.direct("sea", "anna", "sky", "bert")
    sea.say(anna, "once", "m1")
    await until(lambda: sea.acknowledged == ["m1"])
    sea.say(anna, "once", "m1")
    await until(lambda: sea.acknowledged == ["m1", "m1"])
