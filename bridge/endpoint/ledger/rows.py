"""The rows of a ledger, as the endpoint sees them: what is opened, never what is sealed.

Values that hold keys or plaintext are marked as sealed: the engine seals them on the way in and opens them on the way
out.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from msgspec import Struct

Record = tuple[str, str, bytes | None]
"""A small durable value: its space, its name in it, and the value (sealed), or None to delete it."""


class State(IntEnum):
    """How far a message has come; the larger, the later. ``moves`` says which steps are steps forward."""

    QUEUED = 0
    SENT = 1
    DELIVERED = 2
    READ = 3
    UNCERTAIN = 8
    FAILED = 9


def moves(now: State, to: State) -> bool:
    """Whether ``to`` is a step forward: queued < sent < delivered < read, and failed and uncertain are the end.

    What has been delivered can only be read: it cannot fail any more.
    """
    return to > now and (now < State.DELIVERED or to is State.READ) and now < State.UNCERTAIN


class Native(Struct, frozen=True):
    """One line of the id map: ``native_id`` names (a part of) the message ``mimi_id``.

    ``mimi_id`` is empty while the message waits in the inbox: it is known, but not yet translated.
    """

    native_id: str
    mimi_id: bytes = b""


class MessageRow(Struct, frozen=True, kw_only=True):
    """One message in the log: who, where, when and how far; never what was said, but for a short sealed excerpt.

    ``source``: it came from this endpoint's network (else it goes there). ``native_id`` is its first id there ('' until
    there is one). ``at`` is when it was received from the network, or accepted by the router. ``excerpt`` (sealed) is
    the beginning of its text, for networks that cannot reply or react otherwise than by quoting. ``whole`` is the
    message that this one edits, if it does: what is deleted is deleted with its edits.
    """

    mimi_id: bytes
    room: str
    source: bool
    sender: str
    at: int
    native_id: str = ""
    state: State = State.QUEUED
    reason: str = ""
    excerpt: str = ""
    reaction: bool = False
    whole: bytes = b""


class Erased(Struct, frozen=True):
    """A message that ``sender`` (a URI) has deleted. Its words go, if it was theirs; the row of the log stays."""

    mimi_id: bytes
    sender: str


class StatusRow(Struct, frozen=True, kw_only=True):
    """One step in the life of a message: what ``by`` (a URI; '' for this endpoint itself) says has become of it.

    ``who`` is the endpoint whose leaf said so: the one that owed an answer, whomever it speaks for ('' for a step that
    this endpoint took itself).
    """

    mimi_id: bytes
    by: str
    state: State
    at: int
    reason: str = ""
    text: str = ""
    who: str = ""


class OfferRow(Struct, frozen=True, kw_only=True):
    """A message that offered something in words, so that people may answer it in words.

    ``part`` (sealed) is what was offered; ``native_id`` a name of the message on the network. ``at`` is when it was
    delivered. ``open``: nothing has been said to the conversation since, and nobody has answered.
    """

    mimi_id: bytes
    room: str
    native_id: str
    part: bytes
    at: int
    open: bool = True


OFFERS_KEPT = 8
"""How many offers of one room are kept; older ones are forgotten."""


class RoomPhase(StrEnum):
    """How far the endpoint is with a room."""

    WANTED = "wanted"
    """It must be made, or somebody else's Welcome must come."""
    CREATING = "creating"
    """Made here; the router has not said yet that it is ours."""
    WAITING = "waiting"
    """Somebody else made it; their Welcome must come."""
    MEMBER = "member"
    """This endpoint is a member of its group."""


class RoomRow(Struct, frozen=True, kw_only=True):
    """One room. ``conversation`` is this network's side of it, encoded; ``pending`` (sealed) a staged commit of ours.

    ``group_id`` is that of its MLS group, whose records are in the space ``mls/<group id in hexadecimal>``.
    ``founding`` and ``highest_epoch`` are the highest that we were ever in (-1: none); they are never lowered.
    ``complete``: everybody who should be in the room was, once. ``removed``: a commit has removed this endpoint.
    ``reason``, ``since`` (milliseconds) and ``next_step`` say what the room still needs ('' and 0: nothing).
    """

    room: str
    conversation: bytes
    phase: RoomPhase
    name: str = ""
    group_id: bytes = b""
    pending: bytes = b""
    founding: int = -1
    highest_epoch: int = -1
    complete: bool = False
    removed: bool = False
    reason: str = ""
    since: int = 0
    next_step: str = ""


