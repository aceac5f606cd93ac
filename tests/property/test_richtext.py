"""Rich text goes through every mark-up and comes back: whatever a tree says, no text becomes mark-up by accident."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.business import marks as whatsapp
from adapters.matrix import html as matrix
from adapters.xmpp import styling, xhtml_im
from protocol.capabilities import Format
from protocol.richtext import html, markdown, marks
from protocol.richtext.tree import (
    MARKS,
    CodeBlock,
    Heading,
    Item,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Span,
    Table,
    normalise,
    plain,
)
from tests.fuzz import fuzz_html, fuzz_markdown, fuzz_marks

SPECIAL = "*_~`[]()<>&#|!-+=.:;1a \\\n\t\u2060\u00a0é\u4e2d"
texts = st.one_of(st.text(alphabet=SPECIAL, max_size=12), st.text(max_size=12))
urls = st.one_of(
    st.just(""),
    st.builds("https://e.org/{}".format, st.text(alphabet=SPECIAL, max_size=6)),
    st.sampled_from(
        ["mimi://example.org/u/xmpp~juliet", "javascript:alert(1)", "mailto:a@b.c", "https://a/?x=1&copy=2&lt;"]
    ),
)
spans = st.lists(st.builds(Span, texts, st.frozensets(st.sampled_from(MARKS)), urls | st.just("")), max_size=4).map(
    tuple
)
flat = st.one_of(
    st.builds(Paragraph, spans),
    st.builds(Heading, st.integers(0, 7), spans),
    st.builds(CodeBlock, texts, st.sampled_from(["", "python", "no good"])),
    st.just(Rule()),
    st.builds(Table, st.lists(st.lists(spans, max_size=3).map(tuple), max_size=3).map(tuple)),
)
blocks = st.recursive(
    flat,
    lambda inner: st.one_of(
        st.builds(Quote, st.lists(inner, max_size=3).map(tuple)),
        st.builds(
            Listing,
            st.lists(
                st.builds(Item, st.lists(inner, max_size=3).map(tuple), st.sampled_from([None, None, True, False])),
                max_size=3,
            ).map(tuple),
            st.none() | st.integers(0, 1_000_000_000),
        ),
    ),
    max_leaves=6,
)
trees = st.lists(blocks, max_size=4).map(normalise)


@given(st.lists(blocks, max_size=4))
def test_normal_is_normal(given_blocks):
    tree = normalise(given_blocks)
    assert normalise(tree) == tree


@given(trees)
@example(normalise((Paragraph((Span("\U0010ffff"), Span("a", frozenset({Format.ITALIC})))),)))
@settings(max_examples=400)
def test_markdown_says_exactly_what_the_tree_says(tree):
    assert markdown.read(markdown.write(tree)) == tree


GRAMMARS = {"styling": styling.GRAMMAR, "whatsapp": whatsapp.GRAMMAR}
DIALECTS = {"matrix": matrix.DIALECT, "xhtml": xhtml_im.DIALECT}


@pytest.mark.parametrize("name", GRAMMARS)
@given(tree=trees)
@settings(max_examples=250)
def test_marks_are_stable_from_the_second_round_on(name, tree):
    grammar = GRAMMARS[name]
    once = marks.read(marks.write(tree, grammar), grammar)
    assert marks.read(marks.write(once, grammar), grammar) == once


@pytest.mark.parametrize("name", GRAMMARS)
@given(text=texts | st.lists(texts).map("\n".join))
@settings(max_examples=250)
def test_plain_text_never_becomes_mark_up(name, text):
    escaped = marks.escape(text, GRAMMARS[name])
    assert marks.read(escaped, GRAMMARS[name]) == plain(text)


@pytest.mark.parametrize("name", GRAMMARS)
@given(text=texts | st.lists(texts).map("\n".join))
def test_what_a_marked_text_says_is_what_its_markdown_says(name, text):
    tree = marks.read(text, GRAMMARS[name])
    assert markdown.read(markdown.write(tree)) == tree


@pytest.mark.parametrize("name", DIALECTS)
@given(tree=trees)
@settings(max_examples=250)
def test_html_is_stable_from_the_second_round_on(name, tree):
    dialect = DIALECTS[name]
    once = html.read(html.write(tree, dialect))
    assert html.read(html.write(once, dialect)) == once


@given(tree=trees)
def test_xhtml_is_well_formed(tree):
    ET.fromstring(f"<body>{html.write(tree, xhtml_im.DIALECT)}</body>")


TOKENS = "* _ ~ ` ``` a \u2060 <b> </b> <ul><li> </li> <pre> [x](https://a) &#32; \\ ~~ ** <br> <table><tr><td> [ ] <p>"
tokens = st.sampled_from(
    [
        *TOKENS.split(),
        " ",
        "\n",
        "\t",
        "> ",
        "- ",
        "1. ",
        "# ",
        "| a |\n|---|\n",
        "---\n",
        "<a href='https://x'>",
        "&",
        "<",
    ]
)


@given(st.lists(tokens, max_size=20).map("".join))
@example("```---\n---\n")
@example("<pre>`**``````")
@settings(max_examples=300)
def test_whatever_is_typed_means_something_in_every_mark_up(text):
    for target in (fuzz_markdown, fuzz_html, fuzz_marks):
        target.one_input(text.encode())
