"""What is shown of a part, however deep: alternatives chosen, units kept together, the rest one after another."""

from __future__ import annotations

from msgspec.structs import replace

from protocol.capabilities import Capabilities, Feature, Level
from protocol.commerce import CommerceError, decode, is_commerce
from protocol.content import (
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Part,
    Semantics,
    SinglePart,
)
from protocol.degrade import business, files, text
from protocol.degrade.model import Loss
from protocol.degrade.outcome import File, Outcome, Words, dropped, joined, refused
from protocol.degrade.splitting import excerpt
from protocol.richtext import parts

_PRIVATE = ("application/vnd.rialto.", "application/mimi-")
"""Types that mean something to Rialto or MIMI only; nobody could open them as files."""

_UNSEEN = {Disposition.ICON: "an icon", Disposition.PROFILE: "a profile", Disposition.PREVIEW: "a preview"}


def show(part: Part, capabilities: Capabilities) -> Outcome:
    """Return what becomes of ``part``."""
    match part:
        case NullPart():
            return Outcome()
        case SinglePart() | ExternalPart() if part.disposition in _UNSEEN:
            return dropped("part", f"{_UNSEEN[Disposition(part.disposition)]} is left out")
        case SinglePart() | ExternalPart() if part.disposition == Disposition.REACTION:
            return _reaction(part, capabilities)
        case SinglePart():
            return _single(part, capabilities)
        case ExternalPart(disposition=Disposition.SESSION, enc_alg=0):
            return files.invitation(part)
        case ExternalPart():
            return files.show(part, capabilities.send)
        case MultiPart(semantics=Semantics.CHOOSE_ONE):
            return _choose(part, capabilities)
        case MultiPart(semantics=Semantics.SINGLE_UNIT):
            return _unit(tuple(show(inner, capabilities) for inner in part.parts))
        case _:
            return joined(show(inner, capabilities) for inner in part.parts)


def _reaction(part: SinglePart | ExternalPart, capabilities: Capabilities) -> Outcome:
    """Return what becomes of a reaction that is no emoji, or reacts to nothing, or stands beside something else."""
    level = capabilities.send.level(Feature.REACTION)
    if level is Level.REJECTED:
        return refused("unsupported", "the network refuses reactions")
    if level is Level.DROPPED:
        return dropped(Feature.REACTION, "a reaction is not carried")
    outcome = show(replace(part, disposition=Disposition.RENDER), capabilities)
    loss = Loss(Feature.REACTION, Level.UNSUPPORTED, "a reaction is sent as a message")
    return replace(outcome, losses=(loss, *outcome.losses)) if outcome.shown else outcome


def _single(part: SinglePart, capabilities: Capabilities) -> Outcome:
    if parts.is_text(part):
        return text.show(part, capabilities.send)
    if is_commerce(part.content_type):
        try:
            return business.show(decode(part.content_type, part.content), part, capabilities)
        except CommerceError as error:
            return _not_understood(f"a part is left out that cannot be read: {error}")
    if parts.media_type(part).startswith(_PRIVATE):
        return _not_understood(f"a part of type {excerpt(part.content_type)} is left out")
    return files.show(files.inline(part), capabilities.send)


def _not_understood(text: str) -> Outcome:
    return replace(dropped("part", text), understood=False)


def _choose(part: MultiPart, capabilities: Capabilities) -> Outcome:
    """Return the alternative of which the least is lost, the earliest of equals.

    Options that nobody could press must at least be numbered, so the sender's own words do not replace them.
    """
    found: list[Outcome] = []
    for inner in part.parts:
        outcome = show(inner, capabilities)
        found.append(outcome)
        if outcome.shown and outcome.level is Level.FULL:
            break
    return _preferred(found) if found else Outcome()


def _preferred(found: list[Outcome]) -> Outcome:
    first = found[0]
    best = max(found, key=lambda outcome: (bool(outcome.shown), outcome.offers, outcome.level))
    if best is first or not best.shown or first.level is Level.FULL:
        return best
    reasons = first.refused.text if first.refused else "; ".join(loss.text for loss in first.losses)
    what = "part" if first.refused else first.losses[0].what
    alternative = Loss(what, max(first.level, Level.UNSUPPORTED), f"{reasons}: the sender's alternative is sent")
    return replace(best, losses=(alternative, *best.losses), asked=best.asked or first.asked)


def _unit(outcomes: tuple[Outcome, ...]) -> Outcome:
    """Return the outcome of what belongs together, with one text beside one file made its caption.

    If one part is not understood, none of them may be shown (mimi-content §4.4). A file is understood, even
    where it cannot be sent.
    """
    puzzle = next((outcome for outcome in outcomes if not outcome.understood), None)
    if puzzle is not None:
        return refused("unsupported", f"of parts that belong together one is not understood: {puzzle.losses[0].text}")
    outcome = joined(outcomes)
    match outcome.shown:
        case (File() as file, Words() as words) | (Words() as words, File() as file):
            if file.rule.caption >= Level.PARTIAL:
                return replace(outcome, shown=(File(file.part, file.rule, words),))
            loss = Loss("caption", Level.PARTIAL, "a caption is sent as a message of its own")
            return replace(outcome, shown=(file, words), losses=(*outcome.losses, loss))
        case _:
            return outcome
