"""What surely went out: a log of keys, kept in the archive of a room on the XMPP server itself.

A component cannot ask a person's archive whether a message arrived, and after a crash it must know. So between the
messages of one write it writes lines into a hidden room of its own: which key is done, which begins. A stream is dealt
with in order and a stream that breaks is cut at one point, so afterwards

* a key that was never begun surely did not go out;
* a key that is done surely did;
* only a key that was begun and not done is uncertain, one at most for each time that the stream broke: the connection
  was cut, or the server died, within that very message.

The log holds keys, never texts or people. Nothing is sent without it once it has worked, or its silence would mean
nothing: ``ready`` waits until it is open again after a reconnect. Servers keep so many messages of a room and then get
slow (Prosody: 10,000): after ``VOLUME_LINES`` a new room is begun, and the oldest one is destroyed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from uuid import uuid4
from xml.etree.ElementTree import Element

import msgspec
import structlog
from msgspec import Struct, structs

from adapters.contract import Retry, Store, Unsure
from adapters.xmpp import xml
from adapters.xmpp.archive import Archive
from adapters.xmpp.errors import LinkLost, StanzaError
from adapters.xmpp.link import Link

READY_SECONDS = 10.0
VOLUME_LINES = 5_000
VOLUMES_KEPT = 4
SLACK_MS = 10_000
"""How much earlier than its first attempt a message is looked for: clocks, other than the server's, may differ."""

_KEY = "sent-log"
_TAKEN = frozenset({"gone", "forbidden", "item-not-found", "not-allowed", "registration-required"})
log = structlog.get_logger("adapters.xmpp.sentlog")


class _Volume(Struct, frozen=True):
    """What the account's store says of the log: its room's name without a number, and the number in use."""

    base: str
    number: int = 0

    def room(self, number: int) -> str:
        local, _, host = self.base.partition("@")
        return f"{local}-{number}@{host}"


