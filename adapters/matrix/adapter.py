"""The Matrix adapter: an application service whose ghosts speak for people of other networks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import ClassVar, Final

from aiohttp import web
from msgspec.structs import replace

from adapters.contract import (
    Account,
    AdapterInfo,
    Conversation,
    Cursor,
    Delivery,
    Event,
    Group,
    Profile,
    Sent,
    SignedOut,
    StatusUpdate,
)
from adapters.kit import addresses
from adapters.matrix import html
from adapters.matrix.arrivals import Arrivals
from adapters.matrix.client import Client, Rejected, path
from adapters.matrix.config import MatrixConfig
from adapters.matrix.directs import Directs
from adapters.matrix.ghosts import Ghosts, register
from adapters.matrix.groups import Groups
from adapters.matrix.intake import Intake
from adapters.matrix.media import Media
from adapters.matrix.membership import Membership
from adapters.matrix.names import NETWORK
from adapters.matrix.people import People
from adapters.matrix.speech import Speech
from protocol.capabilities import Capabilities, Feature, FileRule, Level, Limits, Unit, Way
from protocol.content import ExternalPart
from protocol.leg import LegClass

_MAX_TEXT: Final = 16_000
_FEATURES: Final = dict.fromkeys(
    (
        Feature.REPLY,
        Feature.REACTION,
        Feature.EDIT,
        Feature.DELETE,
        Feature.LOCATION,
        Feature.READ,
        Feature.TYPING,
    ),
    Level.FULL,
)
_HEARD: Final = _FEATURES | {Feature.TOPIC: Level.FULL, Feature.MENTION: Level.PARTIAL}
_SHOWN: Final = _FEATURES | {Feature.MENTION: Level.FULL}


class Matrix:
    """One application service on one homeserver."""

    info: ClassVar[AdapterInfo] = AdapterInfo(NETWORK, "Matrix", MatrixConfig)

    def __init__(self) -> None:
        self._client: Client | None = None

    # --- its life ---

    async def open(self, account: Account[MatrixConfig]) -> None:
        """Sign the bot in, learn what is known and join the plumbed rooms."""
        config: MatrixConfig = account.config
        await self.close()
        try:
            as_token, hs_token = config.secret("as_token"), config.secret("hs_token")
        except ValueError as e:
            raise SignedOut(str(e)) from e
        client = Client(config.homeserver, as_token)
        self._build(client, hs_token, account)
        try:
            await self._sign_in(client)
            await self._media.load()
            self._capabilities = _capabilities(self._media.max_size)
            await self._directs.load()
            await self._intake.load()
            await self._groups.open()
            await self._arrivals.load()
        except BaseException:
            await self.close()
            raise

    def _build(self, client: Client, hs_token: str, account: Account[MatrixConfig]) -> None:
        names, store = replace(account.config.names, network=account.network or NETWORK), account.store
        self._names = names
        people = People(client, names.network)
        self._media = Media(client)
        self._ghosts = Ghosts(client, names, store)
        self._directs = Directs(client, names, store)
        self._groups = Groups(client, names, account.groups)
        self._speech = Speech(client, names, self._ghosts, self._directs, self._groups, self._media)
        membership = Membership(client, names, self._ghosts, people, self._directs, self._groups)
        self._arrivals = Arrivals(
            names, people, self._directs, self._groups, membership, self._speech.speak, store, account.now
        )
        self._intake = Intake(hs_token, store, self._arrivals, self._is_user, self._is_alias)
        self._client = client

    async def close(self) -> None:
        """Stop everything; transactions that are not done come again."""
        client, self._client = self._client, None
        if client is not None:
            await self._arrivals.close()
            await self._intake.close()
            await client.close()

    async def _sign_in(self, client: Client) -> None:
        bot = self._names.bot_id
        try:
            await register(client, bot)
            user = (await client.call("GET", path("account", "whoami"))).get("user_id")
        except Rejected as e:
            raise SignedOut(f"the homeserver refuses the bot {bot}, compare its registration file: {e}") from e
        if user != bot:
            raise SignedOut(f"as_token belongs to {user}, not to {bot}: compare sender_localpart and server_name")

    # --- what it can do ---

    async def capabilities(self, conversation: Conversation) -> Capabilities:
        """Matrix shows nearly everything, and the same in every room."""
        return self._capabilities

    def health(self) -> Mapping[str, object]:
        """Whether it is open, and how much it knows."""
        if self._client is None:
            return {"connected": False}
        return {
            "connected": self._client.reachable,
            "transactions": self._intake.count,
            "ghosts": len(self._ghosts),
            "direct_rooms": len(self._directs),
        }

    # --- from Matrix ---

    def routes(self) -> Iterable[web.RouteDef]:
        """Where the homeserver pushes transactions to."""
        return self._intake.routes()

    async def receive(self, cursor: Cursor | None) -> AsyncIterator[Event]:
        """Yield what the homeserver pushes; it keeps the queue itself, so there is no cursor."""
        queue = self._arrivals.queue
        while True:
            yield await queue.get()

    async def fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        """Stream a file from the media repository."""
        async for chunk in self._media.fetch(part):
            yield chunk

    async def _is_user(self, user_id: str) -> bool:
        address = await self._ghosts.address(user_id)
        if address is None or address.network == self._names.network or addresses.flaw(address):
            return False
        await self._ghosts.ensure(Profile(address))
        return True

    async def _is_alias(self, alias: str) -> bool:
        return self._groups.known(Group(alias)) is not None

    # --- to Matrix ---

    async def send(self, delivery: Delivery, key: str) -> Sent:
        """Say it as the sender's ghost, in the room of the conversation."""
        return await self._speech.send(delivery, key)

    async def report(self, update: StatusUpdate, key: str) -> None:
        """Show a read receipt, or say in words why a message did not arrive."""
        await self._speech.report(update, key)

    async def typing(self, conversation: Conversation, sender: Profile, active: bool) -> None:
        """Show a ghost typing."""
        await self._speech.typing(conversation, sender, active)


def _capabilities(max_upload: int) -> Capabilities:
    files = {"*/*": FileRule(max_size=max_upload, caption=Level.FULL)}
    formatting = dict.fromkeys(html.FORMATTING, Level.FULL)
    return Capabilities(
        leg=LegClass.OPEN,
        send=Way(features=_SHOWN, formatting=formatting, files=files),
        receive=Way(features=_HEARD, formatting=formatting, files=files),
        limits=Limits(unit=Unit.UTF8, text=_MAX_TEXT),
        idempotent_send=True,
        ordered=True,
        history=True,
    )
