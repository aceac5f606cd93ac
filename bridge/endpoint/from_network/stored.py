"""Events as the ledger keeps them: messages that wait for their files, and whatever is put aside."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from adapters.contract import Alias, Conversation, Event, Inbound, Message, Profile, Receipt
from protocol.status import Status

_SHOWN = 2000  # characters of what cannot be encoded that are kept of it


class Stored(Struct, frozen=True):
    """A received message as the inbox keeps it."""

    native_id: str
    aliases: tuple[str, ...]
    conversation: Conversation
    sender: Profile
    message: Message
    sent_at: int | None


class StoredReceipt(Struct, frozen=True):
    """A receipt that was put aside."""

    conversation: Conversation
    sender: Profile
    native_ids: tuple[str, ...]
    status: Status


_encode = msgspec.msgpack.Encoder().encode
_message = msgspec.msgpack.Decoder(Stored).decode
_receipt = msgspec.msgpack.Decoder(StoredReceipt).decode
_alias = msgspec.msgpack.Decoder(Alias).decode


def encode_message(event: Inbound) -> bytes:
    """Return a message as the inbox keeps it."""
    return _encode(
        Stored(event.native_id, event.aliases, event.conversation, event.sender, event.message, event.sent_at)
    )


def decode_message(stored: bytes) -> Inbound:
    """Return the message that the inbox kept; nobody waits for its acknowledgement. Raises ``ValueError``."""
    kept = _message(stored)
    return Inbound(
        native_id=kept.native_id,
        aliases=kept.aliases,
        conversation=kept.conversation,
        sender=kept.sender,
        message=kept.message,
        sent_at=kept.sent_at,
    )


def encode_event(event: object) -> bytes:
    """Return any event as the quarantine keeps it; what cannot be encoded is kept as words, to be looked at."""
    try:
        match event:
            case Inbound():
                return b"m" + encode_message(event)
            case Receipt():
                return b"r" + _encode(StoredReceipt(event.conversation, event.sender, event.native_ids, event.status))
            case Alias():
                return b"a" + _encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass
    return b"?" + _words(event)[:_SHOWN].encode(errors="replace")


def _words(event: object) -> str:
    try:
        return repr(event)
    except Exception as error:
        return f"{type(event).__name__}, which cannot be shown: {type(error).__name__}"


def decode_event(stored: bytes) -> Event | None:
    """Return the event that the quarantine kept; None if only words of it were kept. Raises ``ValueError``."""
    kind, kept = stored[:1], stored[1:]
    match kind:
        case b"m":
            return decode_message(kept)
        case b"r":
            receipt = _receipt(kept)
            return Receipt(
                conversation=receipt.conversation,
                sender=receipt.sender,
                native_ids=receipt.native_ids,
                status=receipt.status,
            )
        case b"a":
            alias: Any = _alias(kept)
            return Alias(native_id=alias.native_id, alias=alias.alias)
        case _:
            return None
