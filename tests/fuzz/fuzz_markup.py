"""Any text is some tree in every mark-up, and its Markdown says the same.

``python -m tests.fuzz.fuzz_markup [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import sys

from adapters.business import marks as whatsapp
from adapters.matrix import html as matrix
from adapters.xmpp import styling, xhtml_im
from protocol.richtext import html, markdown, marks
from protocol.richtext.tree import normalise, plain


def one_input(data: bytes) -> None:
    """Read ``data`` as every mark-up; write what was read in all of them."""
    text = data.decode(errors="replace")
    for grammar in (styling.GRAMMAR, whatsapp.GRAMMAR):
        assert marks.read(marks.escape(text, grammar), grammar) == plain(text)
    for tree in (
        markdown.read(text),
        html.read(text),
        marks.read(text, styling.GRAMMAR),
        marks.read(text, whatsapp.GRAMMAR),
    ):
        assert normalise(tree) == tree
        assert markdown.read(markdown.write(tree)) == tree
        for dialect in (matrix.DIALECT, xhtml_im.DIALECT):
            once = html.read(html.write(tree, dialect))
            assert html.read(html.write(once, dialect)) == once
        for grammar in (styling.GRAMMAR, whatsapp.GRAMMAR):
            again = marks.read(marks.write(tree, grammar), grammar)
            assert marks.read(marks.write(again, grammar), grammar) == again


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
