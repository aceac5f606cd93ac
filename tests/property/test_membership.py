"""Endpoints, files of different age, restores and lost commits, in virtual time, against a small model of a router.

Whatever happens first: once every endpoint has read the newest file and hears the router again, the room's members are
those that the newest file names, all of them in one and the same epoch, and nobody else.
"""

from __future__ import annotations

import copy
import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Struct, field

from bridge.policy.membership import (
    Claim,
    ComeBack,
    Configured,
    Forget,
    Found,
    FoundAnew,
    GroupView,
    Hold,
    Invite,
    LedgerView,
    Reason,
    Rekey,
    Remove,
    Repeat,
    RouterView,
    Settle,
    Step,
    Unseen,
    Wait,
    plan,
)

NAMES = ("ash", "bay", "elm", "fir")
names = st.sampled_from(NAMES)


class Group(Struct, frozen=True):
    """One epoch of one group; ``transcript`` is another in every history."""

    id: bytes
    founding: int
    epoch: int
    members: tuple[str, ...]
    revision: int
    transcript: bytes

    def view(self) -> GroupView:
        return GroupView(self.id, self.epoch, self.members, self.founding, self.revision, self.transcript)


class Told(Struct, frozen=True):
    """A fan-out message: a commit on the epoch ``base``, or a Welcome (no base)."""

    to: tuple[str, ...]
    group: Group
    base: bytes = b""


class Router(Struct):
    """The room as the router has it, everything it ever fanned out, and what the endpoints say their files say."""

    run: int = 0
    room: Group | None = None
    log: list[Told] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)


class File(Struct, frozen=True):
    revision: int
    members: tuple[str, ...]


class Ledger(Struct):
    """What an endpoint does not forget."""

    founding: int = -1
    epoch: int = -1
    group: Group | None = None
    announced: bool = True
    removed: bool = False
    diverged: bool = False
    complete: bool = False
    refused: int = -1
    since: int = 0
    heard: int = 0
    run: int = 0


class Endpoint(Struct):
    name: str
    file: File
    ledger: Ledger = field(default_factory=Ledger)
    shown: tuple[Step, ...] = ()
    deaf: bool = False
    """The next commit that it hears cannot be followed."""


