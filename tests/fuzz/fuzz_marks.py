"""Any text is some tree in XMPP's and in WhatsApp's marks, and plain text stays plain everywhere.

``python -m tests.fuzz.fuzz_marks [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapters.business import marks as whatsapp
from adapters.xmpp import styling
from protocol.content import SinglePart
from protocol.richtext import marks
from protocol.richtext.marks import Grammar
from protocol.richtext.reduction import formats
from protocol.richtext.tree import plain
from tests.fuzz.harness import fuzz
from tests.fuzz.markup import PACKAGES, judge, literal, meaning


def one_input(data: bytes) -> None:
    """Read ``data`` with one kind of marks, or take it for plain text; its length chooses."""
    text = data.decode(errors="replace")
    match len(data) % 3:
        case 0:
            literal(text)
        case 1:
            _marked(text, styling.to_part(text), styling.GRAMMAR)
        case _:
            _marked(text, whatsapp.to_part(text), whatsapp.GRAMMAR)


def _marked(text: str, part: SinglePart, grammar: Grammar) -> None:
    tree = marks.read(text, grammar)
    judge(tree)
    assert meaning(part) == (tree if formats(tree) or marks.JOINER in text else plain(text))


SEEDS = (
    "*bold* _italic_ ~struck~ `code` ```more``` *_both_* a*b*c",
    "> quoted\n>> twice\n> - one\n```python\nprint(1)\n```\nx",
    "- one\n- two\n  more\n1. first\n2. second\n* star",
    "\u2060*literal\u2060* \u2060> not quoted\n\u2060```\n`` `` ** __ *a *b*",
    "(*bold*), _italic_! https://e.example/a_b_c ```\na\u2060```b\n```",
)
MARKS = "* _ ~ ` ``` ** __ `a` \u2060"
WORDS = (*MARKS.split(), "```\n", "\n```", "\n> ", "\n- ", "\n1. ", "  ", " *", "* ", " _", "_ ", "\r", "\n")


def seeds() -> Iterator[bytes]:
    """What people write."""
    yield from map(str.encode, SEEDS)


if __name__ == "__main__":
    fuzz(one_input, *PACKAGES, seeds=seeds(), words=map(str.encode, WORDS))
