"""Business parts of every shape that their types allow: written, read, said in words, shown on any network."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from protocol import commerce, degrade
from protocol.capabilities import Capabilities, Feature, Level, Limits, Way
from protocol.commerce import PART_TYPES, BadField, Commerce
from protocol.content import Content

TIGHT = Limits(text=20, body=5, header=2, footer=2, buttons=2, button_title=4, list_rows=3, cards=1, products=1)


def values(of: Any) -> st.SearchStrategy[Any]:
    """What a field of this type may hold; of long texts and lists only the beginning, and the longest."""
    match of:
        case inspect.StructType():
            fields = {field.name: values(field.type) for field in of.fields}
            needed = {field.name for field in of.fields if field.required}
            return st.fixed_dictionaries(
                {name: fields[name] for name in needed},
                optional={name: fields[name] for name in fields.keys() - needed},
            )
        case inspect.UnionType():
            return st.one_of([values(one) for one in of.types if not isinstance(one, inspect.NoneType)])
        case inspect.VarTupleType():
            least = of.min_length or 0
            return st.lists(values(of.item_type), min_size=least, max_size=min(least + 2, of.max_length or 0))
        case inspect.DictType():
            return st.dictionaries(values(of.key_type), values(of.value_type), max_size=2)
        case inspect.StrType() if of.pattern:
            least, most = of.min_length or 0, of.max_length or 0
            return st.from_regex(of.pattern).filter(lambda text: least <= len(text) <= most)
        case inspect.StrType():
            return st.text("ab \n*ü👍", min_size=of.min_length or 0, max_size=6) | st.just("x" * (of.max_length or 0))
        case inspect.IntType():
            return st.integers(of.ge, of.le)
        case inspect.FloatType():
            return st.floats(of.ge, of.le)
        case inspect.EnumType():
            return st.sampled_from([member.value for member in of.cls])
        case _:
            assert isinstance(of, inspect.BoolType), of
            return st.booleans()


def made(fields: dict[str, Any], kind: type[Commerce]) -> Commerce:
    """Make a part; drop examples that contradict themselves, such as two options with the same id."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        assume("same" not in str(error))
        raise


@pytest.mark.parametrize("kind", PART_TYPES.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=15, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(data=st.data(), features=st.sets(st.sampled_from(Feature)), limits=st.sampled_from([Limits(), TIGHT]))
def test_every_part_survives_the_journey(
    kind: type[Commerce], data: st.DataObject, features: set[Feature], limits: Limits
) -> None:
    part = made(data.draw(values(inspect.type_info(kind))), kind)
    encoded = commerce.encode(part)
    read = commerce.decode(commerce.media_type(part), encoded)
    assert read == part
    assert commerce.encode(read) == encoded
    message = commerce.message(part)
    assert commerce.find(message) == part
    assert commerce.text_of(part)
    network = Capabilities(send=Way(features=dict.fromkeys(features, Level.FULL)), limits=limits)
    plan = degrade.plan(Content(bytes(16), message), network)
    assert plan.messages or plan.refused or plan.losses


@given(st.sampled_from(list(PART_TYPES.values())), st.binary(max_size=40))
def test_any_bytes_are_a_part_or_a_refusal(kind: type[Commerce], data: bytes) -> None:
    try:
        part = commerce.decode(commerce.media_type(kind), data)
    except (BadField, commerce.Undecodable):
        return
    assert commerce.encode(part) == data
