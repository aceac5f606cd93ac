"""Every network's mark-up: what people type there, what it means, and how it is shown elsewhere."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from adapters.business import marks as whatsapp
from adapters.matrix import html as matrix
from adapters.xmpp import styling, xhtml_im
from protocol.content import HTML, MARKDOWN, SinglePart, text
from protocol.richtext.marks import JOINER

# --- XEP-0393 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "markdown"),
    [
        ("*strong* _emphasis_ ~gone~ `pre *x*`", "**strong** _emphasis_ ~~gone~~ `pre *x*`"),
        ("*strong _both_*", "**strong _both_**"),
        ("_*x*_", "**_x_**"),
        ("not*strong*", "not\\*strong\\*"),
        ("* not strong*", "\\* not strong\\*"),
        ("*not strong *", "\\*not strong \\*"),
        ("*not \n strong", "\\*not\\\n&#32;strong"),
        ("*this*also *", "**this**also \\*"),
        ("**", "\\*\\*"),
        ("****", "\\*\\*\\*\\*"),
        ("***", "\\*\\*\\*"),
        ("**a** *b*", "\\*\\*a\\*\\* **b**"),
        ("> one\n>two\n>> three\nfour", "> one\\\n> two\n>\n> > three\n\nfour"),
        ("```py\nx *y*\n```\nz", "```py\nx *y*\n```\n\nz"),
        ("```\nnever ends\n", "```\nnever ends\n```"),
        ("> ```\n> a\nb", "> ```\n> a\n> ```\n\nb"),
        (f"{JOINER}*literal*", "\\*literal\\*"),
        (f"{JOINER}> literal", "\\> literal"),
        (f"a{JOINER}b", f"a{JOINER}b"),
        ("[x](https://e.org) <b>", "\\[x\\](https://e.org) &lt;b>"),
    ],
)
def test_styled_text_means_what_xep_0393_says(body, markdown):
    assert styling.to_markdown(body) == markdown


def test_quotes_without_end_are_read_all_the_same():
    assert ">" in styling.to_markdown(">" * 3000 + " help")


@pytest.mark.parametrize(
    ("markdown", "body"),
    [
        ("**a _b_** ~~c~~ `d`", "*a _b_* ~c~ `d`"),
        ("x**y**z", "xyz"),
        ("**a\\*b**", "a*b"),
        ("\\*a\\* and \\_b\\_", f"{JOINER}*a* and {JOINER}_b_"),
        ("2 \\* 3 \\* 4 and \\_one", "2 * 3 * 4 and _one"),
        ("a\n\nb\n> c\n\n- d", "a\n\nb\n> c\n• d"),
        ("\\> a", f"{JOINER}> a"),
        ("``` py\na```b\n```", f"```py\na``{JOINER}`b\n```"),
        ("[Shop](https://e.org)", "Shop (https://e.org)"),
        ("**&#32;a&#32;**", " *a*"),
        ("# Title\n\n1. a", "*Title*\n\n1. a"),
        ("> a\n\n<!-- -->\n\n> b", "> a\n<!-- -->\n> b"),
    ],
)
def test_text_is_styled_as_far_as_styling_goes(markdown, body):
    assert styling.from_markdown(markdown) == body


def test_plain_text_says_that_it_is_not_styled_only_if_it_could_be():
    assert styling.from_part(text("2 * 3")) == styling.Body("2 * 3")
    assert styling.from_part(text("*not* bold")) == styling.Body("*not* bold", unstyled=True)
    assert styling.from_part(text("> no quote")) == styling.Body("> no quote", unstyled=True)
    assert styling.from_part(text("**bold**", MARKDOWN)) == styling.Body("*bold*")


def test_a_body_is_formatted_only_if_it_is_styled():
    assert styling.to_part("*a*") == text("**a**", MARKDOWN)
    assert styling.to_part("*a*", unstyled=True) == text("*a*")
    assert styling.to_part("a\n\n\nb ") == text("a\n\n\nb ")
    assert styling.to_part(f"{JOINER}*a*") == text("*a*")


def test_mentions_go_where_the_network_says():
    mention = text("[Romeo](mimi://e.org/u/r)!", MARKDOWN)
    assert styling.from_part(mention) == styling.Body("Romeo!")
    xmpp = styling.from_part(mention, link=lambda url: url.replace("mimi://e.org/u/", "xmpp:") + "@e.org")
    assert xmpp == styling.Body("Romeo (xmpp:r@e.org)!")
    assert whatsapp.from_part(mention, link=lambda _: "") == "Romeo!"
    pill = matrix.from_part(mention, link=lambda _: "https://matrix.to/#/@r:e.org")
    assert pill.html == '<a href="https://matrix.to/#/@r:e.org">Romeo</a>!'
    back = matrix.to_part("x", pill.html, link=lambda _: "mimi://e.org/u/r")
    assert back == text("[Romeo](mimi://e.org/u/r)\\!", MARKDOWN)


# --- WhatsApp ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "markdown"),
    [
        ("*b* _i_ ~s~ `c` ```m```", "**b** _i_ ~~s~~ `c` `m`"),
        ("(*b*), snake_case_name", "(**b**), snake\\_case\\_name"),
        ("*b*x", "\\*b\\*x"),
        ("- a\n- b\n  more\n\nc", "- a\n- b\\\n  more\n\nc"),
        ("* a", "- a"),
        ("1. a\n2. b\n5. c", "1. a\n2. b\n\n5) c"),
        ("> q\n>no", "> q\n\n\\>no"),
        ("```a\nb```", "```\na\nb\n```"),
        ("```\na\n```", "```\na\n```"),
        ("```a\nb", "\\`\\`\\`a\\\nb"),
        ("```a``` b", "`a` b"),
        ("- ", "\\-"),
        (f"{JOINER}- a", "\\- a"),
    ],
)
def test_marked_text_means_what_whatsapp_shows(body, markdown):
    assert whatsapp.to_markdown(body) == markdown


@pytest.mark.parametrize(
    ("markdown", "body"),
    [
        ("**b** _i_ ~~s~~ `c`", "*b* _i_ ~s~ `c`"),
        ("- a\n- b\n\n  c\n  - d", "- a\n- b\n  c\n  • d"),
        ("3. a\n4. b", "3. a\n4. b"),
        ("> q", "> q"),
        ("```\na\nb\n```", "```a\nb```"),
        ("```\n`\n```", "```\n`\n```"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n1 | 2"),
        ("---", "———"),
        ("\\- a", f"{JOINER}- a"),
    ],
)
def test_text_is_marked_as_far_as_whatsapp_goes(markdown, body):
    assert whatsapp.from_markdown(markdown) == body


def test_an_xmpp_users_asterisk_stays_one_on_whatsapp():
    said = styling.to_part("5 *5 and 6* 6, not *bold")
    shown = whatsapp.from_part(said)
    assert shown == f"5 *5 and 6* 6, not {JOINER}*bold"
    literal = styling.to_part("*literal*", unstyled=True)
    assert whatsapp.from_part(literal) == f"{JOINER}*literal*"
    assert whatsapp.to_part(f"{JOINER}*literal*") == text("*literal*")
    assert styling.from_part(whatsapp.to_part(f"{JOINER}*literal*")) == styling.Body("*literal*", unstyled=True)


def test_bold_goes_round_all_networks():
    said = whatsapp.to_part("*bold* and _more_")
    assert styling.from_part(said).text == "*bold* and _more_"
    shown = matrix.from_part(styling.to_part(styling.from_part(said).text))
    assert shown == matrix.Body("bold and more", "<strong>bold</strong> and <em>more</em>")
    assert matrix.to_part(shown.text, shown.html) == said


# --- Matrix -----------------------------------------------------------------------------------------------------------


def test_a_formatted_body_wins_over_the_plain_one():
    assert matrix.to_part("a") == text("a")
    assert matrix.to_part("a", "<p>b</p>") == text("b")
    assert matrix.to_part("a", "<b>b</b>") == text("**b**", MARKDOWN)
    assert matrix.from_part(text("*a*")) == matrix.Body("*a*")
    assert matrix.from_part(SinglePart(HTML, b"<b>a</b>")) == matrix.Body("a", "<strong>a</strong>")
    assert matrix.to_markdown("<ul><li>a</li></ul>") == "- a"
    assert matrix.from_markdown("- [x] a") == "<ul><li>☑ a</li></ul>"


def test_a_reply_fallback_is_not_part_of_what_was_said():
    fallback = "<mx-reply><blockquote><a href='https://matrix.to/#/x'>In reply to</a> old</blockquote></mx-reply>new"
    assert matrix.to_part("> old\n\nnew", fallback) == text("new")


# --- XHTML-IM ---------------------------------------------------------------------------------------------------------


def test_xhtml_im_has_only_the_elements_that_its_xep_recommends():
    written = xhtml_im.from_markdown(
        "# T\n\n**a** ~~b~~ `c` <d>\\\n[e](https://e.org?a&b)\n\n```\nf\n```\n\n- [ ] g\n\n> h\n\n---"
    )
    root = ET.fromstring(f"<body>{written}</body>")
    assert {element.tag for element in root.iter()} <= {
        "body",
        "p",
        "br",
        "strong",
        "em",
        "span",
        "a",
        "ul",
        "ol",
        "li",
        "blockquote",
    }
    assert root.findall(".//span")[0].get("style") == "text-decoration: line-through"


def test_xhtml_im_is_understood():
    assert xhtml_im.to_markdown("<p style='x'>a <em>b</em></p>") == "a _b_"
    styled = "<span style='font-style: italic; text-decoration: line-through'>a</span>"
    assert xhtml_im.to_part(styled) == text("_~~a~~_", MARKDOWN)
    assert xhtml_im.to_part("<p>a</p>") == text("a")
    assert xhtml_im.from_markdown("`a`") == '<span style="font-family: monospace">a</span>'
