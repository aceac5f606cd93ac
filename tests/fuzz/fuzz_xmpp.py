"""Any stanza that a server may let through is something said, something to ignore, or refused with a condition.

``python -m tests.fuzz.fuzz_xmpp [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from adapters.xmpp import codec, xml
from adapters.xmpp.errors import NameRefused, StanzaRefused
from adapters.xmpp.names import Chat, Room, ghost_address, ghost_jid
from tests.fuzz.harness import fuzz

CHAT = Chat("juliet@xmpp.test", r"matrix~\40romeo\3ahs.test@rialto.xmpp.test")
ROOM = Room("verona@muc.xmpp.test")


def one_input(data: bytes) -> None:
    """Read ``data`` as the inside of a message stanza, and as somebody's name."""
    text = data.decode(errors="ignore")
    with contextlib.suppress(NameRefused):
        assert ghost_jid(ghost_address(text), "c") == f"{text}@c"
    try:
        stanza = ET.fromstring(f"<message xmlns='jabber:client' from='a@b/c' id='1'>{text}</message>")
    except ET.ParseError:
        return
    for place in (CHAT, ROOM):
        try:
            incoming = codec.decode(stanza, place)
        except StanzaRefused:
            continue
        if isinstance(incoming, codec.Said) and incoming.message.replaces is None:
            _written_again(incoming)


def _written_again(said: codec.Said) -> None:
    """What was understood can be said again, and is XML."""
    way = codec.Outgoing(id="2", from_="x@y/z", to="a@b")
    try:
        stanza = codec.encode(said.message.part, way)
    except StanzaRefused:
        return
    ET.fromstring(xml.serialise(stanza))


def seeds() -> Iterator[bytes]:
    """What each kind of stanza has inside, and names."""
    yield b"<body>hello *you*</body><request xmlns='urn:xmpp:receipts'/><thread>t</thread>"
    yield (
        b"<body>https://f.test/a%20b.png</body>"
        b"<x xmlns='jabber:x:oob'><url>https://f.test/a%20b.png</url></x><origin-id xmlns='urn:xmpp:sid:0' id='o'/>"
    )
    yield (
        b"<body>&gt; what?\nyes</body><reply xmlns='urn:xmpp:reply:0' id='0' to='a@b'/>"
        b"<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='8'/></fallback>"
        b"<stanza-id xmlns='urn:xmpp:sid:0' by='verona@muc.xmpp.test' id='9'/>"
    )
    yield b"<body>`x`</body><replace xmlns='urn:xmpp:message-correct:0' id='0'/>"
    yield b"<body>_x_</body><unstyled xmlns='urn:xmpp:styling:0'/>"
    yield (
        b"<retract xmlns='urn:xmpp:message-retract:1' id='0'/>"
        b"<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
    )
    yield "<reactions xmlns='urn:xmpp:reactions:0' id='0'><reaction>\u2764</reaction><reaction/></reactions>".encode()
    yield b"<received xmlns='urn:xmpp:receipts' id='0'/>"
    yield b"<displayed xmlns='urn:xmpp:chat-markers:0' id='0'/>"
    yield from (f"<{state} xmlns='http://jabber.org/protocol/chatstates'/>".encode() for state in ("composing", "gone"))
    yield b"<encrypted xmlns='urn:xmpp:omemo:2'/>"
    yield f"<error type='wait'><gone xmlns='{xml.STANZAS}'/><text xmlns='{xml.STANZAS}'>x</text></error>".encode()
    yield CHAT.ghost.partition("@")[0].encode()
    yield b"whatsapp~+15550100"


WORDS = (
    *(f"<{name}>".encode() for name in ("body", "/body", "url", "/url", "x xmlns='jabber:x:oob'", "/x", "/message")),
    *(f" xmlns='{space}'".encode() for space in (xml.REPLY, xml.SID, xml.CORRECT, xml.FALLBACK, xml.REACTIONS)),
    *(b"&lt;", b"&#13;", b"&#xd7ff;", b" id='0'", b" start='0'", b" end='1'", b"http://[", b"%00", b"\\40", b"\n&gt; "),
)


if __name__ == "__main__":
    fuzz(
        one_input,
        "adapters.xmpp.codec",
        *(f"adapters.xmpp.{name}" for name in ("names", "styling", "xml", "bounces")),
        "protocol",
        seeds=seeds(),
        words=WORDS,
    )
