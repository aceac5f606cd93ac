"""What a person on the stage can do and notice, whatever client they hold."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

PATIENCE = 60.0
"""How long a person waits for something to happen, in seconds: far longer than it ever takes."""


class Did(StrEnum):
    """Everything that one person can notice another do."""

    SAY = "say"
    EDIT = "edit"
    DELETE = "delete"
    REACT = "react"
    FILE = "file"
    TYPING = "typing"
    READ = "read"
    ERROR = "error"


@dataclass(frozen=True)
class Noticed:
    """One thing that a client showed: who did what; ``id`` and ``target`` are the client's own message ids."""

    did: Did
    sender: str
    text: str = ""
    id: str = ""
    target: str = ""
    data: bytes = b""
    room: str = ""
    at: float = field(default_factory=time.monotonic)


class Person(ABC):
    """Somebody with a real client.

    ``addresses`` maps the others' names to how this person's client addresses them. Messages are remembered by their
    text, so that a transcript can speak of ``"Wherefore art thou"`` and each client finds its own id for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.addresses: dict[str, str] = {}
        self.known: dict[str, str] = {}
        self.noticed: list[Noticed] = []
        self._news = asyncio.Condition()

    def name_of(self, address: str) -> str:
        """Return whose address this is, or the address itself."""
        return next((name for name, known in self.addresses.items() if known == address), address)

    async def notice(self, thing: Noticed) -> None:
        """Remember what the client has just shown; called by the client's own handlers."""
        if thing.id and thing.text and thing.did in {Did.SAY, Did.FILE}:
            self.known[thing.text] = thing.id
        self.noticed.append(thing)
        async with self._news:
            self._news.notify_all()

    async def wait(self, wanted: Callable[[Noticed], bool], what: str, patience: float = PATIENCE) -> Noticed:
        """Wait until something wanted has been noticed; AssertionError after ``patience`` seconds."""

        def find() -> Noticed | None:
            return next((thing for thing in self.noticed if wanted(thing)), None)

        try:
            async with asyncio.timeout(patience), self._news:
                await self._news.wait_for(lambda: find() is not None)
        except TimeoutError:
            seen = "\n  ".join(str(thing)[:300] for thing in self.noticed[-12:]) or "nothing"
            raise AssertionError(f"{self.name} waited {patience:.0f} s in vain: {what}; noticed:\n  {seen}") from None
        found = find()
        assert found is not None
        return found

    @abstractmethod
    async def arrive(self) -> None:
        """Sign in."""

    @abstractmethod
    async def leave(self) -> None:
        """Sign out."""

    @abstractmethod
    async def say(self, to: str, text: str, *, reply_to: str = "") -> str:
        """Send ``text`` to a person or room, perhaps in reply to a message by its id; return the new id."""

    @abstractmethod
    async def react(self, to: str, target: str, emoji: str) -> None:
        """React to a message; '' withdraws."""

    @abstractmethod
    async def edit(self, to: str, target: str, text: str) -> None:
        """Correct a message of one's own."""

    @abstractmethod
    async def delete(self, to: str, target: str) -> None:
        """Take a message of one's own back."""

    @abstractmethod
    async def send_file(self, to: str, name: str, mime: str, data: bytes) -> str:
        """Send a file; return the message's id."""

    @abstractmethod
    async def share(self, to: str, uri: str) -> str:
        """Share a place, a ``geo:`` URI; return the message's id."""

    @abstractmethod
    async def type(self, to: str, active: bool) -> None:
        """Start or stop typing."""

    @abstractmethod
    async def read(self, to: str, target: str) -> None:
        """Let it be known that everything up to a message was read."""
