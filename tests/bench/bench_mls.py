"""What MLS costs: ``python -m tests.bench.bench_mls``.

Each figure stands beside the bare primitives that the work cannot do without, measured in the same run, and beside
mls-rs (its Python wheel) doing the same: same tree, same places in it. All of suite 1, in CPU time of one core, best of
several rounds. Two members, the last two leaves, commit and follow; the rest of a group only fills its tree. A blank
tree has no inner nodes but its author's path, so a commit is sealed to every member; in a filled one, to one key a
level.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import process_time, time

import mls_rs_uniffi as rust

from protocol.leg import LegClass
from protocol.mls import Group, Identity, KeyPackageBundle
from protocol.mls.state import Retention, first_state
from protocol.mls.suites import suite_of
from protocol.mls.treekem import recipients
from protocol.mls.view import View

NOW = int(time()) + 1800
"""A little ahead: mls-rs reads the clock itself, and its key packages begin when they are made."""
SUITE = suite_of(1)
SIZES = (2, 10, 100, 1000)
TEXT = os.urandom(1024)


def best(work: Callable[[], object], rounds: int = 5, batch: int = 1) -> float:
    """Microseconds of one call, in the best of several rounds."""
    times = []
    for _ in range(rounds):
        start = process_time()
        for _ in range(batch):
            work()
        times.append(process_time() - start)
    return min(times) / batch * 1e6


class Primitives:
    """What the primitives cost here and now, in microseconds; the names are those of the RFC."""

    def __init__(self) -> None:
        seed, data = os.urandom(32), os.urandom(1300)
        key = SUITE.scheme.load_private(seed)
        raw, signature = SUITE.scheme.public_of(seed), key.sign(data)
        public = SUITE.scheme.load_public(raw)
        private, own = SUITE.kem.derive(seed)
        loaded, target = SUITE.kem.load_private(private), SUITE.kem.load_public(own)
        label, info = b"UpdatePathNode", data[:300]
        sealed = SUITE.encrypt_with_label(target, label, info, seed)
        self._work: dict[str, Callable[[], object]] = {
            "sign": lambda: key.sign(data),
            "verify": lambda: public.verify(signature, data),
            "verify_new": lambda: SUITE.scheme.load_public(raw).verify(signature, data),
            "aead": lambda: SUITE.aead(seed[:16]).encrypt(seed[:12], data, b""),
            "kdf": lambda: SUITE.derive_secret(seed, b"secret"),
            "hash": lambda: SUITE.hash(data[:200]),
            "pair": lambda: SUITE.kem.derive(seed),
            "seal": lambda: SUITE.encrypt_with_label(target, label, info, seed),
            "open": lambda: SUITE.decrypt_with_label(loaded, label, info, *sealed),
        }
        self._key = key
        self.costs = dict.fromkeys(self._work, float("inf"))
        self.measure()

    def measure(self) -> None:
        """Measure again and keep what was better: on a busy machine no moment is like another."""
        for name, work in self._work.items():
            self.costs[name] = min(self.costs[name], best(work, 20, 20))

    def __getattr__(self, name: str) -> float:
        """One primitive's cost."""
        return self.costs[name]

    def message(self, signing: float) -> float:
        """A message: its signature, two AEAD calls (content, sender data), five KDF steps."""
        return signing + 2 * self.aead + 5 * self.kdf

    def commit(self, levels: int, seals: int, described: int) -> float:
        """Key pairs of leaf, path and joiners' key; leaf, commit and GroupInfo signed; seals, schedule, tree hash.

        ``described`` are the octets of the GroupInfo: it holds the tree, so what large groups sign is long.
        """
        info = best(lambda: self._key.sign(bytes(described)), 20, 5)
        return (levels + 2) * self.pair + 2 * self.sign + info + seals * self.seal + self._schedule(levels)

    def process(self, levels: int) -> float:
        """Leaf and commit verified, one seal opened, the path's key pairs, schedule, tree hash."""
        return self.verify + self.verify_new + self.open + levels * self.pair + self._schedule(levels)

    def join(self, members: int) -> float:
        """Every leaf and the GroupInfo verified, the secrets opened, schedule, tree hash."""
        return (members + 1) * self.verify_new + self.open + self._schedule(0) + 2 * members * self.hash

    def _schedule(self, levels: int) -> float:
        return (2 * levels + 14) * self.kdf + (levels + 4) * self.hash


