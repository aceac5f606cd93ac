"""What ghosts say and show: messages, notices, read receipts, typing.

Every event is sent with a transaction id that follows from the endpoint's key, and with the ghost's device. The
homeserver then answers a repeated send with the event that is there already, even after it was restarted.
"""

from __future__ import annotations

from typing import Final

from adapters.contract import (
    REPLAYED,
    Conversation,
    Delivery,
    Direct,
    Permanent,
    Profile,
    Reason,
    Sent,
    StatusUpdate,
)
from adapters.matrix import codec
from adapters.matrix.client import Client, Json, Rejected, path
from adapters.matrix.directs import Directs
from adapters.matrix.ghosts import Ghosts
from adapters.matrix.groups import Groups
from adapters.matrix.media import Media
from adapters.matrix.names import Names
from protocol.bounded import Bounded
from protocol.status import Status

_TYPING_MS: Final = 30_000
_UPLOADS: Final = 1_000  # files sent up whose event was not taken yet; the others are sent up again


class Speech:
    """The way from Rialto to the rooms of the homeserver."""

    def __init__(
        self, client: Client, names: Names, ghosts: Ghosts, directs: Directs, groups: Groups, media: Media
    ) -> None:
        self._client = client
        self._names = names
        self._ghosts = ghosts
        self._directs = directs
        self._groups = groups
        self._media = media
        self._uploads: Bounded[str, tuple[str, int]] = Bounded(_UPLOADS)

    async def send(self, delivery: Delivery, key: str) -> Sent:
        """Say a message as its sender's ghost, in the room of its conversation."""
        ghost = await self._ghosts.ensure(delivery.sender)
        room_id = await self._room(delivery.conversation, ghost)
        said = await self._encode(delivery, key, ghost)
        try:
            event_id = await self._say(room_id, ghost, said, f"s-{key}", delivery.at)
        except Rejected as e:
            if e.status != 403 or await self._is_in(room_id, ghost):
                raise
            await self._forget(room_id, ghost)
            room_id = await self._room(delivery.conversation, ghost)
            event_id = await self._say(room_id, ghost, said, f"s-{key}", delivery.at)
        self._uploads.pop(key, None)
        conversation = delivery.conversation
        local = not isinstance(conversation, Direct) or conversation.local.id.endswith(f":{self._names.server}")
        return Sent(event_id, delivered=local)  # for somebody of another homeserver ours has only taken it

    async def report(self, update: StatusUpdate, key: str) -> None:
        """Show a read receipt, or say in words that a message did not arrive. Matrix has no sign for delivered."""
        room_id = self._known(update.conversation)
        if room_id is None:
            return
        direct = update.conversation if isinstance(update.conversation, Direct) else None
        if update.status == Status.ERROR:
            words = codec.notice(f"Not delivered: {update.text or update.reason}", update.native_id)
            await self.speak(room_id, self._names.ghost(direct.peer) if direct else "", words, f"n-{key}")
        elif update.reason == REPLAYED:
            words = codec.notice("Delivered after all.", update.native_id)
            await self.speak(room_id, self._names.ghost(direct.peer) if direct else "", words, f"n-{key}")
        elif update.status == Status.READ and update.by is not None:
            reader = self._names.ghost(update.by.address)
            if direct or self._groups.has(room_id, reader):
                receipt = path("rooms", room_id, "receipt", "m.read", update.native_id)
                await self._client.call("POST", receipt, {}, user=reader)

    async def typing(self, conversation: Conversation, sender: Profile, active: bool) -> None:
        """Show a ghost typing, in a room where it is already."""
        room_id, ghost = self._known(conversation), self._names.ghost(sender.address)
        if room_id is not None and (isinstance(conversation, Direct) or self._groups.has(room_id, ghost)):
            state: Json = {"typing": active} | ({"timeout": _TYPING_MS} if active else {})
            await self._client.call("PUT", path("rooms", room_id, "typing", ghost), state, user=ghost)

    async def speak(self, room_id: str, ghost: str, what: codec.Say, key: str) -> str:
        """Say something in a room as ``ghost``, or as the bot if that is empty; return the event's id."""
        return await self._say(room_id, ghost or self._names.bot_id, what, key)

    # --- inside ---

    async def _room(self, conversation: Conversation, ghost: str) -> str:
        if isinstance(conversation, Direct):
            return await self._directs.ensure(conversation, ghost)
        return await self._groups.ensure(conversation, ghost)

    def _known(self, conversation: Conversation) -> str | None:
        if isinstance(conversation, Direct):
            return self._directs.known(conversation)
        return self._groups.known(conversation)

    async def _encode(self, delivery: Delivery, key: str, ghost: str) -> codec.Say | codec.Redaction:
        file, uploaded = codec.file_of(delivery.message), ("", 0)
        if file is not None:
            if key not in self._uploads:
                self._uploads[key] = await self._media.upload(ghost, file, delivery.open(file))
            uploaded = self._uploads[key]
        return codec.encode(delivery.message, *uploaded, link=self._names.mention)

    async def _say(
        self, room_id: str, user: str, what: codec.Say | codec.Redaction, key: str, at: int | None = None
    ) -> str:
        if isinstance(what, codec.Redaction):
            call, body = path("rooms", room_id, "redact", what.event_id, key), {}
        else:
            call, body = path("rooms", room_id, "send", what.type, key), what.content
        query = None if at is None else {"ts": str(at)}
        try:
            answer = await self._client.call("PUT", call, body, user=user, device=True, query=query, says=True)
        except Rejected as e:
            if e.errcode != "M_DUPLICATE_ANNOTATION" or isinstance(what, codec.Redaction):
                raise
            return await self._same_reaction(room_id, user, what)
        return str(answer["event_id"])

    async def _same_reaction(self, room_id: str, user: str, what: codec.Say) -> str:
        """The event of a reaction that is there already: on other networks one may react twice alike."""
        relation = what.content["m.relates_to"]
        call = path(
            room_id, "relations", relation["event_id"], "m.annotation", what.type, base="/_matrix/client/v1/rooms"
        )
        found = await self._client.call("GET", call, user=user, query={"limit": "100"})
        for event in found.get("chunk", ()):
            if event["sender"] == user and event["content"]["m.relates_to"]["key"] == relation["key"]:
                return str(event["event_id"])
        raise Permanent(Reason.REJECTED, "the homeserver says that this reaction is there already")

    async def _is_in(self, room_id: str, ghost: str) -> bool:
        joined = await self._client.call("GET", path("joined_rooms"), user=ghost)
        return room_id in joined.get("joined_rooms", ())

    async def _forget(self, room_id: str, ghost: str) -> None:
        self._groups.note(room_id, ghost, here=False)
        await self._directs.unbind(room_id, ghost)
