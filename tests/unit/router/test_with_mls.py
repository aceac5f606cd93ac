"""The router with the real MLS: endpoints meet, talk, change rooms; forgeries and strangers' keys are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.room_context import REVISION, RoomContext, encode_context
from bridge.router.contract import Accepted, BadRequest, Envelope, HandshakeBundle, Kind, Refusal, RefusalCode, Router
from bridge.router.mls_groups import MlsGroups
from protocol import cbor
from protocol.leg import LegClass
from protocol.mls import Group, Identity, KeyPackageBundle, committing
from protocol.mls.codec import vec
from protocol.mls.extensions import Extension, ExtensionType
from protocol.mls.proposals import ReInit
from tests.unit.router.conftest import House, hear
from tests.unit.router.doubles import endpoint, namespace, room_uri

BALCONY = room_uri("balcony")
SECRET = b"parting is such sweet sorrow"
DAY = 86400


class Client:
    """An endpoint with its keys, as brief as it can be."""

    def __init__(self, house: House, name: str, *, claims: str | None = None, calls_itself: str | None = None) -> None:
        self.house = house
        self.router: Router = house.router(name)
        self.identity = Identity.generate(
            endpoint(calls_itself or name),
            leg=LegClass.OPERATOR,
            namespaces=[namespace(claims or name)],
            random=os.urandom,
        )
        self.bundle = KeyPackageBundle.generate(self.identity, now=self.now, random=os.urandom)
        self.group: Group

    @property
    def now(self) -> int:
        return self.house.clock.now // 1000

    async def create(self, room: str = BALCONY, founding: int = 0) -> Accepted | Refusal:
        context = encode_context(RoomContext(room, "group", "Balcony", (), founding=founding))
        group_id = f"{room} {founding}".encode()
        self.group = Group.create(self.identity, group_id, context=context, now=self.now, random=os.urandom)
        return await self.router.update(room, HandshakeBundle(self.group.group_info(random=os.urandom)))

    def stage(self, **what) -> tuple[HandshakeBundle, object]:
        staged = self.group.stage(now=self.now, random=os.urandom, **what)
        return HandshakeBundle(staged.group_info, staged.commit, staged.welcome), staged

    async def commit(self, **what) -> Accepted | Refusal:
        bundle, staged = self.stage(**what)
        answer = await self.router.update(BALCONY, bundle)
        if isinstance(answer, Accepted):
            self.group.merge(staged)
        return answer

    async def invite(self, other: Client) -> Accepted | Refusal:
        await other.router.publish([other.bundle.message])
        packages = await self.router.key_material(other.router.endpoint)
        assert not isinstance(packages, Refusal)
        answer = await self.commit(add=packages)
        if isinstance(answer, Accepted):
            welcome = (await hear(other.router, 1))[-1]
            other.group = Group.join(other.identity, welcome.body, [other.bundle], fresh=True, now=self.now)
        return answer

    def envelope(self, data: bytes) -> Envelope:
        body = self.group.protect(data, random=os.urandom)
        return Envelope(BALCONY, self.group.epoch, self.router.endpoint, body)


@pytest.fixture
async def house(tmp_path: Path):
    house = House.build(tmp_path, groups=MlsGroups())
    await house.open()
    yield house
    await house.hub.stop()


@pytest.fixture
async def couple(house: House) -> tuple[Client, Client]:
    xmpp, matrix = Client(house, "xmpp"), Client(house, "matrix")
    assert isinstance(await xmpp.create(), Accepted)
    assert isinstance(await xmpp.invite(matrix), Accepted)
    return xmpp, matrix


def code_of(answer: object) -> RefusalCode:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def test_endpoints_talk_and_the_router_cannot_read_it(house: House, couple: tuple[Client, Client]) -> None:
    xmpp, matrix = couple
    (answer,) = await xmpp.router.submit([xmpp.envelope(SECRET)])
    assert isinstance(answer, Accepted) and answer.sequence == 2
    heard = (await hear(matrix.router, 2))[-1]
    said = matrix.group.unprotect(heard.body)
    assert (said.data, said.sender.uri) == (SECRET, endpoint("xmpp"))
    record = await house.hub.message(BALCONY, 2)
    assert record is not None and SECRET not in record.body
    await house.hub.stop()
    for path in house.folder.rglob("*"):
        assert path.is_dir() or SECRET not in path.read_bytes(), path
    await house.open()


async def test_the_room_shows_what_the_leaves_say_of_themselves(house: House, couple: tuple[Client, Client]) -> None:
    view = await house.hub.room(BALCONY)
    assert view is not None and view.epoch == 1
    assert [(member.endpoint, member.leg, member.namespaces) for member in view.members] == [
        (endpoint("xmpp"), LegClass.OPERATOR, (namespace("xmpp"),)),
        (endpoint("matrix"), LegClass.OPERATOR, (namespace("matrix"),)),
    ]


async def test_the_first_commit_of_an_epoch_wins_and_the_loser_follows_it(couple: tuple[Client, Client]) -> None:
    xmpp, matrix = couple
    late, _ = matrix.stage(context={0x8001: b"matrix's"})
    assert isinstance(await xmpp.commit(context={0x8001: b"xmpp's"}), Accepted)
    refused = await matrix.router.update(BALCONY, late)
    assert code_of(refused) is RefusalCode.WRONG_EPOCH and refused.epoch == 2
    commit = (await hear(matrix.router, 2))[-1]
    assert commit.kind is Kind.COMMIT
    matrix.group.process(commit.body, now=matrix.now)
    assert isinstance(await matrix.commit(context={0x8002: b"matrix's"}), Accepted)
    assert {key: matrix.group.context[key] for key in (0x8001, 0x8002)} == {0x8001: b"xmpp's", 0x8002: b"matrix's"}


async def test_the_state_survives_a_restart(house: House, couple: tuple[Client, Client]) -> None:
    xmpp, _ = couple
    await house.hub.stop()
    house.hub = House.build(house.folder, groups=MlsGroups()).hub
    await house.open()
    xmpp.router = house.router("xmpp")
    assert isinstance(await xmpp.commit(path=True), Accepted)
    assert isinstance(await xmpp.commit(path=True), Accepted)


async def test_a_third_is_added_and_a_second_removed(house: House, couple: tuple[Client, Client]) -> None:
    xmpp, matrix = couple
    shop = Client(house, "shop")
    assert isinstance(await xmpp.invite(shop), Accepted)
    newer = {REVISION: cbor.encode(1)}
    assert isinstance(await xmpp.commit(remove=[matrix.group.own_leaf], context=newer), Accepted)
    (refused,) = await matrix.router.submit([matrix.envelope(b"wait")])
    assert code_of(refused) is RefusalCode.NOT_ALLOWED
    (accepted,) = await xmpp.router.submit([xmpp.envelope(b"he is gone")])
    assert isinstance(accepted, Accepted)


async def test_members_stay_members_after_their_key_packages_have_expired(
    house: House, couple: tuple[Client, Client]
) -> None:
    xmpp, _ = couple
    house.clock.now += 200 * DAY * 1000
    assert isinstance(await xmpp.commit(path=True), Accepted)


async def test_who_lost_its_state_comes_back_by_an_external_commit(house: House, couple: tuple[Client, Client]) -> None:
    xmpp, matrix = couple
    info = await matrix.router.group_info(BALCONY)
    assert isinstance(info, bytes)
    own = matrix.group.own_leaf
    back = Group.join_external(matrix.identity, info, replace=own, now=matrix.now, random=os.urandom)
    answer = await matrix.router.update(BALCONY, HandshakeBundle(back.group_info, back.commit))
    assert isinstance(answer, Accepted)
    heard = (await hear(xmpp.router, 2))[-1]
    xmpp.group.process(heard.body, now=xmpp.now)
    assert xmpp.group.epoch_authenticator == back.group.epoch_authenticator


async def test_nobody_from_outside_comes_in_by_an_external_commit(house: House, couple: tuple[Client, Client]) -> None:
    xmpp, _ = couple
    info = xmpp.group.group_info(random=os.urandom)
    spy = Client(house, "shop")
    entering = Group.join_external(spy.identity, info, now=spy.now, random=os.urandom)
    bundle = HandshakeBundle(entering.group_info, entering.commit)
    assert code_of(await spy.router.update(BALCONY, bundle)) is RefusalCode.NOT_ALLOWED
    disguised = Client(house, "shop", calls_itself="matrix", claims="matrix")
    entering = Group.join_external(disguised.identity, info, replace=1, now=spy.now, random=os.urandom)
    bundle = HandshakeBundle(entering.group_info, entering.commit)
    assert code_of(await disguised.router.update(BALCONY, bundle)) is RefusalCode.NOT_ALLOWED


async def test_a_commit_sent_by_another_than_its_author_is_refused(couple: tuple[Client, Client]) -> None:
    xmpp, matrix = couple
    bundle, _ = xmpp.stage(path=True)
    assert code_of(await matrix.router.update(BALCONY, bundle)) is RefusalCode.NOT_ALLOWED


async def test_a_forged_or_damaged_commit_is_refused(couple: tuple[Client, Client]) -> None:
    xmpp, _ = couple
    bundle, _ = xmpp.stage(path=True)
    judged_by_members_alone = 33  # the membership tag, which takes a key to check
    for place in range(0, len(bundle.commit) - judged_by_members_alone, 7):
        damaged = bytearray(bundle.commit)
        damaged[place] ^= 0x01
        answer = await xmpp.router.update(BALCONY, HandshakeBundle(bundle.group_info, bytes(damaged)))
        assert isinstance(answer, Refusal), f"octet {place}"
    assert isinstance(await xmpp.router.update(BALCONY, bundle), Accepted)


async def test_a_group_info_of_another_epoch_is_refused(couple: tuple[Client, Client]) -> None:
    xmpp, _ = couple
    stale = xmpp.group.group_info(random=os.urandom)
    bundle, _ = xmpp.stage(path=True)
    answer = await xmpp.router.update(BALCONY, HandshakeBundle(stale, bundle.commit))
    assert code_of(answer) is RefusalCode.INVALID_PROPOSAL


async def test_a_commit_that_its_router_cannot_follow_is_refused(couple: tuple[Client, Client]) -> None:
    xmpp, matrix = couple
    hidden, _ = xmpp.stage(path=True, private=True)
    assert code_of(await xmpp.router.update(BALCONY, hidden)) is RefusalCode.MALFORMED
    ending, _ = xmpp.stage(reinit=ReInit(group_id=b"next", version=1, suite_id=1, extensions=()))
    assert code_of(await xmpp.router.update(BALCONY, ending)) is RefusalCode.INVALID_PROPOSAL
    loose = matrix.group.propose_update(random=os.urandom)
    answer = await matrix.router.update(BALCONY, HandshakeBundle(b"", loose))
    assert code_of(answer) is RefusalCode.MALFORMED


async def test_a_handshake_does_not_pass_for_a_message(couple: tuple[Client, Client]) -> None:
    xmpp, _ = couple
    bundle, _ = xmpp.stage(path=True, private=True)
    envelope = Envelope(BALCONY, xmpp.group.epoch, xmpp.router.endpoint, bundle.commit)
    (answer,) = await xmpp.router.submit([envelope])
    assert code_of(answer) is RefusalCode.MALFORMED


async def test_a_room_is_created_only_in_ones_own_name_and_namespace(house: House) -> None:
    for spy in (Client(house, "shop", calls_itself="xmpp", claims="xmpp"), Client(house, "shop", claims="xmpp")):
        assert code_of(await spy.create()) is RefusalCode.NOT_ALLOWED


async def test_key_packages_are_ones_own_and_sound(house: House) -> None:
    shop = Client(house, "shop")
    for spy in (Client(house, "shop", calls_itself="xmpp"), Client(house, "shop", claims="xmpp")):
        with pytest.raises(BadRequest):
            await shop.router.publish([spy.bundle.message])
    damaged = bytearray(shop.bundle.message)
    damaged[-1] ^= 1
    with pytest.raises(BadRequest, match="not a usable KeyPackage"):
        await shop.router.publish([bytes(damaged)])
    house.clock.now += 100 * DAY * 1000
    with pytest.raises(BadRequest, match="valid from"):
        await shop.router.publish([shop.bundle.message])


async def test_someone_elses_name_cannot_be_added(house: House, couple: tuple[Client, Client]) -> None:
    xmpp, _ = couple
    stranger = Client(house, "shop", calls_itself="stranger")
    bundle, _ = xmpp.stage(add=[stranger.bundle.message])
    assert code_of(await xmpp.router.update(BALCONY, bundle)) is RefusalCode.NOT_ALLOWED


async def test_a_member_cannot_take_anothers_name_by_its_own_commit(
    house: House, couple: tuple[Client, Client]
) -> None:
    xmpp, _ = couple
    disguise = Identity.generate(
        endpoint("shop"), leg=LegClass.OPERATOR, namespaces=[namespace("shop")], random=os.urandom
    )
    own = xmpp.group.identity
    own.credential, own.extensions = disguise.credential, disguise.extensions
    bundle, _ = xmpp.stage(path=True)
    assert code_of(await xmpp.router.update(BALCONY, bundle)) is RefusalCode.INVALID_PROPOSAL


@pytest.mark.parametrize("junk", [b"", b"\0", b"\0\1\0\1", os.urandom(300)])
async def test_junk_is_malformed_everywhere(couple: tuple[Client, Client], junk: bytes) -> None:
    xmpp, _ = couple
    other = room_uri("orchard")
    assert code_of(await xmpp.router.update(other, HandshakeBundle(junk))) is RefusalCode.MALFORMED
    assert code_of(await xmpp.router.update(BALCONY, HandshakeBundle(b"", junk or b"\1"))) is RefusalCode.MALFORMED
    bundle, _ = xmpp.stage(path=True)
    damaged = await xmpp.router.update(BALCONY, HandshakeBundle(junk, bundle.commit))
    assert code_of(damaged) is RefusalCode.MALFORMED
    (answer,) = await xmpp.router.submit([Envelope(BALCONY, 1, xmpp.router.endpoint, junk)])
    assert code_of(answer) is RefusalCode.MALFORMED
    with pytest.raises(BadRequest):
        await xmpp.router.publish([junk])


async def test_a_room_is_founded_anew_with_a_group_of_its_own(house: House, couple: tuple[Client, Client]) -> None:
    xmpp, matrix = couple
    (late,) = [xmpp.envelope(b"too late")]
    assert isinstance(await matrix.create(founding=1), Accepted)
    (refused,) = await xmpp.router.submit([late])
    assert code_of(refused) is RefusalCode.EPOCH_TOO_OLD and refused.founding == 1
    view = await house.hub.room(BALCONY)
    assert view is not None and (view.founding, view.group_id) == (1, matrix.group.group_id)


async def test_a_commit_that_rewrites_the_room_is_refused(couple: tuple[Client, Client]) -> None:
    xmpp, _ = couple
    other = encode_context(RoomContext(room_uri("orchard"), "group", "Orchard", ()))
    assert code_of(await xmpp.commit(context=other)) is RefusalCode.INVALID_PROPOSAL
    assert code_of(await xmpp.commit(context={REVISION: b"\xff"})) is RefusalCode.INVALID_PROPOSAL


@pytest.mark.parametrize("key", [None, b"", b"short", bytes(33), bytes(32)])
async def test_a_group_info_by_which_nobody_could_come_back_is_refused(
    couple: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch, key: bytes | None
) -> None:
    """The key must be there, of the right length, and a point that something can be sealed to."""
    xmpp, matrix = couple
    whole = committing.Extension

    def spoilt(type_: int, data: bytes) -> Extension:
        if type_ != ExtensionType.EXTERNAL_PUB:
            return whole(type_, data)
        return whole(0xFAFA, b"") if key is None else whole(type_, vec(key))

    with monkeypatch.context() as patch:
        patch.setattr(committing, "Extension", spoilt)
        bundle, _ = xmpp.stage(path=True)
    answer = await xmpp.router.update(BALCONY, bundle)
    assert code_of(answer) in (RefusalCode.INVALID_PROPOSAL, RefusalCode.MALFORMED)
    assert isinstance(await matrix.commit(path=True), Accepted)
