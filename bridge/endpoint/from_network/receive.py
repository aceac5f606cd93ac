"""From the adapter's ``receive`` into batches: as fast as events come, in order in each conversation.

A conversation whose events must wait (for a send that is just landing, for the router to say who a stranger is) waits
apart; all others go on. The cursor is committed only as far as everything before it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import structlog
from msgspec import Struct

from adapters.contract import Adapter, Alias, Direct, Event, Inbound, Receipt, Refused
from bridge.endpoint.context import Context
from bridge.endpoint.errors import AdapterFailed
from bridge.endpoint.from_network.accept import CURSOR, Accept
from bridge.endpoint.from_network.check import Check, Known
from bridge.endpoint.from_network.media import AwaitingMedia
from bridge.endpoint.ledger.contract import Ledger
from bridge.endpoint.membership.keys import ENDPOINT
from bridge.endpoint.quarantine import printable
from bridge.storage import StorageError

_AT_ONCE = 256
_MOST = 4 * _AT_ONCE  # events that were taken from the adapter and are not committed yet

log = structlog.get_logger(__name__)


class Arrival(Struct, eq=False):
    """An event on its way; ``waited``: it need not wait again; ``durable``: it is dealt with."""

    event: Event
    waited: bool = False
    durable: bool = False


class Receive:
    """The way in of one endpoint; ``alive`` hears of each sign of life of the network."""

    def __init__(
        self,
        context: Context,
        adapter: Adapter[Any],
        ledger: Ledger,
        check: Check,
        accept: Accept,
        media: AwaitingMedia,
        *,
        alive: Callable[[], None],
    ) -> None:
        self._context = context
        self._adapter = adapter
        self._ledger = ledger
        self._check = check
        self._accept = accept
        self._media = media
        self._alive = alive
        self._order: deque[Arrival] = deque()  # everything that is not durable, in the order in which it arrived
        self._queue: deque[Arrival] = deque()
        self._held: dict[str, list[Arrival]] = {}
        self._waits: set[asyncio.Task[None]] = set()
        self._refused: dict[str, Refused] = {}
        self._arrived = asyncio.Event()
        self._room_for_more = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.last_event = 0
        """When the network was last heard of, in milliseconds (0: not yet)."""

    async def listen(self) -> None:
        """Take events from the adapter as fast as they come, some ahead of what is committed.

        Raises ``AdapterFailed`` when the adapter stops yielding, and whatever it raises.
        """
        cursor = await self._ledger.get(ENDPOINT, CURSOR)
        events: AsyncIterator[Event] = self._adapter.receive(None if cursor is None else cursor.decode())
        async for event in events:
            self.last_event = self._context.clock()
            self._alive()
            self._quiet.clear()
            arrival = Arrival(event)
            self._order.append(arrival)
            self._queue.append(arrival)
            self._arrived.set()
            while len(self._order) >= _MOST:
                self._room_for_more.clear()
                await self._room_for_more.wait()
        raise AdapterFailed("the adapter's receive ended by itself")

    async def run(self) -> None:
        """Commit what has arrived, for as long as the endpoint runs. Raises ``StorageError`` only."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                arrivals = [self._queue.popleft() for _ in range(min(_AT_ONCE, len(self._queue)))]
                await self._take(arrivals)
            if not self._held:
                self._quiet.set()

    async def quiet(self) -> None:
        """Wait until everything that was taken from the adapter is committed."""
        await self._quiet.wait()

    async def stop(self) -> None:
        """Stop waiting, and fetching files; what is not durable is heard again, what is goes on at the next start."""
        for task in self._waits:
            task.cancel()
        await asyncio.gather(*self._waits, return_exceptions=True)
        await self._media.stop()

    # --- one batch ----------------------------------------------------------------------------------------------------

    async def _take(self, arrivals: Sequence[Arrival]) -> None:
        ready = [arrival for arrival in arrivals if not self._waits_apart(arrival)]
        try:
            known = await self._check.look_up([arrival.event for arrival in ready if _is_whole(arrival.event)])
        except StorageError:
            raise
        except Exception as error:
            if len(ready) > 1:
                log.warning("a batch of events cannot be looked up: one by one", why=str(error))
                for arrival in ready:
                    await self._take_ready([arrival], await self._looked_up(arrival))
                return
            log.exception("a defect: an event that cannot be looked up")
            known = Known()
        await self._take_ready(ready, known)

    async def _looked_up(self, arrival: Arrival) -> Known:
        try:
            return await self._check.look_up([arrival.event] if _is_whole(arrival.event) else [])
        except StorageError:
            raise
        except Exception:
            log.exception("a defect: an event that cannot be looked up")
            return Known()

    async def _take_ready(self, ready: Sequence[Arrival], known: Known) -> None:
        late = {key for key, sends in known.late.items() if self._delay(key, ready, self._check.landed(sends))}
        going = [arrival for arrival in ready if not (key_of(arrival.event) in late and self._join(arrival))]
        if going:
            await self._accept.accept([a.event for a in going], known, self._refused, lambda n: self._cursor(going[:n]))
            for arrival in going:
                arrival.durable = True
        for arrival in going:
            self._refused.pop(key_of(arrival.event), None)
        while self._order and self._order[0].durable:
            self._order.popleft()
        self._room_for_more.set()

    def _cursor(self, going: Sequence[Arrival]) -> str | None:
        """Return where the adapter would go on if ``going`` were durable beside what is: nothing before is missing."""
        these = set(map(id, going))
        newest: str | None = None
        for arrival in self._order:
            if not arrival.durable and id(arrival) not in these:
                break
            cursor = getattr(arrival.event, "cursor", None)
            newest = cursor if isinstance(cursor, str) else newest
        return newest

    # --- waiting apart ------------------------------------------------------------------------------------------------

    def _waits_apart(self, arrival: Arrival) -> bool:
        """Let an event wait if its conversation does, or if the router must be asked about it first."""
        key = key_of(arrival.event)
        if not key:
            return False
        if key in self._held:
            return self._join(arrival)
        event = arrival.event
        if arrival.waited or not _is_whole(event) or not self._check.is_stranger(event):
            return False
        if isinstance(event, Inbound) and isinstance(event.conversation, Direct):
            self._hold(key, self._ask(key, event.conversation))
            return self._join(arrival)
        return False

    async def _ask(self, key: str, conversation: Direct) -> None:
        refused = await self._check.stranger(conversation)
        if refused is not None:
            self._refused[key] = refused

    def _delay(self, key: str, ready: Sequence[Arrival], wait: Awaitable[None]) -> bool:
        """Begin to wait for a conversation, unless all that is ready of it has waited already."""
        if all(arrival.waited for arrival in ready if key_of(arrival.event) == key):
            wait.close()  # type: ignore[attr-defined]  # a coroutine that is not needed
            return False
        self._hold(key, wait)
        return True

    def _join(self, arrival: Arrival) -> bool:
        self._held[key_of(arrival.event)].append(arrival)
        return True

    def _hold(self, key: str, wait: Awaitable[None]) -> None:
        self._held[key] = []
        task = asyncio.create_task(self._release(key, wait), name="events that wait")
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

    async def _release(self, key: str, wait: Awaitable[None]) -> None:
        try:
            await wait
        except Exception:
            log.exception("a defect: events go on without what they waited for")
        arrivals = self._held.pop(key)
        for arrival in arrivals:
            arrival.waited = True
        self._queue.extendleft(reversed(arrivals))
        self._arrived.set()


def key_of(event: object) -> str:
    """Return the conversation of what waits its turn in one ('' for everything else)."""
    if not isinstance(event, Inbound | Receipt):
        return ""
    key = getattr(event.conversation, "key", "")
    return key if isinstance(key, str) else ""


def _is_whole(event: object) -> bool:
    """Whether an event can be looked up: a stranger's adapter may yield anything."""
    match event:
        case Inbound():
            named = [event.native_id, *event.aliases, *_references(event)]
        case Receipt():
            named = [*event.native_ids]
        case Alias():
            return _is_name(event.native_id) and _is_name(event.alias)
        case _:
            return False
    return bool(key_of(event)) and all(map(_is_name, named))


def _references(event: Inbound) -> list[object]:
    message: Any = event.message
    named = (getattr(message, "replaces", None), getattr(message, "in_reply_to", None))
    return [name for name in named if name is not None]


def _is_name(name: object) -> bool:
    """Whether it is a text that a database can be asked for."""
    return isinstance(name, str) and printable(name) == name
