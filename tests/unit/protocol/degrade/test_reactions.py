"""What becomes of reactions."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, Feature, Level, Limits, Way
from protocol.content import Disposition, NullPart, text
from protocol.degrade import Context, Loss, Planned, Referenced, Refusal
from tests.unit.protocol.degrade.scene import BARE, ID, RICH, ROMEO, content, network, several, words

HEART = text("❤️", disposition=Disposition.REACTION)


def test_a_reaction_is_carried():
    context = Context(answered=ROMEO, replaced=Referenced(reaction=True))
    plan = degrade.plan(content(HEART, in_reply_to=ID, replaces=ID), RICH, context=context)
    assert plan == degrade.Plan(messages=(Planned(part=HEART, keeps_in_reply_to=True, keeps_replaces=True),))


def test_several_reactions_are_several_messages():
    thumb = text("👍", disposition=Disposition.REACTION)
    only_hearts = Capabilities(
        send=Way(features={Feature.REACTION: Level.PARTIAL, Feature.REPLY: Level.FULL}, reactions=frozenset({"❤️"}))
    )
    plan = degrade.plan(content(several(HEART, thumb), in_reply_to=ID), only_hearts, context=Context(answered=ROMEO))
    assert words(plan) == ["❤️", "Reacted with 👍"]
    assert all(message.keeps_in_reply_to for message in plan.messages)
    assert [loss.level for loss in plan.losses] == [Level.PARTIAL, Level.UNSUPPORTED]


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


def test_what_is_no_emoji_is_no_reaction():
    long = text("x" * 33, disposition=Disposition.REACTION)
    plan = degrade.plan(content(long, in_reply_to=ID), RICH, context=Context(answered=ROMEO))
    assert words(plan) == [f"Reacted with {'x' * 31}…"]
    empty = text(" ", disposition=Disposition.REACTION)
    assert degrade.plan(content(empty, in_reply_to=ID), RICH, context=Context(answered=ROMEO)) == degrade.Plan()


def test_a_reaction_to_nothing_is_a_text():
    assert words(degrade.plan(content(HEART), RICH)) == ["❤️"]


def test_reactions_may_be_dropped_or_refused():
    said, context = content(HEART, in_reply_to=ID), Context(answered=ROMEO)
    assert degrade.plan(said, network(reaction=Level.REJECTED), context=context).refused
    assert degrade.plan(said, network(reaction=Level.DROPPED), context=context).messages == ()
    silent = Capabilities(limits=Limits(text=0))
    assert degrade.plan(said, silent, context=context).refused == Refusal(
        "too-large", "the network takes no text at all"
    )


def test_a_reaction_taken_back():
    back = content(NullPart(), replaces=ID)
    context = Context(replaced=Referenced(reaction=True, text="❤️", age=10**12))
    fast = Capabilities(send=Way(features={Feature.REACTION: Level.FULL}), delete_age=0)
    assert degrade.plan(back, fast, context=context).messages == (Planned(part=NullPart(), keeps_replaces=True),)
    assert words(degrade.plan(back, BARE, context=context)) == ["Took back the reaction ❤️"]
    unknown = Context(replaced=Referenced(reaction=True))
    assert words(degrade.plan(back, BARE, context=unknown)) == ["Took back a reaction"]
