"""Message stanzas to what was said, and back: pure; no I/O, no clock.

One stanza carries one of: a text or a file (perhaps a reply, perhaps a correction), a retraction, a set of reactions,
a receipt or marker, a typing state, or an error about something we sent. ``decode`` says which. Other messages are
named by native ids, which ``Place`` makes of the ids on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from mimetypes import MimeTypes
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from msgspec import Struct

from adapters.contract import Message
from adapters.xmpp import bounces, names, styling, xml
from adapters.xmpp.errors import StanzaError, StanzaRefused
from adapters.xmpp.names import Place, Room
from protocol import commerce, geo
from protocol.content import Disposition, ExternalPart, MultiPart, NullPart, Part, Semantics, SinglePart, text
from protocol.status import Status

MAX_ID = 1_000
MAX_REACTIONS = 64
"""How many emoji one person's set may hold."""

_TYPES = MimeTypes()  # the built-in table only, so that the answer is the same on every machine


class Said(Struct, frozen=True):
    """A text, a file, a correction or a retraction: ``id`` is the sender's ('' if none), ``archive_id`` the room's."""

    message: Message
    id: str
    archive_id: str = ""
    sent_at: int | None = None
    wants_receipt: bool = False


class Reacted(Struct, frozen=True):
    """The whole set of emoji with which the sender now reacts to ``target``, a native id."""

    target: str
    emoji: tuple[str, ...]
    id: str
    archive_id: str = ""
    sent_at: int | None = None
    wants_receipt: bool = False


class Arrived(Struct, frozen=True):
    """A delivery receipt or a read marker for these native ids."""

    native_ids: tuple[str, ...]
    status: Status


class Composing(Struct, frozen=True):
    """The sender types, or has stopped."""

    active: bool


class Bounced(Struct, frozen=True):
    """The stanza ``id`` that we sent was refused."""

    id: str
    error: StanzaError


class Nothing(Struct, frozen=True):
    """Nothing that another network could be told."""


Incoming: TypeAlias = Said | Reacted | Arrived | Composing | Bounced | Nothing


def decode(stanza: Element, place: Place, author: str = "") -> Incoming:
    """Return what a message stanza says in ``place``. Raises ``StanzaRefused`` when it cannot be carried.

    ``author`` is what the room's occupants are told apart by ('' for the nickname).
    """
    if stanza.get("type") == "error":
        return Bounced(stanza.get("id", ""), bounces.read(stanza))
    if (retract := stanza.find(xml.q(xml.RETRACT, "retract"))) is not None:
        target = place.native(_id(retract))
        return _said(stanza, place, Message(part=NullPart(), replaces=target))
    if (reactions := stanza.find(xml.q(xml.REACTIONS, "reactions"))) is not None:
        return _reacted(stanza, place, reactions)
    if any(stanza.find(xml.q(namespace, "encrypted")) is not None for namespace in xml.OMEMO):
        raise StanzaRefused(
            "not-acceptable", "This bridge cannot read OMEMO; please turn encryption off for this chat.", "modify"
        )
    part = _part(stanza)
    if part is not None:
        return _said(stanza, place, _referring(stanza, place, part, author))
    return _signal(stanza, place)


def _said(stanza: Element, place: Place, message: Message) -> Said:
    return Said(
        message,
        stanza.get("id", ""),
        archive_id(stanza, place),
        sent_at(stanza),
        stanza.find(xml.q(xml.RECEIPTS, "request")) is not None,
    )


def _reacted(stanza: Element, place: Place, reactions: Element) -> Reacted:
    emoji = dict.fromkeys((each.text or "").strip() for each in reactions.iterfind(xml.q(xml.REACTIONS, "reaction")))
    emoji.pop("", None)
    if len(emoji) > MAX_REACTIONS:
        raise StanzaRefused("policy-violation", f"At most {MAX_REACTIONS} reactions to one message.")
    said = _said(stanza, place, Message(part=NullPart()))
    target = place.native(_id(reactions))
    return Reacted(target, tuple(emoji), said.id, said.archive_id, said.sent_at, said.wants_receipt)


def _signal(stanza: Element, place: Place) -> Incoming:
    if (received := stanza.find(xml.q(xml.RECEIPTS, "received"))) is not None:
        return Arrived((place.native(_id(received)),), Status.DELIVERED)
    if (displayed := stanza.find(xml.q(xml.MARKERS, "displayed"))) is not None:
        return Arrived((place.native(_id(displayed)),), Status.READ)
    if stanza.find(xml.q(xml.CHATSTATES, "composing")) is not None:
        return Composing(active=True)
    if any(stanza.find(xml.q(xml.CHATSTATES, state)) is not None for state in ("active", "paused", "inactive", "gone")):
        return Composing(active=False)
    return Nothing()


def _id(element: Element) -> str:
    id_ = element.get("id", "")
    if not id_:
        raise StanzaRefused("bad-request", "It names another message without saying which.")
    return _checked(id_)


def _checked(id_: str) -> str:
    if len(id_) > MAX_ID:
        raise StanzaRefused("bad-request", f"An id of more than {MAX_ID} characters.")
    return id_


