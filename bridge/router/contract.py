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

from msgspec import Struct, field

from protocol.leg import LegClass

CONTRACT = 2
"""The number of the contract that this file states. Its neighbours must still be understood: N speaks with N-1."""

OLDEST_CONTRACT = 2
"""The oldest number that is still understood. Number 1 had no ``hello``, so nobody speaks it any more."""

FEATURES: tuple[str, ...] = ("founding-anew", "passing-signs", "left")
"""What may be used between two parts that both name it in their ``hello``."""


class Standing(StrEnum):
    """What the router makes of a session at its ``hello``."""

    CURRENT = "current"
    """It follows the last session that the router knows of this endpoint, or is that session itself."""

    FORKED = "forked"
    """It goes on from another session than the last one: the ledger is a copy, and another copy was used since.

    The session is the endpoint's current one from now on; nothing may be sealed under keys of before.
    """

    OLDER = "older"
    """Another session has taken its place: whatever it asks for is refused."""


class Hello(Struct, frozen=True):
    """The first words on every connection.

    ``oldest`` to ``newest`` are the contracts that the endpoint understands. ``session`` is the random name of this
    life of the endpoint on its ledger, ``previous`` that of the one before ('' if there was none). ``revision`` is that
    of the configuration it was started with, ``known`` the cursor of the latest thing that the router told it of: a
    notification or an ``Accepted``.
    """

    oldest: int
    newest: int
    features: tuple[str, ...]
    session: str
    previous: str
    revision: int
    known: str = ""


class HelloAnswer(Struct, frozen=True):
    """How the two speak from now on.

    ``contract`` is the newest that both understand, ``features`` what both have; ``run`` the random name of this
    opening of the router's database; ``acknowledged`` the cursor up to which the endpoint needs nothing any more.
    ``went_back``: the router's history does not hold the cursor that the endpoint knows. ``request_octets`` is how long
    the body of one request may be: a longer ``submit`` or ``publish`` is to be made in several.
    """

    contract: int
    features: tuple[str, ...]
    run: str
    standing: Standing
    acknowledged: str
    went_back: bool = False
    request_octets: int = 32 * 1024 * 1024


class Kind(StrEnum):
    """What a fan-out message carries."""

    APPLICATION = "application"
    COMMIT = "commit"
    WELCOME = "welcome"
    PASSING = "passing"
    """A passing sign (typing): kept by nobody, only for who listens now."""

    LEFT = "left"
    """Endpoints are no longer served in the room: what waited for them there is gone, and they will answer nothing."""


class Envelope(Struct, frozen=True):
    """One message on its way into a room; ``sender`` is the submitting endpoint's URI.

    ``kind`` is ``APPLICATION``, whose ``body`` is an MLSMessage with a PrivateMessage of ``epoch``, or ``PASSING``,
    whose ``body`` is for the members of ``epoch`` to open.
    """

    room: str
    epoch: int
    sender: str
    body: bytes
    kind: Kind = Kind.APPLICATION

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body: what makes a repeated submit the same submit."""
        return hashlib.sha256(self.body).digest()


class Accepted(Struct, frozen=True, tag="accepted"):
    """It is in the journal: the room's ``sequence``, the accepted time in milliseconds, and if it was there before.

    ``cursor`` names its place in the router's history ('' for what takes none).

    The creation of a room and a passing sign take no place in the order: their ``sequence`` is 0.
    """

    sequence: int
    at: int
    repeated: bool = False
    cursor: str = ""


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
    RECIPIENT_FULL = "recipientFull"
    """The router keeps as much for one of the recipients as it may: later, when that one has fetched it."""

    NOT_GRANTED = "notGranted"
    """A leaf without a valid grant of the operator's authority."""

    FORKED = "forked"
    """Another session of this endpoint has taken its place."""

    TOO_MANY = "tooMany"
    """More of something than one endpoint may have, or more of it in this time."""


class Refusal(Struct, frozen=True, tag="refusal"):
    """It is not in the journal, and why; ``epoch`` and ``founding`` are the room's current ones where that helps."""

    code: RefusalCode
    text: str = ""
    epoch: int | None = None
    founding: int | None = None


class HandshakeBundle(Struct, frozen=True):
    """A change of a room's group, as MIMI's ``update`` carries it.

    ``commit`` is an MLSMessage with a PublicMessage; ``welcome`` goes to the endpoints it adds; ``group_info`` is the
    MLSMessage with the GroupInfo of the epoch that the commit makes, ratchet tree included. A bundle without a commit
    founds the room's group from a GroupInfo of epoch 0 whose only member is the submitting endpoint: the first one, or
    one whose GroupContext says a higher founding number than that of the group it supersedes (``bridge.room_context``).
    """

    group_info: bytes
    commit: bytes = b""
    welcome: bytes = b""


class Notification(Struct, frozen=True):
    """One fan-out message.

    ``position`` rises through everything that the router accepts in one run; ``cursor`` names it with its run, and is
    what ``notify`` goes on from. ``sequence`` rises by one in the room. A ``WELCOME`` has the sequence of the commit
    that it belongs to and the epoch joined; everything else the epoch it was made in. A sender is handed its own
    commits, never its own application messages. The body of a ``LEFT`` is a JSON array of the URIs of those who left.

    Passing signs have neither position nor sequence (both are 0) nor cursor, and come in batches of their own.
    """

    position: int
    room: str
    sequence: int
    kind: Kind
    epoch: int
    sender: str
    body: bytes
    at: int
    cursor: str = ""


