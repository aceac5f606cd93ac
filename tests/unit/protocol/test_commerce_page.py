"""The reference page of the business parts says what the code says: ``specs/commerce.md``.

``python -m tests.unit.protocol.test_commerce_page > specs/commerce.md`` writes it anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as shape

from protocol import cbor, commerce
from protocol.commerce import PART_TYPES, Commerce
from tests.unit.protocol.test_commerce import EXAMPLES, FORM_REPLY
from tests.unit.protocol.test_reference_page import _spelt

PAGE = Path(__file__).parents[3] / "specs" / "commerce.md"
HEAD = """# What businesses send, and what customers answer

Each of these is a `SinglePart` whose media type is `application/vnd.rialto.<name>+cbor` and whose body is one map in
deterministic CBOR. It stands in a `MultiPart` of semantics *choose one* beside a text that says the same, so a client
that does not know the type shows the text. `protocol/commerce` is the code; this page and the schema,
[commerce.cddl](commerce.cddl), are written from it, and a test keeps them true.

`media` stands above a text: at a url that everybody may open or, as `cid:<index>@local.invalid`, as another part of the
same message, which then is a *single unit* of both inside the alternatives.

Every field has a limit: text in characters, lists and maps in entries. A field at its default is not written. Unknown
fields, fields of another type, and what is over its limit are refused. A reply answers the message that its content's
*in reply to* names.

Networks without such a type get words. Options are then numbered, and an answer of a digit or a title becomes the
`choice` that it means ([the rule](guarantees.md#answers-in-words)); [matrix.md](matrix.md) shows who gets what.
"""


def described(kind: type) -> str:
    """A class's docstring as one paragraph."""
    return " ".join((inspect.getdoc(kind) or "").split()).replace("``", "`")


def limits(of: Any) -> str:
    """A field's type and its limits in words."""
    match of:
        case shape.StructType():
            return f"[{of.cls.__name__}](#{of.cls.__name__.lower()})"
        case shape.EnumType():
            return "one of " + ", ".join(f"`{value}`" for value in of.cls)
        case shape.UnionType():
            return " or ".join(limits(one) for one in of.types)
        case shape.VarTupleType():
            return f"{span(of)} of {limits(of.item_type)}".strip()
        case shape.DictType():
            return f"a map, {span(of)}, of {limits(of.key_type)} to {limits(of.value_type)}"
        case shape.StrType():
            pattern = f", matching `{of.pattern}`".replace("|", "\\|") if of.pattern else ""
            return f"text, {span(of)}{pattern}" if of.max_length else f"text{pattern}"
        case shape.IntType():
            return f"integer, {of.ge} to {of.le}"
        case shape.FloatType():
            return f"float, {of.ge} to {of.le}"
        case shape.BoolType():
            return "true or false"
        case shape.NoneType():
            return "nothing"
        case _:
            raise AssertionError(of)


def span(of: Any) -> str:
    """From how many to how many."""
    return f"{of.min_length or 0} to {of.max_length}"


def default(field: Any) -> str:
    """What a field is when it is not written."""
    if field.required:
        return "required"
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    return {"": "empty", (): "none", None: "none"}.get(value if not isinstance(value, dict) else (), f"`{value}`")


def fields(kind: type[Commerce]) -> Iterator[str]:
    yield from ("| field | what | default |", "|---|---|---|")
    for field in shape.type_info(kind).fields:  # type: ignore[attr-defined]
        yield f"| {field.name} | {limits(field.type)} | {default(field)} |"


def used(kind: Any, found: list[type]) -> list[type]:
    """The structs that a struct is made of, in the order in which they appear."""
    for field in shape.type_info(kind).fields:  # type: ignore[attr-defined]
        pending = [field.type]
        while pending:
            one = pending.pop(0)
            pending += [*getattr(one, "types", ()), *filter(None, [getattr(one, "item_type", None)])]
            if isinstance(one, shape.StructType) and one.cls not in found:
                found.append(one.cls)
                used(one.cls, found)
    return found


def section(kind: type[Commerce]) -> Iterator[str]:
    """One part type: what it is for, its fields, an example, and the words beside it."""
    example: Commerce = next(part for part in (*(part for part, _ in EXAMPLES), FORM_REPLY) if type(part) is kind)
    written = ",\n  ".join(
        f"{_spelt(key)}: {_spelt(value)}" for key, value in cbor.decode(commerce.encode(example)).items()
    )
    yield from (f"## {commerce.feature_of(kind).replace('-', ' ').capitalize()}", "")
    yield from (f"`{commerce.media_type(kind)}`. {described(kind)}", "", *fields(kind), "")
    yield from ("```cbor-diag", "{", f"  {written}", "}", "```", "")
    yield from ("In words:", "", "```text", commerce.text_of(example), "```", "")


def page() -> str:
    pieces: list[type] = []
    lines = [HEAD]
    for kind in PART_TYPES.values():
        lines += section(kind)
        used(kind, pieces)
    lines += ["# What they are made of", ""]
    for piece in sorted(set(pieces) - set(PART_TYPES.values()), key=lambda one: one.__name__):
        lines += [f"## {piece.__name__}", "", described(piece), "", *fields(piece), ""]
    return "\n".join(lines).replace("[Product](#product)", "[product](#product)").rstrip() + "\n"


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text() == page(), "write it: python -m tests.unit.protocol.test_commerce_page > specs/commerce.md"


def test_every_field_of_every_part_is_on_the_page_with_a_limit():
    for kind in used(commerce.Carousel, []) + list(PART_TYPES.values()):
        assert all("None" not in row for row in fields(kind)), kind


if __name__ == "__main__":
    print(page(), end="")
