"""From the network to the ledger: one transaction for whatever has arrived by now.

A message that can be translated at once is; one that brings a file waits in the inbox until the file is fetched and
sealed, and later ones of its conversation wait behind it. Either way it is durable before the network is told
"received".
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from adapters.contract import (
    Adapter,
    Alias,
    Conversation,
    Direct,
    Event,
    Group,
    Inbound,
    Message,
    Profile,
    Reason,
    Receipt,
    Refused,
    TypingNotice,
)
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.attachments import Attachments, MediaFailure, has_files
from bridge.endpoint.from_network.lookup import Lookup
from bridge.endpoint.from_network.taking import Seen, Taking
from bridge.endpoint.ledger.contract import Erased, InboxRow, Ledger, MessageRow, Native, State, StatusRow, moves
from bridge.endpoint.membership.keys import ENDPOINT, Keys
from bridge.endpoint.metrics import Metrics
from bridge.endpoint.offers.early import EarlyAliases
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_network.words import told
from bridge.endpoint.to_router.outbox import Batch, Outbox
from bridge.endpoint.to_router.passing import PassingSigns
from bridge.endpoint.translate import Failure
from bridge.limits import Admission, Verdict
from bridge.router.contract import RouterUnavailable
from protocol import status
from protocol.content import NullPart, Part, SinglePart, text
from protocol.errors import ProtocolError
from protocol.status import Status
from protocol.uri import UriError

CURSOR = "adapter-cursor"

_AT_ONCE = 256
_LARGEST = 1_000_000  # octets of one encoded content; the router takes a little more

Clock = Callable[[], int]
Random = Callable[[int], bytes]

log = structlog.get_logger(__name__)


class Stored(Struct, frozen=True):
    """A received message as the inbox keeps it."""

    native_id: str
    aliases: tuple[str, ...]
    conversation: Conversation
    sender: Profile
    message: Message
    sent_at: int | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


class Receiving:
    """The way in of one endpoint."""

    def __init__(
        self,
        settings: EndpointSettings,
        adapter: Adapter[Any],
        directory: Directory,
        ledger: Ledger,
        keys: Keys,
        rooms: Rooms,
        outbox: Outbox,
        attachments: Attachments,
        aliases: EarlyAliases,
        offers: Offers,
        lookup: Lookup,
        signs: PassingSigns,
        *,
        failed: Callable[[Batch, Room, bytes, translate.Failure], None],
        alive: Callable[[], None],
        metrics: Metrics,
        clock: Clock,
        random: Random,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._adapter = adapter
        self._directory = directory
        self._ledger = ledger
        self._keys = keys
        self._rooms = rooms
        self._outbox = outbox
        self._attachments = attachments
        self._aliases = aliases
        self._offers = offers
        self._lookup = lookup
        self._signs = signs
        self._failed = failed
        self._alive = alive
        self._admission = Admission(settings.limits)
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._fatal = fatal
        self._events: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._room_for_more = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._backlog: Counter[str] = Counter()
        self._workers: dict[str, asyncio.Task[None]] = {}
        self.last_event = 0
        """When the network was last heard of, in milliseconds (0: not yet)."""

    # --- taking what arrives ------------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Take events from the adapter as fast as they come, some ahead of what is committed."""
        cursor = await self._ledger.get(ENDPOINT, CURSOR)
        events: AsyncIterator[Event] = self._adapter.receive(None if cursor is None else cursor.decode())
        async for event in events:
            self.last_event = self._clock()
            self._alive()
            self._quiet.clear()
            self._events.append(event)
            self._arrived.set()
            if len(self._events) >= 4 * _AT_ONCE:
                self._room_for_more.clear()
                await self._room_for_more.wait()

    async def run(self) -> None:
        """Commit what has arrived, for as long as the endpoint runs."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._events:
                events = [self._events.popleft() for _ in range(min(_AT_ONCE, len(self._events)))]
                self._room_for_more.set()
                await self._accept(events)
            self._quiet.set()

    async def quiet(self) -> None:
        """Wait until everything that was taken from the adapter is committed."""
        await self._quiet.wait()

    async def resume(self) -> None:
        """Go on with what the last run left in the inbox."""
        self._backlog.update(await self._ledger.inbox_conversations())
        for conversation in self._backlog:
            self._work_off(conversation)

    async def stop(self) -> None:
        """Stop fetching media; what waits goes on at the next start."""
        for task in self._workers.values():
            task.cancel()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)

    async def _accept(self, events: Sequence[Event]) -> None:
        slow = {key for key, waiting in self._backlog.items() if waiting}
        known, offers = await self._lookup.of(events)
        events = await self._lookup.bound(events, known)
        refused = await self._strangers(events)
        receipts = [event for event in events if isinstance(event, Receipt)]
        seen = await self._seen(receipts, known) if receipts else Seen({}, {})
        taking = Taking(self._outbox.batch(), known, slow, refused, seen, offers)
        for event in events:
            self._take(taking, event)
        if taking.batch.change:
            await taking.batch.commit()
        for acknowledge, answer in taking.acknowledgements:
            acknowledge(answer)
        for room in taking.unopened:
            self._rooms.establish(room)
        for key in taking.waiting:
            self._work_off(key)

    async def _strangers(self, events: Iterable[Event]) -> Mapping[str, Refused]:
        """Find the conversations in which nobody could be reached; those with a room are not asked about."""
        new = {
            event.conversation.key: event.conversation
            for event in events
            if isinstance(event, Inbound) and self._rooms.of(event.conversation) is None
        }
        refused: dict[str, Refused] = {}
        for key, conversation in new.items():
            if isinstance(conversation, Group):
                if self._directory.plumbed(conversation) is None:
                    refused[key] = Refused("unknown-conversation", "this room is not plumbed")
                continue
            try:
                endpoint = await self._directory.endpoint_of(conversation.peer)
            except UriError as error:
                refused[key] = Refused("unknown-conversation", str(error))
                continue
            except RouterUnavailable:
                continue  # it is accepted, and fails later if there is nobody
            if endpoint is None or endpoint == self._keys.identity.uri:
                refused[key] = Refused("unknown-conversation", "there is no such person on any network connected here")
        return refused

    async def _seen(self, receipts: Sequence[Receipt], known: Mapping[str, bytes]) -> Seen:
        ids = {known[native] for receipt in receipts for native in receipt.native_ids if known.get(native)}
        return Seen(await self._ledger.messages(ids), dict(await self._ledger.states(ids)))

    def _take(self, taking: Taking, event: Event) -> None:
        match event:
            case Inbound():
                taking.acknowledgements.append((event.acknowledge, self._take_message(taking, event)))
            case Receipt():
                self._take_receipt(taking, event)
                taking.acknowledgements.append((event.acknowledge, None))
            case TypingNotice():
                self._take_typing(event)
            case Alias():
                self._take_alias(taking, event)
        if isinstance(event, Inbound | Receipt) and event.cursor is not None:
            taking.batch.change.records.append((ENDPOINT, CURSOR, event.cursor.encode()))

    # --- messages -----------------------------------------------------------------------------------------------------

    def _take_message(self, taking: Taking, event: Inbound) -> Refused | None:
        """Put a message on its way, or say what is wrong with it."""
        key = event.conversation.key
        if event.native_id in taking.known:
            self._metrics.count("duplicates")
            return None
        if key in taking.refused:
            return self._refuse(taking.refused[key])
        verdict = self._admission.judge(str(event.sender.address), key, self._clock())
        if verdict is not Verdict.WITHIN:
            return self._refuse(Refused("too-many", quiet=verdict is Verdict.REFUSE))
        try:
            room = self._room(taking, event)
            answer = self._offers.answered(event, taking.offers.get(room.uri, ()), taking.known)
            if answer is not None:
                event = msgspec.structs.replace(event, message=answer.message)
                taking.known[answer.offer.native_id] = answer.offer.mimi_id
            if key in taking.slow or self._backlog[key] or has_files(event.message.part):
                self._wait(taking, event)
            else:
                self._post(taking.batch, event, room, taking.known)
        except Refused as refused:
            return self._refuse(refused)
        except UriError as error:
            return self._refuse(Refused("unknown-conversation", str(error)))
        except Exception as error:  # one message that we cannot bear must not stop all others for ever
            log.exception("a defect: refused")
            return self._refuse(Refused("invalid", f"{type(error).__name__} in the bridge"))
        if answer is not None:
            self._offers.take(taking.batch.change, answer, taking.offers[room.uri])
        self._metrics.count("received")
        return None

    def _refuse(self, refused: Refused) -> Refused:
        if not refused.quiet:
            log.info("message refused", reason=refused.reason, text=str(refused))
        self._metrics.count("refused", reason=refused.reason)
        return refused

    def _room(self, taking: Taking, event: Inbound) -> Room:
        sender = event.sender.address
        if isinstance(event.conversation, Direct) and sender != event.conversation.local:
            raise Refused("invalid", f"{sender} speaks in a conversation that is not theirs")
        if not self._directory.user(sender).startswith(self._settings.namespaces):
            raise Refused("not-allowed", f"{sender} is not of this network")
        room = self._rooms.want(event.conversation)
        if room is None:
            raise Refused("unknown-conversation", "this room is not plumbed")
        if not room.stored:
            room.stored = True
            taking.batch.change.rooms.append(room.row())
        if not room.open:
            taking.unopened.append(room)
        return room

    def _wait(self, taking: Taking, event: Inbound) -> None:
        """Keep a message in the inbox, in its turn."""
        key = event.conversation.key
        stored = Stored(event.native_id, event.aliases, event.conversation, event.sender, event.message, event.sent_at)
        row = InboxRow(id=self._outbox.next_id(), conversation=key, event=_encode(stored), at=self._clock())
        taking.batch.change.inbox.append(row)
        for native in (event.native_id, *event.aliases):
            taking.batch.change.natives.append(Native(native))
            taking.known[native] = b""
        self._backlog[key] += 1
        taking.waiting.append(key)

    def _post(
        self, batch: Batch, event: Inbound, room: Room, known: Mapping[str, bytes], part: Part | None = None
    ) -> bytes:
        """Translate a message and post it; return its MIMI id. Raises ``Refused``."""
        message = event.message
        if translate.needs_its_reference(message) and not all(map(known.get, translate.references(message))):
            raise Refused("invalid", "the message it refers to is not known here")
        try:
            posted = self._translate(event, room, known, part)
        except ProtocolError as error:
            raise Refused("invalid", str(error)) from error
        if len(posted.encoded) > _LARGEST:
            raise Refused("too-large", f"{len(posted.encoded)} octets; {_LARGEST} are allowed")
        self._log(batch, event, room, posted, known)
        batch.post(room, posted.encoded, mimi_id=posted.mimi_id)
        return posted.mimi_id

    def _translate(self, event: Inbound, room: Room, known: Mapping[str, bytes], part: Part | None) -> translate.Posted:
        network, account = self._settings.network, self._settings.name
        sender = self._directory.profile(event.sender.address, event.sender.name, event.sender.avatar)
        return translate.post(
            event,
            salt=translate.salt(self._keys.secret, network, account, event.native_id),
            sender=self._directory.user(sender.address),
            name=sender.name,
            room=room.uri,
            known=known,
            now=self._clock(),
            avatar=sender.avatar,
            part=part,
        )

    def _log(
        self, batch: Batch, event: Inbound, room: Room, posted: translate.Posted, known: Mapping[str, bytes]
    ) -> None:
        for native in (event.native_id, *event.aliases, *self._aliases.settle(event.native_id, posted.mimi_id)):
            batch.change.natives.append(Native(native, posted.mimi_id))
            if isinstance(known, dict):
                known[native] = posted.mimi_id
        replaced, deleted = posted.content.replaces or b"", isinstance(posted.content.part, NullPart)
        batch.change.messages.append(
            MessageRow(
                mimi_id=posted.mimi_id,
                room=room.uri,
                source=True,
                sender=self._directory.user(event.sender.address),
                at=self._clock(),
                native_id=event.native_id,
                excerpt=translate.excerpt(posted.content.part),
                reaction=translate.is_reaction(posted.content.part),
                whole=b"" if deleted else replaced,
            )
        )
        if replaced and deleted:
            batch.change.erased.append(Erased(replaced, self._directory.user(event.sender.address)))

    # --- the slow way: with files -------------------------------------------------------------------------------------

    def _work_off(self, key: str) -> None:
        task = self._workers.get(key)
        if task is None or task.done():
            task = asyncio.create_task(self._work(key), name="inbox")
            self._workers[key] = task
            task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    async def _work(self, key: str) -> None:
        """Fetch, seal and post what waits in one conversation, in order."""
        while self._backlog[key]:
            for row in await self._ledger.inbox(key, 16):
                await self._work_one(row)
                self._backlog[key] -= 1
        del self._backlog[key], self._workers[key]

    async def _work_one(self, row: InboxRow) -> None:
        stored = _decode(row.event)
        event = Inbound(
            native_id=stored.native_id,
            aliases=stored.aliases,
            conversation=stored.conversation,
            sender=stored.sender,
            message=stored.message,
            sent_at=stored.sent_at,
        )
        failure: translate.Failure | None = None
        part: Part | None = None
        try:
            part = await self._attachments.seal_all(event.message.part, since=row.at)
        except MediaFailure as error:
            failure = translate.Failure(error.reason, str(error), error.words)
        known = dict(await self._ledger.natives([*translate.references(event.message), event.native_id]))
        room = self._rooms.want(event.conversation)
        batch = self._outbox.batch()
        batch.change.inbox_done.append(row.id)
        if room is None:
            log.error("a message waits for a room that is no longer plumbed", conversation=row.conversation)
        elif failure is not None:
            self._give_up(batch, event, room, known, failure)
        else:
            try:
                self._post(batch, event, room, known, part)
            except Refused as refused:
                self._give_up(batch, event, room, known, translate.Failure("rejected", str(refused)))
        await batch.commit()

    def _give_up(
        self,
        batch: Batch,
        event: Inbound,
        room: Room,
        known: Mapping[str, bytes],
        failure: translate.Failure,
    ) -> None:
        """Log a message that will never leave, and tell its sender. Its id is that of a stand-in for the content."""
        part: SinglePart = text(translate.excerpt(event.message.part) or "file")
        bare = msgspec.structs.replace(event, message=Message(part))
        posted = self._translate(bare, room, known, None)
        self._log(batch, bare, room, posted, known)
        self._failed(batch, room, posted.mimi_id, failure)

    # --- everything else ----------------------------------------------------------------------------------------------

    def _take_receipt(self, taking: Taking, event: Receipt) -> None:
        """Tell the room how far its messages have come, unless it has been told."""
        room = self._rooms.of(event.conversation)
        to = _STATES.get(event.status)
        if room is None or to is None:
            return
        by = self._directory.user(event.sender.address)
        report: list[tuple[bytes, int]] = []
        for mimi_id in dict.fromkeys(taking.known.get(native, b"") for native in event.native_ids):
            message = taking.seen.messages.get(mimi_id)
            if message is None or message.source or message.room != room.uri:
                continue
            now = taking.seen.states.get((mimi_id, by), min(message.state, State.DELIVERED))
            if not moves(now, to):
                continue
            taking.seen.states[mimi_id, by] = to
            report.append((mimi_id, int(event.status)))
            taking.batch.change.statuses.append(
                StatusRow(
                    mimi_id=mimi_id, by=by, state=to, at=self._clock(), reason=event.reason, text=event.text[:500]
                )
            )
        if report:
            failure = None if to is not State.FAILED else told(Failure(event.reason or Reason.REJECTED, event.text))
            taking.batch.post(
                room,
                translate.status_content(
                    status.encode(report), salt=self._random(16), by=by, room=room.uri, failure=failure
                ),
            )

    def _take_typing(self, event: TypingNotice) -> None:
        room = self._rooms.of(event.conversation)
        if room is None:
            return
        sender = self._directory.profile(event.sender.address, event.sender.name)
        person = self._directory.user(sender.address)
        self._signs.give(
            room,
            person,
            translate.typing_content(
                salt=self._random(16),
                sender=person,
                room=room.uri,
                name=sender.name,
                active=event.active,
            ),
        )

    def _take_alias(self, taking: Taking, event: Alias) -> None:
        mimi_id = taking.known.get(event.native_id) or self._aliases.note(event.native_id, event.alias)
        if mimi_id:
            taking.batch.change.natives.append(Native(event.alias, mimi_id))
            taking.known[event.alias] = mimi_id


_STATES = {Status.DELIVERED: State.DELIVERED, Status.READ: State.READ, Status.ERROR: State.FAILED}
