"""What becomes of buttons, lists and other business parts."""

from __future__ import annotations

import pytest

from protocol import commerce, degrade
from protocol.capabilities import Level, Limits
from protocol.commerce import Card, Carousel, LinkButton, LinkTo, Menu, Option, QuickReplies, Section, Template
from protocol.content import SinglePart, text
from protocol.degrade import Loss, Refusal
from tests.unit.protocol.degrade.scene import BARE, BLUE, COLOURS, ID, LISTED, RED, content, network, words


def shown(plan):
    return commerce.find(plan.messages[0].part)


def test_buttons_become_numbered_text_and_a_number_finds_its_option():
    plan = degrade.plan(content(commerce.message(COLOURS)), BARE)
    assert words(plan) == ["Which?\n1. Red\n2. Blue\n3. Green"]
    assert plan.losses == (
        Loss("quick-replies", Level.UNSUPPORTED, "quick replies sent in words, the options numbered"),
    )
    assert degrade.match_option("2", COLOURS) == commerce.Choice(id="B", title="Blue")


def test_where_there_are_buttons_they_are_shown():
    plan = degrade.plan(content(commerce.message(COLOURS)), network(quick_replies=Level.FULL))
    assert shown(plan) == COLOURS
    assert plan.losses == ()
    converted = degrade.plan(content(commerce.single(COLOURS)), network(quick_replies=Level.PARTIAL))
    assert converted.losses == (Loss("quick-replies", Level.PARTIAL, "quick replies converted"),)


def test_too_many_buttons_become_a_list_and_a_short_list_buttons():
    both = {"quick_replies": Level.FULL, "list": Level.FULL}
    few = Limits(buttons=2)
    plan = degrade.plan(content(commerce.message(COLOURS)), network(limits=few, **both))
    assert commerce.options_of(shown(plan)) == COLOURS.options
    assert plan.losses == (Loss("quick-replies", Level.PARTIAL, "quick replies sent as list"),)
    buttons = degrade.plan(content(commerce.message(LISTED)), network(quick_replies=Level.FULL))
    assert isinstance(shown(buttons), QuickReplies)


def test_a_long_list_is_no_set_of_buttons():
    rows = tuple(Option(id=str(number), title=f"Row {number}") for number in range(30))
    plan = degrade.plan(
        content(commerce.single(Menu(body="x", button="y", sections=(Section(options=rows),)))),
        network(quick_replies=Level.FULL),
    )
    assert words(plan)[0].endswith("30. Row 29")


@pytest.mark.parametrize(
    ("part", "limits", "fitting"),
    [
        (COLOURS, Limits(button_title=4), ("Red", "Blue", "Gre…")),
        (COLOURS, Limits(button_title=1), None),
        (COLOURS, Limits(button_title=0), None),
        (COLOURS, Limits(buttons=2), None),
        (COLOURS, Limits(button_id=0), None),
        (COLOURS, Limits(body=3), None),
        (
            QuickReplies(body="x", options=(RED,), header="A header", footer="A footer"),
            Limits(header=4, footer=0),
            ("Red",),
        ),
        (LISTED, Limits(row_title=4), ("Red", "Blue", "Gre…")),
        (LISTED, Limits(list_rows=2), None),
        (LISTED, Limits(list_sections=0), None),
        (LISTED, Limits(button_title=0), None),
        (Template(name="t", language="de", body="x"), Limits(), ()),
        (Template(name="t", language="de", body="x", options=(RED, BLUE)), Limits(buttons=1), None),
        (Carousel(cards=(Card(body="a", options=(RED,)), Card(body="b"))), Limits(), ("Red",)),
        (Carousel(cards=(Card(body="a"), Card(body="b"))), Limits(cards=1), None),
        (Carousel(cards=(Card(body="a", options=(RED, BLUE)),)), Limits(buttons=1), None),
        (Carousel(cards=(Card(body="abc"),)), Limits(body=2), None),
        (
            Carousel(cards=(Card(body="a", link=LinkTo(title="Open it", url="https://e.org")),)),
            Limits(button_title=4),
            (),
        ),
        (
            Carousel(cards=(Card(body="a", link=LinkTo(title="Open it", url="https://e.org")),)),
            Limits(button_title=0),
            None,
        ),
        (LinkButton(body="a", title="Open it", url="https://e.org"), Limits(button_title=4), ()),
        (LinkButton(body="a", title="Open it", url="https://e.org"), Limits(button_title=0), None),
        (commerce.Location(latitude=1.0, longitude=1.0), Limits(), ()),
        (
            commerce.ProductList(
                body="a",
                sections=(commerce.ProductSection(products=(commerce.Product(id="p", title="P"),) * 2),),
            ),
            Limits(products=1),
            None,
        ),
        (
            commerce.ProductList(
                body="a", sections=(commerce.ProductSection(products=(commerce.Product(id="p", title="P"),)),)
            ),
            Limits(products=1),
            (),
        ),
    ],
)
def test_a_part_is_shortened_or_said_in_words(part, limits, fitting):
    feature = commerce.feature_of(part)
    plan = degrade.plan(
        content(commerce.single(part)), network(limits=limits, **{feature.replace("-", "_"): Level.FULL})
    )
    if fitting is None:
        assert isinstance(plan.messages[0].part, SinglePart)
        assert plan.messages[0].part.text == commerce.text_of(part)
    else:
        assert tuple(option.title for option in commerce.options_of(shown(plan))) == fitting
        assert bool(plan.losses) is (shown(plan) != part)


def test_a_part_without_options_may_leave_the_words_to_its_sender():
    asked = commerce.message(commerce.LocationRequest(body="Wo?"), "Wo bist du?")
    plan = degrade.plan(content(asked), BARE)
    assert words(plan) == ["Wo bist du?"]
    assert plan.losses == (
        Loss("part", Level.UNSUPPORTED, "another rendering is sent: location request sent in words"),
    )


def test_a_part_may_be_dropped_or_refused():
    single = content(commerce.single(COLOURS))
    assert degrade.plan(single, network(quick_replies=Level.REJECTED)).refused == Refusal(
        "unsupported", "the network refuses quick replies"
    )
    assert degrade.plan(single, network(quick_replies=Level.DROPPED)).refused.text == "quick replies left out"
    alternative = degrade.plan(content(commerce.message(COLOURS)), network(quick_replies=Level.REJECTED))
    assert words(alternative) == ["Which?\n1. Red\n2. Blue\n3. Green"]


def test_what_is_said_of_a_business_part_stands_before_it():
    plan = degrade.plan(
        content(commerce.single(COLOURS), replaces=ID),
        network(quick_replies=Level.FULL),
    )
    assert [message.part for message in plan.messages] == [text("Edited:"), commerce.single(COLOURS)]
