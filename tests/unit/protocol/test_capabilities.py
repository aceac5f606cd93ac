"""What a network says of itself, and what is taken for granted when it says nothing."""

from __future__ import annotations

import pytest

from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Unit, Way
from protocol.leg import LegClass


def test_a_network_that_says_nothing_has_plain_text_only():
    bare = Capabilities()
    assert bare.send.text is Level.FULL
    assert all(bare.send.level(feature) is Level.UNSUPPORTED for feature in Feature)
    assert all(bare.send.format(kind) is Level.UNSUPPORTED for kind in Format)
    assert bare.send.file("image/png").level is Level.UNSUPPORTED
    assert not bare.send.formatted
    assert bare.leg is LegClass.OPEN
    assert not (bare.idempotent_send or bare.ordered or bare.history)


def test_one_kind_of_formatting_makes_text_formatted():
    assert Way(formatting={Format.BOLD: Level.PARTIAL}).formatted
    assert not Way(formatting={Format.BOLD: Level.UNSUPPORTED}).formatted


@pytest.mark.parametrize(
    ("mime", "size"),
    [
        ("audio/ogg; codecs=opus", 1),
        ("Audio/OGG", 2),
        ("audio/ogg; codecs=vorbis", 2),
        ("audio/mpeg", 3),
        ("image/png", 4),
        ("", 4),
    ],
)
def test_the_closest_rule_for_a_file_wins(mime, size):
    way = Way(
        files={
            "audio/ogg; codecs=opus": FileRule(max_size=1),
            "audio/ogg": FileRule(max_size=2),
            "audio/*": FileRule(max_size=3),
            "*/*": FileRule(max_size=4),
        }
    )
    assert way.file(mime).max_size == size


def test_each_unit_counts_in_its_own_way():
    text = "é👩"
    assert [unit.length(text) for unit in (Unit.CODE_POINTS, Unit.UTF16, Unit.UTF8)] == [2, 3, 6]
    assert Unit.UTF16.length("\ud800") == 1
    assert Unit.UTF8.length("\ud800") == 3


@pytest.mark.parametrize(
    ("unit", "fits"), [(Unit.CODE_POINTS, [1, 2, 3, 3]), (Unit.UTF16, [1, 1, 2, 3]), (Unit.UTF8, [0, 1, 1, 1])]
)
def test_each_unit_knows_how_much_fits(unit, fits):
    assert [unit.fitting("é👩b", limit) for limit in (1, 2, 3, 4)] == fits
