"""What arrives from a network before the send it belongs to has returned: bots answer faster than HTTP does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterable
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
    """Which sends are under way in each room: their native ids are not in the id map yet."""

    def __init__(self) -> None:
        self._sends: dict[str, list[asyncio.Event]] = {}
        self._offering: dict[str, set[asyncio.Event]] = {}

    def begin(self, room: str, *, offers: bool = False) -> asyncio.Event:
        """Note that a send is under way, or may have been when we were killed; return what stands for it.

        ``offers``: it offers something, or may do so, that can be answered in words.
        """
        send = asyncio.Event()
        self._sends.setdefault(room, []).append(send)
        if offers:
            self._offering.setdefault(room, set()).add(send)
        return send

    def end(self, room: str, send: asyncio.Event) -> None:
        """Note that the outcome of a send is durable."""
        send.set()
        sends = self._sends.get(room, [])
        if send in sends:
            sends.remove(send)
        if not sends:
            self._sends.pop(room, None)
        offering = self._offering.get(room, set())
        offering.discard(send)
        if not offering:
            self._offering.pop(room, None)

    def offering(self, room: str) -> bool:
        """Whether something is being offered in a room just now."""
        return room in self._offering

    def under_way(self, room: str) -> tuple[asyncio.Event, ...]:
        """Return what will be set when the sends that are under way in a room have landed.

        To be asked before the id map is: a send may land while that is being read, too late to be found and too early
        to be waited for.
        """
        return tuple(self._sends.get(room, ()))


async def landed(sends: Iterable[asyncio.Event], timeout: float) -> None:  # noqa: ASYNC109 - it is no error
    """Wait until these sends have landed, but not for longer than ``timeout`` seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            for send in sends:
                await send.wait()
