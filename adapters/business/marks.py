"""The marks that WhatsApp reads in text, and what was said: ``*b* _i_ ~s~``, code in backticks, quotes and lists.

The vendor publishes no grammar. This one takes the strict side of what its clients do: a mark opens after a blank or
punctuation and before something that is no blank, and closes the other way round. There is no escape; a WORD JOINER
before a character keeps it literal here (``protocol.richtext.marks``), and is seen by nobody.
"""

from __future__ import annotations

import re
from typing import Final

from protocol.capabilities import Format
from protocol.content import SinglePart
from protocol.richtext import markdown, marks, parts
from protocol.richtext.marks import Grammar
from protocol.richtext.reduction import Relink, relink

GRAMMAR: Final = Grammar(
    marks={"```": Format.CODE, "*": Format.BOLD, "_": Format.ITALIC, "~": Format.STRIKE, "`": Format.CODE},
    opens=lambda before, after: not before.isalnum() and bool(after) and not after.isspace(),
    closes=lambda before, after: not before.isspace() and not after.isalnum(),
    quote=re.compile(r"> "),
    lists=True,
    inline_fences=True,
)

FORMATTING: Final = GRAMMAR.kinds
"""What the marks can show."""


def to_markdown(body: str) -> str:
    """Return what a marked text says, in Markdown."""
    return markdown.write(marks.read(body, GRAMMAR))


def from_markdown(text: str) -> str:
    """Return Markdown as marked text."""
    return marks.write(markdown.read(text), GRAMMAR)


def to_part(body: str) -> SinglePart:
    """Return the part that a marked text stands for: plain text, unless it has marks."""
    return parts.marked(body, GRAMMAR)


def from_part(part: SinglePart, *, link: Relink | None = None) -> str:
    """Return the text that shows a part of text; ``link`` maps the target of each link, mentions above all."""
    tree = parts.read(part)
    if tree is None:
        return marks.escape(part.text, GRAMMAR)
    return marks.write(relink(tree, link) if link else tree, GRAMMAR)