class World:
    """The router, the endpoints and the clock."""

    def __init__(self) -> None:
        self.now = 1
        self.fresh = itertools.count(1)
        self.router = Router()
        self.files = [File(1, NAMES[:3])]
        self.endpoints = {name: Endpoint(name, self.files[0]) for name in NAMES}
        for endpoint in self.endpoints.values():
            self.claim(endpoint)

    def new(self) -> bytes:
        return str(next(self.fresh)).encode()

    # What endpoints do

    def claim(self, endpoint: Endpoint) -> None:
        file = endpoint.file
        if endpoint.name in file.members:
            self.router.claims[endpoint.name] = Claim(endpoint.name, file.revision, file.members)
        else:
            self.router.claims.pop(endpoint.name, None)

    def hear(self, endpoint: Endpoint) -> None:
        ledger = endpoint.ledger
        if ledger.run != self.router.run:  # another life of the router: its cursor is none of this history
            ledger.run, ledger.heard = self.router.run, len(self.router.log)
            self.claim(endpoint)
        for told in self.router.log[ledger.heard :]:
            if endpoint.name in told.to:
                self.take(endpoint, told)
        ledger.heard = len(self.router.log)

    def take(self, endpoint: Endpoint, told: Told) -> None:
        ledger, group = endpoint.ledger, told.group
        if not told.base:
            if (group.founding, group.epoch) > (ledger.founding, ledger.epoch):
                self.enter(endpoint, group)
            return
        ours = ledger.group
        if ours is None or ours.id != group.id or group.epoch <= ours.epoch or ledger.diverged:
            return
        if endpoint.deaf or ours.transcript != told.base:
            endpoint.deaf, ledger.diverged = False, True
        elif endpoint.name not in group.members:
            ledger.group, ledger.removed = None, True
        else:
            self.enter(endpoint, group)

    def enter(self, endpoint: Endpoint, group: Group) -> None:
        ledger = endpoint.ledger
        assert (group.founding, group.epoch) > (ledger.founding, ledger.epoch), "a room only goes forward"
        ledger.group, ledger.founding, ledger.epoch = group, group.founding, group.epoch
        ledger.announced, ledger.removed, ledger.diverged = True, False, False
        ledger.complete = ledger.complete or set(group.members) >= set(endpoint.file.members)

    def act(self, endpoint: Endpoint) -> None:
        ledger, file = endpoint.ledger, endpoint.file
        view = LedgerView(
            founding=ledger.founding,
            epoch=ledger.epoch,
            group=None if ledger.group is None else ledger.group.view(),
            announced=ledger.announced,
            removed=ledger.removed,
            diverged=ledger.diverged,
            complete=ledger.complete,
            refused=ledger.refused,
            since=ledger.since,
        )
        wanted = Configured(file.members if endpoint.name in file.members else (), file.revision)
        claims = tuple(self.router.claims.values())
        steps = plan(endpoint.name, self.seen_by(endpoint), view, wanted, claims, self.now)
        ledger.since = (ledger.since or self.now) if steps else 0
        endpoint.shown = steps
        changes = [step for step in steps if isinstance(step, Invite | Remove)]
        if changes:
            self.change(endpoint, changes)
        for step in steps:
            self.do(endpoint, step)

    def seen_by(self, endpoint: Endpoint) -> RouterView | Unseen:
        room = self.router.room
        if room is None:
            return Unseen.ABSENT
        if endpoint.name not in room.members:
            return Unseen.CLOSED
        return RouterView(room.id, room.epoch, room.members, room.founding, room.revision, room.transcript)

    def do(self, endpoint: Endpoint, step: Step) -> None:
        router, ledger = self.router, endpoint.ledger
        match step:
            case Found():
                self.found(endpoint, max(ledger.founding, 0))
            case FoundAnew(founding=founding):
                self.found(endpoint, founding)
            case ComeBack(founding=founding, above=above):
                room = router.room
                assert room is not None
                assert (room.founding, room.epoch + 1) > (ledger.founding, ledger.epoch)
                assert room.founding == founding
                assert room.epoch + 1 > above
                assert set(room.members) <= set(endpoint.file.members)
                self.commit(endpoint, room.members, room.revision)
            case Forget():
                ledger.group = None
            case Settle() | Rekey():
                raise AssertionError("nothing is ever left staged here, and nothing sent")
            case Invite() | Remove() | Repeat() | Wait() | Hold():
                pass

    def found(self, endpoint: Endpoint, founding: int) -> None:
        room, name = self.router.room, endpoint.name
        entitled = room is None or name in room.members or name in self.files[-1].members
        if not entitled or (room is not None and founding <= room.founding):
            endpoint.ledger.refused = max(endpoint.ledger.refused, founding)
            return
        group = Group(self.new(), founding, 0, (name,), endpoint.file.revision, self.new())
        self.router.room = group
        endpoint.ledger.complete = False
        self.enter(endpoint, group)

    def change(self, endpoint: Endpoint, changes: list[Invite | Remove]) -> None:
        room = endpoint.ledger.group
        assert room is not None
        removed = {member for step in changes if isinstance(step, Remove) for member in step.members}
        for claim in self.router.claims.values():
            if claim.by in endpoint.file.members and claim.by != endpoint.name:
                newer = claim.revision > endpoint.file.revision
                differs = claim.revision == endpoint.file.revision and set(claim.members) != set(endpoint.file.members)
                assert not (newer and removed & set(claim.members)), "a newer file names them"
                assert not (differs and removed), "two files of one revision differ"
        added = tuple(member for step in changes if isinstance(step, Invite) for member in step.members)
        members = (*(member for member in room.members if member not in removed), *added)
        self.commit(endpoint, members, max(room.revision, endpoint.file.revision))

    def commit(self, endpoint: Endpoint, members: tuple[str, ...], revision: int) -> None:
        before = self.router.room
        assert before is not None
        after = Group(before.id, before.founding, before.epoch + 1, members, revision, self.new())
        others = tuple(name for name in before.members if name != endpoint.name)
        self.router.log.append(Told(others, after, before.transcript))
        if added := tuple(name for name in members if name not in before.members):
            self.router.log.append(Told(added, after))
        self.router.room = after
        self.enter(endpoint, after)


