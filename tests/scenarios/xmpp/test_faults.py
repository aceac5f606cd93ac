"""Prosody stops, dies and comes back; the adapter dies and comes back. Nothing is lost, nothing is said twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from adapters.contract import Delivery, Group, Inbound, Retry, SignedOut, Unsure
from tests.scenarios.xmpp.conftest import arrive_at, config, until
from tests.scenarios.xmpp.host import ROMEO, ROMEO_JID, Host, chat
from tests.servers.prosody import ROOMS, Prosody
from tests.stage.person import Did

pytestmark = pytest.mark.servers

ROOM = Group(f"verona@{ROOMS}")


@pytest.fixture
async def host(own_prosody: Prosody) -> AsyncIterator[Host]:
    host = Host(config(own_prosody), groups=(ROOM.id,))
    await host.start()
    yield host
    await host.stop()


async def ready(host: Host) -> None:
    """Wait until the stream, the room and the log of what was sent are back."""
    await until(lambda: (h := host.adapter.health())["sent_log"] and h["rooms"][ROOM.id], 20)  # type: ignore[index]


async def test_it_comes_back_by_itself(own_prosody: Prosody, host: Host) -> None:
    await ready(host)
    own_prosody.stop()
    await until(lambda: not host.adapter.health()["connected"])
    with pytest.raises(Retry):
        await host.say(chat("juliet@xmpp.test"), ROMEO, "Is anybody there?")
    own_prosody.start()
    await ready(host)
    juliet = await arrive_at(own_prosody, "Juliet")
    await host.say(chat(juliet.jid), ROMEO, "Here I am again")
    await juliet.wait(lambda thing: thing.text == "Here I am again", "his return")
    await juliet.join(ROOM.id)
    await host.say(ROOM, ROMEO, "And here")
    await juliet.wait(lambda thing: thing.text == "And here", "his return to the room")
    await juliet.leave()


async def test_the_first_attempt_says_what_is_wrong(own_prosody: Prosody) -> None:
    wrong = Host(config(own_prosody, secret="not this one"))
    with pytest.raises(SignedOut, match="secret"):
        await wrong.start()
    own_prosody.stop()
    nobody = Host(config(own_prosody))
    with pytest.raises(Retry, match="no XMPP server"):
        await nobody.start()


async def test_two_programs_cannot_be_the_same_component(own_prosody: Prosody, host: Host) -> None:
    second = Host(config(own_prosody))
    with pytest.raises(Retry, match="conflict"):
        await second.start()
    assert host.adapter.health()["connected"]


@pytest.mark.parametrize("way", [chat("juliet@xmpp.test"), ROOM], ids=["chat", "room"])
async def test_after_a_crash_it_is_known_what_went_out(own_prosody: Prosody, host: Host, way: Group) -> None:
    own_prosody.register("juliet", "secret")
    await ready(host)
    sent = await host.say(way, ROMEO, "Did this go out?", key="key-went")
    await host.stop()
    await host.start()
    await ready(host)
    went = await host.adapter.reconcile(host.delivery(way, ROMEO, "Did this go out?"), "key-went")
    assert went is not None and went.native_id == sent.native_id
    assert await host.adapter.reconcile(host.delivery(way, ROMEO, "And this?"), "key-never") is None


async def test_the_log_goes_on_in_a_new_room_and_is_read_across_rooms(
    own_prosody: Prosody, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.xmpp.sentlog.VOLUME_LINES", 20)
    juliet = chat(own_prosody.register("juliet", "secret"))
    await ready(host)
    for number in range(30):
        await host.say(juliet, ROMEO, f"{number}", key=f"volume-{number}")
        await asyncio.sleep(0.01)
    await until(lambda: host.adapter._sent_log._volume.number >= 2)
    await host.stop()
    await host.start()
    await ready(host)
    for number in (0, 15, 29):
        assert await host.adapter.reconcile(host.delivery(juliet, ROMEO, f"{number}"), f"volume-{number}")
    assert await host.adapter.reconcile(host.delivery(juliet, ROMEO, "30"), "volume-30") is None


async def test_a_log_that_somebody_destroyed_is_made_again_before_anything_is_sent(
    own_prosody: Prosody, host: Host
) -> None:
    juliet = chat(own_prosody.register("juliet", "secret"))
    await ready(host)
    await host.adapter._sent_log._destroy(0)
    await host.say(juliet, ROMEO, "this line is lost", key="lost-1")
    await host.say(juliet, ROMEO, "this one is not", key="kept-1")
    assert await host.adapter.reconcile(host.delivery(juliet, ROMEO, "this one is not"), "kept-1")


async def test_without_a_log_it_is_honestly_unsure(own_prosody: Prosody) -> None:
    host = Host(config(own_prosody, sent_log="off"))
    await host.start()
    with pytest.raises(Unsure):
        await host.adapter.reconcile(host.delivery(chat("juliet@xmpp.test"), ROMEO, "x"), "key-1")
    await host.stop()


async def test_prosody_is_killed_in_the_middle_of_a_stream_of_messages(own_prosody: Prosody, host: Host) -> None:
    """What did not surely succeed is reconciled, as the endpoint does; only what died with Prosody stays uncertain."""
    juliet = await arrive_at(own_prosody, "Juliet")
    await ready(host)
    outcomes: dict[str, str] = {}

    async def deliver(number: int) -> None:
        key, delivery = f"stream-{number}", host.delivery(chat(juliet.jid), ROMEO, f"{number}")
        outcomes[key] = ""
        while not outcomes[key]:
            try:
                await host.adapter.send(delivery, key)
                outcomes[key] = "sent"
            except Retry:
                await asyncio.sleep(0.05)
            except Unsure:
                outcomes[key] = await reconciled(delivery, key)

    async def reconciled(delivery: Delivery, key: str) -> str:
        while True:
            try:
                return "reconciled" if await host.adapter.reconcile(delivery, key) else ""
            except Retry:
                await asyncio.sleep(0.05)
            except Unsure:
                return "uncertain"

    async def murder() -> None:
        for _ in range(4):
            await asyncio.sleep(0.4)
            await asyncio.to_thread(own_prosody.kill)
            await asyncio.to_thread(own_prosody.start)
            await ready(host)

    killing = asyncio.create_task(murder())
    for start in count(0, 5):
        await asyncio.gather(*map(deliver, range(start, start + 5)))
        if killing.done():
            break
    await killing
    again = await arrive_at(own_prosody, "Juliet", jid=juliet.jid)
    await juliet.leave()
    arrived = [id_ for id_ in await again.archive() if id_ in outcomes]
    await again.leave()
    assert len(arrived) == len(set(arrived)), "doubled"
    certain = {key for key, outcome in outcomes.items() if outcome != "uncertain"}
    assert certain <= set(arrived), "lost"
    assert len(outcomes) - len(certain) <= 4, "at most one for each death"


async def test_a_component_that_is_down_gives_its_senders_an_error(own_prosody: Prosody, host: Host) -> None:
    juliet = await arrive_at(own_prosody, "Juliet")
    await host.stop()
    id_ = await juliet.say(ROMEO_JID, "Is anybody there?")
    assert (await juliet.wait(lambda thing: thing.did is Did.ERROR, "the bounce")).target == id_
    await host.start()
    await juliet.say(ROMEO_JID, "Is anybody there?", stanza_id=id_)
    await until(lambda: id_ in juliet.receipts)
    assert sum(isinstance(event, Inbound) for event in host.events) == 1
    await juliet.leave()
