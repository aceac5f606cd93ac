"""What becomes of reactions."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, Feature, Level, Limits, Way
from protocol.content import Disposition, NullPart, text
from protocol.degrade import Context, Loss, Planned, Referenced, Refusal
from tests.unit.protocol.degrade.scene import (
    BARE,
    ID,
    KNOWN,
    NAMELESS,
    RICH,
    ROMEO,
    content,
    network,
    parts,
    several,
    words,
)

HEART, THUMB, PARTY = (text(emoji, disposition=Disposition.REACTION) for emoji in ("❤️", "👍", "🎉"))


def test_a_reaction_is_carried():
    context = Context(answered=ROMEO, replaced=Referenced(reaction=True))
    plan = degrade.plan(content(HEART, in_reply_to=ID, replaces=ID), RICH, context=context)
    assert plan == degrade.Plan(messages=(Planned(part=HEART, keeps_in_reply_to=True, keeps_replaces=True),))


def test_several_reactions_are_several_messages():
    plan = degrade.plan(content(several(HEART, THUMB), in_reply_to=ID, replaces=ID), RICH, context=KNOWN)
    assert plan.messages == (
        Planned(part=HEART, keeps_in_reply_to=True, keeps_replaces=True),  # only one can take the place of the old
        Planned(part=THUMB, keeps_in_reply_to=True),
    )


@pytest.mark.parametrize("replaced", [None, Referenced(reaction=True, known=False)])
def test_a_reaction_in_place_of_an_unknown_one_is_a_new_one(replaced):
    context = Context(answered=ROMEO, replaced=replaced)
    plan = degrade.plan(content(HEART, in_reply_to=ID, replaces=ID), RICH, context=context)
    assert plan.messages == (Planned(part=HEART, keeps_in_reply_to=True),)


@pytest.mark.parametrize("reply", [Level.PARTIAL, Level.FULL])
def test_reactions_that_the_network_does_not_have_are_said_in_one_reply(reply):
    only_hearts = Capabilities(
        send=Way(features={Feature.REACTION: Level.PARTIAL, Feature.REPLY: reply}, reactions=frozenset({"❤️"}))
    )
    said = content(several(HEART, THUMB, PARTY), in_reply_to=ID)
    plan = degrade.plan(said, only_hearts, context=Context(answered=ROMEO))
    assert words(plan) == ["❤️", "Reacted with 👍 🎉"]
    assert all(message.keeps_in_reply_to for message in plan.messages)
    assert plan.losses == (
        Loss("reaction", Level.PARTIAL, "a reaction is converted"),
        Loss("reaction", Level.UNSUPPORTED, "a reaction is sent as a short reply"),
    )


def test_a_converted_reaction_says_so():
    plan = degrade.plan(content(HEART, in_reply_to=ID), network(reaction=Level.PARTIAL), context=KNOWN)
    assert plan.messages == (Planned(part=HEART, keeps_in_reply_to=True),)
    assert plan.losses == (Loss("reaction", Level.PARTIAL, "a reaction is converted"),)


def test_a_reaction_in_a_thread_loses_the_thread_too():
    here = network(reaction=Level.PARTIAL)
    plan = degrade.plan(content(HEART, in_reply_to=ID, topic_id=b"t"), here, context=KNOWN)
    assert [loss.what for loss in plan.losses] == ["topic", "reaction"]
    nothing = text(" ", disposition=Disposition.REACTION)
    assert degrade.plan(content(nothing, in_reply_to=ID, topic_id=b"t"), here, context=KNOWN) == degrade.Plan()


def test_a_reaction_beside_a_text_is_part_of_what_is_said():
    plan = degrade.plan(content(several(HEART, text("Hi")), in_reply_to=ID), RICH, context=KNOWN)
    assert words(plan) == ["❤️", "Hi"]


@pytest.mark.parametrize(
    ("here", "sender", "said"),
    [
        (BARE, "Romeo", "Reacted with ❤️"),
        (NAMELESS, "Romeo", "Romeo: Reacted with ❤️"),
        (NAMELESS, "", "Reacted with ❤️"),
    ],
)
def test_who_reacted_is_said_where_the_network_does_not_show_it(here, sender, said):
    assert words(degrade.plan(content(HEART, in_reply_to=ID), here, context=Context(sender=sender))) == [said]


@pytest.mark.parametrize(
    ("here", "answered", "said", "points"),
    [
        (BARE, ROMEO, "Reacted with ❤️ to “Wherefore art thou?”", False),
        (BARE, None, "Reacted with ❤️", False),
        (network(reply=Level.FULL), ROMEO, "Reacted with ❤️", True),
        (RICH, Referenced(known=False, text="Ay me"), "Reacted with ❤️ to “Ay me”", False),
    ],
)
def test_a_reaction_that_cannot_be_made_is_a_short_reply(here, answered, said, points):
    plan = degrade.plan(content(HEART, in_reply_to=ID), here, context=Context(answered=answered))
    assert plan.messages == (Planned(part=text(said), keeps_in_reply_to=points),)
    assert plan.losses == (Loss("reaction", Level.UNSUPPORTED, "a reaction is sent as a short reply"),)


def test_a_reaction_is_as_short_as_the_network_wants_its_texts():
    one, two = (Capabilities(send=RICH.send, limits=Limits(text=most)) for most in (1, 2))
    answering = {"in_reply_to": ID}
    assert words(degrade.plan(content(THUMB, **answering), one, context=KNOWN)) == ["👍"]
    assert words(degrade.plan(content(HEART, **answering), two, context=KNOWN)) == ["❤️"]
    assert HEART not in parts(degrade.plan(content(HEART, **answering), one, context=KNOWN))


def test_what_is_no_emoji_is_no_reaction():
    name = text("x" * 32, disposition=Disposition.REACTION)  # the name of an emoji that the network calls by name
    assert parts(degrade.plan(content(name, in_reply_to=ID), RICH, context=KNOWN)) == [name]
    long = text("x" * 33, disposition=Disposition.REACTION)
    plan = degrade.plan(content(long, in_reply_to=ID), RICH, context=Context(answered=ROMEO))
    assert words(plan) == [f"Reacted with {'x' * 31}…"]
    empty = text(" ", disposition=Disposition.REACTION)
    assert degrade.plan(content(empty, in_reply_to=ID), RICH, context=Context(answered=ROMEO)) == degrade.Plan()


def test_a_reaction_to_nothing_is_a_text():
    assert words(degrade.plan(content(HEART), RICH)) == ["❤️"]


def test_reactions_may_be_dropped_or_refused():
    said, context = content(HEART, in_reply_to=ID), Context(answered=ROMEO)
    assert degrade.plan(said, network(reaction=Level.REJECTED), context=context).refused == Refusal(
        "unsupported", "the network refuses reactions"
    )
    assert degrade.plan(said, network(reaction=Level.DROPPED), context=context) == degrade.Plan(
        losses=(Loss("reaction", Level.DROPPED, "a reaction is not carried"),)
    )
    silent = Capabilities(limits=Limits(text=0))
    assert degrade.plan(said, silent, context=context).refused == Refusal(
        "too-large", "the network takes no text at all"
    )


def test_a_reaction_taken_back():
    back = content(NullPart(), replaces=ID)
    context = Context(replaced=Referenced(reaction=True, text="❤️", age=10**12))
    fast = Capabilities(send=Way(features={Feature.REACTION: Level.FULL}), delete_age=0)
    assert degrade.plan(back, fast, context=context).messages == (Planned(part=NullPart(), keeps_replaces=True),)
    told = degrade.plan(back, BARE, context=context)
    assert words(told) == ["Took back the reaction ❤️"]
    assert told.losses == (Loss("reaction", Level.UNSUPPORTED, "taking a reaction back is sent as a notice"),)
    long = Context(replaced=Referenced(reaction=True, text="x" * 33))
    assert words(degrade.plan(back, BARE, context=long)) == [f"Took back the reaction {'x' * 31}…"]
    unknown = Context(replaced=Referenced(reaction=True))
    assert words(degrade.plan(back, BARE, context=unknown)) == ["Took back a reaction"]
