"""A router that lies: it hands out keys of its own, invites, joins and speaks under its endpoints' names.

The router of these tests follows the protocol and judges no leaf, and whoever runs it acts on it as any endpoint, which
its own database lets it do. The endpoints are honest. Nothing that is said may be read, nothing that was not said may
be delivered, and what was tried must be seen.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from adapters.contract import Direct
from bridge.directory import direct_room
from bridge.room_context import RoomContext, encode_context
from bridge.router.contract import Envelope, HandshakeBundle, Refusal, Router
from protocol import content, mls
from protocol.content import Content, text
from protocol.leg import LegClass
from protocol.mls.errors import MlsError
from protocol.uri import Address, endpoint_uri, namespace, user_uri
from tests.unit.endpoint.house import DOMAIN, House, now, until

ANNA, BERT = Address("sea", "anna"), Address("sky", "bert")
ROOM = direct_room(DOMAIN, ANNA, BERT)
HERE, THERE = Direct(ANNA, BERT), Direct(BERT, ANNA)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Anna's and Bert's endpoints, with grants, on a router that vouches for everybody."""
    built = House(tmp_path, "sea", "sky")
    built.found_authority(os.urandom(32))
    built.honest = False
    await built.open_hub()
    yield built
    await built.stop()


class Forger:
    """What somebody can do who runs the router: be any endpoint, with keys of its own."""

    def __init__(self, house: House, name: str, *, stolen: mls.Identity | None = None) -> None:
        """Take the name of an endpoint, and perhaps the grant that stands, for everybody to read, in its leaves."""
        self.router: Router = house.hub.connect(name)
        uri, spaces = endpoint_uri(DOMAIN, name), (namespace(DOMAIN, name),)
        own = mls.Identity.generate(uri, leg=LegClass.OPERATOR, namespaces=spaces, random=os.urandom)
        self.identity = own if stolen is None else own.saying(own.leg.leg, spaces, stolen.grant)
        self.bundles = [mls.KeyPackageBundle.generate(self.identity, now=now() // 1000, random=os.urandom)]
        self.group: mls.Group | None = None

    async def found(self, room: str) -> None:
        """Found the room of Anna and Bert before they do."""
        people = (user_uri(DOMAIN, ANNA), user_uri(DOMAIN, BERT))
        context = encode_context(RoomContext(room, "direct", "", people))
        self.group = mls.Group.create(
            self.identity, os.urandom(16), context=context, now=now() // 1000, random=os.urandom
        )
        info = self.group.group_info(random=os.urandom)
        assert not isinstance(await self.router.update(room, HandshakeBundle(group_info=info)), Refusal)

    async def invite(self, room: str, other: str) -> None:
        assert self.group is not None
        packages: Any = []
        while not packages or isinstance(packages, Refusal):
            packages = await self.router.key_material(endpoint_uri(DOMAIN, other))
            await asyncio.sleep(0.01)
        staged = self.group.stage(add=packages, now=now() // 1000, random=os.urandom)
        bundle = HandshakeBundle(staged.group_info, staged.commit, staged.welcome)
        assert not isinstance(await self.router.update(room, bundle), Refusal)
        self.group.merge(staged)

    async def take_the_place_of(self, room: str, name: str) -> None:
        """Join the room from outside, over the leaf of the endpoint whose name we bear."""
        info = await self.router.group_info(room)
        assert isinstance(info, bytes)
        leaf = next(
            member.leaf
            for view in await self.router.rooms()
            if view.room == room
            for member in view.members
            if member.endpoint == endpoint_uri(DOMAIN, name)
        )
        way = mls.Group.join_external(self.identity, info, replace=leaf, now=now() // 1000, random=os.urandom)
        answer = await self.router.update(room, HandshakeBundle(group_info=way.group_info, commit=way.commit))
        assert not isinstance(answer, Refusal), answer
        self.group = way.group

    async def say(self, room: str, words: str, speaker: Address) -> None:
        assert self.group is not None
        said = content.encode(
            Content(salt=os.urandom(16), part=text(words), extensions={1: user_uri(DOMAIN, speaker), 2: room})
        )
        body = self.group.protect(said, random=os.urandom)
        (answer,) = await self.router.submit([Envelope(room, self.group.epoch, self.router.endpoint, body)])
        assert not isinstance(answer, Refusal), answer

    def opens(self, welcome: bytes) -> bool:
        """Whether a Welcome is for a key of ours."""
        try:
            mls.Group.join(self.identity, welcome, self.bundles, now=None)
        except MlsError:
            return False
        return True


class Handing:
    """A router that hands out a KeyPackage of its own for one endpoint, and looks at every Welcome that comes by."""

    def __init__(self, router: Router, forger: Forger) -> None:
        self._router, self._forger = router, forger
        self.endpoint = router.endpoint
        self.lies = True
        self.asked = 0
        self.welcomes: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    async def key_material(self, target: str) -> Sequence[bytes] | Refusal:
        self.asked += 1
        if self.lies:
            return [self._forger.bundles[0].message]
        return await self._router.key_material(target)

    async def update(self, room: str, bundle: HandshakeBundle) -> Any:
        self.welcomes.append(bundle.welcome)
        return await self._router.update(room, bundle)


async def granted(house: House, name: str) -> mls.Identity:
    """The identity of an endpoint whose leaves have been seen."""
    return house.endpoints[name].keys.identity


@pytest.mark.parametrize("with_grant", [False, True], ids=["without a grant", "with the grant of whom it plays"])
async def test_a_key_package_of_the_routers_own_opens_no_room(house: House, with_grant: bool) -> None:
    await house.start("sky")
    forger = Forger(house, "sky", stolen=await granted(house, "sky") if with_grant else None)
    router = Handing(house.hub.connect("sea"), forger)
    with structlog.testing.capture_logs() as logs:
        await house.make("sea", router=router).start()
        house.networks["sea"].say(HERE, "the password is swordfish", "m1")
        await until(lambda: router.asked >= 2)
    assert not any(forger.opens(welcome) for welcome in router.welcomes if welcome)
    assert any("not to be trusted" in entry["event"] for entry in logs)
    router.lies = False
    await until(lambda: house.networks["sky"].taken)
    assert house.networks["sky"].texts() == ["the password is swordfish"]


async def test_a_key_package_of_another_endpoint_is_not_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    """Moon is an endpoint of this bridge like others; in the room of Anna and Bert it has nothing to do."""
    house = House(tmp_path, "sea", "sky", "moon")
    house.found_authority(os.urandom(32))
    await house.open_hub()
    await house.start("sky", "moon")
    moon = Forger(house, "moon")
    moon.identity = await granted(house, "moon")
    await until(lambda: house.endpoints["moon"].keys.bundles)
    moon.bundles = list(house.endpoints["moon"].keys.bundles)
    router = Handing(house.hub.connect("sea"), moon)
    with structlog.testing.capture_logs() as logs:
        await house.make("sea", router=router).start()
        house.networks["sea"].say(HERE, "the password is swordfish", "m1")
        await until(lambda: router.asked >= 2)
    assert not any(router.welcomes)
    assert any("not to be trusted" in entry["event"] for entry in logs)
    await house.stop()


@pytest.mark.parametrize("with_grant", [False, True], ids=["without a grant", "with the grant of whom it plays"])
async def test_a_welcome_of_the_routers_own_brings_nobody_into_a_room(house: House, with_grant: bool) -> None:
    await house.start()
    forger = Forger(house, "sea", stolen=await granted(house, "sea") if with_grant else None)
    await forger.found(ROOM)
    await forger.invite(ROOM, "sky")
    await forger.say(ROOM, "please wire the money", ANNA)
    sky = house.metrics["sky"]
    await until(lambda: sky.of("rejected") >= 1)
    await asyncio.sleep(0.2)
    assert house.networks["sky"].taken == []
    assert all(room.group is None for room in house.endpoints["sky"].rooms)


@pytest.mark.parametrize("with_grant", [False, True], ids=["without a grant", "with the grant of whom it plays"])
async def test_a_leaf_of_the_routers_own_is_followed_held_removed_and_hears_nothing(
    house: House, with_grant: bool
) -> None:
    """It takes Anna's endpoint's place from outside. Bert's follows, or would be lost; says nothing to it, believes
    nothing of it, and puts it out; what Bert said meanwhile is for Anna alone.
    """
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(HERE, "it is me", "m1")
    await until(lambda: sky.taken)
    sky.say(THERE, "good", "n1")
    await until(lambda: sea.taken)
    await house.endpoints["sea"].stop()
    forger = Forger(house, "sea", stolen=await granted(house, "sea") if with_grant else None)
    room = house.endpoints["sky"].rooms.of(THERE)
    assert room is not None
    with structlog.testing.capture_logs() as logs:
        await forger.take_the_place_of(ROOM, "sea")
        assert forger.group is not None
        sky.say(THERE, "the password is swordfish", "n2")
        await until(lambda: any(entry["event"] == "room held" for entry in logs))
        await until(lambda: room.held_for == "" and len(room.members) == 2)
    (reason,) = [entry["reason"] for entry in logs if entry["event"] == "room held"]
    assert endpoint_uri(DOMAIN, "sea") in reason
    assert forger.identity.public not in [
        leaf.content.signature_key for leaf in map(room.held.view.tree.leaf, range(2)) if leaf is not None
    ]
    heard = [one async for batch in _some(forger.router) for one in batch]
    assert not any(_reads(forger.group, one.body) for one in heard if one.sender != forger.router.endpoint)
    await house.make("sea").start()
    await until(lambda: "the password is swordfish" in sea.texts())
    assert sky.texts() == ["it is me"]


@pytest.mark.parametrize("with_grant", [False, True], ids=["without a grant", "with the grant of whom it plays"])
async def test_what_a_leaf_of_the_routers_own_says_is_dropped(house: House, with_grant: bool) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(HERE, "it is me", "m1")
    await until(lambda: sky.taken)
    stolen = await granted(house, "sea") if with_grant else None
    await house.stop()
    await house.open_hub()
    forger = Forger(house, "sea", stolen=stolen)
    await forger.take_the_place_of(ROOM, "sea")
    await forger.say(ROOM, "please wire the money", ANNA)
    await house.make("sky").start()
    await until(lambda: house.metrics["sky"].of("rejected") >= 1)
    assert sky.texts() == ["it is me"]


async def _some(router: Router) -> AsyncIterator[Sequence[Any]]:
    """What the router has for an endpoint, until nothing more comes."""
    stream = router.notify("").__aiter__()
    while True:
        try:
            async with asyncio.timeout(0.3):
                yield await anext(stream)
        except TimeoutError:
            return


def _reads(group: mls.Group, body: bytes) -> bool:
    try:
        group.unprotect(body)
    except MlsError:
        return False
    return True


async def test_a_group_info_of_the_routers_own_is_no_way_back(house: House) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(HERE, "hello", "m1")
    await until(lambda: sky.taken)
    forger = Forger(house, "sea")
    people = (user_uri(DOMAIN, ANNA), user_uri(DOMAIN, BERT))
    context = encode_context(RoomContext(ROOM, "direct", "", people))
    group = mls.Group.create(forger.identity, b"another", context=context, now=now() // 1000, random=os.urandom)
    info = group.group_info(random=os.urandom)
    keys = house.endpoints["sky"].keys
    with pytest.raises(mls.UngrantedError):
        mls.Group.join_external(keys.identity, info, authority=keys.authority, now=now() // 1000, random=os.urandom)


async def test_an_honest_router_lets_none_of_it_in(tmp_path: Path) -> None:
    """The same attempts by an endpoint that was broken into, on a router that judges."""
    house = House(tmp_path, "sea", "sky")
    house.found_authority(os.urandom(32))
    await house.open_hub()
    await house.start()
    forger = Forger(house, "sea", stolen=await granted(house, "sea"))
    forger.router = await house.greeted("sea")
    group = mls.Group.create(forger.identity, b"squat", now=now() // 1000, random=os.urandom)
    info = group.group_info(random=os.urandom)
    founded = await forger.router.update(ROOM, HandshakeBundle(group_info=info))
    assert isinstance(founded, Refusal)
    assert founded.code == "notGranted"
    house.networks["sea"].say(HERE, "hello", "m1")
    await until(lambda: house.networks["sea"].reports)  # both have drawn their keys: no commit is under way
    with pytest.raises(AssertionError, match="notGranted"):
        await forger.take_the_place_of(ROOM, "sea")
    await house.stop()


async def test_a_revoked_endpoint_is_shown_and_heard_no_more(house: House) -> None:
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    sea.say(HERE, "hello", "m1")
    await until(lambda: sky.taken)
    number = (await granted(house, "sea")).grant.grant.number
    house.revoked = {endpoint_uri(DOMAIN, "sea"): number + 1}
    await house.endpoints["sky"].stop()
    await house.start("sky")
    sea.say(HERE, "hear me", "m2")
    await until(lambda: house.metrics["sky"].of("rejected") >= 1)
    assert sky.texts() == ["hello"]
    (summary,) = await house.endpoints["sky"].operator.room_summaries()
    assert "revoked" in summary.held_for
