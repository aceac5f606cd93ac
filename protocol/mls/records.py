"""A group's durable state as small keyed records, and what of it changed since it was last stored."""

from __future__ import annotations


class Records:
    """Collects writes and deletions until the caller takes them to commit them in one transaction."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        self._changes: dict[str, bytes | None] = {}

    def put(self, key: str, value: bytes | None) -> None:
        """Note that a record has this value now; None deletes it."""
        self._changes[key] = value

    def take(self) -> dict[str, bytes | None]:
        """Return the changes since the last call, and begin anew."""
        changes, self._changes = self._changes, {}
        return changes
