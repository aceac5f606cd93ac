"""What surely went out: a log of keys, kept in the archive of a room on the XMPP server itself.

A component cannot ask a person's archive whether a message arrived, and after a crash it must know. So around the
messages of one write it writes two lines into a hidden room of its own: the keys that begin, the keys that are done.
A stream is dealt with in order and a stream that breaks is cut at one point, so afterwards

* a key that was never begun surely did not go out;
* a key that is done surely did;
* only a key that was begun and not done is uncertain: the stream broke within that very write.

The log holds keys, never texts or people.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4
from xml.etree.ElementTree import Element

import structlog

from adapters.contract import Unsure
from adapters.xmpp import xml
from adapters.xmpp.archive import Archive
from adapters.xmpp.errors import LinkLost, StanzaError
from adapters.xmpp.link import Link

SLACK_MS = 10 * 60_000
"""How far the server's clock may be from ours, and how long before its first attempt a message is looked for."""

log = structlog.get_logger("adapters.xmpp.sentlog")


class SentLog:
    """The log of one component, in a room that it makes if need be; usable once ``open`` has returned True."""

    def __init__(self, link: Link, archive: Archive) -> None:
        self.room = ""
        self.usable = False
        self._link, self._archive = link, archive
        self._nick = "log"

    async def open(self, room: str) -> bool:
        """Enter ``room`` after each connect, and prove that its archive works; say whether it does."""
        self.room, self.usable = room, False
        try:
            await self._enter()
            probe = uuid4().hex
            await self._link.confirm(self._line("probe", (probe,)))
            async for each in self._archive.latest(self.room, self._link.jid, 1):
                self.usable = probe in _keys(each.stanza, "probe")
                break
        except (StanzaError, LinkLost) as error:
            log.warning("no log of what was sent", room=self.room, reason=str(error))
        else:
            if not self.usable:
                log.warning("no log of what was sent", room=self.room, reason="the room has no archive")
        self._link.bracket = self._bracket if self.usable else None
        return self.usable

    async def find(self, key: str, since: int) -> bool:
        """Say whether the message with ``key``, first tried at ``since`` (ms), went out.

        Raises ``Unsure`` when that cannot be known, and what ``Archive`` raises when the server cannot be asked.
        """
        if not self.usable:
            raise Unsure("there is no log of what was sent")
        begun = False
        async for each in self._archive.latest(self.room, self._link.jid):
            if each.at is not None and each.at < since - SLACK_MS:
                break
            if key in _keys(each.stanza, "done"):
                return True
            begun = begun or key in _keys(each.stanza, "begun")
        if begun:
            raise Unsure("the stream broke while this message was being written")
        return False

    def _bracket(self, keys: tuple[str, ...]) -> tuple[Element, Element]:
        return self._line("begun", keys), self._line("done", keys)

    def _line(self, state: str, keys: Sequence[str]) -> Element:
        line = xml.stanza(xml.MESSAGE, type="groupchat", from_=self._link.jid, to=self.room, id=self._link.new_id())
        xml.child(line, xml.SENT, "keys", " ".join(keys), state=state)
        xml.child(line, xml.HINTS, "store")
        return line

    async def _enter(self) -> None:
        """Join, which makes the room if it is new, and make it hidden, lasting, archived and ours alone."""
        presence = xml.stanza(
            xml.PRESENCE, from_=self._link.jid, to=f"{self.room}/{self._nick}", id=self._link.new_id()
        )
        xml.child(xml.child(presence, xml.MUC, "x"), xml.MUC, "history", maxstanzas="0")
        self._link.post(presence)
        iq = xml.stanza(xml.IQ, type="set", from_=self._link.jid, to=self.room)
        form = xml.child(xml.child(iq, xml.MUC_OWNER, "query"), xml.DATA, "x", type="submit")
        for name, value in _SETTINGS.items():
            xml.child(xml.child(form, xml.DATA, "field", var=name), xml.DATA, "value", value)
        await self._link.request(iq)


def _keys(stanza: Element, state: str) -> Sequence[str]:
    line = stanza.find(xml.q(xml.SENT, "keys"))
    return (line.text or "").split() if line is not None and line.get("state") == state else ()


_SETTINGS = {
    "FORM_TYPE": "http://jabber.org/protocol/muc#roomconfig",
    "muc#roomconfig_persistentroom": "1",
    "muc#roomconfig_publicroom": "0",
    "muc#roomconfig_membersonly": "1",
    "muc#roomconfig_enablearchiving": "1",
    "muc#roomconfig_roomname": "Keys of messages that the bridge has sent",
}
