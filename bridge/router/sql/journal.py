"""The journal on SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from bridge.router.contract import Accepted, Envelope, Notification, Refusal, RoomView, Standing
from bridge.router.journal import Decide, Deliver, Fanned, KeyPackageRecord, RoomState
from bridge.router.migrations import LOCATION
from bridge.router.runs import Runs
from bridge.router.sql import dismissal, keys, reads, retention, runs
from bridge.router.sql.append import Appending, Submission
from bridge.router.sql.change import Changing
from bridge.storage import Database

T = TypeVar("T")

APPEND_BATCH = 512
"""About how many envelopes are appended with one set of statements; more open another batch."""

PRUNE_WINDOW = 500
"""Rows that one transaction of a pruning looks at."""

PRUNE_PAUSE = 0.01
"""Seconds between two of them."""

HELD = 1 << 30
"""Octets that are kept for an endpoint that does not fetch them, unless the configuration says otherwise."""

MOST_ROOMS = 100_000
"""Rooms that one endpoint may have founded, unless the configuration says otherwise."""

Answers = list[Accepted | Refusal]


class _Batch:
    """Calls of ``append`` that wait for the writer together, and share its statements once it is free."""

    def __init__(self) -> None:
        self.submissions: list[Submission] = []
        self.calls: list[tuple[int, asyncio.Future[Answers]]] = []  # how many of the submissions each call made

    def add(self, submissions: Sequence[Submission]) -> asyncio.Future[Answers]:
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self.submissions.extend(submissions)
        self.calls.append((len(submissions), future))
        return future

    def answer(self, answers: Answers) -> None:
        start = 0
        for count, future in self.calls:
            if not future.done():
                future.set_result(answers[start : start + count])
            start += count

    def fail(self, error: BaseException) -> None:
        for _, future in self.calls:
            if not future.done():
                future.set_exception(error)


class SqlJournal:
    """Implements ``bridge.router.journal.Journal``; see there."""

    def __init__(self, url: str, *, held: int = HELD, most_rooms: int = MOST_ROOMS) -> None:
        """Keep at most ``held`` octets for an endpoint that does not fetch them, and ``most_rooms`` of one founder."""
        self._url = url
        self._held = held
        self._most_rooms = most_rooms
        self._open_database: Database | None = None
        self._deliver: Deliver = lambda _: None
        self._runs: Runs | None = None
        self._open_batch: _Batch | None = None
        self._lock = threading.Lock()  # guards _open_batch: the loop fills it, the writer's thread closes it

    @property
    def _database(self) -> Database:
        if self._open_database is None:
            raise RuntimeError("the journal has not been started")
        return self._open_database

    @property
    def runs(self) -> Runs:
        """The runs of this history."""
        if self._runs is None:
            raise RuntimeError("the journal has not been started")
        return self._runs

    async def start(self, deliver: Deliver) -> None:
        """Open and migrate the database, and begin a run."""
        self._deliver = deliver
        self._open_database = await Database.open(self._url, LOCATION)
        name = secrets.token_hex(8)
        self._runs = await self._database.writer.run(lambda connection: runs.begin(connection, name))

    async def stop(self) -> None:
        """Commit what is queued and close."""
        if self._open_database is not None:
            await self._open_database.close()

    async def enrol(self, names: Sequence[str], now: int = 0) -> None:
        """Insert the endpoints that are new."""
        await self._database.writer.run(lambda connection: dismissal.enrol(connection, names, now))

    async def dismiss(self, endpoints: Sequence[str], now: int) -> None:
        """Tell their rooms, some at a time, and then forget what is theirs: after a crash they are told again."""
        for endpoint in endpoints:
            if await self._read(dismissal.is_dismissed, endpoint):
                continue
            after: int | None = 0
            while after is not None:
                work = partial(dismissal.tell, runs=self.runs, endpoint=endpoint, after=after, now=now)
                job = self._database.writer.queue(work)
                job.add_done_callback(self._changed)
                after, _ = await asyncio.shield(job)
            await self._database.writer.run(partial(dismissal.forget, endpoint=endpoint))

    async def greet(self, endpoint: str, session: str, previous: str, now: int) -> Standing:
        """Judge a session and note it."""
        return await self._database.writer.run(
            lambda connection: runs.greet(connection, endpoint, session, previous, now)
        )

    async def use(self, endpoint: str, now: int) -> None:
        """Note that a session is used."""
        await self._database.writer.run(lambda connection: runs.use(connection, endpoint, now))

    async def append(
        self, envelopes: Sequence[Envelope], now: int, groups: Sequence[bytes] = ()
    ) -> Sequence[Accepted | Refusal]:
        """Join the batch that waits for the writer, or open one."""
        submissions: list[Submission] = [
            (envelope, now, groups[index] if groups else None) for index, envelope in enumerate(envelopes)
        ]
        answers: Answers = []
        for start in range(0, len(envelopes), APPEND_BATCH):
            answers += await self._join_batch(submissions[start : start + APPEND_BATCH])
        return answers

    def _join_batch(self, submissions: Sequence[Submission]) -> asyncio.Future[Answers]:
        with self._lock:
            batch = self._open_batch
            if batch is None or len(batch.submissions) >= APPEND_BATCH:
                batch = self._open_batch = _Batch()
                job = self._database.writer.queue(partial(self._append_batch, batch))
                job.add_done_callback(partial(self._appended, batch))
            return batch.add(submissions)

    def _append_batch(self, batch: _Batch, connection: Connection) -> tuple[Answers, list[Fanned]]:
        with self._lock:
            if self._open_batch is batch:
                self._open_batch = None
        appending = Appending(connection, batch.submissions, self.runs, self._held)
        return appending.run(), appending.fanned

    def _appended(self, batch: _Batch, job: asyncio.Future[tuple[Answers, list[Fanned]]]) -> None:
        if error := job.exception():
            with self._lock:
                if self._open_batch is batch:  # the transaction failed before it reached this batch
                    self._open_batch = None
            batch.fail(error)
            return
        answers, fanned = job.result()
        self._deliver(fanned)
        batch.answer(answers)

    async def change(self, room: str, sender: str, digest: bytes, now: int, decide: Decide) -> Accepted | Refusal:
        """Decide and write in one transaction."""

        def work(connection: Connection) -> tuple[Accepted | Refusal, list[Fanned]]:
            changing = Changing(connection, self.runs, room, sender, digest, now, most_rooms=self._most_rooms)
            return changing.run(decide), changing.fanned

        job = self._database.writer.queue(work)
        job.add_done_callback(self._changed)
        answer, _ = await asyncio.shield(job)  # a caller that gives up must not take the callback along
        return answer

    def _changed(self, job: asyncio.Future[tuple[Any, list[Fanned]]]) -> None:
        # A callback and not the line after the await: callbacks run in the order of the commits.
        if not job.cancelled() and job.exception() is None:
            self._deliver(job.result()[1])

    async def fetch(self, endpoint: str, after: int, limit: int) -> Sequence[Notification]:
        """Read an inbox."""
        return await self._read(reads.fetch, self.runs, endpoint, after, limit)

    async def acknowledge(self, endpoint: str, position: int) -> None:
        """Move the acknowledged position forward."""
        await self._database.writer.run(lambda connection: retention.acknowledge(connection, endpoint, position))

    async def acknowledged(self, endpoint: str) -> int:
        """Read the acknowledged position."""
        return await self._read(reads.acknowledged, endpoint)

    async def lost(self, endpoint: str) -> int:
        """Read what was taken from an inbox unread."""
        return await self._read(reads.lost, endpoint)

    async def seen(self) -> Mapping[str, int]:
        """Read when endpoints were heard of."""
        return await self._read(reads.seen)

    async def blob_octets(self, endpoint: str) -> int:
        """Read how much an endpoint has stored."""
        return await self._read(reads.blob_octets, endpoint)

    async def note_blob(self, endpoint: str, name: str, size: int, now: int) -> None:
        """Note an attachment."""
        await self._database.writer.run(lambda connection: retention.note_blob(connection, endpoint, name, size, now))

    async def room(self, room: str) -> RoomState | None:
        """Read one room."""
        return await self._read(reads.room_state, room)

    async def group_info(self, room: str) -> bytes | None:
        """Read one room's GroupInfo."""
        return await self._read(reads.group_info, room)

    async def rooms(self, endpoint: str | None = None) -> Sequence[RoomView]:
        """Read the list of rooms."""
        return await self._read(reads.room_views, endpoint)

    async def message(self, room: str, sequence: int) -> Notification | None:
        """Read one record."""
        return await self._read(reads.message, self.runs, room, sequence)

    async def publish(
        self,
        endpoint: str,
        packages: Sequence[KeyPackageRecord],
        last_resort: KeyPackageRecord | None,
        now: int,
        *,
        replace: bool = False,
    ) -> int:
        """Keep KeyPackages."""
        return await self._database.writer.run(
            lambda connection: keys.publish(connection, endpoint, packages, last_resort, now, replace=replace)
        )

    async def claim(self, endpoint: str, now: int) -> bytes | None:
        """Take one KeyPackage."""
        return await self._database.writer.run(lambda connection: keys.claim(connection, endpoint, now))

    async def prune(
        self, now: int, *, bodies_after: int, receipts_after: int, unfetched_after: int, blobs_after: int
    ) -> int:
        """Forget what is no longer needed, a window at a time, with room for messages between."""
        writer = self._database.writer
        count = await writer.run(lambda connection: retention.drop_key_packages(connection, now))
        count += await writer.run(lambda connection: retention.drop_blobs(connection, now - blobs_after))
        unfetched = partial(retention.drop_unfetched, before=now - unfetched_after, limit=PRUNE_WINDOW)
        while dropped := await writer.run(unfetched):
            count += dropped
            await asyncio.sleep(PRUNE_PAUSE)
        while cleared := await writer.run(lambda connection: retention.clear_inboxes(connection, PRUNE_WINDOW)):
            count += cleared
            await asyncio.sleep(PRUNE_PAUSE)
        position: int | None = 0
        while position is not None:
            swept = await writer.run(
                partial(
                    retention.sweep,
                    after=position,
                    bodies_before=now - bodies_after,
                    receipts_before=now - receipts_after,
                    limit=PRUNE_WINDOW,
                )
            )
            position = swept.position
            count += swept.forgotten
            await asyncio.sleep(PRUNE_PAUSE)
        return count

    async def _read(self, query: Callable[..., T], *arguments: object) -> T:
        return await self._database.reader.run(lambda connection: query(connection, *arguments))
