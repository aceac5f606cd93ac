"""Long text, in pieces as a reader would cut it."""

from __future__ import annotations

import pytest

from protocol import commerce, degrade
from protocol.capabilities import Capabilities, Level, Limits, Unit
from protocol.content import MARKDOWN, Semantics, text
from protocol.degrade import Loss, Refusal
from protocol.degrade.splitting import excerpt, shorten, split
from tests.unit.protocol.degrade.scene import CAT, COLOURS, ID, KNOWN, RICH, content, parts, several, with_limit, words


def test_long_text_is_cut_between_words():
    plan = degrade.plan(content(text("one two three"), in_reply_to=ID, replaces=ID), with_limit(7, RICH), context=KNOWN)
    assert words(plan) == ["one two", "three"]
    assert [message.keeps_in_reply_to for message in plan.messages] == [True, False]
    assert [message.keeps_replaces for message in plan.messages] == [True, False]
    assert plan.losses == (Loss("text", Level.PARTIAL, "it is sent in 2 messages"),)


def test_that_a_text_is_cut_is_not_all_that_is_lost_of_it():
    plan = degrade.plan(content(text("**one** two", MARKDOWN)), with_limit(3))
    assert [loss.what for loss in plan.losses] == ["bold", "text"]


def test_a_text_may_be_sent_letter_by_letter():
    assert words(degrade.plan(content(text("ab")), with_limit(1))) == ["a", "b"]


def test_long_formatted_text_is_cut_between_blocks():
    plan = degrade.plan(content(text("**one**\n\n**two**\n\n**a b c d e f**\n\n_x_", MARKDOWN)), with_limit(16, RICH))
    assert words(plan) == ["**one**\n\n**two**", "**a b c d e f**", "_x_"]
    tight = degrade.plan(content(text("**a b c d e f**", MARKDOWN)), with_limit(7, RICH))
    assert words(tight) == ["**a b**", "**c d**", "**e f**"]


def test_a_block_that_is_too_long_keeps_its_formatting_in_every_piece():
    said = content(text("_x_\n\n**a b c d e f**\n\n**y**", MARKDOWN))
    exactly = degrade.plan(said, with_limit(15, RICH))
    assert parts(exactly) == [text("_x_", MARKDOWN), text("**a b c d e f**", MARKDOWN), text("**y**", MARKDOWN)]
    tight = degrade.plan(said, with_limit(14, RICH))
    assert words(tight) == ["_x_", "**a b c d e**", "**f**\n\n**y**"]
    assert tight.losses == (Loss("text", Level.PARTIAL, "it is sent in 3 messages"),)


def test_what_fits_exactly_is_sent_as_it_was_written():
    said = text("__a__ *b*", MARKDOWN)
    assert parts(degrade.plan(content(said), with_limit(9, RICH))) == [said]
    assert words(degrade.plan(content(said), with_limit(8, RICH))) == ["**a**", "_b_"]


def test_a_flood_is_refused():
    assert len(degrade.plan(content(text("ab " * 64)), with_limit(2)).messages) == 64
    flood = degrade.plan(content(text("ab " * 65), in_reply_to=ID), with_limit(2, RICH), context=KNOWN)
    assert flood == degrade.Plan(refused=Refusal("too-large", "it would take more than 64 messages"))


def test_where_no_text_goes_files_and_buttons_still_go():
    silent = Capabilities(send=RICH.send, limits=Limits(text=0))
    assert parts(degrade.plan(content(CAT), silent)) == [CAT]
    assert parts(degrade.plan(content(commerce.message(COLOURS)), silent)) == [commerce.single(COLOURS)]
    nonsense = Capabilities(send=RICH.send, limits=Limits(text=-1))
    assert parts(degrade.plan(content(CAT), nonsense)) == [CAT]
    captioned = several(CAT, text("My cat"), semantics=Semantics.SINGLE_UNIT)
    assert degrade.plan(content(captioned), silent).refused.reason == "too-large"
    assert degrade.plan(content(text("ab")), with_limit(0)).refused == Refusal(
        "too-large", "the network takes no text at all"
    )


@pytest.mark.parametrize(
    ("said", "limit", "unit", "pieces"),
    [
        ("a b", None, Unit.UTF8, ["a b"]),
        ("one\n\ntwo three", 10, Unit.CODE_POINTS, ["one\n\ntwo", "three"]),
        ("12345\n\n89 1", 9, Unit.CODE_POINTS, ["12345", "89 1"]),
        ("12345\n789 1", 9, Unit.CODE_POINTS, ["12345", "789 1"]),
        ("12345\n789 1\nx", 9, Unit.CODE_POINTS, ["12345", "789 1\nx"]),
        ("one two three", 6, Unit.CODE_POINTS, ["one", "two", "three"]),
        ("ab cdefghij", 7, Unit.CODE_POINTS, ["ab cdef", "ghij"]),
        ("abcdefgh", 3, Unit.CODE_POINTS, ["abc", "def", "gh"]),
        ("\n\n  a\n b\n", 6, Unit.CODE_POINTS, ["  a\n b"]),
        ("\nX or Y\n", 6, Unit.CODE_POINTS, ["X or Y"]),
        ("abcd", 4, Unit.UTF8, ["abcd"]),
        ("éé", 4, Unit.UTF8, ["éé"]),
        ("xa\u0301\u0301", 3, Unit.CODE_POINTS, ["x", "a\u0301\u0301"]),
        ("a👩‍👧b", 4, Unit.CODE_POINTS, ["a👩‍👧", "b"]),
        ("ab👩‍👧", 4, Unit.CODE_POINTS, ["ab", "👩‍👧"]),
        ("👩‍👧", 2, Unit.CODE_POINTS, ["👩\u200d", "👧"]),
        ("éé", 3, Unit.UTF8, ["é", "é"]),
        ("éab", 1, Unit.UTF8, ["?", "a", "b"]),
        ("   a", 2, Unit.CODE_POINTS, ["a"]),
        ("", 1, Unit.UTF8, []),
        ("", -1, Unit.CODE_POINTS, []),
    ],
)
def test_text_is_cut_where_a_reader_would_cut_it(said, limit, unit, pieces):
    assert list(split(said, limit, unit)) == pieces


def test_an_excerpt_is_one_short_line():
    assert excerpt("a\n b" + "c" * 100, 5) == "a bc…"


def test_an_excerpt_turns_nothing_that_comes_after_it():
    assert excerpt("abc\u202e\u2067def\u200f\u05d0") == "abcdef\u200f\u05d0"


def test_what_is_shortened_ends_in_an_ellipsis_after_a_word_or_a_letter():
    assert shorten("abc", None) == "abc"
    assert shorten("abc", 3) == "abc"
    assert shorten("abc", 2) == "a…"
    assert shorten("ab cd", 4) == "ab…"


@pytest.mark.parametrize(("limit", "unit"), [(0, Unit.CODE_POINTS), (1, Unit.CODE_POINTS), (4, Unit.UTF8)])
def test_an_ellipsis_alone_says_nothing(limit, unit):
    assert shorten("Öffnen", limit, unit) == ""
