"""What must be known before a batch of events is taken: the messages that they name, and what they may answer.

People answer faster than a send returns: a native id that nobody knows yet, or a "2" that nobody has asked for, may
belong to what is being sent in that conversation just now. Such a send is waited for, within limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakSet

from msgspec import structs

from adapters.contract import Event, Inbound, Receipt
from bridge.endpoint.from_network.taking import named_by, refers_to
from bridge.endpoint.ledger.contract import Ledger, MessageRow, OfferRow
from bridge.endpoint.offers.early import InFlight, landed
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.rooms.table import Rooms

_LANDING_S = 2.0  # how long an event may wait for the send of what it answers to return


class Lookup:
    """Looks up what a batch of events is about."""

    def __init__(self, ledger: Ledger, rooms: Rooms, in_flight: InFlight, offers: Offers) -> None:
        self._ledger = ledger
        self._rooms = rooms
        self._in_flight = in_flight
        self._offers = offers
        self._slow: WeakSet[asyncio.Event] = WeakSet()  # sends that were waited for in vain

    async def of(self, events: Sequence[Event]) -> tuple[dict[str, bytes], dict[str, list[OfferRow]]]:
        """Return the id map's part that the events name, and what was offered in the rooms where one may be an answer.

        Where a send has not returned in time, nobody knows what the person saw last: nothing is open there.
        """
        sends = self._sends(events)
        known = dict(await self._ledger.natives(named_by(events)))
        here = {event.native_id for event in events if isinstance(event, Inbound)}
        late: dict[asyncio.Event, None] = {}
        answering: dict[str, tuple[asyncio.Event, ...]] = {}
        for event, room, under_way in sends:
            if isinstance(event, Inbound) and self._offers.concern(event, room):
                answering[room] = under_way
                late.update(dict.fromkeys(send for send in under_way if send not in self._slow))
            if any(native not in known and native not in here for native in refers_to(event)):
                late.update(dict.fromkeys(under_way))
        if late:
            await landed(late, _LANDING_S)
            self._slow.update(send for send in late if not send.is_set())
            known = dict(await self._ledger.natives(named_by(events)))
        return known, await self._offered(answering)

    async def bound(self, events: Sequence[Event], known: Mapping[str, bytes]) -> list[Event]:
        """Return the events with their references bound to their own rooms.

        A message of another conversation is nothing that can be named here: such a reference becomes an unknown one.
        """
        said = [event for event in events if isinstance(event, Inbound)]
        named = {known[native] for event in said for native in refers_to(event) if known.get(native)}
        if not named:
            return list(events)
        rows = await self._ledger.messages(named)
        return [self._bound(event, known, rows) if isinstance(event, Inbound) else event for event in events]

    def _bound(self, event: Inbound, known: Mapping[str, bytes], rows: Mapping[bytes, MessageRow]) -> Inbound:
        room = self._rooms.of(event.conversation)

        def here(native: str | None) -> str | None:
            row = None if native is None else rows.get(known.get(native, b""))
            return native if row is None or (room is not None and row.room == room.uri) else f"elsewhere\0{native}"

        message = event.message
        replaces, in_reply_to = here(message.replaces), here(message.in_reply_to)
        if (replaces, in_reply_to) == (message.replaces, message.in_reply_to):
            return event
        return structs.replace(event, message=structs.replace(message, replaces=replaces, in_reply_to=in_reply_to))

    async def _offered(self, answering: dict[str, tuple[asyncio.Event, ...]]) -> dict[str, list[OfferRow]]:
        offers = await self._offers.read(answering)
        for room, under_way in answering.items():
            if room in offers and not all(send.is_set() for send in under_way):
                offers[room] = [structs.replace(offer, open=False) for offer in offers[room]]
        return offers

    def _sends(self, events: Iterable[Event]) -> list[tuple[Event, str, tuple[asyncio.Event, ...]]]:
        """Find the events that belong to a room, each with its room and what is being sent there just now."""
        found = []
        for event in events:
            room = self._rooms.of(event.conversation) if isinstance(event, Inbound | Receipt) else None
            if room is not None:
                found.append((event, room.uri, self._in_flight.under_way(room.uri)))
        return found