def archive_id(stanza: Element, place: Place) -> str:
    """Return the stanza-id that the room itself has given; one that claims to be by somebody else is ignored."""
    if isinstance(place, Room):
        for each in stanza.iterfind(xml.q(xml.SID, "stanza-id")):
            if each.get("by") == place.jid:
                return _checked(each.get("id") or "")
    return ""


def origin_id(stanza: Element) -> str:
    """Return the id that the sender gave: origin-id where a room may have changed ``id``.

    Raises ``StanzaRefused`` for an absurdly long one.
    """
    origin = stanza.find(xml.q(xml.SID, "origin-id"))
    return _checked((origin.get("id") if origin is not None else None) or stanza.get("id") or "")


def sent_at(stanza: Element) -> int | None:
    """Return when a delayed stanza was sent, in milliseconds since 1970; None if it says nothing sensible."""
    delay = stanza.find(xml.q(xml.DELAY, "delay"))
    if delay is None:
        return None
    try:
        stamp = datetime.fromisoformat(delay.get("stamp", ""))
    except ValueError:
        return None
    at = int(stamp.replace(tzinfo=stamp.tzinfo or UTC).timestamp() * 1000)
    return at if at >= 0 else None


def stamp(at: int) -> str:
    """Return milliseconds since 1970 as XMPP writes a time (XEP-0082)."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- what was said ----------------------------------------------------------------------------------------------------


def _part(stanza: Element) -> Part | None:
    """Return the text, the file or both; None if there is neither."""
    files = tuple(_file(url) for url in _links(stanza))
    body = stanza.findtext(xml.BODY) or ""
    if any(body.strip() == file.url for file in files):
        body = ""  # the body is only there for clients that do not know out-of-band links
    body = _without_fallback(stanza, body)
    unstyled = stanza.find(xml.q(xml.STYLING, "unstyled")) is not None
    parts: list[Part] = [_place(body) or styling.to_part(body, unstyled=unstyled)] if body else []
    parts.extend(files)
    if len(parts) < 2:
        return parts[0] if parts else None
    return MultiPart(semantics=Semantics.PROCESS_ALL, parts=tuple(parts))


def _place(body: str) -> Part | None:
    """Return the place that a body names which is a ``geo:`` URI and nothing else: so clients share locations."""
    found = geo.parse(body.strip())
    if found is None:
        return None
    return commerce.message(commerce.Location(latitude=found[0], longitude=found[1]), body.strip())


def _links(stanza: Element) -> Iterable[str]:
    for each in stanza.iterfind(xml.q(xml.OOB, "x")):
        url = xml.text_of(each, xml.OOB, "url").strip()
        try:
            scheme = urlsplit(url).scheme
        except ValueError:
            raise StanzaRefused("bad-request", "A link that is none.") from None
        if scheme in {"http", "https"}:
            yield url


def _file(url: str) -> ExternalPart:
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    media_type = _TYPES.guess_type(name)[0] or "application/octet-stream"
    shown = media_type.partition("/")[0] in {"image", "video", "audio"}
    disposition = Disposition.INLINE if shown else Disposition.ATTACHMENT
    return ExternalPart(media_type, url, filename=name, disposition=disposition)


def _without_fallback(stanza: Element, body: str) -> str:
    """Cut out of the body what repeats, for old clients, the message that is replied to (XEP-0428 in 0461)."""
    for fallback in stanza.iterfind(xml.q(xml.FALLBACK, "fallback")):
        if fallback.get("for") != xml.REPLY:
            continue
        ranges = [_range(each, len(body)) for each in fallback.iterfind(xml.q(xml.FALLBACK, "body"))]
        for start, end in sorted(ranges or [(0, len(body))], reverse=True):
            body = body[:start] + body[end:]
    return body


def _range(element: Element, length: int) -> tuple[int, int]:
    try:
        start, end = int(element.get("start", "0")), int(element.get("end", str(length)))
    except ValueError:
        raise StanzaRefused("bad-request", "A fallback range that is not a number.") from None
    if not 0 <= start <= end <= length:
        raise StanzaRefused("bad-request", "A fallback range outside the text.")
    return start, end


def words(stanza: Element) -> str:
    """Return a short digest of what a stanza says, the same for each time that the same thing is sent again."""
    digest = sha256()
    for child in stanza:
        if child.tag.rpartition("}")[0].removeprefix("{") not in _ON_THE_WAY:
            for each in child.iter():
                said = repr((each.tag, sorted(each.attrib.items()), each.text, each.tail))
                digest.update(said.encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]


_ON_THE_WAY = frozenset((xml.SID, xml.DELAY, xml.HINTS, xml.CHATSTATES, xml.NICK, xml.RECEIPTS, xml.MARKERS, xml.HEARD))
"""Namespaces of what servers add and of what says nothing itself: it may differ when a message comes again."""


def _referring(stanza: Element, place: Place, part: Part, author: str) -> Message:
    replaces = in_reply_to = None
    if (replace := stanza.find(xml.q(xml.CORRECT, "replace"))) is not None:
        # Corrections name the id that the author gave, also in a room; only the author's own messages can be meant.
        own = author or names.resource(stanza.get("from", ""))
        replaces = place.by(own, _id(replace)) if isinstance(place, Room) else place.native(_id(replace))
    if (reply := stanza.find(xml.q(xml.REPLY, "reply"))) is not None:
        in_reply_to = place.native(_id(reply))
    return Message(part=part, replaces=replaces, in_reply_to=in_reply_to)


# --- what we say ------------------------------------------------------------------------------------------------------


class Quote(Struct, frozen=True):
    """The message that is replied to, as far as we remember it: its author's JID and its text."""

    author: str
    text: str


