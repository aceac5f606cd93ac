"""Which services the XMPP server has: uploads, and rooms for the log of what was sent."""

from __future__ import annotations

import asyncio
from xml.etree.ElementTree import Element

from msgspec import Struct

from adapters.xmpp import xml
from adapters.xmpp.config import XmppConfig
from adapters.xmpp.errors import LinkLost, StanzaError
from adapters.xmpp.link import Link

OFF = "off"
ASK_SECONDS = 5.0
MAX_ITEMS = 100
"""So many of the server's items are looked at."""


class Found(Struct, frozen=True):
    """The JIDs of the upload service and of the room for the log; '' where there is none."""

    upload: str = ""
    sent_log: str = ""


class Services:
    """The services of one server, as its disco items list them (XEP-0030)."""

    def __init__(self, link: Link, config: XmppConfig) -> None:
        self._link, self._config = link, config

    async def find(self) -> Found:
        """Return the services: those that the configuration names, and for the others what the server lists."""
        upload, rooms = self._config.upload, self._config.rooms
        if not (upload and (rooms or self._config.sent_log)):
            jids = await self._items()
            # One that does not answer holds up no other, nor the account: it is as if it were not there.
            for jid, features in zip(jids, await asyncio.gather(*map(self._features, jids)), strict=True):
                upload = upload or (jid if xml.UPLOAD in features else "")
                rooms = rooms or (jid if xml.MUC in features else "")
        return Found(upload, self._log_room(rooms))

    def _log_room(self, rooms: str) -> str:
        if self._config.sent_log:
            return "" if self._config.sent_log == OFF else self._config.sent_log
        return f"sent-by-{self._config.component}@{rooms}" if rooms else ""

    async def _items(self) -> list[str]:
        try:
            query = await self._ask(self._config.domain, xml.DISCO_ITEMS)
        except (StanzaError, LinkLost, TimeoutError):
            return []
        jids = [each.get("jid", "") for each in query.iterfind(f"{{{xml.DISCO_ITEMS}}}query/{{{xml.DISCO_ITEMS}}}item")]
        return [jid for jid in jids if jid and jid != self._config.component][:MAX_ITEMS]

    async def _features(self, jid: str) -> set[str | None]:
        try:
            info = await self._ask(jid, xml.DISCO_INFO)
        except (StanzaError, LinkLost, TimeoutError):
            return set()
        return {each.get("var") for each in info.iterfind(f"{{{xml.DISCO_INFO}}}query/{{{xml.DISCO_INFO}}}feature")}

    async def _ask(self, jid: str, namespace: str) -> Element:
        iq = xml.stanza(xml.IQ, type="get", from_=self._link.jid, to=jid)
        xml.child(iq, namespace, "query")
        async with asyncio.timeout(ASK_SECONDS):
            return await self._link.request(iq)
