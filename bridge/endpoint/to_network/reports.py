"""Statuses that come back: noted in the log, and shown to the native sender where the network can show them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from adapters.contract import (
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
)
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.ledger.contract import (
    Change,
    DeliveryKind,
    DeliveryRow,
    Ledger,
    MessageRow,
    State,
    StatusRow,
    moves,
)
from bridge.endpoint.metrics import Metrics
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_network import retry
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_router.outbox import Batch, Outbox
from bridge.endpoint.translate import Failure
from protocol import content, status, uri
from protocol.content import SinglePart
from protocol.status import Status
from protocol.uri import Kind

Clock = Callable[[], int]
Random = Callable[[int], bytes]

_SHOWN = {
    State.DELIVERED: Status.DELIVERED,
    State.READ: Status.READ,
    State.UNCERTAIN: Status.ERROR,
    State.FAILED: Status.ERROR,
}

_MEANT: Mapping[int, State] = {
    Status.DELIVERED: State.DELIVERED,
    Status.READ: State.READ,
    Status.EXPIRED: State.FAILED,
}

log = structlog.get_logger(__name__)


def state_of(value: int, failure: Failure) -> State | None:
    """Return what a reported status means here; None if it is nothing to a bridge."""
    if value == Status.ERROR:
        return State.UNCERTAIN if failure.reason == Reason.UNCERTAIN else State.FAILED
    return _MEANT.get(value)


def _key(mimi_id: bytes, shown: Status, by: str) -> str:
    """Return the idempotency key of one step: a message, how far it has come, and to whom."""
    name = base64.urlsafe_b64encode(mimi_id).rstrip(b"=").decode()
    return f"{name}.{int(shown)}.{hashlib.blake2b(by.encode(), digest_size=6).hexdigest()}"


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
        nudge: Callable[[Room], None],
        metrics: Metrics,
        clock: Clock,
        random: Random,
    ) -> None:
        self._limits = settings.retry
        self._adapter = adapter
        self._directory = directory
        self._ledger = ledger
        self._outbox = outbox
        self._pace = pace
        self._endpoint = endpoint
        self._nudge = nudge
        self._metrics = metrics
        self._clock = clock
        self._random = random

    def fail(self, batch: Batch, room: Room, mimi_id: bytes, failure: Failure) -> None:
        """Write into ``batch`` that a message of ours will never be delivered; its sender is told as of any status."""
        report = status.encode([(mimi_id, Status.ERROR)])
        batch.change.deliveries.append(
            DeliveryRow(
                id=self._outbox.next_id(),
                mimi_id=b"",
                room=room.uri,
                kind=DeliveryKind.STATUS,
                sender=self._endpoint,
                content=translate.status_content(
                    report, salt=self._random(16), by=self._endpoint, room=room.uri, failure=failure
                ),
                at=self._clock(),
            )
        )
        batch.after(lambda: self._nudge(room))

    async def carry(self, room: Room, row: DeliveryRow, places: asyncio.Semaphore) -> None:
        """Note a status report and show what is new of it. Raises ``Stopping``."""
        received = content.decode(row.content)
        failure = translate.failure_of(received)
        report = status.latest(status.decode(received.part.content)) if isinstance(received.part, SinglePart) else {}
        messages = await self._ledger.messages(report)
        states = await self._ledger.states(report)
        change = Change(deliveries_done=[row.id])
        for message, state in self._news(room, row.sender, report, failure, messages, states):
            change.statuses.append(
                StatusRow(
                    mimi_id=message.mimi_id,
                    by=row.sender,
                    state=state,
                    at=row.at,
                    reason=failure.reason,
                    text=failure.text,
                )
            )
            if isinstance(self._adapter, Receipts):
                await self._report(self._adapter, room, row, message, state, failure, places)
        await self._ledger.commit(change)

    async def give_up(self, room: Room, row: DeliveryRow, text: str) -> None:
        """Let go of a report that cannot be understood."""
        log.error("status dropped", room=room.tag, why=text)
        await self._ledger.commit(Change(deliveries_done=[row.id]))

    def _news(
        self,
        room: Room,
        by: str,
        report: Mapping[bytes, int],
        failure: Failure,
        messages: Mapping[bytes, MessageRow],
        states: Mapping[tuple[bytes, str], State],
    ) -> Iterator[tuple[MessageRow, State]]:
        """Yield the steps forward of messages that came from our network and were sent in this room."""
        for mimi_id, value in report.items():
            message, state = messages.get(mimi_id), state_of(value, failure)
            if message is None or state is None or not message.source or message.room != room.uri:
                continue
            if moves(states.get((mimi_id, by), State.SENT), state):
                yield message, state

    async def _report(
        self,
        adapter: Receipts,
        room: Room,
        row: DeliveryRow,
        message: MessageRow,
        state: State,
        failure: Failure,
        places: asyncio.Semaphore,
    ) -> None:
        update = StatusUpdate(
            conversation=room.conversation,
            native_id=message.native_id,
            status=_SHOWN[state],
            at=row.at,
            by=self._person(row.sender),
            reason=failure.reason,
            text=failure.text,
        )
        key = _key(message.mimi_id, update.status, row.sender)
        attempt = 0
        while True:
            await self._pace.clear()
            async with places:
                await self._pace.sleep(0)
                outcome = await self._call(adapter, update, key)
            if outcome is None:
                self._metrics.count("statuses")
                return
            match outcome:
                case Permanent():
                    log.info("status not shown", room=room.tag, reason=outcome.reason)
                    return
                case Throttled(after=after):
                    self._pace.throttle(after)
                case SignedOut():
                    self._pace.signed_out = outcome.action
                    await self._pace.sleep(self._limits.signed_out)
                case _:
                    attempt += 1
                    if retry.exhausted(attempt, (self._clock() - row.at) / 1000, self._limits):
                        log.warning("status given up", room=room.tag, attempts=attempt)
                        return
                    asked = outcome.after if isinstance(outcome, Retry) else None
                    await self._pace.sleep(retry.wait(attempt, self._limits, self._random, asked))

    async def _call(self, adapter: Receipts, update: StatusUpdate, key: str) -> Outcome | None:
        try:
            await adapter.report(update, key)
        except Outcome as outcome:
            return outcome
        except Exception as error:
            log.exception("a defect of the adapter: report")
            return Permanent(Reason.REJECTED, type(error).__name__)
        return None

    def _person(self, by: str) -> Profile | None:
        """Return who a status is from; None if it is from an endpoint, that is: it concerns everybody."""
        if uri.parse(by).kind is not Kind.USER:
            return None
        return self._directory.profile(self._directory.address(by))
