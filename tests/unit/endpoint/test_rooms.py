"""Rooms: plumbed from several networks, epochs in flux, what a room lets pass, and who may open one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.contract import Direct, Group, Message
from bridge.directory import Person, direct_room
from bridge.endpoint.ledger.contract import RoomPhase, State
from bridge.router.contract import Envelope, HandshakeBundle, Refusal, RefusalCode, RouterUnavailable
from bridge.router.rooms import RoomRules
from protocol import content, mls
from protocol.content import Content, Expiration, SinglePart, text
from protocol.extensions import ORIGIN_NETWORK
from protocol.leg import LegClass
from protocol.status import Status
from protocol.uri import Address, room_uri, user_uri
from tests.unit.endpoint.house import DOMAIN, House, now, until


@pytest.fixture
def here(house: House) -> Direct:
    return house.direct("sea", "anna", "sky", "bert")


@pytest.fixture
def there(house: House) -> Direct:
    return house.direct("sky", "bert", "sea", "anna")


@pytest.fixture
async def square(tmp_path: Path) -> AsyncIterator[House]:
    """Three networks, and one room plumbed to a native room of each."""
    house = House(tmp_path, "sea", "sky", "shore")
    members = ("sea", "sky", "shore")
    house.plumb("square", {name: f"{name}-square" for name in members}, creator="sea")
    await house.open_hub()
    yield house
    await house.stop()


async def test_a_plumbed_room_joins_three_networks(square: House) -> None:
    await square.start()
    sea, sky, shore = (square.networks[name] for name in ("sea", "sky", "shore"))
    await until(lambda: len(square.endpoints["shore"].rooms.of(Group("shore-square")).members) == 3)
    sea.say(Group("sea-square"), "ahoy", "m1", sender="anna")
    await until(lambda: sky.taken and shore.taken)
    assert sky.taken[0].conversation == "sky-square"
    assert shore.taken[0].conversation == "shore-square"
    shore.say(Group("shore-square"), Message(text("hello"), in_reply_to=shore.taken[0].native_id), "s1", sender="carl")
    await until(lambda: sea.taken and len(sky.taken) == 2)
    assert sea.taken[0].message.in_reply_to == "m1"
    assert sky.taken[1].message.in_reply_to == sky.taken[0].native_id
    await until(lambda: sea.reports)
    assert [(update.status, update.by) for _, update in sea.reports] == [(Status.DELIVERED, None)]  # once, of both
    (room,) = await square.endpoints["sea"].operator.room_summaries()
    names = [member.endpoint.rpartition("/")[2] for member in room.members]
    assert names[0] == "sea"  # the others come in the order in which their KeyPackages could be claimed
    assert set(names) == {"sea", "sky", "shore"}
    assert room.assurance is LegClass.OPERATOR


async def test_what_is_said_in_a_plumbed_room_waits_until_everybody_is_there(square: House) -> None:
    await square.start("sea", "sky")
    sea, sky, shore = (square.networks[name] for name in ("sea", "sky", "shore"))
    sea.say(Group("sea-square"), "early", "m1", sender="anna")
    await until(lambda: len(square.endpoints["sky"].rooms.of(Group("sky-square")).members) == 2)
    await asyncio.sleep(0.2)
    assert not sky.taken
    await square.start("shore")
    await until(lambda: sky.taken and shore.taken)
    await until(lambda: len(square.endpoints["shore"].rooms.of(Group("shore-square")).members) == 3)
    sky.say(Group("sky-square"), "late", "n1", sender="bert")
    await until(lambda: len(shore.taken) == 2 and sea.taken)
    assert shore.texts() == ["early", "late"]


async def test_a_native_room_that_is_not_plumbed_is_refused(square: House) -> None:
    await square.start()
    sea = square.networks["sea"]
    sea.say(Group("another"), "hello", "m1", sender="anna")
    await until(lambda: sea.refused)
    assert sea.refused["m1"].reason == "unknown-conversation"


async def test_messages_of_an_epoch_that_is_over_are_encrypted_again_in_order(square: House) -> None:
    """A third endpoint is added in the middle of a stream: no message is lost, doubled or overtaken."""
    natives = {name: f"{name}-square" for name in ("sea", "sky", "shore")}
    square.plumb("square", {name: natives[name] for name in ("sea", "sky")}, creator="sea")
    await square.start()
    sea, sky = square.networks["sea"], square.networks["sky"]
    sea.say(Group("sea-square"), "0", "m0", sender="anna")
    await until(lambda: sky.taken)
    square.plumb("square", natives, creator="sea")
    joining = asyncio.create_task(square.reload("sea", "sky", "shore", revision=1))
    for number in range(1, 120):
        sea.say(Group("sea-square"), str(number), f"m{number}", sender="anna")
        sky.say(Group("sky-square"), str(-number), f"n{number}", sender="bert")
        await asyncio.sleep(0.004)
    await joining
    await until(lambda: len(sky.taken) >= 120 and len(sea.taken) >= 119, 30)
    assert sky.texts() == [str(number) for number in range(120)]
    assert sea.texts() == [str(-number) for number in range(1, 120)]
    assert square.endpoints["sky"].rooms.of(Group("sky-square")).group.epoch >= 2


async def test_without_a_router_messages_are_accepted_and_wait(house: House, here: Direct) -> None:
    class Flaky:
        def __init__(self, router):
            self._router, self.down, self.endpoint = router, False, router.endpoint

        def __getattr__(self, name):
            if self.down:
                raise RouterUnavailable("down")
            return getattr(self._router, name)

    router = Flaky(house.hub.connect("sea"))
    await house.make("sea", router=router).start()
    await house.start("sky")
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "up", "m1")
    await until(lambda: sky.taken)
    router.down = True
    sea.say(here, "down", "m2")
    sea.say(house.direct("sea", "anna", "sky", "somebody new"), "to a new room", "m3")
    await until(lambda: len(sea.acknowledged) == 3)
    await asyncio.sleep(0.2)
    assert sky.texts() == ["up"]
    router.down = False
    await until(lambda: len(sky.taken) == 3)


async def test_who_turns_out_not_to_exist_is_told_of_later(house: House) -> None:
    """The router could not be asked when the message came: it was accepted, so its sender hears what became of it."""

    class Silent:
        def __init__(self, router):
            self._router, self.down, self.endpoint = router, True, router.endpoint

        async def identifier_query(self, user):
            if self.down:
                raise RouterUnavailable("down")
            return await self._router.identifier_query(user)

        def __getattr__(self, name):
            return getattr(self._router, name)

    router = Silent(house.hub.connect("sea"))
    await house.make("sea", router=router).start()
    sea = house.networks["sea"]
    sea.say(house.direct("sea", "anna", "moon", "nobody"), "hello?", "m1")
    await until(lambda: sea.acknowledged)
    router.down = False
    await until(lambda: sea.reports)
    update = sea.reports[0][1]
    assert (update.status, update.reason) == (Status.ERROR, "recipient-unknown")


async def test_a_content_that_says_it_is_from_elsewhere_is_dropped(house: House, here: Direct, there: Direct) -> None:
    """Sea's endpoint, turned bad, writes in Bert's name, into another room, as nobody, in no language at all."""
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "honest", "m1")
    await until(lambda: sea.reports)
    endpoint = house.endpoints["sea"]
    room = endpoint.rooms.of(here)
    anna, bert = (user_uri(DOMAIN, Address(*who)) for who in (("sea", "anna"), ("sky", "bert")))
    itself = f"mimi://{DOMAIN}/d/sea"
    report = SinglePart(content.MIMI_STATUS, b"\xff no report")
    for sender, where, part in (
        (bert, room.uri, text("forged")),
        (anna, room_uri(DOMAIN, "elsewhere"), text("forged")),
        ("nonsense", room.uri, text("forged")),
        (f"mimi://{DOMAIN}/u/sea~%zz", room.uri, text("forged")),
        (itself, room.uri, text("an endpoint is nobody")),
        (itself, room.uri, report),
    ):
        made = Content(salt=bytes(16), part=part, extensions={1: sender, 2: where})
        tx = endpoint.outbox.transaction()
        tx.send(room, content.encode(made))
        await tx.commit()
    tx = endpoint.outbox.transaction()
    tx.send(room, b"\xff not CBOR")
    await tx.commit()
    says = {1: anna, 2: room.uri}
    for lie in (
        Content(bytes(16), text("first said on the sky"), extensions=says | {ORIGIN_NETWORK.key: "sky"}),
        Content(bytes(16), text("from the last century"), expires=Expiration(relative=False, time=1), extensions=says),
    ):
        tx = endpoint.outbox.transaction()
        tx.send(room, content.encode(lie))
        await tx.commit()
    sea.say(here, "honest again", "m2")
    await until(lambda: len(sky.taken) == 2)
    assert sky.texts() == ["honest", "honest again"]
    assert house.metrics["sky"].of("rejected") == 9


async def test_the_same_content_twice_is_shown_once(house: House, here: Direct) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(here, "first", "m1")
    await until(lambda: sea.reports)
    endpoint = house.endpoints["sea"]
    room = endpoint.rooms.of(here)
    anna = user_uri(DOMAIN, Address("sea", "anna"))
    same = content.encode(Content(salt=bytes(16), part=text("twice"), extensions={1: anna, 2: room.uri}))
    for pause in (0.0, 0.0, 0.2):
        tx = endpoint.outbox.transaction()
        tx.send(room, same)
        await tx.commit()
        await asyncio.sleep(pause)
    sea.say(here, "last", "m2")
    await until(lambda: len(sky.taken) == 3)
    assert sky.texts() == ["first", "twice", "last"]


async def test_nobody_opens_a_room_in_somebody_elses_name(square: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shore makes the room of Anna and Bert, whom it does not speak for: an honest router refuses, and where one does
    not, Sky does not come.
    """
    square.plumb("square", {name: f"{name}-square" for name in ("sea", "sky")}, creator="sea")
    await square.start("sky", "sea")
    anna, bert = Address("sea", "anna"), Address("sky", "bert")
    target = direct_room(DOMAIN, anna, bert)
    router = await square.greeted("shore")
    identity = mls.Identity.generate(
        router.endpoint, leg=LegClass.OPERATOR, namespaces=(f"mimi://{DOMAIN}/u/shore~",), random=_random
    )
    from bridge.endpoint.rooms.room import Room, describe

    room = Room(target, Direct(anna, bert))
    context = describe(room, [user_uri(DOMAIN, anna), user_uri(DOMAIN, bert)])
    seconds = now() // 1000
    group = mls.Group.create(identity, b"squat", context=context, now=seconds, random=_random)
    founding = HandshakeBundle(group_info=group.group_info(random=_random))
    refused = await router.update(target, founding)
    assert isinstance(refused, Refusal) and refused.code is RefusalCode.NOT_ALLOWED
    for rule in ("_refuse_founder", "_refuse_membership"):
        monkeypatch.setattr(RoomRules, rule, lambda *_: None)
    assert not isinstance(await router.update(target, founding), Refusal)
    packages = await router.key_material(square.hub.connect("sky").endpoint)
    assert not isinstance(packages, Refusal)
    staged = group.stage(add=packages, now=seconds, random=_random)
    await router.update(target, HandshakeBundle(staged.group_info, staged.commit, staged.welcome))
    group.merge(staged)
    forged = content.encode(
        Content(salt=bytes(16), part=text("I am Anna"), extensions={1: user_uri(DOMAIN, anna), 2: target})
    )
    await router.submit([Envelope(target, group.epoch, router.endpoint, group.protect(forged, random=_random))])
    sky = square.networks["sky"]
    square.networks["sea"].say(Group("sea-square"), "meanwhile", "m1", sender="anna")
    await until(lambda: sky.taken)
    await asyncio.sleep(0.1)
    assert sky.texts() == ["meanwhile"]
    assert square.endpoints["sky"].rooms.get(target) is None


def _random(count: int) -> bytes:
    import os

    return os.urandom(count)


async def test_names_come_from_the_configuration_first(house: House, here: Direct) -> None:
    await house.start("sea")
    await house.make("sky", persons=(Person("Anna of the Sea", ("sea~anna", "sky~anna2")),)).start()
    house.networks["sea"].say(here, "hello", "m1")
    await until(lambda: house.networks["sky"].taken)
    assert house.networks["sky"].taken[0].sender.name == "Anna of the Sea"


async def test_a_crash_between_two_steps_of_making_a_room_is_mended(house: House, here: Direct) -> None:
    """The room was announced, its commit staged, and nothing more: the next start finishes what was begun."""
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    await house.endpoints["sky"].stop()
    sea.say(here, "hello", "m1")
    room = None
    await until(lambda: house.endpoints["sea"].rooms.of(here) is not None)
    room = house.endpoints["sea"].rooms.of(here)
    await until(lambda: room.phase is RoomPhase.MEMBER)
    await house.endpoints["sea"].stop()
    await house.start()
    await until(lambda: sky.taken)
    assert sky.texts() == ["hello"]
    (row,) = await house.endpoints["sky"].operator.messages()
    assert row.state in (State.QUEUED, State.DELIVERED)
