"""Two implementations, one of them ours, each operation in both roles."""

from __future__ import annotations

import pytest

from tests.interop.lines import Refused
from tests.interop.world import MLSRS, OURS, TSMLS

ROLES = [(OURS, TSMLS), (TSMLS, OURS), (OURS, MLSRS), (MLSRS, OURS)]
WITH_TSMLS = [(OURS, TSMLS), (TSMLS, OURS)]

both_roles = pytest.mark.parametrize(("actor", "other"), ROLES)
both_roles_with_tsmls = pytest.mark.parametrize(("actor", "other"), WITH_TSMLS)


@pytest.fixture
def pair(world, actor, other):
    """A group of two: the one who acts made it, the other joined by Welcome."""
    first = world.create(actor)
    [second] = world.invite(first, other)
    return first, second


def refused(member, message, *codes):
    """The member refuses a message; ours for one of these reasons."""
    with pytest.raises(Refused) as caught:
        member.ask("process", message=message)
    assert member.kind != OURS or caught.value.code in codes, caught.value


def encrypted(author, data=b"hello", **fields):
    return author.ask("encrypt", data=data.hex(), **fields)["message"]


def tampered(message, place=-1):
    octets = bytearray.fromhex(message)
    octets[place] ^= 1
    return octets.hex()


# Coming and going


@both_roles
def test_a_newcomer_joins_by_welcome_and_both_talk(world, pair):
    author, guest = pair
    world.say(author, b"welcome")
    world.say(guest, b"thank you")
    world.agree_on_exports()


@both_roles
def test_many_newcomers_join_by_one_welcome(world, pair, actor, other):
    author, _ = pair
    world.invite(author, other, actor, other)
    for member in world.members:
        world.say(member, member.name.encode())


@both_roles
def test_a_member_adds_a_third_and_the_other_follows(world, pair, other):
    author, guest = pair
    world.commit(author)
    [third] = world.invite(author, other)
    world.say(guest, b"who is this?")
    world.say(third, b"it is me")


@both_roles
def test_a_member_is_removed_and_knows_it(world, pair, other):
    author, guest = pair
    [third] = world.invite(author, other)
    made = author.ask("commit", remove=[guest.leaf])
    told = dict(world.deliver(made["commit"], world.members))
    assert told[guest]["left"] and not told[third]["left"]
    after = encrypted(author)
    world.members.remove(guest)
    world.agree()
    world.hear(author, after, b"hello")
    refused(guest, after, "mls.wrong-epoch")
    if guest.kind != MLSRS:  # which lets one commit in the epoch that is over, where nobody will follow
        with pytest.raises(Refused):
            guest.ask("commit")


@both_roles
def test_a_leaf_that_was_left_is_taken_again(world, pair, other):
    author, guest = pair
    leaf = guest.leaf
    world.commit(author, remove=[guest])
    [next_guest] = world.invite(author, other)
    assert next_guest.leaf == leaf
    world.say(next_guest, b"new here")


@both_roles_with_tsmls
def test_someone_joins_by_an_external_commit(world, pair, other):
    """The actor gives the GroupInfo, the other implementation joins by it."""
    author, guest = pair
    stranger = world.newcomer(other)
    world.enter(author, stranger)
    world.say(stranger, b"uninvited")
    world.say(guest, b"but welcome")
    world.agree_on_exports()


@pytest.mark.parametrize("joiner", [OURS, TSMLS])
def test_mls_rs_follows_an_external_commit(world, joiner):
    host = world.create(OURS)
    [witness] = world.invite(host, MLSRS)
    stranger = world.newcomer(joiner)
    world.enter(host, stranger)
    world.say(stranger, b"uninvited")
    world.say(witness, b"but welcome")
    world.commit(witness)


@both_roles_with_tsmls
def test_a_member_comes_back_in_place_of_its_former_self(world, pair):
    host, lost = pair
    before = lost.leaf
    world.enter(host, lost, replace=lost)
    assert lost.leaf == before
    world.say(lost, b"back again")
    world.say(host, b"good")


