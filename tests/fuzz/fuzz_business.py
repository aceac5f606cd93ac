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
from protocol.uri import Address
from tests.fuzz.harness import fuzz, structured

PERSON = Person(Address("xmpp", "juliet@capulet.example"), "999123456789012", "XX.1234567890123456789")
LINE = codec.Line("2001", Number("shop", "1001", "+1 555-000-1001"), Subscriber.DUAL)
FILE = File(id="77", mime="image/png", sha256="00" * 32, size=4, owner="1001", expires=0)


def one_input(data: bytes) -> None:
    """Read ``data`` as a request, and tell what it says to a program."""
    try:
        command = codec.command(data)
    except BusinessError:
        return
    if isinstance(command, codec.MarkRead):
        assert str(wamid.parse(command.message_id)) == command.message_id
        return
    with contextlib.suppress(BusinessError):
        read(command.to)
    if isinstance(command.what, codec.Reaction) and not command.what.emoji:
        return
    message = codec.to_message(command, FILE)
    told = codec.message_event(LINE, PERSON, "Juliet", message, "key", 0, FILE)
    assert told[1].isascii()
    assert told == codec.message_event(LINE, PERSON, "Juliet", message, "key", 0, FILE)


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
    ):
        yield json.dumps(said | what).encode()


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
