"""What becomes of one part of a content, before it is cut into native messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec import Struct

from protocol.capabilities import FileRule, Level
from protocol.commerce import Commerce
from protocol.content import ExternalPart, SinglePart
from protocol.degrade.model import Loss, Refusal
from protocol.richtext.tree import Tree


class Words(Struct, frozen=True, kw_only=True):
    """Text to show: a ``tree`` if it is formatted, else ``text``.

    ``source`` is the part that already says exactly this, if there is one. ``instead_of`` is why something could not
    be sent for which these words stand; if nothing else remains of a message, it is refused for that reason.
    """

    text: str = ""
    tree: Tree | None = None
    source: SinglePart | None = None
    instead_of: Refusal | None = None


class Whole(Struct, frozen=True):
    """A business part that the network shows as it is."""

    part: SinglePart


class File(Struct, frozen=True):
    """A file that the network takes, and perhaps its caption."""

    part: ExternalPart
    rule: FileRule
    caption: Words | None = None


Shown: TypeAlias = Words | Whole | File


class Outcome(Struct, frozen=True, kw_only=True):
    """What is shown of a part, and what is lost; or why the whole message is refused.

    ``offers``: there is something to choose in it, so other words must not take its place. ``asked`` is what was put
    into words and can be answered in words: something to choose from, or a request for a location. ``understood``:
    nobody here had to leave it out without knowing what it is.
    """

    shown: tuple[Shown, ...] = ()
    losses: tuple[Loss, ...] = ()
    refused: Refusal | None = None
    offers: bool = False
    asked: Commerce | None = None
    understood: bool = True

    @property
    def level(self) -> Level:
        """The worst that happens to anything in it."""
        if self.refused:
            return Level.REJECTED
        return min((loss.level for loss in self.losses), default=Level.FULL)


def joined(outcomes: Iterable[Outcome]) -> Outcome:
    """Return several outcomes as one, in order; one refusal refuses all."""
    kept = tuple(outcomes)
    asked = [outcome.asked for outcome in kept if outcome.asked]
    return Outcome(
        shown=tuple(shown for outcome in kept for shown in outcome.shown),
        losses=tuple(loss for outcome in kept for loss in outcome.losses),
        refused=next((outcome.refused for outcome in kept if outcome.refused), None),
        offers=any(outcome.offers for outcome in kept),
        asked=asked[0] if len(asked) == 1 else None,  # of two numberings nobody knows which one a number means
    )


def refused(reason: str, text: str) -> Outcome:
    """Return the outcome that refuses the whole message."""
    return Outcome(refused=Refusal(reason, text))


def dropped(what: str, text: str) -> Outcome:
    """Return the outcome that leaves this part out."""
    return Outcome(losses=(Loss(what, Level.DROPPED, text),))
