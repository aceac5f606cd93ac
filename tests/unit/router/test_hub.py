"""Stories about the hub, in one process, on a real database."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from bridge.router.contract import Accepted, BadRequest, HandshakeBundle, Kind, Refusal, RefusalCode
from tests.unit.router.conftest import House, hear, open_room
from tests.unit.router.doubles import (
    Leaf,
    Plain,
    commit,
    creation,
    endpoint,
    key_package,
    leaf,
    namespace,
    room_uri,
    says,
    text_of,
)

BALCONY = room_uri("balcony")


def code_of(answer: object) -> RefusalCode:
    assert isinstance(answer, Refusal), answer
    return answer.code


async def send(house: House, name: str, *texts: str, epoch: int = 1, **changes):
    return await house.router(name).submit([says(name, text, epoch=epoch, **changes) for text in texts])


# Rooms


async def test_two_endpoints_meet_in_a_room_and_talk(house: House) -> None:
    xmpp, matrix = house.router("xmpp"), house.router("matrix")
    await open_room(xmpp, "matrix")
    await send(house, "xmpp", "But soft")
    await send(house, "matrix", "Ay me")
    heard = await hear(matrix, 2)
    assert [(note.kind, note.epoch) for note in heard] == [(Kind.WELCOME, 1), (Kind.APPLICATION, 1)]
    assert text_of(heard[1].body) == "But soft"
    own_commit, answer = await hear(xmpp, 2)
    assert own_commit.kind is Kind.COMMIT and own_commit.sender == xmpp.endpoint
    assert text_of(answer.body) == "Ay me"
    assert (own_commit.sequence, heard[0].sequence, heard[1].sequence, answer.sequence) == (1, 1, 2, 3)


async def test_of_two_who_create_the_same_room_the_second_waits_for_its_welcome(house: House) -> None:
    xmpp, matrix = house.router("xmpp"), house.router("matrix")
    answers = await asyncio.gather(
        xmpp.update(BALCONY, creation("xmpp", group="one")), matrix.update(BALCONY, creation("matrix", group="two"))
    )
    assert isinstance(answers[0], Accepted)
    assert code_of(answers[1]) is RefusalCode.ROOM_EXISTS


async def test_of_two_commits_in_one_epoch_the_first_wins_and_the_other_learns_the_epoch(house: House) -> None:
    xmpp, matrix = house.router("xmpp"), house.router("matrix")
    await open_room(xmpp, "matrix")
    first, second = await asyncio.gather(
        xmpp.update(BALCONY, commit("xmpp", 1, add=["shop"])), matrix.update(BALCONY, commit("matrix", 1))
    )
    assert isinstance(first, Accepted)
    assert (first.sequence, first.at) == (2, house.clock.now)
    assert code_of(second) is RefusalCode.WRONG_EPOCH and second.epoch == 2
    assert isinstance(await matrix.update(BALCONY, commit("matrix", 2)), Accepted)


async def test_a_commit_whose_answer_was_lost_may_be_sent_again(house: House) -> None:
    xmpp = house.router("xmpp")
    await open_room(xmpp, "matrix")
    bundle = commit("xmpp", 1, text="refresh")
    first = await xmpp.update(BALCONY, bundle)
    await house.restart()
    again = await house.router("xmpp").update(BALCONY, bundle)
    assert again == replace(first, repeated=True)
    created = await house.router("xmpp").update(BALCONY, creation("xmpp"))
    assert isinstance(created, Accepted) and created.repeated


async def test_a_commit_must_come_from_who_signed_it(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    answer = await house.router("matrix").update(BALCONY, commit("xmpp", 1))
    assert code_of(answer) is RefusalCode.NOT_ALLOWED


async def test_who_is_not_in_the_room_cannot_change_it(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    answer = await house.router("shop").update(BALCONY, commit("shop", 1, add=["shop"]))
    assert code_of(answer) is RefusalCode.NOT_ALLOWED


@pytest.mark.parametrize(
    "stranger",
    [
        Leaf(endpoint("shop"), (namespace("xmpp"),)),
        Leaf(endpoint("shop"), (namespace("shop"), namespace("matrix"))),
        Leaf("mimi://elsewhere.example/d/spy", (namespace("shop"),)),
        Leaf(endpoint("spy"), ()),
        Leaf(endpoint("shop"), (f"mimi://{'bridge.example'}/u/",)),
    ],
)
async def test_a_leaf_may_not_claim_names_that_its_endpoint_was_not_given(house: House, stranger: Leaf) -> None:
    await open_room(house.router("xmpp"), "matrix")
    answer = await house.router("xmpp").update(BALCONY, commit("xmpp", 1, add=[stranger]))
    assert code_of(answer) is RefusalCode.NOT_ALLOWED
    created = creation("shop", leaves=(stranger,), room="orchard")
    assert code_of(await house.router("shop").update(room_uri("orchard"), created)) is RefusalCode.NOT_ALLOWED


async def test_a_leaf_may_claim_less_than_its_endpoint_was_given(house: House) -> None:
    narrow = Leaf(endpoint("shop"), (f"{namespace('shop')}flowers",))
    await open_room(house.router("xmpp"))
    assert isinstance(await house.router("xmpp").update(BALCONY, commit("xmpp", 0, add=[narrow])), Accepted)


async def test_an_endpoint_has_one_leaf_in_a_room(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    answer = await house.router("xmpp").update(BALCONY, commit("xmpp", 1, add=["matrix"]))
    assert code_of(answer) is RefusalCode.INVALID_PROPOSAL


async def test_an_endpoint_that_lost_its_leaf_is_removed_and_added_in_one_commit(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    answer = await house.router("xmpp").update(BALCONY, commit("xmpp", 1, remove=["matrix"], add=["matrix"]))
    assert isinstance(answer, Accepted)
    kinds = [note.kind for note in await hear(house.router("matrix"), 3)]
    assert kinds == [Kind.WELCOME, Kind.COMMIT, Kind.WELCOME]


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        (HandshakeBundle(group_info=b"\x00\xff"), RefusalCode.MALFORMED),
        (creation("xmpp", signed=False), RefusalCode.INVALID_PROPOSAL),
        (creation("xmpp", epoch=3), RefusalCode.INVALID_PROPOSAL),
        (creation("xmpp", leaves=(leaf("xmpp"), leaf("matrix"))), RefusalCode.INVALID_PROPOSAL),
        (creation("matrix"), RefusalCode.NOT_ALLOWED),
        (commit("xmpp", 0), RefusalCode.NO_SUCH_ROOM),
        (HandshakeBundle(group_info=b"x" * 20_000), RefusalCode.TOO_LARGE),
    ],
)
async def test_a_room_that_begins_wrongly_is_refused(house: House, bundle: HandshakeBundle, code: RefusalCode) -> None:
    assert code_of(await house.router("xmpp").update(BALCONY, bundle)) is code
    assert await house.hub.rooms() == []


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        (commit("xmpp", 1, signed=False), RefusalCode.INVALID_PROPOSAL),
        (commit("xmpp", 0), RefusalCode.WRONG_EPOCH),
        (commit("xmpp", 7), RefusalCode.WRONG_EPOCH),
        (commit("xmpp", 1, group="another"), RefusalCode.INVALID_PROPOSAL),
        (HandshakeBundle(commit=b"garbage", group_info=b"{}"), RefusalCode.MALFORMED),
        (
            HandshakeBundle(commit=commit("xmpp", 1, add=["shop"]).commit, group_info=b"{}"),
            RefusalCode.INVALID_PROPOSAL,
        ),
        (
            HandshakeBundle(commit=commit("xmpp", 1).commit, welcome=b"for nobody", group_info=b"{}"),
            RefusalCode.INVALID_PROPOSAL,
        ),
    ],
)
async def test_an_unsound_commit_changes_nothing(house: House, bundle: HandshakeBundle, code: RefusalCode) -> None:
    await open_room(house.router("xmpp"), "matrix")
    before = await house.hub.room(BALCONY)
    assert code_of(await house.router("xmpp").update(BALCONY, bundle)) is code
    assert await house.hub.room(BALCONY) == before


@pytest.mark.parametrize(
    ("room", "code"),
    [
        ("balcony", RefusalCode.MALFORMED),
        ("mimi://elsewhere.example/r/balcony", RefusalCode.NO_SUCH_ROOM),
        ("mimi://bridge.example/u/xmpp~romeo", RefusalCode.NO_SUCH_ROOM),
    ],
)
async def test_rooms_have_names_under_our_own_domain(house: House, room: str, code: RefusalCode) -> None:
    assert code_of(await house.router("xmpp").update(room, creation("xmpp"))) is code


async def test_the_group_info_is_for_members(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    expected = commit("xmpp", 0, add=["matrix"]).group_info
    assert await house.router("matrix").group_info(BALCONY) == expected
    assert code_of(await house.router("shop").group_info(BALCONY)) is RefusalCode.NOT_ALLOWED
    assert code_of(await house.router("xmpp").group_info(room_uri("nowhere"))) is RefusalCode.NO_SUCH_ROOM


async def test_rooms_are_listed_with_their_members_legs(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    (view,) = await house.router("matrix").rooms()
    assert [member.endpoint for member in view.members] == [endpoint("xmpp"), endpoint("matrix")]
    assert view.members[0].namespaces == (namespace("xmpp"),)
    assert await house.router("shop").rooms() == []
    assert await house.hub.room(BALCONY) == view
    assert await house.hub.room(room_uri("nowhere")) is None


# Messages


async def test_a_message_may_be_submitted_again_and_is_there_once(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    (first,) = await send(house, "xmpp", "hello")
    house.clock.now += 5000
    await house.restart()
    (again,) = await send(house, "xmpp", "hello")
    assert again == replace(first, repeated=True)
    heard = await hear(house.router("matrix"), 2)
    assert [note.kind for note in heard] == [Kind.WELCOME, Kind.APPLICATION]


async def test_each_message_has_an_answer_of_its_own(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    good, spoofed, bad, last = await house.router("xmpp").submit(
        [
            says("xmpp", "one", epoch=1),
            says("xmpp", "two", epoch=1, sender=endpoint("matrix")),
            says("xmpp", "three", epoch=1, body=b"\xff"),
            says("xmpp", "four", epoch=1),
        ]
    )
    assert (good.sequence, last.sequence) == (2, 3)
    assert code_of(spoofed) is RefusalCode.NOT_ALLOWED
    assert code_of(bad) is RefusalCode.MALFORMED


async def test_messages_that_do_not_fit_their_room_are_refused(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    cases = {
        RefusalCode.NO_SUCH_ROOM: says("xmpp", "x", room="nowhere", epoch=1),
        RefusalCode.EPOCH_TOO_OLD: says("xmpp", "x", epoch=0),
        RefusalCode.WRONG_EPOCH: says("xmpp", "x", epoch=2),
        RefusalCode.TOO_LARGE: says("xmpp", "x" * 5000, epoch=1),
    }
    answers = await house.router("xmpp").submit(list(cases.values()))
    assert [code_of(answer) for answer in answers] == list(cases)
    assert answers[1].epoch == 1
    (foreign,) = await house.router("shop").submit([says("shop", "let me in", epoch=1)])
    assert code_of(foreign) is RefusalCode.NOT_ALLOWED
    mislabelled = says("xmpp", "x", epoch=1, body=says("xmpp", "x", epoch=0).body)
    borrowed = says("xmpp", "x", epoch=1, group="another")
    handshake = says("xmpp", "x", epoch=1, body=commit("xmpp", 1).commit)
    for envelope in (mislabelled, borrowed, handshake):
        (answer,) = await house.router("xmpp").submit([envelope])
        assert code_of(answer) is RefusalCode.MALFORMED


async def test_nothing_submitted_is_no_work(house: House) -> None:
    assert list(await house.router("xmpp").submit([])) == []


async def test_typing_reaches_who_listens_and_is_kept_nowhere(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix", "shop")
    matrix = house.router("matrix")
    cursor = (await hear(matrix, 2))[-1].cursor
    async with aclosing(matrix.notify(cursor)) as batches:
        listening = asyncio.create_task(anext(batches))
        await asyncio.sleep(0.05)
        (answer,) = await send(house, "xmpp", "typing", epoch=2, kind=Kind.PASSING)
        (note,) = await asyncio.wait_for(listening, 5)
    assert answer == Accepted(sequence=0, at=house.clock.now)
    assert (note.kind, note.position, note.cursor, note.sequence) == (Kind.PASSING, 0, "", 0)
    assert text_of(note.body) == "typing"
    await send(house, "xmpp", "hello", epoch=2)
    assert [text_of(note.body) for note in await hear(matrix, 1, cursor)] == ["hello"]
    assert [text_of(note.body) for note in (await hear(house.router("shop"), 2))[1:]] == ["hello"]


async def test_typing_is_judged_like_a_message(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    (old,) = await send(house, "xmpp", "typing", epoch=0, kind=Kind.PASSING)
    (foreign,) = await send(house, "shop", "typing", kind=Kind.PASSING)
    (nowhere,) = await send(house, "xmpp", "typing", room="nowhere", kind=Kind.PASSING)
    codes = [code_of(answer) for answer in (old, foreign, nowhere)]
    assert codes == [RefusalCode.EPOCH_TOO_OLD, RefusalCode.NOT_ALLOWED, RefusalCode.NO_SUCH_ROOM]


async def test_the_operator_can_look_at_the_routers_own_record_of_a_message(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "xmpp", "hello")
    record = await house.hub.message(BALCONY, 2)
    assert record is not None and record.body == says("xmpp", "hello", epoch=1).body


# Fan-out


async def test_an_endpoint_that_comes_back_goes_on_exactly_where_it_was(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    texts = [str(n) for n in range(700)]
    await send(house, "xmpp", *texts)
    cursor, read = "", []
    for visit in range(10):
        if visit == 5:
            await house.restart()
        heard = await hear(house.router("matrix"), 1, cursor)
        read += heard
        cursor = heard[-1].cursor
        if len(read) == 701:
            break
    assert [text_of(note.body) for note in read[1:]] == texts


async def test_a_listener_hears_what_was_before_and_what_comes_while_it_listens(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "xmpp", *(str(n) for n in range(300)))
    listening = asyncio.create_task(hear(house.router("matrix"), 601))
    for start in range(300, 600, 10):
        await send(house, "xmpp", *(str(n) for n in range(start, start + 10)))
        await asyncio.sleep(0)
    heard = await listening
    assert [text_of(note.body) for note in heard[1:]] == [str(n) for n in range(600)]


async def test_a_listener_that_falls_far_behind_loses_nothing(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    async with aclosing(house.router("matrix").notify("")) as batches:
        heard = list(await anext(batches))
        waiting = asyncio.create_task(anext(batches))
        await asyncio.sleep(0.05)
        for start in range(0, 2600, 200):
            await send(house, "xmpp", *(str(n) for n in range(start, start + 200)))
        heard += await waiting
        while len(heard) < 2601:
            heard += await asyncio.wait_for(anext(batches), 5)
    assert [text_of(note.body) for note in heard[1:]] == [str(n) for n in range(2600)]


async def test_two_listeners_of_one_endpoint_hear_the_same(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    both = asyncio.gather(hear(house.router("matrix"), 3), hear(house.router("matrix"), 3))
    await send(house, "xmpp", "one", "two")
    first, second = await both
    assert first == second


async def test_what_is_acknowledged_is_forgotten_after_a_while(house: House) -> None:
    await open_room(house.router("xmpp"), "matrix")
    await send(house, "xmpp", "hello")
    last = (await hear(house.router("matrix"), 2))[-1].cursor
    await house.router("matrix").acknowledge(last)
    await house.router("xmpp").acknowledge(last)
    house.clock.now += 2 * 24 * 3600 * 1000
    assert await house.hub.prune() > 0
    record = await house.hub.message(BALCONY, 2)
    assert record is not None and record.body == b""


@pytest.mark.parametrize("cursor", ["-1", "x", "1.", ".", ".7", "a.b", "4a.-1", "4a.\u0663", "4a." + "9" * 80])
async def test_what_is_no_cursor_is_a_fault_of_the_caller(house: House, cursor: str) -> None:
    with pytest.raises(BadRequest):
        await anext(aiter(house.router("matrix").notify(cursor)))


# KeyPackages and people


async def test_key_packages_are_handed_out_once_and_then_the_last_resort(house: House) -> None:
    matrix, xmpp = house.router("matrix"), house.router("xmpp")
    packages = [key_package("matrix", n) for n in range(2)]
    last = key_package("matrix", 99)
    assert await matrix.publish(packages, last_resort=last) == 2
    claims = [await xmpp.key_material(matrix.endpoint) for _ in range(4)]
    assert [list(claim) for claim in claims] == [[package] for package in (*packages, last, last)]
    assert await matrix.publish([]) == 0


async def test_without_key_packages_there_is_no_adding(house: House) -> None:
    exhausted = await house.router("xmpp").key_material(endpoint("matrix"))
    unknown = await house.router("xmpp").key_material(endpoint("spy"))
    assert code_of(exhausted) is RefusalCode.KEY_MATERIAL_EXHAUSTED
    assert code_of(unknown) is RefusalCode.USER_UNKNOWN


@pytest.mark.parametrize(
    "package",
    [
        b"\xff",
        key_package("matrix", signed=False),
        key_package("matrix", expires=1),
        key_package("xmpp"),
        key_package("matrix", leaves=(Leaf(endpoint("matrix"), (namespace("xmpp"),)),)),
        Plain("application").encode(),
    ],
)
async def test_an_unsound_or_foreign_key_package_is_refused_and_none_of_its_company_kept(
    house: House, package: bytes
) -> None:
    matrix = house.router("matrix")
    with pytest.raises(BadRequest):
        await matrix.publish([key_package("matrix"), package])
    with pytest.raises(BadRequest):
        await matrix.publish([], last_resort=package)
    assert await matrix.publish([]) == 0


async def test_too_many_key_packages_at_once_are_refused(house: House) -> None:
    with pytest.raises(BadRequest, match="1000 are allowed"):
        await house.router("matrix").publish([b""] * 1001)


async def test_people_are_found_by_the_namespace_that_they_are_in(house: House) -> None:
    xmpp = house.router("xmpp")
    assert await xmpp.identifier_query(f"{namespace('matrix')}%40romeo%3Averona.example") == (endpoint("matrix"),)
    assert await xmpp.identifier_query("mimi://bridge.example/u/smoke~signals") == ()
