"""The HTML of ``m.room.message`` and what was said (Client-Server API, "m.room.message msgtypes").

``to_part`` reads a message's ``body`` and ``formatted_body``; ``from_part`` gives both. Reply fallbacks
(``<mx-reply>``) are left out on the way in. A mention is a link to ``https://matrix.to/``; who that is, the adapter
says with ``link`` (see ``protocol.richtext.reduction.relink``).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from protocol.capabilities import Format
from protocol.content import SinglePart
from protocol.richtext import html, markdown, parts
from protocol.richtext.html import Dialect
from protocol.richtext.reduction import Relink, relink, text_of

FORMAT: Final = "org.matrix.custom.html"

DIALECT: Final = Dialect(
    kinds=frozenset(Format) - {Format.TASKS},
    marks={
        Format.BOLD: ("<strong>", "</strong>"),
        Format.ITALIC: ("<em>", "</em>"),
        Format.STRIKE: ("<del>", "</del>"),
        Format.CODE: ("<code>", "</code>"),
    },
)

FORMATTING: Final = DIALECT.kinds
"""What Matrix HTML can show."""


class Body(Struct, frozen=True):
    """A message's ``body`` and, if it is formatted, its ``formatted_body``."""

    text: str
    html: str | None = None


def to_markdown(formatted_body: str) -> str:
    """Return what a ``formatted_body`` says, in Markdown."""
    return markdown.write(html.read(formatted_body))


def from_markdown(text: str) -> str:
    """Return Markdown as a ``formatted_body``."""
    return html.write(markdown.read(text), DIALECT)


def to_part(body: str, formatted_body: str | None = None, *, link: Relink | None = None) -> SinglePart:
    """Return the part that a message stands for: plain text, unless it is formatted."""
    if formatted_body is None:
        return parts.plain(body)
    tree = html.read(formatted_body)
    return parts.formatted(relink(tree, link) if link else tree)


def from_part(part: SinglePart, *, link: Relink | None = None) -> Body:
    """Return a part of text as Matrix shows it; ``link`` maps the target of each link, mentions above all."""
    tree = parts.read(part)
    if tree is None:
        return Body(part.text)
    linked = relink(tree, link) if link else tree
    return Body(text_of(linked), html.write(linked, DIALECT))
