"""Literal text beside marks, and text that its reader cleans: what a messenger's user typed never becomes a mark."""

from __future__ import annotations

import pytest

from adapters.business.marks import GRAMMAR as WHATSAPP
from adapters.xmpp.styling import GRAMMAR as STYLING
from protocol.capabilities import Format
from protocol.richtext import marks
from protocol.richtext.tree import CodeBlock, Item, Listing, Paragraph, Span, plain

GRAMMARS = pytest.mark.parametrize("grammar", [STYLING, WHATSAPP], ids=["styling", "whatsapp"])
CODE = frozenset({Format.CODE})


def test_a_literal_mark_right_before_a_marked_word_swallows_nothing() -> None:
    tree = (Paragraph((Span("a`"), Span("b", CODE))),)
    assert marks.write(tree, WHATSAPP) == "a\u2060``b`"
    assert marks.read("a\u2060``b`", WHATSAPP) == tree


def test_a_literal_mark_at_the_end_of_a_line_needs_no_joiner() -> None:
    assert marks.escape("2` + 3`", WHATSAPP) == "2` + 3`"


@GRAMMARS
@pytest.mark.parametrize("code", ["```", "``\u2060`", "`````\u2060\u2060`", "a``\u2060\u2060```b", "``\u2060"])
def test_code_keeps_a_joiner_of_its_own(code: str, grammar: marks.Grammar) -> None:
    tree = (CodeBlock(code),)
    assert marks.read(marks.write(tree, grammar), grammar) == tree


@GRAMMARS
@pytest.mark.parametrize("text", ["\x87`a`", "a\r> b", "a\r\n```", "\x00*a*", "\ud800> a"])
def test_what_a_reader_cleans_away_hides_no_mark(text: str, grammar: marks.Grammar) -> None:
    assert marks.read(marks.escape(text, grammar), grammar) == plain(text)


def test_a_numbered_list_ends_at_the_highest_number() -> None:
    listing = Listing(tuple(Item(plain(word)) for word in "ab"), 999_999_998)
    tree = (listing, *plain("1000000000. c"))
    assert marks.read("999999998. a\n999999999. b\n1000000000. c", WHATSAPP) == tree
