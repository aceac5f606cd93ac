"""The JSON of the Cloud API and our messages, both ways. Pure: the same arguments always give the same bytes.

``command`` reads what a program posts to ``/{phone_number_id}/messages``; ``to_message`` makes a message of it.
``message_event`` and ``status_event`` write the body of one webhook: always one event in one body, because programs
read the first and overlook the rest, and always ASCII, because some check the signature over a re-encoded body.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from adapters.business import marks, wamid
from adapters.business.config import Number, Subscriber
from adapters.business.errors import BadParameter, InvalidParameter, MissingParameter, UnsupportedType
from adapters.business.files import RULES, File, FileKind, kind_of
from adapters.business.identity import Person
from adapters.contract import Message
from protocol.capabilities import Format, Level
from protocol.content import (
    MARKDOWN,
    TEXT_PLAIN,
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    text,
)

MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_OPAQUE: Final = 512
FORMATTING: Final[Mapping[Format, Level]] = dict.fromkeys(marks.FORMATTING, Level.FULL)
"""Which kinds of formatting WhatsApp's marks can say."""
_MAX_LINK: Final = 2048
_MAX_EMOJI: Final = 64


# --- from the program -------------------------------------------------------------------------------------------------


class Text(Struct, frozen=True):
    """Words, with WhatsApp's marks."""

    body: str


class FileRef(Struct, frozen=True):
    """A file by the ``id`` of an upload or by ``link``; exactly one of the two is there."""

    kind: FileKind
    id: str = ""
    link: str = ""
    caption: str = ""
    filename: str = ""


class Reaction(Struct, frozen=True):
    """One emoji on one message, or ('') the program's reaction taken back."""

    message_id: str
    emoji: str


class Send(Struct, frozen=True):
    """Say something to the person whom the program calls ``to``; ``opaque`` comes back with every status."""

    to: str
    what: Text | FileRef | Reaction
    answers: str | None = None
    opaque: str = ""


class MarkRead(Struct, frozen=True):
    """The program has read a message and, if ``typing``, is writing an answer."""

    message_id: str
    typing: bool


Command: TypeAlias = Send | MarkRead


def command(body: bytes) -> Command:
    """Read what was posted to ``/messages``. Raises a ``BusinessError`` that says what is wrong and where.

    ``recipient_type`` is passed over: pywa takes every name that is neither a number nor a BSUID, so a JID too, for a
    group's.
    """
    request = read_object(body)
    if request.get("messaging_product") != "whatsapp":
        raise BadParameter("messaging_product: must be 'whatsapp'")
    if "status" in request:
        return _mark_read(request)
    kind = _string(request, "type", default="text", limit=64)
    read = _READERS.get(kind)
    if read is None:
        raise UnsupportedType(f"type: this bridge does not carry '{kind}'")
    context = _object(request, "context") if request.get("context") is not None else {}
    return Send(
        to=_recipient(request),
        what=read(kind, _object(request, kind)),
        answers=str(wamid.parse(_string(context, "message_id"))) if context else None,
        opaque=_string(request, "biz_opaque_callback_data", default="", limit=MAX_OPAQUE),
    )


def to_message(send: Send, file: File | None = None) -> Message:
    """Return the message that ``send`` says; ``file`` is what its reference names. Not for a reaction taken back."""
    what = send.what
    if isinstance(what, Text):
        return Message(part=marks.to_part(what.body), in_reply_to=send.answers)
    if isinstance(what, Reaction):
        reaction = text(what.emoji, disposition=Disposition.REACTION)
        return Message(part=reaction, in_reply_to=what.message_id)
    if file is None:
        raise InvalidParameter(f"{what.kind}: the file is missing")
    external = ExternalPart(
        disposition=Disposition.ATTACHMENT if what.kind is FileKind.DOCUMENT else Disposition.INLINE,
        content_type=file.mime,
        url=f"media:{file.id}",
        size=file.size,
        filename=what.filename or file.name,
    )
    if not what.caption:
        return Message(part=external, in_reply_to=send.answers)
    unit = MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(external, marks.to_part(what.caption)))
    return Message(part=unit, in_reply_to=send.answers)


def media_id(part: ExternalPart) -> str:
    """Return the id of the file that a part made by ``to_message`` names."""
    return part.url.removeprefix("media:")


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises ``BadParameter``."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadParameter(f"the body is not JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise BadParameter("the body is not a JSON object")
    return decoded


