"""The JSON of the Cloud API and our messages, both ways. Pure: the same arguments always give the same bytes.

``command`` reads what a program posts to ``/{phone_number_id}/messages``; ``to_message`` makes a message of it. What is
more than words and files is read by ``interactive``, ``templates`` and ``structured``, and written by ``answers``.
``message_event`` and ``status_event`` write the body of one webhook: always one event in one body, because programs
read the first and overlook the rest, and always ASCII, because some check the signature over a re-encoded body.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from msgspec import Struct

from adapters.business import answers, interactive, marks, structured, templates, wamid
from adapters.business.config import Number, Subscriber, Template
from adapters.business.errors import BadParameter, InvalidParameter, MissingParameter, UnsupportedType
from adapters.business.fields import Fields
from adapters.business.files import RULES, File, FileKind, FileRef, kind_of, reference
from adapters.business.identity import Person
from adapters.business.structured import Structured
from adapters.contract import Message
from adapters.kit import foreign
from protocol import commerce
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
MAX_OPAQUE: Final = 512
FORMATTING: Final[Mapping[Format, Level]] = dict.fromkeys(marks.FORMATTING, Level.FULL)
"""Which kinds of formatting WhatsApp's marks can say."""
_SAID: Final[tuple[type[commerce.Commerce], ...]] = (
    *interactive.CARRIED,
    commerce.Location,
    commerce.ContactCard,
    commerce.Template,
)
SAYS: Final = frozenset(commerce.feature_of(kind) for kind in _SAID)
"""What a program can say beside words and files."""
IS_TOLD: Final = frozenset(commerce.feature_of(kind) for kind in answers.TOLD)
"""What a program is told beside words and files."""
_MAX_EMOJI: Final = 64


# --- from the program -------------------------------------------------------------------------------------------------


class Text(Struct, frozen=True):
    """Words, with WhatsApp's marks."""

    body: str


class Reaction(Struct, frozen=True):
    """One emoji on one message, or ('') the program's reaction taken back."""

    message_id: str
    emoji: str


class Send(Struct, frozen=True):
    """Say something to the person whom the program calls ``to``; ``opaque`` comes back with every status."""

    to: str
    what: Text | FileRef | Reaction | Structured
    answers: str | None = None
    opaque: str = ""

    @property
    def file(self) -> FileRef | None:
        """The file that it names."""
        if isinstance(self.what, Structured):
            return self.what.file
        return self.what if isinstance(self.what, FileRef) else None

    @property
    def kind(self) -> wamid.Kind:
        """What its id says of it."""
        if not isinstance(self.what, Structured):
            return wamid.Kind.BUSINESS
        match self.what.parts[0]:
            case commerce.Menu():
                return wamid.Kind.BUSINESS_LIST
            case commerce.Template():
                return wamid.Kind.BUSINESS_TEMPLATE
            case _:
                return wamid.Kind.BUSINESS


class MarkRead(Struct, frozen=True):
    """The program has read a message and, if ``typing``, is writing an answer."""

    message_id: str
    typing: bool


Command: TypeAlias = Send | MarkRead


def command(body: bytes, known: Sequence[Template] = ()) -> Command:
    """Read what was posted to ``/messages``. Raises a ``BusinessError`` that says what is wrong and where.

    ``known`` are the templates that there are. ``recipient_type`` is passed over: pywa takes every name that is neither
    a number nor a BSUID, so a JID too, for a group's.
    """
    request = Fields(read_object(body))
    if request.items().get("messaging_product") != "whatsapp":
        raise BadParameter("messaging_product: must be 'whatsapp'")
    if "status" in request.items():
        return _mark_read(request)
    return Send(
        what=_what(request, known),
        to=_recipient(request),
        answers=_answered(request),
        opaque=request.text("biz_opaque_callback_data", MAX_OPAQUE, ""),
    )


