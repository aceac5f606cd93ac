"""Places on Matrix, both ways."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.contract import Message, Refused
from adapters.matrix import codec
from protocol import commerce
from protocol.commerce import Location
from protocol.content import SinglePart, text

RIALTO = Location(latitude=45.438, longitude=12.3359, name="Rialto", address="Venezia")


def shared(**content: Any) -> Message:
    return codec.decode({"type": "m.room.message", "content": {"msgtype": "m.location", **content}})


def words(message: Message) -> str:
    """The text beside the place."""
    beside = message.part.parts[1]
    assert isinstance(beside, SinglePart)
    return beside.text


def shown(message: Message) -> dict[str, Any]:
    said = codec.encode(message)
    assert isinstance(said, codec.Say)
    return said.content


def test_a_shared_place_is_a_location_with_the_name_that_its_body_gives() -> None:
    message = shared(body="The orchard", geo_uri="geo:45.4,11.0")
    assert commerce.find(message.part) == Location(latitude=45.4, longitude=11.0, name="The orchard")
    assert words(message) == "The orchard\ngeo:45.400000,11.000000"


def test_a_body_that_repeats_the_uri_is_no_name() -> None:
    message = shared(body="Location was shared at geo:45.4,11.0 as of 1595", geo_uri="geo:45.4,11.0;u=30")
    assert commerce.find(message.part) == Location(latitude=45.4, longitude=11.0)
    assert words(message) == "Location was shared at geo:45.4,11.0 as of 1595"


@pytest.mark.parametrize("key", ["m.location", "org.matrix.msc3488.location"])
def test_the_fields_of_msc3488_are_understood(key: str) -> None:
    extensible = {"uri": "geo:45.438,12.3359", "description": " Ponte di\nRialto "}
    message = shared(
        body="somewhere", geo_uri="geo:0,0", **{key: extensible, "org.matrix.msc3488.asset": {"type": "m.self"}}
    )
    assert commerce.find(message.part) == Location(latitude=45.438, longitude=12.3359, name="Ponte di Rialto")


@pytest.mark.parametrize(
    "extensible",
    [{"uri": 1}, {"uri": "geo:45.4,11.0", "description": 7}, {"uri": "geo:45.4,11.0", "description": "\ud800"}, []],
)
def test_what_is_odd_in_them_is_passed_over(extensible: object) -> None:
    message = shared(body="geo:45.4,11.0", geo_uri="geo:45.4,11.0", **{"m.location": extensible})
    assert commerce.find(message.part) == Location(latitude=45.4, longitude=11.0)


def test_a_place_that_is_none_stays_words() -> None:
    assert shared(body="On the moon", geo_uri="geo:1,1;crs=Moon-2011") == Message(
        text("On the moon\ngeo:1,1;crs=Moon-2011")
    )
    assert shared(geo_uri="geo:200,1") == Message(text("geo:200,1"))
    with pytest.raises(Refused):
        shared(geo_uri=[])


def test_a_location_is_shown_as_one() -> None:
    assert shown(Message(commerce.single(RIALTO), in_reply_to="$0")) == {
        "msgtype": "m.location",
        "body": "Rialto\nVenezia\ngeo:45.438000,12.335900",
        "geo_uri": "geo:45.438000,12.335900",
        "org.matrix.msc3488.location": {"uri": "geo:45.438000,12.335900", "description": "Rialto"},
        "org.matrix.msc3488.asset": {"type": "m.pin"},
        "m.relates_to": {"m.in_reply_to": {"event_id": "$0"}},
    }


def test_a_place_comes_back_as_it_went_out() -> None:
    for place in (RIALTO, Location(latitude=-1.5, longitude=2.25)):
        again = codec.decode({"type": "m.room.message", "content": shown(Message(commerce.single(place)))})
        found = commerce.find(again.part)
        assert isinstance(found, Location)
        assert (found.latitude, found.longitude, found.name) == (place.latitude, place.longitude, place.name)
