"""A transaction of one endpoint: writes that belong together, and contents that are sent once they are durable.

Writing does not seal: a content is written as it is, and sealed when its turn to be submitted has come. Nothing of a
transaction is visible before its commit, and nothing of it is lost after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from bridge.endpoint.ledger.contract import Change, Ledger, OutboxRow, UnansweredRow
from bridge.endpoint.rooms.room import Room


class Sends(Protocol):
    """Whoever takes the contents when they are durable: the outbox."""

    ledger: Ledger

    def row(self, room: Room, content: bytes, mimi_id: bytes) -> OutboxRow:
        """Make the row of a content."""

    def unanswered(self, row: OutboxRow) -> UnansweredRow:
        """Make the row of a content that the endpoints of its room owe an answer to."""

    def expect(self, posted: Sequence[tuple[Room, OutboxRow]], done: asyncio.Future[None]) -> None:
        """Queue rows as soon as their commit is ``done``."""


class Transaction:
    """Writes that belong together, and the contents that leave once they are durable. See ``Outbox.transaction``."""

    __slots__ = ("_after", "_outbox", "_posted", "_touched", "change")

    def __init__(self, outbox: Sends) -> None:
        self.change = Change()
        self._outbox = outbox
        self._posted: list[tuple[Room, OutboxRow]] = []
        self._touched: dict[str, Room] = {}
        self._after: list[Callable[[], None]] = []

    def on_durable(self, action: Callable[[], None]) -> None:
        """Do something as soon as this transaction is durable."""
        self._after.append(action)

    def touch(self, room: Room) -> None:
        """Have the room's group written with this transaction: its state has changed."""
        self._touched[room.uri] = room

    def send(self, room: Room, content: bytes, *, mimi_id: bytes = b"") -> None:
        """Send a content to a room, once this transaction is durable and its turn has come."""
        row = self._outbox.row(room, content, mimi_id)
        self._posted.append((room, row))
        self.change.outbox.append(row)
        if mimi_id:
            self.change.unanswered.append(self._outbox.unanswered(row))

    def commit(self) -> asyncio.Future[None]:
        """Queue the transaction, with every touched group's records; nothing of it is lost if nobody waits."""
        for room in self._touched.values():
            self.change.records += room.records()
        done = self._outbox.ledger.commit(self.change)
        if self._posted:
            self._outbox.expect(self._posted, done)
        if self._after:
            done.add_done_callback(self._committed)
        return done

    def _committed(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is None:
            for action in self._after:
                action()
