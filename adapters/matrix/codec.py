"""Matrix events to messages and back: pure.

``decode`` reads the events that people send (messages, stickers, reactions, redactions); what cannot be understood is
``Refused``, in words for its sender. ``encode`` writes one message as the event that says it; a file must have been
uploaded before, and a withdrawn message becomes a ``Redaction``, which has an endpoint of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from adapters.contract import Message, Permanent, Reason, Refused
from adapters.matrix import html, location
from adapters.matrix.names import MATRIX_TO
from protocol import commerce
from protocol.content import (
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Part,
    Semantics,
    SinglePart,
    text,
)

Json: TypeAlias = dict[str, Any]
Link: TypeAlias = Callable[[str], str]

MESSAGE: Final = "m.room.message"
REACTION: Final = "m.reaction"
REDACTION: Final = "m.room.redaction"
STICKER: Final = "m.sticker"
ENCRYPTED: Final = "m.room.encrypted"
SAID: Final = frozenset({MESSAGE, REACTION, REDACTION, STICKER, ENCRYPTED})
"""The types of events by which people say something."""

_ME: Final = "/me "
_PICTURE: Final = "mxc://"
"""What the key of a reaction starts with that is not its own text but a picture."""
_FILES: Final = {
    "m.image": "image/*",
    "m.audio": "audio/*",
    "m.video": "video/*",
    "m.file": "application/octet-stream",
}
_MAX_CONTENT: Final = 60_000
"""Octets of an event's content that surely fit into an event, which may have 65,536."""


class Say(Struct, frozen=True):
    """An event to send: its type and its content."""

    type: str
    content: Json


class Redaction(Struct, frozen=True):
    """An event to withdraw."""

    event_id: str


# --- from Matrix ------------------------------------------------------------------------------------------------------


def decode(event: Json) -> Message:
    """Say in Rialto's words what an event says; raises ``Refused`` with ``invalid`` or ``not-allowed``."""
    kind, content = event.get("type"), event.get("content")
    if not isinstance(content, dict):
        raise Refused("invalid", "This message has no content that could be read.")
    if kind == ENCRYPTED:
        raise Refused("not-allowed", "Encrypted rooms are not supported yet: this message was not passed on.")
    if kind == REDACTION:
        return Message(NullPart(), replaces=_string(content, "redacts") or _required(event, "redacts"))
    relation = content.get("m.relates_to")
    relation = relation if isinstance(relation, dict) else {}
    if kind == REACTION:
        return _reaction(content, relation)
    if relation.get("rel_type") == "m.replace":
        new = content.get("m.new_content")
        if not isinstance(new, dict):
            raise Refused("invalid", "This edit does not say what the message should become.")
        return Message(_body(new, kind), replaces=_required(relation, "event_id"))
    answered, topic = _context(relation)
    return Message(_body(content, kind, answered is not None), in_reply_to=answered, topic=topic)


def _context(relation: Json) -> tuple[str | None, bytes]:
    """What a message answers, and the thread it is in. A reply that is only there for old clients is none."""
    reply = relation.get("m.in_reply_to")
    answered = _string(reply, "event_id") if isinstance(reply, dict) else ""
    thread = _string(relation, "event_id") if relation.get("rel_type") == "m.thread" else ""
    if thread and relation.get("is_falling_back") is True:
        answered = ""
    return answered or None, thread.encode()


def _reaction(content: Json, relation: Json) -> Message:
    if relation.get("rel_type") != "m.annotation":
        raise Refused("invalid", "This reaction does not say what it is about.")
    key = _required(relation, "key")
    if key.startswith(_PICTURE):
        key = _string(content, "shortcode") or _string(content, "com.beeper.reaction.shortcode")
        if not key or key.startswith(_PICTURE):
            raise Refused("invalid", "A reaction that is a picture without a name cannot be passed on.")
    part = text(key, disposition=Disposition.REACTION)
    return Message(part, in_reply_to=_required(relation, "event_id"))


