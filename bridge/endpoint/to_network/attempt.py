"""Carries one message to the network: planned, then attempted part by part until it has come to its one end."""

from __future__ import annotations

from typing import Any

import structlog

from adapters.contract import (
    CALL_SECONDS,
    FILE_SECONDS,
    Adapter,
    Delivery,
    Message,
    Outcome,
    Profile,
    Reason,
    Reconcile,
    Sent,
    Unsure,
)
from bridge.backoff import wait as backoff
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.attachments import Attachments
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import Change, DeliveryRow, Ledger, State
from bridge.endpoint.offers.early import InFlight
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import RetryLimits
from bridge.endpoint.to_network.calls import Places, within
from bridge.endpoint.to_network.outcome import Outcomes
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_network.plan import Job, Planner
from bridge.endpoint.translate import Failure
from bridge.storage import StorageError
from protocol import content, extensions
from protocol.capabilities import Capabilities
from protocol.content import Content, ExternalPart, MultiPart, Part

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
        context: Context,
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
        self._context = context

    async def settled(self, room: Room) -> None:
        """Wait until what has been brought to its end in a room is durable."""
        await self._outcomes.settled(room)

    async def carry(self, room: Room, row: DeliveryRow, places: Places) -> None:
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
        if received.expires is not None and not received.expires.relative:
            job.expires = received.expires.time * 1000
        since = self._context.clock() if row.replayed else row.at
        job.ends = since + round(self._limits.age * 1000)
        if not row.sending and await self._over(job):
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
        await self._pace.sleep((min(row.next_at, job.ends) - self._context.clock()) / 1000, wakes=True)
        while await self._carry_part(job, places):
            pass

    async def doubt(self) -> None:
        """Note that more may have been said than the ledger knows: nothing can be answered but by a quote."""
        await self._offers.doubt()

    async def give_up(self, room: Room, row: DeliveryRow, text: str) -> None:
        """Park a message that this program cannot deal with."""
        job = Job(room, row, Profile(self._directory.address(row.sender)))
        await self._outcomes.park(job, State.FAILED, Failure(Reason.REJECTED, text))

    async def answer_again(self, room: Room, row: DeliveryRow) -> None:
        """Tell the sender of a message that came again what became of it the first time."""
        await self._outcomes.answer_again(room, row)

    def _sender(self, row: DeliveryRow, received: Content) -> Profile:
        address = self._directory.address(row.sender)
        avatar = extensions.SENDER_AVATAR.of(received.extensions) or ""
        return self._directory.profile(address, translate.names(received).name, avatar)

    async def _capabilities(self, room: Room) -> Capabilities:
        pause = 1
        while True:
            try:
                return await within(self._context, CALL_SECONDS, self._adapter.capabilities(room.conversation))
            except Exception:
                log.exception("a defect of the adapter: capabilities", room=room.tag)
                wait = backoff(pause, self._limits.first, self._limits.longest, self._context.random)
                await self._pace.sleep(wait)
                pause += 1

    # --- one part -----------------------------------------------------------------------------------------------------

    async def _over(self, job: Job) -> bool:
        """End a message whose time is over, before it is tried (again); return whether it was.

        A part that may have arrived is asked about first; if that cannot be done, nobody knows.
        """
        now = self._context.clock()
        doubtful = job.row.sending and not job.idempotent
        if doubtful and not job.asked:
            return False
        if job.expires is not None and job.expires <= now and not doubtful:
            await self._outcomes.fail(job, Failure(Reason.EXPIRED, "it expired before it could be delivered"))
            return True
        if job.ends <= now:
            await self._outcomes.give_up(job, job.row.text or "it was too old to be tried", doubtful=doubtful)
            return True
        return False

    async def _carry_part(self, job: Job, places: Places) -> bool:
        """Make one attempt at the part that is next; return whether there is more to do.

        A row that is ``sending`` was sent, and its answer lost: unless the send can simply be repeated, the network is
        asked what became of it.
        """
        if await self._over(job):
            return False
        await self._pace.clear(job.ends)
        asks = job.row.sending and not job.idempotent
        send = self._in_flight.begin(job.room.uri, offers=bool(job.plan.offers))
        try:
            async with places.place():
                await self._pace.sleep(0)
                if await self._over(job):
                    return False
                job.asked = asks
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
            seconds = FILE_SECONDS if has_files(job.plan.messages[job.row.part]) else CALL_SECONDS
            return await within(self._context, seconds, self._adapter.send(self._delivery(job), job.key))
        except Outcome as outcome:
            return outcome
        except TimeoutError:
            log.warning("a send that took too long was cut off", room=job.room.tag)
            return Unsure("the network did not answer in time")
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
            return await within(self._context, CALL_SECONDS, self._adapter.reconcile(self._delivery(job), job.key))
        except Outcome as outcome:
            return outcome
        except TimeoutError:
            return Unsure("the network did not answer in time what became of it")
        except Exception as error:
            log.exception("a defect of the adapter: reconcile", room=job.room.tag)
            return Unsure(f"the adapter failed: {type(error).__name__}")


def has_files(message: Message) -> bool:
    """Whether sending a message means to carry a file."""
    return _has_files(message.part)


def _has_files(part: Part) -> bool:
    return isinstance(part, ExternalPart) or (isinstance(part, MultiPart) and any(map(_has_files, part.parts)))
