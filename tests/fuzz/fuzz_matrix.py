"""Any bytes taken for a Matrix event are a message or refused in words, and a message can be said on Matrix again.

``python -m tests.fuzz.fuzz_matrix [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from adapters.contract import Message, Refused
from adapters.matrix import codec
from adapters.matrix.names import Names
from protocol.content import ExternalPart, MultiPart
from tests.fuzz.harness import fuzz, structured

NAMES = Names("hs.test", "rialto_", "rialto")


def one_input(data: bytes) -> None:
    """Read ``data`` as an event and say what it says; and as the name of a ghost."""
    _named(data.decode(errors="replace"))
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if not isinstance(event, dict):
        return
    try:
        message = codec.decode(event)
    except Refused:
        return
    _said(message)


def _said(message: Message) -> None:
    said = codec.encode(message, "mxc://hs.test/again", 1)
    if isinstance(said, codec.Redaction):
        assert said.event_id == message.replaces
        return
    msgspec.json.encode(said.content)
    again = codec.decode({"type": said.type, "content": said.content})
    assert again.replaces == message.replaces
    assert isinstance(again.part, ExternalPart | MultiPart) == isinstance(message.part, ExternalPart | MultiPart)


def _named(text: str) -> None:
    user_id = f"@rialto_{text}:hs.test"
    address = NAMES.address(user_id)
    assert address is None or NAMES.ghost(address) == user_id


def seeds() -> Iterator[bytes]:
    """One event of each kind, and a name."""
    body = "> <@romeo:hs.test> what?\n\n/me *waves*"
    shown = '<mx-reply><blockquote>a</blockquote></mx-reply><a href="https://matrix.to/#/@a:b">b</a> <em>c</em><br/>d'
    text = {"msgtype": "m.text", "body": body, "format": "org.matrix.custom.html", "formatted_body": shown}
    file = {"msgtype": "m.image", "body": "x", "url": "mxc://hs.test/1", "info": {"mimetype": "image/png", "size": 4}}
    reply = {"m.in_reply_to": {"event_id": "$0"}}
    thread = {"rel_type": "m.thread", "event_id": "$0", "is_falling_back": True, **reply}
    for content in (
        text,
        text | {"msgtype": "m.emote", "m.relates_to": reply},
        text | {"m.relates_to": thread},
        text | {"m.new_content": text, "m.relates_to": {"rel_type": "m.replace", "event_id": "$0"}},
        file,
        file | {"msgtype": "m.audio", "filename": "y", "format": "org.matrix.custom.html", "formatted_body": shown},
        {"msgtype": "m.location", "body": "Verona", "geo_uri": "geo:45.4,11"},
        {"msgtype": "m.file", "body": "x", "file": {}},
    ):
        yield json.dumps({"type": "m.room.message", "content": content}).encode()
    about = {"rel_type": "m.annotation", "event_id": "$0", "key": "mxc://hs.test/1"}
    yield json.dumps({"type": "m.reaction", "content": {"m.relates_to": about, "shortcode": "rose"}}).encode()
    yield json.dumps({"type": "m.room.redaction", "redacts": "$0", "content": {"redacts": "$0"}}).encode()
    yield json.dumps({"type": "m.sticker", "content": file}).encode()
    yield json.dumps({"type": "m.room.encrypted", "content": {}}).encode()
    yield b"xmpp_juliet=40xmpp.test"


WORDS = (b"m.notice", b"m.emote", b"m.video", b"m.file", b"\\ud800", b"\\n", b"<b>", b"</b>", b"=40", b"_", b"/me ")


if __name__ == "__main__":
    fuzz(
        one_input,
        "adapters.matrix.codec",
        "adapters.matrix.names",
        "adapters.matrix.html",
        "protocol",
        seeds=seeds(),
        words=WORDS,
        mutator=structured(json.loads, lambda value: json.dumps(value).encode()),
    )