class Ours:
    """One member here."""

    def __init__(self, name: str) -> None:
        self.identity = Identity.generate(f"mimi://bench.example/d/{name}", leg=LegClass.OPERATOR, random=os.urandom)
        self.bundle = KeyPackageBundle.generate(self.identity, now=NOW, random=os.urandom)
        self.key_package = self.bundle.message
        self.group: Group

    def join(self, welcome: bytes) -> None:
        """Come in; what is durable of the join itself is not counted with what follows."""
        self.group = Group.join(self.identity, welcome, [self.bundle], fresh=True, now=NOW)
        self.group.changes()

    def commit(self) -> bytes:
        self.staged = self.group.stage(path=True, now=NOW, random=os.urandom)
        return self.staged.commit

    def merge(self) -> None:
        self.group.merge(self.staged)

    def process(self, commit: bytes) -> None:
        self.group.process(commit, now=NOW)

    def protect(self) -> bytes:
        return self.group.protect(TEXT, random=os.urandom)

    def unprotect(self, message: bytes) -> None:
        self.group.unprotect(message)


class Theirs:
    """One member in mls-rs."""

    def __init__(self, name: str) -> None:
        keys = rust.generate_signature_keypair(rust.CipherSuite.CURVE25519_AES128)
        config = rust.client_config_default()
        config.use_ratchet_tree_extension = True
        self.client = rust.Client(name.encode(), keys, config)
        self.key_package = self.client.generate_key_package_message().to_bytes()
        self.group: rust.Group

    def join(self, welcome: bytes) -> None:
        self.group = self.client.join_group(None, rust.Message.from_bytes(welcome)).group

    def commit(self) -> bytes:
        self.staged = self.group.commit().commit_message.to_bytes()
        return self.staged

    def merge(self) -> None:
        self.process(self.staged)

    def process(self, commit: bytes) -> None:
        self.group.process_incoming_message(rust.Message.from_bytes(commit))

    def protect(self) -> bytes:
        return self.group.encrypt_application_message(TEXT).to_bytes()

    def unprotect(self, message: bytes) -> None:
        self.process(message)


class Crowd:
    """The other members of a group: they fill its tree, and the first of them invites the two that are measured."""

    def __init__(self, size: int, *, filled: bool) -> None:
        self._people = [Ours(str(number)) for number in range(size)]
        first = self._people[0]
        self._group = Group.create(first.identity, b"bench", now=NOW, random=os.urandom)
        if size > 1:
            self._commit(add=[person.key_package for person in self._people[1:]])
        if filled:
            self._fill()

    def _commit(self, **wishes) -> bytes:
        staged = self._group.stage(now=NOW, random=os.urandom, **wishes)
        self._group.merge(staged)
        self._next = staged.next
        return staged.welcome

    def invite(self, *guests: Ours | Theirs) -> bytes:
        """Add the two; a commit without path leaves the tree as it is."""
        return self._commit(add=[guest.key_package for guest in guests])

    def _fill(self) -> None:
        """Let every other leaf commit once, the far ones first, each from what all members know of the epoch."""
        for leaf in _spread(len(self._people)):
            person, now = self._people[leaf], self._next
            assert now.tree is not None
            view = View(now.context, now.tree, now.interim)
            own = {2 * leaf: person.bundle.leaf_private}
            state = first_state(view, now.secrets, now.encryption, leaf, own, sending=True)
            self._group = Group(person.identity, state, Retention())
            self._commit(path=True)


