"""What is different between two readings of the configuration, and who has to do what about it: pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from bridge.config import Config, EndpointConfig, Loaded


class Difference(Struct, frozen=True):
    """Endpoints that were ``added``, ``removed``, ``changed`` (they start anew) or ``told`` of other rooms and limits.

    ``needs_restart`` are the settings that are read once, as the process starts.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()

    def words(self) -> dict[str, list[str]]:
        """Return what there is of it, for logs and operators."""
        return {name: list(getattr(self, name)) for name in self.__struct_fields__ if getattr(self, name)}


def compare(old: Loaded, new: Loaded, mine: frozenset[str] | None = None) -> Difference:
    """Say what ``new`` changes; ``mine`` are the endpoints of this process (None: all that are configured)."""
    before, after = old.config, new.config
    kept = _here((name for name in after.endpoint if name in before.endpoint), mine)
    judged = before.authority != after.authority  # who may be trusted is read at a start
    changed = tuple(name for name in kept if judged or _differs(before.endpoint[name], after.endpoint[name]))
    told = tuple(name for name in kept if name not in changed) if _shared(before) != _shared(after) else ()
    return Difference(
        added=_here((name for name in after.endpoint if name not in before.endpoint), mine),
        removed=_here((name for name in before.endpoint if name not in after.endpoint), mine),
        changed=changed,
        told=told,
        needs_restart=tuple(_once(before, after)),
    )


def _here(names: Iterable[str], mine: frozenset[str] | None) -> tuple[str, ...]:
    return tuple(name for name in names if mine is None or name in mine)


def _differs(before: EndpointConfig, after: EndpointConfig) -> bool:
    return bool(msgspec.to_builtins(before) != msgspec.to_builtins(after))


def _shared(config: Config) -> object:
    """What endpoints are told beside their own table."""
    parts = {name: msgspec.to_builtins(getattr(config, name)) for name in config.__struct_fields__}
    for alone in ("endpoint", *_ONCE):
        parts.pop(alone, None)
    return parts


_ONCE = ("domain", "data", "router", "http", "log", "authority")


def _once(before: Config, after: Config) -> list[str]:
    return [name for name in _ONCE if getattr(before, name) != getattr(after, name)]
