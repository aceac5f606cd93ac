"""What a plan says of the part that was put into words and waits for an answer in words."""

from __future__ import annotations

from protocol import commerce, degrade
from protocol.capabilities import Capabilities, FileRule, Level, Limits, Way
from protocol.content import ExternalPart, MultiPart, Semantics, text
from tests.unit.protocol.degrade.scene import BARE, COLOURS, LISTED, content, network

WHERE = commerce.LocationRequest(body="Where are you?")
PICTURE = ExternalPart("image/png", "https://rialto.example/1", 0, 1, 1)


def offers(part, capabilities: Capabilities = BARE):
    return degrade.plan(content(part), capabilities).offers


def test_options_in_words_are_offered():
    assert offers(commerce.message(COLOURS)) == COLOURS
    assert offers(commerce.single(LISTED)) == LISTED


def test_buttons_that_can_be_pressed_are_not():
    assert offers(commerce.message(COLOURS), network(quick_replies=Level.FULL)) is None


def test_a_request_for_a_location_is_offered_even_in_the_senders_own_words():
    assert offers(commerce.message(WHERE, "Where art thou?")) == WHERE
    assert offers(commerce.single(WHERE)) == WHERE


def test_what_cannot_be_answered_is_not_offered():
    assert offers(text("Which?")) is None
    assert offers(commerce.message(commerce.LinkButton(body="See", title="Open", url="https://example.org"))) is None


def test_a_picture_above_the_question_takes_nothing_away():
    asked = MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(PICTURE, commerce.message(COLOURS)))
    for caption in (Level.UNSUPPORTED, Level.FULL):
        way = Way(files={"*/*": FileRule(caption=caption)})
        assert offers(asked, Capabilities(send=way)) == COLOURS


def test_two_questions_at_once_leave_open_which_one_a_number_answers():
    asked = MultiPart(semantics=Semantics.PROCESS_ALL, parts=(commerce.message(COLOURS), commerce.message(LISTED)))
    assert offers(asked) is None


def test_a_message_that_is_not_sent_offers_nothing():
    plan = degrade.plan(content(commerce.message(COLOURS)), Capabilities(limits=Limits(text=0)))
    assert plan.refused is not None
    assert plan.offers is None
