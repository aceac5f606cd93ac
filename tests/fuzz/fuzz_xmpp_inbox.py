"""Any stanza that a server may pass to a component is taken: nothing comes out but events fit for the endpoint.

``python -m tests.fuzz.fuzz_xmpp_inbox [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import structlog

from adapters.contract import Event
from adapters.xmpp import disco, xml
from adapters.xmpp.archive import Archive
from adapters.xmpp.config import XmppConfig
from adapters.xmpp.errors import NameRefused
from adapters.xmpp.inbound import Inbox
from adapters.xmpp.muc import RoomSession
from adapters.xmpp.names import ghost_address
from adapters.xmpp.reactions import Reactions
from adapters.xmpp.recall import Recall
from tests.fuzz import fuzz_xmpp
from tests.fuzz.arriving import MemoryStore, taken
from tests.fuzz.harness import fuzz

ROOM, COMPONENT = "verona@muc.xmpp.test", "rialto.xmpp.test"
GHOST = r"matrix~\40romeo\3ahs.test@rialto.xmpp.test"
LINK = cast("Any", SimpleNamespace(jid=COMPONENT, post=xml.serialise, new_id=lambda: "new"))
CONFIG = XmppConfig(component=COMPONENT, secret="s")
LOOP = asyncio.new_event_loop()


def one_input(data: bytes) -> None:
    """Read ``data`` as a stanza, and give it to an account that is in one room."""
    try:
        stanza = ET.fromstring(data.decode(errors="ignore"))
    except (ET.ParseError, ValueError):
        return
    LOOP.run_until_complete(_given(stanza))


async def _given(stanza: ET.Element) -> None:
    store, heard = MemoryStore(), list[ET.Element]()
    archive = Archive(LINK)
    room = RoomSession(
        ROOM, "Rialto", link=LINK, archive=archive, store=store, heard=heard.append, alias=lambda *_: None
    )
    inbox = Inbox(LINK, CONFIG, {ROOM: room}, Reactions(store), Recall(), store)
    if stanza.tag == xml.PRESENCE:
        room.presence(stanza)
    elif stanza.tag == xml.IQ:
        _asked(stanza)
    elif not archive.take(stanza):
        heard.append(stanza)
        room.message(stanza)
    events: list[Event] = [event for each in heard for event in await inbox.events(each)]
    for event in events:
        taken(event)
    await inbox.settle()


def _asked(iq: ET.Element) -> None:
    try:
        name = ghost_address(iq.get("to", "").partition("@")[0]).id
    except NameRefused:
        name = None
    answer = disco.answer(iq, name)
    if answer is not None:
        ET.fromstring(xml.serialise(answer))


def seeds() -> Iterator[bytes]:
    """Every kind of stanza, from one person and from a room."""
    start = "<message xmlns='jabber:client' id='1'"
    for inside in fuzz_xmpp.seeds():
        if inside.startswith(b"<"):
            yield f"{start} type='chat' from='juliet@xmpp.test/a' to='{GHOST}'>".encode() + inside + b"</message>"
            yield f"{start} type='groupchat' from='{ROOM}/Juliet' to='{COMPONENT}/r'>".encode() + inside + b"</message>"
    yield f"{start} from='{ROOM}/x' type='groupchat'><sent xmlns='{xml.SENT}'/></message>".encode()
    yield (
        f"<presence xmlns='jabber:client' from='{ROOM}/Juliet' to='{COMPONENT}/{disco.RESOURCE}'>"
        f"<x xmlns='{xml.MUC_USER}'>"
        "<item jid='juliet@xmpp.test/a'/><status code='110'/><status code='100'/></x></presence>"
    ).encode()
    for namespace, name in ((xml.PING, "ping"), (xml.DISCO_INFO, "query"), (xml.VCARD4, "vcard")):
        yield (
            f"<iq xmlns='jabber:client' type='get' id='1' from='a@b' to='{GHOST}'><{name} xmlns='{namespace}'/></iq>"
        ).encode()


WORDS = (*fuzz_xmpp.WORDS, b" type='groupchat'", b" type='error'", b" from='", b" to='", ROOM.encode(), GHOST.encode())


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    fuzz(one_input, "adapters.xmpp", "protocol", "bridge.endpoint.translate", seeds=seeds(), words=WORDS)
