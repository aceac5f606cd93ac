"""Plumbed rooms: many people of the homeserver, and ghosts that join when they first speak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import nio
import pytest

from adapters.contract import Group, Inbound, Message, Permanent, Profile, Reason, StatusUpdate
from adapters.matrix import MatrixConfig
from protocol.content import Disposition, text
from protocol.status import Status
from protocol.uri import Address
from tests.scenarios.matrix.conftest import Enter
from tests.scenarios.matrix.host import Host

pytestmark = pytest.mark.servers

JULIET = Profile(Address("xmpp", "juliet@xmpp.test"), "Juliet")
NURSE = Profile(Address("business", "4912345"), "Nurse")
GHOST = "@rialto_xmpp_juliet=40xmpp.test:hs.test"
SQUARE = Group("#rialto_square:hs.test")


@pytest.fixture
async def square(config: MatrixConfig) -> AsyncIterator[Host]:
    """A host with a room that is plumbed by an alias of our own."""
    host = Host(config, int(config.url.rpartition(":")[2]), groups=(SQUARE.id,))
    await host.start()
    yield host
    await host.next_quiet()
    await host.stop()


async def test_the_room_is_made_and_everybody_hears_everybody(square: Host, enter: Enter) -> None:
    romeo, tybalt = await enter("romeo"), await enter("tybalt")
    room = await romeo.join(SQUARE.id)
    assert await tybalt.join(SQUARE.id) == room

    said = await romeo.send(room, "Good morrow, all")
    heard = await square.heard(patience=60)
    assert (heard.native_id, heard.conversation) == (said, SQUARE)
    assert heard.sender.address.id == romeo.id

    sent = [await square.say(SQUARE, speaker, f"I am {speaker.name}") for speaker in (JULIET, NURSE)]
    for expected in sent:
        for person in (romeo, tybalt):
            await person.until(
                lambda p=person, e=expected: e.native_id in {event.get("event_id") for _, event in p.events}
            )
    speakers = {e["event_id"]: e["sender"] for _, e in tybalt.events if e["type"] == "m.room.message"}
    assert speakers[sent[0].native_id] == GHOST
    assert speakers[sent[1].native_id] == "@rialto_business_4912345:hs.test"

    smile = Message(text("😊", disposition=Disposition.REACTION), in_reply_to=said)
    await square.say(SQUARE, NURSE, smile)
    assert (await romeo.next("m.reaction"))[1]["content"]["m.relates_to"]["event_id"] == said


async def test_a_failure_in_a_room_is_told_by_the_bot(square: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room = await romeo.join(SQUARE.id)
    said = await romeo.send(room, "Who hears me?")
    await square.heard(patience=60)
    update = StatusUpdate(conversation=SQUARE, native_id=said, status=Status.ERROR, at=1, reason="expired")
    await square.adapter.report(update, "late")

    def notices() -> list[tuple[str, object]]:
        said = (e for _, e in romeo.events if e["content"].get("msgtype") == "m.notice")
        return [(e["sender"], e["content"]["m.relates_to"]) for e in said]

    await romeo.until(notices)
    assert notices() == [("@rialto:hs.test", {"m.in_reply_to": {"event_id": said}})]


async def test_receipts_and_typing_of_ghosts_in_the_room(square: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room = await romeo.join(SQUARE.id)
    said = await romeo.send(room, "Who reads me?")
    await square.heard(patience=60)
    stranger = Profile(Address("xmpp", "stranger@xmpp.test"))
    await square.say(SQUARE, JULIET, "I do")
    for by in (stranger, JULIET):
        update = StatusUpdate(conversation=SQUARE, native_id=said, status=Status.READ, at=1, by=by)
        await square.adapter.report(update, "read")
        await square.adapter.typing(SQUARE, by, True)
    await romeo.until(lambda: GHOST in {r.user_id for r in romeo.receipts})
    await romeo.until(lambda: romeo.typists == [GHOST])
    assert {r.user_id for r in romeo.receipts} <= {GHOST, romeo.id}, "who never spoke is not there to read"


async def test_a_ghost_that_was_thrown_out_comes_in_again_to_speak(square: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room = await romeo.join(SQUARE.id)
    await square.say(SQUARE, JULIET, "Here I am")
    bot = square.adapter._groups._client
    await bot.call("POST", f"/_matrix/client/v3/rooms/{room}/kick", {"user_id": GHOST})
    sent = await square.say(SQUARE, JULIET, "and here again")
    await romeo.until(lambda: sent.native_id in {e.get("event_id") for _, e in romeo.events})


async def test_after_a_restart_the_same_room_goes_on(square: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    room = await romeo.join(SQUARE.id)
    await square.stop()
    await square.start()
    said = await romeo.send(room, "still here?")
    assert (await square.heard(patience=60)).native_id == said
    sent = await square.say(SQUARE, JULIET, "still here")
    await romeo.until(lambda: (room, sent.native_id) in {(r, e.get("event_id")) for r, e in romeo.events})


async def test_a_private_room_named_by_its_id_opens_when_the_bot_is_invited(config: MatrixConfig, enter: Enter) -> None:
    romeo = await enter("romeo")
    answer = await romeo.client.room_create(preset=nio.RoomPreset.private_chat)
    cell = Group(answer.room_id)
    host = Host(config, int(config.url.rpartition(":")[2]), groups=(cell.id,))
    await host.start()
    try:
        with pytest.raises(Permanent) as closed:
            await host.say(cell, JULIET, "Let me in")
        assert closed.value.reason == Reason.RECIPIENT_UNREACHABLE
        assert "@rialto:hs.test" in str(closed.value)

        await romeo.client.room_invite(cell.id, "@rialto:hs.test")
        await romeo.until(lambda: romeo.saw(cell.id, "@rialto:hs.test", "join"), patience=60)
        await romeo.send(cell.id, "Come in")
        assert (await host.heard(patience=60)).conversation == cell

        await romeo.client.room_put_state(cell.id, "m.room.power_levels", {"invite": 50, "users": {}})
        with pytest.raises(Permanent) as barred:
            await host.say(cell, JULIET, "May I?")
        assert barred.value.reason == Reason.NOT_ALLOWED

        await romeo.client.room_put_state(cell.id, "m.room.power_levels", {"invite": 0, "users": {}})
        sent = await host.say(cell, JULIET, "I am in")
        await romeo.until(lambda: sent.native_id in {e.get("event_id") for _, e in romeo.events})

        await romeo.client.room_kick(cell.id, "@rialto:hs.test")
        said = await romeo.send(cell.id, "and thou art out")
        await host.next_quiet(1.0)
        with pytest.raises(Permanent) as shut:
            await host.say(cell, JULIET, "Am I?")
        assert shut.value.reason == Reason.RECIPIENT_UNREACHABLE
        assert said not in {e.native_id for e in host.events if isinstance(e, Inbound)}
        await romeo.client.room_invite(cell.id, "@rialto:hs.test")
        async with asyncio.timeout(30):
            while host.adapter._groups.known(cell) is None:
                await asyncio.sleep(0.05)
        await host.say(cell, JULIET, "I am in again")
    finally:
        await host.next_quiet()
        await host.stop()


async def test_rooms_that_nobody_plumbed_are_neither_entered_nor_written_to(square: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    answer = await romeo.client.room_create(invite=["@rialto:hs.test"])
    room = answer.room_id

    await romeo.until(lambda: romeo.saw(room, "@rialto:hs.test", "leave"), patience=60)
    with pytest.raises(Permanent) as unknown:
        await square.say(Group(room), JULIET, "Hello?")
    assert unknown.value.reason == Reason.RECIPIENT_UNKNOWN
