"""Messages of several parts: what is left out, and which alternative is sent."""

from __future__ import annotations

import pytest

from protocol import commerce, degrade
from protocol.capabilities import Level
from protocol.content import MARKDOWN, Disposition, ExternalPart, NullPart, SinglePart, text
from protocol.degrade import Loss, Refusal
from tests.unit.protocol.degrade.scene import (
    BARE,
    BLUE,
    CAT,
    COLOURS,
    RED,
    RICH,
    choose,
    content,
    files,
    network,
    several,
    words,
)


@pytest.mark.parametrize(
    ("kind", "what"),
    [(Disposition.ICON, "an icon"), (Disposition.PROFILE, "a profile"), (Disposition.PREVIEW, "a preview")],
)
def test_small_print_is_left_out(kind, what):
    small = ExternalPart(content_type="image/png", url="https://e.org", disposition=kind)
    plan = degrade.plan(content(several(text("a"), small, text("b"))), RICH)
    assert words(plan) == ["a", "b"]
    assert plan.losses == (Loss("part", Level.DROPPED, f"{what} is left out"),)


def test_what_only_rialto_could_read_is_left_out():
    odd = SinglePart("application/vnd.rialto.unknown+cbor", b"")
    broken = SinglePart("application/vnd.rialto.choice+cbor", b"")
    assert degrade.plan(content(odd), RICH).refused == Refusal(
        "unsupported", "a part of type application/vnd.rialto.unknown+cbor is left out"
    )
    plan = degrade.plan(content(several(broken, text("a"), odd)), RICH)
    assert words(plan) == ["a"]
    assert [(loss.what, loss.level) for loss in plan.losses] == [("part", Level.DROPPED)] * 2
    assert plan.losses[0].text.startswith("a part is left out that cannot be read: choice: ")


def test_the_first_alternative_of_which_nothing_is_lost_is_sent():
    said = choose(text("**a** _b_", MARKDOWN), text("plain"))
    assert words(degrade.plan(content(said), RICH)) == ["**a** _b_"]
    plan = degrade.plan(content(said), BARE)
    assert words(plan) == ["plain"]
    lost = "bold sent as plain words and characters; italic sent as plain words and characters"
    assert plan.losses == (Loss("bold", Level.UNSUPPORTED, f"{lost}: the sender's alternative is sent"),)


def test_buttons_that_can_be_pressed_are_better_than_numbers():
    cards = commerce.Carousel(cards=(commerce.Card(body="Flowers", options=(RED, BLUE)),))
    said = choose(commerce.single(cards), commerce.single(COLOURS), text("Red or blue?"))
    plan = degrade.plan(content(said), network(quick_replies=Level.FULL))
    assert commerce.find(plan.messages[0].part) == COLOURS
    assert words(degrade.plan(content(said), BARE)) == ["* Flowers\n1. Red\n2. Blue"]


def test_numbered_options_stay_even_with_a_word_before_them():
    said = choose(several(text("Hello!"), commerce.single(COLOURS)), text("Hello! Which colour?"))
    assert words(degrade.plan(content(said), BARE)) == ["Hello!", "Which?\n1. Red\n2. Blue\n3. Green"]


def test_an_alternative_that_says_nothing_is_no_alternative():
    assert words(degrade.plan(content(choose(text(" "), text("a"))), BARE)) == ["a"]
    assert words(degrade.plan(content(choose(NullPart(), text("**a**", MARKDOWN))), BARE)) == ["a"]


def test_a_refused_alternative_does_not_refuse_the_rest():
    said = choose(CAT, text("A cat"))
    plan = degrade.plan(content(said), files(level=Level.REJECTED))
    assert words(plan) == ["A cat"]
    why = "the network refuses files of type image/png: the sender's alternative is sent"
    assert plan.losses == (Loss("part", Level.UNSUPPORTED, why),)
    assert degrade.plan(content(choose(CAT, CAT)), files(level=Level.REJECTED)).refused
    assert degrade.plan(content(choose(NullPart(), text("a"))), BARE).losses == ()
    assert degrade.plan(content(choose()), BARE) == degrade.Plan()
