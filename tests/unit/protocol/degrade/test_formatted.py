"""Long formatted text: every piece is formatted like the whole, and together they say all of it."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Level, Unit
from protocol.content import MARKDOWN, Semantics, text
from protocol.degrade import Loss
from protocol.degrade.formatted import pieces
from protocol.richtext import markdown
from tests.unit.protocol.degrade.scene import CAT, RICH, content, parts, several, with_limit


def cut(said, limit, unit=Unit.CODE_POINTS):
    """The pieces in Markdown; words without formatting in brackets."""
    found = pieces(markdown.read(said), limit, unit)
    return [f"[{piece}]" if isinstance(piece, str) else markdown.write(piece) for piece in found]


@pytest.mark.parametrize(
    ("said", "limit", "found"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("# one two", 6, ["# one", "# two"]),
        ("a **b c** d", 7, ["a **b**", "**c** d"]),
        ("[a b](https://e.org)", 18, ["[a](https://e.org)", "[b](https://e.org)"]),
        ("```py\na\n  b\nc\n```", 15, ["```py\na\n  b\n```", "```py\nc\n```"]),
        ("```\naaaaaaaaaaaaaaaaaaaa\nb\n```", 28, ["```\naaaaaaaaaaaaaaaaaaaa\n```", "```\nb\n```"]),
        ("```\n  aaaa bbbb\n```", 15, ["```\n  aaaa \n```", "```\nbbbb\n```"]),
        ("**a** b _c_ d", 9, ["**a** b", "_c_ d"]),
        ("- a\n- b", 6, ["- a", "- b"]),
        ("- a\n- b\n- c", 7, ["- a\n- b", "- c"]),
        ("- a\n- b\n- c", 10, ["- a\n- b", "- c"]),
        ("- a\n- b\n- c\n- d", 11, ["- a\n- b\n- c", "- d"]),
        ("100. ab\n101. c", 9, ["100. ab", "101. c"]),
        ("- [x] a b\n- [ ] c", 7, ["- [x] a", "b", "- [ ] c"]),
        ("8. a\n9. b\n10. c", 9, ["8. a\n9. b", "10. c"]),
        ("- [x] a\n- [ ] b", 7, ["- [x] a", "- [ ] b"]),
        ("> a\n>\n> b\n>\n> c", 9, ["> a\n>\n> b", "> c"]),
        ("> > a b\n> >\n> > c", 7, ["> > a b", "> > c"]),
        ("> - a\n> - b", 5, ["> - a", "> - b"]),
        ("3. a b\n4. c", 4, ["3. a", "b", "4. c"]),
        ("- a\n  - b\n  - c", 5, ["- a", "- b", "- c"]),
        ("a\n\n- b\n- c\n\nd", 9, ["a", "- b\n- c", "d"]),
        ("| a | b |\n|---|---|\n| c | d |", 9, ["a \\| b", "c \\| d"]),
        ("a\n\n| b |\n| --- |\n| c |", 19, ["a", "| b |\n| --- |\n| c |"]),
        ("___", 2, ["——", "—"]),
        ("\\*", 1, ["[*]"]),
        ("> \\*\n> ab", 3, ["[*]", "[ab]"]),
        ("- \\*\n", 3, ["[*]"]),
        ("a\n\n\\*\n\nb", 1, ["a", "[*]", "b"]),
    ],
)
def test_a_block_is_cut_where_a_reader_would_cut_it(said, limit, found):
    assert cut(said, limit) == found


def test_a_character_that_the_network_cannot_hold_is_a_question_mark():
    assert cut("é", 1, Unit.UTF8) == ["[?]"]


def test_a_link_that_is_longer_than_the_limit_leaves_its_words():
    assert cut("[a b](https://e.org/very/long)", 12) == ["[a b]"]


def test_escapes_count():
    assert cut("\\* " * 8, 12) == ["\\* \\* \\* \\*", "\\* \\* \\* \\*"]


def test_the_pieces_of_a_plan_are_formatted_and_what_wears_off_is_said():
    code = degrade.plan(content(text("```py\na\nb\n```", MARKDOWN)), with_limit(12, RICH))
    assert parts(code) == [text("```py\na\n```", MARKDOWN), text("```py\nb\n```", MARKDOWN)]
    assert code.losses == (Loss("text", Level.PARTIAL, "it is sent in 2 messages"),)
    bold = degrade.plan(content(text("**abc**", MARKDOWN)), with_limit(2, RICH))
    assert parts(bold) == [text("ab"), text("c")]
    assert bold.losses == (
        Loss("text", Level.PARTIAL, "it is sent in 2 messages"),
        Loss("bold", Level.UNSUPPORTED, "bold sent as plain words, which had to be cut"),
    )


def test_a_table_that_was_cut_is_no_table_even_if_its_cells_keep_their_marks():
    plan = degrade.plan(content(text("| **a** |\n|---|\n| **b** |", MARKDOWN)), with_limit(6, RICH))
    assert parts(plan) == [text("**a**", MARKDOWN), text("**b**", MARKDOWN)]
    assert [loss.what for loss in plan.losses] == ["text", "table"]


def test_what_wears_off_is_said_of_a_caption_too():
    table = text("| a |\n|---|\n| b |", MARKDOWN)
    said = several(CAT, table, semantics=Semantics.SINGLE_UNIT)
    plan = degrade.plan(content(said), with_limit(2, RICH))
    assert parts(plan) == [CAT, text("a"), text("b")]
    assert [loss.what for loss in plan.losses] == ["text", "table"]


def test_ten_thousand_short_blocks_take_no_longer_than_their_length(monkeypatch):
    """Each block is written a few times, not once for each block before it."""
    written = []
    write = markdown.write
    monkeypatch.setattr(markdown, "write", lambda tree: written.append(len(tree)) or write(tree))
    assert len(list(pieces(markdown.read("# a\n" * 2000), 16_000, Unit.UTF8))) == 1
    assert sum(written) < 10_000
