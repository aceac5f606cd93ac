"""Who may go on with a group's sending ratchet: the session that put it away, once, and nobody else.

A session is one life of one endpoint on its ledger. What it unloads carries its name and a number that it remembers in
memory only, so records that were copied, restored or read twice open nothing.
"""

from __future__ import annotations

from itertools import count


class Session:
    """One life of one endpoint; ``id`` is drawn at its start."""

    __slots__ = ("_away", "_numbers", "id")

    def __init__(self, id_: bytes) -> None:
        """Begin a session under a fresh random id of at least 16 octets."""
        self.id = id_
        self._numbers = count(1)
        self._away: dict[bytes, int] = {}

    def put_away(self, group_id: bytes) -> int:
        """Note that a group is unloaded; return the number that its records must name to be gone on with."""
        number = self._away[group_id] = next(self._numbers)
        return number

    def take_back(self, group_id: bytes, session: bytes, number: int) -> bool:
        """Say whether records of this session and number are the last that it put away; they are so only once."""
        return session == self.id and self._away.pop(group_id, 0) == number
