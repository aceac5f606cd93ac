"""Reactions: XMPP sends a person's whole set each time (XEP-0444), MIMI one message for each and for each withdrawal.

What each person's set to each message is, is kept in the account's store, in both directions. A reaction has a native
id of its own: that of the stanza that brought it, ``#``, and the emoji.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from adapters.contract import Message, Store
from protocol.bounded import Bounded
from protocol.content import Disposition, NullPart, text

_SET = "reactions/"
_TARGET = "reaction/"
_PENDING = 10_000

Held = dict[str, str]
"""A person's set: emoji to the native id of the reaction."""


class Reactions:
    """The sets that are known, of people here and of people of other networks alike."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sets: Bounded[str, Held] = Bounded(_PENDING)  # changed, but not stored yet

    async def changes(
        self, who: str, target: str, emoji: Sequence[str], native_id: str
    ) -> tuple[list[tuple[str, Message]], Held]:
        """Return what a person's new set says in single messages, with their native ids, and the set to ``keep``.

        Translation is deterministic: until the set is kept, the same stanza gives the same messages.
        """
        held = await self._held(who, target)
        messages = [
            (f"{native_id}#-{gone}", Message(part=NullPart(), replaces=held[gone]))
            for gone in held
            if gone not in emoji
        ]
        messages += [
            (f"{native_id}#{new}", Message(part=text(new, disposition=Disposition.REACTION), in_reply_to=target))
            for new in emoji
            if new not in held
        ]
        after = {each: held.get(each, f"{native_id}#{each}") for each in emoji}
        self._sets[f"{_SET}{who} {target}"] = after
        return messages, after

    async def keep(self, who: str, target: str, held: Held) -> None:
        """Store a set, once its messages are accepted."""
        key = f"{_SET}{who} {target}"
        if held:
            await self._store.put(key, msgspec.json.encode(held))
        else:
            await self._store.delete(key)
        if self._sets.get(key) == held:
            del self._sets[key]

    def drop(self, who: str, target: str, held: Held) -> None:
        """Forget a set whose messages were refused: the one that is stored is still what others were told."""
        key = f"{_SET}{who} {target}"
        if self._sets.get(key) == held:
            del self._sets[key]

    async def added(self, who: str, target: str, emoji: str, native_id: str) -> Held:
        """Return the set of ``who`` with one reaction more."""
        held = dict(await self._held(who, target))
        held.setdefault(emoji, native_id)
        return held

    async def remember(self, who: str, target: str, native_id: str, held_as: str) -> None:
        """Store what a reaction of ours was to, so that it can be withdrawn by ``native_id``, one of its own ids."""
        await self._store.put(_TARGET + native_id, msgspec.json.encode((who, target, held_as)))

    async def withdrawn(self, native_id: str) -> tuple[str, str, Held] | None:
        """Return whose reaction this was, to which message, and their set without it; None if it is no reaction."""
        stored = await self._store.get(_TARGET + native_id)
        if stored is None:
            return None
        who, target, held_as = msgspec.json.decode(stored, type=tuple[str, str, str])
        held = {emoji: id_ for emoji, id_ in (await self._held(who, target)).items() if id_ != held_as}
        return who, target, held

    async def _held(self, who: str, target: str) -> Held:
        key = f"{_SET}{who} {target}"
        if key in self._sets:
            return self._sets[key]
        stored = await self._store.get(key)
        return msgspec.json.decode(stored, type=Held) if stored else {}
