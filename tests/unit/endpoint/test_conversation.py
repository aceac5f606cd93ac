"""A conversation between two networks, through a real router."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import pytest

from adapters.contract import Delivery, Direct, Message, Sent
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from protocol import extensions
from protocol.content import Disposition, Expiration, NullPart, text
from protocol.status import Status
from tests.unit.endpoint.fake_adapter import FakeAdapter
from tests.unit.endpoint.house import House, until


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


@pytest.fixture
def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


async def test_a_message_arrives_and_its_sender_learns_of_it(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]

    sea.say(here, "Hello up there", "m1")
    await until(lambda: sky.taken)
    assert sky.texts(there) == ["Hello up there"]
    assert sky.taken[0].sender.name == "Anna"
    assert sea.acknowledged == ["m1"]

    await until(lambda: sea.reports)
    assert sea.statuses("m1") == [Status.DELIVERED]
    assert sea.reports[0][1].by.address.id == "bert"

    sky.say(there, "Hello down there", "n1")
    await until(lambda: sea.taken)
    assert sea.texts(here) == ["Hello down there"]


async def test_both_speak_first_and_one_room_comes_of_it(house: House, here: Direct, there: Direct) -> None:
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "first from below", "m1")
    sky.say(there, "first from above", "n1")
    await house.start()
    await until(lambda: sea.taken and sky.taken)
    assert (sea.texts(), sky.texts()) == (["first from above"], ["first from below"])
    assert len(await house.hub.rooms()) == 1


async def test_a_thousand_in_ten_conversations_keep_their_order(house: House) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    for number in range(1000):
        who = f"p{number % 10}"
        sea.say(house.direct("sea", who, "sky", "bert"), str(number), f"m{number}")
    await until(lambda: len(sky.taken) == 1000, 60)
    for index in range(10):
        conversation = house.direct("sky", "bert", "sea", f"p{index}")
        assert sky.texts(conversation) == [str(number) for number in range(index, 1000, 10)]
    await until(lambda: len(sea.reports) == 1000, 60)
    assert all(sea.statuses(f"m{number}") == [Status.DELIVERED] for number in range(1000))


async def test_replies_reactions_edits_and_deletions_find_their_message(
    house: House, here: Direct, there: Direct
) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "What time is it?", "m1")
    await until(lambda: sky.taken)
    question = sky.taken[0].native_id

    sky.say(there, Message(text("Seven"), in_reply_to=question), "n1")
    sky.say(there, Message(text("👍", disposition=Disposition.REACTION), in_reply_to=question), "n2")
    sky.say(there, Message(text("Eight"), replaces="n1"), "n3")
    await until(lambda: len(sea.taken) == 3)  # what is deleted before it was shown never is
    sky.say(there, Message(NullPart(), replaces="n1"), "n4")
    await until(lambda: len(sea.taken) == 4)
    answer, reaction, edit, deletion = sea.taken
    assert (answer.text, answer.message.in_reply_to) == ("Seven", "m1")
    assert (reaction.message.in_reply_to, reaction.message.part.disposition) == ("m1", Disposition.REACTION)
    assert (edit.text, edit.message.replaces) == ("Eight", answer.native_id)
    assert (deletion.message.part, deletion.message.replaces) == (NullPart(), answer.native_id)


async def test_an_alias_names_the_same_message(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "one", "m1", aliases=("archive-1",))
    await until(lambda: sky.taken)
    sky.renames(sky.taken[0].native_id, "stanza-7")
    sky.renames("sky-2", "stanza-8")  # known to the network before our own send has returned
    sea.say(here, Message(text("two"), in_reply_to="archive-1"), "m2")
    await until(lambda: len(sky.taken) == 2)
    assert sky.taken[1].message.in_reply_to == sky.taken[0].native_id
    for native_id, named in (("n1", "stanza-7"), ("n2", "stanza-8")):
        sky.say(there, Message(text("answer"), in_reply_to=named), native_id)
    await until(lambda: len(sea.taken) == 2)
    assert [taken.message.in_reply_to for taken in sea.taken] == ["m1", "m2"]


class SlowReading(SqlLedger):
    """A ledger whose answers about native ids arrive late: what they say may be out of date by then."""

    asked: asyncio.Event
    tell: asyncio.Event

    async def natives(self, native_ids: Iterable[str]) -> Mapping[str, bytes]:
        found = await super().natives(native_ids)
        self.asked.set()
        await self.tell.wait()
        return found


async def test_a_reaction_to_what_lands_while_its_name_is_looked_up_finds_it(
    house: House, here: Direct, there: Direct
) -> None:
    """The network has taken a message and says so only after it was reacted to: the two run side by side."""
    ledgers: list[SlowReading] = []

    async def open_ledger(url: str, sealer: Sealer) -> SqlLedger:
        ledger = await SlowReading.open(url, sealer)
        assert isinstance(ledger, SlowReading)
        ledger.asked, ledger.tell = asyncio.Event(), asyncio.Event()
        ledgers.append(ledger)
        return ledger

    returned = asyncio.Event()

    class Answering(FakeAdapter):
        async def take(self, delivery: Delivery, key: str) -> Sent:
            sent = await super().take(delivery, key)
            await returned.wait()
            return sent

    await house.start("sea")
    sea, sky = house.networks["sea"], house.networks["sky"]
    await house.make("sky", Answering(sky), open_ledger=open_ledger).start()
    sea.say(here, "one", "m1")
    await until(lambda: sky.taken)
    reaction = text("👍", disposition=Disposition.REACTION)
    sky.say(there, Message(reaction, in_reply_to=sky.taken[0].native_id), "n1")
    await ledgers[0].asked.wait()  # and does not find it
    returned.set()
    await until(lambda: sea.reports)  # the send has landed, and its name is in the ledger
    ledgers[0].tell.set()
    await until(lambda: sea.taken or sky.refused)
    assert not sky.refused
    assert sea.taken[0].message.in_reply_to == "m1"


async def test_a_message_that_the_network_repeats_is_taken_once(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    for _ in range(3):
        sea.say(here, "once", "m1")
        await until(lambda: sea.acknowledged)
    sea.say(here, "end", "m2")
    await until(lambda: len(sky.taken) == 2)
    assert sky.texts() == ["once", "end"]
    assert sea.acknowledged == ["m1", "m1", "m1", "m2"]


async def test_reading_is_told_once_and_never_backwards(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "read me", "m1")
    await until(lambda: sea.reports)
    native = sky.taken[0].native_id
    for status in (Status.READ, Status.DELIVERED, Status.READ):
        sky.receipt(there, "bert", (native, "no such message"), status)
    sky.say(there, "end", "n1")
    await until(lambda: sea.taken)
    await until(lambda: len(sea.reports) == 2)
    await asyncio.sleep(0.1)
    assert sea.statuses("m1") == [Status.DELIVERED, Status.READ]


async def test_typing_is_shown_and_not_kept(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.types(here, "anna")  # nobody to show it to yet: dropped
    sea.say(here, "open the room", "m1")
    await until(lambda: sea.reports)
    sea.types(here, "anna", active=True)
    sea.types(here, "anna", active=False)
    await until(lambda: len(sky.typing) == 2)
    assert sky.typing == [(there.key, "anna", True), (there.key, "anna", False)]
    assert sky.texts() == ["open the room"]


async def test_nobody_there_is_said_at_once(house: House, here: Direct) -> None:
    await house.start()
    sea = house.networks["sea"]
    sea.say(house.direct("sea", "anna", "moon", "nobody"), "hello?", "m1")
    sea.say(house.direct("sea", "anna", "sea", "carl"), "same network", "m2")
    sea.say(here, "hello", "m3", sender="carl")
    sea.say(here, Message(NullPart(), replaces="never seen"), "m4")
    await until(lambda: len(sea.refused) == 4)
    reasons = {native: refused.reason for native, refused in sea.refused.items()}
    assert reasons == {
        "m1": "unknown-conversation",
        "m2": "unknown-conversation",
        "m3": "invalid",
        "m4": "invalid",
    }


async def test_an_adapter_that_says_what_only_the_bridge_may_say_is_refused(house: House, here: Direct) -> None:
    """Each extension that is the endpoint's to set, and an expiry that every receiver would call nonsense."""
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    theirs = [row for row in extensions.TABLE.values() if row.setter is extensions.Setter.ENDPOINT]
    lies: dict[int | str, object] = {3: extensions.timestamp(0), 4: extensions.external_id("m", "mimi://a.example/u/b")}
    lies[extensions.FAILURE.key] = extensions.failure("a", "b")
    for number, row in enumerate(theirs):
        said = {row.key: lies.get(row.key, "sky")}
        sea.say(here, Message(text("a lie"), extensions=said), f"m{number}")
    sea.say(here, Message(text("long ago"), expires=Expiration(relative=False, time=1)), "expired")
    sea.say(here, Message(text("true"), extensions={extensions.FORWARDED.key: 2}), "true")
    await until(lambda: sky.taken)
    assert sky.texts() == ["true"]
    assert {refused.reason for refused in sea.refused.values()} == {"invalid"}
    assert len(sea.refused) == len(theirs) + 1


async def test_a_restart_goes_on_where_it_stopped(house: House, here: Direct, there: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "before", "m1")
    await until(lambda: sea.reports)
    await house.endpoints["sky"].stop()
    sea.say(here, "while you were away", "m2")
    await until(lambda: "m2" in sea.acknowledged)
    await house.endpoints["sea"].stop()
    sea.say(here, "while nobody was there", "m3")
    await house.start()
    await until(lambda: len(sky.taken) == 3)
    assert sky.texts(there) == ["before", "while you were away", "while nobody was there"]
    sky.say(there, Message(text("and back"), in_reply_to=sky.taken[0].native_id), "n1")
    await until(lambda: sea.taken)
    assert sea.taken[0].message.in_reply_to == "m1"
