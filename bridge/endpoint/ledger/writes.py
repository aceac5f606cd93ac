"""The ledger's writes: what one change does to the tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy import Connection, Dialect, insert, select

from bridge.endpoint.ledger import tables
from bridge.endpoint.ledger.contract import Change
from bridge.endpoint.ledger.erasure import erase
from bridge.endpoint.ledger.reads import in_batches
from bridge.endpoint.ledger.rows import DeliveryKind, DeliveryRow, MessageRow, QuarantineRow, StatusRow
from bridge.endpoint.ledger.sealing import Sealer, cell
from bridge.endpoint.ledger.statements import Statements
from protocol.bounded import Bounded

_ERASED = 10_000
"""How many deleted messages are remembered, so that nobody who holds one in memory writes its words again."""


class Writes:
    """Writes changes, sealed, in the transaction of whoever calls."""

    def __init__(self, dialect: Dialect, sealer: Sealer) -> None:
        self._sealer = sealer
        self._statements = Statements(dialect)
        self._erased: Bounded[bytes, None] = Bounded(_ERASED)

    def write(self, connection: Connection, change: Change) -> None:
        """Write all of a change."""
        do = self._statements
        seal = self._seal
        do.forget.run(connection, [(space,) for space in change.forgotten])
        do.delete_record.run(connection, [(space, name) for space, name, value in change.records if value is None])
        do.put_record.run(
            connection,
            [
                (space, name, self._sealer.seal(value, f"record/{space}/{name}"))
                for space, name, value in change.records
                if value is not None
            ],
        )
        do.put_room.run(
            connection,
            [
                (
                    r.room,
                    seal(r.conversation, cell("room", r.room, "conversation")),
                    r.phase.value,
                    seal(r.name.encode(), cell("room", r.room, "name")),
                    r.group_id,
                    seal(r.pending, cell("room", r.room)),
                    r.founding,
                    r.highest_epoch,
                    r.complete,
                    r.removed,
                    r.reason,
                    r.since,
                    r.next_step,
                )
                for r in change.rooms
            ],
        )
        do.put_native.run(connection, [(self._sealer.index("native", n.native_id), n.mimi_id) for n in change.natives])
        known = self._write_log(connection, change)
        do.delete_inbox.run(connection, [(id_,) for id_ in change.inbox_done])
        do.put_inbox.run(
            connection,
            [
                (
                    i.id,
                    self._sealer.index("conversation", i.conversation),
                    seal(i.conversation.encode(), cell("inbox", i.id, "conversation")),
                    seal(i.event, cell("inbox", i.id)),
                    i.at,
                )
                for i in change.inbox
            ],
        )
        do.delete_outbox.run(connection, [(id_,) for id_ in change.outbox_done])
        do.put_outbox.run(
            connection,
            [
                (
                    o.id,
                    o.room,
                    o.mimi_id,
                    seal(self._kept(o.mimi_id, o.content), cell("outbox", o.id)),
                    o.epoch,
                    o.body,
                    o.at,
                )
                for o in change.outbox
            ],
        )
        do.delete_delivery.run(connection, [(id_,) for id_ in change.deliveries_done])
        do.put_delivery.run(
            connection,
            [self._delivery_values(_again(d) if known and _is_of(d, known) else d) for d in change.deliveries],
        )
        self._write_offers(connection, change)
        self._write_quarantine(connection, change)
        if change.erased:
            for mimi_id in erase(connection, self._sealer, change.erased):
                self._erased[mimi_id] = None

    def _write_quarantine(self, connection: Connection, change: Change) -> None:
        do = self._statements
        for name, row in change.restored:
            connection.execute(insert(tables.metadata.tables[name]).values(msgspec.msgpack.decode(row)))
        do.delete_quarantine.run(connection, [(id_,) for id_ in change.quarantine_done])
        if change.quarantine_over:
            do.end_quarantine.run(connection, [(change.quarantine_over,)])
        do.put_quarantine.run(connection, list(map(self._quarantine_values, change.quarantine)))
        do.prune_quarantine.run(connection, [(kind.value,) for kind in {q.kind for q in change.quarantine}])

    def _quarantine_values(self, q: QuarantineRow) -> tuple[Any, ...]:
        item = self._seal(q.item, cell("quarantine", q.id))
        place = self._seal(q.place.encode(), cell("quarantine", q.id, "place"))
        words = self._seal(q.text.encode(), cell("quarantine", q.id, "text"))
        return q.id, q.kind.value, place, item, q.code, words, q.at, q.attempts, q.raw

    def _write_log(self, connection: Connection, change: Change) -> frozenset[bytes]:
        """Write what concerns the log; return the messages that were in it already and are not taken again."""
        do, seal = self._statements, self._seal
        new, known = _without_known(connection, change.messages)
        do.add_message.run(connection, [self._message_values(m) for m in new])
        do.name_message.run(
            connection, [(id_, seal(name.encode(), cell("message", id_, "native_id"))) for id_, name in change.named]
        )
        do.accept_message.run(connection, change.accepted)
        do.add_status.run(
            connection,
            [
                (
                    s.mimi_id,
                    seal(s.by.encode(), cell("timeline", s.mimi_id, "by")),
                    int(s.state),
                    s.at,
                    s.reason,
                    seal(s.text.encode(), cell("timeline", s.mimi_id, "text")),
                    s.who,
                )
                for s in (*change.noted, *change.statuses, *change.revived)
            ],
        )
        for state, steps in groupby(change.statuses, key=lambda step: step.state):
            do.move_message[state].run(connection, [_moved(step) for step in steps])
        do.revive_message.run(connection, [_moved(step) for step in change.revived])
        self._write_unanswered(connection, change)
        return known

    def _write_unanswered(self, connection: Connection, change: Change) -> None:
        do = self._statements
        do.put_unanswered.run(
            connection,
            [
                (
                    u.id,
                    u.mimi_id,
                    u.room,
                    self._seal(u.content, cell("unanswered", u.id)),
                    u.at,
                    u.deadline,
                    " ".join(u.owed),
                )
                for u in change.unanswered
            ],
        )
        do.owe.run(connection, [(id_, " ".join(owed)) for id_, owed in change.owed])
        do.delete_unanswered.run(connection, [(id_,) for id_ in change.unanswered_done])

    def _write_offers(self, connection: Connection, change: Change) -> None:
        do = self._statements
        do.delete_offer.run(connection, [(id_,) for id_ in (*change.offers_gone, *(o.mimi_id for o in change.offers))])
        do.close_offers.run(connection, [(room,) for room in change.offers_closed])
        do.add_offer.run(
            connection,
            [
                (
                    o.mimi_id,
                    o.room,
                    self._seal(o.native_id.encode(), cell("offer", o.mimi_id, "native_id")),
                    self._seal(o.part, cell("offer", o.mimi_id)),
                    o.at,
                    o.open,
                )
                for o in change.offers
            ],
        )
        do.prune_offers.run(connection, [(room,) for room in {o.room for o in change.offers}])

    def _message_values(self, m: MessageRow) -> tuple[Any, ...]:
        sender = self._seal(m.sender.encode(), cell("message", m.mimi_id, "sender"))
        native_id = self._seal(m.native_id.encode(), cell("message", m.mimi_id, "native_id"))
        excerpt = self._seal(m.excerpt.encode(), cell("message", m.mimi_id))
        return (
            m.mimi_id, m.room, m.source, sender, m.at, native_id, int(m.state), m.reason, excerpt, m.reaction, m.whole
        )  # fmt: skip

    def _delivery_values(self, d: DeliveryRow) -> tuple[Any, ...]:
        sender = self._seal(d.sender.encode(), cell("delivery", d.id, "sender"))
        content = self._seal(self._kept(d.mimi_id, d.content), cell("delivery", d.id, "content"))
        plan = self._seal(self._kept(d.mimi_id, d.plan), cell("delivery", d.id, "plan"))
        text = self._seal(d.text.encode(), cell("delivery", d.id, "text"))
        return (
            d.id, d.mimi_id, d.room, d.kind.value, sender, content, d.at, d.parked, d.replayed, d.attempts,
            d.next_at, plan, d.part, d.sending, d.reason, text,
        )  # fmt: skip

    def _kept(self, mimi_id: bytes, words: bytes) -> bytes:
        """Nothing for what was deleted: whoever writes it has held it in memory since before."""
        return b"" if mimi_id in self._erased else words

    def _seal(self, plain: bytes, row: str) -> bytes:
        return self._sealer.seal(plain, row) if plain else b""


def _moved(step: StatusRow) -> tuple[bytes, int, str]:
    return step.mimi_id, int(step.state), step.reason


def _is_of(delivery: DeliveryRow, messages: frozenset[bytes]) -> bool:
    return delivery.kind is DeliveryKind.MESSAGE and delivery.mimi_id in messages


def _again(delivery: DeliveryRow) -> DeliveryRow:
    """What is left of a delivery whose message is in the log already: its sender is to hear once more."""
    return structs.replace(delivery, kind=DeliveryKind.AGAIN, content=b"", sending=False)


def _without_known(
    connection: Connection, messages: Sequence[MessageRow]
) -> tuple[Sequence[MessageRow], frozenset[bytes]]:
    """Part messages into those that are new and the ids of those that are in the log, or twice among these."""
    if not messages:
        return messages, frozenset()
    column = tables.message.c.mimi_id
    ids = [message.mimi_id for message in messages]
    known = {bytes(row.mimi_id) for row in in_batches(connection, select(column), column, ids)}
    if not known and len(set(ids)) == len(ids):
        return messages, frozenset()
    new: dict[bytes, MessageRow] = {}
    for message in messages:
        if message.mimi_id not in known:
            new.setdefault(message.mimi_id, message)
    return list(new.values()), frozenset(known)