def position_of(cursor: str) -> int:
    """Return the position that a cursor names, for comparing two cursors of one run; 0 for ''."""
    return int(cursor.rpartition(".")[2] or 0)


class Member(Struct, frozen=True):
    """One leaf of a room's group."""

    endpoint: str
    leaf: int
    leg: LegClass
    namespaces: tuple[str, ...]


class RoomView(Struct, frozen=True):
    """What the router knows of a room: enough to list it, to show its assurance, and to compare it with what
    configuration and ledger say.

    ``founding`` counts how often the room was founded anew, ``revision`` is that of the newest configuration that made
    its members what they are (both as its GroupContext says), ``group_id`` names the group that it has now. ``seen``
    says when the router last heard of each endpoint, a member or not, in milliseconds (0: never).
    """

    room: str
    epoch: int
    members: tuple[Member, ...]
    messages: int
    updated_at: int
    founding: int = 0
    revision: int = 0
    group_id: bytes = b""
    seen: dict[str, int] = field(default_factory=dict)


class RouterError(Exception):
    """The router did not do what it was asked, for a reason that is no ``Refusal``.

    ::

        RouterError
        ├── RouterUnavailable   try again
        │   └── NoHello         say ``hello`` first: this router has not heard one, or not since its own start
        ├── RouterDenied        this endpoint's token is not known to the router
        ├── Forked              another session of this endpoint has taken the place of this one
        ├── WentBack            the router's history does not hold this cursor
        ├── Unintelligible      the two speak no common contract, or the other said something unknown
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


class NoHello(RouterUnavailable):
    """The router has heard no ``hello`` on this connection, or has been started again since."""

    code = "no-hello"


class Forked(RouterError):
    """Another session of this endpoint has said ``hello`` since: this one is refused everything."""

    code = "forked"


class WentBack(RouterError):
    """The router's own history does not hold this cursor: it was restored or lost, or has thrown away what came after.

    What was heard after the last position that both know may be given to other messages now, and what was accepted
    since may be gone. ``''`` is a cursor that every history holds.
    """

    code = "went-back"


class Unintelligible(RouterError):
    """The two speak no common contract, or one said something that the other has no word for. Upgrade the older one."""

    code = "unintelligible"


class BadRequest(RouterError):
    """The router cannot read the request, or it asks for something impossible; a fault of the caller's program."""

    code = "bad-request"


class BlobTooLarge(RouterError):
    """The attachment is over the router's limit; nothing of it was kept."""

    code = "blob-too-large"


def common_contract(hello: Hello, oldest: int = OLDEST_CONTRACT, newest: int = CONTRACT) -> int:
    """Return the newest contract that an endpoint and a router of ``oldest`` to ``newest`` both understand.

    Raises ``Unintelligible``, which says which of the two is to be upgraded.
    """
    contract = min(hello.newest, newest)
    if contract < max(hello.oldest, oldest):
        older = "endpoint" if hello.newest < oldest else "router"
        raise Unintelligible(
            f"the endpoint speaks contracts {hello.oldest} to {hello.newest}, this router {oldest} to {newest}: "
            f"upgrade the {older}"
        )
    return contract


class Router(Protocol):
    """The operations. Every call is authenticated as one endpoint.

    ``hello`` comes first, and again when ``NoHello`` says so. ``RouterUnavailable`` may come out of any call, and
    ``Forked`` out of any after it; ``submit`` and ``update`` say the latter by a ``Refusal``.
    """

    endpoint: str
    """The URI of the endpoint this connection speaks for."""

    async def hello(self, hello: Hello) -> HelloAnswer:
        """Begin, or go on after the router was started again. Raises ``Unintelligible`` without a common contract."""

    async def publish(
        self, key_packages: Sequence[bytes], *, last_resort: bytes | None = None, replace: bool = False
    ) -> int:
        """Add KeyPackages (MLSMessages) that others may claim; return how many unclaimed ones there are now.

        With a ``last_resort``, that one replaces the former and is handed out, again and again, when the rest is gone.
        With ``replace``, none that was there before is handed out any more, the former last resort included.
        """

    async def key_material(self, target: str) -> Sequence[bytes] | Refusal:
        """Claim KeyPackages of ``target`` (keyMaterial), one of each endpoint that it stands for; never none.

        ``target`` is the URI of an endpoint, or of a user: then all who speak for the user. Each package is handed out
        once, bar the last resort.
        """

    async def identifier_query(self, uri: str) -> tuple[str, ...]:
        """Find the endpoints that speak for a user URI (identifierQuery), in a fixed order; there may be none."""

    async def update(self, room: str, bundle: HandshakeBundle) -> Accepted | Refusal:
        """Found a room, found it anew, or change its group (update).

        The first commit of an epoch wins; others get ``WRONG_EPOCH``.
        """

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        """Put messages into the journal (submitMessage), in the given order, each with an answer of its own.

        Durable when it returns. The same body again gets the same answer and is not appended.
        """

    def notify(self, cursor: str) -> AsyncIterator[Sequence[Notification]]:
        """Stream what this endpoint is to have, from after ``cursor`` ('': from the beginning), in batches, for ever.

        A link that breaks is made again from where it broke. The stream ends by ``RouterDenied``, by ``Forked``, by
        ``NoHello`` when the router was started again, by ``WentBack`` if its history does not hold the cursor, and by
        ``Unintelligible`` in front of what this contract has no word for.
        """

    async def acknowledge(self, cursor: str) -> None:
        """Tell the router that everything up to ``cursor`` is safe here; it may forget it. Raises ``WentBack``."""

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
