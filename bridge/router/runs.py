"""The router's runs: which positions each opening of its database gave, and so which cursors its history holds.

A run is one opening of the router's database, with a random name and the first position that it may give. A database
that was restored gives positions again that it had given before; it does so in another run, and a cursor names both.
Thus a cursor of what is lost can be told from one of what took its place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from bridge.router.contract import BadRequest, WentBack

BEFORE_RUNS = "0"
"""The run of everything that was accepted before runs were written. A cursor was a bare position then."""

KEPT = 1000
"""Runs that are remembered; a cursor of an older one is as good as none."""

_LONGEST = 64


class Run(NamedTuple):
    """One opening: its name, and the first position that it may give."""

    id: str
    first: int


class Runs:
    """The runs of one history in their order, the last of which goes on."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = tuple(runs)
        self._firsts = [run.first for run in runs]
        self._ends = {run.id: later.first - 1 for run, later in pairwise(runs)}
        self._starts = {run.id: run.first for run in runs}

    @property
    def current(self) -> Run:
        """The run that goes on."""
        return self._runs[-1]

    def cursor(self, position: int) -> str:
        """Return the cursor of a position that this history gave; '' of none (0)."""
        at = bisect_right(self._firsts, position) - 1
        return f"{self._runs[max(at, 0)].id}.{position}" if position > 0 else ""

    def position(self, cursor: str) -> int:
        """Return the position of a cursor; 0 for ''.

        Raises ``BadRequest`` for what is no cursor, ``WentBack`` for one that is not of this history.
        """
        if cursor in ("", "0"):
            return 0
        run, dot, digits = cursor.rpartition(".")
        if len(cursor) > _LONGEST or not digits.isascii() or not digits.isdecimal() or bool(dot) != bool(run):
            raise BadRequest(f"no cursor: {cursor[:_LONGEST]!r}")
        position = int(digits)
        first = self._starts.get(run or BEFORE_RUNS)
        if first is None:
            raise WentBack(f"the router has no history of the cursor {cursor}: its database was lost or is another")
        end = self._ends.get(run or BEFORE_RUNS, position)
        if not first <= position <= end:
            raise WentBack(f"the router's history does not hold the cursor {cursor}: that run ends at {end} here")
        return position
