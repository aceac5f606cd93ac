"""What people say becomes events: each message one of its own, each edit its author's, and no stanza stops another."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest

from adapters.contract import Event, Inbound, Receipt
from adapters.xmpp import codec, muc, xml
from adapters.xmpp.config import XmppConfig
from adapters.xmpp.inbound import Inbox
from adapters.xmpp.muc import RoomSession
from adapters.xmpp.names import Chat
from adapters.xmpp.reactions import Reactions
from adapters.xmpp.recall import Recall
from protocol.content import NullPart, SinglePart
from protocol.uri import Address
from tests.unit.adapters.business.memory import MemoryStore
from tests.unit.adapters.xmpp.test_muc import Shelf

GHOST = r"matrix~\40romeo\3ahs.test@rialto.test"
ROOM = "verona@muc.test"


class House:
    """An inbox with one room, and what it answers."""

    def __init__(self, *archived: ET.Element, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.answers: list[ET.Element] = []
        link = cast("Any", SimpleNamespace(jid="rialto.test", post=self.answers.append, new_id=lambda: "new"))
        self.heard: list[ET.Element] = []
        self.room = RoomSession(
            ROOM,
            "Rialto",
            link=link,
            archive=cast("Any", Shelf(*archived)),
            store=self.store,
            heard=self.heard.append,
            alias=lambda *_: None,
        )
        config = XmppConfig(component="rialto.test", secret="s")
        self.inbox = Inbox(link, config, {ROOM: self.room}, Reactions(self.store), Recall(), self.store)

    async def chat(self, inside: str, id_: str = "1", sender: str = "juliet@xmpp.test/a") -> Event:
        text = f"<message xmlns='jabber:client' type='chat' id='{id_}' from='{sender}' to='{GHOST}'>{inside}</message>"
        (event,) = await self.inbox.events(ET.fromstring(text))
        return event

    def occupant(self, nick: str, occupant: str = "", jid: str = "", kind: str = "") -> None:
        """The room says that somebody is there, or no longer."""
        self.room.presence(
            ET.fromstring(
                f"<presence xmlns='jabber:client' from='{ROOM}/{nick}' to='{self.room.listener}'"
                f"{f' type={kind!r}' if kind else ''}>"
                f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{occupant}'/>"
                f"<x xmlns='{xml.MUC_USER}'><item{f' jid={jid!r}' if jid else ''}/></x></presence>"
            )
        )

    async def says(self, nick: str, inside: str, id_: str, number: str, occupant: str = "") -> list[Event]:
        self.room.message(spoken(nick, inside, id_, number, occupant))
        return await self.taken()

    async def taken(self) -> list[Event]:
        heard, self.heard[:] = list(self.heard), []
        return [event for stanza in heard for event in await self.inbox.events(stanza)]


def spoken(nick: str, inside: str, id_: str, number: str = "", occupant: str = "") -> ET.Element:
    return ET.fromstring(
        f"<message xmlns='jabber:client' type='groupchat' from='{ROOM}/{nick}' to='rialto.test/r' id='{id_}'>{inside}"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='{number}'/>"
        f"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{occupant}'/></message>"
    )


def said(event: Event) -> tuple[str, str | None]:
    assert isinstance(event, Inbound)
    part = event.message.part
    return (part.text if isinstance(part, SinglePart) else ""), event.message.replaces


# --- ids that come again ----------------------------------------------------------------------------------------------


async def test_the_same_id_with_other_words_is_another_message() -> None:
    house = House()
    one, two, again = [await house.chat(f"<body>{text}</body>") for text in ("first run", "second run", "first run")]
    assert isinstance(one, Inbound) and isinstance(two, Inbound) and isinstance(again, Inbound)
    assert one.native_id != two.native_id
    assert one.native_id == again.native_id


async def test_what_the_way_adds_makes_no_other_message() -> None:
    house = House()
    one = await house.chat("<body>hello</body><request xmlns='urn:xmpp:receipts'/>")
    again = await house.chat(
        "<body>hello</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
        "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        sender="juliet@xmpp.test/b",
    )
    assert isinstance(one, Inbound) and isinstance(again, Inbound)
    assert one.native_id == again.native_id


async def test_edits_replies_receipts_and_retractions_find_a_message_by_its_senders_id() -> None:
    house = House()
    one = await house.chat("<body>hello</body>", id_="=a=")
    assert isinstance(one, Inbound)
    (alias,) = one.aliases
    edit = await house.chat("<body>hullo</body><replace xmlns='urn:xmpp:message-correct:0' id='=a='/>", id_="2")
    gone = await house.chat("<retract xmlns='urn:xmpp:message-retract:1' id='=a='/>", id_="3")
    read = await house.chat("<displayed xmlns='urn:xmpp:chat-markers:0' id='=a='/>", id_="4")
    assert said(edit)[1] == said(gone)[1] == alias
    assert isinstance(read, Receipt) and read.native_ids == (alias,)
    chat = Chat("juliet@xmpp.test", GHOST)
    assert chat.wire(one.native_id) == chat.wire(alias) == "=a="


async def test_a_room_without_an_archive_tells_messages_with_one_id_apart_too() -> None:
    house = House()
    house.occupant("Juliet")
    ((one,), (two,)) = [await house.says("Juliet", f"<body>{text}</body>", "1", "") for text in ("one", "two")]
    assert isinstance(one, Inbound) and isinstance(two, Inbound)
    assert one.native_id != two.native_id
    assert one.aliases == two.aliases
    assert house.room.place.wire(one.native_id) == "1"


# --- nicknames change hands -------------------------------------------------------------------------------------------

CORRECT = "<body>5000 ducats</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/>"
RETRACT = "<retract xmlns='urn:xmpp:message-retract:1' id='n1'/>"


@pytest.mark.parametrize("numbered", [True, False])
async def test_who_takes_a_nickname_edits_and_retracts_nothing_of_its_former_holder(numbered: bool) -> None:
    house = House()
    house.room.speakers.numbered = numbered
    house.occupant("Nurse", "o1")
    (one,) = await house.says("Nurse", "<body>5 ducats</body>", "m1", "n1", "o1")
    house.occupant("Nurse", "o1", kind="unavailable")
    house.occupant("Nurse", "o2")
    (edit,) = await house.says("Nurse", CORRECT, "m2", "n2", "o2")
    assert isinstance(one, Inbound)
    assert said(edit)[1] not in {one.native_id, *one.aliases}
    assert not await house.says("Nurse", RETRACT, "m3", "n3", "o2")
    assert "Only who wrote a message" in (house.answers[-1].findtext(xml.BODY) or "")


@pytest.mark.parametrize("numbered", [True, False])
async def test_who_kept_the_nickname_edits_and_retracts_their_own(numbered: bool) -> None:
    house = House()
    house.room.speakers.numbered = numbered
    house.occupant("Nurse", "o1")
    (one,) = await house.says("Nurse", "<body>5 ducats</body>", "m1", "n1", "o1")
    (edit,) = await house.says("Nurse", CORRECT, "m2", "n2", "o1")
    (gone,) = await house.says("Nurse", RETRACT, "m3", "n3", "o1")
    assert isinstance(one, Inbound) and isinstance(gone, Inbound)
    assert said(edit)[1] in one.aliases
    assert gone.message.replaces == one.native_id
    assert isinstance(gone.message.part, NullPart)


async def test_an_occupant_id_outlives_a_change_of_nickname_and_a_restart() -> None:
    first = House()
    first.room.speakers.numbered = True
    (one,) = await first.says("Nurse", "<body>5 ducats</body>", "m1", "n1", "o1")
    second = House()
    second.room.speakers.numbered = True
    (edit,) = await second.says("Angelica", CORRECT, "m2", "n2", "o1")
    assert isinstance(one, Inbound)
    assert said(edit)[1] in one.aliases


async def test_an_occupant_id_is_believed_only_where_the_room_gives_it() -> None:
    house = House()
    house.occupant("Nurse")
    (one,) = await house.says("Nurse", "<body>5 ducats</body>", "m1", "n1", "o1")
    house.occupant("Nurse", kind="unavailable")
    house.occupant("Nurse")
    (edit,) = await house.says("Nurse", CORRECT, "m2", "n2", "o1")
    assert isinstance(one, Inbound)
    assert said(edit)[1] not in {one.native_id, *one.aliases}


async def test_a_message_is_by_who_had_the_nickname_when_it_was_said() -> None:
    house = House()
    house.room.speakers.open_jids = True
    house.occupant("Nurse", jid="nurse@xmpp.test/a")
    house.room.message(spoken("Nurse", "<body>mine</body>", "m1", "n1"))
    house.occupant("Nurse", kind="unavailable")
    house.occupant("Nurse", jid="mallory@xmpp.test/a")
    (event,) = await house.taken()
    assert isinstance(event, Inbound)
    assert event.sender.address == Address("xmpp", "nurse@xmpp.test")


async def test_what_the_archive_returns_is_by_who_said_it_then() -> None:
    shown = f"<body>one</body><x xmlns='{xml.MUC_USER}'><item jid='nurse@xmpp.test/a'/></x>"
    house = House(spoken("Nurse", shown, "m1"), spoken("Nurse", "<body>two</body>", "m2"))
    house.room.speakers.open_jids = True
    house.occupant("Nurse", jid="mallory@xmpp.test/a")
    house.room.last = "n"
    await house.room._catch_up()
    senders = [event.sender.address.id for event in await house.taken() if isinstance(event, Inbound)]
    assert senders == ["nurse@xmpp.test", f"{ROOM}/Nurse"]


async def test_an_archive_speaks_for_its_own_room_only() -> None:
    forged = ET.fromstring(
        "<message xmlns='jabber:client' type='groupchat' from='juliet@xmpp.test' "
        f"to='{GHOST}' id='x'><body>I am Juliet</body></message>"
    )
    house = House(forged)
    house.room.last = "n"
    await house.room._catch_up()
    assert not await house.taken()


async def test_a_stranger_does_not_say_who_speaks() -> None:
    house = House()
    house.occupant("Nurse")
    claim = f"<body>x</body><speaker xmlns='{xml.HEARD}' jid='juliet@xmpp.test' key='occupant o1'/>"
    (event,) = await house.says("Nurse", claim, "m1", "n1")
    assert isinstance(event, Inbound)
    assert event.sender.address.id == f"{ROOM}/Nurse"
    assert all("occupant" not in alias for alias in event.aliases)


# --- what cannot be borne ---------------------------------------------------------------------------------------------


async def test_a_stanza_that_brings_out_a_defect_is_answered_and_stops_no_other(monkeypatch: Any) -> None:
    house, true = House(), codec.decode

    def broken(stanza: ET.Element, *args: Any) -> codec.Incoming:
        if stanza.findtext(xml.BODY) == "poison":
            raise ZeroDivisionError
        return true(stanza, *args)

    monkeypatch.setattr(codec, "decode", broken)
    poison = (
        f"<message xmlns='jabber:client' id='1' from='juliet@xmpp.test/a' to='{GHOST}'><body>poison</body></message>"
    )
    assert await house.inbox.events(ET.fromstring(poison)) == []
    (answer,) = house.answers
    assert answer.get("type") == "error" and answer.get("to") == "juliet@xmpp.test/a"
    assert answer.find(f"{xml.ERROR}/{xml.q(xml.STANZAS, 'internal-server-error')}") is not None
    assert said(await house.chat("<body>well</body>"))[0] == "well"


async def test_what_was_passed_over_in_a_room_does_not_come_back_at_the_next_start() -> None:
    house = House()
    (one,) = await house.says("Juliet", "<body>one</body>", "m1", "n1")
    assert isinstance(one, Inbound) and one.cursor is not None
    for number in ("n2", "n3"):
        assert not await house.says("Juliet", "<encrypted xmlns='urn:xmpp:omemo:2'/>", number, number)
    after = House(store=house.store)
    await after.inbox.resume({ROOM: "n1"})
    assert after.inbox.positions == {ROOM: "n3"}
    earlier = House(store=house.store)
    await earlier.inbox.resume({ROOM: "n0"})
    assert earlier.inbox.positions == {ROOM: "n0"}, "what came before was not made durable"


async def test_a_defect_in_a_room_ends_neither_its_catching_up_nor_the_messages_behind(monkeypatch: Any) -> None:
    house = House(*(spoken("Juliet", f"<body>{text}</body>", text) for text in ("one", "poison", "two")))
    true = codec.archive_id

    def broken(stanza: ET.Element, place: Any) -> str:
        if stanza.findtext(xml.BODY) == "poison":
            raise ZeroDivisionError
        return true(stanza, place)

    monkeypatch.setattr(codec, "archive_id", broken)
    house.room.last = "n"
    await house.room._catch_up()
    assert [stanza.findtext(xml.BODY) for stanza in house.heard] == ["one", "two"]


async def test_an_archive_that_keeps_silent_is_not_waited_for_again_and_again(monkeypatch: Any) -> None:
    house = House()
    monkeypatch.setattr(muc, "LOOK_UP_SECONDS", 0.01)
    asked: list[str] = []

    class Silent:
        async def one(self, _room: str, _asker: str, number: str) -> None:
            asked.append(number)
            await asyncio.Event().wait()

    monkeypatch.setattr(house.room, "_archive", Silent())
    house.occupant("Nurse")
    for number in ("n8", "n9"):
        assert not await house.says("Nurse", RETRACT.replace("n1", number), number, f"later {number}")
    assert asked == ["n8"]
