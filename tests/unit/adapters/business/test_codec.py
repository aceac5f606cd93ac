"""The Cloud API's JSON and our messages, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.business import codec, wamid
from adapters.business.config import Number, Subscriber
from adapters.business.errors import BusinessError, InvalidParameter, UnsupportedType
from adapters.business.files import File, FileKind
from adapters.business.identity import Person
from adapters.contract import Message
from protocol.content import (
    MARKDOWN,
    TEXT_PLAIN,
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    text,
)
from protocol.uri import Address

PERSON = Person(Address("xmpp", "juliet@capulet.example"), "999123456789012", "XX.1234567890123456789")
NUMBER = Number("shop", "1001", "+1 555-000-1001")
LINE = codec.Line("2001", NUMBER, Subscriber.DUAL)
AT = 1_790_000_000_999
ASKED = str(wamid.derive(PERSON.user_id, "a question"))
SAID = str(wamid.Wamid(wamid.Kind.BUSINESS, PERSON.user_id, bytes(18)))
FILE = File(id="77", mime="image/jpeg", sha256="00ff" * 16, size=4, owner="1001", expires=0, name="rose.jpg")


def _event(message: Message, file: File | None = None, line: codec.Line = LINE) -> dict[str, Any]:
    """The one message of the webhook that tells ``message``."""
    name, body = codec.message_event(line, PERSON, "Juliet", message, "key-1", AT, file)
    [entry] = json.loads(body)["entry"]
    [change] = entry["changes"]
    [event] = change["value"]["messages"]
    assert event["id"] == name
    return dict(event)


def _content(message: Message, file: File | None = None) -> dict[str, Any]:
    common = {"from", "from_user_id", "id", "timestamp"}
    return {key: value for key, value in _event(message, file).items() if key not in common}


# --- to the program ---------------------------------------------------------------------------------------------------


def test_a_text_is_told_in_full() -> None:
    name, body = codec.message_event(LINE, PERSON, "Juliet", Message(part=text("Grüße")), "key-1", AT)
    assert b"Gr\\u00fc\\u00dfe" in body
    assert json.loads(body) == {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "id": "2001",
                "changes": [
                    {
                        "field": "messages",
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {"display_phone_number": "15550001001", "phone_number_id": "1001"},
                            "contacts": [
                                {
                                    "profile": {"name": "Juliet", "username": "juliet@capulet.example"},
                                    "wa_id": "999123456789012",
                                    "user_id": "XX.1234567890123456789",
                                }
                            ],
                            "messages": [
                                {
                                    "from": "999123456789012",
                                    "from_user_id": "XX.1234567890123456789",
                                    "id": name,
                                    "timestamp": "1790000000",
                                    "type": "text",
                                    "text": {"body": "Grüße"},
                                }
                            ],
                        },
                    }
                ],
            }
        ],
    }


def test_formatted_text_gets_whatsapps_marks() -> None:
    said = Message(part=text("**Roses** and _tulips_", MARKDOWN))
    assert _content(said) == {"type": "text", "text": {"body": "*Roses* and _tulips_"}}


def test_a_reply_names_what_it_answers_and_whose_that_was() -> None:
    to_us = _content(Message(part=text("Yes"), in_reply_to=SAID))
    assert to_us["context"] == {"from": "15550001001", "id": SAID}
    to_herself = _content(Message(part=text("Yes"), in_reply_to=ASKED))
    assert to_herself["context"] == {"from": "999123456789012", "id": ASKED}


def test_a_reaction_and_its_withdrawal_name_the_same_message() -> None:
    reaction = Message(part=text("👍", disposition=Disposition.REACTION), in_reply_to=SAID)
    made = _event(reaction)
    assert (made["type"], made["reaction"]) == ("reaction", {"message_id": SAID, "emoji": "👍"})

    withdrawn = Message(part=NullPart(), replaces=made["id"])
    assert _content(withdrawn) == {"type": "reaction", "reaction": {"message_id": SAID, "emoji": ""}}

    changed = Message(part=text("❤️", disposition=Disposition.REACTION), replaces=made["id"])
    assert _content(changed) == {"type": "reaction", "reaction": {"message_id": SAID, "emoji": "❤️"}}

    onto_it = Message(part=text("!", disposition=Disposition.REACTION), in_reply_to=made["id"])
    assert _content(onto_it)["reaction"]["message_id"] == SAID  # WhatsApp has no reactions to reactions


def test_an_edit_and_a_deletion_name_the_first_version() -> None:
    edit = Message(part=text("Tulips"), replaces=ASKED)
    assert _content(edit) == {
        "type": "edit",
        "edit": {"original_message_id": ASKED, "message": {"type": "text", "text": {"body": "Tulips"}}},
    }
    deletion = Message(part=NullPart(), replaces=ASKED)
    assert _content(deletion) == {"type": "revoke", "revoke": {"original_message_id": ASKED}}


@pytest.mark.parametrize(
    ("mime", "caption", "kind", "has"),
    [
        ("image/jpeg", "", "image", {"id", "mime_type", "sha256"}),
        ("image/gif", "A rose", "image", {"id", "mime_type", "sha256", "caption"}),
        ("video/mp4", "A rose", "video", {"id", "mime_type", "sha256", "caption"}),
        ("audio/ogg", "", "audio", {"id", "mime_type", "sha256", "voice"}),
        ("audio/ogg", "A song", "document", {"id", "mime_type", "sha256", "caption", "filename"}),
        ("application/pdf", "", "document", {"id", "mime_type", "sha256", "filename"}),
        ("nonsense", "", "document", {"id", "mime_type", "sha256", "filename"}),
    ],
)
def test_a_file_is_shown_as_the_kind_of_its_type(mime: str, caption: str, kind: str, has: set[str]) -> None:
    external = ExternalPart(content_type=mime, url="cid:1")
    part = MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(external, text(caption))) if caption else external
    file = File(id="77", mime=mime, sha256="00ff" * 16, size=4, owner="1001", expires=0)
    content = _content(Message(part=part), file)
    assert content["type"] == kind
    assert set(content[kind]) == has
    assert content[kind]["sha256"] == "AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8="


@pytest.mark.parametrize(
    "message",
    [
        Message(part=NullPart()),
        Message(part=text("👍", disposition=Disposition.REACTION)),
        Message(part=SinglePart("application/octet-stream", b"x")),
        Message(part=ExternalPart(content_type="image/png", url="cid:1")),
        Message(part=MultiPart(semantics=Semantics.CHOOSE_ONE, parts=(text("a"), text("b")))),
        Message(part=MultiPart(semantics=Semantics.PROCESS_ALL, parts=(text("a"), text("b"), text("c")))),
    ],
)
def test_what_the_api_has_no_words_for_is_refused(message: Message) -> None:
    with pytest.raises(UnsupportedType):
        _event(message)


@pytest.mark.parametrize(
    "message",
    [
        Message(part=text("x"), in_reply_to="$event"),
        Message(part=NullPart(), replaces="$event"),
        Message(part=text("x"), replaces="$event"),
    ],
)
def test_a_message_that_is_not_ours_cannot_be_named(message: Message) -> None:
    with pytest.raises(InvalidParameter):
        _event(message)


bodies = st.text(min_size=1, max_size=200).filter(lambda body: body.isprintable())


@given(bodies, st.text(max_size=20), st.sampled_from(Subscriber), st.integers(0, 2**53))
def test_a_body_is_ascii_and_always_the_same(body: str, name: str, subscriber: Subscriber, at: int) -> None:
    line = codec.Line("2001", NUMBER, subscriber)
    message = Message(part=text(body))
    first = codec.message_event(line, PERSON, name, message, "key", at)
    assert first == codec.message_event(line, PERSON, name, message, "key", at)
    assert first[1].isascii()


def test_a_status_says_what_became_of_a_message() -> None:
    errors = ({"code": 131026, "title": "Message undeliverable"},)
    body = codec.status_event(LINE, PERSON, SAID, "failed", AT, name="Juliet", errors=errors, opaque="order-7")
    value = json.loads(body)["entry"][0]["changes"][0]["value"]
    assert value["statuses"] == [
        {
            "id": SAID,
            "status": "failed",
            "timestamp": "1790000000",
            "recipient_id": "999123456789012",
            "recipient_user_id": "XX.1234567890123456789",
            "biz_opaque_callback_data": "order-7",
            "errors": [{"code": 131026, "title": "Message undeliverable"}],
        }
    ]
    assert value["contacts"][0]["user_id"] == PERSON.user_id  # newer programs find the person here


# --- from the program -------------------------------------------------------------------------------------------------


def _command(**fields: Any) -> codec.Command:
    return codec.command(json.dumps({"messaging_product": "whatsapp", "to": "999", **fields}).encode())


def test_a_text_is_read() -> None:
    said = _command(type="text", text={"body": "*Hello*", "preview_url": True}, biz_opaque_callback_data="o")
    assert said == codec.Send("999", codec.Text("*Hello*"), opaque="o")
    assert isinstance(said, codec.Send)
    part = codec.to_message(said).part
    assert isinstance(part, SinglePart)
    assert (part.content_type, part.text) == (MARKDOWN, "**Hello**")


def test_plain_words_stay_plain() -> None:
    part = codec.to_message(codec.Send("999", codec.Text("Hello"))).part
    assert part == SinglePart(TEXT_PLAIN, b"Hello")


def test_the_type_may_be_left_out_and_the_number_be_a_number() -> None:
    assert _command(text={"body": "Hello"}, to=999) == codec.Send("999", codec.Text("Hello"))


def test_to_goes_before_recipient() -> None:
    assert _command(text={"body": "x"}, recipient="XX.1") == codec.Send("999", codec.Text("x"))
    assert _command(text={"body": "x"}, to=None, recipient="XX.1") == codec.Send("XX.1", codec.Text("x"))


def test_a_name_that_pywa_takes_for_a_groups_is_read_as_a_persons() -> None:
    said = _command(text={"body": "x"}, to="juliet@capulet.example", recipient_type="group")
    assert said == codec.Send("juliet@capulet.example", codec.Text("x"))


def test_a_file_with_a_caption_is_one_unit() -> None:
    said = _command(type="image", image={"id": "77", "caption": "_A rose_"}, context={"message_id": ASKED})
    assert said == codec.Send("999", codec.FileRef(FileKind.IMAGE, id="77", caption="_A rose_"), answers=ASKED)
    assert isinstance(said, codec.Send)
    message = codec.to_message(said, FILE)
    assert message.in_reply_to == ASKED
    assert isinstance(message.part, MultiPart)
    external, caption = message.part.parts
    assert isinstance(external, ExternalPart)
    assert (external.content_type, external.size, external.filename) == ("image/jpeg", 4, "rose.jpg")
    assert codec.media_id(external) == "77"
    assert caption == text("_A rose_", MARKDOWN)


def test_marking_as_read_may_show_that_an_answer_is_typed() -> None:
    read = {"messaging_product": "whatsapp", "status": "read", "message_id": ASKED}
    for indicator, typing in ((None, False), ({"type": "text"}, True), (True, True), (False, False)):
        body = json.dumps({**read, "typing_indicator": indicator}).encode()
        assert codec.command(body) == codec.MarkRead(ASKED, typing)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
keys = st.sampled_from(
    ["messaging_product", "to", "type", "text", "body", "image", "id", "link", "context", "message_id", "status"]
)
values = st.recursive(
    scalars | st.sampled_from(["whatsapp", "text", "image", "read", ASKED, SAID]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
)


@given(st.dictionaries(keys, values, max_size=6))
def test_any_json_is_read_or_refused(request: dict[str, Any]) -> None:
    body = json.dumps({"messaging_product": "whatsapp", **request}).encode()
    try:
        command: codec.Command | BusinessError = codec.command(body)
    except BusinessError as error:
        command = error
    assert isinstance(command, codec.Send | codec.MarkRead) or str(command)
