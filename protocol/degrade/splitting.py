"""Long text in pieces that a network takes, cut where a reader would cut it.

A cut falls at the end of a paragraph if one lies in the second half of what fits, else at the end of a line, else
between words, else between characters as people see them (grapheme clusters of UAX #29, so no emoji falls apart).
Only a cluster that alone is longer than the limit is cut inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

import regex

from protocol.capabilities import Unit
from protocol.richtext.tree import clean

_CLUSTER: Final = regex.compile(r"\X")
_MAX_UNITS: Final = {Unit.CODE_POINTS: 1, Unit.UTF16: 2, Unit.UTF8: 4}
ELLIPSIS: Final = "…"
_TURNS: Final = regex.compile("[\u202a-\u202e\u2066-\u2069]")
"""Embeddings, overrides and isolates (UAX #9); left open, they would change the direction of what others say."""


def split(text: str, limit: int | None, unit: Unit) -> Iterator[str]:
    """Yield the pieces of ``text``, each at most ``limit`` long and none empty; blanks at a cut are left out.

    ``limit`` must be at least 1. A code point that is longer than the limit becomes a question mark.
    """
    rest = text.strip("\n")
    while rest and limit is not None and not _fits(rest, limit, unit):
        cut = first(rest, limit, unit)
        if piece := rest[:cut].rstrip() if cut else "?":
            yield piece
        rest = rest[cut or 1 :].lstrip()
    if rest:
        yield rest


def first(text: str, limit: int, unit: Unit) -> int:
    """Return where the first piece of ``text``, which is too long, ends; 0 if not even one code point fits."""
    return _cut(text, _longest(text, limit, unit))


def shorten(text: str, limit: int | None, unit: Unit = Unit.CODE_POINTS) -> str:
    """Return ``text``, or as much of it as fits with an ellipsis at its end; nothing if only that would fit."""
    if limit is None or _fits(text, limit, unit):
        return text
    room = max(limit - unit.length(ELLIPSIS), 0)
    kept = text[: _longest(text, room, unit)].rstrip()
    return kept + ELLIPSIS if kept else ""


def excerpt(text: str, limit: int = 80) -> str:
    """Return the beginning of ``text`` on one line, without what could not be written, or turns what comes after it."""
    return shorten(" ".join(_TURNS.sub("", clean(text[: 4 * limit])).split()), limit)


def _fits(text: str, limit: int, unit: Unit) -> bool:
    return len(text) * _MAX_UNITS[unit] <= limit or (len(text) <= limit and unit.length(text) <= limit)


def _longest(text: str, limit: int, unit: Unit) -> int:
    """Return how many code points of ``text`` fit, whole clusters if there is one that does."""
    room = unit.fitting(text, limit)
    start = room  # between two ASCII characters there is always a boundary of clusters, so look on from there
    while start and not (text[start - 1].isascii() and text[start].isascii()):
        start -= 1
    ends = (cluster.end() for cluster in _CLUSTER.finditer(text, start, room + 1))  # a boundary needs one more to see
    whole = max(takewhile(lambda end: end <= room, ends), default=start)
    return whole or room


_PARAGRAPH, _LINE, _WORD = (regex.compile(end, regex.REVERSE) for end in (r"\n\s*\n", r"\n", r"\s"))


def _cut(text: str, room: int) -> int:
    """Return where to cut the first ``room`` code points of ``text``."""
    for end in (_PARAGRAPH, _LINE):
        if (last := _last(end, text, room)) > room // 2:
            return last
    if text[room].isspace():
        return room
    last = _last(_WORD, text, room)
    return last if last > room // 2 else room


def _last(end: regex.Pattern[str], text: str, room: int) -> int:
    found = end.search(text, 0, room)
    return found.end() if found else 0
