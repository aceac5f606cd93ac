"""Carries one message to the network: planned, then attempted part by part until it has come to its one end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from adapters.contract import Adapter, Delivery, Outcome, Profile, Reason, Reconcile, Sent, Unsure
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.attachments import Attachments
from bridge.endpoint.ledger.contract import Change, DeliveryRow, Ledger, State
from bridge.endpoint.offers.early import InFlight
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import RetryLimits
from bridge.endpoint.to_network import retry
from bridge.endpoint.to_network.outcome import Outcomes
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_network.plan import Job, Planner
from bridge.endpoint.translate import Failure
from bridge.storage import StorageError
from protocol import content, extensions
from protocol.capabilities import Capabilities
from protocol.content import Content

Clock = Callable[[], int]
Random = Callable[[int], bytes]

log = structlog.get_logger(__name__)


class Carrier:
    """Carries messages to one adapter."""

    def __init__(
        self,
        limits: RetryLimits,
        adapter: Adapter[Any],
        directory: Directory,
        ledger: Ledger,
        attachments: Attachments,
        planner: Planner,
        outcomes: Outcomes,
        in_flight: InFlight,
        offers: Offers,
        pace: Pace,
        *,
        clock: Clock,
        random: Random,
    ) -> None:
        self._limits = limits
        self._adapter = adapter
        self._directory = directory
        self._ledger = ledger
        self._attachments = attachments
        self._planner = planner
        self._outcomes = outcomes
        self._in_flight = in_flight
        self._offers = offers
        self._pace = pace
        self._clock = clock
        self._random = random

    async def settled(self, room: Room) -> None:
        """Wait until what has been brought to its end in a room is durable."""
        await self._outcomes.settled(room)

    async def carry(self, room: Room, row: DeliveryRow, places: asyncio.Semaphore) -> None:
        """Bring one message to its end; ``places`` bounds how many are sent at once. Raises ``Stopping``.

        The end is queued, not yet durable: see ``settled``. The next message may be on its way meanwhile, for if it
        can only be sent once, a commit of its own comes between, and otherwise both can be sent again.
        """
        if not row.content:
            job = Job(room, row, Profile(self._directory.address(row.sender)))
            await self._outcomes.fail(job, Failure(Reason.DELETED, "its sender deleted it before it was delivered"))
            return
        received = content.decode(row.content)
        job = Job(room, row, self._sender(row, received), received.replaces)
        expires = received.expires
        if expires is not None and not expires.relative and expires.time * 1000 <= self._clock():
            await self._outcomes.fail(job, Failure(Reason.EXPIRED, "it expired before it could be delivered"))
            return
        capabilities = await self._capabilities(room)
        job.idempotent = capabilities.idempotent_send
        plan = await self._planner.plan(job, received, capabilities, self.settled)
        if isinstance(plan, Failure):
            await self._outcomes.fail(job, plan)
            return
        job.plan = plan
        if not plan.messages:
            await self._outcomes.end(job, Change(), State.DELIVERED)
            return
        await self._pace.sleep((row.next_at - self._clock()) / 1000)
        while await self._carry_part(job, places):
            pass

    async def doubt(self) -> None:
        """Note that more may have been said than the ledger knows: nothing can be answered but by a quote."""
        await self._offers.doubt()

    async def give_up(self, room: Room, row: DeliveryRow, text: str) -> None:
        """Park a message that this program cannot deal with."""
        job = Job(room, row, Profile(self._directory.address(row.sender)))
        await self._outcomes.park(job, State.FAILED, Failure(Reason.REJECTED, text))

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

    # --- one part -----------------------------------------------------------------------------------------------------

    async def _carry_part(self, job: Job, places: asyncio.Semaphore) -> bool:
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
                return await self._outcomes.sent(job, outcome)
        finally:
            self._outcomes.when_settled(job.room.uri, lambda: self._in_flight.end(job.room.uri, send))
        return await self._outcomes.not_sent(job, outcome, asks=asks)

    def _delivery(self, job: Job) -> Delivery:
        return Delivery(
            conversation=job.room.conversation,
            sender=job.sender,
            message=job.plan.messages[job.row.part],
            at=job.row.at,
            attempt=job.row.attempts + 1,
            open=self._attachments.open,
        )

    async def _send(self, job: Job) -> Sent | Outcome:
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

    async def _ask(self, job: Job) -> Sent | Outcome | None:
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