class SentLog:
    """The log of one component, in rooms that it makes."""

    def __init__(self, link: Link, archive: Archive, store: Store, now: Callable[[], int]) -> None:
        self.usable = False
        self._link, self._archive, self._store, self._now = link, archive, store, now
        self._volume = _Volume("")
        self._count = 0
        self._behind = 0  # how far the server's clock is behind ours, in milliseconds
        self._turning: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        # What it said when it was last read. A connection cannot be unsure of its own writes before it has broken, and
        # the next one reads afresh, so one reading serves every look-up of a connection that goes no further back.
        self._reading = asyncio.Lock()
        self._begun: set[str] = set()
        self._done: set[str] = set()
        self._read_to: int | None = None
        self._complete = False

    def holds(self, room: str) -> bool:
        """Say whether a bare JID is a room of the log."""
        local, _, host = self._volume.base.partition("@")
        return bool(local) and room.startswith(f"{local}-") and room.endswith(f"@{host}")

    async def open(self, base: str) -> None:
        """Enter the room named after ``base`` ('' for no log) after a connect, and find out whether its archive works.

        May be repeated.
        """
        stored = await self._store.get(_KEY)
        known = msgspec.json.decode(stored, type=_Volume) if stored else None
        worked = known is not None and known.base == base
        self._volume = known if known is not None and worked else _Volume(base)
        if base:
            try:
                await self._enter_or_leave_behind()
                self.usable = await self._works(self._volume.number)
                self._count = await self._archive.size(self._volume.room(self._volume.number), self._link.jid)
            except (StanzaError, LinkLost) as error:
                self.usable = False
                log.warning("no log of what was sent", room=base, reason=str(error))
        self._link.lines = self._lines if self.usable else None
        if self.usable and self._volume != known:
            await self._store.put(_KEY, msgspec.json.encode(self._volume))
        if self.usable or not worked:  # when it has worked before, it is waited for
            self._settled.set()

    async def _enter_or_leave_behind(self) -> None:
        """Enter the volume in use; one that was taken from us (destroyed, closed to us) is followed by the next."""
        try:
            await self._enter(self._volume.number)
        except StanzaError as error:
            if error.condition not in _TAKEN:
                raise
            log.warning(
                "a volume of the sent log is lost", room=self._volume.room(self._volume.number), reason=str(error)
            )
            self._volume = structs.replace(self._volume, number=self._volume.number + 1)
            await self._enter(self._volume.number)

    def close(self) -> None:
        """Nothing can be written any more: the stream is gone."""
        self.usable = False
        self._link.lines = None
        self._settled.clear()
        self._read_to = None
        if self._turning is not None:
            self._turning.cancel()
            self._turning = None

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

    async def _works(self, number: int) -> bool:
        room, probe = self._volume.room(number), uuid4().hex
        await self._link.confirm(self._line(room, done=probe))
        async for each in self._archive.latest(room, self._link.jid, 1):
            line = each.stanza.find(_LINE)
            if line is not None and line.get("done") == probe:
                self._behind = max(0, self._now() - each.at) if each.at is not None else 0
                return True
            break
        log.warning("no log of what was sent", room=room, reason="the room has no archive")
        return False

    async def find(self, key: str, since: int) -> bool:
        """Say whether the message with ``key``, first tried at ``since`` (ms), went out.

        Raises ``Unsure`` when that cannot be known, ``Retry`` when the log is not open, and what ``Archive`` raises.
        """
        await self.ready()
        if not self.usable:
            raise Unsure("there is no log of what was sent")
        async with self._reading:
            await self._read_back_to(since - self._behind - SLACK_MS)
        if key in self._done:
            return True
        if key in self._begun or not self._complete:
            raise Unsure("it may have gone out: the stream broke, or the log does not reach back so far")
        return False

    async def _read_back_to(self, time: int) -> None:
        """Read the log, newest first, as far as it has not been read since the connect."""
        if self._read_to is not None and self._read_to <= time:
            return
        self._begun, self._done, self._read_to = set(), set(), None
        first = max(0, self._volume.number - VOLUMES_KEPT + 1)
        reached, gap = first == 0, False
        for number in range(self._volume.number, first - 1, -1):
            try:
                if await self._read_volume(number, time):
                    reached = True
                    break
            except StanzaError as error:
                if error.condition not in _TAKEN:
                    raise
                gap = True
        self._complete, self._read_to = reached and not gap, time

    async def _read_volume(self, number: int, time: int) -> bool:
        """Read one volume, newest first; say whether a line before ``time`` was reached."""
        async for each in self._archive.latest(self._volume.room(number), self._link.jid):
            line = each.stanza.find(_LINE)
            if line is not None:
                self._begun.add(line.get("begun", ""))
                self._done.add(line.get("done", ""))
            if each.at is not None and each.at < time:
                return True
        return False

    # --- writing ------------------------------------------------------------------------------------------------------

    def _lines(self, keys: Sequence[str]) -> Sequence[Element]:
        """Return the lines to write before, between and after the messages with these keys."""
        self._count += len(keys) + 1
        if self._count > VOLUME_LINES and self._turning is None:
            self._turning = asyncio.create_task(self._turn(), name="xmpp: a new volume of the sent log")
        room = self._volume.room(self._volume.number)
        return [self._line(room, done, begun) for done, begun in zip((None, *keys), (*keys, None), strict=True)]

    def _line(self, room: str, done: str | None = None, begun: str | None = None) -> Element:
        line = xml.stanza(xml.MESSAGE, type="groupchat", from_=self._link.jid, to=room, id=self._link.new_id())
        xml.child(line, xml.SENT, "key", done=done, begun=begun)
        xml.child(line, xml.HINTS, "store")
        return line

    async def _turn(self) -> None:
        """Begin a new volume, and destroy the one that is too old."""
        number = self._volume.number + 1
        try:
            await self._enter(number)
            if await self._works(number):
                volume = _Volume(self._volume.base, number)
                await self._store.put(_KEY, msgspec.json.encode(volume))
                self._volume = volume
            self._count = 0
            if number >= VOLUMES_KEPT:
                await self._destroy(number - VOLUMES_KEPT)
        except (StanzaError, LinkLost) as error:
            self._count = VOLUME_LINES // 2  # not at once again
            log.warning("the sent log stays in its old volume", reason=str(error))
        self._turning = None

    async def _destroy(self, number: int) -> None:
        iq = xml.stanza(xml.IQ, type="set", from_=self._link.jid, to=self._volume.room(number))
        xml.child(xml.child(iq, xml.MUC_OWNER, "query"), xml.MUC_OWNER, "destroy")
        await self._link.request(iq)

    async def _enter(self, number: int) -> None:
        """Join, which makes the room if it is new, and make it hidden, lasting, archived and ours alone."""
        room = self._volume.room(number)
        presence = xml.stanza(xml.PRESENCE, from_=self._link.jid, to=f"{room}/log", id=self._link.new_id())
        xml.child(xml.child(presence, xml.MUC, "x"), xml.MUC, "history", maxstanzas="0")
        self._link.post(presence)
        iq = xml.stanza(xml.IQ, type="set", from_=self._link.jid, to=room)
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
