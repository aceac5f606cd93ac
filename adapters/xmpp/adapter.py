"""The XMPP adapter: one component of an XMPP server, under which everybody of the other networks has an address.

What comes in goes through one queue, in the order of the stream: ``receive`` decodes it with the pure codec and yields
it. What goes out is confirmed by the server (see ``link``) before ``send`` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import ClassVar
from xml.etree.ElementTree import Element

import msgspec
import structlog

from adapters.contract import (
    REPLAYED,
    Account,
    AdapterInfo,
    Alias,
    Conversation,
    Cursor,
    Delivery,
    Event,
    Permanent,
    Profile,
    Reason,
    Retry,
    Sent,
    StatusUpdate,
    Unreachable,
)
from adapters.xmpp import abilities, bounces, codec, disco, names, xml
from adapters.xmpp.archive import Archive
from adapters.xmpp.config import XmppConfig
from adapters.xmpp.errors import LinkLost, NameRefused, StanzaRefused
from adapters.xmpp.inbound import Inbox
from adapters.xmpp.link import Link
from adapters.xmpp.media import Files
from adapters.xmpp.muc import RoomSession
from adapters.xmpp.names import Chat
from adapters.xmpp.outbound import Outbox
from adapters.xmpp.presence import Contacts
from adapters.xmpp.reactions import Reactions
from adapters.xmpp.recall import Recall
from adapters.xmpp.sentlog import SentLog
from adapters.xmpp.services import Services
from protocol.capabilities import Capabilities
from protocol.content import ExternalPart
from protocol.status import Status

LOOK_AGAIN_SECONDS = 5.0
MANY = 2_000
"""So many stanzas may wait to be taken before the server is asked to hold back."""

log = structlog.get_logger("adapters.xmpp")


class Xmpp:
    """One account: a component of an XMPP server."""

    info: ClassVar[AdapterInfo] = AdapterInfo(names.NETWORK, "XMPP", XmppConfig)

    async def open(self, account: Account[XmppConfig]) -> None:
        """Connect and sign in; see the contract."""
        self._config: XmppConfig = account.config
        component, network = self._config.component, account.network or names.NETWORK
        self._network = network
        self._link = Link(
            component,
            self._config.shared_secret(),
            self._config.host,
            self._config.port,
            on_stanza=self._take,
            on_up=self._up,
            on_down=self._down,
        )
        self._stanzas: asyncio.Queue[Element | Alias] = asyncio.Queue()
        self._paused = False
        self._life: list[asyncio.Task[None]] = []  # what runs while the stream is up
        self._archive = Archive(self._link)
        self._services = Services(self._link, self._config)
        self._sent_log = SentLog(self._link, self._archive, account.store, account.now)
        self._files = Files(self._link, limit=self._config.max_file_bytes, hosts=self._config.media_hosts)
        self._contacts = Contacts(self._link, account.store, network)
        recall, reactions = Recall(), Reactions(account.store)
        self._recall = recall
        self._rooms = {jid: self._room(jid, account) for jid in map(names.bare, account.groups)}
        self._inbox = Inbox(self._link, self._config, self._rooms, reactions, recall, account.store, network)
        self._outbox = Outbox(
            self._link,
            component,
            rooms=self._rooms,
            reactions=reactions,
            recall=recall,
            files=self._files,
            sent_log=self._sent_log,
            now=account.now,
            network=network,
        )
        self._receiving = False
        self._found = asyncio.Event()
        await self._contacts.load()
        try:
            await self._link.open()
            async with asyncio.timeout(30):
                await self._found.wait()
        except TimeoutError:
            await self._link.close()
            raise Retry("the XMPP server does not say which services it has") from None
        except BaseException:
            await self._link.close()
            raise

    def _room(self, jid: str, account: Account[XmppConfig]) -> RoomSession:
        return RoomSession(
            jid,
            self._config.nick,
            link=self._link,
            archive=self._archive,
            store=account.store,
            heard=self._queue,
            alias=lambda native_id, alias: self._queue(Alias(native_id=native_id, alias=alias)),
        )

    async def capabilities(self, conversation: Conversation) -> Capabilities:
        """Say what a chat or a room can show."""
        is_room = conversation.key in self._rooms
        return abilities.capabilities(self._config, room=is_room, files=bool(self._files.service))

    async def close(self) -> None:
        """Say goodbye and end every task."""
        with contextlib.suppress(AttributeError, LinkLost):
            self._contacts.withdraw()
        if hasattr(self, "_link"):
            self._down()
            await asyncio.gather(*self._life, return_exceptions=True)
            await self._inbox.settle()
            await self._link.close()
            await self._files.close()

    # --- the stream -----------------------------------------------------------------------------------------------

    def _up(self) -> None:
        self._inbox.pay()
        self._contacts.announce()
        self._life = [asyncio.create_task(self._look_around(), name="xmpp services")]
        if self._receiving:
            self._enter_rooms()

    def _down(self) -> None:
        for task in self._life:
            task.cancel()
        for room in self._rooms.values():
            room.left()
        self._sent_log.close()

    async def _look_around(self) -> None:
        """Find the server's services, and open the log of what was sent; try again while it should be there."""
        while True:
            found = await self._services.find()
            self._files.service = found.upload or self._files.service
            await self._sent_log.open(found.sent_log)
            self._found.set()
            if self._sent_log.usable or not self._sent_log.wanted:
                return
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    def _log_is_broken(self) -> None:
        """A line came back: somebody put us out of the room, or destroyed it. Send nothing until it is open again."""
        log.error("the log of what was sent was lost; opening it again")
        self._sent_log.close()
        self._life.append(asyncio.create_task(self._look_around(), name="xmpp services"))

    def _enter_rooms(self) -> None:
        for room in self._rooms.values():
            self._life.append(asyncio.create_task(room.stay(self._config.self_ping_seconds), name=room.place.jid))

    def _take(self, stanza: Element) -> None:
        """Deal with what arrives on the stream: at once where an answer is enough, else through the queue."""
        if stanza.tag == xml.MESSAGE:
            self._take_message(stanza)
        elif stanza.tag == xml.PRESENCE:
            self._take_presence(stanza)
        elif stanza.get("type") in {"get", "set"}:
            self._take_iq(stanza)

    def _take_message(self, stanza: Element) -> None:
        if self._archive.take(stanza):
            return
        sender = stanza.get("from", "").partition("/")[0]
        room = self._rooms.get(sender)
        if room is not None and stanza.get("type") == "groupchat":
            if stanza.get("to") == room.listener:
                room.message(stanza)  # the puppets hear it too; one is enough
        elif self._sent_log.holds(sender):
            if stanza.get("type") == "error" and self._sent_log.usable:
                self._log_is_broken()
        elif stanza.find(xml.q(_PRIVILEGE, "privilege")) is None:
            self._queue(stanza)

    def _take_presence(self, stanza: Element) -> None:
        room = self._rooms.get(stanza.get("from", "").partition("/")[0])
        if room is not None:
            room.presence(stanza)
        elif stanza.get("type") in {"subscribe", "unsubscribe", "probe"}:
            self._queue(stanza)

    def _take_iq(self, iq: Element) -> None:
        local, at, _ = iq.get("to", "").partition("/")[0].rpartition("@")
        try:
            name = self._contacts.name(names.person(local, self._network)) if at else None
            answer = disco.answer(iq, name)
        except NameRefused as error:
            answer = bounces.write(iq, StanzaRefused("item-not-found", str(error), "cancel"))
        except Exception:  # who asks is always answered (RFC 6120 §8.2.3)
            log.exception("a defect: a question was refused", sender=iq.get("from"))
            answer = bounces.write(iq, StanzaRefused("internal-server-error", "A defect of the bridge.", "cancel"))
        if answer is None:
            answer = bounces.write(iq, StanzaRefused("service-unavailable", "This is not offered here.", "cancel"))
        with contextlib.suppress(LinkLost):
            self._link.post(answer)

    def _queue(self, stanza: Element | Alias) -> None:
        self._stanzas.put_nowait(stanza)
        if not self._paused and self._stanzas.qsize() > MANY:
            self._paused = True
            self._link.pause()

    # --- in -------------------------------------------------------------------------------------------------------

    async def receive(self, cursor: Cursor | None) -> AsyncIterator[Event]:
        """Yield what people of this network say; the cursor is where each room's archive was left."""
        await self._inbox.resume(msgspec.json.decode(cursor, type=dict[str, str]) if cursor else {})
        for jid, room in self._rooms.items():
            room.last = self._inbox.positions.get(jid)
        self._receiving = True
        if self._link.connected:
            self._enter_rooms()
        while True:
            stanza = await self._stanzas.get()
            if self._paused and self._stanzas.qsize() < MANY // 2:
                self._paused = False
                self._link.resume()
            if isinstance(stanza, Alias):
                yield stanza
            elif stanza.tag == xml.PRESENCE:
                try:
                    await self._presence(stanza)
                except Exception:  # one stanza that we cannot bear must stop no other
                    log.exception("a defect: a presence was passed over", sender=stanza.get("from"))
            else:
                for event in await self._inbox.events(stanza):
                    yield event

    async def _presence(self, stanza: Element) -> None:
        local, at, _ = stanza.get("to", "").partition("/")[0].rpartition("@")
        if not at:
            return
        try:
            names.person(local, self._network)
            user = names.bare(stanza.get("from", ""))
        except NameRefused as error:
            if stanza.get("type") == "subscribe":
                self._inbox.answer(bounces.write(stanza, StanzaRefused("item-not-found", str(error), "cancel")))
            return
        await self._contacts.take(stanza, f"{local}@{self._config.component}", user)

    # --- out ------------------------------------------------------------------------------------------------------

    async def send(self, delivery: Delivery, key: str) -> Sent:
        """Carry one message; the server has taken it when this returns."""
        await self._contacts.learn(delivery.sender)
        return await self._outbox.send(delivery, key)

    async def reconcile(self, delivery: Delivery, key: str) -> Sent | None:
        """Look up what became of a send that ended unsure."""
        return await self._outbox.reconcile(delivery, key)

    async def report(self, update: StatusUpdate, key: str) -> None:
        """Show the native sender that a message was read, or that it failed."""
        place = self._outbox.place(update.conversation)
        try:
            wire = place.wire(update.native_id)
        except NameRefused as error:
            raise Permanent(Reason.RECIPIENT_UNKNOWN, str(error)) from error
        if update.status is Status.READ and update.by is not None:
            marker = self._signal(update.conversation, update.by, key, xml.MARKERS, "displayed", wire)
            if marker is not None:
                self._post(marker)
        elif update.reason == REPLAYED and isinstance(place, Chat):
            self._post(bounces.notice(place.ghost, place.user, "A message to me was delivered after all.", key))
        elif update.status is Status.ERROR:
            failure = bounces.failure(update.reason, update.text)
            if isinstance(place, Chat):
                client = self._recall.client(update.native_id)
                self._post(bounces.failed(place.ghost, place.user, client, wire, failure, key))
            elif nick := self._rooms[place.jid].sender(wire):
                self._post(self._inbox.private_notice(f"{place.jid}/{nick}", f"Not delivered: {failure.text}"))
            else:
                log.warning("a failure that nobody can be told", room=place.jid, reason=update.reason)

    async def typing(self, conversation: Conversation, sender: Profile, active: bool) -> None:
        """Show that a person of another network types, or has stopped."""
        state = "composing" if active else "paused"
        signal = self._signal(conversation, sender, self._link.new_id(), xml.CHATSTATES, state, None)
        if signal is not None:
            self._post(signal)

    def _signal(
        self, conversation: Conversation, who: Profile, id_: str, namespace: str, name: str, target: str | None
    ) -> Element | None:
        """Return a marker or a typing state; None in a room where this person has no seat yet."""
        place = self._outbox.place(conversation)
        if isinstance(place, Chat):
            from_ = f"{place.ghost}/{disco.RESOURCE}"
            way = codec.Outgoing(id=id_, from_=from_, to=place.user)
        else:
            from_ = f"{names.ghost_jid(who.address, self._config.component, self._network)}/{disco.RESOURCE}"
            if not self._rooms[place.jid].nick_of(from_):
                return None
            way = codec.Outgoing(id=id_, from_=from_, to=place.jid, type="groupchat")
        return codec.encode_signal(namespace, name, way, target)

    def _post(self, stanza: Element) -> None:
        try:
            self._link.post(stanza)
        except LinkLost as error:
            raise Unreachable(str(error)) from error

    # --- files and health -----------------------------------------------------------------------------------------

    def fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        """Stream a file that somebody linked to."""
        return self._files.fetch(part)

    def health(self) -> Mapping[str, object]:
        """Say whether the stream is up, and what of the server is in use."""
        return {
            "connected": self._link.connected,
            "since": self._link.since,
            "refused": self._link.refused,
            "waiting": self._stanzas.qsize(),
            "sent_log": self._sent_log.usable,
            "upload": self._files.service,
            "rooms": {jid: room.entered for jid, room in self._rooms.items()},
        }


_PRIVILEGE = "urn:xmpp:privilege:2"
