"""A room of Prosody, plumbed: real people in it, people of other networks as puppets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from xml.etree.ElementTree import Element

import pytest
from slixmpp.exceptions import PresenceError

from adapters.contract import Group, Inbound, Message, Refused, StatusUpdate, TypingNotice
from adapters.xmpp import xml
from protocol.content import Disposition, NullPart, text
from protocol.status import Status
from protocol.uri import Address
from tests.scenarios.xmpp.conftest import Arrive, Client, config, until
from tests.scenarios.xmpp.host import ROMEO, SHOP, Host
from tests.servers.prosody import ROOMS, Prosody
from tests.stage.person import Did

pytestmark = pytest.mark.servers

_numbers = count(1)


@pytest.fixture
def room() -> Group:
    return Group(f"verona{next(_numbers)}@{ROOMS}")


@pytest.fixture
async def host(prosody: Prosody, room: Group) -> AsyncIterator[Host]:
    host = Host(config(prosody), groups=(room.id,))
    await host.start()
    await entered(host, room)
    yield host
    await host.stop()


async def entered(host: Host, room: Group) -> None:
    await until(lambda: host.adapter.health()["rooms"][room.id])  # type: ignore[index]


def nicks(person: Client, room: Group) -> set[str]:
    return set(person.client.plugin["xep_0045"].get_roster(room.id))


async def test_what_is_said_in_the_room_is_heard_once(host: Host, arrive: Arrive, room: Group) -> None:
    juliet = await arrive("Juliet")
    await juliet.join(room.id)
    await juliet.say(room.id, "How now? Who calls?")
    heard = await host.heard()
    assert (heard.conversation, heard.message) == (room, Message(text("How now? Who calls?")))
    assert heard.sender.name == "Juliet"
    assert heard.sender.address == Address("xmpp", f"{room.id}/Juliet")  # the room does not show her own address
    assert heard.cursor


async def test_puppets_speak_under_their_names(host: Host, arrive: Arrive, room: Group) -> None:
    juliet = await arrive("Juliet")
    await juliet.join(room.id)
    sent = await host.say(room, ROMEO, "If I profane with my unworthiest hand")
    await host.say(room, SHOP, "Ribbons!")
    heard = await juliet.wait(lambda thing: thing.text.startswith("If I profane"), "Romeo's word")
    assert (heard.sender, f"{room.id}/{heard.id}") == ("Romeo", sent.native_id)  # named by the room's own number
    assert nicks(juliet, room) == {"Juliet", "Rialto", "Romeo", "The Shop"}
    await asyncio.sleep(0.2)
    assert host.events == []  # nobody hears themselves


async def test_a_name_that_is_taken_gets_its_network_behind_it(host: Host, arrive: Arrive, room: Group) -> None:
    romeo = await arrive("Romeo")
    await romeo.join(room.id)
    await host.say(room, ROMEO, "There are two of me")
    assert (await romeo.wait(lambda thing: thing.did is Did.SAY, "his double")).sender == "Romeo (matrix)"


async def test_replies_corrections_retractions_and_reactions(host: Host, arrive: Arrive, room: Group) -> None:
    juliet = await arrive("Juliet")
    await juliet.join(room.id)
    sent = await host.say(room, ROMEO, "Have not saints lisp?")
    first = await juliet.wait(lambda thing: thing.did is Did.SAY, "the question")
    await juliet.say(room.id, "Ay, pilgrim", reply_to=first.id)
    reply = await host.heard()
    assert reply.message == Message(text("Ay, pilgrim"), in_reply_to=sent.native_id)
    await juliet.edit(room.id, juliet.sent["Ay, pilgrim"], "Ay, pilgrim, lips")
    edited = await host.heard()
    assert edited.message.replaces in reply.aliases
    await juliet.react(room.id, first.id, "🙏")
    assert (await host.heard()).message.in_reply_to == sent.native_id

    await host.say(room, ROMEO, Message(text("Have not saints lips?"), replaces=sent.native_id))
    assert (await juliet.wait(lambda thing: thing.did is Did.EDIT, "the correction")).target == "key-1"
    love = text("❤️", disposition=Disposition.REACTION)
    await host.say(room, ROMEO, Message(love, in_reply_to=reply.native_id))
    assert room.id + "/" + (await juliet.wait(lambda t: t.did is Did.REACT, "love")).target == reply.native_id
    await host.say(room, ROMEO, Message(NullPart(), replaces=sent.native_id))
    assert (await juliet.wait(lambda thing: thing.did is Did.DELETE, "the retraction")).target == first.id


async def test_who_takes_a_nickname_is_not_who_had_it(host: Host, arrive: Arrive, room: Group) -> None:
    nurse, mallory = await arrive("Nurse"), await arrive("Nurse")
    await nurse.join(room.id)
    await nurse.say(room.id, "I shall pay 5 ducats")
    promise = await host.heard()
    number = promise.native_id.removeprefix(f"{room.id}/")
    await nurse.leave()
    while True:  # until the room has seen her go
        try:
            await mallory.join(room.id)
        except PresenceError:
            await asyncio.sleep(0.05)
        else:
            break
    await mallory.edit(room.id, nurse.sent["I shall pay 5 ducats"], "I shall pay 5000 ducats")
    forged = await host.heard()
    assert forged.message.part == text("I shall pay 5000 ducats")
    assert forged.message.replaces not in {promise.native_id, *promise.aliases}
    await mallory.delete(room.id, number)
    await until(lambda: any("Only who wrote a message may retract it" in body for body in mallory.bodies))
    await mallory.say(room.id, "I shall go")
    own = await host.heard()
    await mallory.edit(room.id, mallory.sent["I shall go"], "I shall stay")
    assert (await host.heard()).message.replaces in own.aliases


async def test_typing_in_the_room(host: Host, arrive: Arrive, room: Group) -> None:
    juliet = await arrive("Juliet")
    await juliet.join(room.id)
    await juliet.type(room.id, active=True)
    notice = await host.next(TypingNotice)
    assert (notice.conversation, notice.active) == (room, True)


async def test_refusals_and_failures_are_told_in_private(host: Host, arrive: Arrive, room: Group) -> None:
    juliet, nurse = await arrive("Juliet"), await arrive("Nurse")
    for person in (juliet, nurse):
        await person.join(room.id)
    host.judge = lambda _: Refused("not-allowed", "Not today.")
    await juliet.say(room.id, "Madam!")
    heard = await host.heard()
    await until(lambda: "Not carried: Not today." in juliet.bodies)
    failed = StatusUpdate(
        conversation=room, native_id=heard.native_id, status=Status.ERROR, at=0, reason="expired", text="Too late."
    )
    await host.adapter.report(failed, "report-1")
    await until(lambda: "Not delivered: Too late." in juliet.bodies)
    assert not [body for body in nurse.bodies if body.startswith("Not")]


async def test_what_was_said_while_we_were_away_is_caught_up_in_order(host: Host, arrive: Arrive, room: Group) -> None:
    juliet = await arrive("Juliet")
    await juliet.join(room.id)
    await juliet.say(room.id, "one")
    await host.heard()
    await host.say(room, ROMEO, "his own words")
    await host.stop()
    for word in ("two", "three", "four"):
        await juliet.say(room.id, word)
    await juliet.wait(lambda thing: thing.text == "his own words", "all of it")
    await host.start()
    await until(lambda: len(host.texts()) == 4)
    await juliet.say(room.id, "five")
    await until(lambda: len(host.texts()) == 5)
    assert host.texts() == ["one", "two", "three", "four", "five"]
    assert [event.sent_at is not None for event in host.events if isinstance(event, Inbound)] == [
        False,
        True,
        True,
        True,
        False,
    ]


async def test_what_was_said_before_the_first_start_is_left_alone(
    prosody: Prosody, arrive: Arrive, room: Group
) -> None:
    juliet = await arrive("Juliet")
    await juliet.join(room.id)
    await juliet.say(room.id, "before")
    await asyncio.sleep(0.2)
    host = Host(config(prosody), groups=(room.id,))
    await host.start()
    await entered(host, room)
    await host.stop()
    await juliet.say(room.id, "between")
    await host.start()
    await entered(host, room)
    await juliet.say(room.id, "after")
    await until(lambda: len(host.events) == 2)
    await host.stop()
    assert host.texts() == ["between", "after"]


async def test_a_kicked_puppet_and_a_kicked_listener_come_back(host: Host, arrive: Arrive, room: Group) -> None:
    juliet = await arrive("Juliet")
    await juliet.join(room.id)
    await host.say(room, ROMEO, "here I am")
    romeo = host.adapter._rooms[room.id]._seats
    seat = next(jid for jid, nick in romeo.items() if nick == "Romeo")
    host.adapter._link.post(_kick(room, "Romeo"))
    await until(lambda: seat not in romeo)
    await host.say(room, ROMEO, "and here again")
    await juliet.wait(lambda thing: thing.text == "and here again", "Romeo's return")


def _kick(room: Group, nick: str) -> Element:
    """What an owner sends to put somebody out; the listener made the room and owns it."""
    iq = xml.stanza(xml.IQ, type="set", from_="rialto.xmpp.test/rialto", to=room.id, id="kick-1")
    query = xml.child(iq, "http://jabber.org/protocol/muc#admin", "query")
    xml.child(query, "http://jabber.org/protocol/muc#admin", "item", nick=nick, role="none")
    return iq
