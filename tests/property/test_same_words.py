"""What somebody types on one network is what others read on every other: the same words, and no mark-up by accident.

The readers are independent of the code that they judge (``tests.unit.adapters.readers``).
"""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from adapters.business import marks as whatsapp
from adapters.matrix import html as matrix
from adapters.xmpp import styling, xhtml_im
from protocol import degrade
from protocol.content import MARKDOWN, Content, text
from protocol.richtext import html as html_tree
from protocol.richtext import markdown, parts
from protocol.richtext.tree import plain
from tests.unit.adapters import readers
from tests.unit.adapters.test_matrix_page import networks

NETWORKS = networks()

# --- from each network ------------------------------------------------------------------------------------------------


def typed_on_xmpp(said):
    assume(not readers.shown_as(readers.styled(said)))
    assume(not any(line.startswith(("```", ">")) for line in said.splitlines()))  # around nothing they show as nothing
    return styling.to_part(said)


ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def typed_on_whatsapp(said):
    assume(not readers.shown_as(readers.marked(said)))
    part = whatsapp.to_part(said)
    assume(part.content_type != MARKDOWN or not any(map(ITEM.match, said.split("\n"))))
    return part


def in_html(said):
    kept = html.escape(said).replace("  ", " \u00a0").replace("\t", "\u00a0")
    return "<p>" + kept.replace("\r\n", "<br>").replace("\r", "<br>").replace("\n", "<br>") + "</p>"


TYPED = {
    "XMPP": typed_on_xmpp,
    "XMPP, unstyled": lambda said: styling.to_part(said, unstyled=True),
    "XHTML-IM": lambda said: xhtml_im.to_part(in_html(said)),
    "Matrix": matrix.to_part,
    "Matrix, formatted": lambda said: matrix.to_part(said, in_html(said)),
    "WhatsApp": typed_on_whatsapp,
    "MIMI": text,
    "MIMI, Markdown": lambda said: text(markdown.write(plain(said)), MARKDOWN),
}

# --- to each network --------------------------------------------------------------------------------------------------


def on_xmpp(part):
    body = styling.from_part(part)
    return readers.plain(body.text) if body.unstyled else readers.styled(body.text)


def on_matrix(part):
    body = matrix.from_part(part)
    return readers.plain(body.text) if body.html is None else readers.browsed(body.html)


def on_xhtml_im(part):
    tree = parts.read(part)
    return readers.plain(part.text) if tree is None else readers.browsed(html_tree.write(tree, xhtml_im.DIALECT))


def on_mimi(part):
    return readers.rendered(part.text) if part.content_type == MARKDOWN else readers.plain(part.text)


READ = {
    "XMPP": ("XMPP", on_xmpp),
    "XHTML-IM": ("Matrix", on_xhtml_im),
    "Matrix": ("Matrix", on_matrix),
    "WhatsApp": ("business", lambda part: readers.marked(whatsapp.from_part(part))),
    "MIMI": ("", on_mimi),
}


def arriving(part, network):
    """The parts that an adapter of the network is handed."""
    if not network:
        return [part]
    return [message.part for message in degrade.plan(Content(bytes(16), part), NETWORKS[network]).messages]


# --- the same words ---------------------------------------------------------------------------------------------------

TOKENS = [
    *"*_~`>-+=#|[]()\\&<:!/.1a \t\u00a0\u200b\u202e\u2028é",
    *("\n", "\n", "\r\n", "> ", "- ", "* ", "1. ", "# ", "===", "---", "```", "~~", "**", "__", "://", "    ", "|-|"),
    *("https://e.org", "&amp;", "&#42;", "<b>", "</pre>", "<!--", "]]>", "[ ] ", "word", "👩\u200d👧", "e\u0301"),
]
sayings = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=12).map("".join)


@pytest.mark.parametrize("there", READ)
@pytest.mark.parametrize("here", TYPED)
@settings(max_examples=60)
@given(sayings)
@example("*not bold* _nor this_ ~nor that~ `nor code`")
@example("> no quote\n- no list\n1. nor this\n# no heading\nno\n===\nheading\n---")
@example("1.     *\n-   -")
@example("| a | b |\n|---|---|\n| 1 | 2 |")
@example("[a](https://e.org) ![b](https://e.org) <https://e.org>\n[c]: https://e.org")
@example("\\*a\\* &lt;b&gt; <b>c</b> a_b_c 2*3*4 **d** ***e*** ~~f~~ ``g``")
@example("*" * 300 + "\u202e*a*\u200b*b*\u00a0*c*\u2028*d*")
def test_what_is_meant_literally_is_read_literally(here, there, said):
    part = TYPED[here](said)
    network, read = READ[there]
    seen = [line for each in arriving(part, network) for line in read(each)]
    assert readers.lines(seen) == readers.lines(readers.plain(said))
    assert not readers.shown_as(seen)


FORMATTED = {
    "XMPP": lambda: styling.to_part("so *bold*, _italic_ ~gone~ `code *x*`\n> quoted _this_"),
    "Matrix": lambda: matrix.to_part(
        "x",
        "so <b>bold</b>, <em>italic</em> <del>gone</del> <code>code *x*</code>"
        "<blockquote>quoted <i>this</i></blockquote>",
    ),
    "XHTML-IM": lambda: xhtml_im.to_part(
        "<p>so <strong>bold</strong>, <em>italic</em> <span style='text-decoration: line-through'>gone</span> "
        "<span style='font-family: monospace'>code *x*</span></p><blockquote>quoted <em>this</em></blockquote>"
    ),
    "WhatsApp": lambda: whatsapp.to_part("so *bold*, _italic_ ~gone~ `code *x*`\n> quoted _this_"),
    "MIMI": lambda: text("so **bold**, *italic* ~~gone~~ `code *x*`\n\n> quoted _this_", MARKDOWN),
}


@pytest.mark.parametrize("there", READ)
@pytest.mark.parametrize("here", FORMATTED)
def test_what_is_formatted_is_formatted_everywhere(here, there):
    network, read = READ[there]
    (part,) = arriving(FORMATTED[here](), network)
    seen = [line for line in read(part) if "".join(char for char, _ in line).strip()]
    assert readers.lines(seen) == ["so bold, italic gone code *x*", "quoted this"]
    ways = {}
    for char, how in seen[0]:
        ways.setdefault(how, []).append(char)
    assert {how: "".join(chars).strip() for how, chars in ways.items() if "".join(chars).strip(" ,so")} == {
        frozenset({"b"}): "bold",
        frozenset({"i"}): "italic",
        frozenset({"s"}): "gone",
        frozenset({"code"}): "code *x*",
    }
    assert readers.shown_as(seen[1:]) == {"quote", "i"}
