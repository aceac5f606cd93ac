"""What becomes of replies."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, Format, Level, Way
from protocol.content import MARKDOWN, text
from protocol.degrade import Context, Loss, Planned, Referenced, Refusal
from tests.unit.protocol.degrade.scene import BARE, CAT, ID, RICH, ROMEO, content, network, words


def test_a_reply_carries_a_quote_where_it_cannot_point():
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), BARE, context=Context(answered=ROMEO))
    assert words(plan) == ["> Juliet: Wherefore art thou?\nHere"]
    assert plan.losses == (Loss("reply", Level.UNSUPPORTED, "a reply is sent with a quote"),)
    assert not plan.messages[0].keeps_in_reply_to


@pytest.mark.parametrize("level", [Level.PARTIAL, Level.FULL])
def test_the_quote_is_a_real_one_where_there_are_quotes(level):
    quoting = Capabilities(send=Way(formatting={Format.QUOTE: level}))
    plan = degrade.plan(content(text("Here"), in_reply_to=ID), quoting, context=Context(answered=ROMEO))
    assert plan.messages[0].part == text("> Juliet: Wherefore art thou?\n\nHere", MARKDOWN)


def test_formatted_text_is_quoted_in_front_too():
    bold = Capabilities(send=Way(formatting={Format.BOLD: Level.FULL}))
    plan = degrade.plan(content(text("**Here**", MARKDOWN), in_reply_to=ID), bold, context=Context(answered=ROMEO))
    assert words(plan) == ["\\> Juliet: Wherefore art thou?\n\n**Here**"]


@pytest.mark.parametrize("formatting", [{}, {Format.QUOTE: Level.FULL}])
def test_an_answer_of_nothing_but_a_file_is_refused_where_the_file_is(formatting):
    here = Capabilities(send=Way(formatting=formatting))
    plan = degrade.plan(content(CAT, in_reply_to=ID), here, context=Context(answered=ROMEO))
    assert plan.refused == Refusal("media-refused", "the network takes no files of type image/png")


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
    assert dropped.losses == (Loss("reply", Level.DROPPED, "what it answers is not shown"),)
    assert degrade.plan(said, network(reply=Level.REJECTED), context=context).refused == Refusal(
        "unsupported", "the network refuses replies"
    )
    partial = degrade.plan(said, network(reply=Level.PARTIAL), context=context)
    assert partial.messages[0].keeps_in_reply_to
    assert partial.losses == (Loss("reply", Level.PARTIAL, "a reply is converted"),)
