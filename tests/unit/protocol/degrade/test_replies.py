"""What becomes of replies."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, Format, Level, Way
from protocol.content import MARKDOWN, text
from protocol.degrade import Context, Loss, Planned, Referenced
from tests.unit.protocol.degrade.scene import BARE, ID, RICH, ROMEO, content, network, words


def test_a_reply_carries_a_quote_where_it_cannot_point():
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), BARE, context=Context(answered=ROMEO))
    assert words(plan) == ["> Juliet: Wherefore art thou?\nHere"]
    assert plan.losses == (Loss("reply", Level.UNSUPPORTED, "a reply is sent with a quote"),)
    assert not plan.messages[0].keeps_in_reply_to


def test_the_quote_is_a_real_one_where_there_are_quotes():
    quoting = Capabilities(send=Way(formatting={Format.QUOTE: Level.FULL}))
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), quoting, context=Context(answered=ROMEO))
    assert plan.messages[0].part == text("> Juliet: Wherefore art thou?\n\nHere", MARKDOWN)


def test_formatted_text_is_quoted_in_front_too():
    bold = Capabilities(send=Way(formatting={Format.BOLD: Level.FULL}))
    plan = degrade.plan(content(text("**Here**", MARKDOWN), in_reply_to=ID), bold, context=Context(answered=ROMEO))
    assert words(plan) == ["\\> Juliet: Wherefore art thou?\n\n**Here**"]


@pytest.mark.parametrize(
    "answered", [None, *(Referenced(known=False, sender="Juliet", text=t) for t in ("", " ", "\0"))]
)
def test_what_nobody_knows_cannot_be_quoted(answered):
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), RICH, context=Context(answered=answered))
    assert plan.messages == (Planned(part=text("Here")),)
    assert plan.losses == (Loss("reply", Level.UNSUPPORTED, "what it answers is not shown"),)


def test_replies_may_be_dropped_refused_or_converted():
    said, context = content(text("Here"), in_reply_to=ID), Context(answered=ROMEO)
    dropped = degrade.plan(said, network(reply=Level.DROPPED), context=context)
    assert words(dropped) == ["Here"]
    assert dropped.losses[0].level is Level.DROPPED
    assert degrade.plan(said, network(reply=Level.REJECTED), context=context).refused
    partial = degrade.plan(said, network(reply=Level.PARTIAL), context=context)
    assert partial.messages[0].keeps_in_reply_to
    assert partial.losses == (Loss("reply", Level.PARTIAL, "a reply is converted"),)
