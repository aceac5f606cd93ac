"""What becomes of buttons, lists and other business parts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from protocol import commerce, degrade
from protocol.capabilities import Capabilities, Feature, FileRule, Level, Limits, Unit, Way
from protocol.commerce import (
    Card,
    Carousel,
    Form,
    LinkButton,
    LinkTo,
    Media,
    MediaKind,
    Menu,
    Option,
    QuickReplies,
    Section,
    Template,
)
from protocol.content import ExternalPart, cid, text
from protocol.degrade import Loss, Planned, Refusal
from tests.unit.protocol.degrade.scene import (
    BARE,
    BLUE,
    COLOURS,
    GREEN,
    ID,
    LISTED,
    RED,
    content,
    network,
    parts,
    several,
    words,
)


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
    both = network(limits=Limits(buttons=2), quick_replies=Level.FULL, list=Level.FULL)
    framed = {"header": "Paint", "footer": "No returns"}
    plan = degrade.plan(content(commerce.message(replace(COLOURS, **framed))), both)
    assert shown(plan) == Menu(body="Which?", button="…", sections=(Section(options=(RED, BLUE, GREEN)),), **framed)
    assert plan.losses == (Loss("quick-replies", Level.PARTIAL, "quick replies sent as list"),)
    buttons = degrade.plan(content(commerce.message(replace(LISTED, **framed))), network(quick_replies=Level.FULL))
    assert shown(buttons) == replace(COLOURS, **framed)


def test_a_list_keeps_the_picture_but_has_no_room_for_links():
    listing, buttons = network(list=Level.FULL), network(quick_replies=Level.FULL)
    pictured = replace(COLOURS, media=Media(kind=MediaKind.IMAGE, url="https://e.org/1.jpg"))
    listed = shown(degrade.plan(content(commerce.single(pictured)), listing))
    assert (type(listed), listed.media) == (Menu, pictured.media)
    assert shown(degrade.plan(content(commerce.single(listed)), buttons)) == pictured
    linked = replace(COLOURS, links=(LinkTo(title="Call", url="tel:+391"),))
    assert words(degrade.plan(content(commerce.single(linked)), listing)) == [commerce.text_of(linked)]


def test_a_picture_of_the_same_message_is_sent_beside_the_part_that_named_it():
    """What is sent holds no reference to a part that is not in it."""
    roses = ExternalPart("image/jpeg", "https://e.org/x", enc_alg=1)
    inside = Media(kind=MediaKind.IMAGE, url=cid(3))
    both = Capabilities(
        send=Way(
            features={Feature.QUICK_REPLIES: Level.FULL, Feature.CAROUSEL: Level.FULL},
            files={"image/*": FileRule()},
        )
    )
    for asked, bare in (
        (replace(COLOURS, media=inside), COLOURS),
        (Carousel(cards=(Card(body="Tea", media=inside),)), Carousel(cards=(Card(body="Tea"),))),
    ):
        plan = degrade.plan(content(commerce.message(asked, files=(roses,))), both)
        assert parts(plan) == [commerce.single(bare), roses]
        assert plan.losses == ()


def test_a_long_list_is_no_set_of_buttons():
    rows = tuple(Option(id=str(number), title=f"Row {number}") for number in range(1, 22))
    twenty, more = (Menu(body="x", button="y", sections=(Section(options=rows[:most]),)) for most in (20, 21))
    buttons = network(quick_replies=Level.FULL)
    assert shown(degrade.plan(content(commerce.single(twenty)), buttons)) == QuickReplies(body="x", options=rows[:20])
    assert words(degrade.plan(content(commerce.single(more)), buttons))[0].endswith("21. Row 21")


GRUEN = Option(id="g", title="Grün", description="Laub")
CARDS = Carousel(
    body="Look",
    cards=(
        Card(body="Tea", options=(RED, GREEN)),
        Card(body="Oil", links=(LinkTo(title="Öffnen", url="https://e.org"),)),
    ),
)
PAGE = LinkButton(body="See", title="Öffnen", url="https://e.org")
TEMPLATE = Template(name="t", language="de", body="Hello", options=(RED, GREEN))
PLACE = commerce.Location(latitude=1.0, longitude=1.0)
GOODS = commerce.ProductList(
    body="All", sections=(commerce.ProductSection(products=(commerce.Product(id="p", title="P"),) * 2),)
)


def having(part, limits):
    """Return a network that has nothing but parts like this one, within these limits."""
    return network(limits=limits, **{commerce.feature_of(part).replace("-", "_"): Level.FULL})


@pytest.mark.parametrize(
    ("part", "limits"),
    [
        (COLOURS, Limits(buttons=3, button_title=5, button_id=1, body=6)),
        (LISTED, Limits(list_rows=3, list_sections=1, row_title=11, row_id=1, button_title=6, body=6)),
        (TEMPLATE, Limits(buttons=2, button_title=5, button_id=1, body=5)),
        (replace(TEMPLATE, options=()), Limits(buttons=0)),
        (CARDS, Limits(cards=2, buttons=2, button_title=6, button_id=1, body=4)),
        (PAGE, Limits(button_title=6, body=3)),
        (GOODS, Limits(products=2)),
        (GOODS, Limits()),
        (PLACE, Limits(body=0)),
        (QuickReplies(body="Buy", options=(RED, replace(BLUE, title="Red"))), Limits(button_title=5)),
    ],
)
def test_what_fits_exactly_is_shown_as_it_is(part, limits):
    said = replace(commerce.single(part), language="en")
    assert degrade.plan(content(said), having(part, limits)) == degrade.Plan(messages=(Planned(part=said),))


@pytest.mark.parametrize(
    ("part", "limits", "fitting"),
    [
        (COLOURS, Limits(button_title=4), replace(COLOURS, options=(RED, BLUE, replace(GREEN, title="Gre…")))),
        (
            QuickReplies(body="x", options=(GRUEN,), header="A header", footer="A footer"),
            Limits(header=4, footer=0, row_description=3),
            QuickReplies(body="x", options=(replace(GRUEN, description="La…"),), header="A h…"),
        ),
        (
            LISTED,
            Limits(row_title=4, button_title=4),
            Menu(
                body="Which?",
                button="Cho…",
                sections=(Section(title="All…", options=(RED, BLUE, replace(GREEN, title="Gre…"))),),
            ),
        ),
        (TEMPLATE, Limits(button_title=4), replace(TEMPLATE, options=(RED, replace(GREEN, title="Gre…")))),
        (
            CARDS,
            Limits(button_title=4),
            replace(
                CARDS,
                cards=(
                    Card(body="Tea", options=(RED, replace(GREEN, title="Gre…"))),
                    Card(body="Oil", links=(LinkTo(title="Öff…", url="https://e.org"),)),
                ),
            ),
        ),
        (PAGE, Limits(button_title=4), replace(PAGE, title="Öff…")),
    ],
)
def test_a_title_that_is_too_long_is_shortened(part, limits, fitting):
    plan = degrade.plan(content(commerce.single(part)), having(part, limits))
    assert parts(plan) == [commerce.single(fitting)]
    feature = commerce.feature_of(part)
    named = feature.replace("-", " ")
    assert plan.losses == (Loss(feature, Level.PARTIAL, f"{named} shortened to what the network shows"),)


@pytest.mark.parametrize(
    ("part", "fitting"),
    [
        (
            QuickReplies(body="x", options=(replace(GRUEN, description="Bäume"),), header="Früh", footer="Spät"),
            QuickReplies(body="x", options=(replace(GRUEN, title="G…", description="B…"),), header="F…", footer="S…"),
        ),
        (
            Menu(body="x", button="Wähl", sections=(Section(title="Früh", options=(GRUEN,)),)),
            Menu(body="x", button="W…", sections=(Section(title="F…", options=(replace(GRUEN, title="G…"),)),)),
        ),
        (LinkButton(body="x", title="Öffn", url="https://e.org"), None),  # not even one letter
        (Form(id="f", body="x", button="Führ"), Form(id="f", body="x", button="F…")),
        (Form(id="f", body="x", button="Öffn"), None),
        (
            LinkButton(body="x", title="Führ", url="https://e.org"),
            LinkButton(body="x", title="F…", url="https://e.org"),
        ),
        (
            Carousel(cards=(Card(body="x", links=(LinkTo(title="Führ", url="https://e.org"),)),)),
            Carousel(cards=(Card(body="x", links=(LinkTo(title="F…", url="https://e.org"),)),)),
        ),
        (QuickReplies(body="öööö", options=(RED,)), None),
    ],
)
def test_a_network_that_counts_octets_gets_no_more_of_them(part, fitting):
    four = Limits(unit=Unit.UTF8, body=4, header=4, footer=4, button_title=4, row_title=4, row_description=4)
    plan = degrade.plan(content(commerce.single(part)), having(part, four))
    assert shown(plan) == fitting


@pytest.mark.parametrize(
    ("part", "limits"),
    [
        (COLOURS, Limits(buttons=2)),
        (replace(COLOURS, links=(LinkTo(title="Call", url="tel:+391"),)), Limits(buttons=3)),
        (replace(TEMPLATE, options=(), links=(LinkTo(title="Call", url="tel:+391"),)), Limits(buttons=0)),
        (COLOURS, Limits(button_title=1)),
        (replace(COLOURS, options=(RED,)), Limits(button_title=0)),
        (COLOURS, Limits(button_id=0)),
        (COLOURS, Limits(body=5)),
        (LISTED, Limits(list_rows=2)),
        (LISTED, Limits(list_sections=0)),
        (LISTED, Limits(row_id=0)),
        (LISTED, Limits(button_title=0)),
        (TEMPLATE, Limits(buttons=1)),
        (TEMPLATE, Limits(button_id=0)),
        (CARDS, Limits(cards=1)),
        (CARDS, Limits(buttons=1)),
        (CARDS, Limits(button_id=0)),
        (replace(CARDS, body=""), Limits(body=2)),
        (CARDS, Limits(body=3)),
        (Carousel(cards=CARDS.cards[1:]), Limits(button_title=0)),
        (PAGE, Limits(button_title=0)),
        (GOODS, Limits(products=1)),
    ],
)
def test_what_does_not_fit_is_said_in_words(part, limits):
    plan = degrade.plan(content(commerce.single(part)), having(part, limits))
    assert parts(plan) == [text(commerce.text_of(part))]
    assert [(loss.what, loss.level) for loss in plan.losses] == [(commerce.feature_of(part), Level.UNSUPPORTED)]


def test_options_that_would_look_alike_are_said_in_words():
    dishes = QuickReplies(body="Which?", options=tuple(Option(id=x, title=f"Pizza {x}") for x in ("Napoli", "Roma")))
    plan = degrade.plan(content(commerce.single(dishes)), having(dishes, Limits(button_title=6)))
    assert words(plan) == ["Which?\n1. Pizza Napoli\n2. Pizza Roma"]


def test_a_part_without_options_may_leave_the_words_to_its_sender():
    asked = commerce.message(commerce.LocationRequest(body="Wo?"), "Wo bist du?")
    plan = degrade.plan(content(asked), BARE)
    assert words(plan) == ["Wo bist du?"]
    assert plan.losses == (
        Loss("location-request", Level.UNSUPPORTED, "location request sent in words: the sender's alternative is sent"),
    )


def test_a_part_may_be_dropped_or_refused():
    single = content(commerce.single(COLOURS))
    assert degrade.plan(single, network(quick_replies=Level.REJECTED)).refused == Refusal(
        "unsupported", "the network refuses quick replies"
    )
    assert degrade.plan(single, network(quick_replies=Level.DROPPED)).refused == Refusal(
        "unsupported", "quick replies left out"
    )
    beside = degrade.plan(content(several(text("Hi"), commerce.single(COLOURS))), network(quick_replies=Level.DROPPED))
    assert words(beside) == ["Hi"]
    assert beside.losses == (Loss("quick-replies", Level.DROPPED, "quick replies left out"),)
    alternative = degrade.plan(content(commerce.message(COLOURS)), network(quick_replies=Level.REJECTED))
    assert words(alternative) == ["Which?\n1. Red\n2. Blue\n3. Green"]


def test_what_is_said_of_a_business_part_stands_before_it():
    plan = degrade.plan(
        content(commerce.single(COLOURS), replaces=ID),
        network(quick_replies=Level.FULL),
    )
    assert [message.part for message in plan.messages] == [text("Edited:"), commerce.single(COLOURS)]
