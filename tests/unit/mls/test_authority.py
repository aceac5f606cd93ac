"""Who vouches for a leaf: asked wherever a leaf comes in, at the door with a refusal, inside with a suspicion."""

from __future__ import annotations

import os

import pytest

from protocol.leg import LegClass
from protocol.mls import Group, PublicGroup, UngrantedError, join_proposal
from protocol.mls.errors import InputError, LeafError
from protocol.mls.leaf import CredentialType
from protocol.mls.messages import key_package_of
from protocol.mls.proposals import Add
from tests.unit.mls.granting import Notary, granted
from tests.unit.mls.support import NOW, Drawer, commit, new_bundle, new_group, new_identity, say, stage


@pytest.fixture
def notary():
    return Notary()


def welcome(author, identity, *others, authority):
    """Add one more member by Welcome, who asks this authority."""
    bundle = new_bundle(identity)
    staged = commit(author, *others, add=[bundle.message])
    return Group.join(identity, staged.welcome, [bundle], authority=authority, fresh=True, now=NOW)


def test_granted_endpoints_found_join_and_talk_and_nobody_is_suspect(notary):
    sea, sky = granted(notary, "sea", "sky")
    first = new_group(sea, authority=notary)
    second = welcome(first, sky, authority=notary)
    heard = second.unprotect(say(first, b"ahoy"))
    assert (heard.data, heard.suspicion) == (b"ahoy", "")
    assert first.suspects == second.suspects == ()


def test_a_group_without_an_authority_judges_nobody():
    first = new_group(new_identity("sea"))
    second = welcome(first, new_identity("sky"), authority=None)
    assert first.suspects == second.suspects == ()


# --- at the door ------------------------------------------------------------------------------------------------------


def test_who_has_no_grant_founds_nothing(notary):
    with pytest.raises(UngrantedError):
        new_group(new_identity("sea"), authority=notary)


def test_a_key_package_without_a_grant_is_not_added(notary):
    (sea,) = granted(notary, "sea")
    group = new_group(sea, authority=notary)
    forged = new_bundle(new_identity("sky"))
    with pytest.raises(UngrantedError):
        stage(group, add=[forged.message])
    assert group.epoch == 0


def test_a_key_package_with_somebody_elses_grant_is_not_added(notary):
    """The router makes a leaf under sky's name and puts sky's own grant, which everybody may read, into it."""
    sea, sky = granted(notary, "sea", "sky")
    group = new_group(sea, authority=notary)
    forged = new_identity("sky").saying(sky.leg.leg, sky.leg.namespaces, sky.grant)
    with pytest.raises(UngrantedError, match="another signature key"):
        stage(group, add=[new_bundle(forged).message])


def test_a_grant_of_another_authority_opens_nothing(notary):
    (sea,) = granted(notary, "sea")
    (sky,) = granted(Notary(), "sky")
    with pytest.raises(UngrantedError, match="did not sign"):
        stage(new_group(sea, authority=notary), add=[new_bundle(sky).message])


@pytest.mark.parametrize(
    "bent",
    [
        {"leg": LegClass.PROVIDER},
        {"namespaces": ("mimi://bridge.example/u/other~",)},
        {"namespaces": ()},
        {"uri": "mimi://bridge.example/d/other"},
        {"key": bytes(32)},
    ],
)
def test_a_leaf_claims_no_more_than_its_grant(notary, bent):
    (sea,) = granted(notary, "sea")
    sky = new_identity("sky")
    sky = sky.saying(sky.leg.leg, sky.leg.namespaces, notary.grant(sky, **bent))
    with pytest.raises(UngrantedError):
        stage(new_group(sea, authority=notary), add=[new_bundle(sky).message])


def test_a_leaf_may_claim_less_than_its_grant(notary):
    sea, sky = granted(notary, "sea", "sky")
    modest = sky.saying(LegClass.OPEN, [*sky.leg.namespaces, f"{sky.leg.namespaces[0]}a"], sky.grant)
    second = welcome(new_group(sea, authority=notary), modest, authority=notary)
    assert second.assurance is LegClass.OPEN


def test_a_grant_that_does_not_parse_is_none(notary):
    (sea,) = granted(notary, "sea")
    sky = notary.granted(new_identity("sky"))
    extensions = sky.extensions[0], type(sky.extensions[1])(sky.extensions[1].type, sky.extensions[1].data[:-1])
    broken = type(sky)(sky.suite, sky._private, sky.credential, extensions)
    with pytest.raises(UngrantedError, match="does not parse"):
        stage(new_group(sea, authority=notary), add=[new_bundle(broken).message])


