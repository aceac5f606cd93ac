"""A group whose endpoints crash, lose messages and come back from old backups: it converges, and no key is used twice.

The model has a router (a ``PublicGroup`` and the list of accepted commits), and endpoints that keep what a ledger
keeps: records, the staged commit, and how far they have read. Whatever is sealed, whether it leaves or not, is noted
with its key and nonce, but for the reuse guard; none may come twice.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from protocol.leg import LegClass
from protocol.mls import Group, Identity, KeyPackageBundle, PublicGroup, Session, Staged, Standing
from protocol.mls.errors import (
    GenerationError,
    MlsError,
    OwnMessageError,
    ReplayError,
    WrongEpochError,
)
from tests.recorder import Recorder, recording

NOW = 1_700_000_000
MOST = 6

some = st.integers(0, MOST - 1)
crash_while_sending = st.sampled_from(["no", "no", "no", "before it leaves"])
crash_while_committing = st.sampled_from(["no", "no", "before the records", "before it leaves", "before merging"])
crash_while_reading = st.sampled_from(["no", "no", "no", "before the records"])


@dataclass
class Saved:
    """What a ledger holds of one group."""

    records: dict[str, bytes] = field(default_factory=dict)
    staged: bytes = b""
    cursor: int = 0


@dataclass
class Message:
    """An application message that the router took."""

    body: bytes
    data: bytes
    epoch: int
    author: str


class Endpoint:
    """One endpoint: a group in memory, and what survives its process."""

    def __init__(self, identity: Identity, group: Group, cursor: int) -> None:
        self.identity, self.group = identity, group
        self.session = Session(os.urandom(16))
        self.saved = Saved(cursor=cursor)
        self.inbox: list[Message] = []
        self.backup: Saved | None = None
        self.lost = False
        self.save()

    def save(self) -> None:
        for name, value in self.group.changes().items():
            if value is None:
                self.saved.records.pop(name, None)
            else:
                self.saved.records[name] = value

    def crash(self) -> None:
        """Die, and begin another session on what was saved."""
        self.session = Session(os.urandom(16))
        self.group = Group.restore(self.identity, self.saved.records, session=self.session)

    def rest(self) -> None:
        """Be unloaded, and loaded again by the same session."""
        self.group.unload(self.session)
        self.save()
        self.group = Group.restore(self.identity, self.saved.records, session=self.session)
        self.save()

    @property
    def name(self) -> str:
        return self.identity.uri

    @property
    def active(self) -> bool:
        return not self.lost and self.group.standing == Standing.ACTIVE


class Room(RuleBasedStateMachine):
    """One room, its router and its endpoints."""

    recorder = Recorder()

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        identity = self.new_identity()
        group = Group.create(identity, b"room", now=NOW, random=os.urandom)
        self.router = PublicGroup.create(group.group_info(random=os.urandom), now=NOW)
        self.journal: list[bytes] = []
        self.endpoints = [Endpoint(identity, group, 0)]
        self.gone: list[Endpoint] = []
        for _ in range(2):
            self.invite(0, "no")

    def new_identity(self) -> Identity:
        self.count += 1
        return Identity.generate(f"mimi://x/d/e{self.count}", leg=LegClass.OPERATOR, random=os.urandom)

    # Reading

    def sync(self, endpoint: Endpoint) -> None:
        """Read the journal to its end, entering each epoch in its own transaction."""
        while endpoint.active and endpoint.saved.cursor < len(self.journal):
            commit = self.journal[endpoint.saved.cursor]
            staged = endpoint.saved.staged
            if staged and Staged.from_bytes(staged).commit == commit:
                endpoint.group.merge(Staged.from_bytes(staged))
            else:
                try:
                    endpoint.group.process(commit, now=NOW)
                except OwnMessageError:  # made by a self that the backup does not remember
                    endpoint.lost = True
                    return
            endpoint.saved.cursor += 1
            endpoint.saved.staged = b""
            endpoint.save()

    def submit(self, commit: bytes) -> bool:
        try:
            self.router.process(commit, now=NOW)
        except WrongEpochError:
            return False
        self.journal.append(commit)
        return True

    def alive(self) -> list[Endpoint]:
        return [endpoint for endpoint in self.endpoints if endpoint.active]

    def pick(self, number: int) -> Endpoint | None:
        alive = self.alive()
        return alive[number % len(alive)] if alive else None

    # Rules

    @rule(who=some, many=st.integers(1, 4), crash=crash_while_sending)
    def speak(self, who: int, many: int, crash: str) -> None:
        """Send a few messages; the last of them may meet a crash."""
        endpoint = self.pick(who)
        if endpoint is None or not endpoint.group.may_send:
            return
        for left in reversed(range(many)):
            data = os.urandom(4)
            body = endpoint.group.protect(data, random=os.urandom)
            if crash == "before it leaves" and not left:
                endpoint.crash()
                return
            if endpoint.group.epoch == self.router.epoch:  # or the router refuses it
                message = Message(body, data, self.router.epoch, endpoint.name)
                for other in self.endpoints:
                    if other is not endpoint:
                        other.inbox.append(message)

    @rule(who=some, many=st.integers(1, 6), order=st.randoms(use_true_random=False), crash=crash_while_reading)
    def read(self, who: int, many: int, order: Random, crash: str) -> None:
        """Read a few messages in any order; the last of them may meet a crash and is read again later."""
        endpoint = self.pick(who)
        if endpoint is None:
            return
        self.sync(endpoint)
        if not endpoint.active:
            return
        order.shuffle(endpoint.inbox)
        taken = [endpoint.inbox.pop() for _ in range(min(many, len(endpoint.inbox)))]
        for place, message in enumerate(taken, 1):
            if not self.open(endpoint, message):
                continue
            if crash == "before the records" and place == len(taken):
                endpoint.crash()
                endpoint.inbox.append(message)
                return
            endpoint.save()
        for message in taken:
            with pytest.raises((ReplayError, WrongEpochError, GenerationError)):
                endpoint.group.unprotect(message.body)

    @staticmethod
    def open(endpoint: Endpoint, message: Message) -> bool:
        try:
            opened = endpoint.group.unprotect(message.body)
        except (WrongEpochError, ReplayError, GenerationError):
            return False
        assert (opened.data, opened.sender.uri, opened.epoch) == (message.data, message.author, message.epoch)
        return True

    @rule(who=some, which=st.integers(0, 50))
    def lose(self, who: int, which: int) -> None:
        endpoint = self.pick(who)
        if endpoint is not None and endpoint.inbox:
            endpoint.inbox.pop(which % len(endpoint.inbox))

    @rule(who=some)
    def rest(self, who: int) -> None:
        endpoint = self.pick(who)
        if endpoint is not None:
            spoke = endpoint.group.may_send
            endpoint.rest()
            assert endpoint.group.may_send == spoke

    @rule(who=some, crash=crash_while_committing)
    def relapse(self, who: int, crash: str) -> None:
        """Come back from a backup and talk again, as an impatient endpoint would."""
        self.restore_the_backup(who)
        endpoint = self.pick(who)
        if endpoint is not None and endpoint.group.must_rekey:
            self.commit(endpoint, crash)
        self.speak(who, 2, "no")

    @rule(who=some)
    def catch_up(self, who: int) -> None:
        endpoint = self.pick(who)
        if endpoint is not None:
            self.sync(endpoint)

    def commit(self, endpoint: Endpoint, crash: str, **wishes: object) -> Staged | None:
        staged = endpoint.group.stage(now=NOW, random=os.urandom, **wishes)  # type: ignore[arg-type]
        if crash == "before the records":
            endpoint.crash()
            return None
        endpoint.saved.staged = staged.to_bytes()
        endpoint.save()
        if crash == "before it leaves":
            endpoint.crash()
            return None
        accepted = self.submit(staged.commit)
        if crash == "before merging":
            endpoint.crash()
        else:
            self.sync(endpoint)
        return staged if accepted else None

    @rule(who=some, crash=crash_while_committing)
    def rekey(self, who: int, crash: str) -> None:
        endpoint = self.pick(who)
        if endpoint is not None:
            self.commit(endpoint, crash)

    @precondition(lambda self: len(self.endpoints) < MOST)
    @rule(who=some, crash=crash_while_committing, fresh=st.booleans())
    def invite(self, who: int, crash: str, fresh: bool = True) -> None:
        endpoint = self.pick(who)
        if endpoint is None:
            return
        identity = self.new_identity()
        bundle = KeyPackageBundle.generate(identity, now=NOW, random=os.urandom)
        staged = self.commit(endpoint, crash, add=[bundle.message])
        if staged is not None:
            group = Group.join(identity, staged.welcome, [bundle], fresh=fresh, now=NOW)
            self.endpoints.append(Endpoint(identity, group, len(self.journal)))

    @rule(who=some, whom=some, crash=crash_while_committing)
    def remove(self, who: int, whom: int, crash: str) -> None:
        endpoint, other = self.pick(who), self.pick(whom)
        if endpoint is None or other is None or other is endpoint:
            return
        self.sync(endpoint)
        if not endpoint.active:
            return
        leaf = next((member.leaf for member in endpoint.group.members() if member.uri == other.name), None)
        if leaf is None:
            return
        self.commit(endpoint, crash, remove=[leaf])

    @rule(who=some)
    def back_up(self, who: int) -> None:
        endpoint = self.pick(who)
        if endpoint is not None:
            saved = endpoint.saved
            endpoint.backup = Saved(dict(saved.records), saved.staged, saved.cursor)

    @rule(who=some)
    def restore_the_backup(self, who: int) -> None:
        kept = [endpoint for endpoint in self.alive() if endpoint.backup is not None]
        if not kept:
            return
        endpoint = kept[who % len(kept)]
        old = endpoint.backup
        assert old is not None
        endpoint.saved = Saved(dict(old.records), old.staged, old.cursor)
        endpoint.crash()
        endpoint.save()
        self.sync(endpoint)

    @rule(who=some, fresh=st.booleans())
    def join_from_outside(self, who: int, fresh: bool) -> None:
        """Somebody new joins without invitation, or a lost endpoint takes its former self's place."""
        host = self.pick(who)
        if host is None:
            return
        self.sync(host)
        if not host.active:
            return
        lost = next((endpoint for endpoint in self.endpoints if endpoint.lost), None)
        if lost is None and (not fresh or len(self.endpoints) >= MOST):
            return
        identity = self.new_identity() if lost is None else lost.identity
        former = next((member.leaf for member in host.group.members() if member.uri == identity.uri), None)
        info = host.group.group_info(random=os.urandom)
        joined = Group.join_external(identity, info, replace=former, now=NOW, random=os.urandom)
        assert self.submit(joined.commit)
        if lost is not None:
            self.endpoints.remove(lost)
        self.endpoints.append(Endpoint(identity, joined.group, len(self.journal)))

    @rule()
    def bury(self) -> None:
        """Endpoints that learnt of their removal stay around to eavesdrop."""
        for endpoint in list(self.endpoints):
            if endpoint.group.standing == Standing.REMOVED:
                self.endpoints.remove(endpoint)
                self.gone.append(endpoint)

    @rule(who=some)
    def eavesdrop(self, who: int) -> None:
        endpoint = self.pick(who)
        if endpoint is None or endpoint.group.must_rekey or not self.gone:
            return
        self.sync(endpoint)
        if not endpoint.active:
            return
        body = endpoint.group.protect(b"not for those who left", random=os.urandom)
        for outsider in self.gone:
            with pytest.raises(MlsError):
                outsider.group.unprotect(body)

    # What always holds

    @invariant()
    def no_key_is_used_twice(self) -> None:
        self.recorder.check()

    @invariant()
    def those_in_one_epoch_agree(self) -> None:
        by_epoch: dict[int, set[bytes]] = {}
        for endpoint in self.alive():
            by_epoch.setdefault(endpoint.group.epoch, set()).add(endpoint.group.epoch_authenticator)
        assert all(len(found) == 1 for found in by_epoch.values())

    @invariant()
    def the_router_knows_the_members_of_its_epoch(self) -> None:
        for endpoint in self.alive():
            if endpoint.group.epoch == self.router.epoch:
                assert endpoint.group.members() == self.router.members()
                assert endpoint.group.view.context == self.router._view.context

    def teardown(self) -> None:
        """Everyone catches up; whoever is still a member agrees with all others and can be read by them."""
        for endpoint in self.endpoints:
            self.sync(endpoint)
        members = self.alive()
        assert len({endpoint.group.epoch for endpoint in members}) <= 1
        assert len({endpoint.group.epoch_authenticator for endpoint in members}) <= 1
        for endpoint in members:
            if endpoint.group.must_rekey:
                continue
            body = endpoint.group.protect(b"goodbye", random=os.urandom)
            for other in members:
                if other is not endpoint:
                    assert other.group.unprotect(body).data == b"goodbye"


@pytest.fixture
def recorder(monkeypatch):
    """Every group of every example is watched at the seal."""
    with recording(monkeypatch) as watching:
        Room.recorder = watching
        yield


@pytest.mark.usefixtures("recorder")
def test_a_group_converges_and_never_uses_a_key_twice():
    run_state_machine_as_test(
        Room,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
