"""What a business asks with: interactive messages, places and contact cards, and every way to get them wrong."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.business import codec, interactive, wamid
from adapters.business.errors import BusinessError, InvalidParameter, MissingParameter, UnsupportedType
from adapters.business.files import File, FileKind, FileRef
from adapters.business.structured import Structured
from protocol import commerce
from protocol.commerce import (
    Card,
    Carousel,
    ContactCard,
    ContactRequest,
    Form,
    Labelled,
    LinkButton,
    LinkTo,
    Location,
    LocationRequest,
    Media,
    MediaKind,
    Menu,
    Option,
    PostalAddress,
    Product,
    ProductList,
    ProductSection,
    QuickReplies,
    Section,
)
from protocol.content import ExternalPart, MultiPart, Semantics

Json = dict[str, Any]
FILE = File(id="77", mime="image/png", sha256="00ff" * 16, size=4, owner="1001", expires=0, name="rose.png")

BUTTONS: Json = {
    "type": "button",
    "header": {"type": "text", "text": "Roses"},
    "body": {"text": "Which colour?"},
    "footer": {"text": "Thank you"},
    "action": {
        "buttons": [
            {"type": "reply", "reply": {"id": "r", "title": "Red"}},
            {"type": "reply", "reply": {"id": "b", "title": "Blue"}},
        ]
    },
}
LIST: Json = {
    "type": "list",
    "header": {"type": "text", "text": "Paint"},
    "body": {"text": "Which one?"},
    "action": {
        "button": "Look",
        "sections": [
            {"title": "Oil", "rows": [{"id": "r", "title": "Red", "description": "like a rose"}]},
            {"title": "Water", "rows": [{"id": "b", "title": "Blue"}]},
        ],
    },
}
LINK: Json = {
    "type": "cta_url",
    "body": {"text": "See"},
    "action": {"name": "cta_url", "parameters": {"display_text": "Open", "url": "https://e.org/1"}},
}
WHERE: Json = {
    "type": "location_request_message",
    "body": {"text": "Where are you?"},
    "action": {"name": "send_location"},
}
PHONE: Json = {
    "type": "request_contact_info",
    "body": {"text": "Your number?"},
    "action": {"name": "request_contact_info"},
}
PRODUCT: Json = {
    "type": "product",
    "body": {"text": "A chair"},
    "footer": {"text": "of oak"},
    "action": {"catalog_id": 7, "product_retailer_id": "chair-1"},
}
PRODUCTS: Json = {
    "type": "product_list",
    "header": {"type": "text", "text": "All"},
    "body": {"text": "To sit on"},
    "action": {"catalog_id": "7", "sections": [{"product_items": [{"product_retailer_id": "chair-1"}]}]},
}
FLOW: Json = {
    "type": "flow",
    "body": {"text": "When?"},
    "action": {
        "name": "flow",
        "parameters": {
            "flow_message_version": "3",
            "flow_token": "t",
            "flow_id": "9",
            "flow_cta": "Book",
            "flow_action": "navigate",
            "flow_action_payload": {"screen": "DAYS", "data": {"day": "Friday", "seats": 2}},
        },
    },
}
CARDS: Json = {
    "type": "carousel",
    "body": {"text": "Look"},
    "action": {
        "cards": [
            {
                "card_index": 0,
                "type": "cta_url",
                "header": {"type": "image", "image": {"link": "https://e.org/1.png"}},
                "body": {"text": "One"},
                "action": {"name": "cta_url", "parameters": {"display_text": "Open", "url": "https://e.org/1"}},
            },
            {
                "card_index": 1,
                "type": "cta_url",
                "header": {"type": "video", "video": {"link": "https://e.org/2.mp4"}},
                "action": {"buttons": [{"type": "quick_reply", "quick_reply": {"id": "b", "title": "Blue"}}]},
            },
        ]
    },
}
ALL: dict[str, Json] = {
    each["type"]: each for each in (BUTTONS, LIST, LINK, WHERE, PHONE, PRODUCT, PRODUCTS, FLOW, CARDS)
}
RED, BLUE = Option(id="r", title="Red"), Option(id="b", title="Blue")


def send(**fields: Any) -> codec.Send:
    request = {"messaging_product": "whatsapp", "to": "999", **fields}
    said = codec.command(json.dumps(request).encode())
    assert isinstance(said, codec.Send)
    return said


def asked(interactive_: Json) -> commerce.Commerce:
    """The one part that an interactive message is read into."""
    said = send(type="interactive", interactive=interactive_).what
    assert isinstance(said, Structured)
    [part] = said.parts
    return part


def changed(original: Json, path: str, value: Any) -> Json:
    """A copy with one field changed, or taken out if the value is None: ``action.buttons.0.type``."""
    copied: Any = copy.deepcopy(original)
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    inner = copied
    for step in steps:
        inner = inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return dict(copied)


# --- as it should be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "part"),
    [
        (BUTTONS, QuickReplies(body="Which colour?", options=(RED, BLUE), header="Roses", footer="Thank you")),
        (
            LIST,
            Menu(
                body="Which one?",
                button="Look",
                header="Paint",
                sections=(
                    Section(title="Oil", options=(Option(id="r", title="Red", description="like a rose"),)),
                    Section(title="Water", options=(BLUE,)),
                ),
            ),
        ),
        (LINK, LinkButton(body="See", title="Open", url="https://e.org/1")),
        (WHERE, LocationRequest(body="Where are you?")),
        (PHONE, ContactRequest(body="Your number?")),
        (PRODUCT, Product(id="chair-1", title="chair-1", catalog="7", description="A chair\nof oak")),
        (
            PRODUCTS,
            ProductList(
                body="To sit on",
                header="All",
                sections=(ProductSection(products=(Product(id="chair-1", title="chair-1", catalog="7"),)),),
            ),
        ),
        (
            FLOW,
            Form(id="9", body="When?", button="Book", token="t", screen="DAYS", data={"day": "Friday", "seats": "2"}),
        ),
        (
            CARDS,
            Carousel(
                body="Look",
                cards=(
                    Card(
                        body="One",
                        media=Media(kind=MediaKind.IMAGE, url="https://e.org/1.png"),
                        links=(LinkTo(title="Open", url="https://e.org/1"),),
                    ),
                    Card(
                        body="Blue",
                        media=Media(kind=MediaKind.VIDEO, url="https://e.org/2.mp4"),
                        options=(BLUE,),
                    ),
                ),
            ),
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_each_kind_is_read_into_the_part_that_says_the_same(request_: Json, part: commerce.Commerce) -> None:
    assert asked(request_) == part
    said = send(type="interactive", interactive=request_)
    assert commerce.find(codec.to_message(said).part) == part


def test_every_kind_that_is_read_is_one_that_the_capabilities_name() -> None:
    read = {type(asked(each)) for each in ALL.values()}
    assert read == set(interactive.CARRIED)
    assert {commerce.feature_of(kind) for kind in read} < codec.SAYS


def test_a_message_says_the_part_and_beside_it_the_same_in_words() -> None:
    message = codec.to_message(send(type="interactive", interactive=BUTTONS))
    assert isinstance(message.part, MultiPart)
    assert message.part.semantics is Semantics.CHOOSE_ONE
    assert message.part.parts[1].text == "Roses\nWhich colour?\n1. Red\n2. Blue\nThank you"  # type: ignore[union-attr]


def test_a_picture_above_buttons_goes_with_them() -> None:
    pictured = changed(BUTTONS, "header", {"type": "image", "image": {"id": "77"}})
    said = send(type="interactive", interactive=pictured)
    assert said.file == FileRef(FileKind.IMAGE, id="77")
    part = codec.to_message(said, FILE).part
    assert isinstance(part, MultiPart)
    assert part.semantics is Semantics.SINGLE_UNIT
    picture, question = part.parts
    assert isinstance(picture, ExternalPart)
    assert (picture.content_type, codec.media_id(picture)) == ("image/png", "77")
    assert commerce.find(question) == QuickReplies(body="Which colour?", options=(RED, BLUE), footer="Thank you")
    with pytest.raises(InvalidParameter):
        codec.to_message(said)


def test_the_id_says_what_will_be_chosen_from() -> None:
    assert send(type="interactive", interactive=BUTTONS).kind is wamid.Kind.BUSINESS
    assert send(type="interactive", interactive=LIST).kind is wamid.Kind.BUSINESS_LIST
    assert send(text={"body": "x"}).kind is wamid.Kind.BUSINESS


def test_a_flow_may_be_named_and_need_say_no_more() -> None:
    bare = {"flow_name": "booking", "flow_cta": "Book"}
    assert asked(changed(FLOW, "action.parameters", bare)) == Form(id="booking", body="When?", button="Book")


def test_a_product_needs_no_words() -> None:
    assert asked(changed(changed(PRODUCT, "body", None), "footer", None)) == Product(
        id="chair-1", title="chair-1", catalog="7"
    )


# --- places and contacts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latitude", [45.4, "45.4"])
def test_a_place(latitude: object) -> None:
    place = {"latitude": latitude, "longitude": -11, "name": "Verona", "address": "Via Cappello"}
    message = codec.to_message(send(type="location", location=place))
    assert commerce.find(message.part) == Location(
        latitude=45.4, longitude=-11.0, name="Verona", address="Via Cappello"
    )


def test_contact_cards_with_everything_and_with_nothing() -> None:
    full = {
        "name": {"formatted_name": "Juliet Capulet", "first_name": "Juliet", "last_name": "Capulet", "prefix": None},
        "phones": [{"phone": "+39 1", "type": "HOME"}, {"wa_id": "391"}],
        "emails": [{"email": "j@e.org", "type": "WORK"}],
        "urls": [{"url": "https://e.org"}],
        "addresses": [{"street": "Via 1", "city": "Verona", "zip": "37121", "country_code": "it", "state": "VR"}],
        "org": {"company": "Capulet", "title": "Heiress"},
        "birthday": "1580-07-31",
    }
    bare = {"name": {"formatted_name": "Romeo"}, "org": None, "birthday": None}
    part = codec.to_message(send(type="contacts", contacts=[full, bare])).part
    assert isinstance(part, MultiPart)
    assert part.semantics is Semantics.PROCESS_ALL
    assert [commerce.find(each) for each in part.parts] == [
        ContactCard(
            name="Juliet Capulet",
            given="Juliet",
            family="Capulet",
            phones=(Labelled(value="+39 1", label="HOME"), Labelled(value="+391")),
            emails=(Labelled(value="j@e.org", label="WORK"),),
            urls=(Labelled(value="https://e.org"),),
            addresses=(PostalAddress(street="Via 1", city="Verona", postcode="37121", country_code="IT", region="VR"),),
            organisation="Capulet",
            role="Heiress",
            birthday="1580-07-31",
        ),
        ContactCard(name="Romeo"),
    ]
    assert commerce.find(codec.to_message(send(type="contacts", contacts=[bare])).part) == ContactCard(name="Romeo")


@pytest.mark.parametrize(
    ("fields", "error", "where"),
    [
        ({"type": "location"}, MissingParameter, "location"),
        ({"type": "location", "location": {"longitude": 1}}, MissingParameter, "location.latitude"),
        (
            {"type": "location", "location": {"latitude": "north", "longitude": 1}},
            InvalidParameter,
            "location.latitude",
        ),
        ({"type": "location", "location": {"latitude": True, "longitude": 1}}, InvalidParameter, "location.latitude"),
        ({"type": "location", "location": {"latitude": 1, "longitude": 180.1}}, InvalidParameter, "location.longitude"),
        ({"type": "location", "location": {"latitude": 91, "longitude": 1}}, InvalidParameter, "location.latitude"),
        (
            {"type": "location", "location": {"latitude": 10**400, "longitude": 1}},
            InvalidParameter,
            "location.latitude",
        ),
        (
            {"type": "location", "location": {"latitude": -(10**400), "longitude": 1}},
            InvalidParameter,
            "location.latitude",
        ),
        (
            {"type": "location", "location": {"latitude": 1, "longitude": 1, "name": "x" * 257}},
            InvalidParameter,
            "location.name: 257 characters",
        ),
        ({"type": "contacts"}, MissingParameter, "contacts"),
        ({"type": "contacts", "contacts": {}}, InvalidParameter, "contacts: is not a list"),
        ({"type": "contacts", "contacts": []}, InvalidParameter, "contacts: 0 entries, where 1 to 257 are allowed"),
        ({"type": "contacts", "contacts": ["x"]}, InvalidParameter, "contacts[0]: is not an object"),
        ({"type": "contacts", "contacts": [{}]}, MissingParameter, "contacts[0].name"),
        ({"type": "contacts", "contacts": [{"name": {}}]}, MissingParameter, "contacts[0].name.formatted_name"),
        (
            {"type": "contacts", "contacts": [{"name": {"formatted_name": "x"}, "phones": [{"type": "HOME"}]}]},
            MissingParameter,
            "contacts[0].phones[0].phone",
        ),
    ],
)
def test_what_is_wrong_with_a_place_or_a_card_is_said(fields: Json, error: type[BusinessError], where: str) -> None:
    with pytest.raises(error) as refused:
        send(**fields)
    assert str(refused.value).startswith(where)


def test_what_only_the_schema_refuses_is_refused_too() -> None:
    odd = {"name": {"formatted_name": "x"}, "birthday": "tomorrow"}
    with pytest.raises(InvalidParameter, match="birthday"):
        codec.to_message(send(type="contacts", contacts=[odd]))


# --- every way to get it wrong ----------------------------------------------------------------------------------------

ROWS = [{"id": str(number), "title": f"Row {number}"} for number in range(11)]
REPLY = {"type": "reply", "reply": {"id": "x", "title": "X"}}


@pytest.mark.parametrize(
    ("original", "path", "value", "error", "words"),
    [
        (BUTTONS, "type", None, MissingParameter, "interactive.type: is missing"),
        (BUTTONS, "type", "hologram", UnsupportedType, "interactive.type: this bridge does not carry 'hologram'"),
        (BUTTONS, "body", None, MissingParameter, "interactive.body: is missing"),
        (BUTTONS, "body", "x", InvalidParameter, "interactive.body: is not an object"),
        (BUTTONS, "body.text", "", MissingParameter, "interactive.body.text: is missing"),
        (BUTTONS, "body.text", 7, InvalidParameter, "interactive.body.text: is not a string"),
        (BUTTONS, "body.text", "x" * 1025, InvalidParameter, "interactive.body.text: 1025 characters, where 1024"),
        (BUTTONS, "footer.text", "x" * 61, InvalidParameter, "interactive.footer.text: 61 characters, where 60"),
        (BUTTONS, "header.text", "x" * 61, InvalidParameter, "interactive.header.text: 61 characters, where 60"),
        (BUTTONS, "header.type", "audio", InvalidParameter, "interactive.header.type: 'audio' is not text or image"),
        (BUTTONS, "header", {"type": "image"}, MissingParameter, "interactive.header.image: is missing"),
        (BUTTONS, "header", {"type": "image", "image": {}}, MissingParameter, "interactive.header.image: either id"),
        (
            BUTTONS,
            "header",
            {"type": "image", "image": {"id": "1", "caption": "x"}},
            InvalidParameter,
            "interactive.header.image.caption: a header has none",
        ),
        (BUTTONS, "action", None, MissingParameter, "interactive.action: is missing"),
        (BUTTONS, "action.buttons", None, MissingParameter, "interactive.action.buttons: is missing"),
        (BUTTONS, "action.buttons", "x", InvalidParameter, "interactive.action.buttons: is not a list"),
        (BUTTONS, "action.buttons", [], InvalidParameter, "interactive.action.buttons: 0 entries, where 1 to 3"),
        (BUTTONS, "action.buttons", [REPLY] * 4, InvalidParameter, "interactive.action.buttons: 4 entries"),
        (BUTTONS, "action.buttons.0.type", "url", InvalidParameter, "interactive.action.buttons[0].type: 'url' is not"),
        (BUTTONS, "action.buttons.1.reply", None, MissingParameter, "interactive.action.buttons[1].reply: is missing"),
        (
            BUTTONS,
            "action.buttons.0.reply.id",
            "x" * 257,
            InvalidParameter,
            "interactive.action.buttons[0].reply.id: 257 characters, where 256",
        ),
        (
            BUTTONS,
            "action.buttons.0.reply.title",
            "x" * 21,
            InvalidParameter,
            "interactive.action.buttons[0].reply.title: 21 characters, where 20",
        ),
        (BUTTONS, "action.buttons.1.reply.id", "r", InvalidParameter, "interactive.action.buttons, id: 'r' is there"),
        (BUTTONS, "action.buttons.1.reply.title", "Red", InvalidParameter, "interactive.action.buttons, title: 'Red'"),
        (LIST, "header.type", "image", InvalidParameter, "interactive.header.type: 'image' is not text"),
        (LIST, "body.text", "x" * 4097, InvalidParameter, "interactive.body.text: 4097 characters, where 4096"),
        (LIST, "action.button", "x" * 21, InvalidParameter, "interactive.action.button: 21 characters, where 20"),
        (LIST, "action.button", None, MissingParameter, "interactive.action.button: is missing"),
        (LIST, "action.sections", [], InvalidParameter, "interactive.action.sections: 0 entries, where 1 to 10"),
        (LIST, "action.sections.1.title", None, MissingParameter, "interactive.action.sections[1].title: is missing"),
        (LIST, "action.sections.0.title", "x" * 25, InvalidParameter, "interactive.action.sections[0].title: 25"),
        (LIST, "action.sections.0.rows", ROWS, InvalidParameter, "interactive.action.sections[0].rows: 11 entries"),
        (LIST, "action.sections.0.rows", ROWS[:10], InvalidParameter, "interactive.action.sections: more than 10 rows"),
        (LIST, "action.sections.0.rows.0.id", "x" * 201, InvalidParameter, "interactive.action.sections[0].rows[0].id"),
        (LIST, "action.sections.0.rows.0.id", "b", InvalidParameter, "interactive.action.sections, rows, id: 'b' is"),
        (
            LIST,
            "action.sections.0.rows.0.title",
            "x" * 25,
            InvalidParameter,
            "interactive.action.sections[0].rows[0].title: 25 characters, where 24",
        ),
        (
            LIST,
            "action.sections.0.rows.0.description",
            "x" * 73,
            InvalidParameter,
            "interactive.action.sections[0].rows[0].description: 73 characters, where 72",
        ),
        (LINK, "action.name", "url", InvalidParameter, "interactive.action.name: 'url' is not cta_url"),
        (LINK, "action.parameters", None, MissingParameter, "interactive.action.parameters: is missing"),
        (LINK, "action.parameters.display_text", "x" * 21, InvalidParameter, "interactive.action.parameters.display"),
        (LINK, "action.parameters.url", "ftp://e.org", InvalidParameter, "interactive.action.parameters.url: is not"),
        (LINK, "action.parameters.url", "https://e.org/a b", InvalidParameter, "interactive.action.parameters.url"),
        (WHERE, "action.name", "send_money", InvalidParameter, "interactive.action.name: 'send_money' is not"),
        (PRODUCT, "header", {"type": "text", "text": "x"}, InvalidParameter, "interactive.header: this kind of"),
        (PRODUCT, "action.catalog_id", None, MissingParameter, "interactive.action.catalog_id: is missing"),
        (PRODUCT, "action.product_retailer_id", None, MissingParameter, "interactive.action.product_retailer_id"),
        (PRODUCTS, "header", None, MissingParameter, "interactive.header: is missing"),
        (PRODUCTS, "action.sections.0.product_items", [], InvalidParameter, "interactive.action.sections[0].product"),
        (
            PRODUCTS,
            "action.sections",
            [{"title": "x", "product_items": [{"product_retailer_id": str(n)} for n in range(16)]}] * 2,
            InvalidParameter,
            "interactive.action.sections: more than 30 products",
        ),
        (FLOW, "action.parameters.flow_name", "x", InvalidParameter, "interactive.action.parameters.flow_id: either"),
        (FLOW, "action.parameters.flow_id", None, InvalidParameter, "interactive.action.parameters.flow_id: either"),
        (FLOW, "action.parameters.flow_cta", "x" * 31, InvalidParameter, "interactive.action.parameters.flow_cta: 31"),
        (CARDS, "header", {"type": "text"}, InvalidParameter, "interactive.header: this kind of message has none"),
        (CARDS, "action.cards", [CARDS["action"]["cards"][0]], InvalidParameter, "interactive.action.cards: 1 entries"),
        (CARDS, "action.cards.0.header.image", {"id": "7"}, MissingParameter, "interactive.action.cards[0].header"),
        (
            CARDS,
            "action.cards.0.header.image.link",
            "cid:1",
            InvalidParameter,
            "interactive.action.cards[0].header.image.link: is not an http",
        ),
        (CARDS, "action.cards.0.body.text", "x" * 161, InvalidParameter, "interactive.action.cards[0].body.text: 161"),
        (
            CARDS,
            "action.cards.0",
            CARDS["action"]["cards"][1],
            InvalidParameter,
            "interactive.action.cards, id: 'b' is there twice",
        ),
    ],
)
def test_what_is_wrong_is_said_and_where(
    original: Json, path: str, value: Any, error: type[BusinessError], words: str
) -> None:
    with pytest.raises(error) as refused:
        send(type="interactive", interactive=changed(original, path, value))
    assert str(refused.value).startswith(words)


@given(st.sampled_from(sorted(ALL)), st.data())
def test_however_it_is_damaged_it_is_read_or_refused(kind: str, data: st.DataObject) -> None:
    damaged: Any = copy.deepcopy(ALL[kind])
    inner = damaged
    while True:
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(inner[key], dict | list) and inner[key] and data.draw(st.booleans()):
            inner = inner[key]
            continue
        inner[key] = data.draw(st.none() | st.integers() | st.text(max_size=300) | st.just([]) | st.just({}))
        break
    with contextlib.suppress(BusinessError):
        codec.to_message(send(type="interactive", interactive=damaged), FILE)