def test_a_welcome_to_a_group_with_an_ungranted_leaf_is_refused(notary):
    """The router founds a room under sea's name and invites sky with a Welcome of its own."""
    (sky,) = granted(notary, "sky")
    forger = new_group(new_identity("sea"))
    bundle = new_bundle(sky)
    staged = stage(forger, add=[bundle.message])
    with pytest.raises(UngrantedError):
        Group.join(sky, staged.welcome, [bundle], authority=notary, now=NOW)


def test_a_group_info_with_an_ungranted_leaf_is_no_way_back(notary):
    (sky,) = granted(notary, "sky")
    forger = new_group(new_identity("sea"))
    info = forger.group_info(random=os.urandom)
    with pytest.raises(UngrantedError):
        Group.join_external(sky, info, authority=notary, now=NOW, random=os.urandom)
    with pytest.raises(UngrantedError):
        PublicGroup.create(info, authority=notary, now=NOW)


def test_who_comes_back_over_its_ungranted_former_self_comes_back_granted(notary):
    sea, sky = granted(notary, "sea", "sky")
    old = new_identity("sky")
    first = new_group(sea)
    welcome(first, old, authority=None)
    first.authority = notary
    way = Group.join_external(
        sky, first.group_info(random=os.urandom), replace=1, authority=notary, now=NOW, random=os.urandom
    )
    first.process(way.commit, now=NOW)
    assert first.suspects == way.group.suspects == ()


# --- inside -----------------------------------------------------------------------------------------------------------


def test_a_commit_that_brings_an_ungranted_leaf_is_followed_and_shows(notary):
    sea, sky = granted(notary, "sea", "sky")
    first = new_group(sea)
    second = welcome(first, sky, authority=notary)
    public = PublicGroup.create(first.group_info(random=os.urandom), now=NOW, authority=notary)
    thief = new_identity("moon")
    bundle = new_bundle(thief)
    staged = stage(first, add=[bundle.message])  # sea's own group asks nobody: a member that was broken into
    change = public.process(staged.commit, now=NOW)
    second.process(staged.commit, now=NOW)
    first.merge(staged)
    assert second.epoch == first.epoch, "whoever refuses what the others follow is lost to them"
    assert [(one.leaf, one.uri) for one in second.suspects] == [(2, thief.uri)]
    assert change.suspects == public.suspects == second.suspects
    third = Group.join(thief, staged.welcome, [bundle], fresh=True, now=NOW)
    assert second.unprotect(say(third)).suspicion
    assert not second.unprotect(say(first)).suspicion


def test_what_a_suspect_said_before_it_was_removed_is_suspect_still(notary):
    sea, sky = granted(notary, "sea", "sky")
    first = new_group(sea)
    second = welcome(first, sky, authority=notary)
    third = welcome(first, new_identity("moon"), second, authority=None)
    late = say(third)
    commit(first, second, remove=[2])
    assert second.suspects == ()
    assert second.unprotect(late).suspicion


def test_an_external_join_without_a_grant_is_followed_and_shows(notary):
    (sea,) = granted(notary, "sea")
    first = new_group(sea, authority=notary)
    public = PublicGroup.create(first.group_info(random=os.urandom), now=NOW, authority=notary)
    way = Group.join_external(new_identity("moon"), first.group_info(random=os.urandom), now=NOW, random=os.urandom)
    assert [one.leaf for one in public.process(way.commit, now=NOW).suspects] == [1]
    first.process(way.commit, now=NOW)
    assert [one.leaf for one in first.suspects] == [1]


def test_an_update_that_drops_its_grant_is_followed_and_shows(notary):
    sea, sky = granted(notary, "sea", "sky")
    first = new_group(sea, authority=notary)
    second = welcome(first, sky, authority=notary)
    second.identify(sky.saying(sky.leg.leg, sky.leg.namespaces, None))
    commit(second, first)
    assert [one.leaf for one in first.suspects] == [1]