def _spread(size: int) -> Iterator[int]:
    """Even leaves in an order that halves the gaps: what is sealed to many is soon sealed to few."""
    yield 0
    step = 1 << (size - 1).bit_length()
    while step > 2:
        yield from range(step // 2, size, step)
        step //= 2


@dataclass
class Costs:
    """Microseconds of one size, tree and implementation; octets of a commit and of what it makes durable."""

    join: float
    commit: float
    process: float
    size: int


def measure(kind: type[Ours | Theirs], crowd: Crowd | None, rounds: int) -> tuple[Costs, Ours | Theirs, Ours | Theirs]:
    """Let two join, then one commit and the other follow, some times over."""
    author, reader = kind("author"), kind("reader")
    welcome = _two(author, reader) if crowd is None else crowd.invite(author, reader)
    if crowd is not None:
        author.join(welcome)
    joining = best(lambda: reader.join(welcome), 1 if isinstance(reader, Theirs) else 4)
    commits, processes, size = [], [], 0
    for _ in range(rounds):
        commits.append(best(author.commit, 1))
        message = author.staged if isinstance(author, Theirs) else author.staged.commit
        author.merge()
        processes.append(best(lambda message=message: reader.process(message), 1))
        size = len(message)
    return Costs(joining, min(commits), min(processes), size), author, reader


def _two(author: Ours | Theirs, reader: Ours | Theirs) -> bytes:
    """A group of the two alone."""
    if isinstance(author, Theirs):
        author.group = author.client.create_group(b"bench")
        made = author.group.add_members([rust.Message.from_bytes(reader.key_package)])
        author.process(made.commit_message.to_bytes())
        return made.welcome_message.to_bytes()
    author.group = Group.create(author.identity, b"bench", now=NOW, random=os.urandom)
    staged = author.group.stage(add=[reader.key_package], now=NOW, random=os.urandom)
    author.group.merge(staged)
    return staged.welcome


def talk(author: Ours | Theirs, reader: Ours | Theirs) -> tuple[float, float]:
    """Protect and unprotect, in order, as a conversation has it."""
    sending, reading = [], []
    for _ in range(9):
        start = process_time()
        messages = [author.protect() for _ in range(200)]
        middle = process_time()
        for message in messages:
            reader.unprotect(message)
        sending.append(middle - start)
        reading.append(process_time() - middle)
    return min(sending) / 200 * 1e6, min(reading) / 200 * 1e6


def durable(changes: dict[str, bytes | None]) -> int:
    """Octets of records that must be written: names and values; a deletion is its name."""
    return sum(len(name) + len(value or b"") for name, value in changes.items())


def line(what: str, ours: float, bare: float, theirs: float, aim: float | None = None, note: str = "") -> None:
    """Print one row; times are in microseconds, the aim too."""
    verdict = "" if aim is None else f"{'met' if ours <= aim else 'MISSED'} ({aim:,.0f})"
    ratios = f"{ours / bare:6.2f}x {ours / theirs:6.2f}x"
    print(f"{what:30} {ours:11,.1f} {bare:11,.1f} {theirs:11,.1f} {ratios}  {verdict:18} {note}".rstrip())


def group_rows(bare: Primitives, size: int, *, filled: bool) -> tuple[Ours, Ours, Theirs, Theirs]:
    """Print what a group of one size costs."""
    bare.measure()
    crowd = None if size == 2 else Crowd(size - 2, filled=filled)
    rounds = 6 if size > 100 else 40
    theirs, rusty, rusty_reader = measure(Theirs, crowd, rounds)
    crowd = None if size == 2 else Crowd(size - 2, filled=filled)
    ours, author, reader = measure(Ours, crowd, rounds)
    assert isinstance(author, Ours) and isinstance(reader, Ours)
    tree, leaf = author.group.view.tree, author.group.own_leaf
    path = tree.filtered_path(leaf)
    seals = sum(len(recipients(tree, across, frozenset())) for _, across in path)
    name = f"{size:5,} {'filled' if filled else 'blank '}"
    target = (5000, 1500) if size == 100 else (None, None)
    floor = bare.commit(len(path), seals, len(author.staged.group_info))
    line(f"{name} commit", ours.commit, floor, theirs.commit, target[0], f"{seals} HPKE seals")
    line(f"{name} process", ours.process, bare.process(len(path)), theirs.process, target[1])
    line(f"{name} join", ours.join, bare.join(size), theirs.join)
    author.group.changes()
    author.commit()
    author.merge()
    reader.group.process(author.staged.commit, now=NOW)
    written = f"{durable(author.group.changes()):,} octets to store"
    print(f"{name} {'sizes':17} a commit of {ours.size:,} octets (mls-rs {theirs.size:,}), {written}")
    return author, reader, rusty, rusty_reader


def message_rows(bare: Primitives, author: Ours, reader: Ours, rusty: Theirs, rusty_reader: Theirs) -> None:
    """Print what a message costs; it is the same in groups of any size."""
    sending, reading = talk(author, reader)
    their_sending, their_reading = talk(rusty, rusty_reader)
    bare.measure()
    for what, ours, limit, theirs, aim in (
        ("protect 1 KiB", sending, bare.message(bare.sign), their_sending, 10_000),
        ("unprotect 1 KiB", reading, bare.message(bare.verify), their_reading, 5_500),
    ):
        note = f"{1e6 / ours:,.0f}/s, {limit / ours:.0%} of the primitives' limit"
        line(what, ours, limit, theirs, max(1e6 / aim, limit / 0.6), note)
    author.group.changes()
    reader.group.changes()
    message = author.protect()
    reader.unprotect(message)
    sent, read = durable(author.group.changes()), durable(reader.group.changes())
    verdict = "met" if max(sent, read) < 200 else "MISSED"
    written = f"{sent} octets sent, {read} received, {verdict} (200)"
    print(f"{'state of one message':30} {written}; {len(message):,} on the wire")


def main() -> None:
    """Print the table."""
    bare = Primitives()
    print("primitives (us): " + ", ".join(f"{name} {cost:.1f}" for name, cost in bare.costs.items()))
    heads = ("ours", "primitives", "mls-rs")
    print(f"\n{'members, work (us)':30} " + " ".join(f"{head:>11}" for head in heads) + "  /prim.  /mls-rs  aim")
    for size in SIZES:
        for filled in (True, False)[size == 2 :]:
            members = group_rows(bare, size, filled=filled)
            if size == 10 and filled:
                message_rows(bare, *members)
    floor = 99 * bare.seal
    print(f"\nA blank tree of 100 makes a commit seal 99 times, {floor:,.0f} us in the primitive alone: an aim of")
    print("5,000 us is out of reach there for anyone; each commit by another member fills a path and lifts it.")


if __name__ == "__main__":
    main()
