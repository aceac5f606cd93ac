"""Statuses that come back: noted in the log, and shown to the native sender where the network can show them.

Every message of ours ends: by the answers of those that it was handed to, by our own word when it cannot be sent, or,
for want of an answer, by its deadline.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from adapters.contract import (
    CALL_SECONDS,
    REPLAYED,
    Adapter,
    Outcome,
    Permanent,
    Profile,
    Reason,
    Receipts,
    Retry,
    SignedOut,
    StatusUpdate,
    Throttled,
    Unreachable,
)
from bridge.backoff import wait as backoff
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import (
    Change,
    DeliveryKind,
    DeliveryRow,
    Fate,
    Ledger,
    MessageRow,
    State,
    StatusRow,
    UnansweredRow,
)
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_network.answers import judge
from bridge.endpoint.to_network.calls import Places, within
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_network.words import told
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.transaction import Transaction
from bridge.endpoint.translate import Failure
from protocol import content, status, uri
from protocol.content import SinglePart
from protocol.status import Status
from protocol.uri import Kind

_SHOWN = {
    State.SENT: Status.SENT,
    State.DELIVERED: Status.DELIVERED,
    State.READ: Status.READ,
    State.UNCERTAIN: Status.ERROR,
    State.FAILED: Status.ERROR,
}

_MEANT: Mapping[int, State] = {
    Status.SENT: State.SENT,
    Status.DELIVERED: State.DELIVERED,
    Status.READ: State.READ,
    Status.EXPIRED: State.FAILED,
}

_OVERDUE = 256  # messages that are ended for want of an answer at once
_LOOK_S = 30.0  # how often deadlines are looked at, at least

log = structlog.get_logger(__name__)


def state_of(value: int, failure: Failure) -> State | None:
    """Return what a reported status means here; None if it is nothing to a bridge."""
    if value == Status.ERROR:
        return State.UNCERTAIN if failure.reason == Reason.UNCERTAIN else State.FAILED
    return _MEANT.get(value)


def _key(mimi_id: bytes, shown: Status, by: str, reason: str) -> str:
    """Return the idempotency key of one step: a message, how far it has come, and to whom."""
    name = base64.urlsafe_b64encode(mimi_id).rstrip(b"=").decode()
    what = f"{int(shown)}r" if reason == REPLAYED else f"{int(shown)}"
    return f"{name}.{what}.{hashlib.blake2b(by.encode(), digest_size=6).hexdigest()}"


class Reports:
    """Statuses of messages that came from one adapter's network."""

    def __init__(
        self,
        settings: EndpointSettings,
        adapter: Adapter[Any],
        directory: Directory,
        ledger: Ledger,
        outbox: Outbox,
        pace: Pace,
        *,
        endpoint: str,
        room: Callable[[str], Room | None],
        nudge: Callable[[Room], None],
        context: Context,
    ) -> None:
        self._limits = settings.retry
        self._adapter = adapter
        self._directory = directory
        self._ledger = ledger
        self._outbox = outbox
        self._pace = pace
        self._endpoint = endpoint
        self._room = room
        self._nudge = nudge
        self._context = context

    # --- answers that this endpoint gives itself ----------------------------------------------------------------------

    def fail(self, tx: Transaction, room: Room, mimi_id: bytes, failure: Failure) -> None:
        """Write into ``batch`` that a message of ours will never be delivered; its sender is told as of any status."""
        self._answer(tx, room, [mimi_id], self._endpoint, failure)

    async def watch(self) -> None:
        """End what has waited too long for an answer, for as long as the endpoint runs."""
        pause = min(_LOOK_S, max(0.05, (self._limits.age + self._limits.answer) / 10))
        while True:
            while await self.end_overdue() == _OVERDUE:
                pass
            await self._context.sleep(pause)

    async def end_overdue(self) -> int:
        """End those messages whose deadline is over; return how many, at most a few hundred."""
        rows = await self._ledger.overdue(self._context.clock(), _OVERDUE)
        by_room: defaultdict[str, list[UnansweredRow]] = defaultdict(list)
        for row in rows:
            by_room[row.room].append(row)
        for uri_, overdue in by_room.items():
            await self._end(self._room(uri_), overdue)
        return len(rows)

    async def _end(self, room: Room | None, overdue: list[UnansweredRow]) -> None:
        """End messages of one room for want of an answer. What never left has failed; of the rest nobody knows."""
        tx = self._outbox.transaction()
        tx.change.unanswered_done += [row.mimi_id for row in overdue]
        if room is None:
            log.error("messages of a room that is not in the ledger were never answered", messages=len(overdue))
            at = self._context.clock()
            tx.change.statuses += [
                StatusRow(mimi_id=row.mimi_id, by="", state=State.UNCERTAIN, at=at, reason=Reason.UNCERTAIN)
                for row in overdue
            ]
            await tx.commit()
            return
        log.warning("never answered", room=room.tag, messages=len(overdue))
        here = self._outbox.withdraw(tx, room, {row.id for row in overdue})
        never_left = [row.mimi_id for row in overdue if row.id in here]
        no_answer = [row.mimi_id for row in overdue if row.id not in here]
        unsent = Failure(Reason.RECIPIENT_UNREACHABLE, "it could not be sent in time")
        unknown = Failure(Reason.UNCERTAIN, "nobody answered what became of it")
        self._answer(tx, room, never_left, self._endpoint, unsent)
        self._answer(tx, room, no_answer, self._endpoint, unknown)
        await tx.commit()

    def _answer(self, tx: Transaction, room: Room, mimi_ids: list[bytes], who: str, failure: Failure) -> None:
        """Write into ``batch`` an error of ours in the room's queue, as if ``who`` had reported it."""
        if not mimi_ids:
            return
        report = status.encode([(mimi_id, Status.ERROR) for mimi_id in mimi_ids])
        tx.change.deliveries.append(
            DeliveryRow(
                id=self._outbox.next_id(),
                mimi_id=b"",
                room=room.uri,
                kind=DeliveryKind.STATUS,
                sender=who,
                content=translate.status_content(
                    report, salt=self._context.random(16), by=who, room=room.uri, failure=told(failure)
                ),
                at=self._context.clock(),
                text=failure.text[:500],
            )
        )
        tx.on_durable(lambda: self._nudge(room))

    # --- answers that come --------------------------------------------------------------------------------------------

    async def carry(self, room: Room, row: DeliveryRow, places: Places) -> None:
        """Note a status report and show what is new of it. Raises ``Stopping``."""
        received = content.decode(row.content)
        failure = translate.failure_of(received)
        by = translate.names(received).sender
        report = status.latest(status.decode(received.part.content)) if isinstance(received.part, SinglePart) else {}
        members = [member.uri for member in room.members if member.uri != self._endpoint]
        who = self._who(row.sender, members)
        change = Change(deliveries_done=[row.id])
        fates = await self._ledger.fates(report)
        for mimi_id, value in report.items():
            fate, state = fates.get(mimi_id), state_of(value, failure)
            if fate is None or state is None:
                continue  # nothing that is known here
            text = row.text or failure.text
            step = StatusRow(mimi_id=mimi_id, by=by, state=state, at=row.at, reason=failure.reason, text=text, who=who)
            await self._note(change, room, fate, step, failure.text, members, places)
        await self._ledger.commit(change)

    async def left(self, room: Room, row: DeliveryRow, places: Places) -> None:
        """Note that an endpoint was removed from a room: what it had not answered by then has not come to it."""
        change = Change(deliveries_done=[row.id])
        kept = await self._ledger.unanswered(room.uri)
        fates = await self._ledger.fates(each.mimi_id for each in kept if row.sender in each.owed)
        failure = told(Failure(Reason.LEFT, ""))
        for fate in fates.values():
            if any(step.who == row.sender for step in fate.steps):
                continue
            step = StatusRow(
                mimi_id=fate.message.mimi_id,
                by=row.sender,
                state=State.FAILED,
                at=row.at,
                reason=failure.reason,
                text=failure.text,
                who=row.sender,
            )
            await self._note(change, room, fate, step, failure.text, (), places)
        await self._ledger.commit(change)

    async def _note(
        self,
        change: Change,
        room: Room,
        fate: Fate,
        step: StatusRow,
        words: str,
        members: Sequence[str],
        places: Places,
    ) -> None:
        """Write an answer into ``change``, and show what is new by it; ``words`` are those for people."""
        if not fate.message.source or fate.message.room != room.uri:
            return  # nothing of ours, or nothing that was said here
        news = judge(fate, step, ours=self._endpoint, members=members)
        if news is None:
            return
        if isinstance(self._adapter, Receipts):
            for shown in news.shown:
                said = words if shown.text == step.text else shown.text
                await self._report(self._adapter, room, fate.message, shown, said, places)
        if news.whole is not step:
            change.noted.append(step)
        if news.whole is not None:
            (change.revived if news.revived else change.statuses).append(news.whole)
        if news.over:
            change.unanswered_done.append(step.mimi_id)

    async def give_up(self, room: Room, row: DeliveryRow, text: str) -> None:
        """Let go of a report that cannot be understood."""
        log.error("status dropped", room=room.tag, why=text)
        await self._ledger.commit(Change(deliveries_done=[row.id]))

    def _who(self, sender: str, members: list[str]) -> str:
        """Return the endpoint that answers; rows from before that was noted name a person."""
        if uri.parse(sender).kind is Kind.USER and len(members) == 1:
            return members[0]
        return sender

    async def _report(
        self, adapter: Receipts, room: Room, message: MessageRow, step: StatusRow, words: str, places: Places
    ) -> None:
        failed = step.state in (State.UNCERTAIN, State.FAILED)
        update = StatusUpdate(
            conversation=room.conversation,
            native_id=message.native_id,
            status=_SHOWN[step.state],
            at=step.at,
            by=self._person(step.by),
            reason=step.reason,
            text=words if failed else "",
        )
        key = _key(message.mimi_id, update.status, step.by, step.reason)
        ends = self._context.clock() + round(self._limits.age * 1000)
        attempt, out_of_reach = 0, 0
        while attempt < self._limits.attempts and self._context.clock() < ends:
            await self._pace.clear(ends)
            async with places.place():
                await self._pace.sleep(0)
                outcome = await self._call(adapter, update, key)
            if outcome is None:
                self._context.metrics.count("statuses")
                return
            match outcome:
                case Permanent():
                    log.info("status not shown", room=room.tag, reason=outcome.reason)
                    return
                case Throttled(after=after):
                    self._pace.throttle(after)
                case SignedOut():
                    self._pace.signed_out = outcome.action
                    await self._pause(ends, 1, self._limits.signed_out, wakes=True)
                case Unreachable(after=after):
                    out_of_reach += 1
                    await self._pause(ends, 1, None, wakes=False)
                    await self._pause(ends, out_of_reach, after, wakes=True)
                case _:
                    attempt += 1
                    await self._pause(ends, attempt, outcome.after if isinstance(outcome, Retry) else None, wakes=False)
        log.warning("status given up", room=room.tag, attempts=attempt)

    async def _pause(self, ends: int, attempt: int, asked: float | None, *, wakes: bool) -> None:
        wait = backoff(attempt, self._limits.first, self._limits.longest, self._context.random, asked)
        left = max(0.0, (ends - self._context.clock()) / 1000)
        await self._pace.sleep(min(left, wait), wakes=wakes)

    async def _call(self, adapter: Receipts, update: StatusUpdate, key: str) -> Outcome | None:
        try:
            await within(self._context, CALL_SECONDS, adapter.report(update, key))
        except Outcome as outcome:
            return outcome
        except TimeoutError:
            return Retry("the network did not answer in time")
        except Exception as error:
            log.exception("a defect of the adapter: report")
            return Permanent(Reason.REJECTED, type(error).__name__)
        self._pace.alive()
        return None

    def _person(self, by: str) -> Profile | None:
        """Return who a status is from; None if it is from an endpoint, that is: it concerns everybody."""
        if not by or uri.parse(by).kind is not Kind.USER:
            return None
        return self._directory.profile(self._directory.address(by))
