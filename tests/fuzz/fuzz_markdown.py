"""Any text is some tree in Markdown, and every other mark-up says the same.

``python -m tests.fuzz.fuzz_markdown [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol.richtext import markdown
from tests.fuzz.harness import fuzz
from tests.fuzz.markup import PACKAGES, judge


def one_input(data: bytes) -> None:
    """Read ``data`` as Markdown."""
    judge(markdown.read(data.decode(errors="replace")))


SEEDS = (
    "# Verona\n\n**bold** _italic_ ~~struck~~ `code` [a link](https://e.example 'title') ![image](https://e.example)",
    "> quoted\n> > twice\n\n- one\n- two\n  1. deeper\n\n* [x] done\n* [ ] to do\n\n3) three\n4) four",
    "| a | b |\n|---|:-:|\n| `x\\|y` | **z** |\n\n---\n\n```python\nprint(1)\n```\n\n    indented",
    "hard  \nbreak\\\nand &amp; &#33; \\* <https://e.example> <b>no</b> [ref]\n\n[ref]: mailto:a@e.example",
    "@[Romeo](mimi://e.example/u/matrix~romeo) a*b*c __d__ ***e*** ~f~ \u2060*g*",
)
INLINE = "** __ ~~ ` ](https://a) ](<javascript:a>) &#42; &nbsp; <https://a> \u2060"
BLOCKS = "> |- |1. |10) |# |---\n|===\n|- [x] |```|~~~|[a]: https://b"
WORDS = (*INLINE.split(), *(f"\n{start}" for start in BLOCKS.split("|")), "| a |\n|-|\n", "\\\n", "  \n", "\t")


def seeds() -> Iterator[bytes]:
    """Everything that Markdown can say."""
    yield from map(str.encode, SEEDS)


if __name__ == "__main__":
    fuzz(one_input, *PACKAGES, "markdown_it", seeds=seeds(), words=map(str.encode, WORDS))
