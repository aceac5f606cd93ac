"""An answer in words, and the option that it means."""

from __future__ import annotations

import pytest

from protocol import commerce, degrade
from protocol.commerce import Option, QuickReplies
from tests.unit.protocol.degrade.scene import COLOURS


@pytest.mark.parametrize(
    "answer",
    [
        "2",
        " 2. ",
        "(2)",
        "#2",
        "2️⃣",
        "\uff12",
        "\uff08\uff12\uff09",
        "②",
        "⑵",
        "⒉",
        "\u0662",
        "blue",
        " BLUE ",
        "B",
        "\uff22\uff4c\uff55\uff45",
    ],
)
def test_an_answer_may_be_a_number_a_title_or_an_id(answer):
    assert degrade.match_option(answer, COLOURS).id == "B"


@pytest.mark.parametrize("answer", ["", "0", "4", "22", "2 please", "-", "blu", "²"])
def test_anything_else_is_no_answer(answer):
    assert degrade.match_option(answer, COLOURS) is None


def test_a_title_of_several_words_is_found_whatever_stands_between_them():
    cities = QuickReplies(body="Where?", options=(Option(id="ny", title="New  York", description="the city"),))
    assert degrade.match_option("new\tYORK", cities) == commerce.Choice(
        id="ny", title="New  York", description="the city"
    )


def test_the_number_that_was_shown_wins_over_an_id_that_was_not():
    counted = QuickReplies(body="x", options=tuple(Option(id=str(n), title=f"Row {n}") for n in (0, 1, 2)))
    assert [degrade.match_option(said, counted).id for said in ("1", "2", "3")] == ["0", "1", "2"]
    assert degrade.match_option("0", counted) is None
    assert degrade.match_option("row 0", counted).id == "0"


def test_a_title_wins_over_an_id():
    crossed = QuickReplies(body="x", options=(Option(id="blue", title="Red"), Option(id="red", title="Blue")))
    assert degrade.match_option("red", crossed).id == "blue"


def test_a_title_wins_over_the_numbering_and_a_shared_one_means_neither():
    odd = QuickReplies(body="x", options=(Option(id="a", title="2"), Option(id="b", title="1")))
    assert degrade.match_option("2", odd).id == "a"
    twins = QuickReplies(body="x", options=(Option(id="a", title="Yes"), Option(id="b", title="yes")))
    assert degrade.match_option("yes", twins) is None
    assert degrade.match_option("2", twins).id == "b"
    assert degrade.match_option("1", commerce.LocationRequest(body="Where?")) is None
