"""Contents on their way to the router: encrypted, committed, submitted in order, encrypted again if an epoch ended.

What may leave together is gathered in a ``Batch``: its commit writes the ratchets, the envelopes and whatever else
belongs to the same transaction, and only then are the envelopes submitted. A content for a room that is not open yet is
committed without a body and encrypted when the room is. A body that was once submitted is submitted again unchanged,
whatever has happened since, until the router says that its epoch is over: so nothing is put into a room twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import structlog
from msgspec import Struct, structs

from bridge.endpoint.ledger.contract import Change, Ledger, OutboxRow, UnansweredRow
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.translate import Failure
from bridge.router.contract import (
    Accepted,
    Envelope,
    Forked,
    Refusal,
    RefusalCode,
    Router,
    RouterUnavailable,
)

Clock = Callable[[], int]
Random = Callable[[int], bytes]

_AT_ONCE = 256
_IN_MEMORY = 4096  # bodies kept in memory; beyond that they are read from the ledger when their turn comes
_RETRY_S = (0.05, 5.0)
_LATER = frozenset((RefusalCode.RECIPIENT_FULL, RefusalCode.TOO_MANY))
_LATER_S = 5.0

log = structlog.get_logger(__name__)


class Waiting(Struct):
    """A row of the outbox as the queue holds it; ``body`` is None if it must be read from the ledger."""

    id: int
    mimi_id: bytes
    epoch: int
    body: bytes | None
    at: int


class Batch:
    """Writes that belong together, and the contents that leave once they are durable. See ``Outbox.batch``."""

    __slots__ = ("_after", "_outbox", "_posted", "_touched", "change")

    def __init__(self, outbox: Outbox) -> None:
        self.change = Change()
        self._outbox = outbox
        self._posted: list[tuple[Room, OutboxRow]] = []
        self._touched: dict[str, Room] = {}
        self._after: list[Callable[[], None]] = []

    def after(self, action: Callable[[], None]) -> None:
        """Do something as soon as this batch is durable."""
        self._after.append(action)

    def touch(self, room: Room) -> None:
        """Have the room's group written with this batch: its state has changed."""
        self._touched[room.uri] = room

    def post(self, room: Room, content: bytes, *, mimi_id: bytes = b"") -> None:
        """Send a content to a room: it is encrypted now if the room is open and nothing waits before it."""
        row = self._outbox.row(room, content, mimi_id)
        self._posted.append((room, row))
        self.change.outbox.append(row)
        if mimi_id:
            self.change.unanswered.append(self._outbox.unanswered(row))
        if row.epoch >= 0:
            self._touched[room.uri] = room

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


class Failed(Protocol):
    """Hears of contents that will never reach the router."""

    def __call__(self, batch: Batch, room: Room, mimi_id: bytes, failure: Failure) -> None:
        """Write into ``batch`` what becomes of the message."""


