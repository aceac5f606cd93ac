"""What a room is, and that it stays so: rules that the router keeps and every member checks again.

A room's kind, URI, participants and founding number are fixed when its group is founded; the revision of the
configuration that made its members what they are only rises. The URI of a direct room is computed from its two people,
so nobody can found one under another name, or pass another conversation off as theirs.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from msgspec import structs

from bridge.room_context import RoomContext
from protocol.uri import room_uri

FOUNDING_STEP = 1_000_000
"""How far a founding number may rise at once. Without a bound, one member could use up all that will ever be."""


def direct_uri(domain: str, users: Iterable[str]) -> str:
    """Return the URI of the direct room of two users, given by their URIs: everybody computes the same one."""
    digest = hashlib.sha256("\n".join(sorted(users)).encode()).digest()
    return room_uri(domain, base64.b32encode(digest).decode()[:26].lower())


def unsound(context: RoomContext | None, room: str, domain: str) -> str:
    """Say what is wrong with the description of a group that is founded as ``room``; '' if nothing is."""
    if context is None:
        return "a room says what it is in its GroupContext"
    if context.uri != room:
        return f"a group of {context.uri} is not {room}'s"
    if context.kind == "direct":
        if len(context.participants) != 2:
            return f"a direct room has two people, not {len(context.participants)}"
        if direct_uri(domain, context.participants) != room:
            return f"{room} is not the room of {' and '.join(context.participants)}"
    return ""


def changed(before: RoomContext | None, after: RoomContext | None) -> str:
    """Say what a commit may not have done to a room's description; '' if all is well."""
    if before is None or after is None:
        return "a room says what it is in its GroupContext"
    if after.revision < before.revision:
        return f"the configuration's revision went back from {before.revision} to {after.revision}"
    if structs.replace(after, revision=before.revision) != before:
        return "what a room is, is fixed when it is founded"
    return ""


def supersedes(before: int, founding: int) -> bool:
    """Say whether a group of this founding number may take the place of one of the number ``before`` (-1: of none)."""
    return before < founding <= max(before, 0) + FOUNDING_STEP
