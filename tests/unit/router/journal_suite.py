"""What every journal engine must do. A test class inherits ``JournalSuite`` and gives a fixture ``reopen``.

``reopen()`` returns a started-over journal on the same storage, not yet started: called twice, the second must find
what the first one kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from bridge.router.contract import Accepted, Envelope, Kind, Member, Refusal, RefusalCode
from bridge.router.journal import Fanned, Journal, KeyPackageRecord, Post, RoomChange, RoomState
from protocol.leg import LegClass

XMPP, MATRIX, SHOP = (f"mimi://bridge.example/d/{name}" for name in ("xmpp", "matrix", "shop"))
ROOM, OTHER = "mimi://bridge.example/r/balcony", "mimi://bridge.example/r/orchard"
DAY = 24 * 3600 * 1000
Reopen = Callable[[], Journal]


def leaf(endpoint: str, index: int) -> Member:
    return Member(endpoint=endpoint, leaf=index, leg=LegClass.OPERATOR, namespaces=(f"{endpoint}/u/",))


def members(*endpoints: str) -> tuple[Member, ...]:
    return tuple(leaf(endpoint, index) for index, endpoint in enumerate(endpoints))


def becomes(epoch: int, *endpoints: str, posts: tuple[Post, ...] = ()) -> RoomChange:
    return RoomChange(
        group_id=b"group",
        epoch=epoch,
        members=members(*endpoints),
        group=b"state %d" % epoch,
        group_info=b"info %d" % epoch,
        posts=posts,
    )


def says(body: str, *, sender: str = XMPP, room: str = ROOM, epoch: int = 0) -> Envelope:
    return Envelope(room=room, epoch=epoch, sender=sender, body=body.encode())


@dataclass
class Bench:
    """A started journal and what it told its listener."""

    journal: Journal
    told: list[Fanned] = field(default_factory=list)

    async def found(self, *endpoints: str, room: str = ROOM) -> Accepted:
        answer = await self.journal.change(room, endpoints[0], room.encode(), 1000, lambda _: becomes(0, *endpoints))
        assert isinstance(answer, Accepted)
        return answer

    async def say(self, *bodies: str, sender: str = XMPP, now: int = 2000, room: str = ROOM, epoch: int = 0):
        return await self.journal.append([says(body, sender=sender, room=room, epoch=epoch) for body in bodies], now)

    async def read(self, endpoint: str, after: int = 0, limit: int = 100) -> list[str]:
        return [note.body.decode() for note in await self.journal.fetch(endpoint, after, limit)]


Open = Callable[[], Awaitable[Bench]]


class JournalSuite:
    """The suite."""

    @pytest.fixture
    async def open_bench(self, reopen: Reopen):
        started: list[Journal] = []

        async def open_bench() -> Bench:
            for journal in started:
                await journal.stop()
            started.clear()
            bench = Bench(reopen())
            await bench.journal.start(bench.told.extend)
            started.append(bench.journal)
            await bench.journal.enrol([XMPP, MATRIX, SHOP])
            return bench

        yield open_bench
        for journal in started:
            await journal.stop()

    @pytest.fixture
    async def bench(self, open_bench: Open) -> Bench:
        return await open_bench()

    # Order

    async def test_messages_get_consecutive_places_and_reach_everybody_else(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX, SHOP)
        answers = await bench.say("hello", "dear", "Romeo")
        assert [answer.sequence for answer in answers] == [1, 2, 3]
        assert await bench.read(MATRIX) == ["hello", "dear", "Romeo"]
        assert await bench.read(SHOP) == ["hello", "dear", "Romeo"]
        assert await bench.read(XMPP) == []

    async def test_rooms_count_for_themselves_and_positions_for_all(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.found(XMPP, MATRIX, room=OTHER)
        answers = await bench.journal.append([says("a"), says("b", room=OTHER), says("c"), says("d", room=OTHER)], 2000)
        assert [answer.sequence for answer in answers] == [1, 1, 2, 2]
        notes = await bench.journal.fetch(MATRIX, 0, 100)
        assert [note.body for note in notes] == [b"a", b"b", b"c", b"d"]
        positions = [note.position for note in notes]
        assert positions == sorted(set(positions))

    async def test_a_notification_says_everything_about_a_message(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        (answer,) = await bench.say("hello", now=2500)
        (note,) = await bench.journal.fetch(MATRIX, 0, 100)
        assert (note.room, note.sequence, note.kind, note.epoch, note.sender, note.body, note.at) == (
            ROOM, 1, Kind.APPLICATION, 0, XMPP, b"hello", 2500,
        )  # fmt: skip
        assert answer == Accepted(sequence=1, at=2500, cursor=note.cursor)
        assert bench.told == [Fanned(note, (MATRIX,))]

    async def test_concurrent_calls_keep_the_order_within_each_and_leave_no_gap(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        answers = await asyncio.gather(*(bench.say(f"{n}a", f"{n}b") for n in range(100)))
        sequences = [answer.sequence for call in answers for answer in call]
        assert sorted(sequences) == list(range(1, 201))
        assert all(second == first + 1 for first, second in ([a.sequence for a in call] for call in answers))
        positions = [fanned.notification.position for fanned in bench.told]
        assert positions == sorted(positions) and len(positions) == 200

    async def test_the_accepted_time_never_goes_back_in_a_room(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        times = [(await bench.say(str(now), now=now))[0].at for now in (5000, 3000, 7000, 6999)]
        assert times == [5000, 5000, 7000, 7000]

    async def test_everything_is_still_there_after_a_restart(self, open_bench: Open) -> None:
        bench = await open_bench()
        await bench.found(XMPP, MATRIX)
        await bench.say("before")
        bench = await open_bench()
        (again,) = await bench.say("after")
        assert again.sequence == 2
        assert await bench.read(MATRIX) == ["before", "after"]

    # Refusals and repetition

    async def test_a_repeated_message_is_answered_as_before_and_not_told_again(self, open_bench: Open) -> None:
        bench = await open_bench()
        await bench.found(XMPP, MATRIX)
        (first,) = await bench.say("hello")
        (second,) = await bench.say("hello", now=9000)
        assert second == replace(first, repeated=True)
        bench = await open_bench()
        (third,) = await bench.say("hello", now=9000)
        assert third == second
        assert await bench.read(MATRIX) == ["hello"] and bench.told == []

    async def test_a_repetition_within_one_call_is_seen(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        first, second, third = await bench.say("hello", "hello", "world")
        assert (first.repeated, second.repeated, third.repeated) == (False, True, False)
        assert third.sequence == 2

    async def test_the_same_body_in_another_room_is_another_message(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.found(XMPP, MATRIX, room=OTHER)
        (one,) = await bench.say("hello")
        (two,) = await bench.say("hello", room=OTHER)
        assert not one.repeated and not two.repeated

    async def test_an_unknown_room_is_refused_and_its_neighbours_are_not(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        refused, accepted = await bench.journal.append([says("lost", room=OTHER), says("found")], 2000)
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.NO_SUCH_ROOM
        assert (accepted.sequence, accepted.at, accepted.repeated) == (1, 2000, False)

    async def test_who_is_not_in_the_room_is_refused(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        (refused,) = await bench.say("let me in", sender=SHOP)
        assert refused.code is RefusalCode.NOT_ALLOWED
        assert await bench.read(MATRIX) == []

    async def test_another_epoch_than_the_rooms_is_refused_with_the_current_one(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.journal.change(ROOM, XMPP, b"c", 2000, lambda _: becomes(1, XMPP, MATRIX))
        (old,) = await bench.say("old", epoch=0)
        (new,) = await bench.say("new", epoch=2)
        assert (old.code, old.epoch) == (RefusalCode.EPOCH_TOO_OLD, 1)
        assert (new.code, new.epoch) == (RefusalCode.WRONG_EPOCH, 1)

    async def test_a_message_accepted_in_a_past_epoch_is_still_known(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        (first,) = await bench.say("hello")
        await bench.journal.change(ROOM, XMPP, b"c", 2000, lambda _: becomes(1, XMPP, MATRIX))
        (again,) = await bench.say("hello")
        assert again == replace(first, repeated=True)

    # Changes of a room

    async def test_a_room_is_created_once(self, bench: Bench) -> None:
        created = await bench.found(XMPP)
        assert created == Accepted(sequence=0, at=1000)
        seen: list[RoomState | None] = []

        def too_late(state: RoomState | None) -> Refusal:
            seen.append(state)
            return Refusal(RefusalCode.ROOM_EXISTS)

        answer = await bench.journal.change(ROOM, MATRIX, b"other", 1001, too_late)
        assert answer == Refusal(RefusalCode.ROOM_EXISTS)
        assert seen == [RoomState(room=ROOM, group_id=b"group", epoch=0, members=members(XMPP), group=b"state 0")]

    async def test_a_repeated_creation_is_answered_as_before(self, bench: Bench) -> None:
        created = await bench.found(XMPP)
        again = await bench.found(XMPP)
        assert again == Accepted(sequence=0, at=created.at, repeated=True)

    async def test_a_commit_and_its_welcome_share_a_place_and_reach_different_inboxes(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.say("before")
        posts = (
            Post(Kind.COMMIT, 0, b"commit", (XMPP, MATRIX)),
            Post(Kind.WELCOME, 1, b"welcome", (SHOP,)),
        )
        answer = await bench.journal.change(
            ROOM, XMPP, b"digest", 3000, lambda _: becomes(1, XMPP, MATRIX, SHOP, posts=posts)
        )
        await bench.say("after", epoch=1)
        assert (answer.sequence, answer.at, answer.repeated) == (2, 3000, False)
        assert await bench.read(XMPP) == ["commit"]
        assert await bench.read(MATRIX) == ["before", "commit", "after"]
        assert await bench.read(SHOP) == ["welcome", "after"]
        (welcome, _) = await bench.journal.fetch(SHOP, 0, 10)
        assert (welcome.sequence, welcome.kind, welcome.epoch, welcome.sender) == (2, Kind.WELCOME, 1, XMPP)
        assert await bench.journal.group_info(ROOM) == b"info 1"
        again = await bench.journal.change(ROOM, XMPP, b"digest", 4000, lambda _: pytest.fail("not asked again"))
        assert again == replace(answer, repeated=True)

    async def test_of_two_commits_at_once_each_is_judged_after_the_other(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)

        def from_epoch_0(state: RoomState | None) -> RoomChange | Refusal:
            assert state is not None
            return becomes(1, XMPP, MATRIX) if state.epoch == 0 else Refusal(RefusalCode.WRONG_EPOCH, "", state.epoch)

        answers = await asyncio.gather(
            *(bench.journal.change(ROOM, who, who.encode(), 2000, from_epoch_0) for who in (XMPP, MATRIX))
        )
        assert sorted(isinstance(answer, Accepted) for answer in answers) == [False, True]
        state = await bench.journal.room(ROOM)
        assert state is not None and state.epoch == 1

    async def test_a_refused_change_changes_nothing(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        before = await bench.journal.room(ROOM)
        await bench.journal.change(ROOM, XMPP, b"x", 2000, lambda _: Refusal(RefusalCode.INVALID_PROPOSAL))
        assert await bench.journal.room(ROOM) == before and bench.told == []

    async def test_a_decision_that_raises_changes_nothing_and_comes_out(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)

        def stumbles(_: RoomState | None) -> RoomChange:
            raise LookupError("on purpose")

        with pytest.raises(LookupError):
            await bench.journal.change(ROOM, XMPP, b"x", 2000, stumbles)
        assert [answer.sequence for answer in await bench.say("still here")] == [1]

    async def test_who_left_gets_the_commit_that_says_so_and_nothing_else_of_the_room(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.found(XMPP, MATRIX, room=OTHER)
        await bench.say("one")
        await bench.say("elsewhere", room=OTHER)
        posts = (Post(Kind.COMMIT, 0, b"farewell", (XMPP, MATRIX)),)
        await bench.journal.change(ROOM, XMPP, b"d", 2000, lambda _: becomes(1, XMPP, posts=posts))
        await bench.say("two", epoch=1)
        assert await bench.read(MATRIX) == ["elsewhere", "farewell"]
        (refused,) = await bench.say("wait", sender=MATRIX, epoch=1)
        assert refused.code is RefusalCode.NOT_ALLOWED

    async def test_rooms_are_listed_for_all_and_for_a_member(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.found(XMPP, room=OTHER)
        await bench.say("hello", "world", now=4000)
        balcony, orchard = await bench.journal.rooms()
        assert (balcony.room, balcony.epoch, balcony.messages, balcony.updated_at) == (ROOM, 0, 2, 4000)
        assert balcony.members == members(XMPP, MATRIX)
        assert [view.room for view in await bench.journal.rooms(MATRIX)] == [ROOM]
        assert [view.room for view in await bench.journal.rooms(SHOP)] == []
        assert orchard.messages == 0

    async def test_what_is_not_there_is_none(self, bench: Bench) -> None:
        assert await bench.journal.room(ROOM) is None
        assert await bench.journal.group_info(ROOM) is None
        assert await bench.journal.message(ROOM, 1) is None

    # Reading

    async def test_reading_goes_on_from_a_position_in_pieces(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.say(*(str(n) for n in range(10)))
        read: list[str] = []
        after = 0
        while batch := await bench.journal.fetch(MATRIX, after, 3):
            assert len(batch) <= 3
            read += [note.body.decode() for note in batch]
            after = batch[-1].position
        assert read == [str(n) for n in range(10)]

    async def test_large_bodies_make_smaller_batches(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.say(*(str(n) * 1_500_000 for n in range(8)))
        assert 1 <= len(await bench.journal.fetch(MATRIX, 0, 100)) < 8

    async def test_one_record_can_be_looked_at(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.say("zero", "one")
        note = await bench.journal.message(ROOM, 2)
        assert note is not None and note.body == b"one"

    # Forgetting

    async def prune(self, bench: Bench, now: int) -> int:
        return await bench.journal.prune(
            now, bodies_after=DAY, receipts_after=7 * DAY, unfetched_after=30 * DAY, blobs_after=30 * DAY
        )

    async def test_what_everybody_has_is_forgotten_once_it_is_old(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX, SHOP)
        await bench.say("one", "two")
        last = (await bench.journal.fetch(MATRIX, 0, 10))[-1].position
        await bench.journal.acknowledge(MATRIX, last)
        await self.prune(bench, 2 * DAY)
        assert await bench.read(SHOP) == ["one", "two"], "the shop has not had them yet"
        await bench.journal.acknowledge(SHOP, last - 1)
        await self.prune(bench, 2 * DAY)
        assert await bench.read(SHOP, last - 1) == ["two"]
        gone = await bench.journal.message(ROOM, 1)
        assert gone is not None and gone.body == b""

    async def test_what_everybody_has_stays_while_it_is_young(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.say("one")
        await bench.journal.acknowledge(MATRIX, 10)
        await self.prune(bench, DAY // 2)
        kept = await bench.journal.message(ROOM, 1)
        assert kept is not None and kept.body == b"one"

    async def test_a_repetition_is_known_after_its_body_is_gone_and_until_its_receipt_is(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        (first, _) = await bench.say("one", "two")
        await bench.journal.acknowledge(MATRIX, 10)
        await self.prune(bench, 2 * DAY)
        (again,) = await bench.say("one", now=2 * DAY)
        assert again == replace(first, repeated=True)
        await self.prune(bench, 8 * DAY)
        (anew,) = await bench.say("one", now=8 * DAY)
        assert (anew.sequence, anew.at, anew.repeated) == (3, 8 * DAY, False)

    async def test_positions_are_never_given_twice_whatever_is_forgotten(self, open_bench: Open) -> None:
        bench = await open_bench()
        await bench.found(XMPP, MATRIX)
        await bench.say("one", "two")
        last = bench.told[-1].notification.position
        await bench.journal.acknowledge(MATRIX, last)
        await self.prune(bench, 2 * DAY)
        await self.prune(bench, 20 * DAY)
        bench = await open_bench()
        await bench.say("three", now=20 * DAY)
        assert bench.told[-1].notification.position > last
        assert await bench.read(MATRIX, last) == ["three"]

    async def test_pruning_much_holds_nobody_up_and_leaves_nothing_over(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.say(*(str(n) for n in range(3000)))
        await bench.journal.acknowledge(MATRIX, 2999)
        pruning = asyncio.create_task(self.prune(bench, 2 * DAY))
        during = 0
        while not pruning.done():
            await bench.say(f"meanwhile {during}", now=2 * DAY)
            during += 1
        assert during > 3
        assert await pruning == 2 * 2999, "each message in one inbox, and each body"
        assert (await bench.read(MATRIX))[:2] == ["2999", "meanwhile 0"]
        await bench.journal.acknowledge(MATRIX, 10_000)
        await self.prune(bench, 10 * DAY)
        await self.prune(bench, 10 * DAY)
        assert [await bench.journal.message(ROOM, sequence) for sequence in (1, 3000)] == [None, None]

    async def test_an_acknowledgement_never_goes_back(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        await bench.say("one", "two")
        assert await bench.journal.acknowledged(MATRIX) == 0
        await bench.journal.acknowledge(MATRIX, 2)
        await bench.journal.acknowledge(MATRIX, 1)
        assert await bench.journal.acknowledged(MATRIX) == 2
        await self.prune(bench, 2 * DAY)
        assert await bench.read(MATRIX) == []

    # KeyPackages

    async def test_each_key_package_is_handed_out_once_oldest_first(self, bench: Bench) -> None:
        packages = [KeyPackageRecord(b"r%d" % n, b"package %d" % n, DAY) for n in range(3)]
        assert await bench.journal.publish(MATRIX, packages, None, 0) == 3
        claims = await asyncio.gather(*(bench.journal.claim(MATRIX, 0) for _ in range(4)))
        assert claims == [b"package 0", b"package 1", b"package 2", None]

    async def test_the_last_resort_serves_when_the_rest_is_gone_and_is_replaced(self, bench: Bench) -> None:
        one, last, later = (KeyPackageRecord(name, name, DAY) for name in (b"one", b"last", b"later"))
        assert await bench.journal.publish(MATRIX, [one], last, 0) == 1
        assert [await bench.journal.claim(MATRIX, 0) for _ in range(3)] == [b"one", b"last", b"last"]
        assert await bench.journal.publish(MATRIX, [], later, 0) == 0
        assert await bench.journal.claim(MATRIX, 0) == b"later"

    async def test_a_key_package_published_again_is_not_handed_out_again(self, open_bench: Open) -> None:
        bench = await open_bench()
        one = KeyPackageRecord(b"one", b"one", DAY)
        await bench.journal.publish(MATRIX, [one], None, 0)
        assert await bench.journal.claim(MATRIX, 0) == b"one"
        bench = await open_bench()
        assert await bench.journal.publish(MATRIX, [one], None, 0) == 0
        assert await bench.journal.claim(MATRIX, 0) is None

    async def test_an_expired_key_package_is_not_handed_out(self, bench: Bench) -> None:
        packages = [KeyPackageRecord(b"old", b"old", 100), KeyPackageRecord(b"new", b"new", DAY)]
        await bench.journal.publish(MATRIX, packages, None, 0)
        assert await bench.journal.publish(MATRIX, [], None, 200) == 1
        assert await bench.journal.claim(MATRIX, 200) == b"new"

    async def test_key_packages_belong_to_their_endpoint(self, bench: Bench) -> None:
        await bench.journal.publish(MATRIX, [KeyPackageRecord(b"one", b"one", DAY)], None, 0)
        assert await bench.journal.claim(XMPP, 0) is None

    async def test_what_is_told_is_in_the_order_of_positions_whoever_gives_up_waiting(self, bench: Bench) -> None:
        await bench.found(XMPP, MATRIX)
        posts: Sequence[Post] = (Post(Kind.COMMIT, 0, b"commit", (XMPP, MATRIX)),)
        task = asyncio.create_task(
            bench.journal.change(ROOM, XMPP, b"d", 1, lambda _: becomes(0, XMPP, MATRIX, posts=tuple(posts)))
        )
        say = asyncio.create_task(bench.say("impatient"))
        await asyncio.sleep(0)
        task.cancel()
        say.cancel()
        await bench.say("patient")
        assert [fanned.notification.body for fanned in bench.told] == [b"commit", b"impatient", b"patient"]
