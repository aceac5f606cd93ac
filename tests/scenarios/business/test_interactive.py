"""Buttons, lists, places, cards and templates of an unmodified pywa bot, and what its customers make of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pywa import errors, types
from pywa.types import templates as kinds

from adapters.business.config import ButtonKind, HeaderKind, Template, TemplateButton
from adapters.contract import Inbound, Message
from protocol import commerce
from protocol.commerce import (
    Carousel,
    Choice,
    Commerce,
    ContactCard,
    ContactRequest,
    Form,
    FormReply,
    Labelled,
    LinkButton,
    Location,
    LocationRequest,
    Menu,
    Money,
    Order,
    OrderLine,
    Product,
    ProductList,
    QuickReplies,
    Referral,
)
from protocol.content import ExternalPart, MultiPart, Semantics
from protocol.status import Status
from tests.scenarios.business.host import JULIET, WABA, Host
from tests.scenarios.business.receiver import Receiver
from tests.scenarios.business.shop import Shop

SHIPPED = Template(
    name="shipped",
    language="en_US",
    header="Order {{1}}",
    body="Dear {{1}}, your {{2}} is on its way.",
    buttons=[TemplateButton("Stop"), TemplateButton("Track", ButtonKind.URL, url="https://e.org/{{1}}")],
)
ROSE = Template(name="rose", language="en_US", body="A rose for {{name}}", header_type=HeaderKind.IMAGE)
COLOURS = [types.Button("Red", "r"), types.Button("Blue", "b")]
PAINTS = types.SectionList("Look", [types.Section("Paint", [types.SectionRow("Oil", "o", "of linseed")])])
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """An account with two templates."""
    async with Host(tmp_path, templates=[SHIPPED, ROSE]) as host:
        yield host


async def _said(host: Host, shop: Shop, call: Any, *args: Any, **keywords: Any) -> tuple[Commerce | None, str]:
    """Let the bot say something to Juliet; return the part that arrives, and its id."""
    await shop.do(call, JULIET.address.id, *args, **keywords)
    event = await host.wait(Inbound)
    return commerce.find(event.message.part), event.native_id


def _chooses(part: Commerce, answered: str | None = None) -> Message:
    """A customer's answer, as the planner hands it to the adapter."""
    return Message(part=commerce.single(part), in_reply_to=answered)


async def test_a_button_is_pressed(host: Host, shop: Shop) -> None:
    part, asked = await _said(host, shop, shop.wa.send_message, "Which?", buttons=COLOURS, header="Roses", footer="F")
    assert isinstance(part, QuickReplies)
    assert [(each.id, each.title) for each in part.options] == [("r", "Red"), ("b", "Blue")]
    assert (part.header, part.footer) == ("Roses", "F")

    await host.says(_chooses(Choice(id="b", title="Blue"), asked))

    pressed = await shop.next(types.CallbackButton)
    assert (pressed.data, pressed.title, pressed.is_quick_reply) == ("b", "Blue", False)
    assert pressed.reply_to_message.id == asked
    assert pressed.from_user.username == "juliet@capulet.example"


async def test_a_row_is_selected(host: Host, shop: Shop) -> None:
    part, asked = await _said(host, shop, shop.wa.send_message, "Which?", buttons=PAINTS)
    assert isinstance(part, Menu)

    await host.says(_chooses(Choice(id="o", title="Oil", description="of linseed"), asked))

    selected = await shop.next(types.CallbackSelection)
    assert (selected.data, selected.title, selected.description) == ("o", "Oil", "of linseed")
    assert selected.reply_to_message.id == asked


