"""A person on XMPP: a real slixmpp client on the real Prosody."""

from __future__ import annotations

import asyncio
from xml.etree import ElementTree as ET

import aiohttp
import slixmpp
from slixmpp.stanza import Message
from slixmpp.xmlstream.handler import CoroutineCallback
from slixmpp.xmlstream.matcher import MatchXPath

from tests.stage.person import Did, Noticed, Person

_REPLY = "{urn:xmpp:reply:0}reply"
_REACTIONS = "{urn:xmpp:reactions:0}reactions"
_REPLACE = "{urn:xmpp:message-correct:0}replace"
_RETRACT = "{urn:xmpp:message-retract:1}retract"
_FALLBACK = "{urn:xmpp:fallback:0}fallback"
_STATES = "{http://jabber.org/protocol/chatstates}"
_MARKERS = "{urn:xmpp:chat-markers:0}"
_OOB = "{jabber:x:oob}x/{jabber:x:oob}url"
_STANZA_ID = "{urn:xmpp:sid:0}stanza-id"


class XmppPerson(Person):
    """Signs in at ``port`` of 127.0.0.1 without TLS; every message asks for a receipt and carries a marker."""

    def __init__(self, name: str, jid: str, password: str, port: int) -> None:
        super().__init__(name)
        self.jid, self.port = jid, port
        self.receipts: set[str] = set()
        self.rooms: set[str] = set()
        self._sent_as: dict[str, str] = {}
        self.client = client = slixmpp.ClientXMPP(jid, password)
        client.enable_starttls, client.enable_direct_tls, client.enable_plaintext = False, False, True
        for plugin in ("xep_0030", "xep_0045", "xep_0085", "xep_0184", "xep_0199", "xep_0333", "xep_0363"):
            client.register_plugin(plugin)
        client.plugin["feature_mechanisms"].unencrypted_scram = True
        client.plugin["xep_0184"].auto_request = True
        # The event "message" is only for those with a body: receipts, reactions, markers and typing have none.
        any_message = MatchXPath("{jabber:client}message")
        client.register_handler(CoroutineCallback("everything that is said", any_message, self._on_message))
        client.add_event_handler("message_error", self._on_error)

    async def arrive(self) -> None:
        """Sign in and show presence."""
        session: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.client.add_event_handler("session_start", lambda _: session.done() or session.set_result(None))
        self.client.connect("127.0.0.1", self.port)
        async with asyncio.timeout(60):
            await session
        self.client.send_presence()
        await self.client.get_roster()

    async def leave(self) -> None:
        """Sign out."""
        await self.client.disconnect()

    async def join(self, room: str) -> None:
        """Enter a room under one's own name."""
        self.rooms.add(room)
        await self.client.plugin["xep_0045"].join_muc_wait(slixmpp.JID(room), self.name, timeout=60, maxstanzas=0)

    def _message(self, to: str, body: str, *, stanza_id: str = "") -> Message:
        message = self.client.make_message(to, body or None, mtype="groupchat" if to in self.rooms else "chat")
        message["id"] = stanza_id or self.client.new_id()
        if to not in self.rooms:
            message.append(ET.Element(f"{_MARKERS}markable"))
        return message

    async def say(self, to: str, text: str, *, reply_to: str = "", stanza_id: str = "") -> str:
        """Send text; the stanza id may be given, to send the same message again."""
        message = self._message(to, text, stanza_id=stanza_id)
        if reply_to:
            message.append(ET.Element(_REPLY, {"to": to, "id": reply_to}))
        message.send()
        self.known.setdefault(text, message["id"])
        return str(message["id"])

    async def react(self, to: str, target: str, emoji: str) -> None:
        """React (XEP-0444)."""
        message = self._message(to, "")
        reactions = ET.Element(_REACTIONS, {"id": target})
        if emoji:
            ET.SubElement(reactions, "{urn:xmpp:reactions:0}reaction").text = emoji
        message.append(reactions)
        message.send()

    async def edit(self, to: str, target: str, text: str) -> None:
        """Correct (XEP-0308)."""
        message = self._message(to, text)
        # A correction names a message by the id it was sent with, even in a room (XEP-0308 §4).
        message.append(ET.Element(_REPLACE, {"id": self._sent_as.get(target, target)}))
        message.send()

    async def delete(self, to: str, target: str) -> None:
        """Retract (XEP-0424), with the fallback text that clients add."""
        message = self._message(to, "This person attempted to retract a previous message, but your client lacks it.")
        message.append(ET.Element(_RETRACT, {"id": target}))
        message.append(ET.Element(_FALLBACK, {"for": "urn:xmpp:message-retract:1"}))
        message.send()

    async def send_file(self, to: str, name: str, mime: str, data: bytes) -> str:
        """Upload (XEP-0363) and send the link (XEP-0066)."""
        slot = await self.client.plugin["xep_0363"].request_slot(
            slixmpp.JID("upload.xmpp.test"), name, len(data), content_type=mime
        )
        put, get = slot["http_upload_slot"]["put"]["url"], slot["http_upload_slot"]["get"]["url"]
        headers = {"Content-Type": mime}
        headers |= {each["name"]: each["value"] for each in slot["http_upload_slot"]["put"]["headers"]}
        async with aiohttp.ClientSession() as http, http.put(put, data=data, headers=headers) as answer:
            answer.raise_for_status()
        message = self._message(to, get)
        oob = ET.Element("{jabber:x:oob}x")
        ET.SubElement(oob, "{jabber:x:oob}url").text = get
        message.append(oob)
        message.send()
        self.known[name] = message["id"]
        return str(message["id"])

    async def share(self, to: str, uri: str) -> str:
        """Send the URI and nothing else, as Conversations does."""
        return await self.say(to, uri)

    async def type(self, to: str, active: bool) -> None:
        """Show a chat state (XEP-0085)."""
        message = self.client.make_message(to, mtype="groupchat" if to in self.rooms else "chat")
        message.append(ET.Element(_STATES + ("composing" if active else "paused")))
        message.send()

    async def read(self, to: str, target: str) -> None:
        """Send a displayed marker (XEP-0333)."""
        message = self.client.make_message(to, mtype="chat")
        message.append(ET.Element(f"{_MARKERS}displayed", {"id": target}))
        message.send()

    # --- what the client shows ---

    async def _on_error(self, message: Message) -> None:
        text = message["error"]["text"] or message["error"]["condition"]
        await self.notice(Noticed(Did.ERROR, self._sender(message), text, target=message["id"]))

    def _sender(self, message: Message) -> str:
        if message["type"] == "groupchat":
            return str(message["from"].resource)
        return self.name_of(message["from"].bare)

    async def _on_message(self, message: Message) -> None:
        if message["type"] == "error":
            return
        xml = message.xml
        if (receipt := xml.find("{urn:xmpp:receipts}received")) is not None:
            self.receipts.add(receipt.get("id", ""))
        if thing := await self._read_stanza(message):
            await self.notice(thing)

    async def _read_stanza(self, message: Message) -> Noticed | None:
        xml, sender = message.xml, self._sender(message)
        room = message["from"].bare if message["type"] == "groupchat" else ""
        if room and sender == self.name:
            stanza_id = xml.find(_STANZA_ID)
            if stanza_id is not None and message["body"]:
                self.known[self._body(message)] = stanza_id.get("id", "")
                self._sent_as[stanza_id.get("id", "")] = message["id"]
            return None
        own_id = message["id"]
        if room and (stanza_id := xml.find(_STANZA_ID)) is not None:
            own_id = stanza_id.get("id", "")

        def seen(did: Did, text: str = "", target: str = "", data: bytes = b"") -> Noticed:
            return Noticed(did, sender, text, own_id, target, data, room)

        if (marker := xml.find(f"{_MARKERS}displayed")) is not None:
            return seen(Did.READ, target=marker.get("id", ""))
        if (reactions := xml.find(_REACTIONS)) is not None:
            emoji = [node.text or "" for node in reactions]
            return seen(Did.REACT, "".join(emoji), reactions.get("id", ""))
        if (retract := xml.find(_RETRACT)) is not None:
            return seen(Did.DELETE, target=retract.get("id", ""))
        if (replace := xml.find(_REPLACE)) is not None:
            return seen(Did.EDIT, self._body(message), replace.get("id", ""))
        if (url := xml.find(_OOB)) is not None and url.text:
            return seen(Did.FILE, url.text.rsplit("/", 1)[-1], data=await _download(url.text))
        if message["body"]:
            reply = xml.find(_REPLY)
            return seen(Did.SAY, self._body(message), reply.get("id", "") if reply is not None else "")
        if xml.find(f"{_STATES}composing") is not None:
            return seen(Did.TYPING)
        return None

    def _body(self, message: Message) -> str:
        """The body without what is only there for clients that know no replies (XEP-0428)."""
        body = str(message["body"])
        for fallback in message.xml.findall(_FALLBACK):
            for span in fallback.findall("{urn:xmpp:fallback:0}body"):
                if fallback.get("for") == "urn:xmpp:reply:0":
                    start, end = int(span.get("start", 0)), int(span.get("end", 0))
                    body = body[:start] + body[end:]
        return body


async def _download(url: str) -> bytes:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        answer.raise_for_status()
        return await answer.read()
