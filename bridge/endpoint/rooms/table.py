"""The table of rooms: found by URI or by conversation, loaded from the ledger, taken up from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import structlog

from adapters.contract import Conversation, Group
from bridge.directory import Directory, PlumbedRoom
from bridge.endpoint.ledger.contract import Ledger, RoomPhase, RoomRow
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.rooms.room import Room, space_of
from bridge.storage import StorageError
from protocol import mls, uri

log = structlog.get_logger(__name__)


class Rooms:
    """All rooms of one endpoint."""

    def __init__(self, directory: Directory, ledger: Ledger, keys: Keys) -> None:
        self._directory = directory
        self._ledger = ledger
        self._keys = keys
        self._rooms: dict[str, Room] = {}
        self.unreadable: dict[str, Exception] = {}
        """Rooms that could not be read, or whose group could not be, by URI."""
        self._by_conversation: dict[str, Room] = {}
        self.establish: Callable[[Room], None] = lambda _: None
        """Has the reconciler look at a room."""

    async def load(self) -> None:
        """Read the rooms and their groups from the ledger."""
        for row in await self._ledger.rooms():
            try:
                room = await self._loaded(row)
            except StorageError:
                raise
            except Exception as error:  # it costs itself: there is nothing by which it could be known
                self.unreadable[row.room] = error
                continue
            room.trusted = False
            self._add(room)

    async def _loaded(self, row: RoomRow) -> Room:
        """Return the room of a row; one whose group cannot be read is there without it, until it is in it again."""
        room = Room.from_row(row)
        if room.phase in (RoomPhase.MEMBER, RoomPhase.CREATING):
            try:
                records = dict(await self._ledger.scan(space_of(row.group_id)))
                room.group = mls.Group.restore(self._keys.identity, records, authority=self._keys.authority)
                room.refresh()
            except StorageError:
                raise
            except Exception as error:
                self.unreadable[row.room] = error
                room.group, room.pending, room.phase = None, None, RoomPhase.WAITING
        return room

    def start(self, plumbed_rooms: Iterable[PlumbedRoom]) -> None:
        """Take up the rooms of the configuration, at a start or when it is read again."""
        for plumbed in plumbed_rooms:
            conversation = Group(plumbed.conversation)
            room_uri = uri.room_uri(self._directory.domain, plumbed.id)
            room = self.get(room_uri)
            if room is None:
                room = Room(room_uri, conversation, name=plumbed.name)
            elif room.conversation.key != conversation.key:  # the native room has moved: it is the same room of ours
                self._by_conversation.pop(room.conversation.key, None)
                room.conversation, room.stored = conversation, False
            self._add(room)

    def get(self, room_uri: str) -> Room | None:
        """Return a room that is known here."""
        return self._rooms.get(room_uri)

    def of(self, conversation: Conversation) -> Room | None:
        """Return the room of a conversation, if it is known here."""
        return self._by_conversation.get(conversation.key)

    def want(self, conversation: Conversation) -> Room | None:
        """Return the room of a conversation, which may be new: its row must then be in the caller's transaction.

        None for a native room that is not plumbed. Raises ``UriError`` for an address that can have no URI.
        """
        room = self.of(conversation)
        if room is None and (room_uri := self._directory.room_of(conversation)) is not None:
            room = Room(room_uri, conversation)
            self._add(room)
        return room

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))

    def __len__(self) -> int:
        return len(self._rooms)

    def _add(self, room: Room) -> None:
        self._rooms[room.uri] = room
        self._by_conversation[room.conversation.key] = room
