"""A conversation between two networks, through a real router."""

from __future__ import annotations

from protocol.status import Status
from tests.unit.endpoint.house import House, until


async def test_a_message_arrives_and_its_sender_learns_of_it(house: House) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    here = house.direct("sea", "anna", "sky", "bert")
    there = house.direct("sky", "bert", "sea", "anna")

    sea.say(here, "Hello up there", "m1")
    await until(lambda: sky.taken)
    assert sky.texts(there) == ["Hello up there"]
    assert sky.taken[0].sender.name == "Anna"
    assert sea.acknowledged == ["m1"]

    await until(lambda: sea.reports)
    assert sea.statuses("m1") == [Status.DELIVERED]

    sky.say(there, "Hello down there", "n1")
    await until(lambda: sea.taken)
    assert sea.texts(here) == ["Hello down there"]