class Rooms(RuleBasedStateMachine):
    """Everything that may happen to one room."""

    backups = Bundle("backups")
    ledgers = Bundle("ledgers")

    @initialize()
    def begin(self) -> None:
        self.world = World()

    @rule(name=names)
    def hears(self, name: str) -> None:
        self.world.hear(self.world.endpoints[name])

    @rule(name=names)
    def acts(self, name: str) -> None:
        self.world.hear(self.world.endpoints[name])
        self.world.act(self.world.endpoints[name])

    @rule(who=st.lists(names, min_size=1, max_size=4, unique=True), rounds=st.integers(1, 5))
    def some_go_on(self, who: list[str], rounds: int) -> None:
        for _ in range(rounds):
            for name in who:
                self.world.hear(self.world.endpoints[name])
                self.world.act(self.world.endpoints[name])
            self.world.now += 31_000

    @rule(seconds=st.sampled_from([1, 3, 31, 70]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += seconds * 1000

    @rule(members=st.lists(names, min_size=2, max_size=4, unique=True))
    def a_newer_file(self, members: list[str]) -> None:
        self.world.files.append(File(self.world.files[-1].revision + 1, tuple(members)))

    @rule(name=names, back=st.integers(0, 3))
    def reads_a_file(self, name: str, back: int) -> None:
        endpoint = self.world.endpoints[name]
        endpoint.file = self.world.files[max(0, len(self.world.files) - 1 - back)]
        self.world.claim(endpoint)

    @rule(name=names, members=st.lists(names, min_size=2, max_size=4, unique=True))
    def reads_another_file_of_the_same_revision(self, name: str, members: list[str]) -> None:
        endpoint = self.world.endpoints[name]
        endpoint.file = File(endpoint.file.revision, tuple(members))
        self.world.claim(endpoint)

    @rule(name=names)
    def cannot_follow_the_next_commit(self, name: str) -> None:
        self.world.endpoints[name].deaf = True

    @rule(target=backups)
    def backs_up_the_router(self) -> Router:
        return copy.deepcopy(self.world.router)

    @rule(backup=backups)
    def restores_the_router(self, backup: Router) -> None:
        run = self.world.router.run + 1
        self.world.router = copy.deepcopy(backup)
        self.world.router.run = run

    @rule()
    def loses_the_router(self) -> None:
        self.world.router = Router(run=self.world.router.run + 1)

    @rule(target=ledgers, name=names)
    def backs_up_a_ledger(self, name: str) -> tuple[str, Ledger]:
        return name, copy.deepcopy(self.world.endpoints[name].ledger)

    @rule(backup=ledgers)
    def restores_a_ledger(self, backup: tuple[str, Ledger]) -> None:
        name, ledger = backup
        self.world.endpoints[name].ledger = copy.deepcopy(ledger)

    @rule(name=names)
    def loses_a_ledger(self, name: str) -> None:
        self.world.endpoints[name].ledger = Ledger(run=-1)

    @invariant()
    def two_files_that_differ_are_shown(self) -> None:
        for endpoint in self.world.endpoints.values():
            for step in endpoint.shown:
                if isinstance(step, Hold) and step.reason is Reason.FILES_DIFFER:
                    assert step.suspects

    def teardown(self) -> None:
        world, newest = self.world, self.world.files[-1]
        for endpoint in world.endpoints.values():
            endpoint.file, endpoint.deaf = newest, False
            world.claim(endpoint)
        for _ in range(40):
            for endpoint in world.endpoints.values():
                world.hear(endpoint)
                world.act(endpoint)
            world.now += 15_000
        for endpoint in world.endpoints.values():
            world.hear(endpoint)
        room = world.router.room
        assert room is not None
        assert set(room.members) == set(newest.members), {n: e.shown for n, e in world.endpoints.items()}
        for name, endpoint in world.endpoints.items():
            group = endpoint.ledger.group
            if name in newest.members:
                assert group == room, (name, group, room, endpoint.shown)
                assert endpoint.shown == ()
            else:
                assert group is None or group.transcript != room.transcript


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
