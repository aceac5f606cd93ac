"""Who is in which room: invitations that our users follow or decline, and people and ghosts that come and go."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from adapters.contract import Direct, Profile
from adapters.kit import addresses
from adapters.matrix.client import Client, Json, path
from adapters.matrix.directs import Directs
from adapters.matrix.ghosts import Ghosts
from adapters.matrix.groups import Groups
from adapters.matrix.names import Names, is_user_id
from adapters.matrix.people import People
from protocol.uri import Address

log = logging.getLogger(__name__)

_MISSED: Final = 100
"""How many events of a new direct room are read back: more than anybody writes before an answer."""
_DECLINED: Final = "only rooms of two, or rooms plumbed by this bridge's operator, can be joined"


class Membership:
    """Takes membership events, one after the other, without asking anybody; and answers invitations, beside them."""

    def __init__(
        self, client: Client, names: Names, ghosts: Ghosts, people: People, directs: Directs, groups: Groups
    ) -> None:
        self._client = client
        self._names = names
        self._ghosts = ghosts
        self._people = people
        self._directs = directs
        self._groups = groups

    async def take(self, event: Json, sender: str, room_id: str) -> bool:
        """Take one ``m.room.member`` event; say whether it is an invitation that is to be answered."""
        content, user = event.get("content"), event.get("state_key")
        if not isinstance(content, dict) or not isinstance(user, str):
            return False
        membership = content.get("membership")
        if not self._names.owns(user):
            if membership == "join":
                self._people.learn(user, content)
            if membership in ("join", "leave", "ban"):
                await self._directs.present(room_id, user, here=membership == "join")
        elif membership == "invite":
            return not self._names.owns(sender)
        elif membership in ("join", "leave", "ban"):
            self._groups.note(room_id, user, here=membership == "join")
            if membership != "join" and user == self._names.bot_id:
                self._groups.expelled(room_id)
            elif membership != "join":
                await self._directs.unbind(room_id, user)
        return False

    async def answer(self, room_id: str, user: str, inviter: str) -> Sequence[Json]:
        """Follow an invitation that makes a direct room; decline any other, in words. Raises an outcome.

        Returns what was said in a new direct room before the invited ghost came, oldest first: a homeserver pushes only
        what happens while one of ours is in a room, and people write as soon as they have invited.
        """
        if user == self._names.bot_id:
            follow = await self._groups.admitted(room_id)
        else:
            follow = await self._follow(room_id, user, inviter)
        if not follow:
            await self.decline(room_id, user, _DECLINED)
        elif self._directs.of(room_id) is not None:
            return await self._missed(room_id, user)
        return ()

    async def decline(self, room_id: str, user: str, reason: str) -> None:
        """Leave a room, or an invitation into it, and say why. Raises an outcome."""
        await self._client.call("POST", path("rooms", room_id, "leave"), {"reason": reason}, user=user)

    async def _missed(self, room_id: str, ghost: str) -> Sequence[Json]:
        """Return what has happened since ``ghost``, who has just joined, was invited, oldest first."""
        query = {"dir": "b", "limit": str(_MISSED)}
        answer = await self._client.call("GET", path("rooms", room_id, "messages"), user=ghost, query=query)
        missed: list[Json] = []
        for event in answer.get("chunk", ()):
            if event.get("state_key") == ghost and event.get("content", {}).get("membership") == "invite":
                break
            missed.append({**event, "room_id": room_id})
        return missed[::-1]

    async def _follow(self, room_id: str, ghost: str, inviter: str) -> bool:
        peer = await self._ghosts.address(ghost)
        if peer is None or peer.network == self._names.network or not is_user_id(inviter):
            return False
        if flaw := addresses.flaw(peer):
            log.info("nobody can be %s: %s", ghost, flaw)
            return False
        await self._ghosts.ensure(Profile(peer))
        await self._client.call("POST", path("join", room_id), {}, user=ghost)
        if self._groups.of(room_id) is not None:
            return True
        members = path("rooms", room_id, "members")
        answer = await self._client.call("GET", members, user=ghost, query={"not_membership": "leave"})
        present = [each for each in answer["chunk"] if each["content"]["membership"] in {"join", "invite"}]
        for each in present:
            self._people.learn(each["state_key"], each["content"])
        here = {each["state_key"] for each in present}
        if here != {ghost, inviter}:
            return False
        await self._directs.bind(room_id, Direct(Address(self._names.network, inviter), peer))
        return True
