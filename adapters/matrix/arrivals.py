"""What arrives from the homeserver, and what it means: messages and receipts for Rialto, invitations for ghosts.

Everything that only our own users can have sent is the echo of what we did: nobody else can act as a ghost.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from adapters.contract import (
    Acknowledge,
    Conversation,
    Direct,
    Event,
    Inbound,
    Message,
    Outcome,
    Profile,
    Receipt,
    Refused,
    Retry,
    TypingNotice,
)
from adapters.matrix import codec
from adapters.matrix.client import Client, Json, Rejected, path
from adapters.matrix.directs import Directs
from adapters.matrix.ghosts import Ghosts
from adapters.matrix.groups import Groups
from adapters.matrix.names import NETWORK, Names
from adapters.matrix.people import People
from protocol.status import Status

log = logging.getLogger(__name__)

Settled: TypeAlias = Awaitable[None]
"""Done when the endpoint has made an event durable, or its sender was told why not."""
Speak: TypeAlias = Callable[[str, str, codec.Say, str], Awaitable[object]]
"""Say something: room, ghost (or '' for the bot), what, and a key that is the same for every attempt."""

_WORDS: Final = {
    "unknown-conversation": "Nobody can be reached here: this message was not passed on.",
    "too-large": "This message is too large: it was not passed on.",
    "not-allowed": "You may not write here: this message was not passed on.",
    "invalid": "This message could not be understood: it was not passed on.",
}
_ALONE: Final = "only rooms of two, or rooms plumbed by this bridge's operator, can be joined"


class Arrivals:
    """Turns events, one after the other, into what the endpoint takes from ``queue``."""

    def __init__(
        self,
        client: Client,
        names: Names,
        ghosts: Ghosts,
        people: People,
        directs: Directs,
        groups: Groups,
        speak: Speak,
    ) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        self._client = client
        self._names = names
        self._ghosts = ghosts
        self._people = people
        self._directs = directs
        self._groups = groups
        self._speak = speak
        self._typing: dict[str, frozenset[str]] = {}
        self._open: set[asyncio.Future[Refused | None]] = set()

    def close(self) -> None:
        """Give up waiting for the endpoint: the homeserver will bring unacknowledged events again."""
        for future in self._open:
            if not future.done():
                future.set_exception(Retry("closing"))

    def conversation(self, room_id: str) -> Conversation | None:
        """The conversation that happens in a room, if it is one of ours."""
        return self._groups.of(room_id) or self._directs.of(room_id)

    # --- events of rooms ---

    async def event(self, event: Json) -> Settled | None:
        """Take one event of a room. What it returns must be awaited before the homeserver is told "received".

        An event that brings out a defect of ours is logged and left out: the homeserver would bring it again for ever,
        and nothing after it.
        """
        try:
            return await self._event(event)
        except Outcome:
            raise
        except Exception:
            log.exception("a defect: the event %r was left out", event.get("event_id"))
            return None

    async def _event(self, event: Json) -> Settled | None:
        kind, sender, room_id, event_id = (event.get(f) for f in ("type", "sender", "room_id", "event_id"))
        if not (
            isinstance(sender, str) and isinstance(room_id, str) and isinstance(event_id, str) and isinstance(kind, str)
        ):
            log.warning("an event without a type, sender, room or id was left out")
            return None
        if kind == "m.room.member":
            await self._membership(event, sender, room_id)
        elif kind in codec.SAID and "state_key" not in event and not self._names.owns(sender):
            return await self._said(event, kind, sender, room_id, event_id)
        return None

    async def _said(self, event: Json, kind: str, sender: str, room_id: str, event_id: str) -> Settled | None:
        conversation = self.conversation(room_id)
        if conversation is None:
            log.info("a message in the room %s, which is none of ours, was left out", room_id)
            return None
        waiting: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
        try:
            message = _understand(event, conversation, sender)
        except Refused as e:
            waiting.set_result(e)
        else:
            at = event.get("origin_server_ts")
            inbound = Inbound(
                native_id=event_id,
                conversation=conversation,
                sender=await self._people.profile(sender),
                message=message,
                sent_at=at if isinstance(at, int) else None,
                acknowledge=self._resolves(waiting),
            )
            self.queue.put_nowait(inbound)
        return self._settle(waiting, conversation, kind, room_id, event_id)

    def _resolves(self, waiting: asyncio.Future[Refused | None]) -> Acknowledge:
        self._open.add(waiting)

        def acknowledge(refused: Refused | None) -> None:
            self._open.discard(waiting)
            if not waiting.done():
                waiting.set_result(refused)

        return acknowledge

    async def _settle(
        self,
        waiting: asyncio.Future[Refused | None],
        conversation: Conversation,
        kind: str,
        room_id: str,
        event_id: str,
    ) -> None:
        refused = await waiting
        if refused is None:
            return
        log.warning("the event %s was refused: %s", event_id, refused.reason)
        if kind == codec.REDACTION:
            return
        words = str(refused)
        notice = codec.notice(_WORDS.get(words, words), event_id)
        ghost = self._names.ghost(conversation.peer) if isinstance(conversation, Direct) else ""
        try:
            await self._speak(room_id, ghost, notice, "refused-" + re.sub(r"[^A-Za-z0-9_-]", "", event_id))
        except Outcome as e:
            log.warning("the sender of %s could not be told: %s", event_id, e)

    # --- who is where ---

    async def _membership(self, event: Json, sender: str, room_id: str) -> None:
        content, user = event.get("content"), event.get("state_key")
        if not isinstance(content, dict) or not isinstance(user, str):
            return
        membership = content.get("membership")
        if not self._names.owns(user):
            if membership == "join":
                self._people.learn(user, content)
            if membership in {"join", "leave", "ban"}:
                await self._directs.present(room_id, user, here=membership == "join")
        elif membership == "invite":
            if not self._names.owns(sender):
                await self._invited(room_id, user, sender)
        elif membership in {"join", "leave", "ban"}:
            self._groups.note(room_id, user, here=membership == "join")
            if membership != "join":
                await self._directs.unbind(room_id)

    async def _invited(self, room_id: str, user: str, inviter: str) -> None:
        """Follow an invitation that makes a direct room; decline any other, in words."""
        try:
            if user == self._names.bot_id:
                await self._invited_bot(room_id)
            else:
                await self._invited_ghost(room_id, user, inviter)
        except Rejected as e:
            log.warning("an invitation to %s cannot be followed: %s", room_id, e)

    async def _invited_bot(self, room_id: str) -> None:
        if not await self._groups.admitted(room_id):
            await self._decline(room_id, "")

    async def _invited_ghost(self, room_id: str, ghost: str, inviter: str) -> None:
        peer = await self._ghosts.address(ghost)
        if peer is None or peer.network == NETWORK:
            await self._decline(room_id, ghost)
            return
        await self._ghosts.ensure(Profile(peer))
        await self._client.call("POST", path("join", room_id), {}, user=ghost)
        if self._groups.of(room_id) is not None:
            return
        members = await self._client.call(
            "GET", path("rooms", room_id, "members"), user=ghost, query={"not_membership": "leave"}
        )
        here = {
            e.get("state_key") for e in members.get("chunk", ()) if e["content"]["membership"] in {"join", "invite"}
        }
        if here == {ghost, inviter}:
            await self._directs.bind(room_id, Direct((await self._people.profile(inviter)).address, peer))
        else:
            await self._decline(room_id, ghost)

    async def _decline(self, room_id: str, user: str) -> None:
        await self._client.call("POST", path("rooms", room_id, "leave"), {"reason": _ALONE}, user=user)

    # --- what passes ---

    def ephemeral(self, event: Json) -> Settled | None:
        """Take a typing notice or receipts."""
        room_id, content = event.get("room_id"), event.get("content")
        if not isinstance(room_id, str) or not isinstance(content, dict):
            return None
        conversation = self.conversation(room_id)
        if conversation is None:
            return None
        if event.get("type") == "m.typing":
            self._typists(room_id, conversation, content)
        elif event.get("type") == "m.receipt":
            return self._receipts(conversation, content)
        return None

    def _typists(self, room_id: str, conversation: Conversation, content: Json) -> None:
        users = content.get("user_ids")
        if not isinstance(users, list):
            return
        now = frozenset(u for u in users if isinstance(u, str) and not self._names.owns(u))
        before = self._typing.pop(room_id, frozenset())
        if now:
            self._typing[room_id] = now
        for user in now ^ before:
            notice = TypingNotice(conversation=conversation, sender=self._people.remembered(user), active=user in now)
            self.queue.put_nowait(notice)

    def _receipts(self, conversation: Conversation, content: Json) -> Settled | None:
        read: dict[str, list[str]] = {}
        for event_id, receipts in content.items():
            by = receipts.get("m.read") if isinstance(receipts, dict) else None
            for user in by if isinstance(by, dict) else ():
                if not self._names.owns(user):
                    read.setdefault(user, []).append(event_id)
        waiting = []
        for user, event_ids in read.items():
            future: asyncio.Future[Refused | None] = asyncio.get_running_loop().create_future()
            receipt = Receipt(
                conversation=conversation,
                sender=self._people.remembered(user),
                native_ids=tuple(event_ids),
                status=Status.READ,
                acknowledge=self._resolves(future),
            )
            self.queue.put_nowait(receipt)
            waiting.append(future)
        return _all(waiting) if waiting else None


def _understand(event: Json, conversation: Conversation, sender: str) -> Message:
    if isinstance(conversation, Direct) and conversation.local.id != sender:
        raise Refused("not-allowed", f"Only {conversation.local.id} can be heard here.")
    return codec.decode(event)


async def _all(waiting: list[asyncio.Future[Refused | None]]) -> None:
    for future in waiting:
        await future
