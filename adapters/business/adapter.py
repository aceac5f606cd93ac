"""The business adapter: a program that believes it talks to WhatsApp talks to people on any network.

Statuses: a POST is answered when the message is durable. ``sent`` is told together with ``delivered``, before it, when
the recipient's network has the message: both follow from one durable report, so neither can be lost in a crash, and
should the report be tried again, they are the same bytes again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from adapters.business import codec, wamid
from adapters.business.api import Api
from adapters.business.config import BusinessConfig, Number, Subscriber
from adapters.business.errors import BusinessError, MediaRefused, failure
from adapters.business.files import ANYTHING, MAX_CAPTION, File, bare
from adapters.business.identity import Identities
from adapters.business.inbox import Inbox
from adapters.business.links import Links
from adapters.business.media import CUSTOMER_LIFETIME, MediaStore, derived_id
from adapters.business.posting import NETWORK, Posting
from adapters.business.webhooks import Callbacks, Caller, Flights
from adapters.contract import (
    Account,
    AdapterInfo,
    Conversation,
    Cursor,
    Delivery,
    Direct,
    Event,
    Permanent,
    Reason,
    Retry,
    Sent,
    SignedOut,
    StatusUpdate,
    Unreachable,
)
from protocol.capabilities import Capabilities, Feature, FileRule, Level, Limits, Way
from protocol.content import ExternalPart, MultiPart, Part
from protocol.leg import LegClass
from protocol.status import Status
from protocol.uri import Address

_STATUSES: Mapping[Status, tuple[str, ...]] = {
    Status.SENT: ("sent",),
    Status.DELIVERED: ("sent", "delivered"),
    Status.READ: ("read",),
    Status.ERROR: ("failed",),
}

_TOLD: Mapping[wamid.Kind, frozenset[str]] = {
    **dict.fromkeys(wamid.BY_BUSINESS, frozenset({"sent", "delivered", "read", "failed"})),
    wamid.Kind.BUSINESS_REACTION: frozenset({"sent", "failed"}),
}


class Business:
    """One business account: the adapter's five methods, and Receipts, Media, Webhooks and Health."""

    info: ClassVar[AdapterInfo] = AdapterInfo(NETWORK, "Business API", BusinessConfig, LegClass.OPERATOR)

    _config: BusinessConfig
    _identities: Identities
    _inbox: Inbox
    _media: MediaStore
    _links: Links
    _callbacks: Callbacks
    _caller: Caller
    _flights: Flights
    _posting: Posting
    _api: Api
    _is_open = False

    async def open(self, account: Account[BusinessConfig]) -> None:
        """Read what was registered before. Raises ``SignedOut`` if a secret cannot be read."""
        config: BusinessConfig = account.config
        try:
            app_secret, access_token = config.secret("app_secret"), config.secret("access_token")
            self._media = MediaStore(Path(config.media_folder), account.now)
        except OSError as error:
            raise SignedOut(f"make it readable and writable for the daemon: {error}") from error
        self._config = config
        self._identities = Identities(account.store)
        self._callbacks = Callbacks(account.store, config.callback_url)
        await self._callbacks.load()
        self._inbox = Inbox(config.limits.acknowledge_seconds)
        self._links = Links(private=config.private_links, seconds=config.limits.download_seconds)
        self._caller = Caller(app_secret, config.limits.webhook_seconds)
        self._flights = Flights()
        self._posting = Posting(
            config,
            store=account.store,
            identities=self._identities,
            inbox=self._inbox,
            media=self._media,
            links=self._links,
            flights=self._flights,
            network=account.network or NETWORK,
        )
        self._api = Api(
            config,
            app_secret=app_secret,
            access_token=access_token,
            posting=self._posting,
            media=self._media,
            callbacks=self._callbacks,
            caller=self._caller,
            now=account.now,
        )
        self._is_open = True

    async def capabilities(self, conversation: Conversation) -> Capabilities:
        """Say what the program understands; those of the old school know neither edits nor deletions."""
        del conversation
        modern = Level.UNSUPPORTED if self._config.subscriber is Subscriber.CLASSIC else Level.FULL
        size = self._config.limits.media_bytes
        file = FileRule(max_size=size, caption=Level.FULL, max_caption=MAX_CAPTION)
        said = {Feature.REPLY: Level.FULL, Feature.REACTION: Level.FULL}
        marks = {Feature.DELIVERED: Level.FULL, Feature.READ: Level.FULL}
        return Capabilities(
            leg=LegClass.OPERATOR,
            send=Way(
                features=said
                | marks
                | {Feature.EDIT: modern, Feature.DELETE: modern}
                | dict.fromkeys(codec.IS_TOLD, Level.FULL),
                formatting=codec.FORMATTING,
                files={"audio/*": FileRule(max_size=size), "*/*": file},
            ),
            receive=Way(
                features=said
                | {Feature.READ: Level.FULL, Feature.TYPING: Level.FULL}
                | dict.fromkeys(codec.SAYS, Level.FULL),
                formatting=codec.FORMATTING,
                files={"audio/*": FileRule(max_size=size), "*/*": file},
            ),
            limits=Limits(text=codec.MAX_TEXT),
            idempotent_send=True,
            ordered=True,
        )

    def receive(self, cursor: Cursor | None) -> AsyncIterator[Event]:
        """Yield what the program says. There is nothing to resume: what was not accepted, it knows of."""
        del cursor
        return self._inbox.events()

    async def send(self, delivery: Delivery, key: str) -> Sent:
        """Tell the program what a customer said; return when it has answered 2xx."""
        number, peer = self._parties(delivery.conversation)
        url = self._callback(number)
        person = await self._identities.of(peer)
        file = await self._customer_file(delivery, key, number)
        try:
            message_id, body = codec.message_event(
                self._line(number), person, delivery.sender.name, delivery.message, key, delivery.at, file
            )
        except BusinessError as error:
            raise Permanent(Reason.UNSUPPORTED, str(error)) from error
        await self._flights.deliver(message_id, self._caller.post(url, body))
        return Sent(message_id, delivered=True)  # the program is the recipient

    async def report(self, update: StatusUpdate, key: str) -> None:
        """Tell the program what became of a message it sent."""
        del key  # the same report gives the same bytes
        number, peer = self._parties(update.conversation)
        url = self._callback(number)
        person = await self._identities.of(peer)
        opaque = await self._posting.opaque(update.native_id)
        failed = update.status is Status.ERROR
        words = _words(update)
        if update.status is Status.DELIVERED and await self._posting.was_sent(update.native_id):
            words = words[1:]  # it was told "sent" when no more was known
        for word in words:
            body = codec.status_event(
                self._line(number),
                person,
                update.native_id,
                word,
                update.at,
                name=update.by.name if update.by else "",
                errors=(failure(update.reason, update.text),) if failed else (),
                opaque=opaque,
            )
            await self._caller.post(url, body)
        if update.status is Status.SENT:
            await self._posting.note_sent(update.native_id)
        if opaque and update.status in {Status.READ, Status.ERROR}:
            await self._posting.forget(update.native_id)

    async def fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        """Stream a file that the program has sent."""
        file = self._media.get(codec.media_id(part))
        if file is None:
            raise Permanent(Reason.MEDIA_UNREACHABLE, "the file's time is over")
        try:
            async for chunk in self._media.read(file):
                yield chunk
        except FileNotFoundError as error:
            raise Permanent(Reason.MEDIA_UNREACHABLE, "the file was deleted") from error

    def routes(self) -> Iterable[web.RouteDef]:
        """Give the routes of the API."""
        return self._api.routes()

    def health(self) -> Mapping[str, object]:
        """Say whether the program can be called, and what is wrong if it cannot."""
        missing = [each.shop for each in self._config.numbers if not self._find(each)]
        return {
            "connected": not missing and not self._caller.trouble,
            "without_callback": missing,
            "callback": self._caller.trouble or "answers",
        }

    async def close(self) -> None:
        """Answer those who wait, and close every connection."""
        if not self._is_open:
            return
        self._is_open = False
        self._inbox.close()
        self._posting.close()
        await self._flights.close()
        await self._caller.close()
        await self._links.close()

    async def _customer_file(self, delivery: Delivery, key: str, number: Number) -> File | None:
        """Take in the file of a delivery, once for all attempts."""
        part = _external(delivery.message.part)
        if part is None:
            return None
        if file := self._media.get(derived_id(key)):
            return file
        try:
            incoming = await self._media.receive(delivery.open(part), self._config.limits.media_bytes)
            return await self._media.keep(
                incoming,
                mime=bare(part.content_type) or ANYTHING,
                owner=number.phone_number_id,
                lifetime=CUSTOMER_LIFETIME,
                name=part.filename,
                media_id=derived_id(key),
            )
        except MediaRefused as error:
            raise Permanent(Reason.MEDIA_TOO_LARGE, str(error)) from error
        except OSError as error:
            raise Retry(f"the file cannot be stored: {error}") from error

    def _parties(self, conversation: Conversation) -> tuple[Number, Address]:
        if not isinstance(conversation, Direct):
            raise Permanent(Reason.UNSUPPORTED, "a business talks to people, not in rooms")
        number = self._config.by_shop(conversation.local.id)
        if number is None:
            raise Permanent(Reason.RECIPIENT_UNKNOWN, f"there is no shop '{conversation.local.id}'")
        return number, conversation.peer

    def _callback(self, number: Number) -> str:
        if url := self._find(number):
            return url
        raise Unreachable(f"no callback is registered for {number.shop}")

    def _find(self, number: Number) -> str:
        return self._callbacks.find((number.phone_number_id, self._config.waba_id, self._config.app_id))

    def _line(self, number: Number) -> codec.Line:
        return codec.Line(self._config.waba_id, number, self._config.subscriber)


def _words(update: StatusUpdate) -> tuple[str, ...]:
    """What the program is told of a message that has come so far."""
    try:
        kind = wamid.parse(update.native_id).kind
    except BusinessError as error:
        raise Permanent(Reason.UNSUPPORTED, str(error)) from error
    told = _TOLD.get(kind, frozenset())
    return tuple(word for word in _STATUSES.get(update.status, ()) if word in told)


def _external(part: Part) -> ExternalPart | None:
    if isinstance(part, MultiPart):
        part = part.parts[0]
    return part if isinstance(part, ExternalPart) else None