def _body(content: Json, kind: object, is_reply: bool = False) -> Part:
    """The part that a message's content (or the new content of an edit) says."""
    msgtype = "m.image" if kind == STICKER else _required(content, "msgtype")
    if msgtype in _FILES:
        return _file(content, msgtype, sticker=kind == STICKER)
    if msgtype == location.MSGTYPE:
        return location.decode(content, _string(content, "body")) or _place_in_words(content)
    return _text(content, msgtype, is_reply)


def _place_in_words(content: Json) -> SinglePart:
    """What a location says that names no place on earth."""
    words = "\n".join(filter(None, (_string(content, "body"), _string(content, "geo_uri"))))
    return text(words or _required(content, "body"))


def _text(content: Json, msgtype: str, is_reply: bool) -> SinglePart:
    formatted = _string(content, "formatted_body") if content.get("format") == html.FORMAT else ""
    body = _required(content, "body")
    part = html.to_part(body, formatted, link=_unmention) if formatted else None
    if part is None or not part.content:
        part = text(_without_quote(body) if is_reply else body)
    return text(_ME + part.text, part.content_type) if msgtype == "m.emote" else part


def _unmention(target: str) -> str:
    """A link to a Matrix user leads nowhere on other networks: the name alone stays."""
    return "" if target.startswith(f"{MATRIX_TO}@") else target


def _file(content: Json, msgtype: str, *, sticker: bool) -> Part:
    if "file" in content and "url" not in content:
        raise Refused("not-allowed", "Encrypted files are not supported yet: this file was not passed on.")
    url, body = _required(content, "url"), _string(content, "body")
    if not url.startswith("mxc://"):
        raise Refused("invalid", "This file is not in the homeserver's media repository.")
    info = content.get("info")
    info = info if isinstance(info, dict) else {}
    mime, size = _string(info, "mimetype"), info.get("size")
    name = _string(content, "filename") or ("" if sticker else body)
    part = ExternalPart(
        disposition=Disposition.INLINE if msgtype == "m.image" else Disposition.ATTACHMENT,
        content_type=mime if "/" in mime else _FILES[msgtype].replace("/*", "/octet-stream"),
        url=url,
        size=size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 53 else 0,
        filename=name,
        description=body if sticker else "",
    )
    if sticker or not body or body == name:
        return part
    caption = _text(content, "m.text", is_reply=False)
    return MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(part, caption))


def _without_quote(body: str) -> str:
    """Take off the quote of the answered message that clients once put before a reply."""
    lines = body.split("\n")
    quoted = next((n for n, line in enumerate(lines) if not line.startswith(">")), len(lines))
    rest = "\n".join(lines[quoted:]).removeprefix("\n")
    return rest if quoted and rest else body


def _string(content: Json, field: str) -> str:
    """A string that may be missing; lone surrogates, which no other network could carry, count as missing."""
    value = content.get(field)
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ""
    return value


def _required(content: Json, field: str) -> str:
    value = _string(content, field)
    if not value:
        raise Refused("invalid", f"This message cannot be passed on: its {field} is missing or not a text.")
    return value


# --- to Matrix --------------------------------------------------------------------------------------------------------


def file_of(message: Message) -> ExternalPart | None:
    """The file that must be uploaded before this message can be encoded."""
    part = message.part
    if isinstance(part, MultiPart):
        part = part.parts[0]
    return part if isinstance(part, ExternalPart) else None


