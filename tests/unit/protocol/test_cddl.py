"""What the schemas in ``specs/`` let pass and what they refuse, asked of a validator that is none of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator  # type: ignore[import-untyped]

from protocol import cbor, commerce, content, extensions, status
from protocol.content import Content
from protocol.errors import ProtocolError
from tests.unit.protocol.test_commerce import EXAMPLES as PARTS
from tests.unit.protocol.test_commerce import FORM_REPLY
from tests.unit.protocol.test_reference_page import EXAMPLES as MESSAGES

SPECS = Path(__file__).parents[3] / "specs"
CONTENT, COMMERCE = (SPECS / name for name in ("content.cddl", "commerce.cddl"))
BUSINESS = [*(part for part, _ in PARTS), FORM_REPLY]


@pytest.fixture(scope="module")
def whole() -> Validator:
    """Both files, one after the other, as ``content.cddl`` says."""
    return Validator(CONTENT.read_text() + COMMERCE.read_text())


def saying(part: commerce.Commerce) -> Content:
    return Content(bytes(16), commerce.message(part))


def test_the_schemas_are_understood_without_a_doubt(whole: Validator) -> None:
    assert whole.warnings == ()
    assert whole.default_root_type == "content"


@pytest.mark.parametrize("said", MESSAGES.values(), ids=MESSAGES)
def test_every_message_of_the_reference_page_is_valid(whole: Validator, said: Content) -> None:
    encoded = content.encode(said)
    assert whole.validate(encoded, require_deterministic=True).valid
    assert Validator(CONTENT.read_text()).validate(encoded).valid  # nothing of business in it: one file will do


@pytest.mark.parametrize("part", BUSINESS, ids=lambda part: type(part).__name__)
def test_every_business_part_is_valid_as_a_message_and_by_itself(whole: Validator, part: commerce.Commerce) -> None:
    encoded = content.encode(saying(part))
    assert whole.validate(encoded, require_deterministic=True).valid
    assert not Validator(CONTENT.read_text()).validate(encoded).valid  # the other file is missed, not passed over
    rule = (
        COMMERCE.read_text().partition(f'"{commerce.media_type(part)}", inline-content: bstr .cbor ')[2].split(")")[0]
    )
    assert whole.validate(commerce.encode(part), rule).valid


def tree(said: Content) -> list[Any]:
    fields: list[Any] = cbor.decode(content.encode(said))
    return fields


def put(*path: Any) -> Callable[[Any], None]:
    """Return what replaces the item at a path by the last of the arguments."""
    *steps, last, value = path

    def change(fields: Any) -> None:
        for step in steps:
            fields = fields[step]
        fields[last] = value

    return change


MUTATED: list[tuple[str, str, Callable[[Any], None]]] = [
    ("text", "salt of 15", put(0, bytes(15))),
    ("edit", "id of 31", put(1, bytes(31))),
    ("text", "topic as text", put(2, "")),
    ("text", "topic of 4,097", put(2, bytes(4097))),
    ("vanishing", "relative as number", put(3, 0, 1)),
    ("vanishing", "33 bits", put(3, 1, 1 << 32)),
    ("text", "extensions as array", put(5, [])),
    ("text", "extension without a name", put(5, "", 0)),
    ("text", "sender as bytes", put(5, 1, b"mimi:")),
    ("all extensions", "time as number", put(5, 3, 1_762_760_377)),
    ("all extensions", "two fractions", put(5, 3, -6, 0)),
    ("all extensions", "scope of no kind", put(5, 4, 1, cbor.Tag(0, "x"))),
    ("all extensions", "enterprise 0", put(5, 4, 1, 0)),
    ("all extensions", "forwarded no times", put(5, "rialto.forwarded", 0)),
    ("all extensions", "network in capitals", put(5, "rialto.origin-network", "XMPP")),
    ("all extensions", "no name", put(5, "rialto.sender-name", "")),
    ("status report", "failure without words", put(5, "rialto.failure", {"reason": "x"})),
    ("text", "disposition 256", put(6, 0, 256)),
    ("text", "no language", put(6, 1, None)),
    ("text", "cardinality 4", put(6, 2, 4)),
    ("text", "body as text", put(6, 4, "x")),
    ("status report", "body that is no report", put(6, 4, b"\x81\x01")),
    ("status report", "body that is no CBOR", put(6, 4, b"")),
    ("attachment", "size of 65 bits", put(6, 6, -1)),
    ("attachment", "AEAD of 17 bits", put(6, 7, 1 << 16)),
    ("attachment", "hash of 9 bits", put(6, 11, 1 << 8)),
    ("attachment", "key as text", put(6, 8, "k")),
    ("alternatives", "semantics 3", put(6, 3, 3)),
    ("alternatives", "one alternative", put(6, 4, [[1, "", 0]])),
    ("text", "a type of ours that there is not", put(6, 3, "application/vnd.rialto.none+cbor")),
    ("text", "words where a choice should be", put(6, 3, "application/vnd.rialto.choice+cbor")),
]


@pytest.mark.parametrize(
    ("name", "change"), [(name, change) for name, _, change in MUTATED], ids=[m[1] for m in MUTATED]
)
def test_what_the_code_refuses_the_schema_refuses(whole: Validator, name: str, change: Callable[[Any], None]) -> None:
    fields = tree(MESSAGES[name])
    change(fields)
    encoded = cbor.encode(fields)
    assert not whole.validate(encoded).valid
    with pytest.raises(ProtocolError):
        read(encoded)


def read(encoded: bytes) -> None:
    """Read everything that can be read in a message."""
    said = content.decode(encoded)
    extensions.check(said.extensions)
    for _, part in content.walk(said.part):
        if isinstance(part, content.SinglePart) and part.content_type == content.MIMI_STATUS:
            status.decode(part.content)
        elif isinstance(part, content.SinglePart) and part.content_type.startswith("application/vnd.rialto."):
            commerce.decode(part.content_type, part.content)


@pytest.mark.parametrize("part", BUSINESS, ids=lambda part: type(part).__name__)
def test_no_field_of_a_business_part_may_be_of_another_type_or_unknown(
    whole: Validator, part: commerce.Commerce
) -> None:
    body = cbor.decode(commerce.encode(part))
    wrong = [{**body, key: None} for key in body] + [{**body, "colour": "red"}]
    for fields in wrong:
        said = content.SinglePart(commerce.media_type(part), cbor.encode(fields))
        encoded = content.encode(Content(bytes(16), said))
        assert not whole.validate(encoded).valid, fields
        with pytest.raises(ProtocolError):
            read(encoded)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("", True),
        ("text/plain", True),
        ("application/mimi-content", True),
        ("application/mimi-message-statu", True),
        ("application/mimi-message-status2", True),
        ("application/vnd.rialto", True),
        ("application/vnd.rialtissimo", True),
        ("application/mimi-message-status", False),
        ("application/vnd.rialto.", False),
        ("application/vnd.rialto.else", False),
    ],
)
def test_every_type_but_ours_may_have_any_body(whole: Validator, name: str, valid: bool) -> None:
    encoded = content.encode(Content(bytes(16), content.SinglePart(name, b"\xff")))
    assert whole.validate(encoded).valid is valid