def test_mls_rs_follows_a_member_that_comes_back(world):
    host = world.create(OURS)
    witness, lost = world.invite(host, MLSRS, OURS)
    world.enter(host, lost, replace=lost)
    world.say(lost, b"back again")
    world.say(witness, b"good")


# New keys


@both_roles
def test_both_renew_their_keys_in_turn(world, pair):
    author, guest = pair
    for member in (author, guest, guest, author):
        world.commit(member)
        world.say(author, b"still here")
        world.say(guest, b"me too")
    world.agree_on_exports()


@both_roles
def test_commits_hidden_in_private_messages(world, pair):
    """Those who can hide their commits do; both follow."""
    author, guest = pair
    for member in (author, guest):
        wish = {} if member.kind == MLSRS else {"private": True}
        commit = world.commit(member, **wish)
        assert commit.startswith("00010002" if wish else "00010001")


@both_roles
def test_two_commit_at_once_and_the_loser_follows(world, pair):
    author, guest = pair
    for winner, loser in (pair, pair[::-1]):
        made, lost = winner.ask("commit"), loser.ask("commit")
        world.accept(winner, made, [], [])
        refused(winner, lost["commit"], "mls.wrong-epoch")
    world.say(author, b"agreed")
    world.say(guest, b"agreed")


@both_roles_with_tsmls
def test_an_external_key_is_mixed_in(world, pair, other):
    author, guest = pair
    name, secret = b"name".hex(), bytes(range(32)).hex()
    world.everyone(world.members, "psk", id=name, secret=secret)
    world.commit(author, psk=[name])
    world.say(guest, b"we share more than keys")


@both_roles_with_tsmls
def test_a_newcomer_needs_the_external_key_that_its_welcome_names(world, pair, other):
    author, guest = pair
    name, secret = b"name".hex(), bytes(range(32)).hex()
    knows, ignorant = world.newcomer(other), world.newcomer(other)
    packages = [world.key_package(one) for one in (knows, ignorant)]
    for member in (author, guest, knows):
        member.ask("psk", id=name, secret=secret)
    made = author.ask("commit", add=packages, psk=[name])
    world.deliver(made["commit"], world.members)
    with pytest.raises(Refused):
        ignorant.ask("join", welcome=made["welcome"])
    knows.ask("join", welcome=made["welcome"])
    state, own = (member.ask("state")["authenticator"] for member in (knows, author))
    assert state == own


@both_roles_with_tsmls
def test_another_external_key_leads_nowhere(world, pair):
    author, guest = pair
    name = b"name".hex()
    author.ask("psk", id=name, secret=bytes(32).hex())
    guest.ask("psk", id=name, secret=bytes(31).hex() + "01")
    made = author.ask("commit", psk=[name])
    refused(guest, made["commit"], "mls.confirmation-tag")


# Proposals that another commits


@both_roles
def test_a_proposal_to_add_is_committed_by_the_other(world, pair, other):
    author, guest = pair
    third = world.newcomer(other)
    world.propose(author, "add", key_package=world.key_package(third))
    world.commit(guest, invited=[third])
    world.say(third, b"hello both")


@both_roles
def test_a_proposal_to_remove_is_committed_by_the_other(world, pair, other):
    author, guest = pair
    [third] = world.invite(author, other)
    world.propose(author, "remove", leaf=third.leaf)
    world.commit(guest, dropped=[third])
    world.say(author, b"two again")


@pytest.mark.parametrize(("actor", "other"), [*WITH_TSMLS, (OURS, MLSRS)])
def test_proposals_hidden_in_private_messages(world, pair, other):
    author, guest = pair
    [third], fourth = world.invite(author, OURS), world.newcomer(other)
    world.propose(author, "remove", leaf=third.leaf, private=True)
    world.propose(author, "add", key_package=world.key_package(fourth), private=True)
    world.commit(guest, dropped=[third], invited=[fourth])
    world.say(fourth, b"nobody saw me coming")


