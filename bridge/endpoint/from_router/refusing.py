"""What was decrypted and cannot be delivered is answered, so that its sender need not wait for an answer in vain."""

from __future__ import annotations

from typing import Any

from adapters.contract import Reason
from bridge.endpoint import translate
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.to_network.words import told
from bridge.endpoint.transaction import Transaction
from bridge.endpoint.translate import Failure
from protocol import cbor, content, extensions, status
from protocol.content import ContentError
from protocol.errors import ProtocolError
from protocol.status import Status

_EXTENSIONS, _PART, _TYPE = 5, 6, 3  # where they stand in a content, and the type in a part


def refusal(data: bytes, leaf: str, room: str, error: Exception) -> tuple[bytes, Failure] | None:
    """Return the id of a content of ``leaf`` that cannot be delivered, and what its sender is told.

    A content that is not understood may be of a newer version: who it says it is from is looked for where that has its
    place, for without it a message has no id. None if it is not to be found, or if it is no message at all.
    """
    try:
        fields = cbor.decode(data)
        said = fields[_EXTENSIONS] if isinstance(fields, list) and len(fields) > _PART else None
        sender = said.get(extensions.SENDER_URI.key, leaf) if isinstance(said, dict) else leaf
        if _is_sign(fields) or not isinstance(sender, str):
            return None
        mimi_id = content.message_id(data, sender, room)
    except (ProtocolError, IndexError, TypeError):
        return None
    newer = isinstance(error, ContentError | extensions.ExtensionError)
    return mimi_id, Failure(Reason.UNSUPPORTED if newer else Reason.REJECTED, str(error))


def _is_sign(fields: Any) -> bool:  # noqa: ANN401 - whatever a sender has made of it
    part = fields[_PART] if isinstance(fields, list) and len(fields) > _PART else None
    kind = part[_TYPE] if isinstance(part, list) and len(part) > _TYPE else None
    return kind in (content.MIMI_STATUS, content.TYPING)


def answer(tx: Transaction, room: Room, mimi_id: bytes, failure: Failure, *, by: str, salt: bytes) -> None:
    """Write into ``batch`` the status that says so."""
    report = status.encode([(mimi_id, Status.ERROR)])
    tx.send(room, translate.status_content(report, salt=salt, by=by, room=room.uri, failure=told(failure)))
