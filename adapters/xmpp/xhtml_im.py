"""XHTML-IM (XEP-0071) and what was said.

Deprecated, and still what some clients send. ``from_markdown`` gives the inside of the XHTML ``<body/>``: well-formed,
only with the elements that XEP-0071 §7 recommends. It may be parsed as XML under that element.
"""

from __future__ import annotations

from typing import Final

from protocol.capabilities import Format
from protocol.content import SinglePart
from protocol.richtext import html, markdown, parts
from protocol.richtext.html import Dialect

NAMESPACE: Final = "http://jabber.org/protocol/xhtml-im"
BODY_NAMESPACE: Final = "http://www.w3.org/1999/xhtml"

DIALECT: Final = Dialect(
    kinds=frozenset(
        {
            Format.BOLD,
            Format.ITALIC,
            Format.STRIKE,
            Format.CODE,
            Format.LINK,
            Format.QUOTE,
            Format.BULLETS,
            Format.NUMBERS,
        }
    ),
    marks={
        Format.BOLD: ("<strong>", "</strong>"),
        Format.ITALIC: ("<em>", "</em>"),
        Format.STRIKE: ('<span style="text-decoration: line-through">', "</span>"),
        Format.CODE: ('<span style="font-family: monospace">', "</span>"),
    },
)


def to_markdown(body: str) -> str:
    """Return what the inside of an XHTML ``<body/>`` says, in Markdown."""
    return markdown.write(html.read(body))


def from_markdown(text: str) -> str:
    """Return Markdown as the inside of an XHTML ``<body/>``."""
    return html.write(markdown.read(text), DIALECT)


def to_part(body: str) -> SinglePart:
    """Return the part that the inside of an XHTML ``<body/>`` stands for."""
    return parts.formatted(html.read(body))
