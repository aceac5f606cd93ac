"""Juliet on XMPP and Romeo on Matrix talk: a real client on a real Prosody, the adapter, a scripted endpoint."""

from __future__ import annotations

import pytest

from adapters.contract import Alias, Inbound, Message, Receipt, StatusUpdate, TypingNotice
from protocol.content import MARKDOWN, Disposition, ExternalPart, NullPart, text
from protocol.status import Status
from protocol.uri import Address
from tests.scenarios.xmpp.conftest import Arrive, until
from tests.scenarios.xmpp.host import ROMEO, ROMEO_JID, Host, chat
from tests.stage.person import Did

pytestmark = pytest.mark.servers


async def test_juliet_writes_and_gets_a_receipt_when_it_is_durable(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    host.held = True
    id_ = await juliet.say(ROMEO_JID, "O Romeo, Romeo, wherefore art thou Romeo?")
    heard = await host.heard()
    assert heard.conversation == chat(juliet.jid)
    assert heard.sender.address == Address("xmpp", juliet.jid)
    assert heard.message == Message(text("O Romeo, Romeo, wherefore art thou Romeo?"))
    assert id_ not in juliet.receipts
    heard.acknowledge(None)
    await until(lambda: id_ in juliet.receipts)


async def test_the_same_stanza_sent_again_has_the_same_name(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    for _ in range(2):
        await juliet.say(ROMEO_JID, "Art thou there?", stanza_id="again-1")
    assert (await host.heard()).native_id == (await host.heard()).native_id


async def test_romeo_writes_to_juliet(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    sent = await host.say(chat(juliet.jid), ROMEO, "I take thee at thy word")
    noticed = await juliet.wait(lambda thing: thing.did is Did.SAY, "Romeo's word")
    assert (noticed.sender, noticed.text) == ("Romeo", "I take thee at thy word")
    assert sent.native_id.endswith(f"/{noticed.id}")
    arrived = await host.next(Receipt)  # her client's receipt
    assert (arrived.native_ids, arrived.status) == ((sent.native_id,), Status.DELIVERED)


async def test_formatting_passes_both_ways_and_literal_stars_stay_stars(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    await juliet.say(ROMEO_JID, "I said *never*")
    assert (await host.heard()).message.part == text("I said **never**", MARKDOWN)
    await host.say(chat(juliet.jid), ROMEO, Message(text("**always**", MARKDOWN)))
    await juliet.wait(lambda thing: thing.text == "*always*", "styled text")
    await host.say(chat(juliet.jid), ROMEO, "2 *3* 4")
    await juliet.wait(lambda thing: thing.text == "2 *3* 4", "literal text")


async def test_replies_name_the_message_and_lose_their_quotation(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    sent = await host.say(chat(juliet.jid), ROMEO, "By whose direction found'st thou out this place?")
    first = await juliet.wait(lambda thing: thing.did is Did.SAY, "the question")
    await juliet.say(ROMEO_JID, "By love", reply_to=first.id)
    answer = await host.heard()
    assert answer.message == Message(text("By love"), in_reply_to=sent.native_id)
    await host.say(chat(juliet.jid), ROMEO, Message(text("By love?"), in_reply_to=answer.native_id))
    noticed = await juliet.wait(lambda thing: thing.text == "By love?", "the answer without its quotation")
    assert answer.aliases[0].endswith(f"/{noticed.target}")
    assert juliet.bodies[-1] == "> By love\nBy love?"


async def test_corrections_and_retractions_both_ways(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    id_ = await juliet.say(ROMEO_JID, "Good nite")
    first = await host.heard()
    await juliet.edit(ROMEO_JID, id_, "Good night")
    assert (await host.heard()).message == Message(text("Good night"), replaces=first.aliases[0])
    await juliet.delete(ROMEO_JID, id_)
    assert (await host.heard()).message == Message(NullPart(), replaces=first.aliases[0])

    sent = await host.say(chat(juliet.jid), ROMEO, "Good nigt")
    original = await juliet.wait(lambda thing: thing.text == "Good nigt", "the first version")
    await host.say(chat(juliet.jid), ROMEO, Message(text("Good night!"), replaces=sent.native_id))
    assert (await juliet.wait(lambda thing: thing.did is Did.EDIT, "the correction")).target == original.id
    await host.say(chat(juliet.jid), ROMEO, Message(NullPart(), replaces=sent.native_id))
    assert (await juliet.wait(lambda thing: thing.did is Did.DELETE, "the retraction")).target == original.id


async def test_a_set_of_reactions_becomes_single_reactions_and_withdrawals(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    sent = await host.say(chat(juliet.jid), ROMEO, "Call me but love")
    target = (await juliet.wait(lambda thing: thing.did is Did.SAY, "something to react to")).id
    await juliet.react(ROMEO_JID, target, "❤️")
    liked = await host.heard()
    assert liked.message == Message(text("❤️", disposition=Disposition.REACTION), in_reply_to=sent.native_id)
    await juliet.react(ROMEO_JID, target, "😂")
    withdrawn, laughed = await host.heard(), await host.heard()
    assert withdrawn.message == Message(NullPart(), replaces=liked.native_id)
    assert laughed.message.part.text == "😂"
    await juliet.react(ROMEO_JID, target, "")
    assert (await host.heard()).message == Message(NullPart(), replaces=laughed.native_id)


async def test_single_reactions_become_a_set(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    id_ = await juliet.say(ROMEO_JID, "Dost thou love me?")
    heard = await host.heard()
    for emoji in ("❤️", "🌹"):
        reaction = text(emoji, disposition=Disposition.REACTION)
        sent = await host.say(chat(juliet.jid), ROMEO, Message(reaction, in_reply_to=heard.native_id))
    both = await juliet.wait(lambda thing: thing.text == "❤️🌹", "both reactions")
    assert both.target == id_
    await host.say(chat(juliet.jid), ROMEO, Message(NullPart(), replaces=sent.native_id))
    await juliet.wait(
        lambda thing: thing.did is Did.REACT and thing is not both and juliet.noticed[-1].text == "❤️", "one"
    )


async def test_read_markers_and_typing_both_ways(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    sent = await host.say(chat(juliet.jid), ROMEO, "Wilt thou leave me?")
    noticed = await juliet.wait(lambda thing: thing.did is Did.SAY, "the question")
    await juliet.type(ROMEO_JID, active=True)
    assert (await host.next(TypingNotice)).active
    await juliet.read(ROMEO_JID, noticed.id)
    read = await until_read(host)
    assert read.native_ids == (sent.native_id,)

    id_ = await juliet.say(ROMEO_JID, "What satisfaction canst thou have?")
    heard = await host.heard()
    await host.adapter.typing(chat(juliet.jid), ROMEO, active=True)
    await juliet.wait(lambda thing: thing.did is Did.TYPING, "that he types")
    update = StatusUpdate(
        conversation=heard.conversation, native_id=heard.native_id, status=Status.READ, at=0, by=ROMEO
    )
    await host.adapter.report(update, "report-1")
    assert (await juliet.wait(lambda thing: thing.did is Did.READ, "the marker")).target == id_


async def until_read(host: Host) -> Receipt:
    while True:
        receipt = await host.next(Receipt)
        if receipt.status is Status.READ:
            return receipt


async def test_files_are_fetched_and_uploaded(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    portrait = bytes(range(256)) * 1000
    await juliet.send_file(ROMEO_JID, "portrait.png", "image/png", portrait)
    part = (await host.heard()).message.part
    assert isinstance(part, ExternalPart)
    assert (part.content_type, part.filename, part.enc_alg) == ("image/png", "portrait.png", 0)
    assert b"".join([chunk async for chunk in host.adapter.fetch(part)]) == portrait

    host.files["blob"] = portrait[:5000]
    rose = ExternalPart("image/jpeg", "blob", filename="a rose/by.jpg", size=5000)
    await host.say(chat(juliet.jid), ROMEO, Message(rose))
    shown = await juliet.wait(lambda thing: thing.did is Did.FILE, "the picture")
    assert shown.data == portrait[:5000]
    assert shown.text == "a%20rose_by.jpg"


async def test_contacts_are_approved_available_and_have_a_name(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    await host.say(chat(juliet.jid), ROMEO, "hello")
    juliet.client.register_plugin("xep_0054")
    juliet.client.send_presence_subscription(ROMEO_JID, ptype="subscribe")
    await until(lambda: bool(juliet.client.client_roster.presence(ROMEO_JID)))
    card = await juliet.client.plugin["xep_0054"].get_vcard(ROMEO_JID)
    assert card["vcard_temp"]["FN"] == "Romeo"
    info = await juliet.client.plugin["xep_0030"].get_info(f"{ROMEO_JID}/rialto")
    assert {"urn:xmpp:reactions:0", "urn:xmpp:receipts", "urn:xmpp:message-correct:0"} <= info["disco_info"]["features"]
    await juliet.client.plugin["xep_0199"].ping(ROMEO_JID, timeout=5)

    await host.stop()
    await until(lambda: not juliet.client.client_roster.presence(ROMEO_JID))
    await host.start()
    await until(lambda: bool(juliet.client.client_roster.presence(ROMEO_JID)))


async def test_a_message_that_failed_comes_back_as_an_error(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    id_ = await juliet.say(ROMEO_JID, "Parting is such sweet sorrow")
    heard = await host.heard()
    failed = StatusUpdate(
        conversation=heard.conversation,
        native_id=heard.native_id,
        status=Status.ERROR,
        at=0,
        reason="recipient-unreachable",
        text="Romeo could not be reached for a day.",
    )
    await host.adapter.report(failed, "report-2")
    told = await juliet.wait(lambda thing: thing.did is Did.ERROR, "the error")
    assert (told.target, told.text) == (id_, "Romeo could not be reached for a day.")


async def test_many_messages_keep_their_order_both_ways(host: Host, arrive: Arrive) -> None:
    juliet = await arrive("Juliet")
    for number in range(200):
        await juliet.say(ROMEO_JID, f"{number}")
    for number in range(200):
        await host.say(chat(juliet.jid), ROMEO, f"{number}")
    await juliet.wait(lambda thing: thing.text == "199", "the last")
    assert [thing.text for thing in juliet.noticed if thing.did is Did.SAY] == [str(number) for number in range(200)]
    await until(lambda: sum(isinstance(event, Inbound) for event in host.events) == 200)
    assert host.texts() == [str(number) for number in range(200)]
    assert not [event for event in host.events if isinstance(event, Alias)]
