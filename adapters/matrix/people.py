"""What the homeserver's own people look like to others: their display names and avatars."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from adapters.contract import Outcome, Profile
from adapters.matrix.client import Client, Json, path
from adapters.matrix.names import NETWORK
from protocol.bounded import Bounded
from protocol.uri import Address

log = logging.getLogger(__name__)

_MOST: Final = 20_000
ANSWER_S: Final = 5.0
"""How long a name is waited for: what somebody says is worth more."""


class People:
    """Profiles by Matrix id, remembered; asked for once, then kept up to date by membership events.

    What is asked is the state of a room, which our homeserver has: a profile may lie on a server that never answers.
    """

    def __init__(self, client: Client, network: str = NETWORK) -> None:
        self._client = client
        self._network = network
        self._known: Bounded[str, Profile] = Bounded(_MOST)

    async def profile(self, user_id: str, room_id: str, ours: str) -> Profile:
        """Return the profile of ``user_id`` in a room that ``ours``, one of our users, is in.

        Without a name when the homeserver has none or does not answer in ``ANSWER_S``.
        """
        if user_id not in self._known:
            member = path("rooms", room_id, "state", "m.room.member", user_id)
            try:
                async with asyncio.timeout(ANSWER_S):
                    self.learn(user_id, await self._client.call("GET", member, user=ours))
            except (Outcome, TimeoutError) as e:
                log.info("a profile could not be read: %s", e)
        return self.remembered(user_id)

    def remembered(self, user_id: str) -> Profile:
        """Return what is known of ``user_id`` without asking anybody."""
        return self._known.get(user_id) or Profile(Address(self._network, user_id))

    def learn(self, user_id: str, content: Json) -> None:
        """Remember what a profile or the content of a membership event says of ``user_id``."""
        name, avatar = content.get("displayname"), content.get("avatar_url")
        profile = Profile(
            Address(self._network, user_id),
            name if isinstance(name, str) else "",
            avatar if isinstance(avatar, str) else "",
        )
        self._known[user_id] = profile
