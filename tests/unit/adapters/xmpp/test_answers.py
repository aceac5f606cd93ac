"""What we asked is answered by whom we asked: a stranger who knows the id, or guesses it, is nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from adapters.contract import Permanent, Retry
from adapters.xmpp import xml
from adapters.xmpp.archive import Archive
from adapters.xmpp.errors import LinkLost, StanzaError
from adapters.xmpp.link import Link
from adapters.xmpp.media import Files
from protocol.content import ExternalPart

US, SERVICE, MALLORY = "rialto.test", "upload.test", "mallory@evil.test/x"
ROOM = "verona@muc.test"
SLOT = "<slot xmlns='urn:xmpp:http:upload:0'><put url='http://{host}:9/put'/><get url='http://{host}:9/get'/></slot>"


class Wire:
    """A link whose stream is up, and what was written on it."""

    def __init__(self) -> None:
        self.heard: list[ET.Element] = []
        self.written: list[str] = []
        self.link = Link(US, "s", "127.0.0.1", 1, on_stanza=self.heard.append, on_up=lambda: None, on_down=lambda: None)
        self.link.since = 1.0
        self.link._write = self.written.append  # type: ignore[method-assign]

    def comes(self, text: str) -> None:
        """A stanza arrives on the stream."""

        class Stanza:
            xml = ET.fromstring(text)

        xml.rename(Stanza.xml, xml.CLIENT, xml.COMPONENT)
        self.link._incoming(Stanza())  # type: ignore[arg-type]

    async def asks(self, to: str, **attributes: str) -> tuple[asyncio.Task[ET.Element], str]:
        iq = xml.stanza(xml.IQ, type="get", from_=US, to=to, **attributes)
        task = asyncio.create_task(self.link.request(iq))
        await asyncio.sleep(0)
        return task, ET.fromstring(self.written[-1]).get("id", "")

    def answer(self, id_: str, sender: str, inside: str = "", kind: str = "result") -> None:
        self.comes(f"<iq xmlns='jabber:client' type='{kind}' id='{id_}' from='{sender}' to='{US}'>{inside}</iq>")


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.mark.parametrize("kind", ["result", "error"])
@pytest.mark.parametrize("stranger", [MALLORY, "evil.test", f"{SERVICE}.evil.test", f"x@{SERVICE}", f"{SERVICE}/x", ""])
async def test_a_stranger_who_knows_the_id_answers_nothing(wire: Wire, stranger: str, kind: str) -> None:
    asked, id_ = await wire.asks(SERVICE)
    wire.answer(id_, stranger, "<error type='cancel'/>", kind)
    await asyncio.sleep(0)
    assert not asked.done()
    wire.answer(id_, SERVICE, "<yes xmlns='x'/>")
    assert (await asked).find("{x}yes") is not None
    assert not wire.heard


async def test_who_was_asked_may_spell_its_name_otherwise(wire: Wire) -> None:
    asked, id_ = await wire.asks("Verona@MUC.test/Juliet")
    wire.answer(id_, "verona@muc.test/Juliet")
    await asked


async def test_an_occupant_does_not_answer_for_the_room(wire: Wire) -> None:
    asked, id_ = await wire.asks(ROOM)
    wire.answer(id_, f"{ROOM}/Mallory")
    await asyncio.sleep(0)
    assert not asked.done()
    asked.cancel()


async def test_no_id_tells_of_another(wire: Wire) -> None:
    ids = {wire.link.new_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(len(id_) >= 20 for id_ in ids)
    assert len({id_[:8] for id_ in ids}) == 1_000, "they have a beginning in common"


# --- bounces ----------------------------------------------------------------------------------------------------------


async def bounced(wire: Wire, to: str, sender: str, kind: str = "chat") -> bool:
    stanza = xml.stanza(xml.MESSAGE, from_=f"x@{US}", to=to, id="key", type=kind)
    sending = asyncio.create_task(wire.link.confirm(stanza))
    await asyncio.sleep(0.01)
    wire.comes(f"<message xmlns='jabber:client' type='error' id='key' from='{sender}'><error type='cancel'/></message>")
    await asyncio.sleep(0)
    done = sending.done()
    sending.cancel()
    with contextlib.suppress(StanzaError, asyncio.CancelledError):
        await sending
    return done


@pytest.mark.parametrize("sender", ["juliet@xmpp.test", "juliet@xmpp.test/phone", "xmpp.test"])
async def test_the_recipient_and_her_server_may_bounce(wire: Wire, sender: str) -> None:
    assert await bounced(wire, "juliet@xmpp.test", sender)


@pytest.mark.parametrize("sender", ["juliet@xmpp.test.evil.test", "juliet@xmpp.testament", MALLORY, "romeo@xmpp.test"])
async def test_nobody_else_may(wire: Wire, sender: str) -> None:
    assert not await bounced(wire, "juliet@xmpp.test", sender)


async def test_in_a_room_only_the_room_may(wire: Wire) -> None:
    assert not await bounced(wire, ROOM, f"{ROOM}/Mallory", "groupchat")


async def test_the_room_itself_may(wire: Wire) -> None:
    assert await bounced(wire, ROOM, ROOM, "groupchat")


# --- files ------------------------------------------------------------------------------------------------------------


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_a_file_goes_only_where_the_service_says(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(wire.link, limit=1_000, hosts=())
    files.service = SERVICE
    put: list[str] = []

    async def keep(url: str, *_: Any) -> None:
        put.append(url)

    monkeypatch.setattr(files, "_put", keep)
    upload = asyncio.create_task(files.upload(ExternalPart("image/png", "x", filename="x.png"), one(b"secret")))
    while not wire.written:
        await asyncio.sleep(0.001)
    id_ = ET.fromstring(wire.written[-1]).get("id", "")
    wire.answer(id_, MALLORY, SLOT.format(host="127.0.0.1"))
    wire.answer(id_, SERVICE, SLOT.format(host="upload.test"))
    assert await upload == "http://upload.test:9/get"
    assert put == ["http://upload.test:9/put"]
    await files.close()


async def test_no_slot_makes_an_inner_address_a_strangers_to_link_to(wire: Wire) -> None:
    files = Files(wire.link, limit=1_000, hosts=())
    files.service = SERVICE
    upload = asyncio.create_task(files.upload(ExternalPart("image/png", "x", filename="x.png"), one(b"x")))
    while not wire.written:
        await asyncio.sleep(0.001)
    wire.answer(ET.fromstring(wire.written[-1]).get("id", ""), SERVICE, SLOT.format(host="127.0.0.1"))
    with pytest.raises(Retry):
        await upload  # nobody listens there
    with pytest.raises(Permanent, match="private address"):
        await anext(files.fetch(ExternalPart("image/png", "http://127.0.0.1:9/x")))
    await files.close()


@pytest.mark.parametrize(
    "url", ["http://a..b/x.png", f"http://{'x' * 64}.test/x", "http://./x", "http://[/x", "http://x:99999/", "nothing"]
)
async def test_a_link_that_is_no_address_fails_that_file_only(wire: Wire, url: str) -> None:
    files = Files(wire.link, limit=1_000, hosts=())
    with pytest.raises(Permanent):
        await anext(files.fetch(ExternalPart("image/png", url)))
    await files.close()


# --- the archive ------------------------------------------------------------------------------------------------------


async def test_results_are_taken_from_the_room_that_was_asked(wire: Wire) -> None:
    archive = Archive(wire.link)
    reading = asyncio.create_task(archive.one(ROOM, f"{US}/r", "n1"))
    await asyncio.sleep(0.01)
    asked = ET.fromstring(wire.written[-1])
    query = asked.find("{urn:xmpp:mam:2}query")
    assert query is not None

    def result(sender: str, body: str) -> ET.Element:
        return ET.fromstring(
            f"<message xmlns='jabber:client' from='{sender}'><body>hello</body>"
            f"<result xmlns='urn:xmpp:mam:2' queryid='{query.get('queryid')}' id='n1'>"
            f"<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>{body}</body></message>"
            f"</forwarded></result></message>"
        )

    assert not archive.take(result(f"{ROOM}/Mallory", "forged")), "it is what Mallory says, then"
    assert not archive.take(result(MALLORY, "forged"))
    assert archive.take(result(ROOM, "true"))
    wire.answer(asked.get("id", ""), ROOM, "<fin xmlns='urn:xmpp:mam:2' complete='true'/>")
    found = await reading
    assert found is not None
    assert found.stanza.findtext(xml.BODY) == "true"


async def test_a_link_that_is_lost_wakes_who_waits_for_an_answer(wire: Wire) -> None:
    asked, _ = await wire.asks(SERVICE)
    wire.link._down()
    with pytest.raises(LinkLost):
        await asked
