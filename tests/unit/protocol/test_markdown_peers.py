"""Markdown that is meant for others: what we write is shown by every reader of it, not only by ours."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from protocol.capabilities import Format
from protocol.richtext import markdown
from protocol.richtext.tree import Item, Listing, Paragraph, Quote, Span, Table, plain

BOLD, ITALIC, STRIKE, CODE = (frozenset({kind}) for kind in (Format.BOLD, Format.ITALIC, Format.STRIKE, Format.CODE))


def paragraph(*spans):
    return (Paragraph(spans),)


@pytest.mark.parametrize(
    "tag", ["<b>", "</b>", "<!-- a -->", "<?php ?>", "<!DOCTYPE a>", "<![CDATA[a]]>", "<a href='https://e.org'>"]
)
def test_a_tag_is_sent_as_the_draft_wants_it(tag):
    said = markdown.write(plain(f"x {tag} y"))
    assert "<" not in said
    shown = MarkdownIt("commonmark", {"html": True}).render(said)
    assert shown == f"<p>x {tag.replace('<', '&lt;').replace('>', '&gt;')} y</p>\n"
    assert markdown.read(said) == plain(f"x {tag} y")


def test_an_angle_bracket_that_starts_nothing_is_left_alone():
    assert markdown.write(plain("1 < 2 <3 <- x<")) == "1 < 2 <3 <- x&lt;"


def test_an_address_in_angle_brackets_that_somebody_typed_is_no_link():
    said = markdown.write(plain("<https://e.org> <a@e.org>"))
    assert said == "&lt;https://e.org> &lt;a@e.org>"
    assert markdown.read(said) == plain("<https://e.org> <a@e.org>")


@pytest.mark.parametrize(
    ("spans", "written"),
    [
        ((Span("a", STRIKE), Span("b", ITALIC)), "~~&#97;~~_b_"),
        ((Span("a", STRIKE), Span("\u202e", BOLD)), "~~&#97;~~**\u202e**"),
        ((Span("a", BOLD), Span("b", STRIKE | ITALIC)), "**a**_~~b~~_"),
        ((Span("a", ITALIC), Span("b", STRIKE)), "_a_~~&#98;~~"),
        ((Span("!a", BOLD | STRIKE), Span("b")), "**~~!a~~**&#98;"),
        ((Span("b"), Span("!a", BOLD | STRIKE)), "&#98;**~~!a~~**"),
    ],
)
def test_marks_beside_tildes_are_seen_by_readers_that_look_past_tildes(spans, written):
    """GitHub's parser and its many ports take the character on the far side of a tilde for a mark's neighbour."""
    assert markdown.write(paragraph(*spans)) == written
    assert markdown.read(written) == paragraph(*spans)


def test_code_in_a_link_at_the_start_is_no_reference_definition():
    """A definition would not be shown at all: the words of the whole paragraph would be lost."""
    said = paragraph(Span("a]: b", CODE, "https://e.org"))
    assert markdown.write(said) == "\\\n[`a]: b`](https://e.org)"
    for tree in (said, (Quote(said),), (Listing((Item(said), Item(said, True))),)):
        assert markdown.read(markdown.write(tree)) == tree
    elsewhere = paragraph(Span("x "), Span("a]: b", CODE, "https://e.org"))
    assert markdown.write(elsewhere) == "x [`a]: b`](https://e.org)"
    table = (Table(((said[0].spans,),)),)
    assert markdown.read(markdown.write(table)) == table
