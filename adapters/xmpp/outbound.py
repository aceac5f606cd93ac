"""Deliveries to stanzas, sent and confirmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element

from msgspec import Struct, structs

from adapters.contract import (
    Conversation,
    Delivery,
    Direct,
    Message,
    Outcome,
    Permanent,
    Reason,
    Retry,
    Sent,
    SignedOut,
    Unreachable,
    Unsure,
)
from adapters.xmpp import bounces, codec, disco, names, xml
from adapters.xmpp.errors import LinkLost, NameRefused, StanzaError, StanzaRefused
from adapters.xmpp.link import Link
from adapters.xmpp.media import Files
from adapters.xmpp.muc import RoomSession
from adapters.xmpp.names import Chat, Place, Room
from adapters.xmpp.reactions import Held, Reactions
from adapters.xmpp.recall import Recall
from adapters.xmpp.sentlog import SentLog
from protocol.content import Disposition, ExternalPart, NullPart, SinglePart

MAX_STANZA_BYTES = 256 * 1024
"""Servers end the whole stream for a stanza that is too large (512 KiB in Prosody): refuse it before."""
ARCHIVE_SLACK_MS = 10 * 60_000
"""How much earlier than its first attempt a message is looked for in a room's archive: clocks differ."""
LATE_MS = 60_000
"""A message that is delivered later than this says when it was sent."""


class _Draft(Struct, frozen=True):
    """A stanza, and the set of reactions (whose, to what, which) to keep once it has gone out."""

    stanza: Element
    reactions: tuple[str, str, Held] | None = None


