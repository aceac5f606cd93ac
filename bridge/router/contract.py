"""What the router does for endpoints: MIMI's operations by their names (draft-ietf-mimi-protocol-06).

The same handlers stand behind a call in one process (``bridge.router.hub.Hub``) and an authenticated local HTTP
connection (``bridge.router.client.HttpRouter``); an endpoint cannot tell which of the two it holds.

Nothing here can carry plaintext or a key: bodies are MLS messages, as they are on the wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import ClassVar, Protocol

from msgspec import Struct

from protocol.leg import LegClass


class Kind(StrEnum):
    """What a fan-out message carries."""

    APPLICATION = "application"
    COMMIT = "commit"
    WELCOME = "welcome"


class Envelope(Struct, frozen=True):
    """One application message on its way into a room.

    ``body`` is an MLSMessage with a PrivateMessage of ``epoch``; ``sender`` the submitting endpoint's URI. An
    ``ephemeral`` one (typing) reaches the endpoints that listen now and is not kept.
    """

    room: str
    epoch: int
    sender: str
    body: bytes
    ephemeral: bool = False

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body: what makes a repeated submit the same submit."""
        return hashlib.sha256(self.body).digest()


class Accepted(Struct, frozen=True, tag="accepted"):
    """It is in the journal: the room's ``sequence``, the accepted time in milliseconds, and if it was there before.

    The creation of a room and an ephemeral message take no place in the order: their ``sequence`` is 0.
    """

    sequence: int
    at: int
    repeated: bool = False


class RefusalCode(StrEnum):
    """Why the router refuses (the names are MIMI's where MIMI has one)."""

    NOT_ALLOWED = "notAllowed"
    WRONG_EPOCH = "wrongEpoch"
    EPOCH_TOO_OLD = "epochTooOld"
    INVALID_PROPOSAL = "invalidProposal"
    NO_SUCH_ROOM = "noSuchRoom"
    ROOM_EXISTS = "roomExists"
    TOO_LARGE = "tooLarge"
    MALFORMED = "malformed"
    KEY_MATERIAL_EXHAUSTED = "keyMaterialExhausted"
    USER_UNKNOWN = "userUnknown"


class Refusal(Struct, frozen=True, tag="refusal"):
    """It is not in the journal, and why; ``epoch`` is the room's current one where that helps."""

    code: RefusalCode
    text: str = ""
    epoch: int | None = None


class HandshakeBundle(Struct, frozen=True):
    """A change of a room's group, as MIMI's ``update`` carries it.

    ``commit`` is an MLSMessage with a PublicMessage; ``welcome`` goes to the endpoints it adds; ``group_info`` is the
    MLSMessage with the GroupInfo of the epoch that the commit makes, ratchet tree included. A bundle without a commit
    creates the room from a GroupInfo of epoch 0 whose only member is the submitting endpoint.
    """

    group_info: bytes
    commit: bytes = b""
    welcome: bytes = b""


class Notification(Struct, frozen=True):
    """One fan-out message.

    ``position`` rises through everything the router ever accepted and is an endpoint's cursor; ``sequence`` rises by
    one in the room. A ``WELCOME`` has the sequence of the commit that it belongs to and the epoch joined; everything
    else the epoch it was made in. A sender is handed its own commits, never its own application messages.

    Ephemeral messages have neither position nor sequence (both are 0) and come in batches of their own.
    """

    position: int
    room: str
    sequence: int
    kind: Kind
    epoch: int
    sender: str
    body: bytes
    at: int


class Member(Struct, frozen=True):
    """One leaf of a room's group."""

    endpoint: str
    leaf: int
    leg: LegClass
    namespaces: tuple[str, ...]


class RoomView(Struct, frozen=True):
    """What the router knows of a room: enough to list it and to show its assurance."""

    room: str
    epoch: int
    members: tuple[Member, ...]
    messages: int
    updated_at: int


class RouterError(Exception):
    """The router did not do what it was asked, for a reason that is no ``Refusal``.

    ::

        RouterError
        ├── RouterUnavailable   try again
        ├── RouterDenied        this endpoint's token is not known to the router
        ├── BadRequest          the request cannot be read, or asks for something impossible
        └── BlobTooLarge        an attachment over the router's limit
    """

    code: ClassVar[str] = "router"


class RouterUnavailable(RouterError):
    """The router cannot be reached just now; nothing is known to have been accepted. Try again."""

    code = "router-unavailable"


class RouterDenied(RouterError):
    """The router does not know this endpoint's token; trying again will not help."""

    code = "router-denied"


class BadRequest(RouterError):
    """The router cannot read the request, or it asks for something impossible; a fault of the caller's program."""

    code = "bad-request"


class BlobTooLarge(RouterError):
    """The attachment is over the router's limit; nothing of it was kept."""

    code = "blob-too-large"


class Router(Protocol):
    """The operations. Every call is authenticated as one endpoint; ``RouterUnavailable`` may come out of any."""

    endpoint: str
    """The URI of the endpoint this connection speaks for."""

    async def publish(self, key_packages: Sequence[bytes], *, last_resort: bytes | None = None) -> int:
        """Add KeyPackages (MLSMessages) that others may claim; return how many unclaimed ones there are now.

        With a ``last_resort``, that one replaces the former and is handed out, again and again, when the rest is gone.
        """

    async def key_material(self, target: str) -> bytes | Refusal:
        """Claim one KeyPackage of the endpoint ``target`` (keyMaterial), handed out once, bar the last resort."""

    async def identifier_query(self, uri: str) -> str | None:
        """Find the endpoint that speaks for a user URI (identifierQuery), or None."""

    async def update(self, room: str, bundle: HandshakeBundle) -> Accepted | Refusal:
        """Create a room or change its group (update). The first commit of an epoch wins; others get ``WRONG_EPOCH``."""

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        """Put messages into the journal (submitMessage), in the given order, each with an answer of its own.

        Durable when it returns. The same body again gets the same answer and is not appended.
        """

    def notify(self, cursor: int) -> AsyncIterator[Sequence[Notification]]:
        """Stream what this endpoint is to have, from after ``cursor``, in batches, for ever (notify).

        A link that breaks is made again from where it broke; only ``RouterDenied`` ends the stream.
        """

    async def acknowledge(self, cursor: int) -> None:
        """Tell the router that everything up to ``cursor`` is safe here; it may forget it."""

    async def acknowledged(self) -> int:
        """Return the highest cursor this endpoint ever acknowledged (0: none).

        A ledger whose cursor lies behind it is not the one that acknowledged: it is an older copy.
        """

    async def group_info(self, room: str) -> bytes | Refusal:
        """Fetch the current GroupInfo of a room this endpoint may join (groupInfo)."""

    async def rooms(self) -> Sequence[RoomView]:
        """List the rooms this endpoint is a member of."""

    async def put_blob(self, blob: AsyncIterator[bytes]) -> str:
        """Store an attachment's ciphertext; return its SHA-256 in hexadecimal, which is its name.

        Raises ``BlobTooLarge``.
        """

    def get_blob(self, name: str) -> AsyncIterator[bytes]:
        """Stream an attachment's ciphertext. Raises ``KeyError`` if there is none of that name."""