def _mark_read(request: Mapping[str, Any]) -> MarkRead:
    if request["status"] != "read":
        raise InvalidParameter("status: only 'read' can be said of a message")
    name = str(wamid.parse(_string(request, "message_id")))
    return MarkRead(name, typing=bool(request.get("typing_indicator")))


def _recipient(request: Mapping[str, Any]) -> str:
    for key in ("to", "recipient"):
        value = request.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value:
            return _string(request, key, limit=3100)
    raise MissingParameter("to: or recipient, one of the two must be there")


def _text(_: str, body: Mapping[str, Any]) -> Text:
    return Text(_string(body, "body", limit=MAX_TEXT))


def _reaction(_: str, body: Mapping[str, Any]) -> Reaction:
    target = str(wamid.parse(_string(body, "message_id")))
    return Reaction(target, _string(body, "emoji", default="", limit=_MAX_EMOJI))


def _file(kind: str, body: Mapping[str, Any]) -> FileRef:
    file = FileRef(
        kind=FileKind(kind),
        id=_string(body, "id", default="", limit=64),
        link=_string(body, "link", default="", limit=_MAX_LINK),
        caption=_string(body, "caption", default="", limit=MAX_CAPTION),
        filename=_string(body, "filename", default="", limit=240),
    )
    if bool(file.id) == bool(file.link):
        raise MissingParameter(f"{kind}: either id or link must be there")
    if file.caption and not RULES[file.kind].caption:
        raise InvalidParameter(f"{kind}: has no caption")
    return file


_READERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], Text | FileRef | Reaction]]] = {
    "text": _text,
    "reaction": _reaction,
    **{str(kind): _file for kind in FileKind},
}


