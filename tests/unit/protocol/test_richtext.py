"""Rich text: what people write in Markdown and HTML, what it means, and what is left where less can be shown."""

from __future__ import annotations

import time

import pytest

from protocol.capabilities import Format
from protocol.content import HTML, MARKDOWN, TEXT_PLAIN, SinglePart, text
from protocol.richtext import html, markdown, parts
from protocol.richtext.html import Dialect
from protocol.richtext.reduction import formats, reduce, relink, text_of
from protocol.richtext.tree import (
    MAX_DEPTH,
    MAX_NUMBER,
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
    safe_link,
)

BOLD = frozenset({Format.BOLD})
EVERYTHING = Dialect(
    kinds=frozenset(Format) - {Format.TASKS},
    marks={
        Format.BOLD: ("<strong>", "</strong>"),
        Format.ITALIC: ("<em>", "</em>"),
        Format.STRIKE: ("<del>", "</del>"),
        Format.CODE: ("<code>", "</code>"),
    },
)


def said(*blocks):
    return Paragraph(tuple(Span(block) for block in blocks))


# --- Markdown ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("hello", (said("hello"),)),
        ("one\ntwo", (said("one\ntwo"),)),
        ("a **b** c", (Paragraph((Span("a "), Span("b", BOLD), Span(" c"))),)),
        ("**_x_**", (Paragraph((Span("x", BOLD | {Format.ITALIC}),)),)),
        ("_**x**_", (Paragraph((Span("x", BOLD | {Format.ITALIC}),)),)),
        (
            "~~gone~~ `code`",
            (Paragraph((Span("gone", frozenset({Format.STRIKE})), Span(" "), Span("code", frozenset({Format.CODE})))),),
        ),
        ("### Title", (Heading(3, (Span("Title"),)),)),
        ("```py x\nif a:\n\n  b\n```", (CodeBlock("if a:\n\n  b", "py"),)),
        ("    indented", (CodeBlock("indented"),)),
        ("> said\n>\n> > before", (Quote((said("said"), Quote((said("before"),)))),)),
        ("- a\n- b\n  - c", (Listing((Item((said("a"),)), Item((said("b"), Listing((Item((said("c"),)),)))))),)),
        ("3. a\n4. b", (Listing((Item((said("a"),)), Item((said("b"),))), 3),)),
        (
            "- [x] done\n- [ ] open\n- \\[ ] text",
            (Listing((Item((said("done"),), True), Item((said("open"),), False), Item((said("[ ] text"),)))),),
        ),
        ("a\n\n---", (said("a"), Rule())),
        ("| a | b |\n|---|---|\n| 1 |", (Table((((Span("a"),), (Span("b"),)), ((Span("1"),), ()))),)),
        ("[Romeo](mimi://e.org/u/r)", (Paragraph((Span("Romeo", link="mimi://e.org/u/r"),)),)),
        ("![cat](https://e.org/c.png)", (Paragraph((Span("cat", link="https://e.org/c.png"),)),)),
        ("![](https://e.org/c.png)", (Paragraph((Span("https://e.org/c.png", link="https://e.org/c.png"),)),)),
        ("[bad](javascript:alert(1))", (said("bad"),)),
        ("<b>no html</b> https://e.org", (said("<b>no html</b> https://e.org"),)),
        ("<!-- a --><?b?><![CDATA[c]]></d>", (said("<!-- a --><?b?><![CDATA[c]]></d>"),)),
        ("<mimi://e.org/u/r>", (Paragraph((Span("mimi://e.org/u/r", link="mimi://e.org/u/r"),)),)),
        ("<a@e.org>", (Paragraph((Span("a@e.org", link="mailto:a@e.org"),)),)),
        ("<javascript:alert(1)>", (said("javascript:alert(1)"),)),
        ("&lt;&amp;", (said("<&"),)),
        ("-", ()),
        ("", ()),
    ],
)
def test_markdown_means_what_people_mean_by_it(source, tree):
    assert markdown.read(source) == tree


def test_a_table_that_is_hardly_written_is_hardly_filled_up():
    """Three hundred columns and rows of one cell each would make ninety thousand cells out of two kilobytes."""
    table, *rest = markdown.read("|a" * 300 + "|\n" + "|-" * 300 + "|\n" + "|b\n" * 300)
    assert sum(map(len, table.rows)) < 3000
    assert text_of((table, *rest)).count("b") == 300
    (paragraph,) = html.read("<table><tr>" + "<td>a" * 300 + "</tr>" + "<tr><td>b" * 300 + "</table>")
    assert text_of((paragraph,)).count("b") == 300


