"""``specs/commerce.cddl`` says in CDDL what ``protocol/commerce`` says in types; it is written from them.

``python -m tests.unit.protocol.test_commerce_cddl`` writes it anew.
"""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import inspect

from protocol.commerce.model import PART_TYPES
from protocol.content import MIMI_CONTENT

PAGE = Path(__file__).parents[3] / "specs" / "commerce.cddl"
HEAD = f"""\
; What businesses send and what customers answer: bodies of single parts in {MIMI_CONTENT}. To be put after
; content.cddl, whose $$body they extend (cat content.cddl commerce.cddl); a body alone can be validated by its rule.
; Written from the types of protocol/commerce, which also say what CDDL cannot: that the options of one part have
; different ids and the fields of a form different names, that there are 100 rows in all, and that no field is written
; at its default. Sizes are octets, four for each character of a limit. The encoding is deterministic CBOR
; (RFC 8949 §4.2.1).
"""


def page() -> str:
    """Return the whole file."""
    rules: dict[str, str] = {}
    tops = []
    for feature, kind in PART_TYPES.items():
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        body = _rule(info, rules)
        tops.append(
            f'$$body //= (content-type: "application/vnd.rialto.{feature}+cbor", inline-content: bstr .cbor {body})'
        )
    return "\n".join([HEAD, *tops, "", *rules.values()])


def _name(info: inspect.StructType) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", info.cls.__name__).lower()


def _rule(info: inspect.StructType, rules: dict[str, str]) -> str:
    name = _name(info)
    if name not in rules:
        rules[name] = ""  # its place: a rule comes before those it uses
        lines = [
            f"  {'' if field.required else '? '}{_key(field.encode_name)}: {_type(field.type, rules)},"
            for field in info.fields
        ]
        rules[name] = "\n".join([f"{name} = {{", *lines, "}", ""])
    return name


def _key(name: str) -> str:
    return f'"{name}"'


def _type(info: inspect.Type, rules: dict[str, str]) -> str:
    match info:
        case inspect.StructType():
            return _rule(info, rules)
        case inspect.StrType():
            size = f"tstr .size ({info.min_length or 0}..{4 * (info.max_length or 0)})"
            if info.pattern:
                pattern = info.pattern.removeprefix("^").removesuffix(r"\Z").replace("\\", "\\\\")
                matching = f'tstr .regexp "{pattern}"'
                return f"({size}) .and ({matching})" if "+" in pattern else matching
            return size
        case inspect.IntType():
            return "int" if info.ge is None else f"{info.ge}..{info.le}"
        case inspect.FloatType():
            return "float" if info.ge is None or info.le is None else f"{float(info.ge)}..{float(info.le)}"
        case inspect.BoolType():
            return "bool"
        case inspect.VarTupleType() | inspect.ListType():
            return f"[{info.min_length or 0}*{info.max_length} {_type(info.item_type, rules)}]"
        case inspect.DictType():
            return f"{{0*{info.max_length} {_type(info.key_type, rules)} => {_type(info.value_type, rules)}}}"
        case inspect.EnumType():
            return " / ".join(f'"{member.value}"' for member in info.cls)
        case inspect.UnionType():
            return " / ".join(_type(each, rules) for each in info.types if not isinstance(each, inspect.NoneType))
    raise AssertionError(f"no words for {info}")


def test_the_file_says_what_the_types_say() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.unit.protocol.test_commerce_cddl"


def test_every_part_type_is_there() -> None:
    text = page()
    assert all(f"vnd.rialto.{feature}+cbor" in text for feature in PART_TYPES)


if __name__ == "__main__":
    PAGE.write_text(page())
