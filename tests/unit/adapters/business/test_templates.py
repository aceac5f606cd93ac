"""Templates: the configuration's words with a request's parameters in them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from adapters.business import codec, templates, wamid
from adapters.business.config import ButtonKind, HeaderKind, Template, TemplateButton
from adapters.business.errors import (
    BusinessError,
    InvalidParameter,
    MissingParameter,
    ParameterCount,
    ParameterFormat,
    TemplateTooLong,
    UnknownTemplate,
)
from adapters.business.files import FileKind, FileRef
from adapters.business.structured import Structured
from protocol import commerce
from protocol.commerce import LinkTo, Location, Option

SHIPPED = Template(
    name="shipped",
    language="en_US",
    header="Order {{1}}",
    body="Dear {{1}}, your {{2}} is on its way. Yours, {{ 2 }}",
    footer="The Apothecary",
    buttons=[
        TemplateButton("Track it", ButtonKind.URL, url="https://e.org/{{1}}"),
        TemplateButton("Stop"),
        TemplateButton("Call us", ButtonKind.PHONE_NUMBER, phone_number="+39 (045) 1"),
        TemplateButton("Copy", ButtonKind.COPY_CODE),
        TemplateButton("Our shop", ButtonKind.URL, url="https://e.org"),
    ],
)
NAMED = Template(name="sale", language="de", body="{{name}}, alles {{rabatt}} billiger bis {{ende}}!")
PICTURED = Template(name="rose", language="en", body="A rose", header_type=HeaderKind.IMAGE)
PLACED = Template(name="place", language="en", body="We meet here", header_type=HeaderKind.LOCATION)
KNOWN = (SHIPPED, NAMED, PICTURED, PLACED)


def text(value: str, **more: str) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def component(kind: str, *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "parameters": list(parameters), **more}


HEADER = component("HEADER", text("7"))
BODY = component("body", text("Juliet"), text("rose"))
TRACK = component("button", text("x7"), sub_type="URL", index=0)
COMPONENTS = [
    HEADER,
    BODY,
    TRACK,
    component("button", {"type": "payload", "payload": "stop-it"}, sub_type="QUICK_REPLY", index="1"),
    component("button", {"type": "coupon_code", "coupon_code": "ROSE"}, sub_type="copy_code", index="3"),
]


def sent(name: str = "shipped", language: str = "en_US", components: Any = None) -> codec.Send:
    template = {"name": name, "language": {"code": language}, "components": components}
    request = {"messaging_product": "whatsapp", "to": "999", "type": "template", "template": template}
    said = codec.command(json.dumps(request).encode(), KNOWN)
    assert isinstance(said, codec.Send)
    return said


def rendered(name: str = "shipped", language: str = "en_US", components: Any = None) -> commerce.Template:
    said = sent(name, language, components).what
    assert isinstance(said, Structured)
    [part] = said.parts
    assert isinstance(part, commerce.Template)
    return part


def test_a_template_is_rendered_with_its_parameters() -> None:
    assert rendered(components=COMPONENTS) == commerce.Template(
        name="shipped",
        language="en_US",
        category="UTILITY",
        header="Order 7",
        body="Dear Juliet, your rose is on its way. Yours, rose",
        footer="The Apothecary",
        options=(Option(id="stop-it", title="Stop"),),
        links=(
            LinkTo(title="Track it", url="https://e.org/x7"),
            LinkTo(title="Call us", url="tel:+390451"),
            LinkTo(title="Our shop", url="https://e.org"),
        ),
        code="ROSE",
        parameters={
            "header.1": "7",
            "1": "Juliet",
            "2": "rose",
            "button.0": "x7",
            "button.1": "stop-it",
            "button.3": "ROSE",
        },
    )


def test_everybody_can_read_it() -> None:
    said = sent(components=COMPONENTS)
    assert said.kind is wamid.Kind.BUSINESS_TEMPLATE
    part = codec.to_message(said).part
    assert part.parts[1].text == (  # type: ignore[union-attr]
        "Order 7\nDear Juliet, your rose is on its way. Yours, rose\nCode: ROSE\n1. Stop\n"
        "Track it: https://e.org/x7\nCall us: +390451\nOur shop: https://e.org\nThe Apothecary"
    )


def test_without_a_payload_a_quick_reply_is_known_by_its_words() -> None:
    assert rendered(components=[HEADER, BODY, TRACK]).options == (Option(id="Stop", title="Stop"),)


def test_parameters_may_be_named_and_need_not_be_text() -> None:
    given = [
        text("Julia", parameter_name="name"),
        {"type": "date_time", "parameter_name": "ende", "date_time": {"fallback_value": "Freitag"}},
        {
            "type": "CURRENCY",
            "parameter_name": "rabatt",
            "currency": {"fallback_value": "5 €", "code": "EUR", "amount_1000": 5000},
        },
    ]
    part = rendered("sale", "de", [component("BODY", *given)])
    assert part.body == "Julia, alles 5 € billiger bis Freitag!"
    assert part.parameters == {"name": "Julia", "ende": "Freitag", "rabatt": "5 €"}


def test_a_header_may_be_a_picture_or_a_place() -> None:
    picture = component("header", {"type": "image", "image": {"link": "https://e.org/rose.png"}})
    assert sent("rose", "en", [picture]).file == FileRef(FileKind.IMAGE, link="https://e.org/rose.png")
    place = component("header", {"type": "location", "location": {"latitude": 45.4, "longitude": 11}})
    assert rendered("place", "en", [place]).place == Location(latitude=45.4, longitude=11.0)


@pytest.mark.parametrize(
    ("name", "language", "components", "error", "words"),
    [
        ("", "en_US", [], MissingParameter, "template.name: is missing"),
        ("shipped", "", [], MissingParameter, "template.language.code: is missing"),
        (
            "lost",
            "en_US",
            [],
            UnknownTemplate,
            "template name (lost) does not exist in en_US: the configuration has no",
        ),
        ("shipped", "de", [], UnknownTemplate, "template name (shipped) does not exist in de: it is there in en_US"),
        ("shipped", "en_US", {}, InvalidParameter, "template.components: is not a list"),
        ("shipped", "en_US", [component("hat")], InvalidParameter, "template.components[0].type: 'hat' is not"),
        ("shipped", "en_US", [BODY], ParameterCount, "header: 0 parameters, where the template has 1"),
        ("shipped", "en_US", [HEADER, component("body", text("x"))], ParameterCount, "body: 1 parameters, where"),
        (
            "shipped",
            "en_US",
            [HEADER, component("body", text("x"), {"type": "image", "image": {"id": "1"}})],
            ParameterFormat,
            "template.components[1].parameters[1].type: 'image' where words stand",
        ),
        ("shipped", "en_US", [HEADER, component("body", text("x"), text(""))], MissingParameter, "template.components"),
        ("shipped", "en_US", [HEADER, component("body", text("x"), text("y" * 1020))], TemplateTooLong, "body: "),
        ("shipped", "en_US", [component("header", text("y" * 300)), BODY], TemplateTooLong, "header: 306 characters"),
        ("sale", "de", [component("body", *[text("x")] * 3)], ParameterFormat, "template.components[0].parameters[0]"),
        (
            "sale",
            "de",
            [component("body", *[text("x", parameter_name="name")] * 3)],
            ParameterFormat,
            "template.components[0].parameters[1].parameter_name: the template's places are name, rabatt, ende",
        ),
        ("rose", "en", [], ParameterCount, "template.components, header: 0 parameters, where the template has one"),
        ("rose", "en", [component("header", text("x"))], ParameterFormat, "template.components[0].parameters[0].type"),
        (
            "rose",
            "en",
            [component("header", {"type": "image", "image": {"id": "1", "caption": "x"}})],
            InvalidParameter,
            "template.components[0].parameters[0].image.caption: a header has none",
        ),
        ("shipped", "en_US", [HEADER, BODY], ParameterCount, "button 0: its URL has 1 places"),
        (
            "shipped",
            "en_US",
            [HEADER, BODY, TRACK, component("button", text("x"), sub_type="url", index=4)],
            ParameterCount,
            "button 4: its URL has 0 places",
        ),
        (
            "shipped",
            "en_US",
            [HEADER, BODY, component("button", text("a b"), sub_type="url", index=0)],
            ParameterFormat,
            "button 0: with its parameter it is no URL",
        ),
        *(
            (
                "shipped",
                "en_US",
                [HEADER, BODY, component("button", text("x"), sub_type=sub_type, index=index)],
                ParameterFormat,
                f"template.components[2]: the template has no {sub_type} button {index}",
            )
            for sub_type, index in (("url", "9"), ("url", "1"), ("phone_number", "2"), ("url", "²"))
        ),
        (
            "shipped",
            "en_US",
            [HEADER, BODY, component("button", {"type": "payload", "payload": "x"}, sub_type="url", index=0)],
            InvalidParameter,
            "template.components[2].parameters[0].type: 'payload' is not text",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_vendors_number(
    name: str, language: str, components: Any, error: type[BusinessError], words: str
) -> None:
    with pytest.raises(error) as refused:
        sent(name, language, components)
    assert str(refused.value).startswith(words)


def test_two_quick_replies_must_not_be_the_same() -> None:
    twins = Template(name="twins", language="en", body="?", buttons=[TemplateButton("One"), TemplateButton("Two")])
    given = [component("button", {"type": "payload", "payload": "One"}, sub_type="quick_reply", index=1)]
    request = {"name": "twins", "language": {"code": "en"}, "components": given}
    with pytest.raises(InvalidParameter, match="same payload"):
        templates.read(codec.Fields(request, "template"), [twins])


def test_the_list_of_templates_has_the_vendors_shape() -> None:
    shown = templates.listed(SHIPPED)
    assert shown.pop("id").isdigit()
    assert shown == {
        "name": "shipped",
        "language": "en_US",
        "status": "APPROVED",
        "category": "UTILITY",
        "parameter_format": "POSITIONAL",
        "components": [
            {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
            {"type": "BODY", "text": SHIPPED.body},
            {"type": "FOOTER", "text": "The Apothecary"},
            {
                "type": "BUTTONS",
                "buttons": [
                    {"type": "URL", "text": "Track it", "url": "https://e.org/{{1}}"},
                    {"type": "QUICK_REPLY", "text": "Stop"},
                    {"type": "PHONE_NUMBER", "text": "Call us", "phone_number": "+39 (045) 1"},
                    {"type": "COPY_CODE", "text": "Copy"},
                    {"type": "URL", "text": "Our shop", "url": "https://e.org"},
                ],
            },
        ],
    }
    assert templates.listed(NAMED)["parameter_format"] == "NAMED"
    assert templates.listed(PICTURED)["components"][0] == {"type": "HEADER", "format": "IMAGE"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": "", "language": "en", "body": "x"}, "name and body must be there"),
        ({"name": "x", "language": "en", "body": ""}, "name and body must be there"),
        ({"name": "x", "language": "en", "body": "x" * 1025}, "template 'x': body: more than 1024 characters"),
        ({"name": "x", "language": "e", "body": "x"}, "language: 'e' is not a code"),
        ({"name": "x", "language": "en", "body": "x", "header": "x", "header_type": "image"}, "not both"),
        ({"name": "x", "language": "en", "body": "x", "buttons": [{"text": "a"}] * 2}, "each with a text of its own"),
        ({"name": "x", "language": "en", "body": "x", "buttons": [{"text": ""}]}, "1 to 25 characters"),
        ({"name": "x", "language": "en", "body": "x", "buttons": [{"text": "a", "type": "url"}]}, "not an http or"),
        (
            {"name": "x", "language": "en", "body": "x", "buttons": [{"text": "a", "type": "phone_number"}]},
            "phone_number: is missing",
        ),
    ],
)
def test_a_template_that_could_never_be_sent_is_refused_at_the_start(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert(settings, Template)
