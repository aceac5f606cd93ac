"""The contract between Rialto and an adapter: five methods, five outcomes, and optional protocols.

An adapter translates between one network and MIMI content and carries the result there and back. It never sees the
ledger, the queue, retries, MLS or a MIMI message id: messages are named by their native ids on both sides of this
contract, and the endpoint's id map turns one into the other.

Life of an adapter, as the endpoint drives it, in one asyncio loop::

    open ──> receive (one task, for as long as the account is open)
         ──> send / report / typing   (one at a time for each conversation, many conversations side by side)
         ──> close

Every call has an end: what has not returned when its time is over (``CALL_SECONDS``, and ``FILE_SECONDS`` for a
``send`` with a file) is cancelled, and a ``send`` is then ``Unsure``. Some seconds before that a call that hangs no
longer counts among those that may run side by side, so that it holds up its own conversation only. An adapter must let
itself be cancelled: what does not end then is left alone, and is a defect.

Outcomes that ``send`` and ``report`` may raise; anything else that they raise is logged as a defect of the adapter
and treated as ``Unsure``::

    Outcome
    ├── Retry          nothing was delivered; try again, after ``after`` seconds if given, else with back-off
    │   └── Unreachable    the network cannot be reached at all, which says nothing of this message: only age ends it
    ├── Throttled  nothing was delivered; the network says to wait ``after`` seconds, this account sends nothing sooner
    ├── Permanent  nothing was delivered and nothing ever will be; ``reason`` is a stable word for the sender
    ├── Unsure     the network may or may not have taken it
    └── SignedOut  the account must be signed in again; everything waits until ``action`` is done
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from aiohttp import web
from msgspec import Struct, field

from protocol.capabilities import Capabilities
from protocol.content import Expiration, ExternalPart, Part
from protocol.leg import LegClass
from protocol.status import Status
from protocol.uri import Address

CALL_SECONDS = 120.0
"""How long a call into an adapter may take."""
FILE_SECONDS = 900.0
"""How long a ``send`` of a message with a file may take."""

Cursor: TypeAlias = str
"""Where ``receive`` goes on after a restart: opaque to everybody but the adapter."""

ConfigT = TypeVar("ConfigT")


# --- who and where ----------------------------------------------------------------------------------------------------


class AdapterInfo(Struct, frozen=True):
    """What an adapter is.

    ``id`` is the network's name in addresses, URIs and configuration (``xmpp``); ``name`` is for people; ``config`` is
    the msgspec struct that the account's table in ``rialto.toml`` is read into, with ``forbid_unknown_fields``; if it
    has a property ``exclusive``, a tuple of texts, no two accounts of this adapter may have one in common (``*`` stands
    for anything), and ``rialto check`` says so. ``leg`` is the class that its endpoint's leaves claim unless the
    operator states another: where plaintext exists on the way between this adapter and its users' devices.
    """

    id: str
    name: str
    config: type[Struct]
    leg: LegClass = LegClass.OPEN


class Profile(Struct, frozen=True):
    """A person as others see them: the address, the name to show ('' if unknown), a reference to an avatar."""

    address: Address
    name: str = ""
    avatar: str = ""


class Direct(Struct, frozen=True, tag="direct"):
    """A conversation of two: ``local`` is on the adapter's own network, ``peer`` on another.

    The adapter finds or makes the native chat of the two by itself, whichever of them speaks first.
    """

    local: Address
    peer: Address

    @property
    def key(self) -> str:
        """A stable name of this conversation, unique within the account."""
        return f"{self.local}|{self.peer}"


class Group(Struct, frozen=True, tag="group"):
    """A native room (a MUC, a Matrix room) that the configuration plumbs to a Rialto room."""

    id: str

    @property
    def key(self) -> str:
        """A stable name of this conversation, unique within the account."""
        return self.id


Conversation: TypeAlias = Direct | Group


class Store(Protocol):
    """Small durable state of one account, sealed at rest; every call is committed when it returns."""

    async def get(self, key: str) -> bytes | None:
        """Return the value under ``key``, or None."""

    async def put(self, key: str, value: bytes) -> None:
        """Set the value under ``key``."""

    async def delete(self, key: str) -> None:
        """Forget ``key``; no error if it is not there."""

    async def scan(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        """Return all keys with this prefix and their values, in order of the key."""


class Account(Struct, Generic[ConfigT]):
    """One signed-in identity of an adapter, handed to ``open``.

    ``name`` is the account's (and the endpoint's) name in the configuration; ``config`` its settings; ``store`` its
    durable state; ``groups`` the native rooms that the configuration plumbs, which the adapter joins and keeps joined;
    ``now`` the wall clock in milliseconds since 1970.

    ``network`` is the network of this account's own people in every ``Address`` that the adapter makes: the adapter's
    id for the network's first account, ``id.name`` for another one. Whoever bears any other network is somebody else's
    person, even where that is another account of the same network.
    """

    name: str
    config: ConfigT
    store: Store
    groups: tuple[str, ...] = ()
    now: Callable[[], int] = field(default=lambda: 0)
    network: str = ""


# --- from the network -------------------------------------------------------------------------------------------------


class Message(Struct, frozen=True):
    """What was said, with other messages named by their native ids: MIMI content as an adapter sees it.

    ``part`` is the body. ``replaces`` names the *first* version of the message that this one edits or, with a
    ``NullPart``, deletes (a reaction that is withdrawn is deleted the same way). ``in_reply_to`` names the message
    this one answers or reacts to. ``extensions`` are MIMI extensions beside the ones that the endpoint sets.

    A file is an ``ExternalPart``. From an adapter its ``url`` is whatever the adapter's ``fetch`` understands
    (``https://...``, ``mxc://...``, a media id) and ``enc_alg`` is 0. To an adapter it is what ``Delivery.open``
    understands.
    """

    part: Part
    replaces: str | None = None
    in_reply_to: str | None = None
    topic: bytes = b""
    expires: Expiration | None = None
    extensions: Mapping[int | str, Any] = {}


class Refused(Exception):
    """The endpoint could not accept something that was received; ``reason`` is a stable word for its sender.

    Reasons: ``unknown-conversation`` (no such person or room), ``too-large``, ``not-allowed`` (the sender may not
    write there), ``too-many`` (more than the bridge takes of one sender, room or account in this time), ``invalid``.
    The adapter tells the native sender in the network's own way; not if it is ``quiet``, for then they were told a
    moment ago, unless somebody waits for an answer as in HTTP.
    """

    def __init__(self, reason: str, text: str = "", *, quiet: bool = False) -> None:
        super().__init__(text or reason)
        self.reason = reason
        self.quiet = quiet


Acknowledge: TypeAlias = Callable[[Refused | None], None]
"""Called once by the endpoint, in the loop: with None when the event is durable (only then may the network be told
"received"), or with what was wrong with it. It must not block and must not raise."""


class Inbound(Struct, frozen=True, kw_only=True):
    """One message from the network, already translated by the adapter's pure codec.

    ``native_id`` is what the network calls it, unique within the account for ever: a second ``Inbound`` with the same
    one is acknowledged and dropped. Where a network lets senders give one id again (a stanza's in XMPP, RFC 6120
    §8.1.3), the adapter makes it unique, with a digest of what was said. ``aliases`` are other ids that later events
    may call it by; one that another message had means the newer one from now on. ``cursor`` is committed
    together with the message; None leaves the last one. ``sent_at`` is the network's own time in milliseconds.
    """

    native_id: str
    conversation: Conversation
    sender: Profile
    message: Message
    cursor: Cursor | None = None
    aliases: tuple[str, ...] = ()
    sent_at: int | None = None
    acknowledge: Acknowledge = lambda _: None


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of messages that the network had taken: those named and, for ``READ``, tacitly all before them.

    ``status`` is ``DELIVERED`` or ``READ`` when ``sender`` has received or read them. It is ``ERROR`` when the network
    says that they will not arrive after all: then ``reason`` is one of ``Reason``, and ``text`` says more, for the
    operator. It counts only for what was ``sent`` so far: what has been delivered cannot fail any more.
    """

    conversation: Conversation
    sender: Profile
    native_ids: tuple[str, ...]
    status: Status
    reason: str = ""
    text: str = ""
    cursor: Cursor | None = None
    acknowledge: Acknowledge = lambda _: None


class TypingNotice(Struct, frozen=True, kw_only=True):
    """``sender`` started (``active``) or stopped typing; never stored, lost without harm."""

    conversation: Conversation
    sender: Profile
    active: bool


class Alias(Struct, frozen=True, kw_only=True):
    """The network has given another id to a message that is known already, sent or received.

    An XMPP room reflects what was sent there with a ``stanza-id`` of its own: later replies name it by that.
    """

    native_id: str
    alias: str


Event: TypeAlias = Inbound | Receipt | TypingNotice | Alias


# --- to the network ---------------------------------------------------------------------------------------------------


class Delivery(Struct, frozen=True, kw_only=True):
    """One native message on its way to one conversation, after degradation to what the conversation can show.

    ``sender`` is the person who speaks (on another network, or a member of a plumbed room). ``at`` is when the router
    accepted it, in milliseconds. ``open(part)`` streams the plaintext of one of its ``ExternalPart``s; it raises
    ``Permanent`` when the attachment cannot be opened and ``Retry`` when it cannot be fetched just now.
    ``attempt`` counts from 1. A second call with the same key has exactly the same content.
    """

    conversation: Conversation
    sender: Profile
    message: Message
    at: int
    attempt: int = 1
    open: Callable[[ExternalPart], AsyncIterator[bytes]]


class Sent(Struct, frozen=True):
    """The network has taken a delivery and said so.

    ``native_id`` is the id by which edits, replies, reactions and receipts will name it on this network; ``aliases``
    are further ids it may be called by. ``delivered``: it has arrived already, for who took it is the recipient, or the
    server that keeps their messages for them, or the room it was said in. Otherwise it is ``sent`` until a ``Receipt``
    says more, and for good if none comes.
    """

    native_id: str
    aliases: tuple[str, ...] = ()
    delivered: bool = False


class StatusUpdate(Struct, frozen=True, kw_only=True):
    """News for the native sender of ``native_id``: how far it has come to ``by``, the person on the other side.

    ``status`` is ``SENT`` (its network has taken it), ``DELIVERED``, ``READ`` or ``ERROR``; with ``ERROR``, ``reason``
    is a stable word (``uncertain`` when nobody can know whether it arrived) and ``text`` says it to a person. ``by`` is
    None when it concerns everybody. A message that had failed and was sent again by an operator may be told ``SENT`` or
    ``DELIVERED`` after its ``ERROR``: ``reason`` is then ``replayed``.
    """

    conversation: Conversation
    native_id: str
    status: Status
    at: int
    by: Profile | None = None
    reason: str = ""
    text: str = ""


class Outcome(Exception):
    """Why ``send`` did not simply succeed; the module's docstring draws the family."""

    code: ClassVar[str] = "outcome"


class Retry(Outcome):
    """Nothing was delivered; try again after ``after`` seconds, or with the endpoint's own back-off when None."""

    code = "retry"

    def __init__(self, text: str = "", after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class Unreachable(Retry):
    """The network cannot be reached: no connection, no stream, its server is being restarted.

    That says nothing of the message, so it is no attempt at it: it waits until the network shows life (something else
    arrives there, or comes from there), and only its age ends it.
    """

    code = "unreachable"


class Throttled(Outcome):
    """Nothing was delivered; the network asks for ``after`` seconds without another call from this account."""

    code = "throttled"

    def __init__(self, after: float, text: str = "") -> None:
        super().__init__(text)
        self.after = after


class Permanent(Outcome):
    """Nothing was delivered and trying again cannot help; ``reason`` is one of ``Reason``."""

    code = "permanent"

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(text or reason)
        self.reason = reason


class Unsure(Outcome):
    """The network may or may not have taken it: the answer was lost.

    If the adapter's sends are idempotent (``Capabilities.idempotent_send``) the endpoint tries again with the same
    key. Otherwise it asks ``Reconcile`` if the adapter has it, and failing that ends the delivery as ``uncertain``.
    """

    code = "unsure"

    def __init__(self, hint: str = "") -> None:
        super().__init__(hint)
        self.hint = hint


class SignedOut(Outcome):
    """The account is no longer signed in; ``action`` tells the operator what to do. Nothing is lost meanwhile."""

    code = "signed-out"

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action


class Reason(StrEnum):
    """Why a delivery failed, in words that stay (the vocabulary follows the Sinch Conversation API)."""

    RECIPIENT_UNKNOWN = "recipient-unknown"
    RECIPIENT_UNREACHABLE = "recipient-unreachable"
    NOT_ALLOWED = "not-allowed"
    WINDOW_CLOSED = "window-closed"
    UNSUPPORTED = "unsupported"
    MEDIA_UNREACHABLE = "media-unreachable"
    MEDIA_TOO_LARGE = "media-too-large"
    MEDIA_REFUSED = "media-refused"
    TOO_LARGE = "too-large"
    EXPIRED = "expired"
    DELETED = "deleted"
    REJECTED = "rejected"
    UNCERTAIN = "uncertain"
    LEFT = "left"
    """The recipient's side is no longer in the room."""
    ATTACHMENT_LOST = "attachment-lost"
    """The message was said again after the router had lost it, and its file is gone."""


REPLAYED = "replayed"
"""What stands for a reason where a message that had failed was sent again by an operator, and has arrived."""


# --- the five methods -------------------------------------------------------------------------------------------------


@runtime_checkable
class Adapter(Protocol[ConfigT]):
    """One network. The class is constructed without arguments, once for each account."""

    info: ClassVar[AdapterInfo]

    async def open(self, account: Account[ConfigT]) -> None:
        """Sign in and be ready to send. Called once, before anything else.

        Reconnecting after that is the adapter's own affair: ``open`` returns when the first attempt succeeded, raises
        ``Retry`` when the network cannot be reached (the endpoint calls it again) and ``SignedOut`` when the
        credentials are refused.
        """

    async def capabilities(self, conversation: Conversation) -> Capabilities:
        """Say what this conversation can show, both ways. Called for each delivery: answer from memory."""

    def receive(self, cursor: Cursor | None) -> AsyncIterator[Event]:
        """Yield what arrives, for ever, from ``cursor`` on (None: from now on).

        Called once after ``open``. The endpoint takes events as fast as they come and commits many together, so an
        event may be acknowledged long after the next one was taken; acknowledgements of one conversation come in
        order. Must not be left by an exception while the account can be reconnected.
        """

    async def send(self, delivery: Delivery, key: str) -> Sent:
        """Carry one message to the network and return when the network has taken it.

        ``key`` (up to 64 characters of ``[A-Za-z0-9._-]``) is the same for every attempt at this message and for no
        other. Never called twice at once for one conversation. Raises an ``Outcome``.
        """

    async def close(self) -> None:
        """Sign out of the network and stop every task. May be called twice; never raises."""


# --- optional protocols, found by isinstance --------------------------------------------------------------------------


@runtime_checkable
class Media(Protocol):
    """The network has files of its own: ``receive`` yields ``ExternalPart``s that only the adapter can fetch."""

    def fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        """Stream the plaintext of a part that this adapter yielded, perhaps before a restart.

        Raises ``Retry`` or ``Permanent`` before or between chunks.
        """


@runtime_checkable
class Receipts(Protocol):
    """The network can show its users what became of a message they sent."""

    async def report(self, update: StatusUpdate, key: str) -> None:
        """Show one status. Ordered with the deliveries of its conversation and retried like them."""


@runtime_checkable
class Typing(Protocol):
    """The network shows who is typing."""

    async def typing(self, conversation: Conversation, sender: Profile, active: bool) -> None:
        """Show that ``sender`` started or stopped typing. Tried once; raises an ``Outcome``, which is ignored."""


@runtime_checkable
class Reconcile(Protocol):
    """The network can be asked whether it took a message."""

    async def reconcile(self, delivery: Delivery, key: str) -> Sent | None:
        """Say what became of a send that ended ``Unsure``: its ``Sent``, or None if it surely did not arrive.

        Raises ``Unsure`` when even that cannot be known, ``Retry`` when the network cannot be asked just now.
        """


@runtime_checkable
class Webhooks(Protocol):
    """The network, or a business, calls us over HTTP."""

    def routes(self) -> Iterable[web.RouteDef]:
        """Give the routes that the endpoint mounts on its one server. Called once, after ``open``."""


@runtime_checkable
class Health(Protocol):
    """The adapter knows whether its link is alive."""

    def health(self) -> Mapping[str, object]:
        """Answer from memory: ``connected`` (bool) and whatever helps an operator. No secrets, no bodies."""
