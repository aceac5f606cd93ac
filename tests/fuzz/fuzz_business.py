"""Any bytes posted to the business API's ``/messages`` are read or refused, and what was read can be told again.

``python -m tests.fuzz.fuzz_business [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from adapters.business import codec, wamid
from adapters.business.config import Number, Subscriber
from adapters.business.errors import BusinessError
from adapters.business.files import File
from adapters.business.identity import Person, read
from adapters.business.structured import Structured
from adapters.contract import Message
from protocol import commerce
from protocol.errors import ProtocolError
from protocol.uri import Address
from tests.fuzz import said as spoken
from tests.fuzz.harness import fuzz, structured
from tests.unit.adapters.business.test_interactive import ALL as INTERACTIVE
from tests.unit.adapters.business.test_templates import COMPONENTS, KNOWN, PICTURED, SHIPPED

PERSON = Person(Address("xmpp", "juliet@capulet.example"), "999123456789012", "XX.1234567890123456789")
LINE = codec.Line("2001", Number("shop", "1001", "+1 555-000-1001"), Subscriber.DUAL)
FILE = File(id="77", mime="image/png", sha256="00" * 32, size=4, owner="1001", expires=0)


def one_input(data: bytes) -> None:
    """Read ``data`` as a request, and tell what it says to a program; or let a customer say what it draws."""
    if data[:1] != b"{":
        _answered(data)
        return
    try:
        command = codec.command(data, KNOWN)
    except BusinessError:
        return
    if isinstance(command, codec.MarkRead):
        assert str(wamid.parse(command.message_id)) == command.message_id
        return
    with contextlib.suppress(BusinessError):
        read(command.to)
    if isinstance(command.what, codec.Reaction) and not command.what.emoji:
        return
    try:
        message = codec.to_message(command, FILE)
    except BusinessError:
        return
    if isinstance(command.what, Structured):
        assert commerce.find(message.part) == command.what.parts[0]
    else:
        _told(message)


def _answered(data: bytes) -> None:
    """What a customer may choose, share and order, in answer to something or to nothing."""
    drawn = spoken.choices(data)
    try:
        part = commerce.single(spoken.part_of_business(drawn))
    except (ValueError, ProtocolError):
        return  # nothing that could be said
    with contextlib.suppress(BusinessError):
        _told(Message(part, in_reply_to=drawn.pick((None, *IDS))))


def _told(message: Message) -> None:
    told = codec.message_event(LINE, PERSON, "Juliet", message, "key", 0, FILE)
    assert told[1].isascii()
    json.loads(told[1])
    assert told == codec.message_event(LINE, PERSON, "Juliet", message, "key", 0, FILE)


IDS = tuple(str(wamid.Wamid(kind, PERSON.user_id, bytes(18))) for kind in wamid.Kind if kind != wamid.Kind.REACTION)


def seeds() -> Iterator[bytes]:
    """One request of each kind."""
    theirs = str(wamid.derive(PERSON.user_id, "key"))
    reaction = str(wamid.derive(PERSON.user_id, "another", theirs))
    names = ("juliet@capulet.example/balcony", "@romeo:montague.example", "+1 (555) 0100", "XX.ENT.1234", "tel:1")
    said = {"messaging_product": "whatsapp", "recipient_type": "individual", "biz_opaque_callback_data": "7"}
    for what in (
        *({"to": name, "text": {"body": "*Wherefore* _art_ ~thou~ `Romeo`?\n> - 1. "}} for name in names),
        {"recipient": 1, "type": "text", "text": {"body": "```x```"}, "context": {"message_id": theirs}},
        {"to": "1", "type": "reaction", "reaction": {"message_id": reaction, "emoji": "\u2764"}},
        {"to": "1", "type": "image", "image": {"id": "1", "caption": "*x*"}},
        {"to": "1", "type": "document", "document": {"link": "https://a.example/f", "filename": "f.pdf"}},
        *({"to": "1", "type": kind, kind: {"id": "1"}} for kind in ("audio", "video", "sticker")),
        {"status": "read", "message_id": theirs, "typing_indicator": {"type": "text"}},
        {"to": "1", "type": "location", "location": {"latitude": "45.4", "longitude": 11, "name": "Verona"}},
        {"to": "1", "type": "contacts", "contacts": [CARD]},
        *({"to": "1", "type": "interactive", "interactive": each} for each in INTERACTIVE.values()),
        *({"to": "1", "type": "template", "template": each} for each in TEMPLATES),
    ):
        yield json.dumps(said | what).encode()
    yield from (bytes([kind]) + bytes(range(40)) for kind in range(1, 40))


TEMPLATES = (
    {"name": SHIPPED.name, "language": {"code": SHIPPED.language}, "components": COMPONENTS},
    {
        "name": PICTURED.name,
        "language": {"code": PICTURED.language},
        "components": [{"type": "header", "parameters": [{"type": "image", "image": {"id": "1"}}]}],
    },
)
CARD = {
    "name": {"formatted_name": "Juliet", "last_name": "Capulet"},
    "phones": [{"wa_id": "1", "type": "HOME"}],
    "emails": [{"email": "a@b"}],
    "addresses": [{"city": "Verona", "country_code": "it"}],
    "org": {"company": "Capulet"},
    "birthday": "1581-07-31",
}


WORDS = (b"wamid.", b"xmpp:", b"tel:", b"XX.", b"ENT.", b"1e400", b"\\ud800", b"\\u2060", b"```", b"\\n> ", b"\\n- ")


if __name__ == "__main__":
    fuzz(
        one_input,
        "adapters.business",
        "protocol",
        seeds=seeds(),
        words=WORDS,
        mutator=structured(json.loads, lambda value: json.dumps(value).encode()),
    )
