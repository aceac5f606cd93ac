"""What the content draft says of parts: units, reactions that are no emoji, calls to join, parts shown by others."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, Feature, Format, Level, Way
from protocol.content import (
    HTML,
    MARKDOWN,
    Disposition,
    Expiration,
    ExternalPart,
    NullPart,
    Semantics,
    SinglePart,
    reaction,
    text,
)
from protocol.degrade import Context, Loss, Plan, Planned, Refusal
from tests.unit.protocol.degrade.scene import (
    BARE,
    CAT,
    ID,
    KNOWN,
    RICH,
    ROMEO,
    choose,
    content,
    network,
    parts,
    several,
    words,
)

PUZZLE = SinglePart("application/vnd.rialto.unknown+cbor", b"")
BROKEN = SinglePart("application/vnd.rialto.choice+cbor", b"")


def unit(*inner):
    return several(*inner, semantics=Semantics.SINGLE_UNIT)


# --- parts that belong together ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("puzzle", [PUZZLE, BROKEN])
def test_of_parts_that_belong_together_none_is_shown_if_one_is_not_understood(puzzle):
    """Half of it could say the opposite of the whole: the sender is told instead."""
    refused = degrade.plan(content(unit(text("Do not"), puzzle)), RICH).refused
    assert refused.reason == "unsupported"
    assert refused.text.startswith("of parts that belong together one is not understood: a part ")
    assert words(degrade.plan(content(several(text("Do not"), puzzle)), RICH)) == ["Do not"]


def test_another_alternative_takes_the_place_of_a_unit_that_is_not_understood():
    said = choose(unit(text("Do not"), PUZZLE), text("Never mind"))
    plan = degrade.plan(content(said), RICH)
    assert words(plan) == ["Never mind"]
    assert plan.losses[0].text.endswith("is left out: the sender's alternative is sent")


def test_a_unit_may_hold_parts_of_which_not_all_are_understood_if_they_do_not_belong_together():
    assert words(degrade.plan(content(unit(text("a"), several(text("b"), PUZZLE))), RICH)) == ["a", "b"]


def test_a_file_is_understood_even_where_it_cannot_be_sent():
    assert words(degrade.plan(content(unit(text("My cat"), CAT)), BARE)) == [
        "My cat",
        "[cat.png (image/png, 5.1 MB) cannot be shown here]",
    ]


# --- reactions --------------------------------------------------------------------------------------------------------

ROCKET = ExternalPart("image/gif", "https://e.org/rocket.gif", disposition=Disposition.REACTION)


def test_a_picture_that_reacts_is_an_answer_and_said_to_be_one():
    plan = degrade.plan(content(ROCKET, in_reply_to=ID), RICH, context=KNOWN)
    sent = ExternalPart("image/gif", "https://e.org/rocket.gif")
    assert plan.messages == (Planned(part=sent, keeps_in_reply_to=True),)
    assert plan.losses == (Loss("reaction", Level.UNSUPPORTED, "a reaction is sent as a message"),)


def test_the_bytes_of_a_picture_are_never_taken_for_an_emoji():
    png = SinglePart("image/png", b"\x89PNG", disposition=Disposition.REACTION)
    (sent,) = parts(degrade.plan(content(png, in_reply_to=ID), RICH, context=KNOWN))
    assert degrade.inline_bytes(sent) == b"\x89PNG"


@pytest.mark.parametrize("part", [ROCKET, several(text("a"), ROCKET), several(text("a"), reaction("👍"))])
def test_who_takes_no_reactions_takes_none_that_stand_beside_something(part):
    refusing = Capabilities(send=Way(features={Feature.REACTION: Level.REJECTED}))
    assert degrade.plan(content(part), refusing).refused == Refusal("unsupported", "the network refuses reactions")


def test_a_reaction_that_is_not_carried_leaves_what_stands_beside_it():
    plan = degrade.plan(content(several(text("a"), ROCKET)), network(reaction=Level.DROPPED))
    assert words(plan) == ["a"]
    assert plan.losses == (Loss("reaction", Level.DROPPED, "a reaction is not carried"),)


def test_a_reaction_that_says_nothing_is_none():
    plan = degrade.plan(content(several(text("a"), text(" ", disposition=Disposition.REACTION))), RICH)
    assert plan == Plan(messages=(Planned(part=text("a")),))


@pytest.mark.parametrize("here", [RICH.send, network(reply=Level.FULL).send])
def test_a_reaction_that_vanishes_is_judged_like_any_message(here):
    said = content(reaction("👍"), in_reply_to=ID, topic_id=b"t", expires=Expiration(True, 60))
    lasting = {**here.features, Feature.TOPIC: Level.UNSUPPORTED, Feature.EXPIRY: Level.UNSUPPORTED}
    plan = degrade.plan(said, Capabilities(send=Way(features=lasting)), context=Context(answered=ROMEO))
    assert [loss.what for loss in plan.losses][:2] == ["topic", "expiry"]
    refusing = Capabilities(send=Way(features={**here.features, Feature.EXPIRY: Level.REJECTED}))
    refused = degrade.plan(said, refusing, context=Context(answered=ROMEO)).refused
    assert refused == Refusal("unsupported", "the network refuses a message with expiry")


@pytest.mark.parametrize(("said", "allowed", "sent"), [("❤", "❤️", "❤️"), ("❤️", "❤", "❤"), ("👁‍🗨", "👁️‍🗨️", "👁️‍🗨️")])
def test_a_heart_is_a_heart_in_either_spelling(said, allowed, sent):
    here = Capabilities(send=Way(features={Feature.REACTION: Level.FULL}, reactions=frozenset({allowed, "👍"})))
    plan = degrade.plan(content(reaction(said), in_reply_to=ID), here, context=KNOWN)
    assert plan == Plan(messages=(Planned(part=reaction(sent), keeps_in_reply_to=True),))
    none = degrade.plan(content(reaction("👎"), in_reply_to=ID), here, context=KNOWN)
    assert words(none) == ["Reacted with 👎 to “Wherefore art thou?”"]


# --- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"description": "Join the Foo 118 conference"}, "Join the Foo 118 conference: https://example.com/join/12345"),
        ({"filename": "Foo 118"}, "Foo 118: https://example.com/join/12345"),
        ({}, "Call: https://example.com/join/12345"),
    ],
)
def test_a_call_to_join_is_a_link_and_never_a_file_to_fetch(named, said):
    call = ExternalPart("", "https://example.com/join/12345", disposition=Disposition.SESSION, **named)
    for here in (BARE, RICH):
        plan = degrade.plan(content(call), here)
        assert words(plan) == [said]
        assert plan.losses == (Loss("part", Level.PARTIAL, "an invitation to a call is sent as a link"),)


def test_a_link_to_a_call_is_never_shortened():
    call = ExternalPart("", f"https://example.com/join/{'1' * 300}", disposition=Disposition.SESSION)
    assert words(degrade.plan(content(call), BARE)) == [f"Call: {call.url}"]


def test_an_encrypted_session_description_is_a_file():
    sealed = ExternalPart("application/sdp", "https://e.org/x", enc_alg=1, disposition=Disposition.SESSION)
    assert parts(degrade.plan(content(sealed), RICH)) == [sealed]


def test_a_file_of_no_type_is_named_without_one():
    plan = degrade.plan(content(ExternalPart("", "https://e.org/x", description="A cat")), BARE)
    assert words(plan) == ["A cat: https://e.org/x"]
    assert plan.losses[0].text == "a file is sent as a link: the network takes no files of type unknown"


def test_a_type_that_somebody_made_up_stays_on_one_short_line():
    odd = ExternalPart("image/\n\u202e" + "x" * 500, "https://e.org/x", filename="a")
    plan = degrade.plan(content(odd), BARE)
    assert words(plan) == ["a (image/ " + "x" * 72 + "…): https://e.org/x"]
    assert len(plan.losses[0].text) < 160


# --- parts that others show -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (SinglePart(HTML, b'<p>See <img src="cid:2@local.invalid" alt="a cat"> here</p>'), "See a cat here"),
        (SinglePart(HTML, b'<p>See <img src="cid:2@local.invalid"> here</p>'), "See here"),
        (text("See ![a cat](cid:2@local.invalid) here", MARKDOWN), "See a cat here"),
        (text("See ![](cid:2@local.invalid) [this](cid:2@local.invalid)", MARKDOWN), "See  this"),
    ],
)
@pytest.mark.parametrize("semantics", [Semantics.SINGLE_UNIT, Semantics.PROCESS_ALL])
def test_a_picture_that_a_text_shows_is_shown_once_and_its_index_never(body, shown, semantics):
    apart = Capabilities(send=Way(files=RICH.send.files, formatting={Format.LINK: Level.FULL}))
    plan = degrade.plan(content(several(body, CAT, semantics=semantics)), apart)
    said = [inner for part in parts(plan) for inner in getattr(part, "parts", (part,))]
    assert [inner.text for inner in said if isinstance(inner, SinglePart)] == [shown]
    assert [inner for inner in said if isinstance(inner, ExternalPart)] == [CAT]


def test_empty_parts_say_nothing_wherever_they_stand():
    assert words(degrade.plan(content(several(NullPart(), text("a"), unit(NullPart(), NullPart()))), RICH)) == ["a"]