def test_what_nests_too_deep_is_shown_as_it_was_typed():
    source = ">" * 60 + " help"
    assert markdown.read(source) == (said(source),)


@pytest.mark.parametrize(
    ("tree", "written"),
    [
        ((Paragraph((Span("a"), Span("b", BOLD))),), "a**b**"),
        ((Paragraph((Span("a"), Span(" b", BOLD))),), "&#97;**&#32;b**"),
        ((Paragraph((Span("a"), Span("b", frozenset({Format.ITALIC})), Span("c"))),), "&#97;_b_&#99;"),
        ((said("1. not a list\n- nor this\n# nor that"),), "1\\. not a list\\\n\\- nor this\\\n\\# nor that"),
        ((said("  two blanks"),), "&#32; two blanks"),
        ((said("2 * 3 * 4 & snake_case!"),), "2 \\* 3 \\* 4 \\& snake\\_case\\!"),
        ((Paragraph((Span("`", frozenset({Format.CODE})),)),), "`` ` ``"),
        ((Paragraph((Span(" x ", frozenset({Format.CODE})), Span("."))),), "`  x  `."),
        ((CodeBlock("```"),), "````\n```\n````"),
        ((Heading(2, (Span("a #"),)), Rule()), "## a \\#\n\n___"),
        ((Paragraph((Span("x", link="https://e.org/(a)?b&lt;"),)),), "[x](<https://e.org/(a)?b\\&lt;>)"),
        ((Table((((Span("a|b", frozenset({Format.CODE})),),),)),), "| `a\\|b` |\n| --- |"),
        (
            (Listing((Item((said("a"),)),)), Listing((Item((said("b"),)),)), Listing((Item((said("c"),)),), 1)),
            "- a\n\n* b\n\n1. c",
        ),
        ((Listing((Item((said("a"),)),), 1), Listing((Item((said("b"),)),), 1)), "1. a\n\n1) b"),
    ],
)
def test_markdown_is_written_so_that_it_is_read_back(tree, written):
    assert markdown.write(tree) == written
    assert markdown.read(written) == tree


# --- HTML -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("<p>a</p><p>b</p>", (said("a"), said("b"))),
        ("a <br> b", (said("a\nb"),)),
        ("<div>a</div>b", (said("a"), said("b"))),
        ("<b>a</b><strong>b</strong>", (Paragraph((Span("ab", BOLD),)),)),
        ('<span style="font-weight:bold;color:red">a</span>', (Paragraph((Span("a", BOLD),)),)),
        ("<h2>a <p>b</p></h2>", (Heading(2, (Span("a  b"),)),)),
        ("<pre><code class='language-py'>a\n\n b</code></pre>", (CodeBlock("a\n\n b", "py"),)),
        ("<pre>a<br>b<p>c</p><ul><li>d</li></ul></pre>", (CodeBlock("a\nbcd"),)),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>", (Quote((said("a"), Quote((said("b"),)))),)),
        ("<ul><li>a</li>b</ul>", (Listing((Item((said("a"),)), Item((said("b"),)))),)),
        (
            "<ol start='5'><li>a</li></ol><ol start='x'><li>b</li></ol>",
            (Listing((Item((said("a"),)),), 5), Listing((Item((said("b"),)),), 1)),
        ),
        (f"<ol start='{'9' * 5_000}'><li>a</li></ol>", (Listing((Item((said("a"),)),), MAX_NUMBER),)),
        ("<ol start='1234567890'><li>a</li></ol>", (Listing((Item((said("a"),)),), MAX_NUMBER),)),
        ("<li>a</li>", (said("a"),)),
        (
            "<table><tr><th>a</th><td>b</td></tr><tr><td><p>1</p><p>2</p></td></tr></table>",
            (Table((((Span("a"),), (Span("b"),)), ((Span("1 2"),), ()))),),
        ),
        (
            "<table><tr><th colspan=2>t</th></tr><tr><td>a</td><td>b</td></tr></table>",
            (Table((((Span("t"),), ()), ((Span("a"),), (Span("b"),)))),),
        ),
        ("<td>a</td>", (said("a"),)),
        ("<p> a</p> <p>b</p>", (said("a"), said("b"))),
        ("x<hr>y", (said("x"), Rule(), said("y"))),
        ("<img alt='cat' src='https://e.org'>", (said("cat"),)),
        (
            "<a href='https://e.org'>a<b>b</b></a>",
            (Paragraph((Span("a", link="https://e.org"), Span("b", BOLD, "https://e.org"))),),
        ),
        ("a &amp; b&nbsp;c", (said("a & b\u00a0c"),)),
    ],
)
def test_html_means_what_a_browser_would_show(source, tree):
    assert html.read(source) == tree


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("<script>alert(1)</script>hi", "hi"),
        ("<style>*{display:none}</style>hi", "hi"),
        ("<b onclick=alert(1)>hi</b>", "hi"),
        ("<a href='javascript:alert(1)'>hi</a>", "hi"),
        ("<a href=' data:text/html,x'>hi</a>", "hi"),
        ("<svg><g onload=alert(1)></g></svg>hi", "hi"),
        ("<mx-reply><blockquote>old</blockquote></mx-reply>hi", "hi"),
        ("<iframe src=x></iframe><form><input value=x></form>hi", "hi"),
        ("<b>hi", "hi"),
        ("</b></p>hi", "hi"),
        ("<!-- a --><![CDATA[b]]>hi", "hi"),
    ],
)
def test_nothing_hostile_survives(hostile, shown):
    tree = html.read(hostile)
    assert text_of(tree) == shown
    assert all(not span.link for block in tree for span in block.spans)
    written = html.write(tree, EVERYTHING)
    assert not any(word in written for word in ("script", "onclick", "href", "style"))


