"""Message stanzas to what was said, and back."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.contract import Message, Permanent, Reason, Refused, Retry
from adapters.xmpp import bounces, codec, xml
from adapters.xmpp.errors import StanzaError, StanzaRefused
from adapters.xmpp.names import Chat, Room
from protocol.content import Disposition, ExternalPart, MultiPart, NullPart, Semantics, SinglePart, text
from protocol.status import Status

CHAT = Chat("juliet@xmpp.test", r"matrix~\40romeo\3ahs.test@rialto.test")
ROOM = Room("verona@muc.test")
WAY = codec.Outgoing(id="key-1", from_=f"{CHAT.ghost}/rialto", to=CHAT.user)


def message(inside: str, **attributes: str) -> ET.Element:
    written = "".join(
        f" {name.rstrip('_')}='{value}'"
        for name, value in ({"id": "m1", "from_": "juliet@xmpp.test/a"} | attributes).items()
    )
    return ET.fromstring(f"<message xmlns='jabber:client'{written}>{inside}</message>")


def said(inside: str, place: Chat | Room = CHAT, **attributes: str) -> Message:
    incoming = codec.decode(message(inside, **attributes), place)
    assert isinstance(incoming, codec.Said)
    return incoming.message


def again(stanza: ET.Element) -> ET.Element:
    """A stanza as the other side reads it."""
    return ET.fromstring(xml.serialise(stanza).replace("<message", "<message xmlns='jabber:client'", 1))


# --- in ---


def test_a_text() -> None:
    assert said("<body>hello</body>") == Message(text("hello"))


def test_an_empty_body_says_nothing() -> None:
    assert codec.decode(message("<body></body>"), CHAT) == codec.Nothing()
    assert codec.decode(message("<subject>a room's topic</subject>"), ROOM) == codec.Nothing()


def test_a_link_out_of_band_is_a_file() -> None:
    part = said(
        "<body>https://f.test/a/cat%20one.png</body><x xmlns='jabber:x:oob'><url>https://f.test/a/cat%20one.png</url></x>"
    ).part
    assert part == ExternalPart(
        "image/png", "https://f.test/a/cat%20one.png", filename="cat one.png", disposition=Disposition.INLINE
    )


def test_a_file_with_words_is_both() -> None:
    part = said("<body>look</body><x xmlns='jabber:x:oob'><url>https://f.test/plan.pdf</url></x>").part
    assert isinstance(part, MultiPart) and part.semantics is Semantics.PROCESS_ALL
    assert [type(each) for each in part.parts] == [SinglePart, ExternalPart]


@pytest.mark.parametrize("url", ["aesgcm://f.test/x#00", "file:///etc/passwd", "javascript:alert(1)", "xmpp:a@b"])
def test_other_links_are_only_text(url: str) -> None:
    assert said(f"<body>{url}</body><x xmlns='jabber:x:oob'><url>{url}</url></x>").part.text == url  # type: ignore[union-attr]


def test_a_reply_loses_what_it_repeats_for_old_clients() -> None:
    inside = """<body>&gt; ünï
