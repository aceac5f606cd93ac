"""Reading a request's JSON field by field, so that every refusal says which field it means and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapters.business.errors import InvalidParameter, MissingParameter

_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,30})?")


class Fields:
    """One JSON object of a request; ``path`` is where it stands (``interactive.action.buttons[0]``).

    A field that is null or an empty string counts as missing, as in the Cloud API. Every method raises
    ``MissingParameter`` or ``InvalidParameter``.
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = values
        self._path = path

    def at(self, key: str = "") -> str:
        """Return where a field of this object stands, or the object itself."""
        return ".".join(step for step in (self._path, key) if step)

    def has(self, key: str) -> bool:
        """Whether a field is there."""
        return self._values.get(key) not in (None, "")

    def text(self, key: str, limit: int, default: str | None = None) -> str:
        """Return a string of at most ``limit`` characters; ``default``, if there is one, when it is missing."""
        if not self.has(key):
            return self._default(key, default)
        value = self._values[key]
        if not isinstance(value, str):
            raise InvalidParameter(f"{self.at(key)}: is not a string")
        if len(value) > limit:
            raise InvalidParameter(f"{self.at(key)}: {len(value)} characters, where {limit} are allowed")
        return value

    def name(self, key: str, limit: int, default: str | None = None) -> str:
        """Return a string as ``text`` does, or a whole number as its digits: clients differ."""
        value = self._values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return Fields({key: str(value)}, self._path).text(key, limit)
        return self.text(key, limit, default)

    def one_of(self, key: str, *words: str, default: str | None = None) -> str:
        """Return a string that must be one of these words, in lower case."""
        value = self.text(key, 64, default).lower()
        if value not in words:
            raise InvalidParameter(f"{self.at(key)}: '{value}' is not {' or '.join(words)}")
        return value

    def number(self, key: str, bound: float) -> float:
        """Return a number between ``-bound`` and ``bound``, written as one or in a string."""
        if not self.has(key):
            raise MissingParameter(f"{self.at(key)}: is missing")
        value = self._values[key]
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidParameter(f"{self.at(key)}: is not a number")
        if not -bound <= value <= bound:  # no integer is too large to be compared
            raise InvalidParameter(f"{self.at(key)}: {str(value)[:40]} is not between {-bound:g} and {bound:g}")
        return float(value)

    def object(self, key: str) -> Fields:
        """Return the object in a field."""
        if not self.has(key):
            raise MissingParameter(f"{self.at(key)}: is missing")
        value = self._values[key]
        if not isinstance(value, dict):
            raise InvalidParameter(f"{self.at(key)}: is not an object")
        return Fields(value, self.at(key))

    def maybe(self, key: str) -> Fields | None:
        """Return the object in a field, or None when it is missing."""
        return self.object(key) if self.has(key) else None

    def objects(self, key: str, most: int, least: int = 1) -> list[Fields]:
        """Return the objects in a list of at least ``least`` and at most ``most``."""
        value = self._values.get(key)
        if value is None and not least:
            return []
        if value is None:
            raise MissingParameter(f"{self.at(key)}: is missing")
        if not isinstance(value, list):
            raise InvalidParameter(f"{self.at(key)}: is not a list")
        if not least <= len(value) <= most:
            raise InvalidParameter(f"{self.at(key)}: {len(value)} entries, where {least} to {most} are allowed")
        return [_entry(inner, f"{self.at(key)}[{index}]") for index, inner in enumerate(value)]

    def items(self) -> Mapping[str, Any]:
        """Return every field as it is."""
        return self._values

    def _default(self, key: str, default: str | None) -> str:
        if default is None:
            raise MissingParameter(f"{self.at(key)}: is missing")
        return default


def _entry(value: object, path: str) -> Fields:
    if not isinstance(value, dict):
        raise InvalidParameter(f"{path}: is not an object")
    return Fields(value, path)