def test_html_that_nests_for_ever_is_read_all_the_same():
    deep = "<blockquote>" * 4000 + "help" + "</blockquote>" * 4000
    assert "help" in text_of(html.read(deep))


@pytest.mark.parametrize("tag", ["<blockquote>", "<ul><li>", "<b>", "<div >", "<table><tr><td>"])
def test_html_that_nests_deeper_than_anybody_writes_is_read_in_no_time(tag):
    """A parser of HTML would take minutes for what fits into one message."""
    begun = time.process_time()
    assert text_of(html.read(tag * 100_000 + "help <b>me</b>, 1 < 2 > 0")).endswith("help me , 1 < 2 > 0")
    assert time.process_time() - begun < 10


def test_a_style_that_repeats_itself_is_read_in_no_time():
    """As long as a message may be, with a property that is begun again and again and never says anything."""
    style = "text-decoration:" * 50_000
    begun = time.process_time()
    assert not formats(html.read(f'<span style="text-decoration:{style}">a</span>'))
    assert time.process_time() - begun < 10


def test_html_is_written_with_every_element_closed():
    tree = markdown.read(
        "# T\n\na  **b <i>**\\\n[l](https://e.org/?a&b)\n\n- [ ] x\n\n"
        "```py\n<\n```\n\n| a |\n|---|\n| 1 |\n\n---\n\n> q\n\n2. y"
    )
    assert html.write(tree, EVERYTHING) == (
        '<h1>T</h1><p>a \u00a0<strong>b &lt;i&gt;</strong><br/><a href="https://e.org/?a&amp;b">l</a></p>'
        "<ul><li>☐ x</li></ul>"
        '<pre><code class="language-py">&lt;\n</code></pre><table>'
        "<thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table><hr/>"
        '<blockquote>q</blockquote><ol start="2"><li>y</li></ol>'
    ).replace("<p>a", "a").replace("</p>", "")


def test_a_table_may_be_a_header_only():
    assert html.write(markdown.read("| a |\n|---|"), EVERYTHING) == "<table><thead><tr><th>a</th></tr></thead></table>"


# --- the normal form --------------------------------------------------------------------------------------------------


def test_trees_that_look_alike_are_one():
    assert normalise((said("a", "b\r\n\n \n c\x00 "), said("  \n"))) == (said("ab"), said(" c"))
    assert normalise((said("\ufffea\U0001fffe\U0001f600\U0010ffff"),)) == (said("a\U0001f600"),)
    assert normalise((Heading(9, (Span(" a\nb "),)), Heading(1, (Span(" "),)))) == (Heading(6, (Span("a b"),)),)
    assert normalise((Heading(1, (Span(" ", BOLD), Span(" a"))),)) == (Heading(1, (Span("a"),)),)
    assert normalise((CodeBlock("a\n\n", "no good"),)) == (CodeBlock("a"),)
    assert normalise((Quote((CodeBlock("\ta"),)),)) == (Quote((CodeBlock("    a"),)),)
    assert normalise((CodeBlock(""), CodeBlock(" \n \n"))) == ()
    assert normalise((Quote(()), Listing((Item(()),)), Table(()), Table(((),)))) == ()
    assert normalise((Listing((Item((Rule(),), True),), -1),)) == (Listing((Item((Rule(),)),), 0),)


