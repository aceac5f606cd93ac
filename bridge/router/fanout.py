"""Fan-out: what is in an endpoint's durable inbox, and what has just come, as one stream without gap or repetition.

A listener that keeps up is handed messages straight from memory as they become durable. One that has just come, or has
fallen behind, reads the journal until that has nothing more for it. Passing signs go to whoever listens now.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence

from bridge.router.contract import Notification, RouterError, RouterUnavailable
from bridge.router.journal import Fanned, Journal

BATCH = 256
"""Most notifications that are handed over at once."""

KEPT_IN_MEMORY = 1024
"""Notifications a listener may leave waiting before it is sent to the journal for them."""

LISTENERS = 8
"""Streams to one endpoint; another one ends the oldest, whose other end is probably gone."""

KEPT_PASSING = 64
"""Passing signs a listener may leave waiting; older ones are dropped."""


class _Listener:
    """One stream to one endpoint."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        self.over: RouterError | None = None
        self.behind = True  # the journal may have more than ``live``
        self.live: deque[Notification] = deque()
        self.passing: deque[Notification] = deque(maxlen=KEPT_PASSING)
        self.wake = asyncio.Event()

    def offer(self, notification: Notification) -> None:
        if len(self.live) >= KEPT_IN_MEMORY:
            self.behind = True
            self.live.clear()
        if not self.behind:
            self.live.append(notification)
        self.wake.set()

    def show(self, notification: Notification) -> None:
        self.passing.append(notification)
        self.wake.set()

    def end(self, reason: RouterError) -> None:
        self.over = reason
        self.wake.set()

    def take_live(self) -> list[Notification]:
        """Take the next batch from memory, without what the journal has shown already."""
        batch: list[Notification] = []
        while self.live and len(batch) < BATCH:
            notification = self.live.popleft()
            if notification.position > self.cursor:
                batch.append(notification)
        return batch


class FanOut:
    """All streams of this router."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._listeners: dict[str, dict[_Listener, None]] = {}  # the oldest first

    def deliver(self, fanned: Sequence[Fanned]) -> None:
        """Pass on what has become durable; called in rising position."""
        for notification, recipients in fanned:
            for listener in self._listening(recipients):
                listener.offer(notification)

    def show(self, notification: Notification, recipients: Iterable[str]) -> None:
        """Pass on a passing sign."""
        for listener in self._listening(recipients):
            listener.show(notification)

    def end(self, endpoint: str, reason: RouterError) -> None:
        """End every stream to an endpoint."""
        for listener in list(self._listeners.get(endpoint, ())):
            listener.end(reason)

    def _listening(self, endpoints: Iterable[str]) -> Iterable[_Listener]:
        for endpoint in endpoints:
            yield from self._listeners.get(endpoint, ())

    async def listen(self, endpoint: str, cursor: int) -> AsyncGenerator[Sequence[Notification]]:
        """Stream an endpoint's notifications from after the position ``cursor``, for ever."""
        listener = _Listener(cursor)
        others = self._listeners.setdefault(endpoint, {})
        if len(others) >= LISTENERS:
            next(iter(others)).end(RouterUnavailable(f"{endpoint} has opened {LISTENERS} newer streams"))
        others[listener] = None
        try:
            while True:
                listener.wake.clear()
                if listener.over is not None:
                    raise listener.over
                durable = await self._next_durable(endpoint, listener)
                if durable:
                    listener.cursor = durable[-1].position
                    yield durable
                if listener.passing:
                    shown = list(listener.passing)
                    listener.passing.clear()
                    yield shown
                if not durable and not listener.behind:
                    await listener.wake.wait()
        finally:
            others.pop(listener, None)

    async def _next_durable(self, endpoint: str, listener: _Listener) -> Sequence[Notification]:
        if not listener.behind:
            return listener.take_live()
        # From here on new ones are kept in memory, so that nothing falls between them and what is read now.
        listener.behind = False
        listener.live.clear()
        batch = await self._journal.fetch(endpoint, listener.cursor, BATCH)
        if batch:
            listener.behind = True
        return batch
