"""Message stanzas from people of this network to events for the endpoint, one at a time in the order of the stream."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from xml.etree.ElementTree import Element

import msgspec
import structlog
from msgspec import Struct

from adapters.contract import (
    Conversation,
    Direct,
    Event,
    Group,
    Inbound,
    Message,
    Profile,
    Receipt,
    Refused,
    Store,
    TypingNotice,
)
from adapters.xmpp import bounces, codec, disco, names, xml
from adapters.xmpp.config import XmppConfig
from adapters.xmpp.errors import LinkLost, NameRefused, StanzaRefused
from adapters.xmpp.link import Link
from adapters.xmpp.muc import RoomSession
from adapters.xmpp.names import Chat, Place, Room
from adapters.xmpp.reactions import Reactions
from adapters.xmpp.recall import Recall
from adapters.xmpp.speakers import speaker_of
from protocol.content import NullPart
from protocol.status import Status

MAX_OWED = 10_000
_PASSED = "passed/"

log = structlog.get_logger("adapters.xmpp.inbound")


class Origin(Struct, frozen=True):
    """Where a stanza was said, and by whom."""

    place: Place
    conversation: Conversation
    sender: Profile
    native_id: str = ""
    aliases: tuple[str, ...] = ()
    cursor: str | None = None


class Inbox:
    """What one account hears."""

    def __init__(
        self,
        link: Link,
        config: XmppConfig,
        rooms: Mapping[str, RoomSession],
        reactions: Reactions,
        recall: Recall,
        store: Store,
        network: str = names.NETWORK,
    ) -> None:
        self.positions: dict[str, str] = {}  # room to the archive id of the last message handed over
        self._link, self._config, self._rooms = link, config, rooms
        self._reactions, self._recall, self._network = reactions, recall, network
        self._store = store
        self._passed: dict[str, tuple[str, str]] = {}  # room to the cursor's id and the id passed over behind it
        self._owed: list[Element] = []  # receipts and errors that wait for the stream to come back
        self._tasks: set[asyncio.Task[None]] = set()

    def pay(self) -> None:
        """Send the receipts and errors that could not be sent while the stream was down."""
        owed, self._owed = self._owed, []
        for each in owed:
            self.answer(each)

    def answer(self, stanza: Element) -> None:
        """Send a stanza now, or when the stream is back."""
        try:
            self._link.post(stanza)
        except LinkLost:
            if len(self._owed) < MAX_OWED:
                self._owed.append(stanza)

    async def events(self, stanza: Element) -> list[Event]:
        """Return what a message stanza says; what cannot be carried is answered with an error and says nothing."""
        before = dict(self.positions)
        try:
            origin = self._origin(stanza)
            if origin is None:
                return []
            self._check_size(stanza)
            incoming = codec.decode(stanza, origin.place, _author(stanza))
            await self._check_author(stanza, incoming, origin)
            return await self._heard(stanza, incoming, origin)
        except NameRefused as error:
            self._refuse(stanza, StanzaRefused("item-not-found", str(error), "cancel"))
        except StanzaRefused as error:
            self._refuse(stanza, error)
        except Exception:  # one stanza that we cannot bear must stop no other
            log.exception("a defect: a stanza was passed over", sender=stanza.get("from"))
            text = "This message brought out a defect of the bridge; it was not carried."
            self._refuse(stanza, StanzaRefused("internal-server-error", text, "cancel"))
        await self._pass_over(before)
        return []

    async def _pass_over(self, before: Mapping[str, str]) -> None:
        """Remember that a room was heard beyond a message of which the endpoint is told nothing.

        The cursor comes with the next event only; without this, what was refused would come out of the archive, and be
        refused, at each start.
        """
        for room, number in self.positions.items():
            if before.get(room) != number:
                since = self._passed.get(room, (before.get(room, ""),))[0]
                self._passed[room] = (since, number)
                await self._store.put(_PASSED + room, msgspec.json.encode((since, number)))

    async def resume(self, positions: Mapping[str, str]) -> None:
        """Go on after these archive ids, the cursor's, and after what was passed over behind them."""
        self.positions.update(positions)
        for key, value in await self._store.scan(_PASSED):
            since, number = msgspec.json.decode(value, type=tuple[str, str])
            if self.positions.get(key.removeprefix(_PASSED), "") == since:
                self.positions[key.removeprefix(_PASSED)] = number

    async def _check_author(self, stanza: Element, incoming: codec.Incoming, origin: Origin) -> None:
        """Refuse a retraction in a room unless it is surely by who wrote the message; nicknames change hands.

        A correction needs no such look: it names the message by its author, and one by another means none.
        """
        if not isinstance(incoming, codec.Said) or not isinstance(origin.place, Room):
            return
        message = incoming.message
        if isinstance(message.part, NullPart) and message.replaces is not None:
            number = origin.place.wire(message.replaces)
            if not await self._rooms[origin.place.jid].wrote(speaker_of(stanza), number):
                raise StanzaRefused(
                    "forbidden", "Only who wrote a message may retract it, and that cannot be told of this one.", "auth"
                )

    # --- where and who --------------------------------------------------------------------------------------------

    def _origin(self, stanza: Element) -> Origin | None:
        """Return where a stanza belongs, None if it is nothing to hand over. Raises ``NameRefused``."""
        from_, to = stanza.get("from", ""), stanza.get("to", "")
        room = self._rooms.get(from_.partition("/")[0])
        if room is not None:
            if stanza.get("type") == "groupchat":
                return self._in_room(stanza, room)
            raise StanzaRefused("feature-not-implemented", "Private messages in a room are not carried.", "cancel")
        local, at, _ = to.partition("/")[0].rpartition("@")
        if not at:
            raise StanzaRefused(
                "item-not-found",
                f"Write to a person, as in matrix~\\40romeo\\3aexample.org@{self._config.component}.",
                "cancel",
            )
        person, user = names.person(local, self._network), names.user_address(from_, self._network)
        place = Chat(user.id, f"{local}@{self._config.component}")
        given = codec.origin_id(stanza)
        id_ = given or self._link.new_id()
        return Origin(
            place,
            Direct(user, person),
            Profile(user, xml.text_of(stanza, xml.NICK, "nick")),
            place.unique(id_, codec.words(stanza)),
            (place.native(id_),) if given else (),
        )

    def _in_room(self, stanza: Element, room: RoomSession) -> Origin | None:
        from_ = stanza.get("from", "")
        nick = names.resource(from_)
        number, id_ = codec.archive_id(stanza, room.place), codec.origin_id(stanza)
        speaker = speaker_of(stanza)
        jid, own = speaker.jid, self._network
        address = names.user_address(jid, own) if jid else names.occupant_address(from_, own)
        # Without a key nobody can say later that this was theirs: then it has no name but the room's, or its own.
        by = tuple(room.place.by(key, id_) for key in speaker.keys) if id_ else ()
        cursor = None
        if number:
            self.positions[room.place.jid] = number
            cursor = msgspec.json.encode(self.positions).decode()
        return Origin(
            room.place,
            Group(room.place.jid),
            Profile(address, nick),
            room.place.native(number)
            if number
            else room.place.by(_author(stanza), id_ or self._link.new_id(), codec.words(stanza)),
            by,
            cursor,
        )

    def _check_size(self, stanza: Element) -> None:
        size = len((stanza.findtext(xml.BODY) or "").encode())
        if size > self._config.max_text_bytes:
            raise StanzaRefused(
                "policy-violation", f"This message has {size} octets; {self._config.max_text_bytes} can be carried."
            )

    # --- what -----------------------------------------------------------------------------------------------------

    async def _heard(self, stanza: Element, incoming: codec.Incoming, origin: Origin) -> list[Event]:
        match incoming:
            case codec.Said(message=message):
                return [self._said(stanza, incoming, origin, message)]
            case codec.Reacted():
                return await self._reacted(stanza, incoming, origin)
            case codec.Arrived(native_ids=native_ids, status=status):
                return [
                    Receipt(
                        conversation=origin.conversation,
                        sender=origin.sender,
                        native_ids=native_ids,
                        status=status,
                        cursor=origin.cursor,
                    )
                ]
            case codec.Composing(active=active):
                return [TypingNotice(conversation=origin.conversation, sender=origin.sender, active=active)]
            case codec.Bounced(id=id_, error=error):
                # The server had taken it and a remote one refused it later: what was sent has failed.
                log.warning("late bounce", stanza=id_, sender=stanza.get("from"), condition=error.condition)
                if id_ and isinstance(origin.place, Chat):
                    return [
                        Receipt(
                            conversation=origin.conversation,
                            sender=origin.sender,
                            native_ids=(origin.place.native(id_),),
                            status=Status.ERROR,
                            reason=bounces.reason(error),
                            text=str(error),
                        )
                    ]
        return []

    def _said(self, stanza: Element, said: codec.Said, origin: Origin, message: Message) -> Inbound:
        author = stanza.get("from", "")
        self._recall.note_client(origin.native_id, author)
        if message.replaces is None:
            quoted = author if isinstance(origin.place, Room) else author.partition("/")[0]
            self._recall.note(origin.native_id, quoted, message, *origin.aliases)
        return Inbound(
            native_id=origin.native_id,
            conversation=origin.conversation,
            sender=origin.sender,
            message=message,
            cursor=origin.cursor,
            aliases=origin.aliases,
            sent_at=said.sent_at,
            acknowledge=lambda refused: self._acknowledged(stanza, refused, receipt=said.wants_receipt),
        )

    async def _reacted(self, stanza: Element, reacted: codec.Reacted, origin: Origin) -> list[Event]:
        who = speaker_of(stanza).key or str(origin.sender.address)
        messages, held = await self._reactions.changes(who, reacted.target, reacted.emoji, origin.native_id)
        self._recall.note_client(origin.native_id, stanza.get("from", ""))
        left = len(messages)
        if not messages:
            self._acknowledged(stanza, None, receipt=reacted.wants_receipt)

        def acknowledge(refused: Refused | None) -> None:
            nonlocal left
            left -= 1
            if refused is not None:
                self._reactions.drop(who, reacted.target, held)
                self._acknowledged(stanza, refused, receipt=False)
            elif not left:
                self._acknowledged(stanza, None, receipt=reacted.wants_receipt)
                self._later(self._reactions.keep(who, reacted.target, held))

        return [
            Inbound(
                native_id=native_id,
                conversation=origin.conversation,
                sender=origin.sender,
                message=message,
                cursor=origin.cursor if message is messages[-1][1] else None,
                sent_at=reacted.sent_at,
                acknowledge=acknowledge,
            )
            for native_id, message in messages
        ]

    # --- answers --------------------------------------------------------------------------------------------------

    def _acknowledged(self, stanza: Element, refused: Refused | None, *, receipt: bool) -> None:
        """Tell the sender: a receipt once the message is durable, an error if it was refused and they do not know."""
        if refused is not None:
            if refused.quiet:
                return
            self._refuse(stanza, bounces.refusal(refused))
        elif receipt and stanza.get("type") != "groupchat" and stanza.get("id"):
            from_ = f"{stanza.get('to', '').partition('/')[0]}/{disco.RESOURCE}"
            way = codec.Outgoing(id=self._link.new_id(), from_=from_, to=stanza.get("from", ""))
            self.answer(codec.encode_signal(xml.RECEIPTS, "received", way, stanza.get("id")))

    def _refuse(self, stanza: Element, refused: StanzaRefused) -> None:
        log.warning("refused", sender=stanza.get("from"), condition=refused.condition, reason=refused.text)
        if stanza.get("type") == "error" or not _says_something(stanza):
            return  # an error is never answered with one (RFC 6120, 8.3.1), and a typing state needs none
        if stanza.get("type") == "groupchat":
            self.answer(self.private_notice(stanza.get("from", ""), f"Not carried: {refused.text}"))
        else:
            self.answer(bounces.write(stanza, refused))

    def private_notice(self, occupant: str, text: str) -> Element:
        """Return a message for one occupant of a room only, from the bridge."""
        from_ = f"{self._config.component}/{disco.RESOURCE}"
        notice = xml.stanza(xml.MESSAGE, type="chat", from_=from_, to=occupant, id=self._link.new_id())
        xml.child(notice, xml.MUC_USER, "x")
        xml.child(notice, xml.CLIENT, "body", text)
        return notice

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait for what is still being stored."""
        if self._tasks:
            await asyncio.wait(self._tasks)


def _author(stanza: Element) -> str:
    """Return what a room's occupants are told apart by: for one who cannot be told, what is nobody's."""
    return speaker_of(stanza).key or f"unknown {names.resource(stanza.get('from', ''))}"


def _says_something(stanza: Element) -> bool:
    tags = (xml.BODY, xml.q(xml.RETRACT, "retract"), xml.q(xml.REACTIONS, "reactions"), xml.q(xml.OOB, "x"))
    return any(stanza.find(tag) is not None for tag in tags) or any(
        stanza.find(xml.q(namespace, "encrypted")) is not None for namespace in xml.OMEMO
    )