@pytest.mark.parametrize("committer", [TSMLS, MLSRS])
@pytest.mark.parametrize("private", [False, True])
def test_our_proposal_of_new_keys_is_committed_by_the_other(world, committer, private):
    ours = world.create(OURS)
    [other] = world.invite(ours, committer)
    world.propose(ours, "update", private=private)
    world.commit(other)
    world.say(ours, b"fresh")
    world.commit(ours)
    world.say(other, b"fresh too")


# Messages


@both_roles
def test_messages_are_read_in_any_order(world, pair):
    author, _ = pair
    texts = [f"message {number}".encode() for number in range(8)]
    sent = [encrypted(author, text) for text in texts]
    for number in (5, 0, 7, 1, 6, 2, 4, 3):
        world.hear(author, sent[number], texts[number])


@both_roles
def test_a_message_of_the_last_epoch_is_still_read(world, pair):
    author, guest = pair
    late = encrypted(author, b"slow")
    world.commit(guest)
    world.commit(author)
    world.hear(author, late, b"slow")


@both_roles
def test_a_message_is_read_once(world, pair):
    author, guest = pair
    message = encrypted(author)
    world.hear(author, message, b"hello")
    refused(guest, message, "mls.replay")
    world.say(author, b"next")


@both_roles
@pytest.mark.parametrize("place", [-1, -40])
def test_a_message_that_was_changed_is_refused(world, pair, place):
    author, guest = pair
    refused(guest, tampered(encrypted(author), place), "mls.decryption")
    world.say(author, b"and life goes on")


@both_roles
def test_a_commit_that_was_changed_is_refused(world, pair):
    author, guest = pair
    made = author.ask("commit")
    for place in (-1, -40, -100):
        refused(guest, tampered(made["commit"], place), "mls.membership-tag", "mls.signature")
    world.accept(author, made, [], [])


@both_roles
def test_a_commit_is_followed_once(world, pair):
    author, guest = pair
    commit = world.commit(author)
    refused(guest, commit, "mls.wrong-epoch")
    world.agree()


@both_roles
def test_a_message_of_another_group_is_refused(world, peers, actor, other, pair):
    elsewhere = type(world)(peers)
    stranger = elsewhere.create(actor)
    elsewhere.invite(stranger, other)
    refused(pair[1], encrypted(stranger), "mls.wrong-group")
    refused(pair[1], stranger.ask("commit")["commit"], "mls.wrong-group")


@both_roles_with_tsmls
def test_authenticated_data_travels_and_is_signed(pair):
    author, guest = pair
    aad = b"in the clear"
    message = encrypted(author, authenticated_data=aad.hex())
    assert aad.hex() in message
    place = message.index(aad.hex()) // 2
    refused(guest, tampered(message, place), "mls.decryption")
    assert guest.ask("process", message=message)["authenticated_data"] == aad.hex()


@both_roles
def test_an_empty_and_a_large_message(world, pair):
    for author in pair:
        world.say(author, b"")
        world.say(author, bytes(100_000))


# Rooms and suites


def test_a_room_with_application_data_takes_in_ts_mls(world):
    """The GroupContext carries app_data_dictionary; ts-mls's leaves say that they can carry it."""
    host = world.create(OURS, context={"35": b"about the room".hex(), "34": b"people".hex()})
    world.invite(host, TSMLS)
    world.enter(host, world.newcomer(TSMLS))
    for member in world.members:
        world.commit(member)
        world.say(member, b"in a room")


def test_a_room_with_application_data_keeps_out_who_cannot_carry_it(world):
    host, guest = world.create(OURS, context={"35": b"about the room".hex()}), world.newcomer(MLSRS)
    with pytest.raises(Refused) as caught:
        host.ask("commit", add=[world.key_package(guest)])
    assert caught.value.code == "mls.capability"


@pytest.mark.parametrize("suite", [2, 3, 5, 7])
@both_roles_with_tsmls
def test_other_cipher_suites(peers, world, actor, other, suite):
    world = type(world)(peers, suite)
    author = world.create(actor)
    [guest] = world.invite(author, other)
    world.commit(author)
    world.commit(guest)
    world.enter(author, world.newcomer(other))
    for member in world.members:
        world.say(member, b"in another suite")
    world.agree_on_exports()
