"""What becomes of edits and deletions: of what changes an earlier message."""

from __future__ import annotations

import pytest

from protocol import degrade
from protocol.capabilities import Capabilities, Feature, Format, Level, Way
from protocol.content import MARKDOWN, NullPart, text
from protocol.degrade import Context, Loss, Planned, Referenced, Refusal
from tests.unit.protocol.degrade.scene import BARE, ID, KNOWN, RICH, ROMEO, content, network, words


@pytest.mark.parametrize(
    ("level", "replaced", "why"),
    [
        (Level.UNSUPPORTED, Referenced(), "the network has no edits"),
        (Level.FULL, None, "the network does not know what it edits"),
        (Level.FULL, Referenced(known=False), "the network does not know what it edits"),
        (Level.FULL, Referenced(age=1001), "what it edits is too old"),
    ],
)
def test_an_edit_that_cannot_be_made_is_a_marked_new_message(level, replaced, why):
    here = Capabilities(send=Way(features={Feature.EDIT: level}), edit_age=1000)
    plan = degrade.plan(content(text("Better"), replaces=ID), here, context=Context(replaced=replaced))
    assert plan.messages == (Planned(part=text("Edited: Better")),)
    assert plan.losses == (Loss("edit", Level.UNSUPPORTED, f"an edit is sent as a marked new message: {why}"),)


@pytest.mark.parametrize("age", [None, 1000])
def test_a_young_message_can_be_edited(age):
    here = Capabilities(send=Way(features={Feature.EDIT: Level.PARTIAL}), edit_age=1000)
    plan = degrade.plan(content(text("Better"), replaces=ID), here, context=Context(replaced=Referenced(age=age)))
    assert plan.messages == (Planned(part=text("Better"), keeps_replaces=True),)
    assert plan.losses == (Loss("edit", Level.PARTIAL, "an edit is converted"),)


def test_edits_may_be_dropped_or_refused():
    said = content(text("Better"), replaces=ID)
    assert degrade.plan(said, network(edit=Level.REJECTED), context=KNOWN).refused == Refusal(
        "unsupported", "the network refuses edits"
    )
    dropped = degrade.plan(said, network(edit=Level.DROPPED), context=KNOWN)
    assert (dropped.messages, dropped.refused) == ((), None)
    assert dropped.losses == (Loss("edit", Level.DROPPED, "an edit is not carried"),)


def test_an_edited_list_is_marked_above_it():
    lists = Capabilities(send=Way(formatting={Format.BULLETS: Level.FULL}))
    assert words(degrade.plan(content(text("- a", MARKDOWN), replaces=ID), lists)) == ["Edited:\n\n- a"]
    bold = Capabilities(send=Way(formatting={Format.BOLD: Level.FULL}))
    assert words(degrade.plan(content(text("**a**", MARKDOWN), replaces=ID), bold)) == ["Edited: **a**"]


def test_a_deletion_is_carried_or_told():
    gone = content(NullPart(), replaces=ID)
    carried = degrade.plan(gone, RICH, context=Context(replaced=ROMEO))
    assert carried == degrade.Plan(messages=(Planned(part=NullPart(), keeps_replaces=True),))
    told = degrade.plan(gone, BARE, context=Context(replaced=ROMEO))
    assert words(told) == ["Deleted a message: “Wherefore art thou?”"]
    assert told.losses == (Loss("delete", Level.UNSUPPORTED, "deleting is sent as a notice"),)
    assert words(degrade.plan(gone, BARE, context=Context(replaced=Referenced()))) == ["Deleted a message"]


def test_a_deletion_that_comes_too_late_is_told():
    here = Capabilities(send=Way(features={Feature.DELETE: Level.PARTIAL}), delete_age=1000)
    gone = content(NullPart(), replaces=ID)
    assert words(degrade.plan(gone, here, context=Context(replaced=Referenced(age=1001)))) == ["Deleted a message"]
    young = degrade.plan(gone, here, context=Context(replaced=Referenced(age=1000)))
    assert young.losses == (Loss("delete", Level.PARTIAL, "deleting is converted"),)
    assert degrade.plan(gone, here, context=Context(replaced=Referenced(known=False))).messages[0].part == text(
        "Deleted a message"
    )


def test_what_was_never_here_need_not_be_deleted():
    plan = degrade.plan(content(NullPart(), replaces=ID), RICH)
    assert plan == degrade.Plan(losses=(Loss("delete", Level.DROPPED, "what it deletes was never here"),))


def test_deletions_may_be_dropped_or_refused():
    gone = content(NullPart(), replaces=ID)
    assert degrade.plan(gone, network(delete=Level.REJECTED), context=KNOWN).refused == Refusal(
        "unsupported", "the network refuses deleting"
    )
    dropped = degrade.plan(gone, network(delete=Level.DROPPED), context=KNOWN)
    assert dropped == degrade.Plan(losses=(Loss("delete", Level.DROPPED, "deleting is not carried"),))
