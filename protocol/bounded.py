"""A dictionary that does not grow for ever: whatever has not been used for longest is forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Bounded(MutableMapping[K, V]):
    """At most ``size`` entries; reading or writing one makes it the newest, and the oldest goes.

    For what can be had again: a cache. ``forgotten(key, value)`` is called for what goes because of the bound.
    """

    __slots__ = ("_entries", "_forgotten", "size")

    def __init__(self, size: int, forgotten: Callable[[K, V], None] | None = None) -> None:
        if size < 1:
            raise ValueError(f"a bounded dictionary holds at least one entry, not {size}")
        self.size = size
        self._forgotten = forgotten
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, key: K) -> V:
        value = self._entries[key]
        self._entries.move_to_end(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self.size:
            oldest, gone = self._entries.popitem(last=False)
            if self._forgotten is not None:
                self._forgotten(oldest, gone)

    def __delitem__(self, key: K) -> None:
        del self._entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        """The keys, the one unused for longest first."""
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
