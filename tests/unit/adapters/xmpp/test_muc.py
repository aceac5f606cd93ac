"""A plumbed room hears what was said while nobody listened, whatever a stranger has put into its archive."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

from adapters.xmpp import codec, xml
from adapters.xmpp.archive import Archived
from adapters.xmpp.muc import RoomSession
from tests.unit.adapters.business.memory import MemoryStore

ROOM = "verona@muc.test"
LINK = cast("Any", SimpleNamespace(jid="rialto.test", post=lambda _: None))


def said(nick: str, inside: str) -> ET.Element:
    return ET.fromstring(f"<message xmlns='jabber:client' type='groupchat' from='{ROOM}/{nick}'>{inside}</message>")


class Shelf:
    """An archive that has these messages."""

    def __init__(self, *stanzas: ET.Element) -> None:
        self._kept = [Archived(f"n{number}", 1_000, stanza) for number, stanza in enumerate(stanzas)]

    async def after(self, _room: str, _asker: str, _id: str) -> AsyncIterator[Archived]:
        for each in self._kept:
            yield each

    async def latest(self, _room: str, _asker: str) -> AsyncIterator[Archived]:
        for each in reversed(self._kept):
            yield each


def session(*archived: ET.Element) -> tuple[RoomSession, list[str], dict[str, str]]:
    """A room, the texts that are heard in it, and the aliases that it gives."""
    heard: list[str] = []
    aliases: dict[str, str] = {}
    room = RoomSession(
        ROOM,
        "Rialto",
        link=LINK,
        archive=cast("Any", Shelf(*archived)),
        store=MemoryStore(),
        heard=lambda stanza: heard.append(stanza.findtext(xml.BODY) or ""),
        alias=aliases.__setitem__,
    )
    return room, heard, aliases


OURS = f"<sent xmlns='{xml.SENT}'/><origin-id xmlns='urn:xmpp:sid:0' id='key'/><body>ours</body>"
BORROWED = f"<sent xmlns='{xml.SENT}'/><origin-id xmlns='urn:xmpp:sid:0' id='{'x' * (codec.MAX_ID + 1)}'/>"


async def test_a_borrowed_mark_does_not_end_the_replay() -> None:
    room, heard, aliases = session(
        said("Juliet", "<body>one</body>"),
        said("Tybalt", BORROWED),
        said("Romeo", OURS),
        said("Juliet", "<body>two</body>"),
    )
    await room._store.put(f"room/{ROOM}", b"n")
    await room._catch_up()
    assert heard == ["one", "two"]
    assert room.last == "n3"
    assert list(aliases.values()) == [f"{ROOM}/n2"]
    assert room.number("key") == "n2"


async def test_our_own_message_is_found_behind_a_borrowed_mark() -> None:
    room, _, _ = session(
        said("Romeo", OURS), said("Tybalt", BORROWED), said("Tybalt", "<origin-id xmlns='urn:xmpp:sid:0' id='key'/>")
    )
    assert await room.find("key", 0) == ("n0", "Romeo")


def test_an_occupant_whose_jid_is_nobody_has_none() -> None:
    room, _, _ = session()
    shown = f"<presence xmlns='jabber:client' from='{ROOM}/Juliet' to='{room.listener}'><x xmlns='{xml.MUC_USER}'>"
    for jid, known in (
        ("juliet@xmpp.test/a", "juliet@xmpp.test"),
        ("@", None),
        ("juliet@xmpp.test/b", "juliet@xmpp.test"),
    ):
        room.presence(ET.fromstring(f"{shown}<item jid='{jid}'/></x></presence>"))
        assert room.speakers.real.get("Juliet") == known


def test_a_message_that_the_room_gave_an_absurd_id_is_left_out() -> None:
    room, heard, _ = session()
    number = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='{'9' * (codec.MAX_ID + 1)}'/>"
    room.message(said("Juliet", f"<body>one</body>{number}"))
    room.message(said("Juliet", "<body>two</body>"))
    assert heard == ["two"]