class Outgoing(Struct, frozen=True, kw_only=True):
    """One delivery, ready to be written: ``correct`` and ``reply`` are ids on the wire, ``url`` is an uploaded file."""

    id: str
    from_: str
    to: str
    type: str = "chat"
    name: str = ""
    correct: str = ""
    reply: str = ""
    quote: Quote | None = None
    url: str = ""
    at: int | None = None


def encode(part: Part, way: Outgoing) -> Element:
    """Return the stanza that says ``part``. Raises ``StanzaRefused`` for parts that XMPP has no stanza for."""
    stanza = _envelope(way)
    if way.url:
        xml.child(stanza, xml.CLIENT, "body", way.url)
        xml.child(xml.child(stanza, xml.OOB, "x"), xml.OOB, "url", way.url)
    else:
        body = _body(part)
        _write_text(stanza, body.text, way)
        if body.unstyled:
            xml.child(stanza, xml.STYLING, "unstyled")
    if way.correct:
        xml.child(stanza, xml.CORRECT, "replace", id=way.correct)
    return stanza


def encode_retraction(target: str, way: Outgoing) -> Element:
    """Return the stanza that takes back the message with the id ``target``."""
    stanza = _envelope(way)
    xml.child(stanza, xml.RETRACT, "retract", id=target)
    xml.child(stanza, xml.FALLBACK, "fallback").set("for", xml.RETRACT)
    xml.child(stanza, xml.CLIENT, "body", "This person has deleted a message, but your client does not support that.")
    xml.child(stanza, xml.HINTS, "store")
    return stanza


def encode_reactions(target: str, emoji: Sequence[str], way: Outgoing) -> Element:
    """Return the stanza that sets all the sender's reactions to the message with the id ``target``."""
    stanza = _envelope(way)
    reactions = xml.child(stanza, xml.REACTIONS, "reactions", id=target)
    for each in emoji:
        xml.child(reactions, xml.REACTIONS, "reaction", each)
    xml.child(stanza, xml.HINTS, "store")
    return stanza


def encode_signal(namespace: str, name: str, way: Outgoing, target: str | None = None) -> Element:
    """Return a receipt, a marker (about the message ``target``) or a typing state."""
    stanza = xml.stanza(xml.MESSAGE, from_=way.from_, to=way.to, type=way.type, id=way.id)
    xml.child(stanza, namespace, name, id=target)
    xml.child(stanza, xml.HINTS, "store" if target else "no-store")
    return stanza


def _envelope(way: Outgoing) -> Element:
    stanza = xml.stanza(xml.MESSAGE, from_=way.from_, to=way.to, type=way.type, id=way.id)
    xml.child(stanza, xml.SID, "origin-id", id=way.id)
    if way.type == "groupchat":
        xml.child(stanza, xml.SENT, "sent")
    else:
        xml.child(stanza, xml.RECEIPTS, "request")
        xml.child(stanza, xml.MARKERS, "markable")
        if way.name:
            xml.child(stanza, xml.NICK, "nick", way.name)
    if way.at is not None:
        xml.child(stanza, xml.DELAY, "delay", stamp=stamp(way.at))
    return stanza


def _write_text(stanza: Element, body: str, way: Outgoing) -> None:
    if not way.reply:
        xml.child(stanza, xml.CLIENT, "body", body)
        return
    author = way.quote.author if way.quote else None
    xml.child(stanza, xml.REPLY, "reply", id=way.reply, to=author)
    if way.quote is None or not way.quote.text:
        xml.child(stanza, xml.CLIENT, "body", body)
        return
    quoted = "".join(f"> {line}\n" for line in xml.legal(way.quote.text).splitlines())
    xml.child(stanza, xml.CLIENT, "body", quoted + body)
    fallback = xml.child(stanza, xml.FALLBACK, "fallback")
    fallback.set("for", xml.REPLY)
    xml.child(fallback, xml.FALLBACK, "body", start="0", end=str(len(quoted)))


def _body(part: Part) -> styling.Body:
    if isinstance(part, MultiPart) and part.semantics is Semantics.CHOOSE_ONE:
        for each in part.parts:
            if isinstance(each, SinglePart) and each.content_type.startswith("text/"):
                return _body(each)
    if isinstance(part, SinglePart) and part.content_type.startswith("text/"):
        return styling.from_part(part)
    if isinstance(place := commerce.find(part), commerce.Location):
        return styling.from_part(text(commerce.text_of(place)))  # a place without a name: its URI and nothing else
    raise StanzaRefused("feature-not-implemented", f"XMPP has no stanza for {type(part).__name__}")
