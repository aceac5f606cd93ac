"""Stories about who may found a room, and who may change what in it: a malicious or stale endpoint against the hub."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bridge.policy.rooms import FOUNDING_STEP, changed, direct_uri, supersedes, unsound
from bridge.room_context import (
    DESCRIPTION,
    FORMER_METADATA,
    FORMER_PARTICIPANTS,
    REVISION,
    RoomContext,
    encode_context,
    room_context,
)
from bridge.router.configuration import DAY, RoomConfiguration
from bridge.router.contract import Accepted, HandshakeBundle, Kind, Refusal, RefusalCode
from protocol import cbor
from tests.unit.router.conftest import NAMES, ROOMS, House, hear, open_room
from tests.unit.router.doubles import (
    DOMAIN,
    Leaf,
    commit,
    creation,
    endpoint,
    leaf,
    namespace,
    plumbed,
    room_uri,
    says,
    text_of,
)

BALCONY = room_uri("balcony")
ROMEO, JULIET = f"{namespace('matrix')}romeo", f"{namespace('xmpp')}juliet"
DIRECT = direct_uri(DOMAIN, (ROMEO, JULIET))
TALK = RoomContext(DIRECT, "direct", "", tuple(sorted((ROMEO, JULIET))))


def code_of(answer: object) -> RefusalCode:
    assert isinstance(answer, Refusal), answer
    return answer.code


def direct(name: str, **changes: Any) -> HandshakeBundle:
    """The bundle with which endpoint ``name`` founds the room of Romeo and Juliet."""
    return creation(name, context=replace(TALK, **changes))


# Founding


async def test_a_direct_room_is_founded_by_who_speaks_for_one_of_its_people(house: House) -> None:
    assert isinstance(await house.router("xmpp").update(DIRECT, direct("xmpp")), Accepted)
    assert isinstance(await house.router("xmpp").update(DIRECT, commit("xmpp", 0, add=["matrix"])), Accepted)
    assert isinstance(await house.router("matrix").update(DIRECT, commit("matrix", 1)), Accepted)


async def test_nobody_squats_in_a_room_of_two_others(house: House) -> None:
    assert code_of(await house.router("shop").update(DIRECT, direct("shop"))) is RefusalCode.NOT_ALLOWED
    assert await house.hub.rooms() == []
    assert isinstance(await house.router("matrix").update(DIRECT, direct("matrix")), Accepted)


async def test_a_third_never_comes_into_a_direct_room(house: House) -> None:
    await house.router("xmpp").update(DIRECT, direct("xmpp"))
    await house.router("xmpp").update(DIRECT, commit("xmpp", 0, add=["matrix"]))
    for member in ("xmpp", "matrix"):
        answer = await house.router(member).update(DIRECT, commit(member, 1, add=["shop"]))
        assert code_of(answer) is RefusalCode.NOT_ALLOWED
    swapped = commit("xmpp", 1, add=["shop"], remove=["matrix"])
    assert code_of(await house.router("xmpp").update(DIRECT, swapped)) is RefusalCode.NOT_ALLOWED


@pytest.mark.parametrize(
    "said",
    [
        None,
        replace(TALK, uri=BALCONY),
        replace(TALK, participants=(ROMEO, f"{namespace('xmpp')}nurse")),
        replace(TALK, participants=(JULIET,)),
        replace(TALK, participants=tuple(sorted((JULIET, ROMEO, f"{namespace('xmpp')}nurse")))),
        replace(TALK, founding=FOUNDING_STEP + 1),
    ],
)
async def test_a_room_that_says_something_wrong_of_itself_is_not_founded(house: House, said: RoomContext) -> None:
    answer = await house.router("xmpp").update(DIRECT, creation("xmpp", context=said))
    assert code_of(answer) is RefusalCode.INVALID_PROPOSAL


async def test_a_direct_room_does_not_pass_for_a_plumbed_one(house: House) -> None:
    answer = await house.router("xmpp").update(DIRECT, direct("xmpp", kind="group"))
    assert code_of(answer) is RefusalCode.NOT_ALLOWED


async def test_a_plumbed_room_is_one_that_the_configuration_or_a_record_names(house: House) -> None:
    tower = room_uri("tower")
    unknown = await house.router("xmpp").update(tower, creation("xmpp", room="tower"))
    assert code_of(unknown) is RefusalCode.NOT_ALLOWED
    recorded = RoomConfiguration(records={tower: frozenset((endpoint("xmpp"), endpoint("shop")))}.get)
    await house.restart(rooms=recorded)
    xmpp = house.router("xmpp")
    assert isinstance(await xmpp.update(tower, creation("xmpp", room="tower")), Accepted)
    assert code_of(await xmpp.update(tower, commit("xmpp", 0, add=["matrix"]))) is RefusalCode.NOT_ALLOWED
    assert isinstance(await xmpp.update(tower, commit("xmpp", 0, add=["shop"])), Accepted)


# What is fixed


@pytest.mark.parametrize(
    "rewritten",
    [
        {"kind": "direct"},
        {"uri": room_uri("orchard")},
        {"name": "Another"},
        {"participants": (ROMEO,)},
        {"founding": 1},
        {"revision": 0},
    ],
)
async def test_a_commit_that_rewrites_the_description_is_invalid(house: House, rewritten: dict[str, Any]) -> None:
    xmpp = house.router("xmpp")
    said = plumbed("balcony", revision=3)
    await xmpp.update(BALCONY, creation("xmpp", context=said))
    answer = await xmpp.update(BALCONY, commit("xmpp", 0, context=replace(said, **rewritten)))
    assert code_of(answer) is RefusalCode.INVALID_PROPOSAL
    assert isinstance(await xmpp.update(BALCONY, commit("xmpp", 0, context=replace(said, revision=4))), Accepted)
    view = await house.hub.room(BALCONY)
    assert view is not None and (view.epoch, view.revision) == (1, 4)


async def test_a_commit_said_again_is_answered_as_before_and_counts_once(house: House) -> None:
    xmpp = house.router("xmpp")
    await open_room(xmpp, "matrix")
    bundle = commit("xmpp", 1, text="refresh")
    first = await xmpp.update(BALCONY, bundle)
    assert isinstance(first, Accepted)
    assert await xmpp.update(BALCONY, bundle) == replace(first, repeated=True)
    view = await house.hub.room(BALCONY)
    assert view is not None and view.epoch == 2


# Who goes


async def test_nobody_removes_whom_the_configuration_names(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix", "shop")
    answer = await house.router("matrix").update(BALCONY, commit("matrix", 2, remove=["shop"]))
    assert code_of(answer) is RefusalCode.NOT_ALLOWED


async def test_a_newer_configuration_may_remove_and_one_of_the_same_revision_may_not(house: House) -> None:
    await house.restart(rooms=replace(ROOMS, revision=7))
    xmpp = house.router("xmpp")
    await open_room(xmpp, "matrix")
    same, newer = plumbed("balcony", revision=7), plumbed("balcony", revision=8)
    refused = await xmpp.update(BALCONY, commit("xmpp", 1, remove=["matrix"], context=same))
    assert code_of(refused) is RefusalCode.NOT_ALLOWED
    assert isinstance(await xmpp.update(BALCONY, commit("xmpp", 1, remove=["matrix"], context=newer)), Accepted)


async def test_whom_nothing_names_may_be_removed_and_does_nothing_more(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix", "shop")
    await house.restart(rooms=RoomConfiguration({BALCONY: frozenset((endpoint("xmpp"), endpoint("matrix")))}))
    shop = house.router("shop")
    for bundle in (commit("shop", 2), commit("shop", 2, text="external")):
        assert code_of(await shop.update(BALCONY, bundle)) is RefusalCode.NOT_ALLOWED
    answer = await house.router("matrix").update(BALCONY, commit("matrix", 2, remove=["shop"]))
    assert isinstance(answer, Accepted)
    (refused,) = await shop.submit([says("shop", "wait", epoch=3)])
    assert code_of(refused) is RefusalCode.NOT_ALLOWED


async def test_who_is_away_for_ever_and_whose_leaf_is_not_granted_may_be_removed(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix", "shop")
    house.clock.now += 31 * DAY
    await house.router("matrix").publish([])
    xmpp = house.router("xmpp")
    assert code_of(await xmpp.update(BALCONY, commit("xmpp", 2, remove=["matrix"]))) is RefusalCode.NOT_ALLOWED
    assert isinstance(await xmpp.update(BALCONY, commit("xmpp", 2, remove=["shop"])), Accepted)
    orchard = room_uri("orchard")
    await xmpp.update(orchard, creation("xmpp", room="orchard", suspects=(endpoint("matrix"),)))
    await xmpp.update(orchard, commit("xmpp", 0, add=["matrix"]))
    assert isinstance(await xmpp.update(orchard, commit("xmpp", 1, remove=["matrix"])), Accepted)


async def test_who_leaves_loses_what_waited_and_those_who_stay_hear_of_it(house: House) -> None:
    await house.restart(rooms=RoomConfiguration({BALCONY: frozenset(map(endpoint, NAMES))}))
    await open_room(house.router("xmpp"), "matrix", "shop")
    await house.router("xmpp").submit([says("xmpp", "for both", epoch=2)])
    newer = plumbed("balcony", revision=1)
    await house.router("matrix").update(BALCONY, commit("matrix", 2, remove=["shop"], context=newer))
    await house.router("xmpp").submit([says("xmpp", "without the shop", epoch=3)])
    left = (await hear(house.router("xmpp"), 4))[-1]
    assert (left.kind, left.epoch, msgspec.json.decode(left.body)) == (Kind.LEFT, 3, [endpoint("shop")])
    matrix = await hear(house.router("matrix"), 5)
    assert [note.kind for note in matrix[-3:]] == [Kind.COMMIT, Kind.LEFT, Kind.APPLICATION]
    assert [note.kind for note in await hear(house.router("shop"), 2)] == [Kind.WELCOME, Kind.COMMIT]


# Founding anew


async def anew(house: House, name: str, founding: int, *, group: str = "g2") -> Accepted | Refusal:
    return await house.router(name).update(BALCONY, creation(name, group=group, founding=founding))


async def test_a_higher_founding_number_supersedes_the_group_and_nothing_else_does(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    for founding in (0, FOUNDING_STEP + 1):
        refused = await anew(house, "matrix", founding)
        assert code_of(refused) is RefusalCode.ROOM_EXISTS
        assert isinstance(refused, Refusal) and (refused.epoch, refused.founding) == (1, 0)
    first = await anew(house, "matrix", 3)
    assert isinstance(first, Accepted)
    assert await anew(house, "matrix", 3) == replace(first, repeated=True)
    for founding in (1, 2, 3):
        assert code_of(await anew(house, "xmpp", founding, group="g3")) is RefusalCode.ROOM_EXISTS
    view = await house.hub.room(BALCONY)
    assert view is not None
    assert (view.founding, view.epoch, view.group_id) == (3, 0, b"g2")
    assert [member.endpoint for member in view.members] == [endpoint("matrix")]
    welcomed = await house.router("matrix").update(BALCONY, commit("matrix", 0, add=["xmpp"], group="g2"))
    assert isinstance(welcomed, Accepted)


async def test_a_room_is_founded_anew_by_who_belongs_there_and_by_nobody_else(house: House) -> None:
    await house.router("xmpp").update(DIRECT, direct("xmpp"))
    squatting = await house.router("shop").update(
        DIRECT, creation("shop", group="g2", context=replace(TALK, founding=1))
    )
    assert code_of(squatting) is RefusalCode.NOT_ALLOWED
    entitled = creation("matrix", group="g2", context=replace(TALK, founding=1))
    assert isinstance(await house.router("matrix").update(DIRECT, entitled), Accepted)
    same_group = creation("matrix", group="g2", context=replace(TALK, founding=2))
    assert code_of(await house.router("matrix").update(DIRECT, same_group)) is RefusalCode.ROOM_EXISTS


async def test_what_is_said_to_the_old_group_is_sealed_anew_and_nothing_is_put_there_twice(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    (before,) = await house.router("xmpp").submit([says("xmpp", "before", epoch=1)])
    await anew(house, "matrix", 1)
    await house.router("matrix").update(BALCONY, commit("matrix", 0, add=["xmpp"], group="g2"))
    again, late, well = await house.router("xmpp").submit(
        [says("xmpp", "before", epoch=1), says("xmpp", "late", epoch=1), says("xmpp", "well", epoch=1, group="g2")]
    )
    assert again == replace(before, repeated=True)
    assert isinstance(late, Refusal)
    assert (late.code, late.epoch, late.founding) == (RefusalCode.EPOCH_TOO_OLD, 1, 1)
    assert isinstance(well, Accepted)
    stale = await house.router("xmpp").update(BALCONY, commit("xmpp", 1, group="g"))
    assert isinstance(stale, Refusal) and (stale.code, stale.founding) == (RefusalCode.WRONG_EPOCH, 1)
    heard = await hear(house.router("matrix"), 4)
    assert text_of(heard[1].body) == "before", "the old group is read to its end"
    assert text_of(heard[-1].body) == "well"


async def test_an_old_founding_played_again_changes_nothing(house: House) -> None:
    old = creation("xmpp")
    await house.router("xmpp").update(BALCONY, old)
    await anew(house, "matrix", 1)
    assert code_of(await house.router("xmpp").update(BALCONY, old)) is RefusalCode.ROOM_EXISTS


async def test_a_leaf_of_an_endpoint_that_is_named_must_still_be_its_own(house: House) -> None:
    await house.router("xmpp").update(DIRECT, direct("xmpp"))
    stolen = Leaf(endpoint("matrix"), (namespace("shop"),))
    answer = await house.router("xmpp").update(DIRECT, commit("xmpp", 0, add=[stolen]))
    assert code_of(answer) is RefusalCode.NOT_ALLOWED
    assert leaf("matrix").namespaces == (namespace("matrix"),)


# The pure rules


def test_both_sides_compute_the_same_uri_in_whichever_order() -> None:
    assert direct_uri(DOMAIN, (ROMEO, JULIET)) == direct_uri(DOMAIN, (JULIET, ROMEO))
    assert direct_uri(DOMAIN, (ROMEO, JULIET)) != direct_uri("elsewhere.example", (ROMEO, JULIET))
    assert unsound(TALK, DIRECT, DOMAIN) == ""
    assert changed(TALK, replace(TALK, revision=9)) == ""


@pytest.mark.parametrize(
    ("before", "founding", "may"),
    [(-1, 0, True), (-1, 5, True), (0, 0, False), (3, 2, False), (3, 4, True), (3, 4 + FOUNDING_STEP, False)],
)
def test_founding_numbers_rise_by_bounded_steps(before: int, founding: int, may: bool) -> None:
    assert supersedes(before, founding) is may


def test_a_description_is_read_as_it_was_written() -> None:
    said = RoomContext(DIRECT, "direct", "Verona", TALK.participants, founding=2, revision=7)
    assert room_context(encode_context(said)) == said
    assert room_context({DESCRIPTION: encode_context(said)[DESCRIPTION]}) == replace(said, revision=0)


def test_a_description_of_before_is_read_as_founded_for_the_first_time() -> None:
    former = {
        FORMER_METADATA: cbor.encode({"uri": DIRECT, "kind": "direct", "name": ""}),
        FORMER_PARTICIPANTS: cbor.encode({"users": [JULIET, ROMEO]}),
    }
    assert room_context(former) == TALK


@pytest.mark.parametrize(
    "components",
    [
        {},
        {DESCRIPTION: b"\xff"},
        {DESCRIPTION: b"\x80"},
        {FORMER_METADATA: b"\x80", FORMER_PARTICIPANTS: b"\x80"},
        {FORMER_METADATA: b"\xff", FORMER_PARTICIPANTS: b"\x80"},
        encode_context(TALK) | {REVISION: cbor.encode(-1)},
        encode_context(TALK) | {REVISION: cbor.encode("7")},
        encode_context(replace(TALK, founding=-1)),
    ],
)
def test_a_description_that_makes_no_sense_is_none(components: dict[int, bytes]) -> None:
    assert room_context(components) is None
