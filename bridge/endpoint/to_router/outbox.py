"""Contents on their way to the router: committed, sealed when they are submitted, sealed again if an epoch ended.

What belongs together is gathered in a ``Transaction``; its commit writes the contents, which leave once durable.
They are sealed only then, at most ``AT_ONCE`` before the router has answered, and the bodies are kept in memory only: a
body that was submitted is submitted again unchanged by this session, until the router says that its epoch is over, and
another session seals anew, under keys of its own; receivers know a content by its id. Rooms take turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import Protocol

import structlog
from msgspec import Struct

from bridge.endpoint.ledger.contract import Change, Ledger, OutboxRow, UnansweredRow
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.transaction import Transaction
from bridge.endpoint.translate import Failure
from bridge.router.contract import (
    Accepted,
    BadRequest,
    Envelope,
    Forked,
    Refusal,
    RefusalCode,
    Router,
    RouterUnavailable,
)

Clock = Callable[[], int]
Random = Callable[[int], bytes]

AT_ONCE = 256
"""How many contents may be sealed and not yet answered."""

_IN_MEMORY = 4096  # contents kept in memory; beyond that they are read from the ledger when their turn comes
_OVERHEAD = 1024  # octets of a request beside each body, at most
_RETRY_S = (0.05, 5.0)
_LATER = frozenset((RefusalCode.RECIPIENT_FULL, RefusalCode.TOO_MANY))
_LATER_S = 5.0

log = structlog.get_logger(__name__)


class Waiting(Struct):
    """A row of the outbox as the queue holds it.

    ``epoch`` is -1 until it is sealed; ``body`` is None until then, or if it must be read from the ledger, as must be a
    ``content`` that is None. ``generation`` is that of its key.
    """

    id: int
    mimi_id: bytes
    epoch: int
    at: int
    content: bytes | None = None
    body: bytes | None = None
    generation: int = 0


Entry = tuple[Room, Waiting]


def _of_epoch(epoch: int, rows: Iterable[Waiting]) -> list[Waiting]:
    """Return the rows up to the first of another epoch."""
    return list(takewhile(lambda row: row.epoch == epoch, rows))


class Failed(Protocol):
    """Hears of contents that will never reach the router."""

    def __call__(self, tx: Transaction, room: Room, mimi_id: bytes, failure: Failure) -> None:
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
        self.request_octets = 16 * 1024 * 1024
        """How long one request to the router may be; it says so in its answer to ``hello``."""
        self.failed: Failed
        self.unopened: Callable[[Room], None]
        """Hears of a room that is not open and for which something waits now."""
        self.submitted = 0
        """How many envelopes the router has accepted since the start."""

    def transaction(self) -> Transaction:
        """Begin a transaction. Between its first ``send`` and its ``commit`` there must be no await: order is kept."""
        return Transaction(self)

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
                self._append(room, row, keep=False)
        self._wake.set()

    def __len__(self) -> int:
        return self._count

    def waits(self, room: Room) -> bool:
        """Whether a content of this room waits to be encrypted."""
        return room.uri in self._blank

    def reseal(self, room: Room) -> None:
        """Encrypt anew what waits for a room: its group is another one now."""
        for row in self._queues.get(room.uri, ()):
            if row.epoch >= 0 and row.id not in self._under_way:
                row.epoch, row.body = -1, None
                self._count_blank(room, 1)

    def wake(self) -> None:
        """Look again: a room may have opened."""
        self._wake.set()

    async def idle(self) -> None:
        """Wait until nothing is being submitted that could be."""
        await self._idle.wait()

    # --- coming in ----------------------------------------------------------------------------------------------------

    def row(self, room: Room, content: bytes, mimi_id: bytes) -> OutboxRow:
        """Make the row of a content."""
        return OutboxRow(
            id=self.next_id(),
            room=room.uri,
            content=content,
            at=self._clock(),
            mimi_id=mimi_id,
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
                self._append(room, row, keep=room.open and self._count < _IN_MEMORY)
                if not room.open:
                    self.unopened(room)
            self._wake.set()

        done.add_done_callback(committed)

    def _append(self, room: Room, row: OutboxRow, *, keep: bool) -> None:
        """Queue a row; one that may wait for long is not kept, so that what its sender deletes meanwhile is gone."""
        queue = self._queues.get(room.uri)
        if queue is None:
            queue = self._queues[room.uri] = deque()
            self._rooms[room.uri] = room
        queue.append(Waiting(row.id, row.mimi_id, row.epoch, row.at, content=row.content if keep else None))
        self._count += 1
        self._count_blank(room, int(row.epoch < 0))

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
        """Take, from each room that is open, rows at its head that are of one epoch: for each its fair share."""
        now = asyncio.get_running_loop().time()
        heads: list[tuple[Room, deque[Waiting]]] = []
        for uri, queue in self._queues.items():
            room = self._rooms[uri]
            if queue and self._may_leave(room, queue[0]) and self._later.get(uri, 0.0) <= now:
                self._later.pop(uri, None)
                heads.append((room, queue))
            if len(heads) == AT_ONCE:
                break
        work: list[tuple[Room, list[Waiting]]] = []
        for room, queue in heads:
            epoch, share = queue[0].epoch, AT_ONCE // len(heads)
            work.append((room, _of_epoch(epoch, islice(queue, share))))
            self._queues[room.uri] = self._queues.pop(room.uri)  # next time after those that were not served
        return work

    @staticmethod
    def _may_leave(room: Room, first: Waiting) -> bool:
        return room.open or (first.epoch >= 0 and room.behind < 0)

    async def _submit(self, work: list[tuple[Room, list[Waiting]]]) -> None:
        await self._complete(work)
        rows = [(room, row) for room, rows in work for row in rows if row.epoch >= 0]
        self._under_way = {row.id for _, row in rows}
        try:
            for part in self._requests(rows):
                await self._hand(part)
        finally:
            self._under_way = set()
        for room, _ in work:
            if not self._queues[room.uri]:
                del self._queues[room.uri], self._rooms[room.uri]
            elif not room.open:
                self.unopened(room)

    def _requests(self, rows: Sequence[Entry]) -> Iterator[list[Entry]]:
        """Part rows into requests that the router takes; one that is alone too long for it is a request by itself."""
        part: list[Entry] = []
        octets = 0
        for room, row in rows:
            size = len(row.body or b"") + _OVERHEAD
            if part and octets + size > self.request_octets:
                yield part
                part, octets = [], 0
            part.append((room, row))
            octets += size
        if part:
            yield part

    async def _hand(self, part: Sequence[Entry]) -> None:
        """Make one request; if the router cannot read it, find out which rows it is about: only those fail."""
        tx = self.transaction()
        try:
            answers = await self._router.submit(
                [Envelope(room.uri, row.epoch, self._router.endpoint, row.body or b"") for room, row in part]
            )
        except BadRequest as error:
            if len(part) > 1:
                await self._hand(part[: len(part) // 2])
                await self._hand(part[len(part) // 2 :])
                return
            ((room, row),) = part
            log.error("the router cannot read a message", room=room.tag, error=str(error))  # noqa: TRY400 - no defect here
            self._fail(tx, room, row, Failure("rejected", "the router could not read it"))
        else:
            for (room, row), answer in zip(part, answers, strict=True):
                if isinstance(answer, Refusal) and answer.code is RefusalCode.FORKED:
                    raise Forked(answer.text)  # what waits is for the next session, under keys of its own
                if isinstance(answer, Refusal) and answer.code in _LATER:
                    self._put_off(tx, room, row, answer)
                else:
                    self._settle(tx, room, row, answer)
        if tx.change:
            tx.commit().add_done_callback(self._checked)

    def _settle(self, tx: Transaction, room: Room, row: Waiting, answer: Accepted | Refusal) -> None:
        if isinstance(answer, Accepted):
            self._drop(room, row)
            room.accept(row.epoch, row.generation)
            self.submitted += 1
            tx.change.outbox_done.append(row.id)
            if row.mimi_id:
                tx.change.accepted.append((row.mimi_id, answer.at))
                others = tuple(member.uri for member in room.members if member.uri != self._router.endpoint)
                tx.change.owed.append((row.mimi_id, others))
        elif answer.code is RefusalCode.EPOCH_TOO_OLD:
            row.epoch, row.body = -1, None
            self._count_blank(room, 1)
            if answer.founding is not None and answer.founding > room.founding:
                room.superseded, room.behind = answer.founding, -1  # epochs begin again
            elif answer.epoch is not None:
                room.behind = max(room.behind, answer.epoch)
        else:
            log.error("the router refuses a message", room=room.tag, code=answer.code, why=answer.text)
            self._fail(tx, room, row, Failure("not-allowed", f"the router refused it: {answer.text}"))

    def _count_blank(self, room: Room, more: int) -> None:
        count = self._blank.get(room.uri, 0) + more
        if count:
            self._blank[room.uri] = count
        else:
            self._blank.pop(room.uri, None)

    def _put_off(self, tx: Transaction, room: Room, row: Waiting, answer: Refusal) -> None:
        """Leave a message where it is, and its room alone for a while, unless its time is over."""
        if row.at < self._clock() - self._age_ms:
            self._fail(tx, room, row, Failure("recipient-unreachable", f"the router cannot take it: {answer.text}"))
            return
        loop = asyncio.get_running_loop()
        if self._later.get(room.uri, 0.0) <= loop.time():
            log.warning("the router cannot take it now", room=room.tag, code=answer.code, why=answer.text)
            self._later[room.uri] = loop.time() + _LATER_S
            loop.call_later(_LATER_S, self._wake.set)

    def _drop(self, room: Room, row: Waiting) -> None:
        queue = self._queues[room.uri]
        if queue[0] is row:
            queue.popleft()
        else:  # one before it was refused for now, or what is said again has taken its old place before it
            queue.remove(row)
        self._count -= 1

    def _fail(self, tx: Transaction, room: Room, row: Waiting, failure: Failure) -> None:
        self._forget(tx, room, row)
        if row.mimi_id:
            self.failed(tx, room, row.mimi_id, failure)

    def _forget(self, tx: Transaction, room: Room, row: Waiting) -> None:
        self._queues[room.uri].remove(row)
        self._count -= 1
        self._count_blank(room, -int(row.epoch < 0))
        tx.change.outbox_done.append(row.id)

    async def _complete(self, work: list[tuple[Room, list[Waiting]]]) -> None:
        """Read what is not in memory, and seal what has no body yet, unless its sender has deleted it."""
        missing = [row.id for _, rows in work for row in rows if row.body is None and row.content is None]
        stored = {row.id: row for row in await self.ledger.outbox_rows(missing)} if missing else {}
        tx = self.transaction()
        for room, rows in work:
            for row in rows:
                if row.body is not None:
                    continue
                if row.epoch >= 0:  # an earlier version committed bodies
                    row.body = stored[row.id].body
                    continue
                content = stored[row.id].content if row.content is None else row.content
                if not content:
                    self._fail(tx, room, row, Failure("deleted", "its sender deleted it before it left"))
                elif room.open:
                    row.generation = room.held.generation
                    row.epoch, row.body = room.protect(content, self._random)
                    self._count_blank(room, -1)
        if tx.change:
            await tx.commit()

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
                self._append(room, row, keep=False)
        self._queues[room.uri] = deque(sorted(self._queues[room.uri], key=lambda row: row.id))
        if not room.open:
            self.unopened(room)
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

    def withdraw(self, tx: Transaction, room: Room, ids: Collection[int]) -> set[int]:
        """Take back rows of a room that the router was never handed; return the ids of those that it was not."""
        taken = [
            row
            for row in self._queues.get(room.uri, ())
            if row.id in ids and row.epoch < 0 and row.id not in self._under_way
        ]
        for row in taken:
            self._forget(tx, room, row)
        return {row.id for row in taken}

    def abandon(self, room: Room, failure: Failure) -> None:
        """Fail everything that waits for a room and was never submitted."""
        tx = self.transaction()
        for row in list(self._queues.get(room.uri, ())):
            if row.epoch < 0:
                self._fail(tx, room, row, failure)
        if tx.change:
            tx.commit().add_done_callback(self._checked)

    def _checked(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._fatal(error)
