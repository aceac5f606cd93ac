"""Where requests wait until what they brought is durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from adapters.business.errors import Unavailable, from_refusal
from adapters.contract import Acknowledge, Event, Refused


class Inbox:
    """Hands events to the endpoint and brings back its word, for which a request waits ``patience`` seconds."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._queue: asyncio.Queue[tuple[Event, asyncio.Future[None] | None]] = asyncio.Queue()
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    async def accept(self, make: Callable[[Acknowledge], Event]) -> None:
        """Hand over the event that ``make`` builds around an acknowledgement; return when it is durable.

        Raises what the endpoint's refusal is in the Cloud API, or ``Unavailable`` when no word comes in time.
        """
        if self._closed:
            raise Unavailable("the bridge is stopping")
        word: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(word)
        self._queue.put_nowait((make(lambda refused: _tell(word, refused)), word))
        try:
            await asyncio.wait_for(word, self._patience)
        except TimeoutError as error:
            raise Unavailable("the message could not be made durable in time") from error
        except asyncio.CancelledError:
            if self._closed:
                raise Unavailable("the bridge is stopping") from None
            raise
        finally:
            self._waiting.discard(word)

    def notice(self, event: Event) -> None:
        """Hand over an event that nobody waits for."""
        self._queue.put_nowait((event, None))

    async def events(self) -> AsyncIterator[Event]:
        """Yield what comes, for ever; what its request no longer waits for is left out."""
        while True:
            event, word = await self._queue.get()
            if word is None or not word.done():
                yield event

    def close(self) -> None:
        """Take nothing more; whoever waits is told."""
        self._closed = True
        for word in self._waiting:
            word.cancel()


def _tell(word: asyncio.Future[None], refused: Refused | None) -> None:
    with suppress(asyncio.InvalidStateError):  # the request has given up waiting
        if refused is None:
            word.set_result(None)
        else:
            word.set_exception(from_refusal(refused))