async def test_a_template_is_sent_and_its_button_pressed(host: Host, shop: Shop) -> None:
    params = [
        kinds.HeaderText.params("7"),
        kinds.BodyText.params("Juliet", "rose"),
        kinds.QuickReplyButton.params(callback_data="stop", index=0),
        kinds.URLButton.params(url_variable="x7", index=1),
    ]
    part, asked = await _said(host, shop, shop.wa.send_template, "shipped", kinds.TemplateLanguage.ENGLISH_US, params)
    assert isinstance(part, commerce.Template)
    assert commerce.text_of(part) == (
        "Order 7\nDear Juliet, your rose is on its way.\n1. Stop\nTrack: https://e.org/x7"
    )

    await host.says(_chooses(Choice(id="stop", title="Stop"), asked))

    pressed = await shop.next(types.CallbackButton)
    assert (pressed.data, pressed.title, pressed.is_quick_reply) == ("stop", "Stop", True)


async def test_a_template_with_a_picture_above_it(host: Host, shop: Shop) -> None:
    params = [kinds.BodyText.params(name="Juliet"), kinds.HeaderImage.params(image=PNG)]
    await shop.do(shop.wa.send_template, JULIET.address.id, "rose", kinds.TemplateLanguage.ENGLISH_US, params)
    event = await host.wait(Inbound)
    assert isinstance(event.message.part, MultiPart)
    assert event.message.part.semantics is Semantics.SINGLE_UNIT
    assert isinstance(event.message.part.parts[0], ExternalPart)
    assert host.fetched[event.native_id] == PNG


async def test_templates_are_listed_and_unknown_ones_refused(host: Host, shop: Shop) -> None:
    listed = await shop.do(shop.wa.get_templates)
    assert [(each.name, each.language, each.status) for each in listed] == [
        ("shipped", "en_US", "APPROVED"),
        ("rose", "en_US", "APPROVED"),
    ]
    send, language = shop.wa.send_template, kinds.TemplateLanguage
    for name, code in (("lost", language.ENGLISH_US), ("shipped", language.GERMAN)):
        with pytest.raises(errors.TemplateNotExists):
            await shop.do(send, JULIET.address.id, name, code)
    with pytest.raises(errors.TemplateParamCountMismatch):
        await shop.do(send, JULIET.address.id, "shipped", language.ENGLISH_US, [kinds.BodyText.params("x", "y")])
    with pytest.raises(errors.TemplateParamFormatMismatch):
        await shop.do(send, JULIET.address.id, "rose", language.ENGLISH_US, [kinds.HeaderText.params("x")])
    assert host.events == []


async def test_templates_are_found_by_name_and_language(host: Host, receiver: Receiver) -> None:
    for query, names in (("name=rose", ["rose"]), ("language=en_US", ["shipped", "rose"]), ("name=x", [])):
        status, said = await receiver.call("GET", f"/v23.0/{WABA}/message_templates?{query}")
        assert (status, [each["name"] for each in said["data"]]) == (200, names)


async def test_a_place_is_asked_for_and_shared(host: Host, shop: Shop) -> None:
    part, asked = await _said(host, shop, shop.wa.request_location, "Where are you?")
    assert part == LocationRequest(body="Where are you?")

    await host.says(_chooses(Location(latitude=45.4, longitude=11.0), asked))

    message = await shop.next()
    assert (message.location.latitude, message.location.longitude) == (45.4, 11.0)
    assert message.location.current_location
    assert message.reply_to_message.id == asked


async def test_a_place_and_a_card_are_sent(host: Host, shop: Shop) -> None:
    part, _ = await _said(host, shop, shop.wa.send_location, 45.4, 11.0, "Verona", "Via Cappello")
    assert part == Location(latitude=45.4, longitude=11.0, name="Verona", address="Via Cappello")


async def test_a_contact_card_goes_both_ways(host: Host, shop: Shop) -> None:
    card = types.Contact(
        name=types.Contact.Name("Friar Laurence", first_name="Laurence"),
        phones=[types.Contact.Phone("+39 045", "WORK")],
        org=types.Contact.Org("The Cell", title="Friar"),
    )
    part, _ = await _said(host, shop, shop.wa.send_contact, card)
    friar = ContactCard(
        name="Friar Laurence",
        given="Laurence",
        phones=(Labelled(value="+39 045", label="WORK"),),
        organisation="The Cell",
        role="Friar",
    )
    assert part == friar

    await host.says(_chooses(friar))

    [shared] = (await shop.next()).contacts
    assert (shared.name.formatted_name, shared.phones[0].phone, shared.org.title) == (
        "Friar Laurence",
        "+39 045",
        "Friar",
    )


