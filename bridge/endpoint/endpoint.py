"""The endpoint: one adapter with its MLS client and its ledger, put together, started, watched and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog
from msgspec import structs

from adapters.contract import FILE_SECONDS, Account, Adapter, Direct, Health, Retry, SignedOut
from bridge.authority import Granter, OperatorAuthority
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.attachments import Attachments
from bridge.endpoint.context import Context
from bridge.endpoint.errors import EndpointError
from bridge.endpoint.from_network.accept import Accept
from bridge.endpoint.from_network.check import Check
from bridge.endpoint.from_network.media import AwaitingMedia
from bridge.endpoint.from_network.receive import Receive
from bridge.endpoint.from_network.translate import Translate
from bridge.endpoint.from_router.hearing import Hearing
from bridge.endpoint.ledger.contract import (
    QUARANTINE_KEPT,
    Change,
    Damaged,
    Ledger,
    QuarantineKind,
    State,
    StatusRow,
)
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from bridge.endpoint.ledger.store import LedgerStore
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.membership.names import keep_names
from bridge.endpoint.membership.reconciler import Reconciler
from bridge.endpoint.membership.session import Trust
from bridge.endpoint.offers.early import EarlyAliases, InFlight
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.operator import Operator
from bridge.endpoint.quarantine import KEPT_MS, Quarantine
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_network.attempt import Carrier
from bridge.endpoint.to_network.calls import within
from bridge.endpoint.to_network.outcome import Outcomes
from bridge.endpoint.to_network.pace import Pace
from bridge.endpoint.to_network.plan import Planner
from bridge.endpoint.to_network.reports import Reports
from bridge.endpoint.to_network.schedule import Deliveries
from bridge.endpoint.to_network.words import told
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.to_router.passing import PassingSigns
from bridge.endpoint.transaction import Transaction
from bridge.router.contract import Router
from bridge.storage import StorageError
from protocol import status
from protocol.status import Status

_PUBLISH_EVERY_S = 3600.0
_TIDY_EVERY_S = 3600.0
_AGAIN_S = (1.0, 300.0)
_ROUTER_S = 60.0  # for the router, before files that waited are tried without it

_UNREADABLE = translate.Failure("rejected", "the bridge cannot read any more what it had kept of the message")

log = structlog.get_logger(__name__)


class Endpoint:
    """One endpoint, in the time and with the chance of its ``context``.

    ``start`` returns when the account is open; ``wait`` raises what went wrong, should the endpoint be unable to go on:
    it is then to be stopped and another one made in its place, which loses nothing.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        adapter: Adapter[Any],
        account_config: object,
        router: Router,
        database_url: str,
        ledger_key: bytes,
        context: Context,
        *,
        authority: OperatorAuthority | None = None,
        granter: Granter | None = None,
        open_ledger: Callable[[str, Sealer], Coroutine[Any, Any, Ledger]] = SqlLedger.open,
    ) -> None:
        self.settings = settings
        self.adapter = adapter
        self._account_config = account_config
        self._router = router
        self._database_url = database_url
        self._sealer = Sealer(ledger_key, context.random)
        self._context = replace(context, limits=settings.limits)
        self._authority = authority
        self._granter = granter
        self._open_ledger = open_ledger
        self._tasks: list[asyncio.Task[None]] = []
        self._listening: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None] | None = None
        self._action = ""
        self._ready = False
        self._settled = asyncio.Event()

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the ledger and the account, take up what was left, and begin. Raises ``StorageError``, ``SealError``."""
        self._failure = asyncio.get_running_loop().create_future()
        self.ledger = await self._open_ledger(self._database_url, self._sealer)
        self._assemble(self.ledger)
        await self.keys.check_owner(self.settings)
        await keep_names(self.ledger, self.settings)
        await self.keys.load(self.settings)
        await self.rooms.load()
        await self._bear()
        await self.outbox.load(self.rooms.get)
        await self._put_rooms_aside()
        self._spawn(self._publish(), "publish key packages")
        self.rooms.start(self.settings.rooms)
        await self.offers.load()
        await self.deliveries.load()
        self._spawn(self._hear(), "hear the router")
        self._spawn(self.hearing.acknowledge(), "acknowledge")
        self._spawn(self.outbox.run(), "submit")
        self._spawn(self._tidy(), "tidy")
        self._spawn(self.reports.watch(), "deadlines")
        await self._open_account()
        self._ready = True
        if self._settled.is_set():
            await self.deliveries.resume()
        self._spawn(self._resume_files(), "take up files", lasting=False)
        self._spawn(self.receiving.run(), "receive")
        self._spawn(self.deliveries.watch(self.adapter), "signs of life")
        self._listening = self._spawn(self.receiving.listen(), "listen")
        log.info("endpoint started", endpoint=self.settings.name, rooms=len(self.rooms))

    async def _bear(self) -> None:
        """At the first start with an authority, bear for a while whom the rooms have from before."""
        if await self.keys.bear([room.group for room in self.rooms if room.group is not None], self.settings):
            for room in self.rooms:
                room.refresh()

    def _assemble(self, ledger: Ledger) -> None:
        settings, adapter, router = self.settings, self.adapter, self._router
        context, fatal = self._context, self._fatal
        clock, random, metrics = context.clock, context.random, context.metrics
        directory = self.directory = Directory(
            settings.domain,
            router,
            rooms=settings.rooms,
            persons=settings.persons,
            now=clock,
            remembered=settings.limits.people_remembered,
        )
        self.keys = Keys(ledger, clock, random, authority=self._authority, granter=self._granter)
        self.outbox = Outbox(
            ledger, router, clock=clock, random=random, fatal=fatal,
            age=settings.retry.age, answer=settings.retry.answer,
        )  # fmt: skip
        self.rooms = Rooms(directory, ledger, self.keys)
        self.membership = Reconciler(
            settings, directory, ledger, router, self.keys, self.rooms, self.outbox, context=context, fatal=fatal
        )
        self.outbox.unopened = self.membership.need
        self.operator = Operator(ledger, self.rooms, self._nudge)
        self.quarantine = Quarantine(ledger, context, self.outbox.next_id)
        self.attachments = Attachments(context, settings, adapter, router)
        self.pace = Pace(context)
        aliases, in_flight = EarlyAliases(), InFlight()
        self.offers = Offers(ledger, in_flight, clock)
        who = router.endpoint
        self.reports = Reports(
            settings, adapter, directory, ledger, self.outbox, self.pace,
            endpoint=who, room=self.rooms.get, nudge=self._nudge, context=context,
        )  # fmt: skip
        self.outbox.failed = self.reports.fail
        outcomes = Outcomes(
            settings.retry, adapter, directory, ledger, self.outbox, aliases, self.offers, self.pace,
            endpoint=who, context=context, fatal=fatal,
        )  # fmt: skip
        carrier = Carrier(
            settings.retry, adapter, directory, ledger, self.attachments, Planner(directory, ledger, clock), outcomes,
            in_flight, self.offers, self.pace, context=context,
        )  # fmt: skip
        self.deliveries = Deliveries(
            settings, ledger, carrier, self.reports, self.pace, in_flight,
            room=self.rooms.get, context=context, fatal=fatal,
        )  # fmt: skip
        self.trust = Trust(
            ledger, router, self.rooms, self.membership, self.deliveries,
            random=random, told=settings.distrust, revision=settings.revision,
        )  # fmt: skip
        self.signs = PassingSigns(router, clock=clock, random=random)
        messages = Translate(context, settings, directory, self.keys, aliases, failed=self.reports.fail)
        self.media = AwaitingMedia(
            context, ledger, self.rooms, self.outbox, self.attachments, messages, self.quarantine, fatal=fatal
        )
        check = Check(context, directory, ledger, self.rooms, in_flight, self.offers, endpoint=who)
        accept = Accept(
            context,
            directory,
            self.rooms,
            self.outbox,
            check,
            messages,
            self.media,
            aliases,
            self.offers,
            self.signs,
            self.quarantine,
        )
        self.receiving = Receive(context, adapter, ledger, check, accept, self.media, alive=self.pace.alive)
        self.hearing = Hearing(
            adapter, directory, ledger, router, self.rooms, self.membership.following, self.outbox,
            greet=self.trust.greet,
            nudge=self._nudge, metrics=metrics, clock=clock, random=random, fatal=fatal,
        )  # fmt: skip
        self.hearing.went_back = self.membership.went_back

        self.quarantine.lets_go("outbox", self._let_content_go)
        self.quarantine.lets_go("delivery", self._let_delivery_go)
        self.quarantine.lets_go("offer", self._let_offer_go)
        ledger.damaged = self.quarantine.damaged

    # --- rows that cannot be read -------------------------------------------------------------------------------------

    async def _put_rooms_aside(self) -> None:
        """Note each room that cannot be read, once: it costs itself, and what is said there waits or fails."""
        known = {row.place for row in await self.quarantine.list(limit=QUARANTINE_KEPT, kind=QuarantineKind.ROOM)}
        change = Change()
        for uri, error in self.rooms.unreadable.items():
            if uri not in known:
                self.quarantine.put(change, QuarantineKind.ROOM, uri, b"", error)
        if change:
            await self.ledger.commit(change)

    def _let_content_go(self, row: Damaged, change: Change) -> None:
        """Let go of a content on its way to the router; whoever said it is told."""
        tx, room = self.outbox.transaction(), self.rooms.get(row.place)
        tx.change = change
        change.outbox_done.append(row.id)
        if row.mimi_id and room is not None:
            self.reports.fail(tx, room, row.mimi_id, _UNREADABLE)
        tx.commit()

    def _let_delivery_go(self, row: Damaged, change: Change) -> None:
        """Let go of something on its way to the network; whoever said it is told, in the room."""
        tx, room = self.outbox.transaction(), self.rooms.get(row.place)
        tx.change = change
        change.deliveries_done.append(row.id)
        if room is not None:
            if row.mimi_id:
                self._tell_of_failure(tx, room, row.mimi_id)
            tx.on_durable(lambda: self._nudge(room))
        tx.commit()

    def _tell_of_failure(self, tx: Transaction, room: Room, mimi_id: bytes) -> None:
        now, random = self._context.clock(), self._context.random
        failure = told(_UNREADABLE)
        tx.change.statuses.append(
            StatusRow(mimi_id=mimi_id, by="", state=State.FAILED, at=now, reason=failure.reason, text=failure.text)
        )
        local = room.conversation.local if isinstance(room.conversation, Direct) else None
        by = self._router.endpoint if local is None else self.directory.user(local)
        report = status.encode([(mimi_id, Status.ERROR)])
        tx.send(room, translate.status_content(report, salt=random(16), by=by, room=room.uri, failure=failure))

    def _let_offer_go(self, row: Damaged, change: Change) -> None:
        """Let go of an offer: answers to it stay the text that they are."""
        change.offers_gone.append(row.mimi_id)
        self.ledger.commit(change)

    def _nudge(self, room: Room) -> None:
        if self._ready:  # until then the deliveries are only stored: the account is not open yet
            self.deliveries.nudge(room)

    async def _open_account(self) -> None:
        """Open the account; while the network cannot be reached, or nobody may sign in, keep trying."""
        account: Account[Any] = Account(
            name=self.settings.name,
            config=self._account_config,
            store=LedgerStore(self.ledger),
            groups=tuple(room.conversation for room in self.settings.rooms),
            network=self.settings.address_network or self.settings.network,
            now=self._context.clock,
        )
        limits = self.settings.retry
        backoff = self._context.backoff(limits.first, limits.longest)
        while True:
            try:
                await within(self._context, FILE_SECONDS, self.adapter.open(account))
            except (Retry, TimeoutError) as outcome:
                wait = backoff.next(outcome.after if isinstance(outcome, Retry) else None)
                self._action = f"the network cannot be reached: {outcome}"
                log.warning("the network cannot be reached", endpoint=self.settings.name, why=str(outcome))
            except SignedOut as outcome:
                wait = limits.signed_out
                self._action = outcome.action
                log.warning("signed out", endpoint=self.settings.name, action=outcome.action)
            else:
                self._action = ""
                return
            await self._context.sleep(wait)

    async def _hear(self) -> None:
        """Listen to the router, once it is known whether the ledger is the latest."""
        self.hearing.doubtful = await self.trust.settle()
        self.outbox.request_octets = self.trust.request_octets
        self._settled.set()
        if self._ready:
            await self.deliveries.resume()
        await self.hearing.run()

    async def _resume_files(self) -> None:
        """Take up files that waited, once the router may take them: one that is old has a single try left."""
        with suppress(TimeoutError):
            async with self._context.timeout(_ROUTER_S):
                await self._settled.wait()
        await self.media.resume()

    async def _tidy(self) -> None:
        """Find rooms that were lost with an older ledger, and now and then forget keys that are over."""
        await self._settled.wait()
        while True:
            await self.membership.forget_old_epochs()
            await self._prune()
            await self._context.sleep(_TIDY_EVERY_S)
            self.membership.doubt()  # an endpoint may have been away for too long, or be there again

    async def _prune(self) -> None:
        """Let the ledger forget what it need not keep; if the disk refuses, it is tried again next time."""
        now = self._context.clock()
        try:
            await self.ledger.prune(self.settings.keep, now)
            await self.ledger.commit(Change(quarantine_over=max(1, now - KEPT_MS)))
        except StorageError as error:
            log.warning("the ledger could not forget what is old", endpoint=self.settings.name, why=str(error))

    async def _publish(self) -> None:
        """Keep enough KeyPackages with the router, once it has heard our hello.

        Whatever it answers costs new members' time, nothing else.
        """
        await self._settled.wait()
        backoff = self._context.backoff(*_AGAIN_S)
        while True:
            try:
                await self.keys.publish(self._router)
                pause = _PUBLISH_EVERY_S
                backoff.reset()
            except StorageError:
                raise
            except Exception as error:
                pause = backoff.next()
                log.warning("key packages not published yet", endpoint=self.settings.name, why=str(error), again=pause)
            await self.keys.needed(pause)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str, *, lasting: bool = True) -> asyncio.Task[None]:
        """Run something beside the rest; ``lasting``: as long as the endpoint, so that its end is a defect."""
        task = asyncio.create_task(coroutine, name=f"{self.settings.name}: {name}")
        task.add_done_callback(self._ended if lasting else self._done)
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self._fatal(task.exception() or RuntimeError(f"{task.get_name()} ended by itself"))

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    def _fatal(self, error: BaseException) -> None:
        log.error("the endpoint cannot go on", endpoint=self.settings.name, error=str(error), exc_info=error)
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def reconfigure(self, settings: EndpointSettings) -> bool:
        """Take other settings while running; False if that needs another start, which loses nothing.

        Who is in the rooms, and under which revision, is taken up at once; another native room must be joined first.
        """
        here = self.settings
        if {room.conversation for room in settings.rooms} != {room.conversation for room in here.rooms}:
            return False
        told = structs.replace(settings, distrust=here.distrust)
        if structs.replace(told, rooms=here.rooms, revision=here.revision) != here:
            return False
        if told != here:
            await self.reload(told)
        return True

    async def wait(self) -> None:
        """Wait for ever; raise what went wrong if the endpoint cannot go on."""
        if self._failure is None:
            raise EndpointError("the endpoint has not been started")
        await asyncio.shield(self._failure)

    async def stop(self) -> None:
        """Stop gracefully: receive no more, finish what is under way within the time limit, close.

        What is not finished is in the ledger and goes on at the next start.
        """
        self._ready = False
        try:
            async with asyncio.timeout(self.settings.stop_timeout):
                await self._finish()
        except TimeoutError:
            log.warning("stopped before everything under way was finished", endpoint=self.settings.name)
        if hasattr(self, "rooms"):
            await self.deliveries.stop(timeout=0)
            await self.receiving.stop()
            await self.signs.stop()
            await self.membership.stop()
            await self.attachments.close()
        await _cancel(self._tasks)
        await self._close_account()
        if hasattr(self, "ledger"):
            await self.ledger.close()
        if self._failure is not None and self._failure.done():
            self._failure.exception()  # it has been logged; nobody need have waited for it
        log.info("endpoint stopped", endpoint=self.settings.name)

    async def _close_account(self) -> None:
        """Close the adapter, whatever it does: it must not keep the ledger from being closed."""
        try:
            async with asyncio.timeout(self.settings.stop_timeout):
                await self.adapter.close()
        except Exception:
            log.exception("a defect of the adapter: close", endpoint=self.settings.name)

    async def _finish(self) -> None:
        if self._listening is None:
            return
        await _cancel([self._listening])
        if self._failure is not None and self._failure.done():
            return
        await self.receiving.quiet()
        await self.deliveries.stop(timeout=self.settings.stop_timeout)
        await self.outbox.idle()

    async def reload(self, settings: EndpointSettings) -> None:
        """Take up another configuration's rooms and revision, while running."""
        self.settings = settings
        await self.membership.reload(settings)

    # --- for operators ------------------------------------------------------------------------------------------------

    def health(self) -> dict[str, object]:
        """Answer from memory whether the endpoint is well: no secrets, no bodies."""
        started = hasattr(self, "rooms")
        failed = self._failure is not None and self._failure.done()
        action = self._action or (self.pace.signed_out if started else "")
        if started and self.ledger.trouble:
            action = self.ledger.trouble
        found: dict[str, object] = {
            "endpoint": self.settings.name,
            "ready": self._ready and not failed and not action,
            "action": action,
        }
        if started:
            found |= {
                "router": self.hearing.connected,
                "stopped": self.hearing.stopped,
                "outbox": len(self.outbox),
                "delivering": self.deliveries.working,
                "rooms": len(self.rooms),
                "last_event": self.receiving.last_event,
            }
        if self._ready and isinstance(self.adapter, Health):
            found["network"] = _asked(self.adapter)
        return found


def _asked(adapter: Health) -> dict[str, object]:
    """Ask an adapter for its health; one that fails to answer is not well, and nobody else suffers for it."""
    try:
        return dict(adapter.health())
    except Exception as error:
        return {"connected": False, "defect": f"{type(error).__name__}: {error}"}


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
