"""A message that needed several native ones is edited and deleted whole."""

from __future__ import annotations

import pytest
from msgspec import structs

from adapters.contract import Direct, Message
from bridge.endpoint import Endpoint
from protocol.capabilities import Feature, Level, Limits
from protocol.content import Disposition, NullPart, reaction, text
from tests.unit.endpoint.fake_adapter import EVERYTHING, FakeAdapter, FakeNetwork
from tests.unit.endpoint.house import House, until

SHORT = structs.replace(EVERYTHING, limits=Limits(text=10), edit_age=3_600_000, delete_age=3_600_000)
TWO, THREE, FOUR = "first one second", "first one second two third", "a first b second c third d fourth"


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


class Wall:
    """What people on a network of short messages see, after all edits and deletions."""

    def __init__(self, network: FakeNetwork) -> None:
        self.network = network
        self.seen = 0

    async def shows(self, count: int) -> list[str]:
        """Wait for ``count`` more native messages; return what stands there then, in order."""
        self.seen += count
        await until(lambda: len(self.network.taken) >= self.seen)
        assert len(self.network.taken) == self.seen
        standing: dict[str, str] = {}
        for taken in self.network.taken:
            replaces = taken.message.replaces
            assert replaces is None or replaces in standing, "what is changed must stand there"
            if isinstance(taken.message.part, NullPart):
                del standing[replaces or ""]
            else:
                standing[replaces or taken.native_id] = taken.text
        return list(standing.values())


@pytest.fixture
async def wall(house: House) -> Wall:
    house.networks["sky"].capabilities = SHORT
    await house.start("sea", "sky")
    return Wall(house.networks["sky"])


async def test_a_deletion_takes_every_piece_away(house: House, here: Direct, wall: Wall) -> None:
    sea = house.networks["sea"]
    sea.say(here, THREE, "m1")
    assert await wall.shows(3) == ["first one", "second two", "third"]
    sea.say(here, Message(NullPart(), replaces="m1"), "m2")
    assert await wall.shows(3) == []


async def test_an_edit_changes_every_piece_and_deletes_what_is_left_over(
    house: House, here: Direct, wall: Wall
) -> None:
    sea = house.networks["sea"]
    sea.say(here, THREE, "m1")
    sea.say(here, "behind", "m2")
    assert await wall.shows(4) == ["first one", "second two", "third", "behind"]
    sea.say(here, Message(text("Only one"), replaces="m1"), "m3")
    assert await wall.shows(3) == ["Only one", "behind"]
    sea.say(here, Message(text(TWO), replaces="m1"), "m4")
    assert await wall.shows(2) == ["first one", "behind", "second"]
    sea.say(here, Message(NullPart(), replaces="m1"), "m5")
    assert await wall.shows(2) == ["behind"]


async def test_what_an_edit_adds_is_part_of_what_it_edits(house: House, here: Direct, wall: Wall) -> None:
    sea = house.networks["sea"]
    sea.say(here, TWO, "m1")
    assert await wall.shows(2) == ["first one", "second"]
    sea.say(here, Message(text(FOUR), replaces="m1"), "m2")
    assert await wall.shows(4) == ["a first b", "second c", "third d", "fourth"]
    sea.say(here, Message(text(TWO), replaces="m1"), "m3")
    assert await wall.shows(4) == ["first one", "second"]


async def test_pieces_outlive_a_restart(house: House, here: Direct, wall: Wall) -> None:
    sea = house.networks["sea"]
    sea.say(here, THREE, "m1")
    await wall.shows(3)
    await until(lambda: sea.reports)
    await house.endpoints["sky"].stop()
    endpoint: Endpoint = house.make("sky", FakeAdapter(house.networks["sky"]))
    await endpoint.start()
    sea.say(here, Message(NullPart(), replaces="m1"), "m2")
    assert await wall.shows(3) == []


async def test_several_reactions_are_taken_back_together(house: House, here: Direct, wall: Wall) -> None:
    sea = house.networks["sea"]
    sea.say(here, "A rose", "m1")
    sea.say(here, Message(reaction("🌹", "🥀"), in_reply_to="m1"), "m2")
    assert await wall.shows(3) == ["A rose", "🌹", "🥀"]
    sea.say(here, Message(NullPart(disposition=Disposition.REACTION), replaces="m2", in_reply_to="m1"), "m3")
    assert await wall.shows(2) == ["A rose"]


async def test_where_nothing_can_be_deleted_what_is_left_over_stays(house: House, here: Direct, wall: Wall) -> None:
    features = {**SHORT.send.features, Feature.DELETE: Level.UNSUPPORTED}
    house.networks["sky"].capabilities = structs.replace(SHORT, send=structs.replace(SHORT.send, features=features))
    sea = house.networks["sea"]
    sea.say(here, THREE, "m1")
    await wall.shows(3)
    sea.say(here, Message(text("Only one"), replaces="m1"), "m2")
    assert await wall.shows(1) == ["Only one", "second two", "third"]