def _object(request: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = request.get(key)
    if value is None:
        raise MissingParameter(f"{key}: is missing")
    if not isinstance(value, dict):
        raise InvalidParameter(f"{key}: is not an object")
    return value


def _string(body: Mapping[str, Any], key: str, *, default: str | None = None, limit: int = 512) -> str:
    value = body.get(key)
    if value is None or value == "":
        if default is None:
            raise MissingParameter(f"{key}: is missing")
        return default
    if not isinstance(value, str):
        raise InvalidParameter(f"{key}: is not a string")
    if len(value) > limit:
        raise InvalidParameter(f"{key}: {len(value)} characters, where {limit} are allowed")
    return value


# --- to the program ---------------------------------------------------------------------------------------------------


class Line(Struct, frozen=True):
    """One number of the account, and how its program likes to see people."""

    waba_id: str
    number: Number
    subscriber: Subscriber


def message_event(
    line: Line, person: Person, name: str, message: Message, key: str, at: int, file: File | None = None
) -> tuple[str, bytes]:
    """Return the id of what a customer said, and the body of the webhook that tells it.

    ``key`` is the delivery's, ``at`` its time in milliseconds; ``file`` is the customer's file, in our keeping. Raises
    ``UnsupportedType`` for what the Cloud API has no words for and ``InvalidParameter`` if a message is named by an id
    that cannot be one.
    """
    content, target = _content(line, person, message, file)
    name_of_it = str(wamid.derive(person.user_id, key, target))
    event: dict[str, Any] = {**_sender(line, person), "id": name_of_it, "timestamp": str(at // 1000), **content}
    return name_of_it, _body(line, {"contacts": [contact(line, person, name)], "messages": [event]})


def status_event(
    line: Line,
    person: Person,
    message_id: str,
    status: str,
    at: int,
    *,
    name: str = "",
    errors: tuple[Mapping[str, Any], ...] = (),
    opaque: str = "",
) -> bytes:
    """Return the body of the webhook that says how far a message of the business has come."""
    event: dict[str, Any] = {"id": message_id, "status": status, "timestamp": str(at // 1000)}
    if line.subscriber is not Subscriber.BSUID_ONLY:
        event["recipient_id"] = person.wa_id
    if line.subscriber is not Subscriber.CLASSIC:
        event["recipient_user_id"] = person.user_id
    if opaque:
        event["biz_opaque_callback_data"] = opaque
    if errors:
        event["errors"] = list(errors)
    return _body(line, {"contacts": [contact(line, person, name)], "statuses": [event]})


def identities(line: Line, person: Person) -> dict[str, str]:
    """Return those of a person's identities that the line's program is given."""
    both = {"wa_id": person.wa_id, "user_id": person.user_id}
    if line.subscriber is Subscriber.CLASSIC:
        del both["user_id"]
    elif line.subscriber is Subscriber.BSUID_ONLY:
        del both["wa_id"]
    return both


def contact(line: Line, person: Person, name: str) -> dict[str, Any]:
    """Return the ``contacts[]`` entry of a person."""
    profile = {"name": name or person.username}
    if line.subscriber is not Subscriber.CLASSIC:
        profile["username"] = person.username
    return {"profile": profile, **identities(line, person)}


def answer(line: Line, person: Person, given: str, message_id: str) -> dict[str, Any]:
    """Return the JSON that answers a message which was accepted; ``given`` is how the program named the person."""
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": given, **identities(line, person)}],
        "messages": [{"id": message_id, "message_status": "accepted"}],
    }


def _content(line: Line, person: Person, message: Message, file: File | None) -> tuple[dict[str, Any], str | None]:
    """What a message says, and the message that it reacts to if it does nothing but react."""
    part = message.part
    reacted = _reacted(message)
    if isinstance(part, NullPart):
        if message.replaces is None:
            raise UnsupportedType("a message without content")
        if reacted is not None:
            return {"type": "reaction", "reaction": {"message_id": reacted, "emoji": ""}}, reacted
        return {"type": "revoke", "revoke": {"original_message_id": message.replaces}}, None
    if isinstance(part, SinglePart) and part.disposition == Disposition.REACTION:
        if reacted is None:
            raise UnsupportedType("a reaction to nothing that this network knows")
        return {"type": "reaction", "reaction": {"message_id": reacted, "emoji": part.text}}, reacted
    said = _said(part, file)
    if message.replaces is not None:
        said = {
            "type": "edit",
            "edit": {"original_message_id": message.replaces, "message": said},
        }
    if message.in_reply_to is not None:
        said["context"] = {**_author(line, person, message.in_reply_to), "id": message.in_reply_to}
    return said, None


def _reacted(message: Message) -> str | None:
    """The message that this one reacts to, or that the reaction it takes back reacted to."""
    if message.replaces is not None and (target := wamid.parse(message.replaces).target):
        return target
    if isinstance(message.part, NullPart) or message.in_reply_to is None:
        return None
    return wamid.parse(message.in_reply_to).target or message.in_reply_to


def _said(part: object, file: File | None) -> dict[str, Any]:
    if isinstance(part, SinglePart):
        return {"type": "text", "text": {"body": _native(part)}}
    caption = ""
    if isinstance(part, MultiPart) and len(part.parts) == 2 and isinstance(part.parts[1], SinglePart):
        caption = _native(part.parts[1])
        part = part.parts[0]
    if not isinstance(part, ExternalPart) or file is None:
        raise UnsupportedType("a message of several parts that are not a file and its caption")
    kind = kind_of(file.mime)
    media: dict[str, Any] = {
        "id": file.id,
        "mime_type": file.mime,
        "sha256": base64.b64encode(bytes.fromhex(file.sha256)).decode(),
    }
    if caption and not RULES[kind].caption:
        kind = FileKind.DOCUMENT
    if caption:
        media["caption"] = caption
    if kind is FileKind.DOCUMENT:
        media["filename"] = file.name or "file"
    if kind is FileKind.AUDIO:
        media["voice"] = False
    return {"type": str(kind), str(kind): media}


def _native(part: SinglePart) -> str:
    if part.content_type in {TEXT_PLAIN, MARKDOWN}:
        return marks.from_part(part)
    raise UnsupportedType(f"content of type '{part.content_type}'")


def _sender(line: Line, person: Person) -> dict[str, str]:
    given = identities(line, person)
    names = {"wa_id": "from", "user_id": "from_user_id"}
    return {names[key]: value for key, value in given.items()}


def _author(line: Line, person: Person, message_id: str) -> dict[str, str]:
    """Who wrote the message that is quoted: the business or the person."""
    if wamid.parse(message_id).kind is wamid.Kind.BUSINESS:
        return {"from": digits(line.number.display_phone_number)}
    return {key: value for key, value in _sender(line, person).items() if key == "from"}


def digits(phone: str) -> str:
    """Return a phone number's digits and nothing else."""
    return "".join(each for each in phone if each.isascii() and each.isdigit())


def _body(line: Line, value: dict[str, Any]) -> bytes:
    metadata = {
        "display_phone_number": digits(line.number.display_phone_number),
        "phone_number_id": line.number.phone_number_id,
    }
    change = {"field": "messages", "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}
    event = {"object": "whatsapp_business_account", "entry": [{"id": line.waba_id, "changes": [change]}]}
    return json.dumps(event, ensure_ascii=True, separators=(",", ":")).encode("ascii")