async def test_an_order_a_form_and_where_somebody_came_from(host: Host, shop: Shop) -> None:
    lines = (OrderLine(product="chair-1", quantity=2, price=Money(currency="EUR", value=1250)),)
    await host.says(_chooses(Order(catalog="7", lines=lines, note="By Friday")))
    order = (await shop.next()).order
    assert (order.catalog_id, order.text, order.total_price) == ("7", "By Friday", 25.0)

    await host.says(_chooses(Referral(source="ad", url="https://ad.example", headline="Chairs!", click_id="c")))
    referral = (await shop.next()).referral
    assert (referral.source_type, referral.source_url, referral.ctwa_clid) == ("ad", "https://ad.example", "c")

    flow = types.FlowButton(
        "Book", flow_id="9", flow_token="t", flow_action_type=types.FlowActionType.NAVIGATE, flow_action_screen="S"
    )
    part, asked = await _said(host, shop, shop.wa.send_message, "When?", buttons=flow)
    assert part == Form(id="9", body="When?", button="Book", token="t", screen="S")
    await host.says(_chooses(FormReply(form="9", token="t", values={"day": "Friday"}), asked))
    done = await shop.next(types.FlowCompletion)
    assert (done.token, done.response, done.reply_to_message.id) == ("t", {"day": "Friday"}, asked)


@pytest.mark.parametrize(
    ("call", "arguments", "keywords", "kind"),
    [
        ("send_message", ["See"], {"buttons": types.URLButton("Open", "https://e.org")}, LinkButton),
        ("request_contact_info", ["Your number?"], {}, ContactRequest),
        ("send_product", ["7", "chair-1", "A chair"], {}, Product),
        ("send_products", ["7", [types.ProductsSection("All", ["a", "b"])], "Title", "Body"], {}, ProductList),
        (
            "send_carousel",
            [],
            {
                "body": "Look",
                "cards": [
                    types.ImageCarouselCard(image="https://e.org/1.png", body="One", buttons=COLOURS[:1]),
                    types.ImageCarouselCard(image="https://e.org/2.png", buttons=types.URLButton("O", "https://e.org")),
                ],
            },
            Carousel,
        ),
    ],
)
async def test_whatever_else_pywa_can_ask_with(
    host: Host, shop: Shop, call: str, arguments: list[Any], keywords: dict[str, Any], kind: type[Commerce]
) -> None:
    part, _ = await _said(host, shop, getattr(shop.wa, call), *arguments, **keywords)
    assert isinstance(part, kind)


async def test_buttons_below_a_picture(host: Host, shop: Shop) -> None:
    await shop.do(shop.wa.send_image, JULIET.address.id, PNG, "Which?", buttons=COLOURS, mime_type="image/png")
    event = await host.wait(Inbound)
    assert isinstance(event.message.part, MultiPart)
    assert isinstance(commerce.find(event.message.part.parts[1]), QuickReplies)
    assert host.fetched[event.native_id] == PNG


async def test_a_mistake_is_one_of_pywas_own_errors(host: Host, shop: Shop) -> None:
    with pytest.raises(errors.InvalidParameter) as refused:
        await shop.do(shop.wa.send_message, JULIET.address.id, "?", buttons=[types.Button("x" * 21, "r")])
    assert refused.value.details == "interactive.action.buttons[0].reply.title: 21 characters, where 20 are allowed"
    assert host.events == []


async def test_statuses_of_a_list_are_told_like_any_others(host: Host, shop: Shop) -> None:
    _, asked = await _said(host, shop, shop.wa.send_message, "Which?", buttons=PAINTS)
    await host.reports(asked, Status.READ)
    assert (await shop.next(types.MessageStatus)).id == asked