class Outbox:
    """All contents of one endpoint that the router has not accepted yet."""

    def __init__(
        self,
        ledger: Ledger,
        router: Router,
        *,
        clock: Clock,
        random: Random,
        age: float,
        answer: float = 3600.0,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self.ledger = ledger
        self._router = router
        self._clock = clock
        self._random = random
        self._age_ms = int(age * 1000)
        self._answered_ms = int((age + answer) * 1000)
        self._fatal = fatal
        self._queues: dict[str, deque[Waiting]] = {}
        self._rooms: dict[str, Room] = {}
        self._count = 0
        self._blank: dict[str, int] = {}  # how many contents of a room wait without a body, where there are any
        self._wake = asyncio.Event()
        self._later: dict[str, float] = {}  # rooms that are left alone until then
        self._idle = asyncio.Event()
        self._idle.set()
        self._last_id = 0
        self._under_way: set[int] = set()  # rows that the router is being handed just now
        self.failed: Failed
        self.unopened: Callable[[Room], None]
        """Hears of a room that is not open and for which something waits now."""
        self.submitted = 0
        """How many envelopes the router has accepted since the start."""

    def batch(self) -> Batch:
        """Begin a batch. Between its first ``post`` and its ``commit`` there must be no await."""
        return Batch(self)

    def next_id(self) -> int:
        """Return a new id for a row of inbox, outbox or deliveries; ids rise in the order of what happens."""
        self._last_id += 1
        return self._last_id

    async def load(self, rooms: Callable[[str], Room | None]) -> None:
        """Take up what the last run left behind."""
        self._last_id = await self.ledger.last_id()
        after = 0
        while rows := await self.ledger.outbox(after, 500):
            after = rows[-1].id
            for row in rows:
                room = rooms(row.room)
                if room is None:
                    log.error("a content waits for a room that is not in the ledger", id=row.id)
                    continue
                self._append(room, row)
                self._count_blank(room, int(row.epoch < 0))
        self._wake.set()

    def __len__(self) -> int:
        return self._count

    def waits(self, room: Room) -> bool:
        """Whether a content of this room waits to be encrypted."""
        return room.uri in self._blank

    def wake(self) -> None:
        """Look again: a room may have opened."""
        self._wake.set()

    async def idle(self) -> None:
        """Wait until nothing is being submitted that could be."""
        await self._idle.wait()

    # --- coming in ----------------------------------------------------------------------------------------------------

    def row(self, room: Room, content: bytes, mimi_id: bytes) -> OutboxRow:
        """Make the row of a content, encrypted if it can be."""
        epoch, body = -1, b""
        if room.open and room.uri not in self._blank:
            epoch, body = room.protect(content, self._random)
        else:
            self._count_blank(room, 1)
            self.unopened(room)
        return OutboxRow(
            id=self.next_id(),
            room=room.uri,
            content=content,
            at=self._clock(),
            mimi_id=mimi_id,
            epoch=epoch,
            body=body,
        )

    def unanswered(self, row: OutboxRow) -> UnansweredRow:
        """Return what is kept of a message until everybody in its room has answered it."""
        return UnansweredRow(
            id=row.id,
            mimi_id=row.mimi_id,
            room=row.room,
            content=row.content,
            at=row.at,
            deadline=row.at + self._answered_ms,
        )

    def expect(self, posted: Sequence[tuple[Room, OutboxRow]], done: asyncio.Future[None]) -> None:
        """Queue rows as soon as their commit is ``done``; commits end in the order in which they were called."""
        self._idle.clear()

        def committed(future: asyncio.Future[None]) -> None:
            if future.cancelled() or future.exception() is not None:
                return  # whoever awaits the commit reports it; these rows are not in the ledger
            for room, row in posted:
                self._append(room, row)
            self._wake.set()

        done.add_done_callback(committed)

    def _append(self, room: Room, row: OutboxRow) -> None:
        keep = self._count < _IN_MEMORY and row.epoch >= 0
        queue = self._queues.get(room.uri)
        if queue is None:
            queue = self._queues[room.uri] = deque()
            self._rooms[room.uri] = room
        queue.append(Waiting(row.id, row.mimi_id, row.epoch, row.body if keep else None, row.at))
        self._count += 1

    # --- going out ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Submit what waits, for as long as the endpoint runs."""
        pause = _RETRY_S[0]
        while True:
            try:
                async with asyncio.timeout(min(30.0, self._age_ms / 1000)):
                    await self._wake.wait()
            except TimeoutError:
                self._give_up_the_old()
            self._wake.clear()
            while work := self._ready():
                try:
                    await self._submit(work)
                    pause = _RETRY_S[0]
                except RouterUnavailable as error:
                    log.warning("router cannot be reached", waiting=self._count, error=str(error))
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _RETRY_S[1])
            self._idle.set()

    def _ready(self) -> list[tuple[Room, list[Waiting]]]:
        """Take, from each room that is open, the rows at its head that are of one epoch."""
        work: list[tuple[Room, list[Waiting]]] = []
        left = _AT_ONCE
        now = asyncio.get_running_loop().time()
        for uri, queue in self._queues.items():
            room = self._rooms[uri]
            if self._later.get(uri, 0.0) > now:
                continue
            self._later.pop(uri, None)
            if not queue or not (room.open or (queue[0].epoch >= 0 and room.behind < 0)):
                continue
            epoch = queue[0].epoch
            rows: list[Waiting] = []
            for row in queue:
                if row.epoch != epoch or len(rows) == left:
                    break
                rows.append(row)
            work.append((room, rows))
            left -= len(rows)
            if left <= 0:
                break
        return work

    async def _submit(self, work: list[tuple[Room, list[Waiting]]]) -> None:
        await self._complete(work)
        flat = [(room, row) for room, rows in work for row in rows if row.epoch >= 0]
        envelopes = [Envelope(room.uri, row.epoch, self._router.endpoint, row.body or b"") for room, row in flat]
        if not envelopes:
            return
        self._under_way = {row.id for _, row in flat}
        try:
            answers = await self._router.submit(envelopes)
        finally:
            self._under_way = set()
        batch = self.batch()
        for (room, row), answer in zip(flat, answers, strict=True):
            if isinstance(answer, Refusal) and answer.code is RefusalCode.FORKED:
                raise Forked(answer.text)
            if isinstance(answer, Refusal) and answer.code in _LATER:
                self._put_off(batch, room, row, answer)
            else:
                self._settle(batch, room, row, answer)
        for room, _ in work:
            if not self._queues[room.uri]:
                del self._queues[room.uri], self._rooms[room.uri]
        if batch.change:
            batch.commit().add_done_callback(self._checked)

    def _settle(self, batch: Batch, room: Room, row: Waiting, answer: Accepted | Refusal) -> None:
        if isinstance(answer, Accepted):
            self._drop(room, row)
            self.submitted += 1
            batch.change.outbox_done.append(row.id)
            if row.mimi_id:
                batch.change.accepted.append((row.mimi_id, answer.at))
                others = tuple(member.uri for member in room.members if member.uri != self._router.endpoint)
                batch.change.owed.append((row.mimi_id, others))
        elif answer.code is RefusalCode.EPOCH_TOO_OLD:
            row.epoch, row.body = -1, None
            self._count_blank(room, 1)
            if answer.founding is not None and answer.founding > room.founding:
                room.superseded, room.behind = answer.founding, -1  # epochs begin again
            elif answer.epoch is not None:
                room.behind = max(room.behind, answer.epoch)
        else:
            log.error("the router refuses a message", room=room.tag, code=answer.code, why=answer.text)
            self._fail(batch, room, row, Failure("not-allowed", f"the router refused it: {answer.text}"))

    def _count_blank(self, room: Room, more: int) -> None:
        count = self._blank.get(room.uri, 0) + more
        if count:
            self._blank[room.uri] = count
        else:
            self._blank.pop(room.uri, None)

    def _put_off(self, batch: Batch, room: Room, row: Waiting, answer: Refusal) -> None:
        """Leave a message where it is, and its room alone for a while, unless its time is over."""
        if row.at < self._clock() - self._age_ms:
            self._fail(batch, room, row, Failure("recipient-unreachable", f"the router cannot take it: {answer.text}"))
            return
        loop = asyncio.get_running_loop()
        if self._later.get(room.uri, 0.0) <= loop.time():
            log.warning("the router cannot take it now", room=room.tag, code=answer.code, text=answer.text)
            self._later[room.uri] = loop.time() + _LATER_S
            loop.call_later(_LATER_S, self._wake.set)

    def _drop(self, room: Room, row: Waiting) -> None:
        queue = self._queues[room.uri]
        if queue[0] is row:
            queue.popleft()
        else:  # what is said again has taken its old place before it
            queue.remove(row)
        self._count -= 1

    def _fail(self, batch: Batch, room: Room, row: Waiting, failure: Failure) -> None:
        self._forget(batch, room, row)
        if row.mimi_id:
            self.failed(batch, room, row.mimi_id, failure)

    def _forget(self, batch: Batch, room: Room, row: Waiting) -> None:
        self._queues[room.uri].remove(row)
        self._count -= 1
        self._count_blank(room, -int(row.epoch < 0))
        batch.change.outbox_done.append(row.id)

    async def _complete(self, work: list[tuple[Room, list[Waiting]]]) -> None:
        """Read the bodies that are not in memory, and encrypt what has none yet, unless its sender has deleted it."""
        incomplete = [row.id for _, rows in work for row in rows if row.body is None]
        if not incomplete:
            return
        stored = {row.id: row for row in await self.ledger.outbox_rows(incomplete)}
        batch = self.batch()
        for room, rows in work:
            for row in rows:
                if row.body is None and row.epoch >= 0:
                    row.body = stored[row.id].body
                elif row.body is None and not stored[row.id].content:
                    self._fail(batch, room, row, Failure("deleted", "its sender deleted it before it left"))
                elif row.body is None and room.open:
                    row.epoch, row.body = room.protect(stored[row.id].content, self._random)
                    self._count_blank(room, -1)
                    batch.touch(room)
                    batch.change.outbox.append(structs.replace(stored[row.id], epoch=row.epoch, body=row.body))
        if batch.change:
            await batch.commit()

    # --- saying it again ----------------------------------------------------------------------------------------------

    async def repeat(self, room: Room) -> int:
        """Say again, in its old order and before everything else, what nobody is known to have heard in a room.

        To be called when the router went back, when the room was founded anew and when a member's leaf was replaced:
        who has had it answers again, and delivers nothing twice. Returns how many messages that is.
        """
        rows = await self.ledger.unanswered(room.uri)
        waiting = {row.id for row in self._queues.get(room.uri, ())}
        again = [
            OutboxRow(id=row.id, room=row.room, content=row.content, at=row.at, mimi_id=row.mimi_id)
            for row in rows
            if row.id not in waiting and row.content
        ]
        if not again:
            return 0
        await self.ledger.commit(Change(outbox=again))
        waiting = {row.id for row in self._queues.get(room.uri, ())}
        for row in again:
            if row.id not in waiting:
                self._append(room, row)
                self._count_blank(room, 1)
        self._queues[room.uri] = deque(sorted(self._queues[room.uri], key=lambda row: row.id))
        self._idle.clear()
        self._wake.set()
        return len(again)

    # --- giving up ----------------------------------------------------------------------------------------------------

    def _give_up_the_old(self) -> None:
        """Fail what waits for a room that has not opened in time; what was ever submitted waits on."""
        oldest = self._clock() - self._age_ms
        for uri, queue in list(self._queues.items()):
            room = self._rooms[uri]
            if not room.open and queue and queue[0].epoch < 0 and queue[0].at < oldest:
                self.abandon(room, Failure("recipient-unreachable", "the other side could not be reached in time"))

    def withdraw(self, batch: Batch, room: Room, ids: Collection[int]) -> set[int]:
        """Take back rows of a room that the router was never handed; return the ids of those that it was not."""
        taken = [
            row
            for row in self._queues.get(room.uri, ())
            if row.id in ids and row.epoch < 0 and row.id not in self._under_way
        ]
        for row in taken:
            self._forget(batch, room, row)
        return {row.id for row in taken}

    def abandon(self, room: Room, failure: Failure) -> None:
        """Fail everything that waits for a room and was never submitted."""
        batch = self.batch()
        for row in list(self._queues.get(room.uri, ())):
            if row.epoch < 0:
                self._fail(batch, room, row, failure)
        if batch.change:
            batch.commit().add_done_callback(self._checked)

    def _checked(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._fatal(error)
