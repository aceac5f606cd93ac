"""What surely went out: a log of keys, kept in the archive of a room on the XMPP server itself.

A component cannot ask a person's archive whether a message arrived, and after a crash it must know. So between the
messages of one write it writes lines into a hidden room of its own: which key is done, which begins. A stream is dealt
with in order and a stream that breaks is cut at one point, so afterwards

* a key that was never begun surely did not go out;
* a key that is done surely did;
* only a key that was begun and not done is uncertain, one at most for each time that the stream broke: the connection
  was cut, or the server died, within that very message.

The log holds keys, never texts or people. Nothing is sent without it once it has worked, or its silence would mean
nothing: ``ready`` waits until it is open again after a reconnect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4
from xml.etree.ElementTree import Element

import structlog

from adapters.contract import Retry, Store, Unsure
from adapters.xmpp import xml
from adapters.xmpp.archive import Archive
from adapters.xmpp.errors import LinkLost, StanzaError
from adapters.xmpp.link import Link

_KEPT = "sent-log"
READY_SECONDS = 10.0
SLACK_MS = 10 * 60_000
"""How far the server's clock may be from ours, and how long before its first attempt a message is looked for."""

log = structlog.get_logger("adapters.xmpp.sentlog")


class SentLog:
    """The log of one component, in a room that it makes if need be."""

    def __init__(self, link: Link, archive: Archive, store: Store) -> None:
        self.room = ""
        self.usable = False
        self._link, self._archive, self._store = link, archive, store
        self._settled = asyncio.Event()
        # What it said when it was last read. A connection cannot be unsure of its own writes before it has broken, and
        # the next one reads afresh, so one reading serves every look-up of a connection that goes no further back.
        self._reading = asyncio.Lock()
        self._begun: set[str] = set()
        self._done: set[str] = set()
        self._read_to: int | None = None

    async def open(self, room: str) -> None:
        """Enter ``room`` ('' for no log) after a connect, and find out whether its archive works. May be repeated."""
        self.room = room
        if room:
            try:
                await self._enter()
                self.usable = await self._works()
            except (StanzaError, LinkLost) as error:
                log.warning("no log of what was sent", room=room, reason=str(error))
        self._link.lines = self._lines if self.usable else None
        if self.usable:
            await self._store.put(_KEPT, room.encode())
        elif room and await self._store.get(_KEPT) == room.encode():
            return  # it has worked before: wait for it
        self._settled.set()

    def close(self) -> None:
        """Nothing can be written any more: the stream is gone."""
        self.usable = False
        self._link.lines = None
        self._settled.clear()
        self._read_to = None

    @property
    def wanted(self) -> bool:
        """Whether sends wait for it: it has worked before, and does not yet work again."""
        return not self._settled.is_set()

    async def ready(self) -> None:
        """Return when it is known whether there is a log. Raises ``Retry``."""
        if not self._settled.is_set():
            try:
                async with asyncio.timeout(READY_SECONDS):
                    await self._settled.wait()
            except TimeoutError:
                raise Retry("the log of what was sent is not open") from None

    async def _works(self) -> bool:
        probe = uuid4().hex
        await self._link.confirm(self._line(done=probe))
        async for each in self._archive.latest(self.room, self._link.jid, 1):
            line = each.stanza.find(_LINE)
            if line is not None and line.get("done") == probe:
                return True
            break
        log.warning("no log of what was sent", room=self.room, reason="the room has no archive")
        return False

    async def find(self, key: str, since: int) -> bool:
        """Say whether the message with ``key``, first tried at ``since`` (ms), went out.

        Raises ``Unsure`` when that cannot be known, ``Retry`` when the log is not open, and what ``Archive`` raises.
        """
        await self.ready()
        if not self.usable:
            raise Unsure("there is no log of what was sent")
        async with self._reading:
            await self._read_back_to(since - SLACK_MS)
        if key in self._done:
            return True
        if key in self._begun:
            raise Unsure("the stream broke while this message was being written")
        return False

    async def _read_back_to(self, time: int) -> None:
        """Read the log, newest first, as far as it has not been read since the connect."""
        if self._read_to is not None and self._read_to <= time:
            return
        begun, done = set[str](), set[str]()
        async for each in self._archive.latest(self.room, self._link.jid):
            line = each.stanza.find(_LINE)
            if line is not None:
                begun.add(line.get("begun", ""))
                done.add(line.get("done", ""))
            if each.at is not None and each.at < time:
                break
        self._begun, self._done, self._read_to = begun, done, time

    def _lines(self, keys: Sequence[str]) -> Sequence[Element]:
        """Return the lines to write before, between and after the messages with these keys."""
        return [self._line(done, begun) for done, begun in zip((None, *keys), (*keys, None), strict=True)]

    def _line(self, done: str | None = None, begun: str | None = None) -> Element:
        line = xml.stanza(xml.MESSAGE, type="groupchat", from_=self._link.jid, to=self.room, id=self._link.new_id())
        xml.child(line, xml.SENT, "key", done=done, begun=begun)
        xml.child(line, xml.HINTS, "store")
        return line

    async def _enter(self) -> None:
        """Join, which makes the room if it is new, and make it hidden, lasting, archived and ours alone."""
        presence = xml.stanza(xml.PRESENCE, from_=self._link.jid, to=f"{self.room}/log", id=self._link.new_id())
        xml.child(xml.child(presence, xml.MUC, "x"), xml.MUC, "history", maxstanzas="0")
        self._link.post(presence)
        iq = xml.stanza(xml.IQ, type="set", from_=self._link.jid, to=self.room)
        form = xml.child(xml.child(iq, xml.MUC_OWNER, "query"), xml.DATA, "x", type="submit")
        for name, value in _SETTINGS.items():
            xml.child(xml.child(form, xml.DATA, "field", var=name), xml.DATA, "value", value)
        await self._link.request(iq)


_LINE = xml.q(xml.SENT, "key")
_SETTINGS = {
    "FORM_TYPE": "http://jabber.org/protocol/muc#roomconfig",
    "muc#roomconfig_persistentroom": "1",
    "muc#roomconfig_publicroom": "0",
    "muc#roomconfig_membersonly": "1",
    "muc#roomconfig_enablearchiving": "1",
    "muc#roomconfig_roomname": "Keys of messages that the bridge has sent",
}
