"""What becomes of text and its formatting."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Way
from protocol.content import HTML, MARKDOWN, SinglePart, text
from protocol.degrade import Loss, Refusal
from protocol.richtext.parts import MAX_MARKDOWN
from tests.unit.protocol.degrade.scene import BARE, CAT, RICH, content, network, parts, several, words


@pytest.mark.parametrize("said", [text("\n Hello!\n\n"), text("__Hello__,\n* you\n", MARKDOWN)])
def test_what_can_be_shown_is_sent_as_it_was_written(said):
    assert parts(degrade.plan(content(said), RICH)) == [said]


def test_formatting_falls_back_to_words():
    plan = degrade.plan(content(text("**Hi** [shop](https://e.org)\n\n- a\\*", MARKDOWN)), BARE)
    assert parts(plan) == [text("Hi shop (https://e.org)\n\n• a*")]
    assert [(loss.what, loss.level) for loss in plan.losses] == [
        ("bold", Level.UNSUPPORTED),
        ("bullets", Level.UNSUPPORTED),
        ("link", Level.UNSUPPORTED),
    ]


def test_only_the_formatting_that_is_missing_goes():
    some = Capabilities(send=Way(formatting={Format.BOLD: Level.FULL, Format.ITALIC: Level.PARTIAL}))
    plan = degrade.plan(content(text("**a** _b_ ~~c~~", MARKDOWN)), some)
    assert plan.messages[0].part == text("**a** _b_ c", MARKDOWN)
    assert plan.losses == (
        Loss("italic", Level.PARTIAL, "italic converted"),
        Loss("strike", Level.UNSUPPORTED, "strikethrough sent as plain words and characters"),
    )


def test_html_becomes_markdown_and_unformatted_markdown_plain_text():
    assert degrade.plan(content(SinglePart(HTML, b"<b>a</b>")), RICH).messages[0].part == text("**a**", MARKDOWN)
    assert degrade.plan(content(text("a\\*", MARKDOWN)), RICH).messages[0].part == text("a*")
    assert degrade.plan(content(SinglePart("text/x-odd", b"a")), RICH).messages[0].part == text("a")


def test_a_mention_keeps_its_name():
    said = content(text("[Romeo](mimi://e.org/u/r) come", MARKDOWN))
    assert degrade.plan(said, RICH).losses == ()
    linking = {Format.LINK: Level.FULL}
    none = degrade.plan(said, Capabilities(send=Way(formatting=linking)))
    assert words(none) == ["Romeo come"]
    assert none.losses == (Loss("mention", Level.UNSUPPORTED, "a mention is sent as a name only"),)
    both = content(text("[Romeo](mimi://e.org/u/r), [look](https://e.org)", MARKDOWN))
    assert words(degrade.plan(both, Capabilities(send=Way(formatting=linking)))) == ["Romeo, [look](https://e.org)"]
    partial = Capabilities(send=Way(formatting=linking, features={Feature.MENTION: Level.PARTIAL}))
    assert degrade.plan(said, partial).losses == (Loss("mention", Level.PARTIAL, "a mention is converted"),)


def test_a_mention_is_a_mention_before_it_is_a_link():
    said = content(text("Dear [Romeo](MIMI://e.org/u/r)!", MARKDOWN))
    full = Capabilities(send=Way(formatting={Format.LINK: Level.FULL}, features={Feature.MENTION: Level.FULL}))
    assert parts(degrade.plan(said, full)) == [said.part]
    assert words(degrade.plan(said, Capabilities(send=Way(formatting={Format.LINK: Level.REJECTED})))) == [
        "Dear Romeo!"
    ]
    refusing = Capabilities(send=Way(features={Feature.MENTION: Level.REJECTED}))
    assert degrade.plan(said, refusing).refused == Refusal("unsupported", "the network refuses mentions")
    assert words(degrade.plan(content(text("[a](https://e.org)", MARKDOWN)), refusing)) == ["a (https://e.org)"]


def test_what_stands_inside_something_that_goes_is_lost_with_it_and_named():
    here = Capabilities(send=Way(formatting=dict.fromkeys([Format.CODE_BLOCK, Format.BOLD], Level.FULL)))
    plan = degrade.plan(content(text("> ```\n> a\n> ```\n>\n> **b**", MARKDOWN)), here)
    assert parts(plan) == [text("> a\\\n> **b**".replace("> ", "\\> "), MARKDOWN)]
    assert plan.losses == (
        Loss("code-block", Level.UNSUPPORTED, "code block sent as plain words and characters"),
        Loss("quote", Level.UNSUPPORTED, "quote sent as plain words and characters"),
    )


def test_a_network_may_refuse_text_or_a_kind_of_it():
    said = content(text("a"))
    assert degrade.plan(said, network(text=Level.REJECTED)).refused == Refusal(
        "unsupported", "the network takes no text"
    )
    assert degrade.plan(said, network(text=Level.DROPPED)).refused == Refusal("unsupported", "a text is left out")
    strict = Capabilities(send=Way(formatting={Format.TABLE: Level.REJECTED, Format.CODE_BLOCK: Level.REJECTED}))
    refused = degrade.plan(content(text("| a |\n|---|\n\n```\nb\n```", MARKDOWN)), strict).refused
    assert refused == Refusal("unsupported", "the network refuses text with code block, table")


def test_text_beside_a_picture_may_be_left_out():
    pictures_only = Capabilities(send=Way(text=Level.DROPPED, files={"*/*": FileRule()}))
    plan = degrade.plan(content(several(text("My cat"), CAT)), pictures_only)
    assert parts(plan) == [CAT]
    assert plan.losses == (Loss("text", Level.DROPPED, "a text is left out"),)


def test_what_is_too_long_for_its_formatting_to_be_read_is_sent_as_it_was_written():
    """A megabyte of brackets would keep everybody else waiting for half a minute."""
    longest = text("**a** " + "b" * (MAX_MARKDOWN - 6), MARKDOWN)
    assert words(degrade.plan(content(longest), BARE))[0].startswith("a b")
    plan = degrade.plan(content(text("**a** " + "[" * (MAX_MARKDOWN - 5), MARKDOWN)), RICH)
    assert words(plan)[0].startswith("**a** [[")
    assert plan.messages[0].part == text(words(plan)[0])
    loss = Loss("text", Level.PARTIAL, "a text too long for its formatting to be read is sent as it was written")
    assert plan.losses == (loss,)
