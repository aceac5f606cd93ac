"""Rooms of this network (XEP-0045) that are plumbed to a room of Rialto.

In each sits one listener, who hears, and a puppet for each person of another network who has spoken, under a nickname
of their own. The room's archive fills what was said while the stream was down; what the room reflects of our own words
tells the ids that it gave them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import Element

import structlog

from adapters.contract import Store
from adapters.xmpp import bounces, codec, disco, names, xml
from adapters.xmpp.archive import Archive
from adapters.xmpp.errors import LinkLost, StanzaError, StanzaRefused
from adapters.xmpp.link import Link
from adapters.xmpp.speakers import Speaker, Speakers, mark, note, speaker_of

ENTER_SECONDS = 20.0
LOOK_UP_SECONDS = 3.0
MUTE_SECONDS = 60.0
AGAIN_SECONDS = 5.0
MAX_NICK = 80

log = structlog.get_logger("adapters.xmpp.muc")


class RoomSession:
    """One plumbed room. ``heard`` gets every message stanza of other people, in the order of the room."""

    def __init__(
        self,
        jid: str,
        nick: str,
        *,
        link: Link,
        archive: Archive,
        store: Store,
        heard: Callable[[Element], None],
        alias: Callable[[str, str], None],
    ) -> None:
        self.place = names.Room(jid)
        self.nick = nick
        self.listener = f"{link.jid}/{disco.RESOURCE}"
        self.speakers = Speakers()
        self.last: str | None = None  # archive id of the last message heard; '' the beginning, None unknown
        self._link, self._archive, self._store = link, archive, store
        self._heard, self._alias = heard, alias
        self._joining: dict[str, asyncio.Future[str]] = {}
        self._seats: dict[str, str] = {}  # full JID of ours to its nickname
        self._entered = asyncio.Event()
        self._out = asyncio.Event()
        self._held: list[Element] | None = None  # what comes live while the archive is being read
        self._numbers: OrderedDict[str, str] = OrderedDict()  # our stanza ids to archive ids
        self._origins: OrderedDict[str, str] = OrderedDict()  # archive ids to our stanza ids
        self._senders: OrderedDict[str, str] = OrderedDict()  # archive ids to nicknames
        self._mute_until = 0.0  # until when the archive is not asked about single messages
        self._expected: set[str] = set()  # our stanza ids whose number somebody waits for

    @property
    def entered(self) -> bool:
        """Whether the listener is in the room and has caught up."""
        return self._entered.is_set()

    # --- coming and going -----------------------------------------------------------------------------------------

    async def stay(self, self_ping_seconds: float) -> None:
        """Be in the room, from one connect until the stream is lost: enter, catch up, look every now and then."""
        pause = AGAIN_SECONDS
        while True:
            try:
                await self._enter()
                pause = AGAIN_SECONDS
                await self._still_in(self_ping_seconds)
            except StanzaError as error:
                log.warning("not in the room", room=self.place.jid, reason=str(error), seconds=pause)
            except TimeoutError:
                log.warning("not in the room", room=self.place.jid, reason="it does not answer", seconds=pause)
            except LinkLost as error:
                if not self._link.connected:
                    return
                log.warning("not in the room", room=self.place.jid, reason=str(error), seconds=pause)
            except Exception:  # a defect in one room must not leave it for good
                log.exception("not in the room", room=self.place.jid, seconds=pause)
            self._entered.clear()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 300)

    def left(self) -> None:
        """Forget all seats: the stream is gone."""
        self._seats.clear()
        self._entered.clear()
        self._held = None
        for joining in self._joining.values():
            if not joining.done():
                joining.set_exception(LinkLost())

    async def _enter(self) -> None:
        self._held = []
        self._out.clear()
        self._seats.pop(self.listener, None)
        self.speakers.enter(numbered=xml.OCCUPANT in await self._features())
        await self._sit(self.listener, self.nick)
        await self._catch_up()
        held, self._held = self._held or [], None
        for stanza in held:
            self._hear(stanza)
        self._entered.set()
        log.info("entered", room=self.place.jid)

    async def _features(self) -> set[str]:
        """Return what the room offers (XEP-0045 §6.4). Raises ``LinkLost``."""
        iq = xml.stanza(xml.IQ, type="get", from_=self.listener, to=self.place.jid)
        xml.child(iq, xml.DISCO_INFO, "query")
        try:
            info = await self._link.request(iq)
        except StanzaError:
            return set()
        features = info.iterfind(f"{{{xml.DISCO_INFO}}}query/{{{xml.DISCO_INFO}}}feature")
        return {each.get("var", "") for each in features}

    async def _still_in(self, seconds: float) -> None:
        """Ask ourselves through the room (XEP-0410) and return when we are no longer in it."""
        while True:
            try:
                async with asyncio.timeout(seconds):
                    await self._out.wait()
            except TimeoutError:
                if await self._asked():
                    continue
            return

    async def _asked(self) -> bool:
        ping = xml.stanza(xml.IQ, type="get", from_=self.listener, to=f"{self.place.jid}/{self._seats[self.listener]}")
        xml.child(ping, xml.PING, "ping")
        try:
            await self._link.request(ping)
        except StanzaError as error:
            if error.condition == "not-acceptable":
                log.warning("the room has forgotten us", room=self.place.jid)
                return False
        return True

    async def seat(self, jid: str, name: str, network: str) -> str:
        """Return the nickname of a puppet, who enters first if need be. Raises ``StanzaError`` or ``LinkLost``."""
        if jid in self._seats:
            return self._seats[jid]
        async with asyncio.timeout(ENTER_SECONDS):
            await self._entered.wait()
        wanted = nickname(name) or nickname(jid.partition("@")[0])
        for nick in (wanted, f"{wanted} ({network})", *(f"{wanted} ({network} {n})" for n in range(2, 10))):
            try:
                return await self._sit(jid, nick)
            except StanzaError as error:
                if error.condition != "conflict":
                    raise
        raise StanzaError("conflict", text="every nickname of this person is taken")

    def unseat(self, jid: str) -> None:
        """Forget that a puppet is in the room: the room has said that it is not."""
        self._seats.pop(jid, None)

    async def _sit(self, jid: str, nick: str) -> str:
        if (joining := self._joining.get(jid)) is not None:
            return await asyncio.shield(joining)
        joining = self._joining[jid] = asyncio.get_running_loop().create_future()
        presence = disco.presence(jid.partition("/")[0], f"{self.place.jid}/{nick}", self._link.new_id())
        xml.child(xml.child(presence, xml.MUC, "x"), xml.MUC, "history", maxstanzas="0")
        try:
            self._link.post(presence)
            async with asyncio.timeout(ENTER_SECONDS):
                return await joining
        finally:
            del self._joining[jid]

    def presence(self, stanza: Element) -> None:
        """Take a presence that the room sent to one of us."""
        us, nick, kind = stanza.get("to", ""), names.resource(stanza.get("from", "")), stanza.get("type")
        joining = self._joining.get(us)
        if kind == "error":
            if joining is not None and not joining.done():
                joining.set_exception(bounces.read(stanza))
            return
        codes = {each.get("code") for each in stanza.iterfind(f"{{{xml.MUC_USER}}}x/{{{xml.MUC_USER}}}status")}
        if "110" in codes:
            self._own_presence(us, nick, kind, codes)
        if us == self.listener:
            self.speakers.presence(stanza)

    def _own_presence(self, us: str, nick: str, kind: str | None, codes: set[str | None]) -> None:
        joining = self._joining.get(us)
        if kind == "unavailable":
            self.unseat(us)
            if us == self.listener:
                self._out.set()
            log.warning("put out of the room", room=self.place.jid, who=us, codes=sorted(filter(None, codes)))
            return
        self._seats[us] = nick
        if us == self.listener:
            self.speakers.open_jids = "100" in codes
        if joining is not None and not joining.done():
            joining.set_result(nick)

    # --- hearing --------------------------------------------------------------------------------------------------

    def message(self, stanza: Element) -> None:
        """Take a message of the room that came to the listener."""
        mark(stanza, self.speakers.speaking(stanza))
        if self._held is not None and not self._is_ours(stanza):
            self._held.append(stanza)
        else:
            self._hear(stanza)

    async def _catch_up(self) -> None:
        """Hear what the archive has from after the last message heard; the first time, only take note of the end."""
        try:
            if self.last is None:
                await self._begin()
            else:
                await self._replay(self.last)
        except StanzaError as error:
            if error.condition == "item-not-found" and self.last:
                # The archive no longer has the last message we heard: all that it has is newer.
                log.warning("the archive does not reach back to where we stopped", room=self.place.jid)
                await self._replay("")
            else:
                log.warning("this room has no archive", room=self.place.jid, reason=str(error))

    async def _begin(self) -> None:
        """Find where we came in, in an earlier run or just now."""
        key = f"room/{self.place.jid}"
        stored = await self._store.get(key)
        if stored is not None:
            self.last = stored.decode()
            await self._replay(self.last)
            return
        last = ""
        async for each in self._archive.latest(self.place.jid, self.listener, 1):
            last = each.id
            break
        await self._store.put(key, last.encode())
        self.last = last

    async def _replay(self, after: str) -> None:
        count = 0
        async for each in self._archive.after(self.place.jid, self.listener, after):
            stanza = each.stanza
            for old in stanza.findall(xml.q(xml.SID, "stanza-id")):
                stanza.remove(old)
            xml.child(stanza, xml.SID, "stanza-id", by=self.place.jid, id=each.id)
            if each.at is not None and stanza.find(xml.q(xml.DELAY, "delay")) is None:
                xml.child(stanza, xml.DELAY, "delay", stamp=codec.stamp(each.at))
            mark(stanza, self.speakers.archived(stanza))
            self._hear(stanza)
            count += 1
        if count:
            log.info("caught up", room=self.place.jid, messages=count)

    async def wrote(self, speaker: Speaker, number: str) -> bool:
        """Say whether ``speaker`` has surely written the message ``number``."""
        author = self.speakers.author(number)
        if author is None and number:
            author = await self._looked_up(number)
        return author is not None and speaker.is_surely(author)

    async def _looked_up(self, number: str) -> Speaker | None:
        """Ask the archive who wrote a message; one that keeps us waiting is not asked again for a while.

        What others say, here and elsewhere, waits behind this.
        """
        now = asyncio.get_running_loop().time()
        if now < self._mute_until:
            return None
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                archived = await self._archive.one(self.place.jid, self.listener, number)
        except TimeoutError:
            self._mute_until = now + MUTE_SECONDS
            return None
        except (StanzaError, LinkLost):
            return None
        return self.speakers.archived(archived.stanza) if archived is not None else None

    # --- what -----------------------------------------------------------------------------------------------------

    def _hear(self, stanza: Element) -> None:
        """Take note of a message, ours or theirs; one that brings out a defect is passed over."""
        try:
            self._heard_now(stanza)
        except Exception:
            log.exception("a defect: a message of the room was left out", room=self.place.jid)

    def _heard_now(self, stanza: Element) -> None:
        if stanza.get("from", "").partition("/")[0] != self.place.jid:
            log.warning("a message of somebody else in the room's archive was left out", room=self.place.jid)
            return
        try:
            number = codec.archive_id(stanza, self.place)
        except StanzaRefused as refused:
            log.warning("a message of the room was left out", room=self.place.jid, reason=refused.text)
            return
        nick = names.resource(stanza.get("from", ""))
        if number:
            if number in self._senders:
                return  # heard already: it stood in the archive and came live as well
            note(self._senders, number, nick)
            self.speakers.wrote(number, speaker_of(stanza))
        if self._is_ours(stanza):
            self._reflected(stanza, number, nick)
        elif nick and stanza.get("type") == "groupchat":
            self._heard(stanza)
        if number:
            self.last = number

    def _is_ours(self, stanza: Element) -> bool:
        return stanza.find(xml.q(xml.SENT, "sent")) is not None

    def _key(self, stanza: Element) -> str:
        """Return the id that we gave to a stanza with our mark; '' if a stranger has borrowed the mark for another."""
        try:
            return codec.origin_id(stanza)
        except StanzaRefused:
            return ""

    def _reflected(self, stanza: Element, number: str, nick: str) -> None:
        key = self._key(stanza)
        if not number or not key:
            return
        note(self._numbers, key, number)
        note(self._origins, number, key)
        if key not in self._expected:
            self._alias(self.place.by(nick, key), self.place.native(number))

    # --- numbers --------------------------------------------------------------------------------------------------

    @contextmanager
    def expecting(self, key: str) -> Iterator[None]:
        """While we ask for the ``number`` of the stanza with this id ourselves, nobody needs an alias for it."""
        self._expected.add(key)
        try:
            yield
        finally:
            self._expected.discard(key)

    def number(self, key: str) -> str:
        """Return the archive id that the room has given to our stanza with this id, '' if it gave none."""
        return self._numbers.get(key, "")

    def nick_of(self, jid: str) -> str:
        """Return the nickname of a puppet, '' if it has no seat."""
        return self._seats.get(jid, "")

    async def origin(self, number: str) -> str:
        """Return the id that we gave to the message ``number``. Raises ``StanzaRefused`` if nobody knows it."""
        if number in self._origins:
            return self._origins[number]
        try:
            archived = await self._archive.one(self.place.jid, self.listener, number)
        except StanzaError:
            archived = None
        if archived is None:
            raise StanzaRefused("item-not-found", "the room does not know the message to be corrected any more")
        return codec.origin_id(archived.stanza)

    def sender(self, number: str) -> str:
        """Return the nickname of who sent the message ``number``, '' if that is not remembered."""
        return self._senders.get(number, "")

    async def find(self, key: str, since: int) -> tuple[str, str] | None:
        """Return archive id and nickname of our stanza ``key``, sent after ``since`` (ms); None if it is not there.

        Raises what ``Archive`` raises.
        """
        async for each in self._archive.latest(self.place.jid, self.listener):
            if each.at is not None and each.at < since:
                return None
            if self._is_ours(each.stanza) and self._key(each.stanza) == key:
                return each.id, names.resource(each.stanza.get("from", ""))
        return None


def nickname(name: str) -> str:
    """Return a name as it may stand in a room: one line, no control characters, not too long."""
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())[:MAX_NICK].strip()