class Outbox:
    """What one account says."""

    def __init__(
        self,
        link: Link,
        component: str,
        *,
        rooms: Mapping[str, RoomSession],
        reactions: Reactions,
        recall: Recall,
        files: Files,
        sent_log: SentLog,
        now: Callable[[], int],
        network: str = names.NETWORK,
    ) -> None:
        self._link, self._component, self._network = link, component, network
        self._rooms, self._reactions, self._recall = rooms, reactions, recall
        self._files, self._sent_log, self._now = files, sent_log, now

    async def send(self, delivery: Delivery, key: str) -> Sent:
        """Send one delivery and return when the server has taken it. Raises an ``Outcome``."""
        if self._link.refused:
            raise SignedOut(self._link.refused)
        place = self.place(delivery.conversation)
        try:
            way = await self._way(delivery, place, key)
            draft = await self._draft(delivery, place, way)
            return await self._confirmed(draft, place, way, delivery)
        except StanzaError as error:
            raise self._bounced(error, delivery, place) from error
        except LinkLost as error:
            raise (Unsure(str(error)) if error.written else Unreachable(str(error))) from error
        except NameRefused as error:
            raise Permanent(Reason.RECIPIENT_UNKNOWN, str(error)) from error
        except StanzaRefused as error:
            raise Permanent(Reason.UNSUPPORTED, str(error)) from error
        except TimeoutError:
            raise Retry("the room does not answer") from None

    async def reconcile(self, delivery: Delivery, key: str) -> Sent | None:
        """Look up what became of a send: in the room's archive, or in the log of what was sent."""
        place = self.place(delivery.conversation)
        try:
            if isinstance(place, Chat):
                if not await self._sent_log.find(key, delivery.at):
                    return None
                sent = Sent(place.native(key), delivered=names.is_local(place.user, self._component))
                return await self._found(delivery, sent, place.native(key))
            session = self._rooms[place.jid]
            if not session.entered:
                raise Retry("the room is not entered yet")
            found = await session.find(key, delivery.at - ARCHIVE_SLACK_MS)
        except StanzaError as error:
            raise Unsure(f"the archive does not answer: {error}") from error
        except LinkLost as error:
            raise Unreachable(str(error)) from error
        if found is None:
            return None
        number, nick = found
        own_id = place.by(nick, key)
        return await self._found(delivery, Sent(place.native(number), (own_id,), delivered=True), own_id)

    async def _found(self, delivery: Delivery, sent: Sent, own_id: str) -> Sent:
        """Catch up on what was not noted about a message that did go out."""
        message, who = delivery.message, str(delivery.sender.address)
        if _is_reaction(message) and message.in_reply_to and isinstance(message.part, SinglePart):
            held = await self._reactions.added(who, message.in_reply_to, message.part.text, own_id)
            await self._keep((who, message.in_reply_to, held), own_id, sent)
        elif isinstance(message.part, NullPart) and message.replaces:
            withdrawn = await self._reactions.withdrawn(message.replaces)
            if withdrawn is not None:
                await self._reactions.keep(*withdrawn)
        return sent

    def place(self, conversation: Conversation) -> Place:
        """Return a conversation as native ids know it. Raises ``Permanent`` if it cannot be one."""
        try:
            if isinstance(conversation, Direct):
                return Chat(conversation.local.id, names.ghost_jid(conversation.peer, self._component, self._network))
            return self._rooms[conversation.id].place
        except NameRefused as error:
            raise Permanent(Reason.RECIPIENT_UNKNOWN, str(error)) from error
        except KeyError:
            raise Permanent(Reason.RECIPIENT_UNKNOWN, f"{conversation.key} is not plumbed") from None

    # --- drafting -------------------------------------------------------------------------------------------------

    async def _way(self, delivery: Delivery, place: Place, key: str) -> codec.Outgoing:
        late = delivery.at if self._now() - delivery.at > LATE_MS else None
        if isinstance(place, Chat):
            from_ = f"{place.ghost}/{disco.RESOURCE}"
            return codec.Outgoing(id=key, from_=from_, to=place.user, name=delivery.sender.name, at=late)
        ghost = names.ghost_jid(delivery.sender.address, self._component, self._network)
        from_ = f"{ghost}/{disco.RESOURCE}"
        session = self._rooms[place.jid]
        await session.seat(from_, delivery.sender.name or delivery.sender.address.id, delivery.sender.address.network)
        return codec.Outgoing(id=key, from_=from_, to=place.jid, type="groupchat", at=late)

    async def _draft(self, delivery: Delivery, place: Place, way: codec.Outgoing) -> _Draft:
        message, part = delivery.message, delivery.message.part
        if isinstance(part, NullPart):
            return await self._withdrawal(place, way, message.replaces)
        if _is_reaction(message) and isinstance(part, SinglePart) and message.in_reply_to:
            who, target = str(delivery.sender.address), message.in_reply_to
            held = await self._reactions.added(who, target, part.text, self._own_id(place, way))
            return _Draft(codec.encode_reactions(self._target(place, target), tuple(held), way), (who, target, held))
        if message.replaces:
            way = structs.replace(way, correct=await self._corrected(place, message.replaces))
        if message.in_reply_to:
            quote = self._recall.quote(message.in_reply_to)
            way = structs.replace(way, reply=self._target(place, message.in_reply_to), quote=quote)
        if isinstance(part, ExternalPart):
            way = structs.replace(way, url=await self._files.upload(part, delivery.open(part)))
        return _Draft(codec.encode(part, way))

    async def _withdrawal(self, place: Place, way: codec.Outgoing, target: str | None) -> _Draft:
        if target is None:
            raise StanzaRefused("feature-not-implemented", "an empty message")
        withdrawn = await self._reactions.withdrawn(target)
        if withdrawn is None:
            return _Draft(codec.encode_retraction(self._target(place, target), way))
        _, reacted_to, held = withdrawn
        return _Draft(codec.encode_reactions(self._target(place, reacted_to), tuple(held), way), withdrawn)

    def _own_id(self, place: Place, way: codec.Outgoing) -> str:
        """Return the native id of our stanza that is known before it is sent."""
        if isinstance(place, Chat):
            return place.native(way.id)
        return place.by(self._rooms[place.jid].nick_of(way.from_), way.id)

    def _target(self, place: Place, native_id: str) -> str:
        """Return the id by which replies, reactions and retractions name a message: in a room, the room's own."""
        wire = place.wire(native_id)
        if isinstance(place, Room) and place.is_by(native_id):
            return self._rooms[place.jid].number(wire) or wire
        return wire

    async def _corrected(self, place: Place, native_id: str) -> str:
        """Return the id by which a correction names a message: always the one that its author gave."""
        wire = place.wire(native_id)
        if isinstance(place, Chat) or place.is_by(native_id):
            return wire
        return await self._rooms[place.jid].origin(wire)

    # --- sending --------------------------------------------------------------------------------------------------

    async def _confirmed(self, draft: _Draft, place: Place, way: codec.Outgoing, delivery: Delivery) -> Sent:
        if len(xml.serialise(draft.stanza)) > MAX_STANZA_BYTES:
            raise Permanent(Reason.TOO_LARGE, f"a stanza of more than {MAX_STANZA_BYTES} octets")
        own_id = self._own_id(place, way)
        if isinstance(place, Chat):
            await self._sent_log.ready()
            await self._link.confirm(draft.stanza, journalled=True)
            sent, author = Sent(own_id, delivered=names.is_local(place.user, self._component)), place.ghost
        else:
            session = self._rooms[place.jid]
            with session.expecting(way.id):
                await self._link.confirm(draft.stanza)
                number = session.number(way.id)
            if number:  # the room has reflected it: everybody there has it
                sent = Sent(place.native(number), (own_id,), delivered=True)
            else:
                sent = Sent(own_id, delivered=names.is_local(place.jid, self._component))
            author = f"{place.jid}/{session.nick_of(way.from_)}"
        if draft.reactions is None:
            self._recall.note(sent.native_id, author, delivery.message, *sent.aliases)
        else:
            await self._keep(draft.reactions, own_id, sent)
        return sent

    async def _keep(self, reactions: tuple[str, str, Held], own_id: str, sent: Sent) -> None:
        who, target, held = reactions
        await self._reactions.keep(who, target, held)
        if own_id in held.values():
            for native_id in {own_id, sent.native_id, *sent.aliases}:
                await self._reactions.remember(who, target, native_id, own_id)

    def _bounced(self, error: StanzaError, delivery: Delivery, place: Place) -> Outcome:
        if isinstance(place, Room) and error.condition in {"not-acceptable", "conflict"}:
            # "You are not in this room": it, or we, forgot; the next attempt enters again.
            ghost = names.ghost_jid(delivery.sender.address, self._component, self._network)
            self._rooms[place.jid].unseat(f"{ghost}/{disco.RESOURCE}")
            return Retry(str(error), after=1.0)
        return bounces.outcome(error)


def _is_reaction(message: Message) -> bool:
    return message.part.disposition == Disposition.REACTION
