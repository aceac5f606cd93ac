"""Aliases that arrive before the send they belong to has returned."""

from __future__ import annotations

from collections import OrderedDict

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
