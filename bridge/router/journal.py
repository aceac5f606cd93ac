"""The journal: everything the router must not forget, behind one interface.

An engine decides membership, epoch and repetition in the same transaction in which it gives a message its place, so the
order it tells is the order it kept. Engines are interchangeable: one that passes the conformance suite
(``tests/unit/router/journal_suite.py``) will do. ``bridge.router.sql`` is the one there is, on SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from bridge.router.contract import Accepted, Envelope, Kind, Member, Notification, Refusal, RoomView, Standing
from bridge.router.runs import Runs


class RoomState(Struct, frozen=True):
    """A room as the journal holds it; ``group`` is the serialised public group, which the journal does not read."""

    room: str
    group_id: bytes
    epoch: int
    members: tuple[Member, ...]
    group: bytes
    founding: int = 0

    def holds(self, endpoint: str) -> bool:
        """Say whether ``endpoint`` has a leaf here."""
        return any(member.endpoint == endpoint for member in self.members)


class Post(Struct, frozen=True):
    """Something to put into a room's order, and the endpoints that get it."""

    kind: Kind
    epoch: int
    body: bytes
    recipients: tuple[str, ...]


class RoomChange(Struct, frozen=True):
    """What a room becomes, with the posts that tell its members."""

    group_id: bytes
    epoch: int
    members: tuple[Member, ...]
    group: bytes
    group_info: bytes
    posts: tuple[Post, ...] = ()
    founding: int = 0
    revision: int = 0


class Fanned(NamedTuple):
    """A notification that has just become durable, and whose inboxes it is in."""

    notification: Notification
    recipients: tuple[str, ...]


class KeyPackageRecord(Struct, frozen=True):
    """A KeyPackage to keep: its reference, its MLSMessage and when it expires (milliseconds)."""

    ref: bytes
    body: bytes
    expires_at: int


Decide = Callable[[RoomState | None], RoomChange | Refusal]
"""Judge a change of a room, given its present state (None: there is no such room).

Runs inside the engine's transaction, in another thread: it must be pure.
"""

Deliver = Callable[[Sequence[Fanned]], None]
"""Hear what has become durable, on the event loop, in rising position."""


class Journal(Protocol):
    """The engine. Times are milliseconds and come from the caller; an accepted time is never before its room's last.

    Every method that changes something returns after it is durable. Endpoints must have been enrolled.
    """

    @property
    def runs(self) -> Runs:
        """The runs of this history; every notification and answer names its cursor by them."""

    async def start(self, deliver: Deliver) -> None:
        """Open the engine and begin a run; from now on ``deliver`` hears of everything accepted.

        Raises ``StorageError``.
        """

    async def stop(self) -> None:
        """Finish what is under way and close."""

    async def enrol(self, endpoints: Sequence[str], now: int = 0) -> None:
        """Make these endpoints known; those that are stay as they are, but for being ``dismiss``-ed.

        Who was never heard of counts from ``now`` on.
        """

    async def greet(self, endpoint: str, session: str, previous: str, now: int) -> Standing:
        """Judge an endpoint's session by the ones that it had; it is the current one then, unless it is ``OLDER``.

        A session that never asked for anything (``use``) does not count: the one before it is as good.
        """

    async def append(
        self, envelopes: Sequence[Envelope], now: int, groups: Sequence[bytes] = ()
    ) -> Sequence[Accepted | Refusal]:
        """Give each envelope its place, in the given order, or say why not.

        The sender must have a leaf in the room and the epoch must be the room's; so must the group, where ``groups``
        says to which each envelope belongs. A body that the room has accepted before is answered as it was then,
        whatever the epoch now. When a recipient's inbox is full, what the sender wants to put into the room behind it
        is refused as well, so that order is kept.
        """

    async def change(self, room: str, sender: str, digest: bytes, now: int, decide: Decide) -> Accepted | Refusal:
        """Create a room or move it on, as ``decide`` says; ``digest`` identifies the request, should it be repeated."""

    async def dismiss(self, endpoints: Sequence[str], now: int) -> None:
        """Serve these endpoints no longer: what waits for them is gone, and whoever shares a room with them hears it.

        Those that are dismissed already stay so; being enrolled again ends it.
        """

    async def lost(self, endpoint: str) -> int:
        """Return the highest position that was taken from the endpoint's inbox before it had it (0: none was)."""

    async def seen(self) -> Mapping[str, int]:
        """Return when each endpoint was last heard of, in milliseconds (0: never)."""

    async def use(self, endpoint: str, now: int) -> None:
        """Note that the endpoint's current session has asked for something, and that it was heard of."""

    async def blob_octets(self, endpoint: str) -> int:
        """Return how many octets of attachments the endpoint has stored that are not forgotten yet."""

    async def note_blob(self, endpoint: str, name: str, size: int, now: int) -> None:
        """Note that the endpoint has stored an attachment."""

    async def fetch(self, endpoint: str, after: int, limit: int) -> Sequence[Notification]:
        """Return up to ``limit`` of what is in the endpoint's inbox after a position, in order, a few MiB at most."""

    async def acknowledge(self, endpoint: str, position: int) -> None:
        """Note that the endpoint needs nothing up to ``position`` any more. It never goes back."""

    async def acknowledged(self, endpoint: str) -> int:
        """Return the position up to which the endpoint needs nothing any more (0: it has said nothing yet)."""

    async def room(self, room: str) -> RoomState | None:
        """Return a room's state."""

    async def group_info(self, room: str) -> bytes | None:
        """Return the GroupInfo of a room's current epoch."""

    async def rooms(self, endpoint: str | None = None) -> Sequence[RoomView]:
        """List the rooms, or those in which ``endpoint`` has a leaf, by name."""

    async def message(self, room: str, sequence: int) -> Notification | None:
        """Return what has this place in the room's order; of a commit and its Welcome, the commit. For inspection."""

    async def publish(
        self,
        endpoint: str,
        packages: Sequence[KeyPackageRecord],
        last_resort: KeyPackageRecord | None,
        now: int,
        *,
        replace: bool = False,
    ) -> int:
        """Keep KeyPackages, replace the last resort if one is given, and return how many are there to be claimed.

        The last resort does not count, and a reference that was ever kept before is not kept again. With ``replace``,
        none that was there before is handed out any more.
        """

    async def claim(self, endpoint: str, now: int) -> bytes | None:
        """Hand out the oldest unexpired KeyPackage for the first and only time, or else the last resort."""

    async def prune(
        self, now: int, *, bodies_after: int, receipts_after: int, unfetched_after: int, blobs_after: int
    ) -> int:
        """Forget what is no longer needed, without ever holding messages up for long; return how many things it was.

        Bodies go when every recipient has acknowledged them and they are older than ``bodies_after`` milliseconds; what
        is left, which answers a repeated submit, when it is older than ``receipts_after``, at the next pruning;
        KeyPackages a while after they expired. What a recipient has not acknowledged ``unfetched_after`` milliseconds
        after it was accepted is taken from its inbox (``lost``). The notes on attachments go after ``blobs_after``.
        """