def encode(
    message: Message, uploaded: str = "", size: int = 0, *, link: Link = lambda target: target
) -> Say | Redaction:
    """Write a message as the event that says it; raises ``Permanent`` when there is none.

    ``uploaded`` is the ``mxc://`` URI of the message's file, ``size`` its length in octets. ``link`` gives each link of
    the text its target on Matrix.
    """
    part = message.part
    if isinstance(part, NullPart):
        if message.replaces is None:
            raise Permanent(Reason.UNSUPPORTED, "a deletion of nothing")
        return Redaction(message.replaces)
    if isinstance(part, SinglePart) and part.disposition == Disposition.REACTION:
        if message.in_reply_to is None:
            raise Permanent(Reason.UNSUPPORTED, "a reaction to nothing")
        if part.text.startswith(_PICTURE):
            raise Permanent(Reason.UNSUPPORTED, "a reaction in words that Matrix would show as a picture")
        relation = {"rel_type": "m.annotation", "event_id": message.in_reply_to, "key": part.text}
        return Say(REACTION, {"m.relates_to": relation})
    content = _content(part, uploaded, size, link)
    if message.replaces is not None:
        content = _edit(content, message.replaces)
    elif message.in_reply_to is not None:
        content["m.relates_to"] = {"m.in_reply_to": {"event_id": message.in_reply_to}}
    return Say(MESSAGE, _fitting(content))


def notice(body: str, answers: str | None = None) -> Say:
    """A word from Rialto itself, perhaps about an event."""
    content: Json = {"msgtype": "m.notice", "body": body}
    if answers:
        content["m.relates_to"] = {"m.in_reply_to": {"event_id": answers}}
    return Say(MESSAGE, content)


def _content(part: Part, uploaded: str, size: int, link: Link) -> Json:
    if isinstance(part, SinglePart) and part.content_type.startswith("text/"):
        return _said(part, link)
    if isinstance(place := commerce.find(part), commerce.Location):
        return location.encode(place)
    if isinstance(part, ExternalPart):
        return _attached(part, uploaded, size)
    if isinstance(part, MultiPart) and len(part.parts) == 2:
        file, caption = part.parts
        if isinstance(file, ExternalPart) and isinstance(caption, SinglePart):
            content = _attached(file, uploaded, size)
            words = _said(caption, link)
            return content | {k: words[k] for k in ("body", "format", "formatted_body", "m.mentions") if k in words}
    raise Permanent(Reason.UNSUPPORTED, "Matrix has no event for this kind of message")


def _said(part: SinglePart, link: Link) -> Json:
    msgtype = "m.text"
    mentioned: list[str] = []

    def linked(target: str) -> str:
        found = link(target)
        if found.startswith(f"{MATRIX_TO}@"):
            mentioned.append(found.removeprefix(MATRIX_TO))
        return found

    if part.text.startswith(_ME):
        msgtype, part = "m.emote", text(part.text.removeprefix(_ME), part.content_type)
    body = html.from_part(part, link=linked)
    content: Json = {"msgtype": msgtype, "body": body.text}
    if body.html is not None:
        content |= {"format": html.FORMAT, "formatted_body": body.html}
    if mentioned:
        content["m.mentions"] = {"user_ids": sorted(set(mentioned))}
    return content


def _attached(part: ExternalPart, uploaded: str, size: int) -> Json:
    mime = part.content_type.partition(";")[0].strip().lower()
    kind = f"m.{mime.partition('/')[0]}"
    if kind not in _FILES or mime == "image/svg+xml":
        kind = "m.file"
    name = part.filename or part.description or "file"
    info: Json = {"mimetype": mime} | ({"size": size} if size else {})
    return {"msgtype": kind, "body": name, "filename": name, "url": uploaded, "info": info}


def _edit(content: Json, first: str) -> Json:
    """The event that makes the message ``first`` say ``content``; clients without edits see it with a star."""
    marked = {"body": f"* {content['body']}"}
    if "formatted_body" in content:
        marked["formatted_body"] = f"* {content['formatted_body']}"
    return content | {
        **marked,
        "m.new_content": content,
        "m.relates_to": {"rel_type": "m.replace", "event_id": first},
    }


def _fitting(content: Json) -> Json:
    """Leave out the formatted text when the event would be too large with it; the plain text says the same."""
    if len(msgspec.json.encode(content)) <= _MAX_CONTENT:
        return content
    plain = {k: v for k, v in content.items() if k not in {"format", "formatted_body"}}
    if isinstance(new := plain.get("m.new_content"), dict):
        plain["m.new_content"] = {k: v for k, v in new.items() if k not in {"format", "formatted_body"}}
        plain["body"] = "* (edited)"
    return plain