def test_what_others_propose_without_a_grant_is_left_out_of_our_commits(notary):
    sea, sky = granted(notary, "sea", "sky")
    first = new_group(sea, authority=notary)
    second = welcome(first, sky, authority=None)
    package = key_package_of(new_bundle(new_identity("moon")).message)
    first.process(second.propose(Add(package), random=os.urandom), now=NOW)
    commit(first, second)
    assert [member.leaf for member in first.members()] == [0, 1]


def test_who_proposes_itself_without_a_grant_is_left_out(notary):
    (sea,) = granted(notary, "sea")
    first = new_group(sea, authority=notary)
    moon = new_identity("moon")
    wish = join_proposal(moon, new_bundle(moon), group_id=first.group_id, epoch=first.epoch)
    first.process(wish, now=NOW)
    commit(first)
    assert len(first.members()) == 1


# --- a grant that comes, grows or is renewed --------------------------------------------------------------------------


def test_a_group_older_than_grants_takes_them_over_by_its_members_next_commits(notary):
    old = [new_identity("sea"), new_identity("sky")]
    first = new_group(old[0])
    second = welcome(first, old[1], authority=None)
    shelves = Drawer(first), Drawer(second)
    sea, sky = (notary.granted(identity) for identity in old)
    shelves[0].identity, shelves[1].identity = sea, sky
    first, second = (shelf.restore(authority=notary) for shelf in shelves)
    assert [one.leaf for one in first.suspects] == [0, 1]
    assert first.outdated
    commit(first, second)
    assert not first.outdated
    assert [one.leaf for one in first.suspects] == [1]
    commit(second, first)
    assert first.suspects == second.suspects == ()


def test_a_new_grant_changes_leg_and_namespaces_of_a_living_leaf(notary):
    sea, sky = granted(notary, "sea", "sky")
    first = new_group(sea, authority=notary)
    second = welcome(first, sky, authority=notary)
    wider = [*sky.leg.namespaces, "mimi://bridge.example/u/moon~"]
    grant = notary.grant(sky, leg=LegClass.PROVIDER, namespaces=tuple(wider), number=2)
    second.identify(sky.saying(LegClass.PROVIDER, wider, grant))
    commit(second, first)
    member = first.members()[1]
    assert (member.leg, list(member.namespaces)) == (LegClass.PROVIDER, wider)
    assert first.suspects == ()


@pytest.mark.parametrize(
    ("claim", "grant"),
    [
        ({"leg": LegClass.OPEN}, None),
        ({"leg": LegClass.OPEN}, {"number": 1}),
        ({"leg": LegClass.DEVICES}, {"number": 3}),
        ({"namespaces": ["mimi://bridge.example/u/"]}, {"number": 3}),
    ],
)
def test_no_leaf_changes_its_claim_without_a_grant_that_covers_it(notary, claim, grant):
    (sea,) = granted(notary, "sea")
    plain = new_identity("sky")
    sky = notary.granted(plain, number=2)
    first = new_group(sea, authority=notary)
    second = welcome(first, sky, authority=notary)
    public = PublicGroup.create(first.group_info(random=os.urandom), now=NOW)
    said = {"leg": sky.leg.leg, "namespaces": list(sky.leg.namespaces)} | claim
    second.identify(
        sky.saying(said["leg"], said["namespaces"], None if grant is None else notary.grant(plain, **grant))
    )
    staged = stage(second)
    for judge in (first.process, public.process):
        with pytest.raises(LeafError):
            judge(staged.commit, now=NOW)


def test_a_group_takes_no_other_clients_identity(notary):
    sea, sky = granted(notary, "sea", "sky")
    with pytest.raises(InputError):
        new_group(sea, authority=notary).identify(sky)


def test_a_certificate_is_nobody_that_a_grant_names(notary):
    (sea,) = granted(notary, "sea")
    sky = notary.granted(new_identity("sky"))
    credential = type(sky.credential)(CredentialType.X509, sky.credential.data)
    odd = type(sky)(sky.suite, sky._private, credential, sky.extensions)
    with pytest.raises(UngrantedError):
        stage(new_group(sea, authority=notary), add=[new_bundle(odd).message])


def test_a_stored_public_group_goes_on_with_the_authority_it_is_given(notary):
    first = new_group(new_identity("sea"))
    stored = PublicGroup.create(first.group_info(random=os.urandom), now=NOW).to_bytes()
    assert [one.leaf for one in PublicGroup.from_bytes(stored, authority=notary).suspects] == [0]
    assert PublicGroup.from_bytes(stored).suspects == ()
