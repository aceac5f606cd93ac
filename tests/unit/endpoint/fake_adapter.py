"""A network in memory, and an adapter to it: scripted, watched, and able to fail in every way the contract knows.

The network outlives the adapter, as a real one does: it keeps what was said and what was delivered, and an adapter
that was killed is replaced by a new one on the same network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

from msgspec import Struct

from adapters.contract import (
    Account,
    AdapterInfo,
    Alias,
    Conversation,
    Cursor,
    Delivery,
    Direct,
    Event,
    Group,
    Inbound,
    Message,
    Outcome,
    Profile,
    Receipt,
    Refused,
    Sent,
    StatusUpdate,
    TypingNotice,
)
from protocol.capabilities import Capabilities, Feature, FileRule, Level, Way
from protocol.content import ExternalPart, text
from protocol.leg import LegClass
from protocol.status import Status
from protocol.uri import Address

EVERYTHING = Capabilities(
    leg=LegClass.OPERATOR,
    send=Way(
        features=dict.fromkeys(Feature, Level.FULL),
        files={"*/*": FileRule(level=Level.FULL)},
    ),
    idempotent_send=True,
    ordered=True,
)


class Taken(Struct):
    """A message that the network has taken."""

    key: str
    conversation: str
    sender: Profile
    message: Message
    native_id: str
    files: list[bytes]

    @property
    def text(self) -> str:
        return self.message.part.text


class FakeNetwork:
    """What lives on when an adapter dies."""

    def __init__(self, name: str, capabilities: Capabilities = EVERYTHING) -> None:
        self.id = name
        self.capabilities = capabilities
        self.events: list[Event] = []
        self.more = asyncio.Event()
        self.taken: list[Taken] = []
        self.reports: list[tuple[str, StatusUpdate]] = []
        self.typing: list[tuple[str, str, bool]] = []
        self.acknowledged: list[str] = []
        self.refused: dict[str, Refused] = {}
        self.files: dict[str, bytes] = {}
        self.fetch_outcomes: list[Outcome] = []
        self.opened = 0
        self.delivers = True
        """Whether what it takes has arrived, as with somebody of its own server; else it is only sent."""

    def address(self, who: str) -> Address:
        return Address(self.id, who)

    def say(
        self,
        conversation: Conversation,
        said: str | Message,
        native_id: str,
        *,
        sender: str | None = None,
        acknowledge: Callable[[Refused | None], None] | None = None,
        aliases: tuple[str, ...] = (),
    ) -> None:
        """Somebody on this network says something."""
        if sender is None:
            assert isinstance(conversation, Direct)
            sender = conversation.local.id

        def note(refused: Refused | None) -> None:
            if refused is None:
                self.acknowledged.append(native_id)
            else:
                self.refused[native_id] = refused
            if acknowledge is not None:
                acknowledge(refused)

        self._happen(
            Inbound(
                native_id=native_id,
                conversation=conversation,
                sender=Profile(self.address(sender), sender.title()),
                message=Message(text(said)) if isinstance(said, str) else said,
                cursor=str(len(self.events) + 1),
                aliases=aliases,
                sent_at=1_700_000_000_123,
                acknowledge=note,
            )
        )

    def receipt(
        self,
        conversation: Conversation,
        sender: str,
        native_ids: tuple[str, ...],
        status: Status,
        reason: str = "",
        text: str = "",
    ) -> None:
        self._happen(
            Receipt(
                conversation=conversation,
                sender=Profile(self.address(sender)),
                native_ids=native_ids,
                status=status,
                reason=reason,
                text=text,
                cursor=str(len(self.events) + 1),
            )
        )

    def types(self, conversation: Conversation, sender: str, active: bool = True) -> None:
        self._happen(
            TypingNotice(conversation=conversation, sender=Profile(self.address(sender), sender.title()), active=active)
        )

    def renames(self, native_id: str, alias: str) -> None:
        self._happen(Alias(native_id=native_id, alias=alias))

    def _happen(self, event: Event) -> None:
        self.flood([event])

    def flood(self, events: list[Event]) -> None:
        """Many things happen at once."""
        self.events += events
        self.more.set()
        self.more = asyncio.Event()

    def texts(self, conversation: Conversation | None = None) -> list[str]:
        """What was delivered here, in order."""
        return [taken.text for taken in self.taken if conversation is None or taken.conversation == conversation.key]

    def statuses(self, native_id: str) -> list[Status]:
        """What the sender of a message was told, in order."""
        return [update.status for _, update in self.reports if update.native_id == native_id]


Script = Callable[[Delivery, str], Outcome | None]


class Plain:
    """The five methods and nothing else."""

    info: ClassVar[AdapterInfo] = AdapterInfo(id="fake", name="A network in memory", config=Struct)

    def __init__(self, network: FakeNetwork, script: Script | None = None) -> None:
        self.network = network
        self.script = script
        self.account: Account[Any] | None = None
        self.attempts: list[tuple[str, int]] = []
        self.closed = False
        self.busy: set[str] = set()
        self.most_at_once = 0
        self.delay = 0.0

    async def open(self, account: Account[Any]) -> None:
        self.account = account
        self.network.opened += 1

    async def capabilities(self, conversation: Conversation) -> Capabilities:
        return self.network.capabilities

    async def receive(self, cursor: Cursor | None) -> AsyncIterator[Event]:
        position = int(cursor or 0)
        while True:
            while position < len(self.network.events):
                event = self.network.events[position]
                position += 1
                yield event
            await self.network.more.wait()

    async def send(self, delivery: Delivery, key: str) -> Sent:
        conversation = delivery.conversation.key
        assert conversation not in self.busy, "two sends at once in one conversation"
        self.busy.add(conversation)
        self.most_at_once = max(self.most_at_once, len(self.busy))
        try:
            self.attempts.append((key, delivery.attempt))
            if self.delay:
                await asyncio.sleep(self.delay)
            outcome = self.script(delivery, key) if self.script is not None else None
            if outcome is not None:
                raise outcome
            return await self.take(delivery, key)
        finally:
            self.busy.discard(conversation)

    async def take(self, delivery: Delivery, key: str) -> Sent:
        """The network takes a message, once for each key if that is what it promises."""
        if self.network.capabilities.idempotent_send:
            for taken in self.network.taken:
                if taken.key == key:
                    return Sent(taken.native_id, delivered=self.network.delivers)
        files = [b"".join([chunk async for chunk in delivery.open(part)]) for part in _files(delivery.message.part)]
        native_id = f"{self.network.id}-{len(self.network.taken) + 1}"
        self.network.taken.append(
            Taken(key, delivery.conversation.key, delivery.sender, delivery.message, native_id, files)
        )
        return Sent(native_id, delivered=self.network.delivers)

    async def close(self) -> None:
        self.closed = True


class FakeAdapter(Plain):
    """An adapter with every optional protocol but ``Reconcile``."""

    async def report(self, update: StatusUpdate, key: str) -> None:
        for known, _ in self.network.reports:
            if known == key:
                return
        self.network.reports.append((key, update))

    async def typing(self, conversation: Conversation, sender: Profile, active: bool) -> None:
        self.network.typing.append((conversation.key, sender.address.id, active))

    async def fetch(self, part: ExternalPart) -> AsyncIterator[bytes]:
        if self.network.fetch_outcomes:
            raise self.network.fetch_outcomes.pop(0)
        data = self.network.files[part.url]
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]
            await asyncio.sleep(0)

    def health(self) -> dict[str, object]:
        return {"connected": not self.closed}


class AskableAdapter(FakeAdapter):
    """An adapter whose network can be asked whether it took a message."""

    async def reconcile(self, delivery: Delivery, key: str) -> Sent | None:
        for taken in self.network.taken:
            if taken.key == key:
                return Sent(taken.native_id, delivered=self.network.delivers)
        return None


def _files(part: Any) -> list[ExternalPart]:
    if isinstance(part, ExternalPart):
        return [part]
    return [found for inner in getattr(part, "parts", ()) for found in _files(inner)]


__all__ = ["AskableAdapter", "FakeAdapter", "FakeNetwork", "Group", "Plain", "Taken"]
