"""Text parts of a message and their trees."""

from __future__ import annotations

from typing import Final

from protocol.content import MARKDOWN, TEXT_PLAIN, SinglePart
from protocol.content import text as text_part
from protocol.richtext import html, markdown, marks
from protocol.richtext.marks import Grammar
from protocol.richtext.reduction import formats, text_of
from protocol.richtext.tree import Tree

MAX_MARKDOWN: Final = 32_768
"""How many characters of Markdown are read for their formatting. People and their software write less; brackets without
end cost some 40 microseconds each, and nobody shall hold up everybody's messages for half a minute."""


def plain(text: str) -> SinglePart:
    """Return a part of plain text."""
    return text_part(text, TEXT_PLAIN)


def formatted(tree: Tree) -> SinglePart:
    """Return ``tree`` as Markdown, or as plain text if it has no formatting at all."""
    return text_part(markdown.write(tree), MARKDOWN) if formats(tree) else plain(text_of(tree))


def marked(text: str, grammar: Grammar) -> SinglePart:
    """Return text with marks as Markdown, or as it is if there are none."""
    tree = marks.read(text, grammar)
    return formatted(tree) if formats(tree) or marks.JOINER in text else plain(text)


def media_type(part: SinglePart) -> str:
    """Return the part's media type without parameters, in lower case."""
    return part.content_type.partition(";")[0].strip().lower()


def is_text(part: SinglePart) -> bool:
    """Whether a person can read the part as it is: any kind of ``text/``."""
    return media_type(part).startswith("text/")


def read(part: SinglePart) -> Tree | None:
    """Return the tree of Markdown or HTML, and None for what is shown as it is: other text, ``overlong`` Markdown."""
    match media_type(part):
        case "text/markdown":
            return None if overlong(part) else markdown.read(part.text)
        case "text/html":
            return html.read(part.text)
        case _:
            return None


def overlong(part: SinglePart) -> bool:
    """Whether the part is Markdown of more than ``MAX_MARKDOWN`` characters, which is shown as it was written."""
    return media_type(part) == "text/markdown" and len(part.text) > MAX_MARKDOWN
