"""The planner: one content and what the network can do, to what will be sent.

First what the message does (delete, react, edit, answer), then what it shows (``rendering``), then what has to be
said in words because the network cannot do it, and at last the cut into native messages (``cutting``).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from protocol.capabilities import Capabilities, Feature, Level
from protocol.content import (
    MIMI_STATUS,
    TYPING,
    Content,
    Disposition,
    MultiPart,
    NullPart,
    Part,
    Semantics,
    SinglePart,
)
from protocol.content import text as text_part
from protocol.degrade import cutting, rendering, words
from protocol.degrade.model import Context, Loss, Plan, Planned, Referenced, Refusal
from protocol.degrade.outcome import Words
from protocol.degrade.splitting import excerpt
from protocol.richtext.parts import is_text

_NOTHING_KNOWN: Final = Context()
_PASSED_ON: Final = frozenset({MIMI_STATUS, TYPING})
_MAX_EMOJI: Final = 32
_IN_COLOUR: Final = "\ufe0f"


def plan(content: Content, capabilities: Capabilities, *, context: Context = _NOTHING_KNOWN) -> Plan:
    """Return what will be sent of ``content``, what is lost by it, or why nothing is sent. Never raises."""
    part = content.part
    if isinstance(part, SinglePart) and part.content_type in _PASSED_ON:
        return Plan(messages=(Planned(part=part),))
    if isinstance(part, NullPart):
        return _deletion(content, capabilities, context) if content.replaces is not None else Plan()
    reactions = _reactions(part)
    if reactions and content.in_reply_to is not None:
        return _reaction(reactions, content, capabilities, context)
    return _message(content, capabilities, context)


# --- taking back ------------------------------------------------------------------------------------------------------


def _deletion(content: Content, capabilities: Capabilities, context: Context) -> Plan:
    gone = context.replaced
    if gone is None:
        return Plan(losses=(Loss(Feature.DELETE, Level.DROPPED, "what it deletes was never here"),))
    feature = Feature.REACTION if gone.reaction else Feature.DELETE
    what = "taking a reaction back" if gone.reaction else "deleting"
    level = capabilities.send.level(feature)
    if level is Level.REJECTED:
        return _refused("unsupported", f"the network refuses {what}")
    if level is Level.DROPPED:
        return Plan(losses=(Loss(feature, level, f"{what} is not carried"),))
    if level >= Level.PARTIAL and gone.known and (gone.reaction or _young(gone, capabilities.delete_age)):
        losses = (Loss(feature, level, f"{what} is converted"),) if level is Level.PARTIAL else ()
        return Plan(messages=(Planned(part=content.part, keeps_replaces=True),), losses=losses)
    said = words.took_back(excerpt(gone.text, 32)) if gone.reaction else words.deleted(excerpt(gone.text))
    return _in_words(said, Loss(feature, Level.UNSUPPORTED, f"{what} is sent as a notice"), capabilities, context)


def _young(message: Referenced, limit: int | None) -> bool:
    return limit is None or message.age is None or message.age <= limit


def _in_words(said: str, loss: Loss, capabilities: Capabilities, context: Context) -> Plan:
    """Return the plan that says in words what the network cannot do."""
    named = said if capabilities.shows_sender else words.speaker(context.sender) + said
    return cutting.cut((Words(text=named),), (loss,), capabilities)


def _refused(reason: str, text: str) -> Plan:
    return Plan(refused=Refusal(reason, text))


# --- reacting ---------------------------------------------------------------------------------------------------------


def _reactions(part: Part) -> tuple[SinglePart, ...]:
    """Return the reactions that a part consists of; none if there is anything else in it."""
    inner = part.parts if isinstance(part, MultiPart) and part.semantics is Semantics.PROCESS_ALL else (part,)
    found = tuple(
        p for p in inner if isinstance(p, SinglePart) and p.disposition == Disposition.REACTION and is_text(p)
    )
    return found if len(found) == len(inner) else ()


def _reaction(
    reactions: tuple[SinglePart, ...], content: Content, capabilities: Capabilities, context: Context
) -> Plan:
    level = capabilities.send.level(Feature.REACTION)
    if refused := _aside_refused(content, capabilities):
        return Plan(refused=refused)
    if level is Level.REJECTED:
        return _refused("unsupported", "the network refuses reactions")
    if level is Level.DROPPED:
        return Plan(losses=(Loss(Feature.REACTION, level, "a reaction is not carried"),))
    known = context.answered is not None and context.answered.known
    replaces = content.replaces is not None and context.replaced is not None and context.replaced.known
    native: list[Planned] = []
    said: list[str] = []
    for part in reactions:
        emoji = part.text.strip()
        usable = _usable(emoji, capabilities)
        if level >= Level.PARTIAL and known and usable:
            reaction = text_part(usable, disposition=Disposition.REACTION)
            native.append(Planned(part=reaction, keeps_in_reply_to=True, keeps_replaces=replaces and not native))
        elif emoji:
            said.append(emoji)
    losses = _aside(content, capabilities) if native or said else ()
    if native and level is Level.PARTIAL:
        losses += (Loss(Feature.REACTION, level, "a reaction is converted"),)
    if not said:
        return Plan(messages=tuple(native), losses=losses)
    reply = _spoken_reaction(" ".join(said), capabilities, context)
    if reply.refused:
        return reply
    return Plan(messages=(*native, *reply.messages), losses=(*losses, *reply.losses))


def _usable(emoji: str, capabilities: Capabilities) -> str:
    """Return ``emoji`` as the network knows it, or nothing; whether it asks for colour (U+FE0F) makes no difference."""
    allowed, limits = capabilities.send.reactions, capabilities.limits
    if allowed is not None and emoji not in allowed:
        bare = emoji.replace(_IN_COLOUR, "")
        emoji = min((one for one in allowed if one.replace(_IN_COLOUR, "") == bare), default="")
    fits = limits.text is None or limits.unit.length(emoji) <= limits.text
    return emoji if len(emoji) <= _MAX_EMOJI and fits else ""


def _spoken_reaction(emoji: str, capabilities: Capabilities, context: Context) -> Plan:
    """Return the short reply that says what the reaction would have said."""
    answered = context.answered
    can_reply = capabilities.send.level(Feature.REPLY) >= Level.PARTIAL and answered is not None and answered.known
    quote = "" if answered is None or can_reply else excerpt(answered.text)
    loss = Loss(Feature.REACTION, Level.UNSUPPORTED, "a reaction is sent as a short reply")
    reply = _in_words(words.reacted(excerpt(emoji, _MAX_EMOJI), quote), loss, capabilities, context)
    return cutting.bound(reply, replaces=False, in_reply_to=can_reply)


# --- saying -----------------------------------------------------------------------------------------------------------


class _Bond(Struct, frozen=True):
    """Whether a message still edits or answers another, what is said in its place, and what is lost by that."""

    keeps: bool = False
    losses: tuple[Loss, ...] = ()
    refused: Refusal | None = None
    dropped: bool = False


def _message(content: Content, capabilities: Capabilities, context: Context) -> Plan:
    edit = _edit(content, capabilities, context)
    reply = _reply(content, capabilities, context)
    shown = rendering.show(content.part, capabilities)
    refused = edit.refused or reply.refused or _aside_refused(content, capabilities) or shown.refused
    if refused:
        return Plan(refused=refused)
    if edit.dropped:
        return Plan(losses=edit.losses)
    if not shown.shown:
        return _refused("unsupported", shown.losses[0].text) if shown.losses else Plan()
    losses = (*edit.losses, *reply.losses, *_aside(content, capabilities), *shown.losses)
    lead = cutting.Lead(
        speaker=excerpt(context.sender) if not capabilities.shows_sender else "",
        edited=content.replaces is not None and not edit.keeps,
        quoted=context.answered if content.in_reply_to is not None and not reply.keeps and not reply.dropped else None,
    )
    if lead.speaker:
        losses += (Loss("sender", Level.PARTIAL, "the sender's name is put before the text"),)
    planned = cutting.cut(cutting.led(shown.shown, lead, capabilities), losses, capabilities)
    if shown.asked is not None and planned.messages:
        planned = replace(planned, offers=shown.asked)
    return cutting.bound(planned, replaces=edit.keeps, in_reply_to=reply.keeps)


def _edit(content: Content, capabilities: Capabilities, context: Context) -> _Bond:
    if content.replaces is None:
        return _Bond()
    level, first = capabilities.send.level(Feature.EDIT), context.replaced
    if level is Level.REJECTED:
        return _Bond(refused=Refusal("unsupported", "the network refuses edits"))
    if level is Level.DROPPED:
        return _Bond(dropped=True, losses=(Loss(Feature.EDIT, level, "an edit is not carried"),))
    if level is Level.UNSUPPORTED:
        why = "the network has no edits"
    elif first is None or not first.known:
        why = "the network does not know what it edits"
    elif not _young(first, capabilities.edit_age):
        why = "what it edits is too old"
    else:
        converted = Loss(Feature.EDIT, level, "an edit is converted")
        return _Bond(keeps=True, losses=(converted,) if level is Level.PARTIAL else ())
    return _Bond(losses=(Loss(Feature.EDIT, Level.UNSUPPORTED, f"an edit is sent as a marked new message: {why}"),))


def _reply(content: Content, capabilities: Capabilities, context: Context) -> _Bond:
    if content.in_reply_to is None:
        return _Bond()
    level, answered = capabilities.send.level(Feature.REPLY), context.answered
    if level is Level.REJECTED:
        return _Bond(refused=Refusal("unsupported", "the network refuses replies"))
    if level is Level.DROPPED:
        return _Bond(dropped=True, losses=(Loss(Feature.REPLY, level, "what it answers is not shown"),))
    if level >= Level.PARTIAL and answered is not None and answered.known:
        converted = Loss(Feature.REPLY, level, "a reply is converted")
        return _Bond(keeps=True, losses=(converted,) if level is Level.PARTIAL else ())
    quoted = answered is not None and excerpt(answered.text)
    how = "a reply is sent with a quote" if quoted else "what it answers is not shown"
    return _Bond(losses=(Loss(Feature.REPLY, Level.UNSUPPORTED, how),))


def _asides(content: Content) -> tuple[tuple[Feature, str], ...]:
    """Return what a content has beside its part that a network may lack."""
    found = []
    if content.topic_id:
        found.append((Feature.TOPIC, "the thread it belongs to is not shown"))
    if content.expires is not None:
        found.append((Feature.EXPIRY, "it does not vanish by itself"))
    return tuple(found)


def _aside(content: Content, capabilities: Capabilities) -> tuple[Loss, ...]:
    levels = ((feature, capabilities.send.level(feature), text) for feature, text in _asides(content))
    return tuple(
        Loss(feature, level if level is Level.PARTIAL else Level.DROPPED, text)  # no words take their place
        for feature, level, text in levels
        if level is not Level.FULL
    )


def _aside_refused(content: Content, capabilities: Capabilities) -> Refusal | None:
    for feature, _ in _asides(content):
        if capabilities.send.level(feature) is Level.REJECTED:
            return Refusal("unsupported", f"the network refuses a message with {feature}")
    return None
