"""Carries one message to the network: planned, sent part by part, retried, and ended in exactly one way."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from msgspec import Struct, structs

from adapters.contract import (
    Adapter,
    Delivery,
    Direct,
    Message,
    Outcome,
    Permanent,
    Profile,
    Reason,
    Reconcile,
    Retry,
    Sent,
    SignedOut,
    Throttled,
    Unsure,
)
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.attachments import Attachments
from bridge.endpoint.ledger.contract import Change, DeliveryRow, Ledger, MessageRow, Native, OfferRow, State, StatusRow
from bridge.endpoint.metrics import Metrics
from bridge.endpoint.offers.early import EarlyAliases, InFlight
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.offers.offers import encode as encode_offer
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_network import pieces, retry
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_router.outbox import Batch, Outbox
from bridge.endpoint.translate import Failure
from bridge.storage import StorageError
from protocol import content, degrade, extensions, status
from protocol.capabilities import Capabilities, Feature, Level
from protocol.content import Content, Disposition, NullPart
from protocol.status import Status

_ENDS = 8  # messages of one room whose ends may become durable together
MOST_AGAIN = _ENDS + 1  # so many messages of one room may have been sent at a crash, and are sent again

Clock = Callable[[], int]
Random = Callable[[int], bytes]


class _Plan(Struct, frozen=True):
    """What is to be sent; ``offers`` is the part, encoded, that may then be answered in words."""

    messages: list[Message] = []
    offers: bytes = b""


_encode_plan = msgspec.msgpack.Encoder().encode
_decode_plan = msgspec.msgpack.Decoder(_Plan | list[Message]).decode

log = structlog.get_logger(__name__)


class _Job(Struct):
    """A delivery under way: its row as the ledger has it, and what is to be sent.

    ``replaced`` is the message that it edits or deletes, if it does.
    """

    room: Room
    row: DeliveryRow
    sender: Profile
    replaced: bytes | None = None
    plan: _Plan = _Plan()
    idempotent: bool = False

    @property
    def key(self) -> str:
        """The idempotency key of the part that is next: the same for every attempt at it."""
        name = base64.urlsafe_b64encode(self.row.mimi_id).rstrip(b"=").decode()
        return f"{name}.{self.row.part}"

    def update(self, **changes: object) -> DeliveryRow:
        """Change the row; the plan is kept with it, so that every attempt sends the same."""
        plan = self.row.plan or (_encode_plan(self.plan) if self.plan.messages else b"")
        self.row = structs.replace(self.row, plan=plan, **changes)
        return self.row


class Carrier:
    """Carries messages to one adapter."""

    def __init__(
        self,
        settings: EndpointSettings,
        adapter: Adapter[Any],
        directory: Directory,
        ledger: Ledger,
        outbox: Outbox,
        attachments: Attachments,
        aliases: EarlyAliases,
        in_flight: InFlight,
        offers: Offers,
        pace: Pace,
        *,
        endpoint: str,
        metrics: Metrics,
        clock: Clock,
        random: Random,
    ) -> None:
        self._limits = settings.retry
        self._adapter = adapter
        self._directory = directory
        self._ledger = ledger
        self._outbox = outbox
        self._attachments = attachments
        self._aliases = aliases
        self._in_flight = in_flight
        self._offers = offers
        self._pace = pace
        self._endpoint = endpoint
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._ends: dict[str, deque[asyncio.Future[None]]] = {}

    async def settled(self, room: Room) -> None:
        """Wait until what has been brought to its end in a room is durable."""
        ends = self._ends.get(room.uri)
        if ends:
            await asyncio.shield(ends[-1])

    async def carry(self, room: Room, row: DeliveryRow, places: asyncio.Semaphore) -> None:
        """Bring one message to its end; ``places`` bounds how many are sent at once. Raises ``Stopping``.

        The end is queued, not yet durable: see ``settled``. The next message may be on its way meanwhile, for if it
        can only be sent once, a commit of its own comes between, and otherwise both can be sent again.
        """
        received = content.decode(row.content)
        job = _Job(room, row, self._sender(row, received), received.replaces)
        expires = received.expires
        if expires is not None and not expires.relative and expires.time * 1000 <= self._clock():
            await self._fail(job, Failure(Reason.EXPIRED, "it expired before it could be delivered"))
            return
        capabilities = await self._capabilities(room)
        job.idempotent = capabilities.idempotent_send
        plan = await self._plan(job, received, capabilities)
        if isinstance(plan, Failure):
            await self._fail(job, plan)
            return
        job.plan = plan
        if not plan.messages:
            await self._end(job, Change(), State.DELIVERED)
            return
        await self._pace.sleep((row.next_at - self._clock()) / 1000)
        while await self._carry_part(job, places):
            pass

    async def doubt(self) -> None:
        """Note that more may have been said than the ledger knows: nothing can be answered but by a quote."""
        await self._offers.doubt()

    async def give_up(self, room: Room, row: DeliveryRow, text: str) -> None:
        """Park a message that this program cannot deal with."""
        job = _Job(room, row, Profile(self._directory.address(row.sender)))
        await self._park(job, State.FAILED, Failure(Reason.REJECTED, text))

    def _sender(self, row: DeliveryRow, received: Content) -> Profile:
        address = self._directory.address(row.sender)
        avatar = extensions.SENDER_AVATAR.of(received.extensions) or ""
        return self._directory.profile(address, translate.names(received).name, avatar)

    async def _capabilities(self, room: Room) -> Capabilities:
        pause = 1
        while True:
            try:
                return await self._adapter.capabilities(room.conversation)
            except Exception:
                log.exception("a defect of the adapter: capabilities", room=room.tag)
                await self._pace.sleep(retry.wait(pause, self._limits, self._random))
                pause += 1

    # --- planning -----------------------------------------------------------------------------------------------------

    async def _plan(self, job: _Job, received: Content, capabilities: Capabilities) -> _Plan | Failure:
        """Decide what will be sent; once something was tried, it stays what it was."""
        if job.row.plan:
            stored = _decode_plan(job.row.plan)
            return _Plan(stored) if isinstance(stored, list) else stored  # a list: planned before offers were kept
        named = [mimi_id for mimi_id in (received.replaces, received.in_reply_to) if mimi_id is not None]
        if named:
            await self.settled(job.room)  # what it names may have been sent just now
        known = await self._ledger.messages(named) if named else {}
        replaced = known.get(received.replaces or b"")
        if replaced is not None and replaced.sender != job.row.sender:
            return Failure(Reason.NOT_ALLOWED, "only the sender of a message may change it")
        context = degrade.Context(
            sender=job.sender.name or job.sender.address.id,
            replaced=self._referenced(replaced),
            answered=self._referenced(known.get(received.in_reply_to or b"")),
        )
        plan = degrade.plan(received, capabilities, context=context)
        for loss in plan.losses:
            log.info("something is lost", room=job.room.tag, what=loss.what, text=loss.text)
        if plan.refused is not None:
            return Failure(plan.refused.reason, plan.refused.text)
        natives: Mapping[bytes, str] = {key: found.native_id for key, found in known.items() if found.native_id}
        messages = [translate.native_message(received, planned, natives) for planned in plan.messages]
        if replaced is not None and messages and messages[0].replaces is not None:
            messages = await self._revised(messages, replaced, capabilities)
        return _Plan(messages, b"" if plan.offers is None else encode_offer(plan.offers))

    async def _revised(self, messages: list[Message], old: MessageRow, capabilities: Capabilities) -> list[Message]:
        """Return an edit or a deletion such that it reaches every piece in which the old message was sent."""
        feature = Feature.REACTION if old.reaction else Feature.DELETE
        oldest = None if old.reaction else capabilities.delete_age
        young = oldest is None or self._clock() - old.at <= oldest
        gone = NullPart(disposition=Disposition.REACTION if old.reaction else Disposition.RENDER)
        deletable = young and capabilities.send.level(feature) >= Level.PARTIAL
        return pieces.revised(messages, await pieces.known(self._ledger, old.mimi_id), gone if deletable else None)

    def _referenced(self, message: MessageRow | None) -> degrade.Referenced | None:
        if message is None:
            return None
        return degrade.Referenced(
            known=bool(message.native_id),
            age=max(0, self._clock() - message.at),
            text=message.excerpt,
            sender=self._directory.profile(self._directory.address(message.sender)).name,
            reaction=message.reaction,
        )

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _carry_part(self, job: _Job, places: asyncio.Semaphore) -> bool:
        """Make one attempt at the part that is next; return whether there is more to do.

        A row that is ``sending`` was sent, and its answer lost: unless the send can simply be repeated, the network is
        asked what became of it.
        """
        await self._pace.clear()
        asks = job.row.sending and not job.idempotent
        send = self._in_flight.begin(job.room.uri, offers=bool(job.plan.offers))
        try:
            async with places:
                await self._pace.sleep(0)
                outcome = await (self._ask(job) if asks else self._send(job))
            if isinstance(outcome, Sent):
                return await self._sent(job, outcome)
        finally:
            self._landed(job.room.uri, send)
        return await self._not_sent(job, outcome, asks=asks)

    def _landed(self, room: str, send: asyncio.Event) -> None:
        """Let who waits for the outcome of a send go on as soon as it is durable."""
        ends = self._ends.get(room)
        if not ends:
            self._in_flight.end(room, send)
        else:
            ends[-1].add_done_callback(lambda _: self._in_flight.end(room, send))

    async def _not_sent(self, job: _Job, outcome: Outcome | None, *, asks: bool) -> bool:
        """Decide what becomes of a part that was not sent, or not surely; return whether there is more to do."""
        match outcome:
            case None:
                return await self._again(job, Retry("it did not arrive"), sending=False)
            case Permanent():
                return await self._fail(job, Failure(outcome.reason, str(outcome)))
            case Throttled():
                self._pace.throttle(outcome.after)
                await self._ledger.commit(Change(deliveries=[job.update(sending=asks)]))
                return True
            case SignedOut():
                return await self._wait_for_sign_in(job, outcome, sending=asks)
            case Unsure() if not job.idempotent:
                if asks or not isinstance(self._adapter, Reconcile):
                    return await self._park(job, State.UNCERTAIN, Failure(Reason.UNCERTAIN, outcome.hint))
                return await self._again(job, outcome, sending=True)
            case _:
                return await self._again(job, outcome, sending=asks)

    def _delivery(self, job: _Job) -> Delivery:
        return Delivery(
            conversation=job.room.conversation,
            sender=job.sender,
            message=job.plan.messages[job.row.part],
            at=job.row.at,
            attempt=job.row.attempts + 1,
            open=self._attachments.open,
        )

    async def _send(self, job: _Job) -> Sent | Outcome:
        try:
            if not job.idempotent:  # should we be killed now, the next start must know that it may have been sent
                await self._ledger.commit(Change(deliveries=[job.update(sending=True)]))
            return await self._adapter.send(self._delivery(job), job.key)
        except Outcome as outcome:
            return outcome
        except StorageError:
            raise
        except Exception as error:
            log.exception("a defect of the adapter: send", room=job.room.tag)
            return Unsure(f"the adapter failed: {type(error).__name__}")

    async def _ask(self, job: _Job) -> Sent | Outcome | None:
        """Ask the network what became of a send; None if it surely did not arrive."""
        if not isinstance(self._adapter, Reconcile):
            return Unsure("the send was interrupted, and the network cannot be asked about it")
        try:
            return await self._adapter.reconcile(self._delivery(job), job.key)
        except Outcome as outcome:
            return outcome
        except Exception as error:
            log.exception("a defect of the adapter: reconcile", room=job.room.tag)
            return Unsure(f"the adapter failed: {type(error).__name__}")

    async def _again(self, job: _Job, outcome: Outcome, *, sending: bool) -> bool:
        """Wait for the next attempt, or park the delivery if there were enough."""
        attempts = job.row.attempts + 1
        age = 0.0 if job.row.replayed else (self._clock() - job.row.at) / 1000
        self._metrics.count("retries")
        if retry.exhausted(attempts, age, self._limits):
            text = f"given up after {attempts} attempts: {outcome}"
            job.update(attempts=attempts)
            if sending:
                return await self._park(job, State.UNCERTAIN, Failure(Reason.UNCERTAIN, text))
            return await self._park(job, State.FAILED, Failure(Reason.RECIPIENT_UNREACHABLE, text))
        asked = outcome.after if isinstance(outcome, Retry) else None
        wait = retry.wait(attempts, self._limits, self._random, asked)
        log.info("not delivered yet", room=job.room.tag, attempt=attempts, wait=round(wait, 3), why=str(outcome))
        row = job.update(
            attempts=attempts,
            sending=sending,
            next_at=self._clock() + int(wait * 1000),
            text=str(outcome)[:500],
        )
        change = Change(deliveries=[row])
        if isinstance(outcome, Unsure):
            self._told(change, job)
        await self._ledger.commit(change)
        await self._pace.sleep(wait)
        return True

    async def _wait_for_sign_in(self, job: _Job, outcome: SignedOut, *, sending: bool) -> bool:
        if self._pace.signed_out != outcome.action:
            log.error("signed out", action=outcome.action)
        self._pace.signed_out = outcome.action
        await self._ledger.commit(Change(deliveries=[job.update(sending=sending)]))
        await self._pace.sleep(self._limits.signed_out)
        return True

    # --- endings ------------------------------------------------------------------------------------------------------

    async def _sent(self, job: _Job, sent: Sent) -> bool:
        """Note what the network calls it; after the last part, that it is delivered."""
        self._pace.signed_out = ""
        change = Change()
        names = (sent.native_id, *sent.aliases, *self._aliases.settle(sent.native_id, job.row.mimi_id))
        change.natives += [Native(name, job.row.mimi_id) for name in names]
        if job.row.part == 0:
            change.named.append((job.row.mimi_id, sent.native_id))
        else:
            await self._piece_sent(change, job, sent.native_id)
        self._told(change, job)
        if job.row.part + 1 == len(job.plan.messages):
            self._offered(change, job, sent.native_id)
            await self._end(job, change, State.DELIVERED)
            return False
        row = job.update(part=job.row.part + 1, attempts=0, sending=False, next_at=0, reason="", text="")
        change.deliveries.append(row)
        await self._ledger.commit(change)
        return True

    async def _piece_sent(self, change: Change, job: _Job, native_id: str) -> None:
        """Note what the piece that is next is called, or that it is gone; what an edit adds is of what it edits."""
        message, edits = job.plan.messages[job.row.part], job.plan.messages[0].replaces is not None
        whole = job.replaced if edits and job.replaced is not None else job.row.mimi_id
        if message.replaces is None:
            pieces.note(change, whole, job.row.part, native_id)
        elif isinstance(message.part, NullPart):
            await pieces.forget(change, self._ledger, whole, message.replaces)

    def _told(self, change: Change, job: _Job) -> None:
        """Note that the person has seen the part that is next, or may have seen it."""
        self._offers.told(change, job.room.uri, job.plan.messages[job.row.part], job.replaced)

    def _offered(self, change: Change, job: _Job, native_id: str) -> None:
        """Note what a delivered message offers. An edit takes the place of the first version; only a quote means it."""
        if not job.plan.offers:
            return
        mimi_id, edited = job.row.mimi_id, job.plan.messages[0].replaces
        if edited is not None and job.replaced is not None:
            mimi_id, native_id = job.replaced, edited
        offer = OfferRow(
            mimi_id=mimi_id,
            room=job.room.uri,
            native_id=native_id,
            part=job.plan.offers,
            at=self._clock(),
            open=edited is None,
        )
        self._offers.made(change, offer)

    async def _fail(self, job: _Job, failure: Failure) -> bool:
        log.warning("not delivered", room=job.room.tag, reason=failure.reason, text=failure.text)
        await self._end(job, Change(), State.FAILED, failure)
        return False

    async def _park(self, job: _Job, state: State, failure: Failure) -> bool:
        """End a delivery, but keep what was to be sent, so that it can be replayed."""
        log.warning("parked", room=job.room.tag, reason=failure.reason, text=failure.text)
        self._metrics.count("parked")
        row = job.update(parked=True, sending=False, reason=failure.reason, text=failure.text[:500])
        change = Change(deliveries=[row])
        if state is State.UNCERTAIN:
            self._told(change, job)
        await self._end(job, change, state, failure)
        return False

    async def _end(self, job: _Job, change: Change, state: State, failure: Failure | None = None) -> None:
        """End a delivery and tell its sender, in one transaction; a replayed one has been told of before."""
        ends = self._ends.setdefault(job.room.uri, deque())
        if len(ends) >= _ENDS:
            await asyncio.shield(ends[0])
        reason, text = failure or ("", "")
        batch = self._outbox.batch()
        batch.change = change
        change.statuses.append(
            StatusRow(mimi_id=job.row.mimi_id, by="", state=state, at=self._clock(), reason=reason, text=text[:500])
        )
        if not job.row.parked:
            change.deliveries_done.append(job.row.id)
        if not job.row.replayed:
            self._report(batch, job, state, failure)
        self._metrics.count(state.name.lower())
        end = batch.commit()
        ends.append(end)
        end.add_done_callback(ends.remove)

    def _report(self, batch: Batch, job: _Job, state: State, failure: Failure | None) -> None:
        conversation = job.room.conversation
        by = self._directory.user(conversation.local) if isinstance(conversation, Direct) else self._endpoint
        value = Status.DELIVERED if state is State.DELIVERED else Status.ERROR
        report = status.encode([(job.row.mimi_id, value)])
        batch.post(
            job.room,
            translate.status_content(report, salt=self._random(16), by=by, room=job.room.uri, failure=failure),
        )
