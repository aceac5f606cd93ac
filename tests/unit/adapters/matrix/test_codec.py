"""Events and messages: what Matrix says comes through, and what cannot is refused in words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Message, Permanent, Reason, Refused
from adapters.matrix.codec import Redaction, Say, decode, encode, file_of, notice
from adapters.matrix.names import Names
from protocol.content import (
    MARKDOWN,
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    text,
)

HTML = {"format": "org.matrix.custom.html"}
PHOTO = {"msgtype": "m.image", "body": "rose.png", "url": "mxc://hs.test/abc"}


def said(content: Any, kind: str = "m.room.message", **more: Any) -> dict[str, Any]:
    return {"type": kind, "content": content, "event_id": "$1", "sender": "@romeo:hs.test"} | more


def words(body: str, **more: Any) -> dict[str, Any]:
    return said({"msgtype": "m.text", "body": body} | more)


# --- from Matrix ---


def test_plain_text() -> None:
    assert decode(words("Good *morrow*")) == Message(text("Good *morrow*"))


@pytest.mark.parametrize("msgtype", ["m.notice", "org.example.unheard-of"])
def test_other_kinds_of_text_are_text(msgtype: str) -> None:
    assert decode(said({"msgtype": msgtype, "body": "x"})) == Message(text("x"))


def test_formatted_text_becomes_markdown() -> None:
    message = decode(words("a rose", formatted_body="a <em>rose</em>", **HTML))
    assert isinstance(message.part, SinglePart)
    assert (message.part.content_type, message.part.text.strip()) == (MARKDOWN, "a _rose_")


def test_formatted_text_of_an_unknown_format_is_left_alone() -> None:
    assert decode(words("a rose", formatted_body="<x>", format="org.example")) == Message(text("a rose"))


def test_an_empty_formatted_body_falls_back_to_the_plain_one() -> None:
    assert decode(words("a rose", formatted_body="<script>alert()</script>", **HTML)) == Message(text("a rose"))


def test_a_reply_loses_its_quote() -> None:
    relation = {"m.in_reply_to": {"event_id": "$0"}}
    body = "> <@juliet:hs.test> first\n> second\n\nyes\n> indeed"
    assert decode(words(body, **{"m.relates_to": relation})) == Message(text("yes\n> indeed"), in_reply_to="$0")
    assert decode(words("> only a quote")) == Message(text("> only a quote"))
    quoted = "<mx-reply><blockquote>first</blockquote></mx-reply><b>yes</b>"
    message = decode(words(body, formatted_body=quoted, **HTML, **{"m.relates_to": relation}))
    assert message.in_reply_to == "$0"
    assert isinstance(message.part, SinglePart) and message.part.text.strip() == "**yes**"


def test_a_thread_is_a_topic() -> None:
    thread = {"rel_type": "m.thread", "event_id": "$root", "m.in_reply_to": {"event_id": "$0"}}
    assert decode(words("x", **{"m.relates_to": thread})) == Message(text("x"), in_reply_to="$0", topic=b"$root")
    fallback = thread | {"is_falling_back": True}
    assert decode(words("x", **{"m.relates_to": fallback})) == Message(text("x"), topic=b"$root")


def test_an_edit_says_the_new_text() -> None:
    relation = {"rel_type": "m.replace", "event_id": "$0"}
    new = {"msgtype": "m.text", "body": "new"}
    edit = words("* new", **{"m.relates_to": relation, "m.new_content": new})
    assert decode(edit) == Message(text("new"), replaces="$0")


@pytest.mark.parametrize("where", ["content", "event"])
def test_a_redaction_deletes(where: str) -> None:
    event = (
        said({"redacts": "$0"}, "m.room.redaction")
        if where == "content"
        else said({}, "m.room.redaction", redacts="$0")
    )
    assert decode(event) == Message(NullPart(), replaces="$0")


def test_a_reaction_answers() -> None:
    relation = {"rel_type": "m.annotation", "event_id": "$0", "key": "👍"}
    expected = Message(text("👍", disposition=Disposition.REACTION), in_reply_to="$0")
    assert decode(said({"m.relates_to": relation}, "m.reaction")) == expected
    custom = said({"m.relates_to": relation | {"key": "mxc://hs/x"}, "shortcode": ":rose:"}, "m.reaction")
    assert decode(custom) == Message(text(":rose:", disposition=Disposition.REACTION), in_reply_to="$0")


def test_a_file_keeps_its_address_name_type_and_size() -> None:
    info = {"mimetype": "image/png", "size": 12}
    part = ExternalPart(
        disposition=Disposition.INLINE,
        content_type="image/png",
        url="mxc://hs.test/abc",
        size=12,
        filename="rose.png",
    )
    assert decode(said(PHOTO | {"info": info})) == Message(part)
    captioned = decode(said(PHOTO | {"info": info, "filename": "rose.png", "body": "by any name"}))
    assert captioned == Message(MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(part, text("by any name"))))


@pytest.mark.parametrize("info", [None, 7, {}, {"mimetype": 7, "size": -1}, {"mimetype": "x", "size": True}])
def test_a_file_that_says_little_of_itself(info: object) -> None:
    part = decode(said(PHOTO | {"msgtype": "m.audio", "info": info})).part
    assert isinstance(part, ExternalPart)
    assert (part.content_type, part.size, part.disposition) == ("audio/octet-stream", 0, Disposition.ATTACHMENT)


def test_a_sticker_is_an_image_that_says_what_it_shows() -> None:
    sticker = {"body": "a rose", "url": "mxc://hs.test/abc", "info": {"mimetype": "image/webp"}}
    part = decode(said(sticker, "m.sticker")).part
    assert isinstance(part, ExternalPart)
    assert (part.content_type, part.description, part.filename) == ("image/webp", "a rose", "")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (said(None), "invalid"),
        (said({}), "invalid"),
        (words(""), "invalid"),
        (said({"msgtype": "m.text", "body": ["x"]}), "invalid"),
        (words("\ud800"), "invalid"),
        (said({"msgtype": 1, "body": "x"}), "invalid"),
        (words("* x", **{"m.relates_to": {"rel_type": "m.replace", "event_id": "$0"}}), "invalid"),
        (
            words(
                "* x",
                **{"m.relates_to": {"rel_type": "m.replace"}, "m.new_content": {"msgtype": "m.text", "body": "x"}},
            ),
            "invalid",
        ),
        (said({}, "m.room.redaction"), "invalid"),
        (said({}, "m.reaction"), "invalid"),
        (said({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$0"}}, "m.reaction"), "invalid"),
        (
            said({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$0", "key": "mxc://x/y"}}, "m.reaction"),
            "invalid",
        ),
        (
            said(
                {
                    "m.relates_to": {"rel_type": "m.annotation", "event_id": "$0", "key": "mxc://x/y"},
                    "shortcode": "mxc://x/y",
                },
                "m.reaction",
            ),
            "invalid",
        ),
        (said(PHOTO | {"url": "http://127.0.0.1/secret"}), "invalid"),
        (said({"msgtype": "m.image", "body": "x"}), "invalid"),
        (said({"msgtype": "m.file", "body": "x", "file": {"url": "mxc://x/y"}}), "not-allowed"),
        (said({"ciphertext": "x"}, "m.room.encrypted"), "not-allowed"),
    ],
)
def test_what_cannot_be_passed_on_is_refused_in_words(event: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(event)
    assert refused.value.reason == reason
    assert str(refused.value) != reason


# --- to Matrix ---


def test_text_reply_and_edit() -> None:
    plain = {"msgtype": "m.text", "body": "x"}
    assert encode(Message(text("x"))) == Say("m.room.message", plain)
    reply = encode(Message(text("x"), in_reply_to="$0"))
    assert reply == Say("m.room.message", plain | {"m.relates_to": {"m.in_reply_to": {"event_id": "$0"}}})
    edit = encode(Message(text("x"), replaces="$0", in_reply_to="$1"))
    assert edit == Say(
        "m.room.message",
        {
            "msgtype": "m.text",
            "body": "* x",
            "m.new_content": plain,
            "m.relates_to": {"rel_type": "m.replace", "event_id": "$0"},
        },
    )


def test_markdown_is_shown_formatted() -> None:
    said = encode(Message(text("a *rose*", MARKDOWN), replaces="$0"))
    assert isinstance(said, Say)
    assert said.content["m.new_content"] == {
        "msgtype": "m.text",
        "body": "a rose",
        "format": "org.matrix.custom.html",
        "formatted_body": said.content["m.new_content"]["formatted_body"],
    }
    assert "<em>rose</em>" in said.content["m.new_content"]["formatted_body"]
    assert said.content["formatted_body"].startswith("* ")


def test_a_mention_is_a_link_to_the_user() -> None:
    names = Names("hs.test", "rialto_", "rialto")
    body = "[Romeo](mimi://b.test/u/matrix~%40romeo%3Ahs.test), [J](mimi://b.test/u/xmpp~j%40x), [w](https://w.test/)"
    said = encode(Message(text(body, MARKDOWN)), link=names.mention)
    assert isinstance(said, Say)
    assert said.content["m.mentions"] == {"user_ids": ["@rialto_xmpp_j=40x:hs.test", "@romeo:hs.test"]}
    for href in (
        "https://matrix.to/#/@romeo:hs.test",
        "https://matrix.to/#/@rialto_xmpp_j=40x:hs.test",
        "https://w.test/",
    ):
        assert f'href="{href}"' in said.content["formatted_body"]
    pill = '<a href="https://matrix.to/#/@rialto_xmpp_j=40x:hs.test">J</a> <a href="https://w.test/">w</a>'
    heard = decode(words("J w", formatted_body=pill, **HTML)).part
    assert isinstance(heard, SinglePart) and heard.text.strip() == "J [w](https://w.test/)"


def test_html_in_plain_text_stays_text() -> None:
    said = encode(Message(text("<b>not bold</b>")))
    assert isinstance(said, Say) and said.content == {"msgtype": "m.text", "body": "<b>not bold</b>"}


def test_text_that_would_not_fit_formatted_goes_plain() -> None:
    said = encode(Message(text("*&* " * 4000, MARKDOWN), replaces="$0"))
    assert isinstance(said, Say)
    assert "formatted_body" not in said.content and "formatted_body" not in said.content["m.new_content"]
    assert len(msgspec.json.encode(said.content)) < 65_000


def test_reactions_and_deletions() -> None:
    reaction = Message(text("👍", disposition=Disposition.REACTION), in_reply_to="$0")
    relation = {"rel_type": "m.annotation", "event_id": "$0", "key": "👍"}
    assert encode(reaction) == Say("m.reaction", {"m.relates_to": relation})
    assert encode(Message(NullPart(), replaces="$0")) == Redaction("$0")


def test_a_reaction_in_words_never_becomes_a_picture() -> None:
    words = Message(text("mxc://hs.test/abc", disposition=Disposition.REACTION), in_reply_to="$0")
    with pytest.raises(Permanent) as failed:
        encode(words)
    assert failed.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("mime", "msgtype"),
    [
        ("image/png", "m.image"),
        ("IMAGE/JPEG;q=1", "m.image"),
        ("image/svg+xml", "m.file"),
        ("audio/ogg", "m.audio"),
        ("video/mp4", "m.video"),
        ("application/pdf", "m.file"),
        ("nonsense", "m.file"),
    ],
)
def test_files_by_their_type(mime: str, msgtype: str) -> None:
    said = encode(Message(ExternalPart(content_type=mime, url="x", filename="f")), "mxc://hs/1", 9)
    assert isinstance(said, Say)
    assert said.content["msgtype"] == msgtype
    assert (said.content["url"], said.content["body"], said.content["info"]["size"]) == ("mxc://hs/1", "f", 9)


def test_a_caption_is_the_body_beside_the_file_name() -> None:
    file = ExternalPart(content_type="image/png", url="x", filename="rose.png")
    both = Message(MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(file, text("a *rose*", MARKDOWN))))
    assert file_of(both) == file
    said = encode(both, "mxc://hs/1", 9)
    assert isinstance(said, Say)
    assert (said.content["body"], said.content["filename"]) == ("a rose", "rose.png")
    assert "<em>" in said.content["formatted_body"]


@pytest.mark.parametrize(
    "message",
    [
        Message(NullPart()),
        Message(text("👍", disposition=Disposition.REACTION)),
        Message(SinglePart(content_type="application/x-unknown", content=b"")),
        Message(MultiPart(semantics=Semantics.PROCESS_ALL, parts=(text("a"), text("b")))),
        Message(MultiPart(semantics=Semantics.PROCESS_ALL, parts=(NullPart(), NullPart(), NullPart()))),
    ],
)
def test_what_matrix_has_no_event_for(message: Message) -> None:
    with pytest.raises(Permanent) as failure:
        encode(message)
    assert failure.value.reason == Reason.UNSUPPORTED


def test_a_notice_answers() -> None:
    assert notice("Not delivered", "$0") == Say(
        "m.room.message",
        {"msgtype": "m.notice", "body": "Not delivered", "m.relates_to": {"m.in_reply_to": {"event_id": "$0"}}},
    )


# --- there and back, and anything at all ---

bodies = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: not t.startswith("/me "))
event_ids = st.from_regex(r"\$[A-Za-z0-9_-]{1,43}", fullmatch=True)


@given(
    st.one_of(
        st.builds(Message, bodies.map(text)),
        st.builds(Message, bodies.map(text), replaces=event_ids),
        st.builds(Message, bodies.map(lambda b: text("/me " + b))),
        st.builds(
            Message, bodies.map(lambda b: text(b, disposition=Disposition.REACTION)), in_reply_to=event_ids
        ).filter(lambda m: not m.part.text.startswith("mxc://")),  # type: ignore[union-attr]
    )
)
def test_what_is_sent_is_heard_the_same(message: Message) -> None:
    said = encode(message)
    assert isinstance(said, Say)
    assert decode({"type": said.type, "content": said.content}) == message


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "msgtype",
        "body",
        "format",
        "formatted_body",
        "m.relates_to",
        "m.new_content",
        "rel_type",
        "event_id",
        "key",
        "url",
        "info",
        "mimetype",
        "size",
        "filename",
        "file",
        "redacts",
        "m.in_reply_to",
        "geo_uri",
        "shortcode",
    ]
)
values = st.sampled_from(
    ["m.text", "m.image", "m.emote", "m.replace", "m.annotation", "org.matrix.custom.html", "mxc://a/b"]
)
objects = st.recursive(
    st.dictionaries(fields, json | values, max_size=6),
    lambda inner: st.dictionaries(fields, json | values | inner, max_size=6),
    max_leaves=4,
)


@given(
    st.sampled_from(["m.room.message", "m.reaction", "m.room.redaction", "m.sticker", "m.room.encrypted", None, 7]),
    objects | json,
)
def test_any_event_is_a_message_or_refused(kind: object, content: object) -> None:
    with suppress(Refused):
        assert isinstance(decode({"type": kind, "content": content}), Message)
