"""Messages of several parts: what is left out, and which alternative is sent."""

from __future__ import annotations

from protocol import degrade
from protocol.capabilities import Level
from protocol.content import MARKDOWN, Disposition, ExternalPart, NullPart, SinglePart, text
from protocol.degrade import Loss
from tests.unit.protocol.degrade.scene import BARE, CAT, RICH, choose, content, files, several, words


def test_small_print_is_left_out():
    icon = ExternalPart(content_type="image/png", url="https://e.org", disposition=Disposition.ICON)
    plan = degrade.plan(content(several(text("a"), icon)), RICH)
    assert words(plan) == ["a"]
    assert plan.losses == (Loss("part", Level.DROPPED, "a icon is left out"),)


def test_what_only_rialto_could_read_is_left_out():
    odd = SinglePart("application/vnd.rialto.unknown+cbor", b"")
    broken = SinglePart("application/vnd.rialto.choice+cbor", b"")
    assert degrade.plan(content(odd), RICH).refused.reason == "unsupported"
    assert words(degrade.plan(content(several(broken, text("a"))), RICH)) == ["a"]


def test_the_first_alternative_of_which_nothing_is_lost_is_sent():
    said = choose(text("**a**", MARKDOWN), text("plain"))
    assert words(degrade.plan(content(said), RICH)) == ["**a**"]
    plan = degrade.plan(content(said), BARE)
    assert words(plan) == ["plain"]
    assert plan.losses == (
        Loss("part", Level.UNSUPPORTED, "another rendering is sent: bold sent as plain words and characters"),
    )


def test_a_refused_alternative_does_not_refuse_the_rest():
    said = choose(CAT, text("A cat"))
    plan = degrade.plan(content(said), files(level=Level.REJECTED))
    assert words(plan) == ["A cat"]
    assert plan.losses[0].text == "another rendering is sent: the network takes no image/png"
    assert degrade.plan(content(choose(CAT, CAT)), files(level=Level.REJECTED)).refused
    assert degrade.plan(content(choose(NullPart(), text("a"))), BARE).losses == ()
    assert degrade.plan(content(choose()), BARE) == degrade.Plan()
