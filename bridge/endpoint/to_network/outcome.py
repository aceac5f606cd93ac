"""What becomes of a part that was attempted: the next attempt, the next part, or the one end of its message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from adapters.contract import (
    REPLAYED,
    Adapter,
    Direct,
    Outcome,
    Permanent,
    Reason,
    Reconcile,
    Retry,
    Sent,
    SignedOut,
    Throttled,
    Unreachable,
    Unsure,
)
from bridge.backoff import wait as backoff
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import Change, DeliveryRow, Ledger, Native, OfferRow, State, StatusRow
from bridge.endpoint.offers.early import EarlyAliases
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import RetryLimits
from bridge.endpoint.to_network import pieces
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_network.plan import Job
from bridge.endpoint.to_network.words import told
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.transaction import Transaction
from bridge.endpoint.translate import Failure
from protocol import status
from protocol.content import NullPart
from protocol.status import Status

_ENDS = 8  # messages of one room whose ends may become durable together
MOST_AGAIN = _ENDS + 1  # so many messages of one room may have been sent at a crash, and are sent again

_SAID = {
    State.SENT: Status.SENT,
    State.DELIVERED: Status.DELIVERED,
    State.READ: Status.DELIVERED,  # who has read it says so themselves
    State.UNCERTAIN: Status.ERROR,
    State.FAILED: Status.ERROR,
}

log = structlog.get_logger(__name__)


class Outcomes:
    """Acts on the outcomes of one endpoint's attempts."""

    def __init__(
        self,
        limits: RetryLimits,
        adapter: Adapter[Any],
        directory: Directory,
        ledger: Ledger,
        outbox: Outbox,
        aliases: EarlyAliases,
        offers: Offers,
        pace: Pace,
        *,
        endpoint: str,
        context: Context,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._limits = limits
        self._adapter = adapter
        self._directory = directory
        self._ledger = ledger
        self._outbox = outbox
        self._aliases = aliases
        self._offers = offers
        self._pace = pace
        self._endpoint = endpoint
        self._context = context
        self._fatal = fatal
        self._ends: dict[str, deque[asyncio.Future[None]]] = {}

    async def settled(self, room: Room) -> None:
        """Wait until what has been brought to its end in a room is durable."""
        ends = self._ends.get(room.uri)
        if ends:
            await asyncio.shield(ends[-1])

    def when_settled(self, room: str, action: Callable[[], None]) -> None:
        """Do something as soon as what has been brought to its end in a room is durable: at once, if it is."""
        ends = self._ends.get(room)
        if not ends:
            action()
        else:
            ends[-1].add_done_callback(lambda _: action())

    async def not_sent(self, job: Job, outcome: Outcome | None, *, asks: bool) -> bool:
        """Decide what becomes of a part that was not sent, or not surely; return whether there is more to do."""
        match outcome:
            case None:
                return await self._again(job, Retry("it did not arrive"), sending=False)
            case Permanent():
                return await self.fail(job, Failure(outcome.reason, str(outcome)))
            case Throttled():
                self._pace.throttle(outcome.after)
                await self._ledger.commit(Change(deliveries=[job.update(sending=asks, text=str(outcome)[:500])]))
                return True
            case SignedOut():
                return await self._wait_for_sign_in(job, outcome, sending=asks)
            case Unreachable():
                return await self._wait_for_life(job, outcome, sending=asks)
            case Unsure() if not job.idempotent:
                if asks or not isinstance(self._adapter, Reconcile):
                    return await self.park(job, State.UNCERTAIN, Failure(Reason.UNCERTAIN, outcome.hint))
                return await self._again(job, outcome, sending=True)
            case _:
                return await self._again(job, outcome, sending=asks)

    async def _again(self, job: Job, outcome: Outcome, *, sending: bool) -> bool:
        """Wait for the next attempt, or park the delivery if there were enough."""
        attempts = job.row.attempts + 1
        self._context.metrics.count("retries")
        if attempts >= self._limits.attempts:
            job.update(attempts=attempts)
            return await self.give_up(job, f"given up after {attempts} attempts: {outcome}", doubtful=sending)
        asked = outcome.after if isinstance(outcome, Retry) else None
        wait = self._wait(job, attempts, asked)
        log.info("not delivered yet", room=job.room.tag, attempt=attempts, wait=round(wait, 3), why=str(outcome))
        row = job.update(
            attempts=attempts,
            sending=sending,
            next_at=self._context.clock() + int(wait * 1000),
            text=str(outcome)[:500],
        )
        change = Change(deliveries=[row])
        if isinstance(outcome, Unsure):
            self._told(change, job)
        await self._ledger.commit(change)
        await self._pace.sleep(wait)
        return True

    async def _wait_for_sign_in(self, job: Job, outcome: SignedOut, *, sending: bool) -> bool:
        if self._pace.signed_out != outcome.action:
            log.error("signed out", action=outcome.action)
        self._pace.signed_out = outcome.action
        await self._ledger.commit(Change(deliveries=[job.update(sending=sending)]))
        await self._pace.sleep(self._wait(job, 1, self._limits.signed_out), wakes=True)
        return True

    async def _wait_for_life(self, job: Job, outcome: Unreachable, *, sending: bool) -> bool:
        """Wait until the network shows life, or is worth another try: this is no attempt at the message."""
        job.out_of_reach += 1
        wait = self._wait(job, job.out_of_reach, outcome.after)
        log.info("the network cannot be reached", room=job.room.tag, wait=round(wait, 3), why=str(outcome))
        row = job.update(sending=sending, next_at=self._context.clock() + int(wait * 1000), text=str(outcome)[:500])
        await self._ledger.commit(Change(deliveries=[row]))
        least = min(wait, self._limits.first)  # what shows life and still cannot be reached is not asked without end
        await self._pace.sleep(least)
        await self._pace.sleep(wait - least, wakes=True)
        return True

    def _wait(self, job: Job, attempt: int, asked: float | None) -> float:
        """Return how long to wait in seconds, whatever the network asks for: no longer than the message may wait."""
        wait = backoff(attempt, self._limits.first, self._limits.longest, self._context.random, asked)
        left = max(0.0, (job.ends - self._context.clock()) / 1000)
        return min(wait, left) if wait == wait else left

    # --- endings ------------------------------------------------------------------------------------------------------

    async def sent(self, job: Job, sent: Sent) -> bool:
        """Note what the network calls it; after the last part, that the network has taken the whole of it."""
        self._pace.signed_out = ""
        self._pace.alive()
        job.out_of_reach = 0
        job.delivered = job.delivered and sent.delivered
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
            await self.end(job, change, State.DELIVERED if job.delivered else State.SENT)
            return False
        row = job.update(part=job.row.part + 1, attempts=0, sending=False, next_at=0, reason="", text="")
        change.deliveries.append(row)
        await self._ledger.commit(change)
        return True

    async def _piece_sent(self, change: Change, job: Job, native_id: str) -> None:
        """Note what the piece that is next is called, or that it is gone; what an edit adds is of what it edits."""
        message, edits = job.plan.messages[job.row.part], job.plan.messages[0].replaces is not None
        whole = job.replaced if edits and job.replaced is not None else job.row.mimi_id
        if message.replaces is None:
            pieces.note(change, whole, job.row.part, native_id)
        elif isinstance(message.part, NullPart):
            await pieces.forget(change, self._ledger, whole, message.replaces)

    def _told(self, change: Change, job: Job) -> None:
        """Note that the person has seen the part that is next, or may have seen it."""
        self._offers.told(change, job.room.uri, job.plan.messages[job.row.part], job.replaced)

    def _offered(self, change: Change, job: Job, native_id: str) -> None:
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
            at=self._context.clock(),
            open=edited is None,
        )
        self._offers.made(change, offer)

    async def fail(self, job: Job, failure: Failure) -> bool:
        """End a delivery that can never succeed; there is no more to do for it."""
        log.warning("not delivered", room=job.room.tag, reason=failure.reason, why=failure.text)
        await self.end(job, Change(), State.FAILED, failure)
        return False

    async def give_up(self, job: Job, text: str, *, doubtful: bool) -> bool:
        """Park a message that was tried often enough, or for long enough; ``doubtful``: it may have arrived."""
        if doubtful:
            return await self.park(job, State.UNCERTAIN, Failure(Reason.UNCERTAIN, text))
        return await self.park(job, State.FAILED, Failure(Reason.RECIPIENT_UNREACHABLE, text))

    async def park(self, job: Job, state: State, failure: Failure) -> bool:
        """End a delivery, but keep what was to be sent, so that it can be replayed."""
        log.warning("parked", room=job.room.tag, reason=failure.reason, why=failure.text)
        self._context.metrics.count("parked")
        row = job.update(parked=True, sending=False, reason=failure.reason, text=failure.text[:500])
        change = Change(deliveries=[row])
        if state is State.UNCERTAIN:
            self._told(change, job)
        await self.end(job, change, state, failure)
        return False

    async def end(self, job: Job, change: Change, state: State, failure: Failure | None = None) -> None:
        """End a delivery and tell its sender, in one transaction; a replayed one has been told of before."""
        ends = self._ends.setdefault(job.room.uri, deque())
        if len(ends) >= _ENDS:
            await asyncio.shield(ends[0])
            ends = self._ends.setdefault(job.room.uri, deque())
        reason, text = ("", "") if failure is None else failure[:2]
        tx = self._outbox.transaction()
        tx.change = change
        step = StatusRow(
            mimi_id=job.row.mimi_id, by="", state=state, at=self._context.clock(), reason=reason, text=text[:500]
        )
        if not job.row.replayed:
            change.statuses.append(step)
            self._report(tx, job.room, job.row.mimi_id, state, failure)
        elif failure is None:
            change.revived.append(step)
            self._report(tx, job.room, job.row.mimi_id, state, Failure(REPLAYED, ""))
        else:
            change.noted.append(step)  # it had failed before, and its sender knows
        if not job.row.parked:
            change.deliveries_done.append(job.row.id)
        self._context.metrics.count(state.name.lower())
        end = tx.commit()
        ends.append(end)
        end.add_done_callback(lambda _: self._ended(job.room.uri, end))
        end.add_done_callback(self._checked)

    def _ended(self, room: str, end: asyncio.Future[None]) -> None:
        ends = self._ends[room]
        ends.remove(end)
        if not ends:
            del self._ends[room]

    def _checked(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._fatal(error)

    async def answer_again(self, room: Room, row: DeliveryRow) -> None:
        """Tell the sender of a message that came again what became of it the first time, if that is known by now."""
        await self.settled(room)
        message = (await self._ledger.messages([row.mimi_id])).get(row.mimi_id)
        tx = self._outbox.transaction()
        tx.change.deliveries_done.append(row.id)
        if message is not None and not message.source and message.state is not State.QUEUED:
            failure = Failure(message.reason, "") if message.reason else None
            self._report(tx, room, row.mimi_id, message.state, failure)
        await tx.commit()

    def _report(self, tx: Transaction, room: Room, mimi_id: bytes, state: State, failure: Failure | None) -> None:
        conversation = room.conversation
        by = self._directory.user(conversation.local) if isinstance(conversation, Direct) else self._endpoint
        tx.send(
            room,
            translate.status_content(
                status.encode([(mimi_id, _SAID[state])]),
                salt=self._context.random(16),
                by=by,
                room=room.uri,
                failure=None if failure is None else told(failure),
            ),
        )
