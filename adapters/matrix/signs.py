"""Signs that are no messages: who is typing, and how far people have read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from adapters.contract import Conversation, Receipt, TypingNotice
from adapters.matrix import codec
from adapters.matrix.client import Json
from adapters.matrix.names import Names, is_user_id
from adapters.matrix.people import People
from protocol.bounded import Bounded
from protocol.status import Status

_REMEMBERED: Final = 10_000


class Signs:
    """Reads ephemeral events. A sign of one of our own users is our own echo."""

    def __init__(self, names: Names, people: People) -> None:
        self._names = names
        self._people = people
        self._typists: Bounded[str, frozenset[str]] = Bounded(_REMEMBERED)
        self._last: Bounded[str, str] = Bounded(_REMEMBERED)
        self._before: Bounded[str, str] = Bounded(_REMEMBERED)

    def passed(self, event: Json, kind: str, room_id: str, event_id: str, *, ours: bool) -> None:
        """Note an event of a room's timeline: receipts may name one that says nothing, and mean what came before.

        Our own notices are nothing that anybody knows.
        """
        content = event.get("content")
        notice = ours and isinstance(content, dict) and content.get("msgtype") == "m.notice"
        if kind in codec.SAID and not notice:
            self._last[room_id] = event_id
        elif room_id in self._last:
            self._before[event_id] = self._last[room_id]

    def typing(self, room_id: str, conversation: Conversation, content: Json) -> Iterator[TypingNotice]:
        """Say who started and who stopped typing since the last list of those who do."""
        users = content.get("user_ids")
        now = frozenset(u for u in users if self._is_other(u)) if isinstance(users, list) else frozenset()
        before = self._typists.pop(room_id, frozenset())
        if now:
            self._typists[room_id] = now
        for user in sorted(now ^ before):
            yield TypingNotice(conversation=conversation, sender=self._people.remembered(user), active=user in now)

    def receipts(self, conversation: Conversation, content: Json) -> Iterator[Receipt]:
        """Say who has read which messages."""
        read: dict[str, list[str]] = {}
        for event_id, receipts in content.items():
            by = receipts.get("m.read") if isinstance(receipts, dict) else None
            for user in by if isinstance(by, dict) else ():
                if self._is_other(user):
                    read.setdefault(user, []).append(self._before.get(event_id, event_id))
        for user, event_ids in read.items():
            yield Receipt(
                conversation=conversation,
                sender=self._people.remembered(user),
                native_ids=tuple(event_ids),
                status=Status.READ,
            )

    def _is_other(self, user: object) -> bool:
        return isinstance(user, str) and is_user_id(user) and not self._names.owns(user)