class InboxRow(Struct, frozen=True, kw_only=True):
    """An accepted event (sealed) that waits for its media, or behind one that does."""

    id: int
    conversation: str
    event: bytes
    at: int


class OutboxRow(Struct, frozen=True, kw_only=True):
    """A content (sealed) that the router has not accepted yet, and its newest encryption (``body``, of ``epoch``).

    ``mimi_id`` is empty for status reports. ``epoch`` is -1 while there is no body.
    """

    id: int
    room: str
    content: bytes
    at: int
    mimi_id: bytes = b""
    epoch: int = -1
    body: bytes = b""


class UnansweredRow(Struct, frozen=True, kw_only=True):
    """A message of ours (``content`` sealed) that somebody in its room has not answered yet.

    ``id`` is that of its outbox row, so that what is said again stands where it stood. ``owed`` are the endpoints that
    the router handed it to; empty while the router has not accepted it. At ``deadline`` (milliseconds) it ends for want
    of an answer. ``content`` is empty once its sender has deleted it: then it is never said again.
    """

    id: int
    mimi_id: bytes
    room: str
    content: bytes
    at: int
    deadline: int
    owed: tuple[str, ...] = ()


class Fate(Struct, frozen=True, kw_only=True):
    """What is known of one message: its row, its timeline, and who owed an answer (None once that is over)."""

    message: MessageRow
    steps: tuple[StatusRow, ...] = ()
    owed: tuple[str, ...] | None = None


class DeliveryKind(StrEnum):
    """What is delivered to the network."""

    MESSAGE = "message"
    STATUS = "status"
    LEFT = "left"
    """The endpoint ``sender`` was removed from the room: it will answer nothing any more."""
    AGAIN = "again"
    """A message that is in the log already was said again: its sender is told once more what became of it."""


class DeliveryRow(Struct, frozen=True, kw_only=True):
    """One message or status on its way to the network.

    ``content`` (sealed) is a MIMI content container. ``sender`` is who speaks; of a status, the endpoint whose leaf
    brought it. ``plan`` (sealed) is what was made
    of it at the first attempt, ``part`` how many native messages of that are done, ``sending`` whether the next one was
    on its way when this was written. ``next_at`` is the earliest time of the next attempt, in milliseconds.
    """

    id: int
    mimi_id: bytes
    room: str
    kind: DeliveryKind
    sender: str
    content: bytes
    at: int
    parked: bool = False
    replayed: bool = False
    attempts: int = 0
    next_at: int = 0
    plan: bytes = b""
    part: int = 0
    sending: bool = False
    reason: str = ""
    text: str = ""


class QuarantineKind(StrEnum):
    """What was put aside."""

    EVENT = "event"
    """An event of the adapter; the item is the event, encoded."""
    AWAITING_MEDIA = "awaiting-media"
    """A message that waited for its files, or behind one that did."""
    CONTENT = "content"
    """A content on its way to the router."""
    DELIVERY = "delivery"
    """A message or status on its way to the network."""
    ROOM = "room"
    """A room or its group; the item is empty, for the room's rows stay where they are."""
    NOTIFICATION = "notification"
    """Something the router handed on."""


class QuarantineRow(Struct, frozen=True, kw_only=True):
    """Something that could not be handled (``item``, sealed), put aside so that everything else goes on.

    ``place`` is its room's URI, or its conversation's key ('' if it has none); ``code`` a stable word for the reason,
    ``text`` the reason for people; ``at`` when it was put aside, in milliseconds; ``attempts`` how often it has been
    tried. ``raw``: the item is a row of the ledger as it lay there, because it could not be opened (see ``Damaged``).
    """

    id: int
    kind: QuarantineKind
    place: str
    item: bytes
    code: str
    text: str
    at: int
    attempts: int = 1
    raw: bool = False


QUARANTINE_KEPT = 1000
"""How many things of each kind are kept in quarantine; the oldest go first."""


class Damaged(Struct, frozen=True):
    """A stored row that cannot be read: sealed under another key, changed, moved, or of a newer version.

    ``table`` and ``id`` name it, ``place`` and ``mimi_id`` are what can still be read of it, ``row`` is all of it,
    encoded, fit for ``Change.restored``.
    """

    table: str
    id: int
    place: str
    mimi_id: bytes
    row: bytes
    why: str


class MessageLog(Struct, frozen=True, kw_only=True):
    """A message of the log with its whole timeline, for people."""

    message: MessageRow
    timeline: tuple[StatusRow, ...]
    delivery: DeliveryRow | None = None
