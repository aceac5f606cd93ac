"""What the program says and does: requests to ``/{phone_number_id}/messages`` become events.

A request is answered when its message is durable, not before; what the endpoint refuses is refused in the answer.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any, Final

from adapters.business import codec, wamid
from adapters.business.config import BusinessConfig, Number
from adapters.business.errors import InvalidParameter
from adapters.business.files import ANYTHING, RULES, File, FileRef, bare, check
from adapters.business.identity import Identities, Person
from adapters.business.inbox import Inbox
from adapters.business.links import Links
from adapters.business.media import LINK_LIFETIME, MediaStore
from adapters.business.webhooks import Flights
from adapters.contract import Direct, Inbound, Message, Profile, Receipt, Store, TypingNotice
from protocol.content import NullPart
from protocol.status import Status
from protocol.uri import Address

NETWORK: Final = "business"
_TYPING_SECONDS: Final = 25.0
"""How long the Cloud API shows that the business is typing, unless it says something before."""


class Posting:
    """Turns the program's requests into events for the endpoint."""

    def __init__(
        self,
        config: BusinessConfig,
        *,
        store: Store,
        identities: Identities,
        inbox: Inbox,
        media: MediaStore,
        links: Links,
        flights: Flights,
        network: str = NETWORK,
    ) -> None:
        self._network = network
        self._config = config
        self._store = store
        self._identities = identities
        self._inbox = inbox
        self._media = media
        self._links = links
        self._flights = flights
        self._typing: dict[Direct, asyncio.TimerHandle] = {}
        self._reacting = asyncio.Lock()

    async def send(self, number: Number, send: codec.Send) -> dict[str, Any]:
        """Say something; return the answer to the request. Raises a ``BusinessError``."""
        person = await self._identities.find(send.to)
        line = codec.Line(self._config.waba_id, number, self._config.subscriber)
        if isinstance(send.what, codec.Reaction):
            self._name(send.what.message_id, person)
            said = await self._react(number, person, send)
        else:
            if send.answers is not None:
                self._name(send.answers, person)
            said = _new_id(person, send.kind)
            file = await self._file(number, send.file) if send.file is not None else None
            await self._say(number, person, said, codec.to_message(send, file), send.opaque)
        return codec.answer(line, person, send.to, said)

    async def mark_read(self, number: Number, read: codec.MarkRead) -> None:
        """Say that a customer's message was read and, if so, that an answer is being typed.

        pywa names the business's own message when a bot marks a reaction to it as read: that one needs no marking.
        """
        named = wamid.parse(read.message_id)
        person = await self._identities.find(named.user_id)
        self._flights.seen(read.message_id)
        talk = self._conversation(number, person)
        if named.kind in {wamid.Kind.CUSTOMER, wamid.Kind.REACTION}:
            await self._inbox.accept(
                lambda acknowledge: Receipt(
                    conversation=talk,
                    sender=self._profile(number),
                    native_ids=(read.message_id,),
                    status=Status.READ,
                    acknowledge=acknowledge,
                )
            )
        if read.typing:
            self._stop_typing(talk)
            self._inbox.notice(TypingNotice(conversation=talk, sender=self._profile(number), active=True))
            loop = asyncio.get_running_loop()
            self._typing[talk] = loop.call_later(_TYPING_SECONDS, self._still, number, talk)

    async def opaque(self, message_id: str) -> str:
        """Return the ``biz_opaque_callback_data`` that a message was sent with, or ''."""
        stored = await self._store.get(f"opaque/{message_id}")
        return stored.decode() if stored is not None else ""

    async def note_sent(self, message_id: str) -> None:
        """Remember that the program was told "sent" before anything more was known."""
        await self._store.put(f"sent/{message_id}", b"1")

    async def was_sent(self, message_id: str) -> bool:
        """Whether the program was told "sent" already; it is then forgotten, for more is known."""
        if await self._store.get(f"sent/{message_id}") is None:
            return False
        await self._store.delete(f"sent/{message_id}")
        return True

    async def forget(self, message_id: str) -> None:
        """Forget the ``biz_opaque_callback_data`` of a message that has come as far as it can."""
        await self._store.delete(f"opaque/{message_id}")

    def close(self) -> None:
        """Stop the typing timers."""
        for timer in self._typing.values():
            timer.cancel()
        self._typing.clear()

    async def _say(self, number: Number, person: Person, said: str, message: Message, opaque: str = "") -> None:
        talk = self._conversation(number, person)
        if talk in self._typing:
            self._still(number, talk)
        if opaque:
            await self._store.put(f"opaque/{said}", opaque.encode())
        await self._inbox.accept(
            lambda acknowledge: Inbound(
                native_id=said,
                conversation=talk,
                sender=self._profile(number),
                message=message,
                acknowledge=acknowledge,
            )
        )

    async def _react(self, number: Number, person: Person, send: codec.Send) -> str:
        """React, or take a reaction back. One message has one reaction of the business: a new one replaces it.

        The Cloud API takes a reaction back by naming what it reacts to; we remember the reaction's own id.
        """
        reaction = send.what
        if not isinstance(reaction, codec.Reaction):
            raise InvalidParameter("reaction: is missing")
        said = _new_id(person, wamid.Kind.BUSINESS_REACTION)
        key = f"reaction/{number.phone_number_id}/{reaction.message_id}"
        async with self._reacting:
            if former := await self._store.get(key):
                withdrawal = Message(part=NullPart(), replaces=former.decode())
                said_of_it = _new_id(person, wamid.Kind.TACIT) if reaction.emoji else said
                await self._say(number, person, said_of_it, withdrawal)
                await self._store.delete(key)
            if reaction.emoji:
                await self._say(number, person, said, codec.to_message(send), send.opaque)
                await self._store.put(key, said.encode())
        return said

    async def _file(self, number: Number, ref: FileRef) -> File:
        if ref.link:
            return await self._linked(number, ref)
        file = self._media.get(ref.id)
        if file is None or file.owner != number.phone_number_id:
            raise InvalidParameter(f"{ref.kind}.id: there is no file '{ref.id}', or its time is over")
        check(ref.kind, file.mime, file.size)
        return file

    async def _linked(self, number: Number, ref: FileRef) -> File:
        limit = min(RULES[ref.kind].max_size, self._config.limits.media_bytes)
        async with self._links.get(ref.link) as fetched:
            check(ref.kind, fetched.mime, 0)
            incoming = await self._media.receive(fetched.chunks(), limit)
        return await self._media.keep(
            incoming,
            mime=bare(fetched.mime) or ANYTHING,
            owner=number.phone_number_id,
            lifetime=LINK_LIFETIME,
            name=fetched.name[:240],
        )

    def _name(self, message_id: str, person: Person) -> None:
        """A request names a message: it must be one of the conversation, and the program must have it."""
        if wamid.parse(message_id).user_id != person.user_id:
            raise InvalidParameter(f"message_id: '{message_id}' is not of the conversation with this person")
        self._flights.seen(message_id)

    def _still(self, number: Number, talk: Direct) -> None:
        self._stop_typing(talk)
        self._inbox.notice(TypingNotice(conversation=talk, sender=self._profile(number), active=False))

    def _stop_typing(self, talk: Direct) -> None:
        if timer := self._typing.pop(talk, None):
            timer.cancel()

    def _conversation(self, number: Number, person: Person) -> Direct:
        """Return the conversation of one of the business's numbers with a person."""
        return Direct(local=Address(self._network, number.shop), peer=person.address)

    def _profile(self, number: Number) -> Profile:
        """Return the business as its customers see it."""
        return Profile(address=Address(self._network, number.shop), name=number.verified_name or number.shop)


def _new_id(person: Person, kind: wamid.Kind = wamid.Kind.BUSINESS) -> str:
    return str(wamid.Wamid(kind, person.user_id, secrets.token_bytes(wamid.UNIQUE_OCTETS)))
