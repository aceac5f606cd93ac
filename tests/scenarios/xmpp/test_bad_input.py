"""What cannot be carried: its sender is told what was wrong, in XMPP's own way, and nothing stops."""

from __future__ import annotations

import asyncio
from xml.etree.ElementTree import Element

import pytest

from adapters.contract import Message, Permanent, Reason, Refused, Retry, StatusUpdate
from adapters.xmpp.link import _Asked
from protocol.content import ExternalPart, SinglePart, text
from protocol.status import Status
from tests.scenarios.xmpp.conftest import Arrive, config, until
from tests.scenarios.xmpp.host import ROMEO, ROMEO_JID, Host, chat
from tests.servers.prosody import COMPONENT, UPLOAD, Prosody
from tests.stage.person import Did

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("nobody", ["romeo", "matrix~", "xmpp~juliet", "matrix~%ff", r"MATRIX~\40romeo\3ahs.test\20"])
async def test_somebody_who_cannot_exist(host: Host, arrive: Arrive, nobody: str) -> None:
    juliet = await arrive("Juliet")
    id_ = await juliet.say(f"{nobody}@{COMPONENT}", "Is anybody there?")
    told = await juliet.wait(lambda thing: thing.did is Did.ERROR, "the error")
    assert told.target == id_
    assert told.text
    assert await still_well(host, juliet)


async def still_well(host: Host, juliet: object) -> bool:
    await juliet.say(ROMEO_JID, "still well?")  # type: ignore[attr-defined]
    return (await host.heard()).message == Message(text("still well?"))


