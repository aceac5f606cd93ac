"""From the ledger to the network: each conversation in order, many conversations side by side.

A delivery ends in exactly one way: sent or delivered, failed with a reason, or uncertain; its sender is told in the
transaction that ends it. A conversation that is stuck blocks only itself, and after enough attempts, or when it is too
old, its head is parked, where it can be listed and replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from msgspec import structs

from adapters.contract import Adapter, Health
from bridge.endpoint.context import Context
from bridge.endpoint.errors import EndpointError
from bridge.endpoint.ledger.contract import Change, DeliveryKind, DeliveryRow, Ledger
from bridge.endpoint.offers.early import InFlight
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.settings import EndpointSettings
from bridge.endpoint.to_network.attempt import Carrier
from bridge.endpoint.to_network.calls import Places
from bridge.endpoint.to_network.outcome import MOST_AGAIN
from bridge.endpoint.to_network.pace import Pace, Stopping
from bridge.endpoint.to_network.reports import Reports
from bridge.storage import StorageError

_PAGE = 32
_WATCH_S = 1.0

log = structlog.get_logger(__name__)


class Deliveries:
    """The way out of one endpoint: one worker for each room that has something to be delivered."""

    def __init__(
        self,
        settings: EndpointSettings,
        ledger: Ledger,
        carrier: Carrier,
        reports: Reports,
        pace: Pace,
        in_flight: InFlight,
        *,
        room: Callable[[str], Room | None],
        context: Context,
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._context = context
        self._ledger = ledger
        self._carrier = carrier
        self._reports = reports
        self._pace = pace
        self._in_flight = in_flight
        self._room = room
        self._fatal = fatal
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._left: dict[str, tuple[asyncio.Event, int]] = {}
        self._places = Places(settings.parallel, settings.patience)
        self._stopping = False

    async def load(self) -> None:
        """See what the last run left behind: some of it may have been sent already, and be answered any moment."""
        for uri, count in (await self._ledger.delivery_rooms()).items():
            self._left[uri] = self._in_flight.begin(uri, offers=True), min(count, MOST_AGAIN)

    async def resume(self) -> None:
        """Go on with what the last run left behind."""
        for uri in await self._ledger.delivery_rooms():
            room = self._room(uri)
            if room is None:
                log.error("deliveries for a room that is not in the ledger", room=uri)
            else:
                self.nudge(room)

    async def doubt(self) -> None:
        """Take everything that waits for something that may have been sent already. Before ``resume`` only."""
        for uri, count in (await self._ledger.delivery_rooms()).items():
            rows = await self._ledger.deliveries(uri, count)
            doubtful = [structs.replace(row, sending=True) for row in rows if row.kind is DeliveryKind.MESSAGE]
            await self._ledger.commit(Change(deliveries=doubtful))
        await self._carrier.doubt()

    def nudge(self, room: Room) -> None:
        """Say that there is something to deliver in a room."""
        if self._stopping:
            return
        self._again.add(room.uri)
        if room.uri not in self._workers:
            task = asyncio.create_task(self._work(room), name=f"deliver {room.tag}")
            self._workers[room.uri] = task
            task.add_done_callback(self._worked)

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 - it bounds the whole of stopping
        """Begin nothing new, wait for what is being sent, and give up waiting after ``timeout`` seconds."""
        self._stopping = True
        self._pace.stop()
        workers = list(self._workers.values())
        if workers:
            _, late = await asyncio.wait(workers, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def watch(self, adapter: Adapter[Any]) -> None:
        """See, while something waits for the network, whether the adapter says that it is there again."""
        connected = True
        while isinstance(adapter, Health):
            await self._context.sleep(_WATCH_S)
            before, connected = connected, not self._pace.waiting or bool(adapter.health().get("connected"))
            if connected and not before:
                self._pace.alive()
        await asyncio.Event().wait()

    @property
    def working(self) -> int:
        """How many conversations have something to be delivered just now."""
        return len(self._workers)

    def _worked(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal(error)

    async def _work(self, room: Room) -> None:
        try:
            while room.uri in self._again and not self._stopping:
                self._again.discard(room.uri)
                while rows := await self._ledger.deliveries(room.uri, _PAGE):
                    for row in rows:
                        await self._pace.sleep(0)
                        await self._deliver(room, row)
                        if room.uri in self._left:
                            await self._carrier.settled(room)
                            self._take_up(room)
                    await self._carrier.settled(room)
        except Stopping:
            return
        finally:
            self._take_up(room, MOST_AGAIN)
            del self._workers[room.uri]

    def _take_up(self, room: Room, count: int = 1) -> None:
        """Note that ``count`` of the messages that the last run may have sent have come to their ends, durably."""
        if room.uri not in self._left:
            return
        send, left = self._left.pop(room.uri)
        if left > count:
            self._left[room.uri] = send, left - count
        else:
            self._in_flight.end(room.uri, send)

    async def _deliver(self, room: Room, row: DeliveryRow) -> None:
        """Bring one delivery to its end, however long it takes; others only wait for the time it is really sent."""
        handler = self._reports if row.kind is DeliveryKind.STATUS else self._carrier
        try:
            if row.kind is DeliveryKind.AGAIN:
                await self._carrier.answer_again(room, row)
                return
            if row.kind is DeliveryKind.LEFT:
                await self._reports.left(room, row, self._places)
                return
            await handler.carry(room, row, self._places)
        except (Stopping, StorageError, EndpointError):
            raise
        except Exception as error:  # one message that we cannot bear must not stop its conversation for ever
            log.exception("a defect: given up", room=room.tag, kind=row.kind)
            await handler.give_up(room, row, f"{type(error).__name__} in the bridge")
