"""Answers in words: what people were offered in words, and which of their messages choose from it.

A network without buttons shows numbered options. What was offered is kept in the ledger, written with the outcome of
its delivery. A short text that quotes such a message, or that follows it directly, is looked up among its options; if
it names one, it becomes the choice of that option, an answer to that message, with the person's words beside it. A
location that follows a request for one answers it. Whatever is said to the person after the offer closes it: then only
a quote can mean it, for a "2" after "How many?" must not press a button.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from msgspec import Struct, structs

from adapters.contract import Direct, Inbound, Message
from bridge.endpoint import translate
from bridge.endpoint.early import InFlight
from bridge.endpoint.ledger import Change, Ledger, OfferRow
from protocol import commerce
from protocol.commerce import Commerce, CommerceError, Location, LocationRequest
from protocol.content import Disposition, NullPart, SinglePart
from protocol.degrade import match_option
from protocol.richtext import parts
from protocol.richtext.reduction import text_of

ANSWERABLE_MS = 24 * 60 * 60 * 1000
"""For how long an offer can be answered without quoting it."""

_LONGEST = 1024  # octets of a text that can name an option

log = structlog.get_logger(__name__)


class Answer(Struct, frozen=True):
    """What a person's message means, and the offer that it answers."""

    message: Message
    offer: OfferRow


class Offers:
    """What was offered in one endpoint's rooms; ``clock`` is the wall clock in milliseconds."""

    def __init__(self, ledger: Ledger, in_flight: InFlight, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._in_flight = in_flight
        self._clock = clock
        self._open: dict[str, bool] = {}  # rooms with offers, and whether one of them may be open

    async def load(self) -> None:
        """Learn in which rooms something was offered."""
        self._open = dict(await self._ledger.offer_rooms())

    async def doubt(self) -> None:
        """Close all offers: the ledger is an older copy, and nobody knows what was said since."""
        change = Change(offers_closed=[room for room, is_open in self._open.items() if is_open])
        self._open = dict.fromkeys(self._open, False)
        if change:
            await self._ledger.commit(change)

    # --- to the person ------------------------------------------------------------------------------------------------

    def told(self, change: Change, room: str, said: Message, replaced: bytes | None) -> None:
        """Write into ``change`` what a message that the person has seen, or may have seen, means for earlier offers.

        ``replaced`` is the message that it edits or deletes.
        """
        if room not in self._open or translate.is_reaction(said.part):
            return
        if said.replaces is not None or isinstance(said.part, NullPart):
            change.offers_gone += [replaced] if replaced is not None else []
        elif self._open[room]:
            change.offers_closed.append(room)
            self._open[room] = False

    def made(self, change: Change, offer: OfferRow) -> None:
        """Write into ``change`` that a message which offers something was delivered."""
        change.offers.append(offer)
        self._open[offer.room] = offer.open or self._open.get(offer.room, False)

    # --- from the person ----------------------------------------------------------------------------------------------

    def concern(self, event: Inbound, room: str) -> bool:
        """Whether a message may answer something that was offered in its room, or is being offered just now."""
        return (room in self._open or self._in_flight.offering(room)) and _may_answer(event.message)

    async def read(self, rooms: Iterable[str]) -> dict[str, list[OfferRow]]:
        """Return what was offered in these rooms, newest first."""
        return {room: list(await self._ledger.offers(room)) for room in rooms if room in self._open}

    def answered(self, event: Inbound, offers: Sequence[OfferRow], known: Mapping[str, bytes]) -> Answer | None:
        """Return what a message means as an answer to one of ``offers``; None if it is none.

        ``known`` is the id map's part that concerns the message.
        """
        message = event.message
        if not _may_answer(message):
            return None
        if message.in_reply_to is not None:
            quoted = known.get(message.in_reply_to)
            offer = next((each for each in offers if each.mimi_id == quoted), None)
        elif isinstance(event.conversation, Direct):  # among many, nobody knows whom a bare number answers
            youngest = self._clock() - ANSWERABLE_MS
            offer = next((each for each in offers if each.open and each.at >= youngest), None)
        else:
            offer = None
        if offer is None or (request := _decode(offer.part)) is None:
            return None
        meant = answer(message, request, offer.native_id)
        return Answer(meant, offer) if meant is not None else None

    def take(self, change: Change, answered: Answer, offers: list[OfferRow]) -> None:
        """Write into ``change``, and into ``offers``, that an offer was answered."""
        if answered.offer.open:
            change.offers_closed.append(answered.offer.room)
            self._open[answered.offer.room] = False
            offers[:] = [structs.replace(each, open=False) for each in offers]


def encode(part: Commerce) -> bytes:
    """Return an offered part as the ledger keeps it."""
    return commerce.media_type(part).encode() + b"\x00" + commerce.encode(part)


def _decode(stored: bytes) -> Commerce | None:
    content_type, _, encoded = stored.partition(b"\x00")
    try:
        return commerce.decode(content_type.decode(), encoded)
    except CommerceError as error:  # written by another version
        log.warning("an offer cannot be read", error=str(error))
        return None


def answer(message: Message, request: Commerce, native_id: str) -> Message | None:
    """Return ``message`` as the answer that it is to ``request``, which is named ``native_id``; None if it is none."""
    target = message.in_reply_to or native_id
    if isinstance(commerce.find(message.part), Location):
        return structs.replace(message, in_reply_to=target) if isinstance(request, LocationRequest) else None
    words = _words(message)
    choice = match_option(words, request)
    if choice is None:
        return None
    return structs.replace(message, part=commerce.message(choice, words), in_reply_to=target)


def _may_answer(message: Message) -> bool:
    """Whether a message could be an answer: a short text, or a location; not the edit of one."""
    if message.replaces is not None:
        return False
    part = message.part
    if isinstance(part, SinglePart) and parts.is_text(part):
        return part.disposition == Disposition.RENDER and len(part.content) <= _LONGEST
    return isinstance(commerce.find(part), Location)


def _words(message: Message) -> str:
    part = message.part
    if not isinstance(part, SinglePart):
        return ""
    tree = parts.read(part)
    return part.text if tree is None else text_of(tree)
