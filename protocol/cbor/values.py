"""What an encoding may hold: how much, how deep, which keys, and two types that Python lacks."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

MAX_DEPTH: Final = 16
"""How many arrays, maps and tags may lie inside one another; MIMI content needs 12."""

MAX_ITEMS: Final = 65_536
"""How many items one encoding may hold in all; a content of 1,024 external parts has 16,000."""

MAX_INTEGER_KEY: Final = 2**53 - 1
"""The largest magnitude of an integer key: what every language can represent."""


class Tag(Struct, frozen=True):
    """A tagged value, uninterpreted."""

    number: int
    value: Any


class Simple(Struct, frozen=True):
    """A simple value that Python has no word for: 0..19, 23 (undefined) or 32..255."""

    value: int


TAGGED: Final = "tagged"
"""The step of a path that leads from a tag to its value."""


def flaw_of_key(key: Any) -> str:  # noqa: ANN401
    """Say in words why ``key`` cannot be the key of a map; '' if it can."""
    if isinstance(key, int) and not isinstance(key, bool):
        return "" if abs(key) <= MAX_INTEGER_KEY else "an integer key of a map lies outside +-(2^53 - 1)"
    return "" if isinstance(key, (str, bytes)) else "a key of a map must be an integer, text or bytes"


def is_needless(tag: int, magnitude: Any) -> bool:  # noqa: ANN401
    """Say whether a tag makes a big number of what has a shorter form: fewer octets, or an integer of 64 bits."""
    return tag in _BIG_NUMBERS and isinstance(magnitude, bytes) and (len(magnitude) <= 8 or not magnitude[0])


_BIG_NUMBERS: Final = frozenset({2, 3})
