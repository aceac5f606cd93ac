"""What arrives from the homeserver: translated, put into the endpoint's queue, and settled when it is durable.

What only our own users can have sent is the echo of what we did: nobody else can act as a ghost.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from msgspec.structs import replace

from adapters.contract import (
    Acknowledge,
    Conversation,
    Direct,
    Event,
    Inbound,
    Message,
    Outcome,
    Refused,
    Retry,
    Store,
)
from adapters.matrix import codec
from adapters.matrix.client import Json
from adapters.matrix.directs import Directs
from adapters.matrix.groups import Groups
from adapters.matrix.invitations import Invitation, Invitations
from adapters.matrix.membership import Membership
from adapters.matrix.names import Names, is_user_id
from adapters.matrix.people import People
from adapters.matrix.signs import Signs

log = logging.getLogger(__name__)

Settled: TypeAlias = Awaitable[object]
"""Done when the endpoint has made an event durable, or its sender was told why not."""
Speak: TypeAlias = Callable[[str, str, codec.Say, str], Awaitable[object]]
"""Say something: room, ghost (or '' for the bot), what, and a key that is the same for every attempt."""

_Answer: TypeAlias = "asyncio.Future[Refused | None]"

_ENTERING_S: Final = 20.0
"""How long what is said in a room waits for our ghost to have entered; it is read back then in any case."""
_TOO_LATE: Final = "this room could not be entered"
_WORDS: Final = {
    "unknown-conversation": "Nobody can be reached here: this message was not passed on.",
    "too-large": "This message is too large: it was not passed on.",
    "not-allowed": "You may not write here: this message was not passed on.",
    "too-many": "You are writing faster than messages can be passed on: this one was not, nor are the next.",
    "invalid": "This message could not be understood: it was not passed on.",
}


class Arrivals:
    """Takes events, one after the other; the endpoint takes what they mean from ``queue``."""

    def __init__(
        self,
        names: Names,
        people: People,
        directs: Directs,
        groups: Groups,
        membership: Membership,
        speak: Speak,
        store: Store,
        now: Callable[[], int],
    ) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        self._names = names
        self._people = people
        self._directs = directs
        self._groups = groups
        self._membership = membership
        self._speak = speak
        self._signs = Signs(names, people)
        self._open: set[_Answer] = set()
        answers = (self._answer_invitation, self._decline_invitation)
        self._invitations = Invitations(names.server, store, now, *answers)

    async def load(self) -> None:
        """Go on with what an earlier run has left to answer."""
        await self._invitations.load()

    async def close(self) -> None:
        """Give up waiting for the endpoint: the homeserver will bring again what was not acknowledged."""
        for answer in self._open:
            if not answer.done():
                answer.set_exception(Retry("closing"))
        await self._invitations.close()

    async def event(self, event: Json) -> Settled | None:
        """Take one event of a room. What it returns must be awaited before the homeserver is told "received".

        An event that brings out a defect of ours is logged and left out: the homeserver would bring it again for ever,
        and nothing after it.
        """
        try:
            return await self._event(event)
        except Exception:
            log.exception("a defect: the event %r was left out", event.get("event_id"))
            return None

    def ephemeral(self, event: Json) -> Settled | None:
        """Take a typing notice or receipts, as ``event`` takes an event."""
        try:
            return self._ephemeral(event)
        except Exception:
            log.exception("a defect: a typing notice or a receipt was left out")
            return None

    def _ephemeral(self, event: Json) -> Settled | None:
        room_id, content = event.get("room_id"), event.get("content")
        if not isinstance(room_id, str) or not isinstance(content, dict):
            return None
        conversation = self._conversation(room_id)
        if conversation is None:
            return None
        if event.get("type") == "m.typing":
            for notice in self._signs.typing(room_id, conversation, content):
                self.queue.put_nowait(notice)
        elif event.get("type") == "m.receipt":
            waiting = []
            for receipt in self._signs.receipts(conversation, content):
                waiting.append(answer := self._answer())
                self.queue.put_nowait(replace(receipt, acknowledge=self._resolves(answer)))
            return asyncio.gather(*waiting) if waiting else None
        return None

    # --- inside ---

    def _conversation(self, room_id: str) -> Conversation | None:
        return self._groups.of(room_id) or self._directs.of(room_id)

    async def _event(self, event: Json) -> Settled | None:
        kind, sender, room_id, event_id = (event.get(f) for f in ("type", "sender", "room_id", "event_id"))
        if not (
            isinstance(kind, str) and isinstance(sender, str) and isinstance(room_id, str) and isinstance(event_id, str)
        ):
            log.warning("an event without a type, sender, room or id was left out")
            return None
        ours = self._names.owns(sender)
        self._signs.passed(event, kind, room_id, event_id, ours=ours)
        if kind == "m.room.member":
            if await self._membership.take(event, sender, room_id):
                await self._invitations.take(room_id, str(event["state_key"]), sender)
        elif kind in codec.SAID and not ours and "state_key" not in event:
            if self._invitations.waits(room_id):
                # It comes after what was said before our ghost entered, which is being read just now.
                return asyncio.create_task(self._said_later(event, kind, sender, room_id, event_id))
            return await self._said(event, kind, sender, room_id, event_id)
        return None

    async def _said_later(self, event: Json, kind: str, sender: str, room_id: str, event_id: str) -> None:
        await self._invitations.settled(room_id, _ENTERING_S)
        if (settled := await self._said(event, kind, sender, room_id, event_id)) is not None:
            await settled

    async def _answer_invitation(self, invitation: Invitation) -> None:
        """Follow or decline; done when what was said before is durable. Raises an outcome."""
        missed = await self._membership.answer(invitation.room_id, invitation.user, invitation.inviter)
        said = [settled for each in missed if (settled := await self._missed(each)) is not None]
        await asyncio.gather(*said)

    async def _decline_invitation(self, invitation: Invitation) -> None:
        await self._membership.decline(invitation.room_id, invitation.user, _TOO_LATE)

    async def _missed(self, event: Json) -> Settled | None:
        """Take an event that was read back; should it be pushed too, the endpoint knows it by its id."""
        kind, sender, room_id, event_id = (event.get(f) for f in ("type", "sender", "room_id", "event_id"))
        said = isinstance(kind, str) and kind in codec.SAID and "state_key" not in event
        if not said or not all(isinstance(each, str) for each in (sender, room_id, event_id)):
            return None
        self._signs.passed(event, str(kind), str(room_id), str(event_id), ours=self._names.owns(str(sender)))
        if self._names.owns(str(sender)):
            return None
        try:
            return await self._said(event, str(kind), str(sender), str(room_id), str(event_id))
        except Exception:
            log.exception("a defect: the event %r was left out", event_id)
            return None

    async def _said(self, event: Json, kind: str, sender: str, room_id: str, event_id: str) -> Settled | None:
        conversation = self._conversation(room_id)
        if conversation is None:
            log.info("a message in the room %s, which is none of ours, was left out", room_id)
            return None
        answer = self._answer()
        try:
            message = _understand(event, conversation, sender)
        except Refused as e:
            answer.set_result(e)
        else:
            at = event.get("origin_server_ts")
            inbound = Inbound(
                native_id=event_id,
                conversation=conversation,
                sender=await self._people.profile(sender, room_id, self._ours(conversation)),
                message=message,
                sent_at=at if type(at) is int and 0 <= at < 1 << 53 else None,
                acknowledge=self._resolves(answer),
            )
            self.queue.put_nowait(inbound)
        return self._settle(answer, conversation, kind, room_id, event_id)

    def _ours(self, conversation: Conversation) -> str:
        return self._names.ghost(conversation.peer) if isinstance(conversation, Direct) else self._names.bot_id

    def _answer(self) -> _Answer:
        return asyncio.get_running_loop().create_future()

    def _resolves(self, answer: _Answer) -> Acknowledge:
        self._open.add(answer)

        def acknowledge(refused: Refused | None) -> None:
            self._open.discard(answer)
            if not answer.done():
                answer.set_result(refused)

        return acknowledge

    async def _settle(
        self, answer: _Answer, conversation: Conversation, kind: str, room_id: str, event_id: str
    ) -> None:
        """Wait for the endpoint's word; if it refuses, say so where the message was written."""
        refused = await answer
        if refused is None:
            return
        level = logging.DEBUG if refused.quiet else logging.WARNING
        log.log(level, "the event %s was refused: %s", event_id, refused.reason)
        if kind == codec.REDACTION or refused.quiet:
            return
        words = str(refused)
        notice = codec.notice(_WORDS.get(words, words), event_id)
        ghost = self._names.ghost(conversation.peer) if isinstance(conversation, Direct) else ""
        try:
            await self._speak(room_id, ghost, notice, "refused-" + re.sub(r"[^A-Za-z0-9_-]", "", event_id))
        except Outcome as e:
            log.warning("the sender of %s could not be told: %s", event_id, e)


def _understand(event: Json, conversation: Conversation, sender: str) -> Message:
    if not is_user_id(sender):
        raise Refused("invalid", f"{sender[:100]} is no Matrix user id that other networks could be told")
    if isinstance(conversation, Direct) and conversation.local.id != sender:
        raise Refused("not-allowed", f"Only {conversation.local.id} can be heard here.")
    return codec.decode(event)
