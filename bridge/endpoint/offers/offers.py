"""Answers in words: what people were offered in words, and which of their messages choose from it.

A network without buttons shows numbered options. What was offered is kept in the ledger, written with the outcome of
its delivery. A short text that quotes such a message, or that follows it directly, is looked up among its options; if
it names one, it becomes the choice of that option, an answer to that message, with the person's words beside it. A
location that follows a request for one answers it. Whatever is said to the person after the offer closes it: then only
a quote can mean it, for a "2" after "How many?" must not press a button. Clients that know no replies quote by ``>``
before the words, which counts as a quote too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog
from msgspec import Struct, structs

from adapters.contract import Direct, Inbound, Message
from bridge.endpoint import translate
from bridge.endpoint.ledger.contract import Change, Ledger, OfferRow
from bridge.endpoint.offers.early import InFlight
from protocol import commerce
from protocol.commerce import Commerce, CommerceError, Location, LocationRequest
from protocol.content import Disposition, NullPart, SinglePart
from protocol.degrade import match_option
from protocol.richtext import parts
from protocol.richtext.reduction import text_of
from protocol.richtext.tree import Quote

ANSWERABLE_MS = 24 * 60 * 60 * 1000
"""For how long an offer can be answered without quoting it."""

_LONGEST = 8192  # octets of a text that can name an option, with what it quotes

log = structlog.get_logger(__name__)


class Answer(Struct, frozen=True):
    """What a person's message means, and the offer that it answers."""

    message: Message
    offer: OfferRow


class _Said(Struct, frozen=True):
    """The words of a message, and what they quote by ``>`` before them ('' if nothing)."""

    words: str
    quoted: str = ""


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
        if not _may_answer(event.message):
            return None
        said = _said(event.message)
        offer = self._meant(event, said, offers, known)
        if offer is None or (request := _decode(offer.part)) is None:
            return None
        meant = _answer(event.message, said, request, offer.native_id)
        return Answer(meant, offer) if meant is not None else None

    def _meant(
        self, event: Inbound, said: _Said, offers: Sequence[OfferRow], known: Mapping[str, bytes]
    ) -> OfferRow | None:
        """Return the offer that a message is about, as far as where it stands can tell."""
        quoted = event.message.in_reply_to
        if quoted is not None:
            return next((offer for offer in offers if offer.mimi_id == known.get(quoted)), None)
        if said.quoted:
            return next((offer for offer in offers if _begins(offer, said.quoted)), None)
        if not isinstance(event.conversation, Direct):  # among many, nobody knows whom a bare number answers
            return None
        youngest = self._clock() - ANSWERABLE_MS
        return next((offer for offer in offers if offer.open and offer.at >= youngest), None)

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


def _answer(message: Message, said: _Said, request: Commerce, native_id: str) -> Message | None:
    """Return ``message`` as the answer that it is to ``request``, which is named ``native_id``; None if it is none."""
    target = message.in_reply_to or native_id
    if isinstance(commerce.find(message.part), Location):
        return structs.replace(message, in_reply_to=target) if isinstance(request, LocationRequest) else None
    choice = match_option(said.words, request)
    if choice is None:
        return None
    return structs.replace(message, part=commerce.message(choice, said.words), in_reply_to=target)


def _may_answer(message: Message) -> bool:
    """Whether a message could be an answer: a short text, or a location; not the edit of one."""
    if message.replaces is not None:
        return False
    part = message.part
    if isinstance(part, SinglePart) and parts.is_text(part):
        return part.disposition == Disposition.RENDER and len(part.content) <= _LONGEST
    return isinstance(commerce.find(part), Location)


def _said(message: Message) -> _Said:
    part = message.part
    if not isinstance(part, SinglePart):
        return _Said("")
    tree = parts.read(part)
    match tree:
        case None:
            return _Said(part.text)
        case (Quote(blocks), _, *_):
            return _Said(text_of(tree[1:]), text_of(blocks))
        case _:
            return _Said(text_of(tree))


def _begins(offer: OfferRow, quoted: str) -> bool:
    """Whether an offer, in words, begins like this; clients quote as many lines as they like."""
    request = _decode(offer.part)
    return request is not None and _folded(commerce.text_of(request)).startswith(_folded(quoted))


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
