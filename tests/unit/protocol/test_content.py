"""MIMI content: what it says, what it accepts, and each thing that it refuses, with where."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from string import ascii_lowercase
from typing import Any

import pytest

from protocol import cbor, content
from protocol.content import (
    MARKDOWN,
    TEXT_PLAIN,
    Content,
    ContentError,
    Disposition,
    Expiration,
    ExternalPart,
    MultiPart,
    NullPart,
    Part,
    Semantics,
    SinglePart,
    cid,
    decode,
    encode,
    message_id,
    reaction,
    reactions,
    referenced,
    text,
    walk,
)

SALT = bytes(range(16))
ID = b"\x01" + bytes(31)
NOW = 1_800_000_000
YEAR = 366 * 86_400


def saying(part: Part | None = None, **fields: Any) -> Content:
    return Content(SALT, NullPart() if part is None else part, **fields)


def nested(depth: int) -> Part:
    """A part with ``depth`` levels."""
    return text("deep") if depth == 1 else MultiPart(Semantics.SINGLE_UNIT, (text("a"), nested(depth - 1)))


def wire(field: int | None = None, value: Any = None, part: list[Any] | None = None) -> bytes:
    """A good content with one field, or the part, replaced on the wire."""
    fields = cbor.decode(encode(saying(text("hello"))))
    if field is not None:
        fields[field] = value
    if part is not None:
        fields[6] = part
    return cbor.encode(fields)


# --- saying things ----------------------------------------------------------------------------------------------------


def test_a_message_says_what_it_was_given() -> None:
    said = decode(encode(saying(text("Ciao!"), topic_id=b"t", in_reply_to=ID, expires=Expiration(True, 3600))))
    assert said.part == SinglePart(TEXT_PLAIN, b"Ciao!")
    assert (said.salt, said.topic_id, said.in_reply_to, said.replaces) == (SALT, b"t", ID, None)
    assert said.expires == Expiration(relative=True, time=3600)


def test_all_defaults_are_the_drafts_empty_values() -> None:
    assert cbor.decode(encode(saying())) == [SALT, None, b"", None, None, {}, [1, "", 0]]


def test_every_field_of_an_attachment_comes_back() -> None:
    part = ExternalPart(
        "image/png",
        "https://a.example/1",
        1,
        2,
        3,
        b"k",
        b"n",
        b"a",
        4,
        b"h",
        "a cat",
        "cat.png",
        disposition=6,
        language="it",
    )
    assert decode(encode(saying(part))).part == part
    assert cbor.decode(encode(saying(part)))[6] == [
        6, "it", 2, "image/png", "https://a.example/1", 1, 2, 3, b"k", b"n", b"a", 4, b"h", "a cat", "cat.png",
    ]  # fmt: skip


def test_known_numbers_come_back_as_their_names() -> None:
    part = decode(encode(saying(MultiPart(Semantics.CHOOSE_ONE, (text("a"), text("b")), disposition=4)))).part
    assert isinstance(part, MultiPart)
    assert part.semantics is Semantics.CHOOSE_ONE
    assert part.disposition is Disposition.INLINE


def test_what_the_draft_calls_legitimate_is_kept_as_it_came() -> None:
    part = SinglePart("application/x-nobody-knows", b"\xff", disposition=200, language="x-klingon")
    said = saying(
        part, replaces=b"\xee" * 32, in_reply_to=b"\xdd" * 32, extensions={77: [1, {"a": b"b"}], -5: 1.5, "x": None}
    )
    assert decode(encode(said)) == said


def test_the_body_of_a_part_reads_as_text() -> None:
    assert text("più").text == "più"
    assert SinglePart(MARKDOWN, b"a\xffb").text == "a\ufffdb"


def test_text_that_utf8_cannot_hold_is_repaired() -> None:
    assert text("a\ud83d\ude00b").text == "a😀b"
    assert text("a\ud800b").text == "a\ufffdb"


# --- reactions --------------------------------------------------------------------------------------------------------


def test_one_reaction_is_one_part_and_several_are_never_one_text() -> None:
    assert reaction("❤") == SinglePart(TEXT_PLAIN, "❤".encode(), disposition=Disposition.REACTION)
    both = reaction("❤", "🥳")
    assert isinstance(both, MultiPart)
    assert (both.semantics, both.disposition) == (Semantics.PROCESS_ALL, Disposition.REACTION)
    assert [inner.text for _, inner in walk(both) if isinstance(inner, SinglePart)] == ["❤", "🥳"]


def test_reactions_are_read_from_one_part_or_several_and_from_nothing_else() -> None:
    assert reactions(reaction("❤")) == ("❤",)
    assert reactions(reaction("❤", "🥳")) == ("❤", "🥳")
    assert reactions(reaction()) == ()
    assert reactions(text("❤")) == ()
    assert reactions(SinglePart("image/gif", b"GIF89a", disposition=Disposition.REACTION)) == ()
    plain = MultiPart(Semantics.PROCESS_ALL, (text("❤"), text("🥳")), disposition=Disposition.REACTION)
    assert reactions(plain) == ("❤", "🥳")


def test_a_withdrawn_reaction_is_a_null_part_that_was_one() -> None:
    assert reaction() == NullPart(disposition=Disposition.REACTION)


# --- part indices -----------------------------------------------------------------------------------------------------


def test_parts_are_counted_depth_first() -> None:
    inner = MultiPart(Semantics.CHOOSE_ONE, (text("2"), text("3")))
    whole = MultiPart(Semantics.PROCESS_ALL, (inner, text("4")))
    assert list(walk(whole)) == [(0, whole), (1, inner), (2, text("2")), (3, text("3")), (4, text("4"))]


def test_a_cid_refers_to_a_body_and_to_nothing_else() -> None:
    image = ExternalPart("image/png", "https://a.example/1")
    whole = MultiPart(Semantics.SINGLE_UNIT, (text("see"), image, NullPart()))
    assert cid(2) == "cid:2@local.invalid"
    assert referenced(whole, "cid:1@local.invalid") == text("see")
    assert referenced(whole, "cid:2@local.invalid") == image
    for uri in ("cid:0@local.invalid", "cid:3@local.invalid", "cid:4@local.invalid"):
        assert referenced(whole, uri) is None
    for uri in ("cid:02@local.invalid", "cid:2", "cid:2@a.example", "https://a.example", "cid:-1@local.invalid", ""):
        assert referenced(whole, uri) is None


# --- ids --------------------------------------------------------------------------------------------------------------


def test_a_message_id_is_a_hash_of_names_message_and_salt() -> None:
    encoded = encode(saying())
    counted = b"\x00\x05s\xc3\xbc\xc3\xbc" + b"\x01\x2c" + b"r" * 300
    assert message_id(encoded, "süü", "r" * 300) == b"\x01" + sha256(counted + encoded + SALT).digest()[:31]


def test_a_message_id_needs_a_content_and_uris_whose_length_fits() -> None:
    encoded = encode(saying())
    assert message_id(encoded, "s", "r")[0] == 1
    assert len(message_id(encoded, "s" * 65_535, "r")) == 32
    for sender, room in (("s" * 65_536, "r"), ("s", "ü" * 32_768)):
        with pytest.raises(content.OutOfRange, match="65536 octets"):
            message_id(encoded, sender, room)
    with pytest.raises(content.BadShape, match="does not start"):
        message_id(b"\x87\x51" + bytes(16), "s", "r")
    with pytest.raises(content.BadShape, match="surrogate"):
        message_id(encode(saying()), "s", "\ud800")


# --- refusals ---------------------------------------------------------------------------------------------------------

DEEP_TAG = cbor.Tag(9, cbor.Tag(9, 0))

REFUSED: list[tuple[str, bytes, type[ContentError], str]] = [
    ("no array", cbor.encode({}), content.BadShape, "$ (byte 0)"),
    ("six fields", cbor.encode([SALT, None, b"", None, None, {}]), content.BadShape, "$ (byte 0)"),
    ("salt as text", wire(0, "s" * 16), content.BadShape, "$[0] (byte 1)"),
    ("short salt", wire(0, bytes(15)), content.OutOfRange, "$[0] (byte 1)"),
    ("long salt", wire(0, bytes(17)), content.OutOfRange, "$[0] (byte 1)"),
    ("short id", wire(1, bytes(31)), content.OutOfRange, "$[1] (byte 18)"),
    ("id as number", wire(4, 7), content.BadShape, "$[4] (byte 21)"),
    ("long id", wire(4, bytes(33)), content.OutOfRange, "$[4] (byte 21)"),
    ("topic as text", wire(2, ""), content.BadShape, "$[2] (byte 19)"),
    ("long topic", wire(2, bytes(4097)), content.LongTopic, "$[2] (byte 19)"),
    ("expiry as number", wire(3, 7), content.BadShape, "$[3] (byte 20)"),
    ("expiry of three", wire(3, [True, 1, 1]), content.BadShape, "$[3] (byte 20)"),
    ("expiry of 1", wire(3, [1, 1]), content.BadShape, "$[3][0] (byte 21)"),
    ("expiry at true", wire(3, [True, True]), content.BadShape, "$[3][1] (byte 22)"),
    ("negative expiry", wire(3, [False, -1]), content.OutOfRange, "$[3][1] (byte 22)"),
    ("expiry of 33 bits", wire(3, [False, 1 << 32]), content.OutOfRange, "$[3][1] (byte 22)"),
    ("absurd expiry", wire(3, [True, YEAR + 1]), content.AbsurdExpiry, "$[3][1] (byte 22)"),
    ("far future", wire(3, [False, NOW + YEAR + 1]), content.AbsurdExpiry, "$[3][1] (byte 22)"),
    ("far past", wire(3, [False, NOW - YEAR - 1]), content.AbsurdExpiry, "$[3][1] (byte 22)"),
    ("extensions as array", wire(5, []), content.BadShape, "$[5] (byte 22)"),
    ("empty extension key", wire(5, {"": 0}), content.BadExtensionKey, "$[5] (byte 22)"),
    ("long extension key", wire(5, {"ü" * 128: 0}), content.BadExtensionKey, "$[5] (byte 22)"),
    ("bytes as extension key", wire(5, {b"k": 0}), content.BadExtensionKey, "$[5] (byte 22)"),
    ("sender as bytes", wire(5, {1: b"mimi:"}), content.BadShape, "$[5][1] (byte 24)"),
    ("room as null", wire(5, {1: "", 2: None}), content.BadShape, "$[5][2] (byte 26)"),
    ("deep extension array", wire(5, {9: [[[[]]]]}), content.TooDeep, "$[5][9][0][0][0] (byte 27)"),
    ("deep extension map", wire(5, {9: {1: {2: {3: {}}}}}), content.TooDeep, "$[5][9][1][2][3] (byte 30)"),
    ("deep extension tag", wire(5, {9: [[DEEP_TAG]]}), content.TooDeep, "$[5][9][0][0]['tagged'] (byte 27)"),
    ("part as null", wire(6, None), content.BadShape, "$[6] (byte 23)"),
    ("part of two", wire(6, [1, ""]), content.BadShape, "$[6] (byte 23)"),
    ("disposition 256", wire(part=[256, "", 0]), content.OutOfRange, "$[6][0] (byte 24)"),
    ("disposition -1", wire(part=[-1, "", 0]), content.OutOfRange, "$[6][0] (byte 24)"),
    ("disposition true", wire(part=[True, "", 0]), content.BadShape, "$[6][0] (byte 24)"),
    ("language as null", wire(part=[1, None, 0]), content.BadShape, "$[6][1] (byte 25)"),
    ("cardinality 4", wire(part=[1, "", 4]), content.UnknownCardinality, "$[6][2] (byte 26)"),
    ("cardinality true", wire(part=[1, "", True, "a/b", b""]), content.UnknownCardinality, "$[6][2] (byte 26)"),
    ("cardinality array", wire(part=[1, "", []]), content.UnknownCardinality, "$[6][2] (byte 26)"),
    ("null part with more", wire(part=[1, "", 0, 0]), content.BadShape, "$[6] (byte 23)"),
    ("single part with less", wire(part=[1, "", 1, "a/b"]), content.BadShape, "$[6] (byte 23)"),
    ("type as bytes", wire(part=[1, "", 1, b"a/b", b""]), content.BadShape, "$[6][3] (byte 27)"),
    ("body as text", wire(part=[1, "", 1, "a/b", ""]), content.BadShape, "$[6][4] (byte 31)"),
    ("semantics 3", wire(part=[1, "", 3, 3, [[1, "", 0]] * 2]), content.UnknownSemantics, "$[6][3] (byte 27)"),
    ("semantics true", wire(part=[1, "", 3, True, [[1, "", 0]] * 2]), content.BadShape, "$[6][3] (byte 27)"),
    ("one of several", wire(part=[1, "", 3, 0, [[1, "", 0]]]), content.BadShape, "$[6][4] (byte 28)"),
    ("none of several", wire(part=[1, "", 3, 0, []]), content.BadShape, "$[6][4] (byte 28)"),
    ("parts as map", wire(part=[1, "", 3, 0, {}]), content.BadShape, "$[6][4] (byte 28)"),
    ("a part that is none", wire(part=[1, "", 3, 0, [[1, "", 0], 0]]), content.BadShape, "$[6][4][1] (byte 33)"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "error", "where"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_is_refused_is_refused_by_name_and_place(data: bytes, error: type[ContentError], where: str) -> None:
    with pytest.raises(error) as caught:
        decode(data, now=NOW)
    assert type(caught.value) is error
    assert str(caught.value).endswith(f" at {where}")
    assert where == f"{caught.value.path} (byte {caught.value.offset})"
    assert str(caught.value)[0] in ascii_lowercase


EXTERNAL = ["a/b", "u", 0, 0, 0, b"", b"", b"", 0, b"", "", ""]


@pytest.mark.parametrize(
    ("field", "largest"), [(2, (1 << 32) - 1), (3, (1 << 64) - 1), (4, (1 << 16) - 1), (8, (1 << 8) - 1)]
)
def test_each_number_of_an_attachment_has_its_width(field: int, largest: int) -> None:
    def external(value: Any) -> bytes:
        return wire(part=[6, "", 2, *EXTERNAL[:field], value, *EXTERNAL[field + 1 :]])

    assert decode(external(largest))
    with pytest.raises(content.BadShape):
        decode(external(True))
    with pytest.raises(content.OutOfRange):
        decode(external(-1))
    if largest < (1 << 64) - 1:
        with pytest.raises(content.OutOfRange):
            decode(external(largest + 1))


@pytest.mark.parametrize("field", [0, 1, 5, 6, 7, 9, 10, 11])
def test_each_string_of_an_attachment_has_its_type(field: int) -> None:
    other: Any = b"" if isinstance(EXTERNAL[field], str) else ""
    with pytest.raises(content.BadShape) as caught:
        decode(wire(part=[6, "", 2, *EXTERNAL[:field], other, *EXTERNAL[field + 1 :]]))
    assert caught.value.steps == (6, field + 3)


def test_four_levels_are_enough_and_five_too_many() -> None:
    assert decode(encode(saying(nested(4)))).part == nested(4)
    with pytest.raises(content.TooDeep, match=r"^a part nested more than 4 levels deep at") as caught:
        encode(saying(nested(5)))
    assert caught.value.steps == (6, 4, 1, 4, 1, 4, 1, 4, 0)
    deep: list[Any] = [1, "", 0]
    for _ in range(4):
        deep = [1, "", 3, 1, [deep, [1, "", 0]]]
    with pytest.raises(content.TooDeep, match=r"\$\[6\]\[4\]\[0\]\[4\]\[0\]\[4\]\[0\]\[4\]\[0\] \(byte 47\)"):
        decode(wire(part=deep))


def test_far_too_deep_is_refused_before_it_is_built() -> None:
    with pytest.raises(cbor.TooDeep):
        decode(bytes.fromhex("87") + bytes.fromhex("8501600300" + "82") * 10_000)


def test_a_thousand_and_twenty_four_parts_and_no_more() -> None:
    whole = MultiPart(Semantics.PROCESS_ALL, (text("a"),) * 1023)
    assert decode(encode(saying(whole))).part == whole
    with pytest.raises(content.TooManyParts, match=r"^more than 1024 parts at"):
        encode(saying(MultiPart(Semantics.PROCESS_ALL, (text("a"),) * 1024)))
    halves = MultiPart(Semantics.PROCESS_ALL, (MultiPart(Semantics.PROCESS_ALL, (text("a"),) * 511),) * 2)
    with pytest.raises(content.TooManyParts) as caught:
        encode(saying(MultiPart(Semantics.PROCESS_ALL, (halves.parts[0], halves.parts[1]))))
    assert caught.value.steps[:3] == (6, 4, 1)


def test_limits_that_may_be_reached() -> None:
    said = saying(
        topic_id=bytes(4096), expires=Expiration(True, YEAR), extensions={"k" * 255: [[[]]], 1: "s", 2: "r", 0: 0}
    )
    assert decode(encode(said), now=NOW) == said
    for distance in (-YEAR, 0, YEAR):
        assert decode(encode(saying(expires=Expiration(False, NOW + distance))), now=NOW)


def test_without_a_clock_no_date_is_absurd() -> None:
    assert decode(encode(saying(expires=Expiration(False, 0)))).expires == Expiration(False, 0)
    assert decode(encode(saying(expires=Expiration(False, (1 << 32) - 1))))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (saying("text"), r"str instead of a part at \$\[6\]"),  # type: ignore[arg-type]
        (saying(SinglePart(TEXT_PLAIN, "text")), r"content is str, not bytes, at \$\[6\]\[4\]"),  # type: ignore[arg-type]
        (
            saying(MultiPart(Semantics.PROCESS_ALL, [text("a"), text("b")])),  # type: ignore[arg-type]
            r"parts is list, not tuple, at \$\[6\]\[4\]",
        ),
        (saying(expires=(True, 1)), r"the expiry is tuple, not Expiration, at \$\[3\]"),
        (saying(extensions=[(1, "mimi:")]), r"the map of extensions is list, not Mapping, at \$\[5\]"),
        (saying(extensions={True: 1}), r"an extension key that is bool, not int or str, at \$\[5\]"),
        (saying(extensions={1.5: 1}), r"an extension key that is float, not int or str, at \$\[5\]"),
        (saying(extensions={1: b"mimi:"}), r"a URI is bytes, not str, at \$\[5\]\[1\]"),
        (saying(expires=Expiration(True, 400 * 86_400)), r"an expiry 400 days away at \$\[3\]\[1\]"),
    ],
)
def test_what_python_lets_pass_is_refused_before_it_is_sent(wrong: Content, words: str) -> None:
    with pytest.raises(ContentError, match=f"^{words}$"):
        encode(wrong)


def test_how_many_items_a_part_should_have() -> None:
    for part, has in (([1, "", 0, 0], 3), ([1, "", 1, "a/b"], 5), ([1, "", 2], 15), ([1, "", 3], 5)):
        with pytest.raises(content.BadShape, match=rf"^a part of {len(part)} items where its kind has {has} at"):
            decode(wire(part=part))


def test_how_far_away_an_absurd_expiry_is() -> None:
    for days in (-400, 400):
        absurd = saying(expires=Expiration(False, NOW + days * 86_400))
        with pytest.raises(content.AbsurdExpiry, match=r"^an expiry 400 days away at"):
            decode(encode(absurd), now=NOW)
        with pytest.raises(content.AbsurdExpiry, match=r"^an expiry 400 days away at"):
            encode(absurd, now=NOW)


def test_what_only_the_encoding_can_refuse_is_refused_there() -> None:
    for extensions, error in (
        ({"\ud800": 1}, cbor.BadUtf8),
        ({1 << 53: 1}, cbor.BadKey),
        ({9: object()}, cbor.NotEncodable),
    ):
        with pytest.raises(error):
            encode(saying(extensions=extensions))


def test_each_error_has_a_code_of_its_own() -> None:
    family = ContentError.__subclasses__()
    assert len({error.code for error in family} | {ContentError.code}) == len(family) + 1


def test_a_thousand_parts_take_time_linear_in_their_number() -> None:
    def seconds(parts: int) -> float:
        data = encode(saying(MultiPart(Semantics.PROCESS_ALL, (text("hello"),) * parts)))
        return min(_timed(data) for _ in range(10))

    assert seconds(1000) < 4 * 10 * seconds(100)  # quadratic would be a hundredfold


def _timed(data: bytes) -> float:
    start = time.process_time()  # not the clock on the wall, which other programs move
    decode(data)
    return time.process_time() - start


def test_extensions_may_be_any_mapping() -> None:
    class Frozen(Mapping[int | str, Any]):
        def __getitem__(self, key: int | str) -> Any:
            return {9: "x"}[key]  # type: ignore[index]

        def __iter__(self) -> Any:
            return iter([9])

        def __len__(self) -> int:
            return 1

    assert decode(encode(saying(extensions=Frozen()))).extensions == {9: "x"}
