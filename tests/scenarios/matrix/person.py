"""A person on the homeserver with a real client, matrix-nio, that keeps what it sees."""

from __future__ import annotations

import asyncio
from typing import Any

import nio

from tests.servers.synapse import Synapse, User

_ALL = {"room": {"timeline": {"limit": 10_000}}}


class Person:
    """A signed-in client, syncing; ``events`` holds the source of all that happened in its rooms."""

    def __init__(self, synapse: Synapse, user: User) -> None:
        self.id = user.id
        self.client = nio.AsyncClient(synapse.url, user.id, config=nio.AsyncClientConfig(encryption_enabled=False))
        self.client.restore_login(user.id, user.device, user.token)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.receipts: list[nio.Receipt] = []
        self.typists: list[str] = []
        self._taken = 0
        self._followed: set[str] = set()
        self._changed = asyncio.Event()
        self._syncing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.client.add_event_callback(self._saw, nio.Event)
        self.client.add_event_callback(self._saw, nio.InviteEvent)
        self.client.add_ephemeral_callback(self._read, nio.ReceiptEvent)
        self.client.add_ephemeral_callback(self._types, nio.TypingNoticeEvent)
        await self.client.sync(timeout=0, full_state=True)
        self._syncing = asyncio.create_task(self._sync())

    async def stop(self) -> None:
        if self._syncing is not None:
            self._syncing.cancel()
            await asyncio.gather(self._syncing, return_exceptions=True)
        await self.client.close()

    async def _sync(self) -> None:
        while True:
            answer = await self.client.sync(timeout=10_000, sync_filter=_ALL)
            if isinstance(answer, nio.SyncError):
                await asyncio.sleep(0.2)

    async def _saw(self, room: nio.MatrixRoom, event: Any) -> None:
        self.events.append((room.room_id, event.source))
        self._changed.set()

    async def _read(self, room: nio.MatrixRoom, event: nio.ReceiptEvent) -> None:
        self.receipts.extend(event.receipts)
        self._changed.set()

    async def _types(self, room: nio.MatrixRoom, event: nio.TypingNoticeEvent) -> None:
        self.typists = event.users
        self._changed.set()

    # --- what it sees ---

    async def until(self, true: Any, patience: float = 40.0) -> None:
        """Wait until ``true()`` is, looking whenever something has come."""
        async with asyncio.timeout(patience):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def saw(self, room_id: str, user: str, membership: str) -> bool:
        """Whether it has seen somebody join or leave a room."""
        return any(
            r == room_id and e.get("state_key") == user and e["content"].get("membership") == membership
            for r, e in self.events
            if e["type"] == "m.room.member"
        )

    async def next(self, type_: str = "m.room.message", patience: float = 40.0) -> tuple[str, dict[str, Any]]:
        """The next event of a type that others sent: its room and its source."""
        async with asyncio.timeout(patience):
            while True:
                while self._taken < len(self.events):
                    room_id, event = self.events[self._taken]
                    self._taken += 1
                    if event["type"] == type_ and event["sender"] != self.id:
                        return room_id, event
                self._changed.clear()
                await self._changed.wait()

    async def invited(self, patience: float = 40.0) -> str:
        """Wait for an invitation, follow it, and return its room."""
        async with asyncio.timeout(patience):
            while not (new := set(self.client.invited_rooms) - self._followed):
                self._changed.clear()
                await self._changed.wait()
        room_id: str = new.pop()
        self._followed.add(await self.join(room_id))
        return room_id

    # --- what it does ---

    async def leave(self, room_id: str) -> None:
        answer = await self.client.room_leave(room_id)
        assert isinstance(answer, nio.RoomLeaveResponse), answer
        self._followed.discard(room_id)

    async def join(self, room: str) -> str:
        answer = await self.client.join(room)
        assert isinstance(answer, nio.JoinResponse), answer
        return str(answer.room_id)

    async def direct(self, other: str, preset: nio.RoomPreset = nio.RoomPreset.trusted_private_chat) -> str:
        """Begin a direct chat with somebody, and wait until they are in it."""
        answer = await self.client.room_create(is_direct=True, invite=[other], preset=preset)
        assert isinstance(answer, nio.RoomCreateResponse), answer
        room_id = str(answer.room_id)

        await self.until(lambda: self.saw(room_id, other, "join"))
        return room_id

    async def send(self, room_id: str, content: dict[str, Any] | str, type_: str = "m.room.message") -> str:
        body = {"msgtype": "m.text", "body": content} if isinstance(content, str) else content
        answer = await self.client.room_send(room_id, type_, body)
        assert isinstance(answer, nio.RoomSendResponse), answer
        return str(answer.event_id)
