"""A room's archive (XEP-0313): pages of what was said, oldest or newest first.

The archive is asked with the room's own MAM, from whatever JID is in the room; results come as messages on the stream
and are handed over by ``take``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4
from xml.etree.ElementTree import Element

from msgspec import Struct

from adapters.xmpp import codec, xml
from adapters.xmpp.link import Link

PAGE = 500


class Archived(Struct, frozen=True):
    """One message of an archive: its archive id, when it was said (ms), and the message stanza itself."""

    id: str
    at: int | None
    stanza: Element


class Archive:
    """The archives that one link can ask."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._results: dict[str, list[Archived]] = {}

    def take(self, stanza: Element) -> bool:
        """Take a message stanza that is a result for which somebody waits, from the room itself that was asked.

        Anybody may put such an element into a message: it is theirs, then, and what else it says is heard.
        """
        result = stanza.find(xml.q(xml.MAM, "result"))
        page = self._results.get(f"{stanza.get('from')} {result.get('queryid')}") if result is not None else None
        if result is None or page is None:
            return False
        forwarded = result.find(xml.q(xml.FORWARD, "forwarded"))
        message = forwarded.find(xml.MESSAGE) if forwarded is not None else None
        if forwarded is not None and message is not None:
            page.append(Archived(result.get("id", ""), codec.sent_at(forwarded), message))
        return True

    async def after(self, room: str, asker: str, archive_id: str) -> AsyncIterator[Archived]:
        """Yield what was said after ``archive_id`` ('': from the beginning), oldest first.

        Raises ``StanzaError`` (``item-not-found`` when the archive does not know the id any more) or ``LinkLost``.
        """
        while True:
            page, complete = await self._page(room, asker, after=archive_id)
            for each in page:
                yield each
            if complete or not page:
                return
            archive_id = page[-1].id

    async def latest(self, room: str, asker: str, page_size: int = PAGE) -> AsyncIterator[Archived]:
        """Yield what was said, newest first. Raises like ``after``."""
        before = ""
        while True:
            page, complete = await self._page(room, asker, before=before, size=page_size)
            for each in reversed(page):
                yield each
            if complete or not page:
                return
            before = page[0].id

    async def one(self, room: str, asker: str, archive_id: str) -> Archived | None:
        """Return the message with this archive id, None if there is none. Raises like ``after``."""
        page, _ = await self._page(room, asker, ids=archive_id)
        return next((each for each in page if each.id == archive_id), None)

    async def size(self, room: str, asker: str) -> int:
        """Return how many messages the archive holds, as far as it says (0 otherwise). Raises like ``after``."""
        iq = xml.stanza(xml.IQ, type="set", from_=asker, to=room)
        xml.child(xml.child(xml.child(iq, xml.MAM, "query"), xml.RSM, "set"), xml.RSM, "max", "0")
        answer = await self._link.request(iq)
        count = answer.findtext(f"{{{xml.MAM}}}fin/{{{xml.RSM}}}set/{{{xml.RSM}}}count") or ""
        return int(count) if count.isdecimal() else 0

    async def _page(
        self,
        room: str,
        asker: str,
        *,
        after: str | None = None,
        before: str | None = None,
        ids: str | None = None,
        size: int = PAGE,
    ) -> tuple[list[Archived], bool]:
        query_id = uuid4().hex
        iq = xml.stanza(xml.IQ, type="set", from_=asker, to=room)
        query = xml.child(iq, xml.MAM, "query", queryid=query_id)
        if ids is not None:
            form = xml.child(query, xml.DATA, "x", type="submit")
            for name, value in (("FORM_TYPE", xml.MAM), ("ids", ids)):
                xml.child(xml.child(form, xml.DATA, "field", var=name), xml.DATA, "value", value)
        page_of = xml.child(query, xml.RSM, "set")
        xml.child(page_of, xml.RSM, "max", str(size))
        if after:
            xml.child(page_of, xml.RSM, "after", after)
        if before is not None:
            xml.child(page_of, xml.RSM, "before", before)
        waiting = f"{room} {query_id}"
        page = self._results[waiting] = []
        try:
            answer = await self._link.request(iq)
        finally:
            del self._results[waiting]
        fin = answer.find(xml.q(xml.MAM, "fin"))
        return page, fin is None or fin.get("complete") == "true"
