"""Formatted text in pieces: each fits and is read back as it was cut, and together they say everything in order."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.capabilities import Format, Unit
from protocol.degrade.formatted import pieces
from protocol.richtext import markdown
from protocol.richtext.reduction import formats
from protocol.richtext.tree import CodeBlock, Heading, Item, Listing, Paragraph, Quote, Rule, Span, normalise
from tests.property.test_richtext import trees

RULE_AND_WORD = (Item((Rule(),)), Item((Paragraph((Span("x"),)),)))


def characters(blocks):
    """Every character that is no blank, with its marks, its link, and whether it is code."""
    for block in blocks:
        match block:
            case Paragraph(spans) | Heading(_, spans):
                yield from ((char, span.marks, span.link) for span in spans for char in span.text if not char.isspace())
            case CodeBlock(text, language):
                yield from ((char, "code", language) for char in text if not char.isspace())
            case Quote(inner) | Item(inner):
                yield from characters(inner)
            case Listing(items):
                yield from characters(items)


@settings(max_examples=300)
@given(trees, st.integers(1, 200), st.sampled_from(Unit))
@example(normalise((Listing(RULE_AND_WORD, 99_999_999),)), 12, Unit.CODE_POINTS)  # the second piece starts higher
@example(normalise((Listing(RULE_AND_WORD, 999_999_999),)), 14, Unit.CODE_POINTS)
def test_every_piece_fits_and_none_says_nothing(tree, limit, unit):
    for piece in pieces(tree, limit, unit):
        written = piece if isinstance(piece, str) else markdown.write(piece)
        assert written.strip()
        assert unit.length(written) <= limit
        assert isinstance(piece, str) or markdown.read(written) == piece


@settings(max_examples=300)
@given(trees, st.integers(60, 200))
def test_the_pieces_say_everything_in_order_with_the_same_marks(tree, limit):
    found = list(pieces(tree, limit, Unit.CODE_POINTS))
    if not formats(tree) & {Format.TABLE, Format.RULE} and not any(isinstance(piece, str) for piece in found):
        assert list(characters(block for piece in found for block in piece)) == list(characters(tree))
