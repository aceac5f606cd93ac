"""Long text, in pieces as a reader would cut it."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Level, Unit
from protocol.content import MARKDOWN, text
from protocol.degrade import Loss, Refusal
from protocol.degrade.splitting import excerpt, shorten, split
from tests.unit.protocol.degrade.scene import ID, KNOWN, RICH, content, with_limit, words


def test_long_text_is_cut_between_words():
    plan = degrade.plan(content(text("one two three"), in_reply_to=ID, replaces=ID), with_limit(7, RICH), context=KNOWN)
    assert words(plan) == ["one two", "three"]
    assert [message.keeps_in_reply_to for message in plan.messages] == [True, False]
    assert [message.keeps_replaces for message in plan.messages] == [True, False]
    assert plan.losses == (Loss("text", Level.PARTIAL, "it is sent in 2 messages"),)


def test_long_formatted_text_is_cut_between_blocks():
    plan = degrade.plan(content(text("**one**\n\n**two**\n\n**a b c d e f**\n\n_x_", MARKDOWN)), with_limit(16, RICH))
    assert words(plan) == ["**one**\n\n**two**", "**a b c d e f**", "_x_"]
    tight = degrade.plan(content(text("**a b c d e f**", MARKDOWN)), with_limit(5, RICH))
    assert words(tight) == ["a b c", "d e f"]


def test_a_flood_is_refused():
    assert degrade.plan(content(text("ab " * 200)), with_limit(2)).refused == Refusal(
        "too-large", "it would take more than 64 messages"
    )
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
        ("abcdefgh", 3, Unit.CODE_POINTS, ["abc", "def", "gh"]),
        ("a👩‍👧b", 4, Unit.CODE_POINTS, ["a👩‍👧", "b"]),
        ("ab👩‍👧", 4, Unit.CODE_POINTS, ["ab", "👩‍👧"]),
        ("👩‍👧", 2, Unit.CODE_POINTS, ["👩\u200d", "👧"]),
        ("éé", 3, Unit.UTF8, ["é", "é"]),
        ("é", 1, Unit.UTF8, ["?"]),
        ("   a", 2, Unit.CODE_POINTS, ["a"]),
        ("", 1, Unit.UTF8, []),
    ],
)
def test_text_is_cut_where_a_reader_would_cut_it(said, limit, unit, pieces):
    assert list(split(said, limit, unit)) == pieces


def test_an_excerpt_is_one_short_line():
    assert excerpt("a\n b" + "c" * 100, 5) == "a bc…"
    assert shorten("abc", 3) == "abc"
    assert shorten("abc", 0) == ""
    assert shorten("abc", None) == "abc"
