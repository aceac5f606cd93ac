"""What customers choose and share, as a program is told it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.business import answers, codec, wamid
from adapters.business.errors import UnsupportedType
from adapters.contract import Message
from protocol import commerce
from protocol.commerce import (
    Choice,
    ContactCard,
    FormReply,
    Labelled,
    Location,
    Media,
    MediaKind,
    Money,
    Order,
    OrderLine,
    PostalAddress,
    Referral,
)
from protocol.content import SinglePart
from tests.unit.adapters.business.test_codec import PERSON, _content

RED = Choice(id="r", title="Red", description="like a rose")


def sent(kind: wamid.Kind) -> str:
    return str(wamid.Wamid(kind, PERSON.user_id, bytes(18)))


def told(part: commerce.Commerce, answered: str | None = None) -> dict[str, Any]:
    return _content(Message(part=commerce.single(part), in_reply_to=answered))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            wamid.Kind.BUSINESS,
            {
                "type": "interactive",
                "interactive": {"type": "button_reply", "button_reply": {"id": "r", "title": "Red"}},
            },
        ),
        (
            wamid.Kind.BUSINESS_LIST,
            {
                "type": "interactive",
                "interactive": {
                    "type": "list_reply",
                    "list_reply": {"id": "r", "title": "Red", "description": "like a rose"},
                },
            },
        ),
        (wamid.Kind.BUSINESS_TEMPLATE, {"type": "button", "button": {"payload": "r", "text": "Red"}}),
    ],
)
def test_a_choice_has_the_shape_of_what_was_offered(kind: wamid.Kind, expected: dict[str, Any]) -> None:
    question = sent(kind)
    assert told(RED, question) == {**expected, "context": {"from": "15550001001", "id": question}}


def test_a_choice_of_nobody_knows_what_is_a_button() -> None:
    assert told(RED)["interactive"]["type"] == "button_reply"


def test_a_list_row_without_a_description_has_none() -> None:
    row = told(Choice(id="r", title="Red"), sent(wamid.Kind.BUSINESS_LIST))
    assert row["interactive"]["list_reply"] == {"id": "r", "title": "Red"}


def test_a_place() -> None:
    full = Location(latitude=45.4, longitude=11.0, name="Verona", address="Via 1", url="https://e.org")
    assert told(full) == {
        "type": "location",
        "location": {
            "latitude": 45.4,
            "longitude": 11.0,
            "name": "Verona",
            "address": "Via 1",
            "url": "https://e.org",
        },
    }
    assert told(Location(latitude=45.4, longitude=11.0))["location"] == {"latitude": 45.4, "longitude": 11.0}


def test_a_contact_card_with_everything_and_with_nothing() -> None:
    card = ContactCard(
        name="Juliet Capulet",
        given="Juliet",
        family="Capulet",
        phones=(Labelled(value="+39 1", label="HOME"),),
        emails=(Labelled(value="j@e.org"),),
        urls=(Labelled(value="https://e.org"),),
        addresses=(PostalAddress(street="Via 1", city="Verona", country_code="IT", label="HOME"),),
        organisation="Capulet",
        role="Heiress",
        birthday="1580-07-31",
    )
    assert told(card) == {
        "type": "contacts",
        "contacts": [
            {
                "name": {"formatted_name": "Juliet Capulet", "first_name": "Juliet", "last_name": "Capulet"},
                "phones": [{"phone": "+39 1", "type": "HOME"}],
                "emails": [{"email": "j@e.org"}],
                "urls": [{"url": "https://e.org"}],
                "addresses": [{"street": "Via 1", "city": "Verona", "country_code": "IT", "type": "HOME"}],
                "birthday": "1580-07-31",
                "org": {"company": "Capulet", "title": "Heiress"},
            }
        ],
    }
    bare = told(ContactCard(name="Romeo"))["contacts"]
    assert bare == [{"name": {"formatted_name": "Romeo", "first_name": "Romeo"}}]


def test_an_order_with_prices_and_without() -> None:
    order = Order(
        catalog="7",
        note="By Friday",
        lines=(
            OrderLine(product="chair-1", quantity=2, price=Money(currency="EUR", value=1250)),
            OrderLine(product="table", quantity=1),
        ),
    )
    assert told(order) == {
        "type": "order",
        "order": {
            "catalog_id": "7",
            "text": "By Friday",
            "product_items": [
                {"product_retailer_id": "chair-1", "quantity": 2, "item_price": 12.5, "currency": "EUR"},
                {"product_retailer_id": "table", "quantity": 1, "item_price": 0.0, "currency": "XXX"},
            ],
        },
    }


def test_the_answers_to_a_form_come_with_its_token() -> None:
    question = sent(wamid.Kind.BUSINESS)
    reply = told(FormReply(form="9", token="t", values={"day": "Friday"}), question)["interactive"]
    assert reply["type"] == "nfm_reply"
    assert (reply["nfm_reply"]["name"], reply["nfm_reply"]["body"]) == ("flow", "Sent")
    assert json.loads(reply["nfm_reply"]["response_json"]) == {"day": "Friday", "flow_token": "t"}
    bare = told(FormReply(form="9", values={}))["interactive"]["nfm_reply"]["response_json"]
    assert json.loads(bare) == {"flow_token": "9"}


def test_where_somebody_came_from() -> None:
    film = Media(kind=MediaKind.VIDEO, url="https://ad.example/1.mp4")
    said = told(
        Referral(
            source="ad",
            id="7",
            url="https://ad.example",
            headline="Chairs!",
            body="Four legs",
            media=film,
            thumbnail="https://ad.example/1.png",
            greeting="Welcome",
            click_id="c",
        )
    )
    assert said["type"] == "text"
    assert said["text"]["body"].startswith("Chairs!")
    assert said["referral"] == {
        "source_url": "https://ad.example",
        "source_id": "7",
        "source_type": "ad",
        "headline": "Chairs!",
        "body": "Four legs",
        "ctwa_clid": "c",
        "thumbnail_url": "https://ad.example/1.png",
        "media_type": "video",
        "video_url": "https://ad.example/1.mp4",
        "welcome_message": {"text": "Welcome"},
    }
    paper = Media(kind=MediaKind.DOCUMENT, url="https://ad.example/1.pdf")
    assert told(Referral(source="post", media=paper))["referral"] == {"source_type": "post"}


def test_every_part_that_is_told_is_one_that_the_capabilities_name() -> None:
    assert {commerce.feature_of(kind) for kind in answers.TOLD} == codec.IS_TOLD


@pytest.mark.parametrize(
    "part",
    [
        commerce.single(commerce.LocationRequest(body="Where?")),
        SinglePart(commerce.media_type(Choice), b"\xff"),
    ],
)
def test_what_a_program_cannot_be_told_is_refused(part: SinglePart) -> None:
    with pytest.raises(UnsupportedType):
        _content(Message(part=part))
