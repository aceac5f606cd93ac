"""Octets as choices: what has a type but no encoding, a network's capabilities for one, is drawn from an input.

``Choices`` builds a value of any type that msgspec can describe. Each octet makes one choice, from the front, so that
changing one changes little else; when they are used up, the first of everything is chosen. A new field of a struct is
drawn from the day on which it is added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from msgspec import NODEFAULT, Struct, inspect

T = TypeVar("T")

MAX_DEPTH: Final = 6
"""How deep a struct may lie in others; deeper, the first of several kinds is taken and sequences are short."""

WORDS: Final = (
    *(
        "",
        "a",
        " ",
        "\n",
        "\n\n",
        "*",
        "_",
        "**",
        "~~",
        "`",
        "```\n",
        "> ",
        "- ",
        "1. ",
        "[a](https://e.org/)",
        "| a |\n|-|\n",
    ),
    *(
        "@[R](mimi://e.org/u/x~r)",
        "👍",
        "👩\u200d👩\u200d👧",
        "e\u0301\u0301",
        "\u2060",
        "\u202e",
        "<b>",
        "&amp;",
        "x" * 70,
    ),
    *(
        "Wherefore ",
        "https://e.org/a b",
        "text/plain",
        "image/png",
        "\x00",
        "\r",
        "\t",
        "42",
        "de",
        "EUR",
        "2026-01-01",
    ),
    *("https://e.org/f", "tel:1", "data:;base64,YQ==", "cid:1", "post"),
)
NUMBERS: Final = (0, 1, 2, 3, 4, 5, 10, 20, 60, 255, 256, 1024, 4096, 65_535, 1 << 20, 1 << 32, (1 << 53) - 1)


@cache
def _described(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


class Choices:
    """Draws from ``data``; ``named`` says how fields of certain names are drawn, ``made`` how certain structs are."""

    def __init__(
        self,
        data: bytes,
        named: Mapping[str, Callable[[Choices], Any]] = {},
        made: Mapping[type, Callable[[Choices], Any]] = {},
    ) -> None:
        self._data = data
        self._at = 0
        self._depth = 0
        self._named = named
        self._made = made

    def below(self, limit: int) -> int:
        """Return a number from 0 to ``limit`` - 1; at most 256."""
        octet = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        return octet % limit

    def pick(self, options: Sequence[T]) -> T:
        """Return one of ``options``."""
        return options[self.below(len(options))]

    def text(self, limit: int | None = None) -> str:
        """Return a text made of hostile words."""
        return "".join(self.pick(WORDS) for _ in range(self.below(8)))[:limit]

    def of(self, kind: type[T]) -> T:
        """Return a value of ``kind``. Raises ``ValueError`` for one that its own checks refuse."""
        value: T = self._value(_described(kind))
        return value

    def _value(self, kind: inspect.Type) -> Any:
        match kind:
            case inspect.StructType():
                return self._struct(kind)
            case inspect.UnionType(types=types):
                return self._value(types[0] if self._depth > MAX_DEPTH else self.pick(types))
            case inspect.EnumType(cls=cls):
                return self.pick(tuple(cls))
            case inspect.LiteralType(values=values):
                return self.pick(values)
            case inspect.BoolType():
                return bool(self.below(2))
            case inspect.NoneType():
                return None
            case inspect.IntType() | inspect.FloatType():
                return self._number(kind)
            case inspect.StrType():
                return self._text(kind)
            case inspect.BytesType():
                return self.text().encode(errors="replace")
            case inspect.DictType():
                return self._dict(kind)
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                return tuple(self._value(item) for _ in range(self._count(kind.min_length or 0)))
            case inspect.FrozenSetType(item_type=item):
                return frozenset(self._value(item) for _ in range(self.below(4)))
            case _:
                raise TypeError(f"nothing is known of {kind}")

    def _struct(self, kind: inspect.StructType) -> Struct:
        if kind.cls in self._made:
            made: Struct = self._made[kind.cls](self)
            return made
        self._depth += 1
        fields = {}
        for field in kind.fields:
            optional = field.default is not NODEFAULT or field.default_factory is not NODEFAULT
            if optional and self.below(2) == 0:
                continue
            draw = self._named.get(field.name)
            fields[field.name] = draw(self) if draw else self._value(field.type)
        self._depth -= 1
        return kind.cls(**fields)

    def _count(self, least: int) -> int:
        return least + (self.below(2) if self._depth > MAX_DEPTH else self.below(5))

    def _number(self, kind: inspect.IntType | inspect.FloatType) -> float:
        low, high = kind.ge or 0, kind.le
        drawn = self.pick(NUMBERS) * (self.pick((1, -1)) if low < 0 else 1)
        bounded = max(drawn, low) if high is None else max(min(drawn, high), low)
        return float(bounded) if isinstance(kind, inspect.FloatType) else int(bounded)

    def _text(self, kind: inspect.StrType) -> str:
        if kind.pattern is not None:
            return self.pick([word for word in WORDS if re.search(kind.pattern, word)] or [""])
        drawn = self.text(kind.max_length)
        return drawn if len(drawn) >= (kind.min_length or 0) else "a" * (kind.min_length or 0)

    def _dict(self, kind: inspect.DictType) -> dict[Any, Any]:
        """A few entries, or, where the keys are known, one for each of them."""
        if isinstance(kind.key_type, inspect.EnumType) and self.below(2):
            keys = tuple(kind.key_type.cls)
            alike = self._value(kind.value_type)
            return {key: alike if self.below(3) else self._value(kind.value_type) for key in keys}
        return {self._value(kind.key_type): self._value(kind.value_type) for _ in range(self.below(5))}
