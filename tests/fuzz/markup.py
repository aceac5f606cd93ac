"""What is true of every text in every mark-up: the judge of the targets for Markdown, HTML and marks.

Whatever a reader made of hostile text is written in every other mark-up and read again. It must say the same, no
character may have gained a mark or a link on the way, and what a browser would be given must be harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import TypeAlias
from xml.etree import ElementTree as ET

from adapters.business import marks as whatsapp
from adapters.matrix import html as matrix
from adapters.xmpp import styling, xhtml_im
from protocol.capabilities import Format
from protocol.content import SinglePart
from protocol.richtext import html, markdown, marks, parts
from protocol.richtext.reduction import formats, reduce, spans_of
from protocol.richtext.tree import LINK_SCHEMES, CodeBlock, Listing, Quote, Tree, normalise, plain

PACKAGES = (
    "protocol.richtext",
    "adapters.business.marks",
    "adapters.matrix.html",
    "adapters.xmpp.styling",
    "adapters.xmpp.xhtml_im",
)
GRAMMARS = (styling.GRAMMAR, whatsapp.GRAMMAR)
DIALECTS = (matrix.DIALECT, xhtml_im.DIALECT)

Shown: TypeAlias = tuple[str, frozenset[Format], str]
"""A character as a reader sees it: itself, its marks, its link."""


def judge(tree: Tree) -> None:
    """Write what was read in every mark-up, and read it again."""
    assert normalise(tree) == tree
    assert markdown.read(markdown.write(tree)) == tree
    for dialect in DIALECTS:
        written = html.write(tree, dialect)
        _harmless(ET.fromstring(f"<body>{written}</body>"))
        once, wanted = html.read(written), reduce(tree, dialect.kinds)
        if once != wanted:
            assert html.read(html.write(once, dialect)) == once
            _nothing_gained(_shown(wanted), _shown(once))
            assert [shown[:2] for shown in _shown(once)] == [shown[:2] for shown in _shown(wanted)]
    for grammar in GRAMMARS:
        once, wanted = marks.read(marks.write(tree, grammar), grammar), reduce(tree, grammar.kinds)
        if once != wanted:
            assert marks.read(marks.write(once, grammar), grammar) == once
            _nothing_gained(_shown(wanted), _shown(once))


def literal(text: str) -> None:
    """Say ``text`` as plain text on every network: it stays plain."""
    tree = plain(text)
    assert markdown.read(markdown.write(tree)) == tree
    for dialect in DIALECTS:
        assert not formats(html.read(html.write(tree, dialect)))
    for grammar in GRAMMARS:
        assert marks.read(marks.escape(text, grammar), grammar) == tree
        assert marks.read(marks.write(tree, grammar), grammar) == tree
    part = parts.plain(text)
    said = styling.from_part(part)
    assert meaning(styling.to_part(said.text, unstyled=said.unstyled)) == tree
    assert meaning(whatsapp.to_part(whatsapp.from_part(part))) == tree
    assert matrix.from_part(part) == matrix.Body(part.text)


def sanitised(written: str) -> None:
    """Look at sanitised HTML as a browser would."""
    browser = _Browser()
    browser.feed(html.sanitise(written))
    browser.close()


def meaning(part: SinglePart) -> Tree:
    """Return the tree that a part of text stands for."""
    tree = parts.read(part)
    return plain(part.text) if tree is None else tree


def _shown(tree: Tree) -> Iterator[Shown]:
    """Every character that can be seen, in order, with the marks and the link that it has."""
    for block in tree:
        match block:
            case CodeBlock(text):
                yield from ((char, frozenset(), "") for char in text if not char.isspace())
            case Quote(inner):
                yield from _shown(inner)
            case Listing(items):
                for item in items:
                    yield from _shown(item.blocks)
            case _:
                for span in spans_of((block,)):
                    yield from ((char, span.marks, span.link) for char in span.text if not char.isspace())


def _nothing_gained(before: Iterable[Shown], after: Iterable[Shown]) -> None:
    """The same characters, none of them with more marks or another link than before.

    Between them may stand the characters that take the place of a structure inside an item of a list.
    """
    rest = iter(after)
    for char, had, link in before:
        same, has, leads = next(rest)
        while same != char:
            assert same in _STRUCTURE
            same, has, leads = next(rest)
        assert has <= had
        assert leads in ("", link)
    assert all(char in _STRUCTURE for char, _, _ in rest)


_STRUCTURE = frozenset("-•☐☑>|—.0123456789")
_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*):")
_ATTRIBUTES = {"a": {"href"}, "code": {"class"}, "ol": {"start"}, "img": {"alt"}, "span": {"style"}}


def _harmless(body: ET.Element) -> None:
    for element in body.iter():
        _checked(element.tag, list(element.attrib.items()))


def _checked(tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
    assert tag not in ("script", "style", "iframe", "object", "svg", "math", "form", "input", "link", "meta", "base")
    for name, value in attributes:
        assert name in _ATTRIBUTES.get(tag, ())
        if name == "href" and value:
            found = _SCHEME.match("".join(value.split()))
            assert not found or found[1].lower() in LINK_SCHEMES
        if name == "style":
            assert value is not None
            assert not {"url", "expression", "\\", "position"} & set(value.replace("(", " ").split())


class _Browser(HTMLParser):
    """Sees elements as a browser does, comments and declarations too."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        _checked(tag, attrs)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")
