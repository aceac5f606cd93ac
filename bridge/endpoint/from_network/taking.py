"""A batch of events on its way into one transaction, and what must be known of it beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from adapters.contract import Acknowledge, Alias, Event, Inbound, Receipt, Refused
from bridge.endpoint import translate
from bridge.endpoint.ledger.contract import MessageRow, OfferRow, State
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.to_router.outbox import Batch


class Seen(Struct):
    """What the log knows of messages that receipts are about."""

    messages: Mapping[bytes, MessageRow]
    states: dict[tuple[bytes, str], State]


class Taking:
    """One batch of events on its way into one transaction."""

    def __init__(
        self,
        batch: Batch,
        known: dict[str, bytes],
        slow: set[str],
        refused: Mapping[str, Refused],
        seen: Seen,
        offers: dict[str, list[OfferRow]],
    ) -> None:
        self.batch = batch
        self.known = known
        self.slow = slow
        self.refused = refused
        self.seen = seen
        self.offers = offers
        """What was offered in the rooms where something may be an answer."""
        self.acknowledgements: list[tuple[Acknowledge, Refused | None]] = []
        self.unopened: list[Room] = []
        self.waiting: list[str] = []


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
