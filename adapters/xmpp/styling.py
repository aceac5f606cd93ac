"""XEP-0393 (Message Styling) and what was said.

``to_part`` reads the ``<body/>`` of a message; ``from_part`` writes one. Its ``unstyled`` says that the message must
carry ``<unstyled xmlns='urn:xmpp:styling:0'/>``: text without formatting in which a client would otherwise see some
travels exactly as it was written. Where text has formatting, a WORD JOINER keeps literal characters literal
(``protocol.richtext.marks``).
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from protocol.capabilities import Format
from protocol.content import SinglePart
from protocol.richtext import markdown, marks, parts
from protocol.richtext.marks import Grammar
from protocol.richtext.reduction import Relink, relink

UNSTYLED_NAMESPACE: Final = "urn:xmpp:styling:0"

GRAMMAR: Final = Grammar(
    marks={"*": Format.BOLD, "_": Format.ITALIC, "~": Format.STRIKE, "`": Format.CODE},
    opens=lambda before, after: (not before or before.isspace()) and bool(after) and not after.isspace(),
    closes=lambda before, _after: not before.isspace(),
    quote=re.compile(r">[ \t]?"),
    lists=False,
    inline_fences=False,
)

FORMATTING: Final = GRAMMAR.kinds
"""What styling can show."""


class Body(Struct, frozen=True):
    """The text of a ``<body/>``, and whether the message must say that it is not styled."""

    text: str
    unstyled: bool = False


def to_markdown(body: str) -> str:
    """Return what a styled body says, in Markdown."""
    return markdown.write(marks.read(body, GRAMMAR))


def from_markdown(text: str) -> str:
    """Return Markdown as a styled body."""
    return marks.write(markdown.read(text), GRAMMAR)


def to_part(body: str, *, unstyled: bool = False) -> SinglePart:
    """Return the part that a body stands for; plain text, unless it is styled."""
    return parts.plain(body) if unstyled else parts.marked(body, GRAMMAR)


def from_part(part: SinglePart, *, link: Relink | None = None) -> Body:
    """Return the body that shows a part of text; ``link`` maps the target of each link, mentions above all."""
    tree = parts.read(part)
    if tree is None:
        text = part.text
        return Body(text, unstyled=marks.escape(text, GRAMMAR) != text)
    return Body(marks.write(relink(tree, link) if link else tree, GRAMMAR))