async def test_the_bridge_itself_is_nobody_to_talk_to(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    await juliet.say(COMPONENT, "hello bridge")
    assert "Write to a person" in (await juliet.wait(lambda thing: thing.did is Did.ERROR, "the error")).text


async def test_what_the_endpoint_refuses(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    host.judge = lambda _: Refused("unknown-conversation", "Nobody at hs.test is called Romeo.")
    id_ = await juliet.say(ROMEO_JID, "Romeo?")
    told = await juliet.wait(lambda thing: thing.did is Did.ERROR, "the error")
    assert (told.target, told.text) == (id_, "Nobody at hs.test is called Romeo.")
    assert id_ not in juliet.receipts


async def test_a_text_over_the_limit(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    await juliet.say(ROMEO_JID, "o" * 70_000)
    assert "65536" in (await juliet.wait(lambda thing: thing.did is Did.ERROR, "the error")).text
    assert await still_well(host, juliet)


async def test_malformed_stanzas_are_answered_and_survived(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    for number, inside in enumerate((
        "<retract xmlns='urn:xmpp:message-retract:1'/>",
        "<body>x</body><encrypted xmlns='eu.siacs.conversations.axolotl'/>",
        "<body>x</body><fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'><body start='-1'/></fallback>",
        "<body>x</body><x xmlns='jabber:x:oob'><url>http://[</url></x>",
    )):  # fmt: skip
        juliet.client.send_raw(f"<message to='{ROMEO_JID}' type='chat' id='bad-{number}'>{inside}</message>")
        await juliet.wait(lambda t, n=number: t.did is Did.ERROR and t.target == f"bad-{n}", inside)  # type: ignore[misc]
    assert await still_well(host, juliet)


async def test_errors_and_typing_to_nobody_are_not_answered(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    await juliet.type(f"nobody@{COMPONENT}", active=True)
    juliet.client.send_raw(
        f"<message to='nobody@{COMPONENT}' type='error' id='e'><body>no</body><error type='cancel'/></message>"
    )
    assert await still_well(host, juliet)
    assert not [thing for thing in juliet.noticed if thing.did is Did.ERROR]


async def test_questions_that_nobody_here_answers(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    juliet.client.send_raw(f"<iq to='{ROMEO_JID}' type='get' id='q1'><query xmlns='jabber:iq:last'/></iq>")
    juliet.client.send_raw(f"<iq to='nobody@{COMPONENT}' type='get' id='q2'><ping xmlns='urn:xmpp:ping'/></iq>")
    juliet.client.send_raw(f"<iq to='{ROMEO_JID}' type='set' id='q3'/>")
    juliet.client.send_raw(f"<presence to='nobody@{COMPONENT}' type='subscribe'/>")
    assert await still_well(host, juliet)


async def test_a_recipient_who_does_not_exist(host: Host) -> None:
    with pytest.raises(Permanent) as refused:
        await host.say(chat("mercutio@xmpp.test"), ROMEO, "Mercutio?")
    assert refused.value.reason == Reason.RECIPIENT_UNREACHABLE


async def test_one_bounce_concerns_one_message_only(host: Host, arrive: Arrive) -> None:

    juliet = await arrive("Juliet")
    results = await asyncio.gather(
        host.say(chat(juliet.jid), ROMEO, "to her"),
        host.say(chat("mercutio@xmpp.test"), ROMEO, "to nobody"),
        host.say(chat(juliet.jid), ROMEO, "to her again"),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Sent", "Permanent", "Sent"]


@pytest.mark.parametrize("user", ["juliet@nowhere.invalid", "not a jid@@"])
async def test_a_server_that_does_not_exist(host: Host, user: str) -> None:
    with pytest.raises((Permanent, Retry)):
        await host.say(chat(user), ROMEO, "Juliet?")


async def test_a_stanza_too_large_for_the_stream(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    with pytest.raises(Permanent) as refused:
        await host.say(chat(juliet.jid), ROMEO, "o" * 300_000)
    assert refused.value.reason == Reason.TOO_LARGE
    await host.say(chat(juliet.jid), ROMEO, "small")


async def test_a_part_that_xmpp_cannot_say(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    with pytest.raises(Permanent) as refused:
        await host.say(chat(juliet.jid), ROMEO, Message(SinglePart("application/vnd.other", b"")))
    assert refused.value.reason == Reason.UNSUPPORTED


async def test_a_message_of_another_conversation_cannot_be_named(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    with pytest.raises(Permanent):
        await host.say(chat(juliet.jid), ROMEO, Message(text("x"), replaces="nurse@xmpp.test/matrix~x/1"))
    update = StatusUpdate(
        conversation=chat(juliet.jid), native_id="nurse@xmpp.test/x/1", status=Status.READ, at=0, by=ROMEO
    )
    with pytest.raises(Permanent):
        await host.adapter.report(update, "report-1")


async def test_a_file_too_large_for_the_server(prosody: Prosody, host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    host.files["big"] = bytes(prosody.max_file_size + 1)
    with pytest.raises(Permanent) as refused:
        await host.say(chat(juliet.jid), ROMEO, Message(ExternalPart("image/png", "big", filename="big.png")))
    assert refused.value.reason == Reason.MEDIA_TOO_LARGE


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://localhost:9/x", "http://[::1]:9/x", "http://10.0.0.1/x", "http:///x"]
)
async def test_a_link_into_our_own_network_is_not_followed(prosody: Prosody, url: str) -> None:
    host = Host(config(prosody, media_hosts=[]))
    await host.start()
    with pytest.raises(Permanent) as refused:
        _ = [chunk async for chunk in host.adapter.fetch(ExternalPart("image/png", url))]
    await host.stop()
    assert refused.value.reason == Reason.MEDIA_UNREACHABLE


async def test_a_file_that_is_gone(prosody: Prosody, host: Host) -> None:
    url = f"http://localhost:{prosody.ports.http}/file_share/none/x.png"
    with pytest.raises(Permanent) as refused:
        _ = [chunk async for chunk in host.adapter.fetch(ExternalPart("image/png", url))]
    assert refused.value.reason == Reason.MEDIA_UNREACHABLE


async def test_a_failed_message_whose_client_is_forgotten(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    id_ = await juliet.say(ROMEO_JID, "Parting is such sweet sorrow")
    heard = await host.heard()
    await host.stop()
    await host.start()
    update = StatusUpdate(
        conversation=heard.conversation,
        native_id=heard.native_id,
        status=Status.ERROR,
        at=0,
        text="No answer for a day.",
    )
    await host.adapter.report(update, "report-1")
    told = await juliet.wait(lambda thing: "No answer for a day." in thing.text, f"of {id_}")
    assert told.did is Did.SAY


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("component", "Rialto.Test"),
        ("component", "me@x"),
        ("port", 0),
        ("secret_file", "/x"),
        ("nick", " "),
        ("max_text_bytes", 0),
    ],
)
def test_settings_that_cannot_be_meant_name_their_field(prosody: Prosody, field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        config(prosody, **{field: value})


async def test_no_log_says_what_was_said(host: Host, arrive: Arrive, capsys: pytest.CaptureFixture[str]) -> None:
    juliet = await arrive("Juliet")
    await juliet.say(ROMEO_JID, "never to be logged")
    await juliet.say(f"nobody@{COMPONENT}", "nor this, refused")
    await host.say(chat(juliet.jid), ROMEO, "nor this answer")
    await until(lambda: any(thing.did is Did.ERROR for thing in juliet.noticed))
    logged = capsys.readouterr()
    assert "refused" in logged.out + logged.err
    for words in ("never to be", "nor this", host.config.secret):
        assert words not in logged.out + logged.err


async def test_an_answer_of_somebody_who_was_not_asked_counts_for_nothing(host: Host, arrive: Arrive) -> None:
    mallory = await arrive("Mallory")
    asked: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
    host.adapter._link._answers["known"] = _Asked(UPLOAD, asked)  # she has got to know the id, and the service is slow
    slot = (
        "<slot xmlns='urn:xmpp:http:upload:0'><put url='http://127.0.0.1:9/'/><get url='http://127.0.0.1:9/'/></slot>"
    )
    for kind in ("result", "error"):
        mallory.client.send_raw(f"<iq type='{kind}' to='{COMPONENT}' id='known'>{slot}</iq>")
    assert await still_well(host, mallory)
    assert not asked.done()


async def test_the_same_id_again_is_another_message_if_it_says_something_else(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    for words in ("first run", "second run", "third run"):
        await juliet.say(ROMEO_JID, words, stanza_id="ab12a")
    ids = [(await host.heard()).native_id for _ in range(3)]
    assert len(set(ids)) == 3
