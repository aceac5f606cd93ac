"""What becomes of a message as a whole, and of what stands beside its words."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, FileRule, Level, Way
from protocol.content import MARKDOWN, MIMI_STATUS, TYPING, Expiration, NullPart, Semantics, SinglePart, text
from protocol.degrade import Context, Loss, Planned, Referenced, Refusal
from tests.unit.protocol.degrade.scene import (
    BARE,
    CAT,
    ID,
    NAMELESS,
    RICH,
    ROMEO,
    content,
    network,
    parts,
    several,
    words,
)


@pytest.mark.parametrize("part", [text("Hello"), text("**Hello**", MARKDOWN)])
def test_where_everything_can_be_shown_nothing_changes(part):
    plan = degrade.plan(
        content(part, replaces=ID, in_reply_to=ID, topic_id=b"t", expires=Expiration(True, 60)),
        RICH,
        context=Context(replaced=Referenced(), answered=Referenced()),
    )
    assert plan == degrade.Plan(messages=(Planned(part=part, keeps_replaces=True, keeps_in_reply_to=True),))


@pytest.mark.parametrize("kind", [MIMI_STATUS, TYPING])
def test_status_and_typing_pass_through(kind):
    part = SinglePart(kind, b"\x80")
    assert degrade.plan(content(part), BARE).messages == (Planned(part=part),)


@pytest.mark.parametrize(
    "part", [NullPart(), text(""), text(" \n "), text("-", MARKDOWN), several(NullPart(), text(""))]
)
@pytest.mark.parametrize("here", [RICH, NAMELESS])
def test_who_says_nothing_sends_nothing(part, here):
    romeo = Context(sender="Romeo", answered=ROMEO)
    assert degrade.plan(content(part, in_reply_to=ID), here, context=romeo) == degrade.Plan()


def test_threads_and_vanishing_are_lost_with_a_word():
    said = content(text("a"), topic_id=b"t", expires=Expiration(True, 60))
    assert degrade.plan(said, network(topic=Level.PARTIAL)).losses == (
        Loss("topic", Level.PARTIAL, "the thread it belongs to is not shown"),
        Loss("expiry", Level.DROPPED, "it does not vanish by itself"),
    )
    assert degrade.plan(said, network(topic=Level.FULL, expiry=Level.REJECTED)).refused == Refusal(
        "unsupported", "the network refuses a message with expiry"
    )


def test_who_speaks_is_said_where_the_network_does_not_show_it():
    romeo = Context(sender="Romeo", answered=ROMEO, replaced=ROMEO)
    plan = degrade.plan(content(text("Hi"), in_reply_to=ID, replaces=ID), NAMELESS, context=romeo)
    assert words(plan) == ["> Juliet: Wherefore art thou?\nRomeo: Edited: Hi"]
    assert [loss.what for loss in plan.losses] == ["edit", "reply", "sender"]
    assert plan.losses[-1] == Loss("sender", Level.PARTIAL, "the sender's name is put before the text")
    captioned = degrade.plan(content(CAT), NAMELESS, context=romeo)
    assert captioned.messages[0].part.parts == (CAT, text("Romeo:"))
    gone = degrade.plan(content(NullPart(), replaces=ID), NAMELESS, context=romeo)
    assert words(gone) == ["Romeo: Deleted a message: “Wherefore art thou?”"]
    uncaptioned = Capabilities(send=Way(files={"*/*": FileRule()}), shows_sender=False)
    apart = degrade.plan(content(CAT), uncaptioned, context=romeo)
    assert [message.part for message in apart.messages] == [text("Romeo:"), CAT]
    assert degrade.plan(
        content(several(CAT, text("x"), semantics=Semantics.SINGLE_UNIT)), NAMELESS, context=romeo
    ).messages[0].part.parts == (CAT, text("Romeo: x"))


def test_who_speaks_is_not_said_twice():
    assert degrade.plan(content(text("Hi")), BARE, context=Context(sender="Romeo")) == degrade.Plan(
        messages=(Planned(part=text("Hi")),)
    )


def test_what_stands_before_the_first_part_takes_nothing_away_from_the_others():
    romeo = Context(sender="Romeo")
    worded = degrade.plan(content(several(text("Hi"), CAT, text("there"))), NAMELESS, context=romeo)
    assert parts(worded) == [text("Romeo: Hi"), CAT, text("there")]
    pictured = degrade.plan(content(several(CAT, text("there"))), NAMELESS, context=romeo)
    assert parts(pictured) == [several(CAT, text("Romeo:"), semantics=Semantics.SINGLE_UNIT), text("there")]


@pytest.mark.parametrize("name", ["", " ", "\x00\n", "\u202e"])
def test_who_has_no_name_that_could_be_seen_speaks_without_one(name):
    nameless = Context(sender=name, answered=Referenced(text="Ay me", sender=name, known=False), replaced=ROMEO)
    plan = degrade.plan(content(text("Hi"), in_reply_to=ID), NAMELESS, context=nameless)
    assert words(plan) == ["> Ay me\nHi"]
    assert [loss.what for loss in plan.losses] == ["reply"]
    gone = degrade.plan(content(NullPart(), replaces=ID), NAMELESS, context=nameless)
    assert words(gone) == ["Deleted a message: “Wherefore art thou?”"]


def test_a_name_turns_nothing_that_is_said_after_it():
    romeo = Context(sender="Romeo\u202e")
    assert words(degrade.plan(content(text("Hi")), NAMELESS, context=romeo)) == ["Romeo: Hi"]


def test_a_name_that_cannot_be_written_does_no_harm():
    strange = Context(sender="Ro\ud800meo\x00\n" + "o" * 1000)
    said = words(degrade.plan(content(text("Hi")), NAMELESS, context=strange))
    assert said == ["Romeo " + "o" * 73 + "…: Hi"]