@pytest.mark.parametrize(("start", "kept"), [(123_456_789, 123_456_789), (10**9 - 3, 10**9 - 3), (10**9, 10**9 - 3)])
def test_every_number_of_a_list_is_one_that_markdown_reads(start, kept):
    items = tuple(Item((said(word),)) for word in "abc")
    (listing,) = tree = normalise((Listing(items, start),))
    assert listing == Listing(items, kept)
    assert markdown.read(markdown.write(tree)) == tree


def test_what_is_too_deep_becomes_lines():
    tree = (said("x"),)
    for _ in range(MAX_DEPTH + 3):
        tree = (Quote(tree),)
    depth, block = 0, normalise(tree)[0]
    while isinstance(block, Quote):
        depth, block = depth + 1, block.blocks[0]
    assert depth == MAX_DEPTH - 1
    assert block == said("> > > > x")


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://e.org/a b", "https://e.org/a%20b"),
        (" HTTPS://E.org ", "https://E.org"),
        ("Mimi://e.org/u/A", "mimi://e.org/u/A"),
        ("mimi://e.org/u/a", "mimi://e.org/u/a"),
        ("https://e.org/\u00e9<>", "https://e.org/\u00e9%3C%3E"),
        ("javascript:alert(1)", ""),
        ("java\x00script:x", ""),
        ("data:text/html,x", ""),
        ("//e.org", ""),
        ("https:", ""),
        ("", ""),
    ],
)
def test_only_harmless_links_stand_in_a_tree(url, safe):
    assert safe_link(url) == safe


# --- less of it -------------------------------------------------------------------------------------------------------

LETTER = markdown.read(
    "# Title\n\nSee [the shop](https://e.org) or [https://e.org](https://e.org), **Romeo** ([him](mimi://e.org/u/r))\n\n"
    "- [x] a\n- b\n\n  c\n\n7. d\n\n> q\n\n```\nx\n  y\n```\n\n---\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    "1. [ ] e"
)


def test_everything_has_a_form_in_plain_words():
    assert text_of(LETTER) == (
        "Title\n\nSee the shop (https://e.org) or https://e.org, Romeo (him)\n\n☑ a\n• b\n  c\n\n7. d\n\n> q\n\n"
        "x\n  y\n\n———\n\na | b\n1 | 2\n\n1. ☐ e"
    )


def test_a_link_in_several_pieces_is_named_once():
    assert text_of(markdown.read("[a **b** c](https://e.org)d")) == "a b c (https://e.org)d"


def test_only_what_is_missing_is_replaced():
    assert reduce(LETTER, frozenset(Format)) == LETTER
    kept = frozenset({Format.BOLD, Format.BULLETS, Format.QUOTE})
    some = reduce(LETTER, kept)
    assert formats(some) == kept
    assert some[0] == Paragraph((Span("Title", BOLD),))
    assert some[2] == Listing((Item((said("☑ a"),)), Item((said("b"), said("c")))))


def test_a_task_that_is_not_a_paragraph_keeps_its_box():
    tree = (Listing((Item((said("a"), Rule()), False),)),)
    assert reduce(tree, frozenset({Format.BULLETS})) == (Listing((Item((said("☐ a"), said("———"))),)),)


def test_the_kinds_of_formatting_are_found_however_deep():
    assert formats(LETTER) == frozenset(Format) - {Format.ITALIC, Format.STRIKE, Format.CODE}
    table = markdown.read("| `a` |\n|---|")
    assert formats((Quote(table),)) == {Format.QUOTE, Format.TABLE, Format.CODE}


def test_links_lead_where_each_network_wants_them():
    tree = markdown.read("[a](mimi://e.org/u/a) [b](https://e.org) c")
    linked = relink(tree, lambda url: url.replace("mimi://e.org/u/", "https://matrix.to/#/@") if "mimi" in url else "")
    assert linked == (Paragraph((Span("a", link="https://matrix.to/#/@a"), Span(" b c"))),)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_parts_are_read_by_their_media_type():
    assert parts.read(text("*a*")) is None
    assert parts.read(SinglePart("Text/Markdown", b"a")) == (said("a"),)
    assert parts.read(SinglePart(HTML, b"<b>a</b>")) == (Paragraph((Span("a", BOLD),)),)
    assert parts.is_text(SinglePart("text/x-anything", b""))
    assert not parts.is_text(SinglePart("image/png", b""))


def test_a_tree_is_markdown_only_if_it_is_formatted():
    assert parts.formatted(plain("a *b*")) == text("a *b*", TEXT_PLAIN)
    assert parts.formatted(markdown.read("a **b**")) == text("a **b**", MARKDOWN)
