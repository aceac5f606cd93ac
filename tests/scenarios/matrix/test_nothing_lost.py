"""Crashes, restarts and lost answers: nothing is lost, nothing is said twice."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from adapters.contract import Direct, Inbound, Message, Outcome, Profile, Retry
from protocol.content import ExternalPart, NullPart, text
from protocol.uri import Address
from tests.scenarios.matrix.conftest import Enter
from tests.scenarios.matrix.host import Host
from tests.scenarios.matrix.person import Person
from tests.servers.synapse import Synapse

pytestmark = pytest.mark.servers

JULIET = Profile(Address("xmpp", "juliet@xmpp.test"), "Juliet")
NURSE = Profile(Address("xmpp", "nurse@xmpp.test"), "Nurse")
GHOST = "@rialto_xmpp_juliet=40xmpp.test:hs.test"


def with_(person: Person, peer: Profile = JULIET) -> Direct:
    return Direct(Address("matrix", person.id), peer.address)


def bodies(person: Person) -> list[str]:
    said = (e for _, e in person.events if e["type"] == "m.room.message" and e["sender"] != person.id)
    return [e["content"]["body"] for e in said]


async def test_the_same_key_says_it_once_even_after_the_homeserver_restarts(
    synapse: Synapse, host: Host, enter: Enter
) -> None:
    romeo = await enter("romeo")
    first = await host.say(with_(romeo), JULIET, "Good night", key="parting", at=1_700_000_000_000)
    await romeo.invited()
    edit = Message(text("good night!"), replaces=first.native_id)
    second = await host.say(with_(romeo), JULIET, edit, key="parting-2")
    erase = Message(NullPart(), replaces=first.native_id)
    third = await host.say(with_(romeo), JULIET, erase, key="parting-3")

    await asyncio.to_thread(synapse.restart)

    assert await host.say(with_(romeo), JULIET, "Good night", key="parting", at=1_700_000_000_000) == first
    assert await host.say(with_(romeo), JULIET, edit, key="parting-2") == second
    assert await host.say(with_(romeo), JULIET, erase, key="parting-3") == third
    await host.say(with_(romeo), JULIET, "the end")
    await romeo.until(lambda: "the end" in bodies(romeo))
    assert len(bodies(romeo)) == 3


async def test_two_ghosts_with_like_keys_are_both_heard(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    await host.say(with_(romeo), JULIET, "one", key="a.1")
    await host.say(with_(romeo, NURSE), NURSE, "two", key="a.2")
    await romeo.invited()
    await romeo.invited()
    await romeo.until(lambda: {"one", "two"} <= set(bodies(romeo)))


async def test_a_killed_adapter_makes_no_second_room(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    sent = await host.say(with_(romeo), JULIET, "Once", key="once")
    room = await romeo.invited()
    for key in [k for k in host.store.values if k.startswith("direct/")]:
        del host.store.values[key]  # killed before the room was remembered
    await host.stop()
    await host.start()

    assert await host.say(with_(romeo), JULIET, "Once", key="once") == sent
    await host.say(with_(romeo), JULIET, "and again")
    await romeo.until(lambda: "and again" in bodies(romeo))
    assert {r for r, e in romeo.events if e["sender"] == GHOST} == {room}
    assert not romeo.client.invited_rooms


async def test_two_first_messages_at_once_make_one_room(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    await asyncio.gather(*(host.say(with_(romeo), JULIET, f"at once {n}") for n in range(5)))
    room = await romeo.invited()
    await romeo.until(lambda: len(bodies(romeo)) == 5)
    assert {r for r, e in romeo.events if e["sender"] == GHOST} == {room}


async def test_what_was_not_acknowledged_comes_again_after_a_crash(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    await host.say(with_(romeo), JULIET, "Speak")
    room = await romeo.invited()
    await host.next_quiet()
    host.held = True
    said = [await romeo.send(room, f"line {n}") for n in range(5)]
    await host.heard()
    assert host.adapter.health()["connected"]
    await host.stop()  # before anything was durable

    host.held = False
    host.events.clear()
    host.taken = 0
    await host.start()
    heard = [(await host.heard(patience=60)).native_id for _ in said]
    assert heard == said


async def test_an_acknowledged_transaction_does_not_come_again(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    await host.say(with_(romeo), JULIET, "Speak")
    room = await romeo.invited()
    said = await romeo.send(room, "I have spoken")
    assert (await host.heard()).native_id == said
    await host.stop()
    await host.start()
    after = await romeo.send(room, "and speak again")
    assert (await host.heard(patience=60)).native_id == after
    assert Counter(e.native_id for e in host.events if isinstance(e, Inbound)) == {said: 1, after: 1}


async def test_while_the_homeserver_is_down_sends_are_to_be_retried(synapse: Synapse, host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    first = await host.say(with_(romeo), JULIET, "Wait for me")
    await romeo.invited()
    await asyncio.to_thread(synapse.kill)
    with pytest.raises(Retry):
        await host.say(with_(romeo), JULIET, "Art thou gone?", key="gone")
    assert host.adapter.health()["connected"] is False
    await asyncio.to_thread(synapse.start)
    for _ in range(2):
        await host.say(with_(romeo), JULIET, "Art thou gone?", key="gone")
    assert host.adapter.health()["connected"] is True
    await host.say(with_(romeo), JULIET, "Farewell")
    await romeo.until(lambda: "Farewell" in bodies(romeo), patience=60)
    assert bodies(romeo) == ["Wait for me", "Art thou gone?", "Farewell"]
    assert first


async def test_killed_in_the_middle_of_many_sends_each_is_said_once_and_in_order(
    synapse: Synapse, host: Host, enter: Enter
) -> None:
    romeo = await enter("romeo")
    await host.say(with_(romeo), JULIET, "0")
    await romeo.invited()

    async def reliably(n: int) -> None:
        while True:
            try:
                await host.say(with_(romeo), JULIET, str(n), key=f"line-{n}", at=1_700_000_000_000 + n)
            except Outcome:
                await asyncio.sleep(0.1)
            else:
                return

    async def speak() -> None:
        for n in range(1, 60):
            await reliably(n)

    async def interfere() -> None:
        for _ in range(2):
            await asyncio.sleep(0.5)
            await asyncio.to_thread(synapse.kill)
            await asyncio.to_thread(synapse.start)

    await asyncio.gather(speak(), interfere())
    await romeo.until(lambda: "59" in bodies(romeo), patience=60)
    assert bodies(romeo) == [str(n) for n in range(60)]


async def test_a_retried_file_is_one_message(host: Host, enter: Enter) -> None:
    romeo = await enter("romeo")
    host.files["x"] = b"poison"
    file = Message(ExternalPart(content_type="application/octet-stream", url="x", filename="vial"))
    sent = [await host.say(with_(romeo), JULIET, file, key="vial") for _ in range(2)]
    assert sent[0] == sent[1]
