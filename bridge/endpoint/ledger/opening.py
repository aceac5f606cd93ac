"""Rows of the ledger's tables, opened; one that cannot be opened costs no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import Row

from bridge.endpoint.errors import SealError
from bridge.endpoint.ledger import tables
from bridge.endpoint.ledger.rows import (
    Damaged,
    DeliveryKind,
    DeliveryRow,
    InboxRow,
    MessageRow,
    OfferRow,
    OutboxRow,
    QuarantineKind,
    QuarantineRow,
    RoomPhase,
    RoomRow,
    State,
    StatusRow,
    UnansweredRow,
)
from bridge.endpoint.ledger.sealing import Sealer, cell

T = TypeVar("T")

log = structlog.get_logger(__name__)


def _log_damage(row: Damaged) -> None:
    log.error("a row of the ledger cannot be read", table=row.table, id=row.id, why=row.why)


class Opening:
    """Opens rows under one ledger's sealer; ``damaged`` hears of each that cannot be read."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self.damaged: Callable[[Damaged], None] = _log_damage

    def _open(self, sealed: bytes, row: str) -> bytes:
        return self._sealer.open(bytes(sealed), row) if sealed else b""

    def _text(self, sealed: bytes, row: str) -> str:
        return self._open(sealed, row).decode("utf-8", "surrogatepass")

    def _readable(self, table: str, rows: Iterable[Row[Any]], read: Callable[[Row[Any]], T]) -> list[T]:
        """Read rows; those that cannot be read are left out, and told to ``damaged``."""
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except (SealError, ValueError) as error:  # ValueError: a word that this version does not know
                self._tell(table, row, error)
        return found

    def _tell(self, table: str, row: Row[Any], error: Exception) -> None:
        columns = {
            name: value for name, value in row._asdict().items() if name in tables.metadata.tables[table].columns
        }
        place = columns.get("room", "")
        if table == "inbox":
            try:
                place = self._conversation(row)
            except SealError:
                place = ""
        self.damaged(
            Damaged(
                table=table,
                id=columns.get("id", 0),
                place=place,
                mimi_id=bytes(columns.get("mimi_id") or b""),
                row=msgspec.msgpack.encode(columns),
                why=str(error),
            )
        )

    def _room(self, row: Row[Any]) -> RoomRow:
        try:
            pending = self._open(row.pending, cell("room", row.room))
        except SealError as error:  # our staged commit is lost: the room itself is not
            self._tell("room", row, error)
            pending = b""
        return RoomRow(
            room=row.room,
            conversation=self._open(row.conversation, cell("room", row.room, "conversation")),
            phase=RoomPhase(row.phase),
            name=self._text(row.name, cell("room", row.room, "name")),
            group_id=bytes(row.group_id),
            pending=pending,
            founding=row.founding,
            highest_epoch=row.highest_epoch,
            complete=row.complete,
            removed=row.removed,
            reason=row.reason,
            since=row.since,
            next_step=row.next_step,
        )

    def _conversation(self, row: Row[Any]) -> str:
        return self._text(row.conversation, cell("inbox", row.id, "conversation"))

    def _excerpt(self, row: Row[Any]) -> str:
        """Return a message's excerpt; one that cannot be opened is none: it costs a quote, not the message."""
        try:
            return self._text(row.excerpt, cell("message", bytes(row.mimi_id)))
        except (SealError, ValueError) as error:
            log.warning("an excerpt cannot be read", why=str(error))
            return ""

    def _aside(self, row: Row[Any]) -> QuarantineRow:
        try:
            item = self._open(row.item, cell("quarantine", row.id))
            place = self._text(row.place, cell("quarantine", row.id, "place"))
            words = self._text(row.text, cell("quarantine", row.id, "text"))
        except SealError as error:  # it can be shown and dropped, but not tried again
            item, place, words = b"", "", str(error)
        return QuarantineRow(
            id=row.id,
            kind=QuarantineKind(row.kind),
            place=place,
            item=item,
            code=row.code,
            text=words,
            at=row.at,
            attempts=row.attempts,
            raw=row.raw,
        )

    def _inbox(self, row: Row[Any]) -> InboxRow:
        event = self._open(row.event, cell("inbox", row.id))
        return InboxRow(id=row.id, conversation=self._conversation(row), event=event, at=row.at)

    def _message(self, row: Row[Any]) -> MessageRow:
        mimi_id = bytes(row.mimi_id)
        return MessageRow(
            mimi_id=mimi_id,
            room=row.room,
            source=row.source,
            sender=self._text(row.sender, cell("message", mimi_id, "sender")),
            at=row.at,
            native_id=self._text(row.native_id, cell("message", mimi_id, "native_id")),
            state=State(row.state),
            reason=row.reason,
            excerpt=self._excerpt(row),
            reaction=row.reaction,
            whole=bytes(row.whole),
        )

    def _offer(self, row: Row[Any]) -> OfferRow:
        mimi_id = bytes(row.mimi_id)
        return OfferRow(
            mimi_id=mimi_id,
            room=row.room,
            native_id=self._text(row.native_id, cell("offer", mimi_id, "native_id")),
            part=self._open(row.part, cell("offer", mimi_id)),
            at=row.at,
            open=row.open,
        )

    def _unanswered(self, row: Row[Any], content: bytes) -> UnansweredRow:
        return UnansweredRow(
            id=row.id,
            mimi_id=bytes(row.mimi_id),
            room=row.room,
            content=content,
            at=row.at,
            deadline=row.deadline,
            owed=tuple(row.owed.split()),
        )

    def _outbox(self, row: Row[Any]) -> OutboxRow:
        return OutboxRow(
            id=row.id,
            room=row.room,
            content=self._open(row.content, cell("outbox", row.id)),
            at=row.at,
            mimi_id=bytes(row.mimi_id),
            epoch=row.epoch,
            body=bytes(row.body),
        )

    def _delivery(self, row: Row[Any]) -> DeliveryRow:
        return DeliveryRow(
            id=row.id,
            mimi_id=bytes(row.mimi_id),
            room=row.room,
            kind=DeliveryKind(row.kind),
            sender=self._text(row.sender, cell("delivery", row.id, "sender")),
            content=self._open(row.content, cell("delivery", row.id, "content")),
            at=row.at,
            parked=row.parked,
            replayed=row.replayed,
            attempts=row.attempts,
            next_at=row.next_at,
            plan=self._open(row.plan, cell("delivery", row.id, "plan")),
            part=row.part,
            sending=row.sending,
            reason=row.reason,
            text=self._text(row.text, cell("delivery", row.id, "text")),
        )

    def _status(self, row: Row[Any]) -> StatusRow:
        return StatusRow(
            mimi_id=bytes(row.mimi_id),
            by=self._text(row.by, cell("timeline", row.mimi_id, "by")),
            state=State(row.state),
            at=row.at,
            reason=row.reason,
            text=self._text(row.text, cell("timeline", row.mimi_id, "text")),
            who=row.who,
        )
