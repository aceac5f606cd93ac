"""What becomes of text."""

from __future__ import annotations

from typing import Final

from protocol.capabilities import Feature, Format, Level, Way
from protocol.content import SinglePart
from protocol.degrade.model import Loss
from protocol.degrade.outcome import Outcome, Words, dropped, refused
from protocol.degrade.words import named
from protocol.richtext import parts
from protocol.richtext.reduction import formats, reduce, relink, spans_of, text_of
from protocol.richtext.tree import Tree

_MENTION: Final = "mimi:"


def show(part: SinglePart, way: Way) -> Outcome:
    """Return what becomes of a part of text on its way to a network with these capabilities."""
    if way.text is Level.REJECTED:
        return refused("unsupported", "the network takes no text")
    if way.text is Level.DROPPED:
        return dropped("text", "a text is left out")
    if parts.overlong(part):
        loss = Loss("text", Level.PARTIAL, "a text too long for its formatting to be read is sent as it was written")
        return Outcome(shown=(Words(text=part.text),), losses=(loss,))
    tree = parts.read(part)
    if tree is None or not formats(tree):
        said = Words(text=part.text, source=part) if tree is None else Words(text=text_of(tree))
        return Outcome(shown=(said,) if said.text.strip() else ())
    if way.level(Feature.MENTION) is Level.REJECTED and _mentions_somebody(tree):
        return refused("unsupported", "the network refuses mentions")
    tree, losses = _mentions(tree, way)
    used = formats(tree)
    if rejected := sorted(kind for kind in used if way.format(kind) is Level.REJECTED):
        return refused("unsupported", f"the network refuses text with {', '.join(map(named, rejected))}")
    if not losses and all(way.format(kind) is Level.FULL for kind in used):
        return Outcome(shown=(Words(tree=tree, source=part if parts.media_type(part) == "text/markdown" else None),))
    kept = frozenset(kind for kind in used if way.format(kind) >= Level.PARTIAL)
    shown = reduce(tree, kept)
    left = formats(shown)  # what stood inside something that the network lacks went with it
    levels = sorted((kind, min(way.format(kind), Level.FULL if kind in left else Level.UNSUPPORTED)) for kind in used)
    losses += tuple(Loss(kind, level, _words(kind, level)) for kind, level in levels if level is not Level.FULL)
    return Outcome(shown=(Words(tree=shown) if kept else Words(text=text_of(tree)),), losses=losses)


def _mentions(tree: Tree, way: Way) -> tuple[Tree, tuple[Loss, ...]]:
    """Return ``tree`` without mentions if the network has none; their names stay."""
    if not _mentions_somebody(tree):
        return tree, ()
    level = way.level(Feature.MENTION)
    if level is Level.FULL:
        return tree, ()
    if level is Level.PARTIAL:
        return tree, (Loss(Feature.MENTION, level, "a mention is converted"),)
    unlinked = relink(tree, lambda url: "" if url.startswith(_MENTION) else url)
    return unlinked, (Loss(Feature.MENTION, level, "a mention is sent as a name only"),)


def _mentions_somebody(tree: Tree) -> bool:
    return any(span.link.startswith(_MENTION) for span in spans_of(tree))


def _words(kind: Format, level: Level) -> str:
    if level is Level.PARTIAL:
        return f"{named(kind)} converted"
    return f"{named(kind)} sent as plain words and characters"
