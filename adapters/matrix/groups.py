"""Plumbed rooms: native rooms that the configuration names, by alias or by id, and who of ours is in them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from adapters.contract import Group, Permanent, Reason
from adapters.matrix.client import Client, Rejected, path
from adapters.matrix.locks import Locks
from adapters.matrix.names import Names

log = logging.getLogger(__name__)


class Groups:
    """The plumbed rooms of one account. The bot is in all of them; a ghost joins when it first speaks."""

    def __init__(self, client: Client, names: Names, configured: Iterable[str]) -> None:
        self._client = client
        self._names = names
        self._configured = tuple(configured)
        self._room_ids: dict[str, str] = {}
        self._conversations: dict[str, Group] = {}
        self._joined: dict[str, set[str]] = {}
        self._locks = Locks()

    async def open(self) -> None:
        """Join all rooms; one that cannot be joined is logged and tried again when somebody speaks there."""
        for name in self._configured:
            try:
                await self.room(Group(name))
            except Permanent as e:
                log.warning("the plumbed room %s cannot be joined: %s", name, e)

    def of(self, room_id: str) -> Group | None:
        """The conversation that happens in a room; None if it is not plumbed."""
        return self._conversations.get(room_id)

    def known(self, group: Group) -> str | None:
        """The id of a plumbed room, if the bot is in it."""
        return self._room_ids.get(group.id)

    async def admitted(self, room_id: str) -> bool:
        """Join what was not open to the bot before; say whether this room is now one of ours."""
        await self.open()
        return room_id in self._conversations

    def has(self, room_id: str, ghost: str) -> bool:
        """Whether a ghost is known to be in a plumbed room."""
        return ghost in self._joined.get(room_id, ())

    def note(self, room_id: str, ghost: str, *, here: bool) -> None:
        """Note that a ghost has joined a plumbed room, or is no longer in it."""
        if room_id in self._joined:
            (self._joined[room_id].add if here else self._joined[room_id].discard)(ghost)

    def expelled(self, room_id: str) -> None:
        """Note that the bot is no longer in a plumbed room: it is closed until the bot can join it again."""
        group = self._conversations.pop(room_id, None)
        if group is not None:
            log.warning("the bot %s is no longer in the plumbed room %s", self._names.bot_id, group.id)
            del self._room_ids[group.id]

    async def room(self, group: Group) -> str:
        """Return the id of a plumbed room, with the bot in it; raises an outcome if that cannot be."""
        room_id = self._room_ids.get(group.id)
        if room_id is not None:
            return room_id
        async with self._locks.hold(group.id):
            if group.id not in self._configured:
                raise Permanent(Reason.RECIPIENT_UNKNOWN, f"the room {group.id} is not plumbed here")
            return await self._join_bot(group)

    async def ensure(self, group: Group, ghost: str) -> str:
        """Return the id of a plumbed room, with ``ghost`` in it."""
        room_id = await self.room(group)
        if ghost not in self._joined[room_id]:
            async with self._locks.hold(f"{room_id} {ghost}"):
                await self._join_ghost(room_id, ghost)
                self._joined[room_id].add(ghost)
        return room_id

    async def _join_bot(self, group: Group) -> str:
        name = group.id
        room_id = await self._resolve(name) if name.startswith("#") else name
        try:
            await self._client.call("POST", path("join", room_id), {})
        except Rejected as e:
            raise Permanent(
                Reason.RECIPIENT_UNREACHABLE, f"{self._names.bot_id} is not in {name}, invite it: {e}"
            ) from e
        members = await self._client.call("GET", path("rooms", room_id, "joined_members"))
        self._joined[room_id] = {user for user in members.get("joined", {}) if self._names.owns(user)}
        self._conversations[room_id] = group
        self._room_ids[name] = room_id
        return room_id

    async def _resolve(self, alias: str) -> str:
        directory = path("directory", "room", alias)
        try:
            return str((await self._client.call("GET", directory))["room_id"])
        except Rejected as e:
            if e.status != 404 or not self._names.owns_alias(alias):
                raise
        room = {
            "room_alias_name": self._names.alias_localpart(alias),
            "preset": "public_chat",
            "visibility": "private",
        }
        try:
            return str((await self._client.call("POST", path("createRoom"), room))["room_id"])
        except Rejected as e:
            if e.errcode != "M_ROOM_IN_USE":
                raise
        return str((await self._client.call("GET", directory))["room_id"])

    async def _join_ghost(self, room_id: str, ghost: str) -> None:
        """Join as a ghost, with an invitation by the bot where one is needed."""
        join = path("join", room_id)
        try:
            await self._client.call("POST", join, {}, user=ghost)
        except Rejected:
            await self._client.call("POST", path("rooms", room_id, "invite"), {"user_id": ghost})
            await self._client.call("POST", join, {}, user=ghost)
