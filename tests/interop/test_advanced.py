"""What rooms use seldom: GroupContext extensions, keys of earlier epochs, knocking, branches, starting again."""

from __future__ import annotations

import pytest

from protocol.mls import RequiredCapabilities
from tests.interop.lines import Refused
from tests.interop.test_pairs import WITH_TSMLS, both_roles_with_tsmls
from tests.interop.world import MLSRS, OURS, TSMLS

LEG = 0xF010
REQUIRED = 3


def required(*extensions):
    """The required_capabilities extension, as the line protocol has it."""
    return [REQUIRED, RequiredCapabilities(extensions=extensions, credentials=(1,)).encode().hex()]


@pytest.fixture
def pair(world, actor, other):
    first = world.create(actor)
    [second] = world.invite(first, other)
    return first, second


# GroupContext extensions


@pytest.mark.parametrize(("actor", "other"), [(OURS, TSMLS)])
def test_capabilities_are_required_of_all_who_come_later(world, pair, other):
    """ts-mls follows; what it commits of this kind nobody can follow (see test_limits)."""
    author, guest = pair
    world.commit(author, extensions=[required(LEG)])
    world.invite(guest, other)
    stranger = world.newcomer(MLSRS)
    with pytest.raises(Refused):
        author.ask("commit", add=[world.key_package(stranger)])
    world.say(guest, b"we are choosy")


def test_mls_rs_follows_new_extensions_and_refuses_what_it_lacks(world):
    author = world.create(OURS)
    [guest] = world.invite(author, MLSRS)
    world.commit(author, extensions=[required()])
    world.commit(guest)
    with pytest.raises(Refused) as caught:
        author.ask("commit", extensions=[required(LEG)])
    assert caught.value.code == "mls.capability"


# Keys of earlier epochs


@pytest.mark.parametrize(("actor", "other"), [*WITH_TSMLS, (OURS, MLSRS)])
def test_the_key_of_an_earlier_epoch_is_mixed_in(world, pair):
    author, guest = pair
    world.commit(author)
    earlier = world.epoch()
    world.commit(guest)
    world.commit(author, resume=[earlier])
    world.say(guest, b"we remember")


# Knocking


@both_roles_with_tsmls
def test_someone_asks_to_be_added(world, pair, actor, other):
    """The one who knocks is of the other implementation, and each of the two lets one in."""
    author, guest = pair
    for host in (author, guest):
        stranger = world.newcomer(other)
        info = author.ask("state", group_info=True)["group_info"]
        asked = stranger.ask("knock", group_info=info)["proposal"]
        for _, done in world.deliver(asked, world.members):
            assert done["kind"] == "proposal"
        world.commit(host, invited=[stranger])
        world.say(stranger, b"thank you")
        world.settle()


# Groups that continue another


def continued(world, begun, author, others):
    """All are in the new group."""
    author.leaf = begun["leaf"]
    for member in others:
        member.leaf = member.ask("join", welcome=begun["welcome"], continues=True)["leaf"]
    world.agree()
    world.agree_on_exports()
    for member in (author, *others):
        world.commit(member)
        world.say(member, b"a new beginning")


@both_roles_with_tsmls
def test_a_group_branches_off(world, pair, other):
    author, guest = pair
    world.commit(guest)
    packages = [world.key_package(guest)]
    begun = author.ask("branch", group=b"aside".hex(), key_packages=packages)
    continued(world, begun, author, [guest])


@both_roles_with_tsmls
@pytest.mark.parametrize("suite", [1, 2])
@pytest.mark.parametrize("asks_too", [True, False])
def test_a_group_starts_again_in_another_suite(world, pair, suite, asks_too):
    """The one who starts it again need not be the one who committed the ReInit."""
    author, guest = pair
    wisher = author if asks_too else guest
    wish = wisher.ask("reinit", group=b"again".hex(), suite=suite)
    for _, done in world.deliver(wish["commit"], world.members):
        assert done["kind"] == "commit"
    for member in world.members:
        with pytest.raises(Refused):
            member.ask("encrypt", data="00")
    begun = author.ask("restart", key_packages=[guest.ask("keypackage", suite=suite)["key_package"]])
    continued(world, begun, author, [guest])


@both_roles_with_tsmls
def test_a_stranger_cannot_follow_a_branch(world, pair, other):
    """Whoever was not in the old group lacks its key."""
    author, guest = pair
    elsewhere = type(world)(world.peers)
    stranger = elsewhere.create(other)
    packages = [world.key_package(guest), world.key_package(stranger)]
    begun = author.ask("branch", group=b"aside".hex(), key_packages=packages)
    with pytest.raises(Refused):
        stranger.ask("join", welcome=begun["welcome"], continues=True)
