"""What the router's own configuration says of rooms: which endpoints belong into which, and since which revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from bridge.room_context import RoomContext
from bridge.router.grants import Grants

DAY = 24 * 3600 * 1000
"""Milliseconds."""


def no_records(room: str) -> frozenset[str] | None:
    """Know of no rooms that were made while running."""
    del room
    return None


class RoomConfiguration(Struct, frozen=True):
    """The plumbed rooms, by their URIs, with the URIs of the endpoints that belong into each.

    ``revision`` is that of the file. ``records`` answers for rooms that were made while running and that no file names
    (None: there is no valid record of it either). ``away`` milliseconds after an endpoint was last heard of, anybody
    may remove its leaves.
    """

    rooms: Mapping[str, frozenset[str]] = field(default_factory=dict)
    revision: int = 0
    away: int = 30 * DAY
    records: Callable[[str], frozenset[str] | None] = no_records

    def named(self, context: RoomContext, grants: Grants) -> frozenset[str] | None:
        """Return the endpoints that belong into a room: of a direct one, those that speak for its two people.

        None for a room that nothing here names.
        """
        if context.kind == "direct":
            return frozenset(endpoint for user in context.participants for endpoint in grants.speakers(user))
        found = self.rooms.get(context.uri)
        return self.records(context.uri) if found is None else found
