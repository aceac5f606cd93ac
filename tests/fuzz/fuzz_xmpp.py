"""Any stanza that a server may let through is something said, something to ignore, or refused with a condition.

``python -m tests.fuzz.fuzz_xmpp [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import contextlib
import sys
from inspect import isfunction
from xml.etree import ElementTree as ET

from adapters.xmpp import bounces, codec, names, styling, xml
from adapters.xmpp.errors import NameRefused, StanzaRefused
from adapters.xmpp.names import Chat, Room, ghost_address, ghost_jid
from protocol.richtext import marks

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


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    # Everything that is loaded would be slixmpp and aiohttp too, which takes minutes.
    for module in (codec, names, styling, xml, bounces, marks):
        for function in vars(module).values():
            if isfunction(function) and function.__module__ == module.__name__:
                atheris.instrument_func(function)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
