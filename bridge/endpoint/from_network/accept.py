"""One batch of events into one transaction: durable before the network is told "received".

Every event is a bulkhead. What cannot be handled is put into quarantine with its reason and its sender is told; what a
database cannot even write is found by writing the batch one by one. Everything else goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog
from msgspec import structs

from adapters.contract import Acknowledge, Alias, Event, Inbound, Reason, Receipt, Refused, TypingNotice
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.attachments import has_files
from bridge.endpoint.context import Context
from bridge.endpoint.errors import NotRetriable
from bridge.endpoint.from_network import stored
from bridge.endpoint.from_network.check import Check, Known
from bridge.endpoint.from_network.media import AwaitingMedia
from bridge.endpoint.from_network.translate import Translate
from bridge.endpoint.ledger.contract import (
    Change,
    Native,
    QuarantineKind,
    QuarantineRow,
    State,
    StatusRow,
    moves,
)
from bridge.endpoint.membership.keys import ENDPOINT
from bridge.endpoint.offers.early import EarlyAliases
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.quarantine import Quarantine
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.to_network.words import told
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.to_router.passing import PassingSigns
from bridge.endpoint.transaction import Transaction
from bridge.endpoint.translate import Failure
from bridge.limits import Admission, Verdict
from bridge.storage import StorageError
from protocol import status
from protocol.errors import ProtocolError
from protocol.status import Status
from protocol.uri import UriError

CURSOR = "adapter-cursor"

log = structlog.get_logger(__name__)


class Taking:
    """One batch of events on its way into one transaction, and what is to be done once that is durable."""

    def __init__(self, tx: Transaction, known: Known, refused: Mapping[str, Refused]) -> None:
        self.transaction = tx
        self.known = known
        self.refused = refused
        self.acknowledgements: list[tuple[Acknowledge, Refused | None]] = []
        self.unopened: list[Room] = []
        self.waiting: list[str] = []
        self.undo: list[Callable[[], None]] = []
        """Takes back what was noted in memory, should the transaction fail."""


class Accept:
    """Accepts the events of one endpoint's network."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        rooms: Rooms,
        outbox: Outbox,
        check: Check,
        messages: Translate,
        media: AwaitingMedia,
        aliases: EarlyAliases,
        offers: Offers,
        signs: PassingSigns,
        quarantine: Quarantine,
    ) -> None:
        self._context = context
        self._directory = directory
        self._rooms = rooms
        self._outbox = outbox
        self._check = check
        self._messages = messages
        self._media = media
        self._aliases = aliases
        self._offers = offers
        self._signs = signs
        self._quarantine = quarantine
        self._admission = Admission(context.limits)
        quarantine.handles(QuarantineKind.EVENT, self._retry)

    async def accept(
        self, events: Sequence[Event], known: Known, refused: Mapping[str, Refused], cursor: Callable[[int], str | None]
    ) -> None:
        """Commit these events and acknowledge them. Raises ``StorageError`` only.

        ``cursor(n)`` says where the adapter would go on when the first ``n`` of them are durable. ``refused`` are the
        conversations in which nobody can be reached.
        """
        try:
            await self._transact(events, known, refused, cursor(len(events)))
        except StorageError:
            raise
        except Exception as error:
            if len(events) > 1:
                log.warning("a batch of events cannot be written: one by one", why=str(error))
                for number, event in enumerate(events, start=1):
                    await self.accept([event], known, refused, lambda _, number=number: cursor(number))  # type: ignore[misc]
                return
            log.exception("a defect: an event that cannot be written")
            taking = Taking(self._outbox.transaction(), known, refused)
            self._put_aside(taking, events[0], error)
            await self._commit(taking, cursor(1))

    async def _transact(
        self, events: Sequence[Event], known: Known, refused: Mapping[str, Refused], cursor: str | None
    ) -> None:
        taking = Taking(self._outbox.transaction(), known, refused)
        for event in events:
            try:
                self._take(taking, event)
            except Exception as error:
                if not isinstance(error, ProtocolError):  # which says what is wrong with the event, not with us
                    log.exception("a defect: an event is put aside")
                self._put_aside(taking, event, error)
        await self._commit(taking, cursor)

    async def _commit(self, taking: Taking, cursor: str | None) -> None:
        if cursor is not None:
            taking.transaction.change.records.append((ENDPOINT, CURSOR, cursor.encode(errors="surrogatepass")))
        if taking.transaction.change:
            try:
                await taking.transaction.commit()
            except Exception:
                for undo in reversed(taking.undo):
                    undo()
                raise
        for acknowledge, answer in taking.acknowledgements:
            self._acknowledge(acknowledge, answer)
        for room in taking.unopened:
            self._rooms.establish(room)
        for key in taking.waiting:
            self._media.work_off(key)

    def _acknowledge(self, acknowledge: Acknowledge, answer: Refused | None) -> None:
        try:
            acknowledge(answer)
        except Exception:
            self._context.metrics.count("defects")
            log.exception("a defect of the adapter: acknowledge")

    # --- one event ----------------------------------------------------------------------------------------------------

    def _take(self, taking: Taking, event: Event) -> None:
        """Write one event into the batch. Raises whatever is wrong with it, and has then written nothing."""
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
            case _:
                raise TypeError(f"an adapter yields events of the contract, not {type(event).__name__}")

    def _put_aside(self, taking: Taking, event: object, error: Exception) -> None:
        """Put an event into quarantine and tell its sender; a typing notice is lost without harm."""
        if isinstance(event, TypingNotice):
            self._context.metrics.count("defects")
            return
        code = "" if isinstance(event, Inbound | Receipt | Alias) else "unknown-event"
        self._quarantine.put(
            taking.transaction.change, QuarantineKind.EVENT, _place(event), stored.encode_event(event), error, code=code
        )
        acknowledge = getattr(event, "acknowledge", None)
        if callable(acknowledge):
            refused = Refused("invalid", f"{type(error).__name__} in the bridge")
            taking.acknowledgements.append((acknowledge, refused))

    # --- messages -----------------------------------------------------------------------------------------------------

    def _take_message(self, taking: Taking, event: Inbound) -> Refused | None:
        """Put a message on its way, or say what is wrong with it."""
        key = event.conversation.key
        known = taking.known
        if event.native_id in known.natives and self._is_repetition(known, event):
            self._context.metrics.count("duplicates")
            return None
        if key in taking.refused:
            return self._refuse(taking.refused[key])
        verdict = self._admission.judge(str(event.sender.address), key, self._context.clock())
        if verdict is not Verdict.WITHIN:
            return self._refuse(Refused("too-many", quiet=verdict is Verdict.REFUSE))
        if self._check.unplumbed(event):
            return self._refuse(Refused("unknown-conversation", "this room is not plumbed"))
        try:
            self._messages.may_speak(event)
            event = self._check.bound(event, known)
            room = self._room(taking, event)
            answer = self._offers.answered(event, known.offers.get(room.uri, ()), known.natives)
            if answer is not None:
                event = structs.replace(event, message=answer.message)
                known.natives[answer.offer.native_id] = answer.offer.mimi_id
            if self._media.waits(key) or has_files(event.message.part):
                self._wait(taking, event)
            else:
                mimi_id = self._messages.post(taking.transaction, event, room, known.natives)
                known.natives.update(dict.fromkeys((event.native_id, *event.aliases), mimi_id))
        except Refused as refused:
            return self._refuse(refused)
        except UriError as error:
            return self._refuse(Refused("unknown-conversation", str(error)))
        if answer is not None:
            self._offers.take(taking.transaction.change, answer, known.offers[room.uri])
        self._context.metrics.count("received")
        return None

    def _is_repetition(self, known: Known, event: Inbound) -> bool:
        """Whether a message whose native id is known is the one that is known.

        Networks promise ids that are unique for ever and do not always keep it (RFC 6120 §8.1.3 asks for uniqueness
        within a stream only): what another person says, elsewhere or in other words, is another message.
        """
        row = known.messages.get(known.natives[event.native_id])
        if row is None or not row.source:
            return True  # it still waits for its files, was accepted in this very batch, or is an echo of ours
        if row.sender != self._directory.user(event.sender.address):
            return False
        room = self._rooms.of(event.conversation)
        said = translate.excerpt(event.message.part)
        quotes = said.startswith(">") and said.endswith(row.excerpt)  # an answer in words is logged without its quote
        same = not row.excerpt or not said or row.excerpt == said or quotes
        return room is not None and room.uri == row.room and same

    def _refuse(self, refused: Refused) -> Refused:
        if not refused.quiet:
            log.info("message refused", reason=refused.reason, why=str(refused))
        self._context.metrics.count("refused", reason=refused.reason)
        return refused

    def _room(self, taking: Taking, event: Inbound) -> Room:
        room = self._rooms.want(event.conversation)
        if room is None:
            raise Refused("unknown-conversation", "this room is not plumbed")
        if not room.stored:
            room.stored = True
            taking.transaction.change.rooms.append(room.row())
            taking.undo.append(lambda: setattr(room, "stored", False))
        if not room.open:
            taking.unopened.append(room)
        return room

    def _wait(self, taking: Taking, event: Inbound) -> None:
        key = event.conversation.key
        self._media.wait(taking.transaction, event)
        taking.undo.append(lambda: self._media.undo(key))
        taking.waiting.append(key)
        for native in (event.native_id, *event.aliases):
            taking.known.natives[native] = b""

    # --- everything else ----------------------------------------------------------------------------------------------

    def _take_receipt(self, taking: Taking, event: Receipt) -> None:
        """Tell the room how far its messages have come, unless it has been told."""
        room = self._rooms.of(event.conversation)
        to = _STATES.get(event.status)
        if room is None or to is None:
            return
        known = taking.known
        by = self._directory.user(event.sender.address)
        steps: list[bytes] = []
        for mimi_id in dict.fromkeys(known.natives.get(native, b"") for native in event.native_ids):
            message = known.messages.get(mimi_id)
            if message is None or message.source or message.room != room.uri:
                continue
            if moves(known.states.get((mimi_id, by), min(message.state, State.DELIVERED)), to):
                steps.append(mimi_id)
        if not steps:
            return
        report = status.encode([(mimi_id, int(event.status)) for mimi_id in steps])
        failure = None if to is not State.FAILED else told(Failure(event.reason or Reason.REJECTED, event.text))
        said = translate.status_content(report, salt=self._context.random(16), by=by, room=room.uri, failure=failure)
        taking.transaction.send(room, said)
        for mimi_id in steps:
            known.states[mimi_id, by] = to
            taking.transaction.change.statuses.append(
                StatusRow(
                    mimi_id=mimi_id,
                    by=by,
                    state=to,
                    at=self._context.clock(),
                    reason=event.reason,
                    text=event.text[:500],
                )
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
                salt=self._context.random(16), sender=person, room=room.uri, name=sender.name, active=event.active
            ),
        )

    def _take_alias(self, taking: Taking, event: Alias) -> None:
        natives = taking.known.natives
        mimi_id = natives.get(event.native_id) or self._aliases.note(event.native_id, event.alias)
        if mimi_id:
            taking.transaction.change.natives.append(Native(event.alias, mimi_id))
            natives[event.alias] = mimi_id

    # --- what was put aside -------------------------------------------------------------------------------------------

    async def _retry(self, row: QuarantineRow, change: Change) -> None:
        """Accept an event that was put aside. Raises what is still wrong with it."""
        event = stored.decode_event(row.item)
        if event is None:
            raise NotRetriable("it was no event of the contract")
        known = await self._check.look_up([event])
        taking = Taking(self._outbox.transaction(), known, {})
        taking.transaction.change = change
        self._take(taking, event)
        for _, answer in taking.acknowledgements:
            if answer is not None:
                raise answer
        taking.acknowledgements.clear()
        await self._commit(taking, None)


_STATES = {Status.DELIVERED: State.DELIVERED, Status.READ: State.READ, Status.ERROR: State.FAILED}


def _place(event: object) -> str:
    """The conversation of an event, as far as it has one."""
    key = getattr(getattr(event, "conversation", None), "key", "")
    return key if isinstance(key, str) else ""