def _what(request: Fields, known: Sequence[Template]) -> Text | FileRef | Reaction | Structured:
    kind = request.text("type", 64, "text")
    if kind == "contacts":
        return structured.contacts(request)
    if kind == "template":
        return templates.read(request.object(kind), known)
    read = _READERS.get(kind)
    if read is None:
        raise UnsupportedType(f"type: this bridge does not carry '{kind}'")
    return read(request.object(kind))


def _answered(request: Fields) -> str | None:
    context = request.maybe("context")
    return str(wamid.parse(context.text("message_id", 512))) if context and context.items() else None


def to_message(send: Send, file: File | None = None) -> Message:
    """Return the message that ``send`` says; ``file`` is what its reference names. Not for a reaction taken back."""
    what = send.what
    if isinstance(what, Text):
        return Message(part=marks.to_part(what.body), in_reply_to=send.answers)
    if isinstance(what, Reaction):
        reaction = text(what.emoji, disposition=Disposition.REACTION)
        return Message(part=reaction, in_reply_to=what.message_id)
    if isinstance(what, Structured):
        above = None if what.file is None else _attached(what.file, file)
        return Message(part=structured.to_part(what, above), in_reply_to=send.answers)
    external = _attached(what, file)
    if not what.caption:
        return Message(part=external, in_reply_to=send.answers)
    unit = MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(external, marks.to_part(what.caption)))
    return Message(part=unit, in_reply_to=send.answers)


def _attached(named: FileRef, file: File | None) -> ExternalPart:
    if file is None:
        raise InvalidParameter(f"{named.kind}: the file is missing")
    return ExternalPart(
        disposition=Disposition.ATTACHMENT if named.kind is FileKind.DOCUMENT else Disposition.INLINE,
        content_type=file.mime,
        url=f"media:{file.id}",
        size=file.size,
        filename=named.filename or file.name,
    )


def media_id(part: ExternalPart) -> str:
    """Return the id of the file that a part made by ``to_message`` names."""
    return part.url.removeprefix("media:")


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises ``BadParameter``."""
    try:
        decoded = foreign.decode(body)
    except ValueError as error:
        raise BadParameter(f"the body cannot be read: {error}") from error
    if not isinstance(decoded, dict):
        raise BadParameter("the body is not a JSON object")
    return decoded


def _mark_read(request: Fields) -> MarkRead:
    request.one_of("status", "read")
    name = str(wamid.parse(request.text("message_id", 512)))
    return MarkRead(name, typing=bool(request.items().get("typing_indicator")))


def _recipient(request: Fields) -> str:
    for key in ("to", "recipient"):
        if request.items().get(key):
            return request.name(key, 3100)
    raise MissingParameter("to: or recipient, one of the two must be there")


def _text(body: Fields) -> Text:
    return Text(body.text("body", MAX_TEXT))


def _reaction(body: Fields) -> Reaction:
    target = str(wamid.parse(body.text("message_id", 512)))
    return Reaction(target, body.text("emoji", _MAX_EMOJI, ""))


def _location(body: Fields) -> Structured:
    return Structured((structured.location(body),))


_READERS: Final[Mapping[str, Callable[[Fields], Text | FileRef | Reaction | Structured]]] = {
    "text": _text,
    "reaction": _reaction,
    "location": _location,
    "interactive": interactive.read,
    **{str(kind): partial(reference, kind) for kind in FileKind},
}


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
    said = _said(part, file, message.in_reply_to)
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


def _said(part: object, file: File | None, answered: str | None) -> dict[str, Any]:
    if isinstance(part, SinglePart) and commerce.is_commerce(part.content_type):
        return answers.told(_read(part), answered)
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


def _read(part: SinglePart) -> commerce.Commerce:
    try:
        return commerce.decode(part.content_type, part.content)
    except commerce.CommerceError as error:
        raise UnsupportedType(str(error)) from error


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
    if wamid.parse(message_id).kind in wamid.BY_BUSINESS:
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
