"""What must be known before a batch of events is accepted: the messages that they name, what they may answer, and
whether there is anybody at the other end.

People answer faster than a send returns: a native id that nobody knows yet, or a "2" that nobody has asked for, may
belong to what is being sent in that conversation just now. Such a send is waited for, within limits, and by the events
of its own conversation only. The router is asked about strangers in the same way: apart, side by side, with a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakSet

from msgspec import Struct, field, structs

from adapters.contract import Alias, Direct, Event, Group, Inbound, Receipt, Refused
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.contract import Ledger, MessageRow, OfferRow, State
from bridge.endpoint.offers.early import InFlight, landed
from bridge.endpoint.offers.offers import Offers
from bridge.endpoint.rooms.table import Rooms
from bridge.router.contract import RouterError
from protocol.uri import UriError

LANDING_S = 2.0
"""How long an event may wait for the send of what it answers to return."""

ASKING_S = 5.0
"""How long the router may take to say who speaks for a stranger; what it does not say in time is accepted."""

_ASKING = 32  # strangers about whom the router is asked at once

Sends = tuple[asyncio.Event, ...]


class Known(Struct):
    """What is known of a batch of events: ids, messages that receipts and repetitions are about, and offers.

    ``late`` are the conversations whose events should wait, by key, and the sends that they wait for.
    """

    natives: dict[str, bytes] = field(default_factory=dict)
    messages: Mapping[bytes, MessageRow] = field(default_factory=dict)
    states: dict[tuple[bytes, str], State] = field(default_factory=dict)
    offers: dict[str, list[OfferRow]] = field(default_factory=dict)
    late: dict[str, Sends] = field(default_factory=dict)


def refers_to(event: Event) -> Iterable[str]:
    """The native ids of other messages that an event names."""
    match event:
        case Inbound():
            return translate.references(event.message)
        case Receipt():
            return event.native_ids
        case _:
            return ()


def named_by(events: Iterable[Event]) -> set[str]:
    """Every native id that a batch of events names."""
    names: set[str] = set()
    for event in events:
        names.update(refers_to(event))
        if isinstance(event, Inbound | Alias):
            names.add(event.native_id)
    return names


class Check:
    """Looks up what a batch of events is about; ``endpoint`` is our own URI."""

    def __init__(
        self,
        context: Context,
        directory: Directory,
        ledger: Ledger,
        rooms: Rooms,
        in_flight: InFlight,
        offers: Offers,
        *,
        endpoint: str,
    ) -> None:
        self._context = context
        self._directory = directory
        self._ledger = ledger
        self._rooms = rooms
        self._in_flight = in_flight
        self._offers = offers
        self._endpoint = endpoint
        self._slow: WeakSet[asyncio.Event] = WeakSet()  # sends that were waited for in vain
        self._asking = asyncio.Semaphore(_ASKING)

    async def look_up(self, events: Sequence[Event]) -> Known:
        """Return what is known of the events, and which conversations should wait for a send.

        Where a send has not returned in time, nobody knows what the person saw last: nothing is open there.
        """
        sends = self._sends(events)
        natives = dict(await self._ledger.natives(named_by(events)))
        here = {event.native_id for event in events if isinstance(event, Inbound)}
        late: dict[str, Sends] = {}
        answering: dict[str, Sends] = {}
        for event, room, under_way in sends:
            fresh = tuple(send for send in under_way if send not in self._slow)  # one may have landed just now
            concerned = isinstance(event, Inbound) and self._offers.concern(event, room)
            if concerned:
                answering[room] = under_way
            unknown = any(native not in natives and native not in here for native in refers_to(event))
            if fresh and (concerned or unknown):
                late.setdefault(event.conversation.key, fresh)
        ids = {natives[native] for event in events for native in _judged(event) if natives.get(native)}
        messages = await self._ledger.messages(ids) if ids else {}
        states = dict(await self._ledger.states(ids)) if ids else {}
        return Known(natives, messages, states, await self._offered(answering), late)

    async def landed(self, sends: Sends) -> None:
        """Wait until these sends have landed, for a while; those that have not are not waited for again."""
        await landed(sends, LANDING_S)
        self._slow.update(send for send in sends if not send.is_set())

    async def _offered(self, answering: Mapping[str, Sends]) -> dict[str, list[OfferRow]]:
        offers = await self._offers.read(answering) if answering else {}
        for room, under_way in answering.items():
            if room in offers and not all(send.is_set() for send in under_way):
                offers[room] = [structs.replace(offer, open=False) for offer in offers[room]]
        return offers

    def _sends(self, events: Iterable[Event]) -> list[tuple[Inbound | Receipt, str, Sends]]:
        """Find the events that belong to a room, each with its room and what is being sent there just now."""
        return [
            (event, room.uri, self._in_flight.under_way(room.uri))
            for event in events
            if isinstance(event, Inbound | Receipt) and (room := self._rooms.of(event.conversation)) is not None
        ]

    def bound(self, event: Inbound, known: Known) -> Inbound:
        """Return a message with its references bound to its own room.

        A message of another conversation is nothing that can be named here: such a reference becomes an unknown one.
        """
        room = self._rooms.of(event.conversation)

        def here(native: str | None) -> str | None:
            row = None if native is None else known.messages.get(known.natives.get(native, b""))
            return native if row is None or (room is not None and row.room == room.uri) else f"elsewhere\0{native}"

        message = event.message
        replaces, in_reply_to = here(message.replaces), here(message.in_reply_to)
        if (replaces, in_reply_to) == (message.replaces, message.in_reply_to):
            return event
        return structs.replace(event, message=structs.replace(message, replaces=replaces, in_reply_to=in_reply_to))

    # --- strangers ----------------------------------------------------------------------------------------------------

    def is_stranger(self, event: Event) -> bool:
        """Whether the router should be asked who speaks for the other person of a message's conversation."""
        return (
            isinstance(event, Inbound)
            and isinstance(event.conversation, Direct)
            and self._rooms.of(event.conversation) is None
        )

    async def stranger(self, conversation: Direct) -> Refused | None:
        """Return why nobody could be reached in a conversation; None if somebody can, or nobody knows in time."""
        try:
            async with self._context.timeout(ASKING_S), self._asking:
                endpoint = await self._directory.endpoint_of(conversation.peer)
        except UriError as error:
            return Refused("unknown-conversation", str(error))
        except (RouterError, TimeoutError):
            return None  # it is accepted, and fails later if there is nobody
        if endpoint is None or endpoint == self._endpoint:
            return Refused("unknown-conversation", "there is no such person on any network connected here")
        return None

    def unplumbed(self, event: Inbound) -> bool:
        """Whether a message comes from a native room that is not plumbed."""
        conversation = event.conversation
        return (
            isinstance(conversation, Group)
            and self._rooms.of(conversation) is None
            and self._directory.plumbed(conversation) is None
        )


def _judged(event: Event) -> Iterable[str]:
    """The native ids of messages that must be looked at: those of receipts, what is referred to, and what may come
    a second time.
    """
    match event:
        case Receipt():
            return event.native_ids
        case Inbound():
            return (event.native_id, *translate.references(event.message))
        case _:
            return ()
