"""What becomes of a part that was attempted: the next attempt, the next part, or the one end of its message."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from adapters.contract import (
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
    Unsure,
)
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.ledger.contract import Change, Ledger, Native, OfferRow, State, StatusRow
from bridge.endpoint.metrics import Metrics
from bridge.endpoint.offers.early import EarlyAliases
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import RetryLimits
from bridge.endpoint.to_network import pieces, retry
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_network.plan import Job
from bridge.endpoint.to_router.outbox import Batch, Outbox
from bridge.endpoint.translate import Failure
from protocol import status
from protocol.content import NullPart
from protocol.status import Status

_ENDS = 8  # messages of one room whose ends may become durable together
MOST_AGAIN = _ENDS + 1  # so many messages of one room may have been sent at a crash, and are sent again

Clock = Callable[[], int]
Random = Callable[[int], bytes]

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
        metrics: Metrics,
        clock: Clock,
        random: Random,
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
        self._metrics = metrics
        self._clock = clock
        self._random = random
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
                await self._ledger.commit(Change(deliveries=[job.update(sending=asks)]))
                return True
            case SignedOut():
                return await self._wait_for_sign_in(job, outcome, sending=asks)
            case Unsure() if not job.idempotent:
                if asks or not isinstance(self._adapter, Reconcile):
                    return await self.park(job, State.UNCERTAIN, Failure(Reason.UNCERTAIN, outcome.hint))
                return await self._again(job, outcome, sending=True)
            case _:
                return await self._again(job, outcome, sending=asks)

    async def _again(self, job: Job, outcome: Outcome, *, sending: bool) -> bool:
        """Wait for the next attempt, or park the delivery if there were enough."""
        attempts = job.row.attempts + 1
        age = 0.0 if job.row.replayed else (self._clock() - job.row.at) / 1000
        self._metrics.count("retries")
        if retry.exhausted(attempts, age, self._limits):
            text = f"given up after {attempts} attempts: {outcome}"
            job.update(attempts=attempts)
            if sending:
                return await self.park(job, State.UNCERTAIN, Failure(Reason.UNCERTAIN, text))
            return await self.park(job, State.FAILED, Failure(Reason.RECIPIENT_UNREACHABLE, text))
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

    async def _wait_for_sign_in(self, job: Job, outcome: SignedOut, *, sending: bool) -> bool:
        if self._pace.signed_out != outcome.action:
            log.error("signed out", action=outcome.action)
        self._pace.signed_out = outcome.action
        await self._ledger.commit(Change(deliveries=[job.update(sending=sending)]))
        await self._pace.sleep(self._limits.signed_out)
        return True

    # --- endings ------------------------------------------------------------------------------------------------------

    async def sent(self, job: Job, sent: Sent) -> bool:
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
            await self.end(job, change, State.DELIVERED)
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
            at=self._clock(),
            open=edited is None,
        )
        self._offers.made(change, offer)

    async def fail(self, job: Job, failure: Failure) -> bool:
        """End a delivery that can never succeed; there is no more to do for it."""
        log.warning("not delivered", room=job.room.tag, reason=failure.reason, text=failure.text)
        await self.end(job, Change(), State.FAILED, failure)
        return False

    async def park(self, job: Job, state: State, failure: Failure) -> bool:
        """End a delivery, but keep what was to be sent, so that it can be replayed."""
        log.warning("parked", room=job.room.tag, reason=failure.reason, text=failure.text)
        self._metrics.count("parked")
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
        end.add_done_callback(lambda _: self._ended(job.room.uri, end))

    def _ended(self, room: str, end: asyncio.Future[None]) -> None:
        ends = self._ends[room]
        ends.remove(end)
        if not ends:
            del self._ends[room]

    def _report(self, batch: Batch, job: Job, state: State, failure: Failure | None) -> None:
        conversation = job.room.conversation
        by = self._directory.user(conversation.local) if isinstance(conversation, Direct) else self._endpoint
        value = Status.DELIVERED if state is State.DELIVERED else Status.ERROR
        report = status.encode([(job.row.mimi_id, value)])
        batch.post(
            job.room,
            translate.status_content(report, salt=self._random(16), by=by, room=job.room.uri, failure=failure),
        )
