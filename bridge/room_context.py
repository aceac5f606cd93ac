"""What stands in a room's GroupContext: which conversation it is, for the router and for every member alike.

Two components of the application data dictionary (draft-ietf-mls-extensions), with numbers of our own from the
private range. The first is fixed when the group is founded; the second, the revision of the configuration that made the
members what they are, may rise with any commit. Rooms that were founded before that carry CBOR of ours under MIMI's
numbers for ParticipantListData and RoomMetaData; they are read as founded for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from protocol import cbor

DESCRIPTION = 0xF020
"""The component with everything that is fixed at founding: a CBOR map."""

REVISION = 0xF021
"""The component with the configuration's revision: a CBOR unsigned integer."""

FORMER_PARTICIPANTS = 0x0022
FORMER_METADATA = 0x0023

_LARGEST = 2**53 - 1


class RoomContext(Struct, frozen=True):
    """One room's description.

    ``participants`` are user URIs: the two people of a direct room, nobody of a group (who is in a plumbed room is
    nothing that costs a commit). ``founding`` counts how often the room was founded anew, from 0.
    """

    uri: str
    kind: Literal["direct", "group"]
    name: str
    participants: tuple[str, ...]
    founding: int = 0
    revision: int = 0


class _Former(Struct, frozen=True):
    uri: str
    kind: Literal["direct", "group"]
    name: str


def encode_context(context: RoomContext) -> dict[int, bytes]:
    """Return the components that say it; participants are written in their order, without repetition."""
    fixed = {
        "uri": context.uri,
        "kind": context.kind,
        "name": context.name,
        "participants": sorted(set(context.participants)),
        "founding": context.founding,
    }
    return {DESCRIPTION: cbor.encode(fixed), REVISION: cbor.encode(context.revision)}


def room_context(components: Mapping[int, bytes]) -> RoomContext | None:
    """Read what ``encode_context`` wrote, or what was written before it; None if there is nothing that makes sense."""
    try:
        if DESCRIPTION not in components:
            return _former(components)
        fixed: Any = cbor.decode(components[DESCRIPTION])
        revision: Any = cbor.decode(components[REVISION]) if REVISION in components else 0
        found = msgspec.convert({**fixed, "revision": revision}, RoomContext)
    except (cbor.CborError, msgspec.ValidationError, TypeError, KeyError):
        return None
    counts = (found.founding, found.revision)
    sound = all(0 <= count <= _LARGEST for count in counts) and list(found.participants) == sorted(
        set(found.participants)
    )
    return found if sound else None


def _former(components: Mapping[int, bytes]) -> RoomContext | None:
    said: Any = cbor.decode(components[FORMER_METADATA])
    people: Any = cbor.decode(components[FORMER_PARTICIPANTS])
    meta = msgspec.convert(said, _Former)
    users = msgspec.convert(people["users"], tuple[str, ...])
    return RoomContext(meta.uri, meta.kind, meta.name, tuple(sorted(set(users))))
