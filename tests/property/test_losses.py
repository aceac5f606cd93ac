"""Nothing is lost in silence: what was said is in the messages, or in the losses, or the sender is told.

Judged from outside: only what was said, what the network can do and what the plan says are looked at.
"""

from __future__ import annotations

from hypothesis import given

from protocol import degrade
from protocol.capabilities import Feature, Level
from protocol.content import (
    MIMI_STATUS,
    TYPING,
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    walk,
)
from protocol.richtext import parts
from protocol.richtext.reduction import formats, spans_of
from tests.property.test_degrade import contents, contexts, networks, thorough

SMALL_PRINT = {Disposition.ICON, Disposition.PROFILE, Disposition.PREVIEW}


def leaves(part):
    return [inner for _, inner in walk(part) if not isinstance(inner, MultiPart)]


def reacts(content):
    """Whether it is nothing but reactions in text to another message."""
    part = content.part
    inner = part.parts if isinstance(part, MultiPart) and part.semantics is Semantics.PROCESS_ALL else (part,)
    return content.in_reply_to is not None and all(
        isinstance(each, SinglePart) and each.disposition == Disposition.REACTION and parts.is_text(each)
        for each in inner
    )


def names_somebody(part):
    tree = parts.read(part) if isinstance(part, SinglePart) and parts.is_text(part) else None
    return tree is not None and any(span.link.startswith("mimi:") for span in spans_of(tree))


@thorough
@given(contents, networks, contexts)
def test_what_a_message_does_is_done_or_said(content, network, context):
    plan = degrade.plan(content, network, context=context)
    lost = {loss.what for loss in plan.losses}
    if isinstance(content.part, NullPart):
        done = content.replaces is None or any(message.keeps_replaces for message in plan.messages)
        assert plan.refused or done or lost & {"delete", "reaction"}
        return
    if not plan.messages or getattr(content.part, "content_type", "") in (MIMI_STATUS, TYPING):
        return
    level = network.send.level
    if content.topic_id:
        assert level(Feature.TOPIC) is Level.FULL or "topic" in lost
    if content.expires is not None:
        assert level(Feature.EXPIRY) is Level.FULL or "expiry" in lost
    if reacts(content):
        reactions = [message for message in plan.messages if message.part.disposition == Disposition.REACTION]
        assert all(message.keeps_in_reply_to for message in reactions)
        assert len(reactions) == len(plan.messages) or "reaction" in lost
        return
    if content.replaces is not None:
        assert plan.messages[0].keeps_replaces or "edit" in lost
    if content.in_reply_to is not None:
        assert plan.messages[0].keeps_in_reply_to or "reply" in lost


@thorough
@given(contents, networks)
def test_what_a_network_refuses_is_never_sent(content, network):
    plan = degrade.plan(content, network)
    asked = {
        Feature.TOPIC: bool(content.topic_id),
        Feature.EXPIRY: content.expires is not None,
        Feature.EDIT: content.replaces is not None and not reacts(content),
        Feature.REPLY: content.in_reply_to is not None and not reacts(content),
        Feature.REACTION: reacts(content),
        Feature.MENTION: isinstance(content.part, SinglePart) and names_somebody(content.part),
    }
    if isinstance(content.part, NullPart) or getattr(content.part, "content_type", "") in (MIMI_STATUS, TYPING):
        return
    assert not plan.messages or not any(
        wanted and network.send.level(feature) is Level.REJECTED for feature, wanted in asked.items()
    )


@thorough
@given(contents, networks)
def test_what_a_message_shows_is_shown_or_said(content, network):
    plan = degrade.plan(content, network)
    if (
        not plan.messages
        or reacts(content)
        or getattr(content.part, "content_type", "") in (MIMI_STATUS, TYPING)  # not shown, but acted upon
        or any(isinstance(part, MultiPart) and part.semantics is Semantics.CHOOSE_ONE for _, part in walk(content.part))
    ):
        return
    lost = {loss.what for loss in plan.losses}
    sent = [part for message in plan.messages for part in leaves(message.part)]
    texts = [part for part in sent if isinstance(part, SinglePart) and parts.is_text(part)]
    left = {kind for part in texts for kind in formats(parts.read(part) or ())}
    for part in leaves(content.part):
        if not isinstance(part, NullPart) and part.disposition in SMALL_PRINT:
            assert "part" in lost
        elif isinstance(part, ExternalPart):
            assert lost & {"file", "part", "reaction"} or part.url in [getattr(each, "url", None) for each in sent]
        elif isinstance(part, SinglePart) and parts.is_text(part) and network.send.text is not Level.DROPPED:
            used = formats(parts.read(part) or ())
            gone = {kind for kind in used if kind not in left or network.send.format(kind) is not Level.FULL}
            assert gone <= lost | ({"link"} if names_somebody(part) and "mention" in lost else set())
