"""What is shown of a part, however deep: alternatives chosen, units kept together, the rest one after another."""

from __future__ import annotations

from msgspec.structs import replace

from protocol.capabilities import Capabilities, Level
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
from protocol.degrade.outcome import File, Outcome, Words, dropped, joined
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
        case SinglePart():
            return _single(part, capabilities)
        case ExternalPart():
            return files.show(part, capabilities.send)
        case MultiPart(semantics=Semantics.CHOOSE_ONE):
            return _choose(part, capabilities)
        case MultiPart(semantics=Semantics.SINGLE_UNIT):
            return _with_captions(joined(show(inner, capabilities) for inner in part.parts))
        case _:
            return joined(show(inner, capabilities) for inner in part.parts)


def _single(part: SinglePart, capabilities: Capabilities) -> Outcome:
    if parts.is_text(part):
        return text.show(part, capabilities.send)
    if is_commerce(part.content_type):
        try:
            return business.show(decode(part.content_type, part.content), part, capabilities)
        except CommerceError as error:
            return dropped("part", f"a part is left out that cannot be read: {error}")
    if parts.media_type(part).startswith(_PRIVATE):
        return dropped("part", f"a part of type {part.content_type} is left out")
    return files.show(files.inline(part), capabilities.send)


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
    alternative = Loss("part", max(first.level, Level.UNSUPPORTED), f"another rendering is sent: {reasons}")
    return replace(best, losses=(alternative, *best.losses), asked=best.asked or first.asked)


def _with_captions(outcome: Outcome) -> Outcome:
    """Return the outcome with one text beside one file made its caption, if the network has captions."""
    match outcome.shown:
        case (File() as file, Words() as words) | (Words() as words, File() as file):
            if file.rule.caption >= Level.PARTIAL:
                return replace(outcome, shown=(File(file.part, file.rule, words),))
            loss = Loss("caption", Level.PARTIAL, "a caption is sent as a message of its own")
            return replace(outcome, shown=(file, words), losses=(*outcome.losses, loss))
        case _:
            return outcome
