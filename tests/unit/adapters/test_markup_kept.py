"""No word is lost on the way into the tree: what looks like mark-up around nothing is what somebody typed."""

from __future__ import annotations

import pytest

from adapters.business import marks as whatsapp
from adapters.xmpp import styling
from protocol.content import MARKDOWN, text


@pytest.mark.parametrize("typed", ["```", "```\n```", "```py", "```\n  \n```", ">", "> \n>"])
def test_marks_around_nothing_are_text_on_xmpp(typed):
    assert styling.to_part(typed) == text(typed)


@pytest.mark.parametrize("typed", ["```\n```", "```\n\n```", "> ", "> \n> "])
def test_marks_around_nothing_are_text_on_whatsapp(typed):
    assert whatsapp.to_part(typed) == text(typed)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("```x = 1```", "```\nx = 1\n```"),
        ("```x = 1``` \nand *so* on", "```\nx = 1\n```\n\nand **so** on"),
        ("```x = 1\ny = 2\n```", "```\nx = 1\ny = 2\n```"),
        ("```py\nx = 1\n```", "```py\nx = 1\n```"),
        ("```x = 1", "```\nx = 1\n```"),
        ("```<b>\n```", "```\n<b>\n```"),
        ("``````", "````\n```\n````"),
        ("> ```a b```\n> c", "> ```\n> a b\n> ```\n>\n> c"),
    ],
)
def test_code_beside_its_fence_is_code(typed, said):
    """XEP-0393 ignores these words; people who write code on one line would see it nowhere."""
    assert styling.to_part(typed) == text(said, MARKDOWN)


def test_what_quotes_nothing_stands_beside_what_quotes():
    assert styling.to_markdown("a\n>\nb\n> *c*") == "a\n\n\\>\n\nb\n\n> **c**"
    assert styling.to_markdown(">> \n> a") == "> \\>\n>\n> a"
