"""A journal and a model of it, driven by the same random story: they never disagree.

The model is what we promise, in a few lines of Python: per-room order without gaps, each body once,
inboxes decided by who was a member, nothing forgotten before it was acknowledged, and all of it across restarts.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from bridge.router.contract import Accepted, Envelope, Kind, Member, Refusal, RefusalCode
from bridge.router.journal import Fanned, Post, RoomChange
from bridge.router.sql import SqlJournal
from protocol.leg import LegClass

T = TypeVar("T")

ENDPOINTS = [f"mimi://bridge.example/d/{name}" for name in ("xmpp", "matrix", "shop")]
ROOMS = [f"mimi://bridge.example/r/{name}" for name in ("balcony", "orchard")]
ROOM, ENDPOINT = st.sampled_from(ROOMS), st.sampled_from(ENDPOINTS)
BODIES = st.lists(st.integers(0, 30), min_size=1, max_size=6)
DAY = 24 * 3600 * 1000


class RoomModel:
    """One room: who is in it, and what was said."""

    def __init__(self, members: frozenset[str]) -> None:
        self.members = members
        self.epoch = 0
        self.sequence = 0
        self.at = 0
        self.accepted: dict[bytes, Accepted] = {}


class JournalStory(RuleBasedStateMachine):
    """Random rooms, messages, commits, readers, restarts and prunings."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.rooms: dict[str, RoomModel] = {}
        self.inboxes: dict[str, list[tuple[str, bytes]]] = {endpoint: [] for endpoint in ENDPOINTS}
        self.cursors = dict.fromkeys(ENDPOINTS, 0)
        self.told: list[Fanned] = []
        self.now = 100_000

    def run(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return self.runner.run(wait())

    def open(self) -> None:
        self.journal = SqlJournal(f"sqlite:///{self.folder / 'router.db'}")
        self.run(self.journal.start(self.told.extend))
        self.run(self.journal.enrol(ENDPOINTS))

    @initialize()
    def begin(self) -> None:
        self.open()
        self.create(ROOMS[0], frozenset(ENDPOINTS[:2]))

    def teardown(self) -> None:
        self.run(self.journal.stop())
        self.runner.close()
        shutil.rmtree(self.folder)

    def change(self, room: str, sender: str, members: frozenset[str], epoch: int, body: bytes) -> None:
        before = self.rooms[room].members if room in self.rooms else frozenset()
        leaves = tuple(
            Member(endpoint, leaf, LegClass.OPERATOR, (f"{endpoint}~",))
            for leaf, endpoint in enumerate(sorted(members))
        )
        posts = (Post(Kind.COMMIT, epoch - 1, body, tuple(sorted(before))),) if before else ()
        after = RoomChange(b"group", epoch, leaves, b"state", b"info", posts)
        answer = self.run(self.journal.change(room, sender, body, self.now, lambda _: after))
        assert isinstance(answer, Accepted) and not answer.repeated
        for endpoint in before - members:  # what was said there is none of theirs any more
            self.inboxes[endpoint] = [kept for kept in self.inboxes[endpoint] if kept[0] != room]
        for endpoint in before:
            self.inboxes[endpoint].append(("", body))

    @precondition(lambda self: len(self.rooms) < len(ROOMS))
    @rule(room=ROOM, members=st.frozensets(ENDPOINT, min_size=1))
    def make_room(self, room: str, members: frozenset[str]) -> None:
        self.create(room, members)

    def create(self, room: str, members: frozenset[str]) -> None:
        if room not in self.rooms:
            self.change(room, min(members), members, 0, f"create {room}".encode())
            self.rooms[room] = RoomModel(members)
            self.rooms[room].at = self.now

    @rule(room=ROOM, members=st.frozensets(ENDPOINT, min_size=1))
    def commit(self, room: str, members: frozenset[str]) -> None:
        if model := self.rooms.get(room):
            body = f"commit {room} {model.epoch + 1}".encode()
            self.change(room, min(model.members), members, model.epoch + 1, body)
            model.epoch += 1
            model.sequence += 1
            model.members = members
            model.at = max(model.at, self.now)

    @rule(room=ROOM, sender=ENDPOINT, numbers=BODIES, behind=st.sampled_from([0, 0, 0, 1, -1]))
    def say(self, room: str, sender: str, numbers: list[int], behind: int) -> None:
        model = self.rooms.get(room)
        epoch = max(0, (model.epoch if model else 0) - behind)
        envelopes = [Envelope(room, epoch, sender, b"%d" % number) for number in numbers]
        answers = self.run(self.journal.append(envelopes, self.now))
        judged = [replace(answer, cursor="") if isinstance(answer, Accepted) else answer for answer in answers]
        assert judged == [self.expect(model, envelope) for envelope in envelopes]

    def expect(self, model: RoomModel | None, envelope: Envelope) -> Accepted | Refusal:
        if model is None:
            return Refusal(RefusalCode.NO_SUCH_ROOM, f"there is no room {envelope.room}")
        if envelope.sender not in model.members:
            return Refusal(RefusalCode.NOT_ALLOWED, f"{envelope.sender} is not in {envelope.room}")
        if before := model.accepted.get(envelope.body):
            return Accepted(before.sequence, before.at, repeated=True)
        if envelope.epoch != model.epoch:
            old = envelope.epoch < model.epoch
            code = RefusalCode.EPOCH_TOO_OLD if old else RefusalCode.WRONG_EPOCH
            begun = "is over" if old else "has not begun"
            return Refusal(code, f"epoch {envelope.epoch} {begun}, the room is in {model.epoch}", model.epoch)
        model.sequence += 1
        model.at = max(model.at, self.now)
        model.accepted[envelope.body] = Accepted(model.sequence, model.at)
        for endpoint in model.members - {envelope.sender}:
            self.inboxes[endpoint].append((envelope.room, envelope.body))
        return model.accepted[envelope.body]

    @rule(endpoint=ENDPOINT, limit=st.integers(1, 5), acknowledges=st.booleans())
    def read(self, endpoint: str, limit: int, acknowledges: bool) -> None:
        notes = self.run(self.journal.fetch(endpoint, self.cursors[endpoint], limit))
        assert [note.body for note in notes] == [body for _, body in self.inboxes[endpoint][:limit]]
        if notes and acknowledges:
            self.cursors[endpoint] = notes[-1].position
            del self.inboxes[endpoint][: len(notes)]
            self.run(self.journal.acknowledge(endpoint, self.cursors[endpoint]))

    @rule(milliseconds=st.sampled_from([-5000, -1, 1, 5000]))
    def time_passes(self, milliseconds: int) -> None:
        self.now = max(0, self.now + milliseconds)

    @rule()
    def prune(self) -> None:
        self.run(
            self.journal.prune(self.now, bodies_after=-DAY, receipts_after=DAY, unfetched_after=10**15, blobs_after=DAY)
        )

    @rule()
    def restart(self) -> None:
        self.run(self.journal.stop())
        self.open()

    @invariant()
    def what_is_told_rises(self) -> None:
        positions = [fanned.notification.position for fanned in self.told]
        assert positions == sorted(set(positions))

    @invariant()
    def rooms_have_no_gap(self) -> None:
        for room, model in self.rooms.items():
            told = [fanned.notification.sequence for fanned in self.told if fanned.notification.room == room]
            assert told == list(range(1, model.sequence + 1))


TestJournal = JournalStory.TestCase
TestJournal.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
