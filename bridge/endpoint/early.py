"""What arrives from a network before the send it belongs to has returned: bots answer faster than HTTP does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator

_MOST = 2048


class EarlyAliases:
    """Second names of messages whose first name is not known yet; the oldest are forgotten when there are too many."""

    def __init__(self) -> None:
        self._aliases: OrderedDict[str, list[str]] = OrderedDict()

    def note(self, native_id: str, alias: str) -> None:
        """Remember that ``native_id``, unknown so far, is also called ``alias``."""
        self._aliases.setdefault(native_id, []).append(alias)
        if len(self._aliases) > _MOST:
            self._aliases.popitem(last=False)

    def take(self, native_id: str) -> list[str]:
        """Return, and forget, what else ``native_id`` is called."""
        return self._aliases.pop(native_id, [])


class InFlight:
    """Which rooms have a send under way, whose native id is not in the id map yet."""

    def __init__(self) -> None:
        self._landed: dict[str, asyncio.Event] = {}

    @contextlib.contextmanager
    def sending(self, room: str) -> Iterator[None]:
        """Note that a send is under way, until its outcome is durable. One at a time for each room."""
        landed = self._landed[room] = asyncio.Event()
        try:
            yield
        finally:
            del self._landed[room]
            landed.set()

    async def landed(self, room: str, timeout: float) -> bool:  # noqa: ASYNC109 - an answer, not an error
        """Wait for the send that is under way in a room; return whether there was one, and it has ended in time."""
        landed = self._landed.get(room)
        if landed is None:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await landed.wait()
        return landed.is_set()
