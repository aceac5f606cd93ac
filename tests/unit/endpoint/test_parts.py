"""The small parts: when to try again, how fast to go, early names, lasting keys, what a content is made of."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from adapters.contract import Direct, Inbound, Message, Profile
from bridge.endpoint import EndpointSettings, translate
from bridge.endpoint.context import Context
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from bridge.endpoint.ledger.store import LedgerStore
from bridge.endpoint.membership.keys import Keys
from bridge.endpoint.offers.early import EarlyAliases, InFlight, landed
from bridge.endpoint.rooms.room import describe
from bridge.endpoint.to_network.pace import Pace, Stopping
from bridge.room_context import room_context
from protocol import content
from protocol.content import (
    Content,
    ContentError,
    Disposition,
    Expiration,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    text,
)
from protocol.degrade import Planned
from protocol.extensions import FORWARDED, SENDER_AVATAR, ExtensionError
from protocol.uri import Address
from tests.unit.endpoint.house import House, now, until

ANNA = Profile(Address("sea", "anna"), "Anna")
HERE = Direct(Address("sea", "anna"), Address("sky", "bert"))
SENDER, ROOM = "mimi://bridge.example/u/sea~anna", "mimi://bridge.example/r/one"


async def test_stopping_interrupts_every_wait() -> None:
    context = Context()
    pace = Pace(context)
    pace.throttle(60)
    end = context.clock() + 3_600_000
    waiting = [asyncio.create_task(pace.clear(end)), asyncio.create_task(pace.sleep(60))]
    await asyncio.sleep(0)
    pace.stop()
    for task in waiting:
        with pytest.raises(Stopping):
            await task
    with pytest.raises(Stopping):
        await pace.sleep(0)


def test_two_names_find_one_another_in_either_order() -> None:
    aliases = EarlyAliases()
    assert aliases.note("first", "early") is None
    assert aliases.settle("first", b"id") == ["early"]
    assert aliases.note("first", "late") == b"id"
    assert aliases.settle("other", b"id2") == []


def test_early_names_are_not_kept_for_ever() -> None:
    aliases = EarlyAliases()
    for number in range(5000):
        aliases.note(f"n{number}", "alias")
    assert aliases.settle("n0", b"id") == []
    assert aliases.settle("n4999", b"id") == ["alias"]


async def test_a_send_under_way_is_waited_for_but_not_for_ever() -> None:
    in_flight = InFlight()
    assert in_flight.under_way("room") == ()
    first, second = in_flight.begin("room"), in_flight.begin("room")
    sends = in_flight.under_way("room")
    assert sends == (first, second)
    await landed(sends, 0.01)
    waiting = asyncio.create_task(landed(sends, 5))
    in_flight.end("room", first)
    await asyncio.sleep(0)
    assert not waiting.done()
    in_flight.end("room", second)
    await waiting
    assert in_flight.under_way("room") == ()
    await landed(sends, 0)  # who asked before they landed still learns that they have


async def test_identity_and_secret_outlive_a_restart(tmp_path: Path) -> None:
    settings = EndpointSettings(name="sea", domain="bridge.example", network="sea", namespaces=("mimi://x/u/sea~",))
    url = f"sqlite:///{tmp_path}/sea.db"
    seen = []
    for _ in range(2):
        ledger = await SqlLedger.open(url, Sealer(bytes(32), os.urandom))
        keys = Keys(ledger, now, os.urandom)
        await keys.load(settings)
        seen.append((keys.identity.to_bytes(), keys.secret))
        await ledger.close()
    assert seen[0] == seen[1]
    assert len(seen[0][1]) == 32


async def test_key_packages_are_renewed_when_few_are_left(house: House) -> None:
    await house.start("sea")
    router = await house.greeted("sky")
    await until(lambda: house.endpoints["sea"]._router.session)
    sea = await house.greeted("sea")
    other = sea.endpoint
    keys = house.endpoints["sea"].keys
    while await sea.publish(()) < 20:
        await asyncio.sleep(0.01)
    claimed = {package for _ in range(10) for package in await router.key_material(other)}
    assert len(claimed) == 10
    assert await sea.publish(()) < 20
    await keys.publish(sea)
    assert await sea.publish(()) >= 20
    for _ in range(60):
        await router.key_material(other)
    assert await router.key_material(other) == await router.key_material(other)  # the last resort


async def test_an_adapters_store_is_durable_and_in_order(tmp_path: Path) -> None:
    ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/sea.db", Sealer(bytes(32), os.urandom))
    store = LedgerStore(ledger)
    assert await store.get("a") is None
    for key in ("room/2", "room/1", "ghost/1"):
        await store.put(key, key.encode())
    await store.put("room/1", b"new")
    await store.delete("nothing")
    assert await store.scan("room/") == [("room/1", b"new"), ("room/2", b"room/2")]
    await store.delete("room/1")
    assert await store.get("room/1") is None
    await ledger.close()


def inbound(message: Message, **changes: object) -> Inbound:
    values = {"native_id": "m1", "conversation": HERE, "sender": ANNA, "message": message, "sent_at": 1_700_000_000_123}
    return Inbound(**(values | changes))  # type: ignore[arg-type]


def posted(event: Inbound, **known: bytes) -> translate.Posted:
    salt, who = translate.salt(b"secret", "sea", "sea", event.native_id), event.sender
    return translate.post(
        event, salt=salt, sender=SENDER, name=who.name, avatar=who.avatar, room=ROOM, known=known, now=1_700_000_000_500
    )


def test_the_same_native_message_always_becomes_the_same_mimi_message() -> None:
    one, same, other = (posted(inbound(Message(text("hi")), native_id=native)) for native in ("m1", "m1", "m2"))
    assert (one.encoded, one.mimi_id) == (same.encoded, same.mimi_id)
    assert one.mimi_id != other.mimi_id
    assert one.mimi_id == content.message_id(one.encoded, SENDER, ROOM)


def test_a_content_says_who_speaks_where_and_when() -> None:
    made = content.decode(posted(inbound(Message(text("hi")))).encoded)
    assert translate.names(made) == translate.Names(SENDER, ROOM, "Anna", "sea")
    assert made.extensions[3] == {1: 1_700_000_000, -3: 123}


def test_a_reply_to_something_unknown_stands_alone() -> None:
    answer = Message(text("yes"), in_reply_to="q", replaces="old")
    assert posted(inbound(answer)).content.in_reply_to is None
    found = posted(inbound(answer), q=b"\x01" * 32, old=b"\x01" + b"\x02" * 31).content
    assert (found.in_reply_to, found.replaces) == (b"\x01" * 32, b"\x01" + b"\x02" * 31)


def test_a_content_shows_the_picture_of_who_speaks_where_it_is_short_enough() -> None:
    for avatar, said in (("mxc://sea.example/anna", "mxc://sea.example/anna"), ("", None), ("x" * 4097, None)):
        made = posted(inbound(Message(text("hi")), sender=Profile(ANNA.address, "Anna", avatar))).content
        assert SENDER_AVATAR.of(made.extensions) == said


def test_a_clock_before_1970_costs_its_time_and_not_the_message() -> None:
    assert 3 not in posted(inbound(Message(text("hi")), sent_at=-1)).content.extensions


def test_what_a_receiver_would_refuse_is_refused_where_its_sender_can_be_told() -> None:
    with pytest.raises(ContentError, match="expiry"):
        posted(inbound(Message(text("hi"), expires=Expiration(relative=False, time=1_500_000_000))))
    with pytest.raises(ExtensionError, match="forwarded"):
        posted(inbound(Message(text("hi"), extensions={FORWARDED.key: 0})))


def test_an_adapter_cannot_say_who_speaks() -> None:
    with pytest.raises(ExtensionError):
        posted(inbound(Message(text("hi"), extensions={1: "mimi://bridge.example/u/sky~bert"})))


def test_what_only_cbor_can_say_does_not_reach_an_adapter() -> None:
    received = Content(
        salt=bytes(16),
        part=text("hi"),
        extensions={1: SENDER, 2: ROOM, "x.kept": {"deep": [1, b"2", None]}, "x.large": 1 << 65, -5: True},
    )
    message = translate.native_message(received, Planned(part=received.part), {})
    assert message.extensions == {"x.kept": {"deep": [1, b"2", None]}, -5: True}


@pytest.mark.parametrize(
    ("part", "said", "reaction"),
    [
        (text("short"), "short", False),
        (text("é" * 500), "é" * 160, False),
        (SinglePart("application/octet-stream", b"\x00"), "", False),
        (ExternalPart("image/png", "u", filename="p.png"), "p.png", False),
        (MultiPart(Semantics.SINGLE_UNIT, (NullPart(), text("caption"))), "caption", False),
        (text("👍", disposition=Disposition.REACTION), "👍", True),
        (NullPart(), "", False),
    ],
)
def test_an_excerpt_is_the_beginning_of_the_text(part: content.Part, said: str, reaction: bool) -> None:
    assert (translate.excerpt(part), translate.is_reaction(part)) == (said, reaction)


def test_a_failure_travels_with_its_reason() -> None:
    encoded = translate.status_content(
        b"\x80", salt=bytes(16), by=SENDER, room=ROOM, failure=translate.Failure("too-large", "9 MB of 5")
    )
    assert translate.failure_of(content.decode(encoded)) == translate.Failure("too-large", "9 MB of 5")
    silent = translate.status_content(b"\x80", salt=bytes(16), by=SENDER, room=ROOM)
    assert translate.failure_of(content.decode(silent)) == translate.Failure("", "")


def test_a_group_that_does_not_describe_itself_is_nobodys_room() -> None:
    from bridge.endpoint.rooms.room import Room

    said = room_context(describe(Room(ROOM, HERE), [SENDER]))
    assert said is not None
    assert (said.uri, said.kind, said.participants) == (ROOM, "direct", (SENDER,))
