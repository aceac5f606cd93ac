"""What the router asks of MLS: bytes in, plain records out, no secret anywhere.

``bridge.router.mls_groups`` answers with ``protocol.mls``. Implementations are pure and may be called from any thread;
they refuse by raising ``protocol.mls.errors.MlsError``. ``now`` is Unix seconds.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from bridge.room_context import RoomContext
from bridge.router.contract import Member


class Header(Struct, frozen=True):
    """What an MLSMessage says outside its encryption."""

    group_id: bytes
    epoch: int


class GroupStep(Struct, frozen=True):
    """A group after a handshake: who made it, whom it added, and the state from which to follow the next one.

    ``context`` is what its GroupContext says of the room, ``before`` what it said until now; None if that makes no
    sense. ``external``: the committer came in, or back, by an external commit (RFC 9420 §12.4.3.2). ``suspects`` are
    members whose leaves no authority has granted, before the handshake.
    """

    group_id: bytes
    epoch: int
    members: tuple[Member, ...]
    committer: str
    added: tuple[str, ...]
    state: bytes
    context: RoomContext | None = None
    before: RoomContext | None = None
    external: bool = False
    suspects: frozenset[str] = frozenset()


class KeyPackageFacts(Struct, frozen=True):
    """What a KeyPackage says: whose it is, for whom it claims to speak, its reference, its end (Unix seconds)."""

    endpoint: str
    namespaces: tuple[str, ...]
    ref: bytes
    expires_at: int


class Groups(Protocol):
    """Follows groups by their handshakes alone."""

    def application(self, body: bytes) -> Header:
        """Read the header of an application message, which must be a PrivateMessage."""

    def commit(self, body: bytes) -> Header:
        """Read the header of a commit, which must be a PublicMessage."""

    def found(self, group_info: bytes, now: int) -> GroupStep:
        """Validate the GroupInfo of a new group; its one member is the committer."""

    def follow(self, state: bytes, commit: bytes, group_info: bytes, now: int) -> GroupStep:
        """Validate a commit against the group as it is, and the GroupInfo against what the commit makes of it."""

    def key_package(self, message: bytes, now: int) -> KeyPackageFacts:
        """Validate a KeyPackage: signatures, lifetime."""
