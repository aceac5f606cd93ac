"""Messages that bring files, and those that wait behind one: fetched, sealed and posted, in order in a conversation.

A file that cannot be had costs its own message: its links go as text in its place, and its sender is told.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog
from msgspec import structs

from adapters.contract import Inbound, Refused
from bridge.endpoint import translate
from bridge.endpoint.attachments import Attachments, MediaFailure
from bridge.endpoint.context import Context
from bridge.endpoint.errors import NotRetriable
from bridge.endpoint.from_network import stored
from bridge.endpoint.from_network.translate import Translate
from bridge.endpoint.ledger.contract import Change, Damaged, InboxRow, Ledger, Native, QuarantineKind, QuarantineRow
from bridge.endpoint.quarantine import Quarantine
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.transaction import Transaction
from bridge.storage import StorageError
from protocol.content import Part

_PAGE = 16
_UNWRITTEN_S = 0.05  # for rows that are counted, but not in the ledger yet

log = structlog.get_logger(__name__)


class AwaitingMedia:
    """The messages of one endpoint that wait for their files."""

    def __init__(
        self,
        context: Context,
        ledger: Ledger,
        rooms: Rooms,
        outbox: Outbox,
        attachments: Attachments,
        messages: Translate,
        quarantine: Quarantine,
        *,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._rooms = rooms
        self._outbox = outbox
        self._attachments = attachments
        self._messages = messages
        self._quarantine = quarantine
        self._fatal = fatal
        self._backlog: Counter[str] = Counter()
        self._workers: dict[str, asyncio.Task[None]] = {}
        quarantine.handles(QuarantineKind.AWAITING_MEDIA, self._retry)
        quarantine.lets_go("inbox", self._let_go)

    async def resume(self) -> None:
        """Go on with what the last run left waiting."""
        self._backlog.update(await self._ledger.inbox_conversations())
        for conversation in list(self._backlog):
            self.work_off(conversation)

    async def stop(self) -> None:
        """Stop fetching; what waits goes on at the next start."""
        for task in self._workers.values():
            task.cancel()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)

    def waits(self, conversation: str) -> bool:
        """Whether something waits in a conversation: what comes later has to wait behind it."""
        return self._backlog[conversation] > 0

    def wait(self, tx: Transaction, event: Inbound) -> None:
        """Keep a message in its turn; ``work_off`` its conversation once that is durable."""
        key = event.conversation.key
        row = InboxRow(
            id=self._outbox.next_id(), conversation=key, event=stored.encode_message(event), at=self._context.clock()
        )
        tx.change.inbox.append(row)
        tx.change.natives += [Native(native) for native in (event.native_id, *event.aliases)]
        self._backlog[key] += 1

    def undo(self, conversation: str) -> None:
        """Take ``wait`` back: its transaction failed."""
        self._backlog[conversation] -= 1

    def work_off(self, conversation: str) -> None:
        """Begin, or go on, with what waits in a conversation."""
        task = self._workers.get(conversation)
        if task is None or task.done():
            task = asyncio.create_task(self._work(conversation), name="awaiting media")
            self._workers[conversation] = task
            task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)  # the ledger's: everything that concerns one message is dealt with

    async def _work(self, key: str) -> None:
        """Fetch, seal and post what waits in one conversation, in order."""
        while self._backlog[key] > 0:
            rows = await self._ledger.inbox(key, _PAGE)
            for row in rows:
                await self._work_one(row)
                self._backlog[key] -= 1
            if not rows:
                await self._context.sleep(_UNWRITTEN_S)
        del self._backlog[key], self._workers[key]

    async def _work_one(self, row: InboxRow) -> None:
        """Bring one message to its end, whatever it is. Raises ``StorageError`` only."""
        try:
            await self._post(row)
        except StorageError:
            raise
        except Exception as error:
            log.exception("a defect: a message is put aside")
            tx = self._outbox.transaction()
            tx.change.inbox_done.append(row.id)
            self._quarantine.put(tx.change, QuarantineKind.AWAITING_MEDIA, row.conversation, row.event, error)
            await self._tell(tx, row)
            await tx.commit()

    async def _post(self, row: InboxRow) -> None:
        event = stored.decode_message(row.event)
        failure: translate.Failure | None = None
        part: Part | None = None
        try:
            part = await self._attachments.seal_all(event.message.part, since=row.at)
        except MediaFailure as error:
            failure = translate.Failure(error.reason, str(error), error.words)
        known = await self._ledger.natives([*translate.references(event.message), event.native_id])
        room = self._rooms.want(event.conversation)
        tx = self._outbox.transaction()
        tx.change.inbox_done.append(row.id)
        if room is None:
            self._quarantine.put(
                tx.change,
                QuarantineKind.AWAITING_MEDIA,
                row.conversation,
                row.event,
                "its room is no longer plumbed",
                code="unknown-conversation",
            )
        elif failure is not None:
            self._messages.give_up(tx, event, room, known, failure)
            self._messages.post_links(tx, event, room, known)
        else:
            try:
                self._messages.post(tx, event, room, known, part=part)
            except Refused as refused:
                self._messages.give_up(tx, event, room, known, translate.Failure("rejected", str(refused)))
        await tx.commit()

    async def _tell(self, tx: Transaction, row: InboxRow) -> None:
        """Tell the sender of a message that is put aside, as far as it can be read."""
        try:
            event = stored.decode_message(row.event)
            room = self._rooms.want(event.conversation)
            if room is not None:
                self._messages.give_up(tx, event, room, {}, translate.Failure("rejected", "a defect of the bridge"))
        except Exception as error:
            log.warning("the sender of what is put aside cannot be told", why=str(error))

    def _let_go(self, row: Damaged, change: Change) -> None:
        change.inbox_done.append(row.id)
        self._ledger.commit(change)
        self._backlog[row.place] -= 1

    async def _retry(self, row: QuarantineRow, change: Change) -> None:
        """Put a message back into its turn; its old id in the id map is given up first."""
        event = stored.decode_message(row.item)
        if self._rooms.want(event.conversation) is None:
            raise NotRetriable("its room is still not plumbed")
        tx = self._outbox.transaction()
        tx.change = change
        self.wait(tx, structs.replace(event, aliases=()))
        await tx.commit()
        self.work_off(event.conversation.key)
