"""The table of extensions: keys, shapes, and who may set them."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import extensions
from protocol.cbor import Tag
from protocol.content import Content, NullPart, decode, encode
from protocol.extensions import (
    EXTERNAL_MESSAGE_ID,
    FAILURE,
    FORWARDED,
    ORIGIN_NETWORK,
    ROOM_URI,
    SENDER_AVATAR,
    SENDER_NAME,
    SENDER_TIMESTAMP,
    SENDER_URI,
    TABLE,
    ExtensionError,
    Setter,
    check,
    external_id,
    failure,
    milliseconds,
    timestamp,
)

EVERYTHING: dict[int | str, Any] = {
    SENDER_URI.key: "mimi://rialto.example/u/xmpp~juliet%40capulet.lit",
    ROOM_URI.key: "mimi://rialto.example/r/balcony",
    SENDER_TIMESTAMP.key: timestamp(1_762_760_377_462),
    EXTERNAL_MESSAGE_ID.key: external_id("de305d54", "mimi://a.example/u/xmpp~juliet%40capulet.lit"),
    SENDER_NAME.key: "Juliet",
    SENDER_AVATAR.key: "https://capulet.lit/juliet.png",
    FORWARDED.key: 1,
    ORIGIN_NETWORK.key: "xmpp",
    FAILURE.key: failure("window-closed", "She last wrote too long ago."),
}


def test_the_keys_are_these_for_ever() -> None:
    assert {key: row.name for key, row in TABLE.items()} == {
        1: "senderUri",
        2: "roomUri",
        3: "senderTimestamp",
        4: "externalMessageId",
        "rialto.sender-name": "sender name",
        "rialto.sender-avatar": "sender avatar",
        "rialto.forwarded": "forwarded",
        "rialto.origin-network": "origin network",
        "rialto.failure": "failure",
    }


def test_all_of_them_travel_in_a_message_and_read_back() -> None:
    check(EVERYTHING)
    said = decode(encode(Content(bytes(16), NullPart(), extensions=EVERYTHING)))
    assert {key: row.of(said.extensions) for key, row in TABLE.items()} == EVERYTHING


def test_what_is_not_there_is_none() -> None:
    assert SENDER_NAME.of({}) is None


def test_unknown_extensions_are_nobodys_business() -> None:
    check({99: object(), "x": 1, -1: None}, Setter.ADAPTER)


def test_an_adapter_may_say_forwarded_and_no_more() -> None:
    check({FORWARDED.key: 3}, Setter.ADAPTER)
    for key in EVERYTHING.keys() - {FORWARDED.key}:
        with pytest.raises(ExtensionError, match="set by the endpoint, not by the adapter"):
            check({key: EVERYTHING[key]}, Setter.ADAPTER)


def test_an_endpoint_leaves_forwarded_to_the_adapter() -> None:
    check({key: value for key, value in EVERYTHING.items() if key != FORWARDED.key}, Setter.ENDPOINT)
    with pytest.raises(ExtensionError, match="set by the adapter, not by the endpoint"):
        check(EVERYTHING, Setter.ENDPOINT)


GOOD: list[tuple[extensions.Extension, Any]] = [
    (SENDER_URI, "x" * 65_535),
    (SENDER_TIMESTAMP, {1: 0}),
    (SENDER_TIMESTAMP, {1: (1 << 64) - 1, -3: 999}),
    (SENDER_TIMESTAMP, {1: 1, -3: 0}),
    (SENDER_TIMESTAMP, {1: 1, -6: 999_999}),
    (SENDER_TIMESTAMP, {1: 1, -9: 999_999_999}),
    (EXTERNAL_MESSAGE_ID, [b"", "a"]),
    (EXTERNAL_MESSAGE_ID, (b"id", 1)),
    (EXTERNAL_MESSAGE_ID, [b"id", (1 << 64) - 1]),
    (EXTERNAL_MESSAGE_ID, [b"id", Tag(32, "mimi://a.example/" + "x" * 5000)]),
    (SENDER_NAME, "ü" * 512),
    (FORWARDED, 1 << 31),
    (ORIGIN_NETWORK, "0-a"),
    (ORIGIN_NETWORK, "n" * 32),
    (FAILURE, {"reason": "a", "text": ""}),
    (FAILURE, {"reason": "r" * 64, "text": "t" * 4096}),
]

BAD: list[tuple[extensions.Extension, Any]] = [
    (SENDER_URI, ""),
    (SENDER_URI, b"mimi:"),
    (ROOM_URI, "x" * 65_536),
    (SENDER_TIMESTAMP, 1_762_760_377),
    (SENDER_TIMESTAMP, {}),
    (SENDER_TIMESTAMP, {1: -1}),
    (SENDER_TIMESTAMP, {1: True}),
    (SENDER_TIMESTAMP, {1: 1.5}),
    (SENDER_TIMESTAMP, {1: 1 << 64}),
    (SENDER_TIMESTAMP, {1: 1, -3: 1000}),
    (SENDER_TIMESTAMP, {1: 1, -3: -1}),
    (SENDER_TIMESTAMP, {1: 1, -3: 1, -6: 1}),
    (SENDER_TIMESTAMP, {1: 1, -4: 1}),
    (SENDER_TIMESTAMP, {1: 1, 2: 1}),
    (EXTERNAL_MESSAGE_ID, b"id"),
    (EXTERNAL_MESSAGE_ID, [b"id"]),
    (EXTERNAL_MESSAGE_ID, ["id", "a"]),
    (EXTERNAL_MESSAGE_ID, [b"id", ""]),
    (EXTERNAL_MESSAGE_ID, [b"id", 0]),
    (EXTERNAL_MESSAGE_ID, [b"id", Tag(33, "mimi://a.example/u/b")]),
    (EXTERNAL_MESSAGE_ID, [b"id", Tag(32, b"mimi://a.example/u/b")]),
    (EXTERNAL_MESSAGE_ID, [b"id", Tag(32, "")]),
    (EXTERNAL_MESSAGE_ID, [b"id", "x" * 4097]),
    (SENDER_NAME, ""),
    (SENDER_NAME, "ü" * 513),
    (SENDER_AVATAR, "x" * 4097),
    (FORWARDED, 0),
    (FORWARDED, True),
    (FORWARDED, (1 << 31) + 1),
    (FORWARDED, "yes"),
    (ORIGIN_NETWORK, ""),
    (ORIGIN_NETWORK, "XMPP"),
    (ORIGIN_NETWORK, "-a"),
    (ORIGIN_NETWORK, "n" * 33),
    (ORIGIN_NETWORK, 5),
    (FAILURE, "window-closed"),
    (FAILURE, {"reason": "window-closed"}),
    (FAILURE, {"reason": "window-closed", "text": "", "more": 1}),
    (FAILURE, {"reason": "Window closed", "text": ""}),
    (FAILURE, {"reason": "r" * 65, "text": ""}),
    (FAILURE, {"reason": 7, "text": ""}),
    (FAILURE, {"reason": "a", "text": b""}),
    (FAILURE, {"reason": "a", "text": "t" * 4097}),
]


@pytest.mark.parametrize(("row", "value"), GOOD, ids=lambda case: repr(case)[:40])
def test_shapes_that_are_right(row: extensions.Extension, value: Any) -> None:
    assert row.of({row.key: value}) == value


@pytest.mark.parametrize(("row", "value"), BAD, ids=lambda case: repr(case)[:40])
def test_shapes_that_are_wrong(row: extensions.Extension, value: Any) -> None:
    with pytest.raises(ExtensionError) as caught:
        check({row.key: value})
    assert row.name in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_time_is_in_seconds_and_a_fraction() -> None:
    assert timestamp(1_762_760_377_000) == {1: 1_762_760_377}
    assert timestamp(1_762_760_377_462) == {1: 1_762_760_377, -3: 462}
    for time in (0, 999, 1000, 1_762_760_377_462):
        assert milliseconds(timestamp(time)) == time
    assert milliseconds({1: 5, -6: 462_917}) == 5462
    assert milliseconds({1: 5, -9: 462_917_999}) == 5462


def test_the_drafts_own_examples_are_understood() -> None:
    said = {3: {1: 1_762_760_377, -6: 462_917}, 4: [bytes.fromhex("08bbeeb8175c4a64a8926a5a23bb2811"), 311]}
    check(decode(encode(Content(bytes(16), NullPart(), extensions=said))).extensions)


def test_a_uri_that_scopes_an_id_is_tagged_as_one() -> None:
    """Bare text would name a domain: that is how the draft tells the two apart."""
    encoded = encode(Content(bytes(16), NullPart(), extensions={4: external_id("id", "mimi://a.example/u/b")}))
    assert (b"\x82\x42id\xd8\x20\x74" + b"mimi://a.example/u/b") in encoded


def test_a_failure_can_be_told_whatever_an_adapter_has_called_it() -> None:
    for reason, text in (("Not a word", "why"), ("", "half a pair: \ud800"), ("window-closed", "ü" * 5000)):
        value = failure(reason, text)
        check({FAILURE.key: value})
        encode(Content(bytes(16), NullPart(), extensions={FAILURE.key: value}))
    assert failure("Not a word", "why") == {"reason": "other", "text": "why"}
    assert failure("a", "\ud800")["text"] == "\ufffd"
    assert failure("a", "x" + "ü" * 5000) == {"reason": "a", "text": "x" + "ü" * 2047}
