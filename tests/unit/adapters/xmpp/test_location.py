"""Places on XMPP, both ways: a body that is a ``geo:`` URI and nothing else, as Conversations sends it."""

from __future__ import annotations

import pytest

from adapters.contract import Message
from adapters.xmpp import codec, xml
from adapters.xmpp.recall import Recall
from protocol import commerce
from protocol.commerce import Location
from protocol.content import text
from tests.unit.adapters.xmpp.test_codec import WAY, again, said

HERE = Location(latitude=45.438, longitude=12.3359)


@pytest.mark.parametrize("body", ["geo:45.438,12.3359", " geo:45.438,12.3359;u=12\n"])
def test_a_body_that_is_a_place_is_a_location(body: str) -> None:
    part = said(f"<body>{body}</body>").part
    assert commerce.find(part) == HERE
    assert part.parts[1] == text(body.strip())


@pytest.mark.parametrize("body", ["I am at geo:45.438,12.3359", "geo:45.438", "geo:1,1;crs=Moon-2011"])
def test_a_body_that_says_more_or_less_is_text(body: str) -> None:
    assert said(f"<body>{body}</body>") == Message(text(body))


@pytest.mark.parametrize(
    ("place", "body"),
    [
        (HERE, "geo:45.438000,12.335900"),
        (
            Location(latitude=45.438, longitude=12.3359, name="Rialto", address="Venezia"),
            "Rialto\nVenezia\ngeo:45.438000,12.335900",
        ),
    ],
)
def test_a_location_is_a_body_and_its_names_are_not_lost(place: Location, body: str) -> None:
    stanza = again(codec.encode(commerce.single(place), WAY))
    assert stanza.findtext(xml.BODY) == body


def test_a_location_can_be_quoted_by_its_words() -> None:
    recall = Recall()
    recall.note("m1", "juliet@xmpp.test", Message(commerce.message(HERE, "geo:45.438,12.3359")))
    quote = recall.quote("m1")
    assert quote is not None
    assert quote.text == "geo:45.438,12.3359"