yes</body><reply xmlns='urn:xmpp:reply:0' id='x1' to='romeo@a'/>
    <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='0' end='6'/></fallback>"""
    assert said(inside) == Message(text("yes"), in_reply_to=CHAT.native("x1"))


def test_a_fallback_for_something_else_is_text() -> None:
    inside = "<body>hi</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:other'><body/></fallback>"
    assert said(inside) == Message(text("hi"))


def test_a_correction_names_the_first_version_by_its_author() -> None:
    inside = "<body>hi</body><replace xmlns='urn:xmpp:message-correct:0' id='m0'/>"
    assert said(inside).replaces == CHAT.native("m0")
    assert said(inside, ROOM, type="groupchat", from_="verona@muc.test/Juliet").replaces == ROOM.by("Juliet", "m0")


def test_a_retraction_does_not_say_its_fallback() -> None:
    inside = "<body>tried to retract</body><retract xmlns='urn:xmpp:message-retract:1' id='m0'/>"
    assert said(inside) == Message(NullPart(), replaces=CHAT.native("m0"))


def test_reactions_are_a_set() -> None:
    emoji = "<reaction>👍</reaction><reaction> 👍 </reaction><reaction>❤️</reaction><reaction/>"
    incoming = codec.decode(message(f"<reactions xmlns='urn:xmpp:reactions:0' id='m0'>{emoji}</reactions>"), CHAT)
    assert incoming == codec.Reacted(CHAT.native("m0"), ("👍", "❤️"), "m1")


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<received xmlns='urn:xmpp:receipts' id='k'/>", codec.Arrived((CHAT.native("k"),), Status.DELIVERED)),
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='k'/>", codec.Arrived((CHAT.native("k"),), Status.READ)),
        ("<composing xmlns='http://jabber.org/protocol/chatstates'/>", codec.Composing(active=True)),
        ("<paused xmlns='http://jabber.org/protocol/chatstates'/>", codec.Composing(active=False)),
        ("<event xmlns='http://jabber.org/protocol/pubsub#event'/>", codec.Nothing()),
        ("<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>", codec.Nothing()),
    ],
)
def test_signals(inside: str, expected: codec.Incoming) -> None:
    assert codec.decode(message(inside), CHAT) == expected


def test_a_delayed_stanza_is_heard_with_its_time() -> None:
    incoming = codec.decode(
        message("<body>x</body><delay xmlns='urn:xmpp:delay' stamp='2026-11-21T23:00:00.5Z'/>"), CHAT
    )
    assert isinstance(incoming, codec.Said) and incoming.sent_at == 1795302000500
    assert codec.sent_at(message("<delay xmlns='urn:xmpp:delay' stamp='yesterday'/>")) is None


def test_only_the_room_itself_numbers_its_messages() -> None:
    inside = "".join(
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{by}@muc.test' id='{id_}'/>" for by, id_ in [("evil", 1), ("verona", 2)]
    )
    assert codec.archive_id(message(inside), ROOM) == "2"
    assert codec.archive_id(message(inside), CHAT) == ""


_MANY = "".join(f"<reaction>{number}</reaction>" for number in range(65))
_FALLBACK = (
    "<body>x</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='{}' end='{}'/></fallback>"
)


@pytest.mark.parametrize(
    ("inside", "condition"),
    [
        ("<body>in secret</body><encrypted xmlns='eu.siacs.conversations.axolotl'/>", "not-acceptable"),
        ("<retract xmlns='urn:xmpp:message-retract:1'/>", "bad-request"),
        ("<reactions xmlns='urn:xmpp:reactions:0'/>", "bad-request"),
        (f"<retract xmlns='urn:xmpp:message-retract:1' id='{'x' * 2000}'/>", "bad-request"),
        (f"<reactions xmlns='urn:xmpp:reactions:0' id='a'>{_MANY}</reactions>", "policy-violation"),
        ("<body>x</body><x xmlns='jabber:x:oob'><url>http://[oops</url></x>", "bad-request"),
        (_FALLBACK.format(0, 9), "bad-request"),
        (_FALLBACK.format("a", "b"), "bad-request"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_says_why(inside: str, condition: str) -> None:
    with pytest.raises(StanzaRefused) as refused:
        codec.decode(message(inside), CHAT)
    assert refused.value.condition == condition
    assert refused.value.text


# --- out ---


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_every_text_is_legal_xml_and_comes_back(body: str) -> None:
    stanza = again(codec.encode(text(body), WAY))
    part = codec.decode(stanza, CHAT)
    assert isinstance(part, codec.Said)
    assert isinstance(part.message.part, SinglePart)
    assert stanza.findtext(xml.BODY) == xml.legal(body)


def test_a_text_asks_for_a_receipt_and_names_itself() -> None:
    stanza = again(codec.encode(text("hi"), WAY))
    assert (stanza.get("id"), stanza.get("type"), stanza.get("to")) == ("key-1", "chat", "juliet@xmpp.test")
    assert {child.tag for child in stanza} == {
        xml.BODY,
        xml.q(xml.SID, "origin-id"),
        xml.q(xml.RECEIPTS, "request"),
        xml.q(xml.MARKERS, "markable"),
    }


def test_a_reply_quotes_for_old_clients_and_comes_back_without() -> None:
    way = codec.Outgoing(id="k", from_="a@b", to="c@d", reply="m0", quote=codec.Quote("c@d", "one\ntwo"))
    stanza = again(codec.encode(text("yes"), way))
    assert stanza.findtext(xml.BODY) == "> one\n> two\nyes"
    assert codec.decode(stanza, CHAT) == codec.Said(
        Message(text("yes"), in_reply_to=CHAT.native("m0")), "k", wants_receipt=True
    )


def test_a_file_is_a_link_twice() -> None:
    way = codec.Outgoing(id="k", from_="a@b", to="c@d", url="https://f.test/a.png?x=1&y=2")
    decoded = codec.decode(again(codec.encode(ExternalPart("image/png", "blob"), way)), CHAT)
    assert isinstance(decoded, codec.Said) and decoded.message.part.url == "https://f.test/a.png?x=1&y=2"  # type: ignore[union-attr]


def test_reactions_and_retractions_come_back() -> None:
    assert codec.decode(again(codec.encode_reactions("m0", ["👍", "❤️"], WAY)), CHAT) == codec.Reacted(
        CHAT.native("m0"), ("👍", "❤️"), "key-1", wants_receipt=True
    )
    retraction = codec.decode(again(codec.encode_retraction("m0", WAY)), CHAT)
    assert isinstance(retraction, codec.Said) and retraction.message == Message(NullPart(), replaces=CHAT.native("m0"))


def test_what_xmpp_has_no_stanza_for_is_refused() -> None:
    with pytest.raises(StanzaRefused):
        codec.encode(SinglePart("application/vnd.other", b""), WAY)


# --- errors ---


def bounce(kind: str, condition: str, words: str = "") -> ET.Element:
    return message(
        f"<error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        f"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>{words}</text></error>",
        type="error",
    )


@pytest.mark.parametrize(
    ("kind", "condition", "reason"),
    [
        ("cancel", "item-not-found", Reason.RECIPIENT_UNKNOWN),
        ("cancel", "service-unavailable", Reason.RECIPIENT_UNREACHABLE),
        ("auth", "forbidden", Reason.NOT_ALLOWED),
        ("cancel", "not-acceptable", Reason.NOT_ALLOWED),
        ("modify", "something-new", Reason.REJECTED),
    ],
)
def test_a_bounce_is_final_with_a_reason(kind: str, condition: str, reason: str) -> None:
    outcome = bounces.outcome(bounces.read(bounce(kind, condition, "sorry")))
    assert isinstance(outcome, Permanent)
    assert outcome.reason == reason
    assert "sorry" in str(outcome)


@pytest.mark.parametrize(("kind", "condition"), [("wait", "item-not-found"), ("cancel", "remote-server-timeout")])
def test_a_passing_bounce_is_tried_again(kind: str, condition: str) -> None:
    assert isinstance(bounces.outcome(bounces.read(bounce(kind, condition))), Retry)


def test_a_broken_error_is_an_error() -> None:
    bounced = codec.decode(message("", type="error"), CHAT)
    assert isinstance(bounced, codec.Bounced) and bounced.id == "m1"
    assert bounces.read(message("")).condition == "undefined-condition"


def test_errors_say_what_was_wrong_and_repeat_nothing() -> None:
    stanza = message("<body>secret</body>", to="x@y")
    answer = again(bounces.write(stanza, bounces.refusal(Refused("too-large"))))
    assert (answer.get("to"), answer.get("from"), answer.get("id")) == ("juliet@xmpp.test/a", "x@y", "m1")
    read = bounces.read(answer)
    assert (read.condition, read.kind) == ("policy-violation", "modify")
    assert "too large" in read.text
    assert "secret" not in xml.serialise(answer)


def test_an_unknown_reason_still_makes_an_error() -> None:
    assert bounces.failure("weather", "").text == "This message was not delivered (weather)."
    assert isinstance(bounces.outcome(StanzaError("")), Permanent)
