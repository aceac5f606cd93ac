"""What arrives from a network before the send it belongs to has returned: bots answer faster than HTTP does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import Any

_MOST = 2048


class EarlyAliases:
    """Second names of messages whose first name may not be in the ledger yet; the oldest are forgotten.

    ``settle`` is called when a first name is queued to be written, ``note`` when a second one finds no first: whichever
    comes first, the two find one another.
    """

    def __init__(self) -> None:
        self._aliases: OrderedDict[str, list[str]] = OrderedDict()
        self._settled: OrderedDict[str, bytes] = OrderedDict()

    def note(self, native_id: str, alias: str) -> bytes | None:
        """Return the message that ``native_id`` has just become the name of, or else remember its ``alias``."""
        settled = self._settled.get(native_id)
        if settled is None:
            self._aliases.setdefault(native_id, []).append(alias)
            _forget_the_oldest(self._aliases)
        return settled

    def settle(self, native_id: str, mimi_id: bytes) -> list[str]:
        """Say what ``native_id`` names; return what else it is called, as far as that has been heard."""
        self._settled[native_id] = mimi_id
        _forget_the_oldest(self._settled)
        return self._aliases.pop(native_id, [])


def _forget_the_oldest(names: OrderedDict[str, Any]) -> None:
    if len(names) > _MOST:
        names.popitem(last=False)


class InFlight:
    """Which rooms have a send under way, whose native id is not in the id map yet."""

    def __init__(self) -> None:
        self._landed: dict[str, asyncio.Event] = {}

    def begin(self, room: str) -> None:
        """Note that a send is under way, or may have been when we were killed. One at a time for each room."""
        self._landed.setdefault(room, asyncio.Event())

    def end(self, room: str) -> None:
        """Note that its outcome is durable."""
        landed = self._landed.pop(room, None)
        if landed is not None:
            landed.set()

    def under_way(self, room: str) -> asyncio.Event | None:
        """Return what will be set when the send that is under way in a room has landed, or None if there is none.

        To be asked before the id map is: a send may land while that is being read, too late to be found and too early
        to be waited for.
        """
        return self._landed.get(room)


async def landed(send: asyncio.Event, timeout: float) -> bool:  # noqa: ASYNC109 - an answer, not an error
    """Wait for a send; return whether it has landed in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await send.wait()
    return send.is_set()
