"""Between the two ways of naming messages: an adapter's ``Message`` with native ids, a MIMI ``Content`` with MIMI ids.

Pure: the id map's answers come in as arguments.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from adapters.contract import Inbound, Message
from protocol import cbor, content
from protocol import extensions as ext
from protocol.content import Content, Disposition, ExternalPart, MultiPart, NullPart, Part, SinglePart
from protocol.degrade import Planned
from protocol.uri import base_network

_EXCERPT = 160  # code points of a message's text that are kept for quoting


class Posted(NamedTuple):
    """A content that is ready to be encrypted."""

    content: Content
    encoded: bytes
    mimi_id: bytes


def salt(secret: bytes, network: str, account: str, native_id: str) -> bytes:
    """Return the salt that makes a message's MIMI id a function of its native id; only the endpoint can tell it."""
    name = b"\x00".join(part.encode() for part in (network, account, native_id))
    return hmac.digest(secret, name, "sha256")[: content.SALT_OCTETS]


def references(message: Message) -> list[str]:
    """Return the native ids that a message names."""
    return [native for native in (message.replaces, message.in_reply_to) if native is not None]


def is_reaction(part: Part) -> bool:
    """Whether the part is a reaction, or several."""
    if isinstance(part, MultiPart):
        return all(is_reaction(inner) for inner in part.parts)
    return part.disposition == Disposition.REACTION


def needs_its_reference(message: Message) -> bool:
    """Whether the message means nothing without the one it names: a deletion or a reaction."""
    return isinstance(message.part, NullPart) or is_reaction(message.part)


def post(
    event: Inbound,
    *,
    salt: bytes,
    sender: str,
    name: str,
    room: str,
    known: Mapping[str, bytes],
    now: int,
    avatar: str = "",
    part: Part | None = None,
) -> Posted:
    """Make the MIMI content of a received message; ``part`` takes the place of its part (attachments sealed).

    A reply to, or an edit of, a message that nobody here knows stands alone. ``now`` is the wall clock in milliseconds.
    Raises ``ProtocolError`` for whatever a receiver would refuse: it must not be accepted first and lost later.
    """
    message = event.message
    ext.check(message.extensions, ext.Setter.ADAPTER)
    extensions: dict[int | str, Any] = {
        **message.extensions,
        ext.SENDER_URI.key: sender,
        ext.ROOM_URI.key: room,
        ext.ORIGIN_NETWORK.key: base_network(event.sender.address.network),
        ext.EXTERNAL_MESSAGE_ID.key: ext.external_id(event.native_id, sender),
    }
    if name:
        extensions[ext.SENDER_NAME.key] = _short(name)
    if ext.SENDER_AVATAR.accepts(avatar):
        extensions[ext.SENDER_AVATAR.key] = avatar
    if event.sent_at is not None and event.sent_at >= 0:  # some clocks tell of times before there were any
        extensions[ext.SENDER_TIMESTAMP.key] = ext.timestamp(event.sent_at)
    ext.check(extensions)
    made = Content(
        salt=salt,
        part=message.part if part is None else part,
        replaces=_named(message.replaces, known),
        topic_id=message.topic,
        expires=message.expires,
        in_reply_to=_named(message.in_reply_to, known),
        extensions=extensions,
    )
    encoded = content.encode(made, now=now // 1000)
    return Posted(made, encoded, content.message_id(encoded, sender, room))


def _named(native_id: str | None, known: Mapping[str, bytes]) -> bytes | None:
    return None if native_id is None else known.get(native_id) or None


class Names(Struct, frozen=True):
    """Who speaks where, as a content says it."""

    sender: str
    room: str
    name: str
    network: str


def names(received: Content) -> Names:
    """Return who a content says it is from ('' where it does not say). Raises ``ExtensionError``."""
    ext.check(received.extensions)
    rows = (ext.SENDER_URI, ext.ROOM_URI, ext.SENDER_NAME, ext.ORIGIN_NETWORK)
    return Names(*(received.extensions.get(row.key, "") for row in rows))


def native_message(received: Content, planned: Planned, known: Mapping[bytes, str]) -> Message:
    """Return one planned message as an adapter is given it, with MIMI ids turned into native ones."""
    return Message(
        part=planned.part,
        replaces=known.get(received.replaces) if planned.keeps_replaces and received.replaces else None,
        in_reply_to=known.get(received.in_reply_to) if planned.keeps_in_reply_to and received.in_reply_to else None,
        topic=received.topic_id,
        expires=received.expires,
        extensions={key: value for key, value in received.extensions.items() if key not in _OWN and _is_plain(value)},
    )


_OWN = frozenset((ext.SENDER_URI.key, ext.ROOM_URI.key, ext.SENDER_NAME.key))
_NAME_OCTETS = 1024


def _is_plain(value: object) -> bool:
    """Whether a value can be kept with a plan: what only CBOR can say (tags, simple values) is for MIMI clients."""
    if isinstance(value, Mapping):
        return all(isinstance(key, int | str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 64
    return value is None or isinstance(value, bool | float | str | bytes)


def _short(name: str) -> str:
    return name.encode(errors="replace")[:_NAME_OCTETS].decode(errors="ignore")


def excerpt(part: Part) -> str:
    """Return the beginning of what a part says, for quoting; '' if it has no text."""
    if isinstance(part, SinglePart):
        return part.content[: 4 * _EXCERPT].decode(errors="ignore")[:_EXCERPT] if _is_text(part) else ""
    if isinstance(part, ExternalPart):
        return part.description[:_EXCERPT] or part.filename[:_EXCERPT]
    if isinstance(part, MultiPart):
        return next((text for text in map(excerpt, part.parts) if text), "")
    return ""


def _is_text(part: SinglePart) -> bool:
    return part.content_type.startswith("text/")


class Failure(NamedTuple):
    """Why something failed: a stable word, and what is known of it, for the operator.

    ``words`` are for people, and safe to be told on another network; '' for the usual ones of the reason.
    """

    reason: str
    text: str
    words: str = ""


def status_content(report: bytes, *, salt: bytes, by: str, room: str, failure: Failure | None = None) -> bytes:
    """Return the encoded content that carries a status report of ``by``."""
    extensions: dict[int | str, Any] = {ext.SENDER_URI.key: by, ext.ROOM_URI.key: room}
    if failure is not None:
        extensions[ext.FAILURE.key] = ext.failure(failure.reason, failure.text[:500])
    part = SinglePart(content_type=content.MIMI_STATUS, content=report, disposition=Disposition.UNSPECIFIED)
    return content.encode(Content(salt=salt, part=part, extensions=extensions))


def failure_of(received: Content) -> Failure:
    """Return why a status report says that something failed."""
    said = ext.FAILURE.of(received.extensions)
    return Failure("", "") if said is None else Failure(said["reason"], said["text"])


def typing_content(*, salt: bytes, sender: str, room: str, name: str, active: bool) -> bytes:
    """Return the encoded content that says that ``sender`` started or stopped typing."""
    extensions: dict[int | str, Any] = {ext.SENDER_URI.key: sender, ext.ROOM_URI.key: room}
    if name:
        extensions[ext.SENDER_NAME.key] = _short(name)
    part = SinglePart(
        content_type=content.TYPING, content=cbor.encode({"active": active}), disposition=Disposition.UNSPECIFIED
    )
    return content.encode(Content(salt=salt, part=part, extensions=extensions))


def is_typing(part: SinglePart) -> bool:
    """Whether a typing part says that typing started. Raises ``CborError``."""
    said = cbor.decode(part.content)
    return isinstance(said, dict) and said.get("active") is True
