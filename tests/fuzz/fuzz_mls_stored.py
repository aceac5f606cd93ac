"""Whatever stands where our own records stood, it is refused as no such record, or it is used without surprise.

``python -m tests.fuzz.fuzz_mls_stored [-max_total_time=600] [CORPUS]``; needs atheris. The first octet says which kind
of record the rest is; for a group's own records a second octet says which of them it replaces, nothing deleting it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from protocol.mls import Group, Identity, KeyPackageBundle, PublicGroup, Staged
from protocol.mls.errors import MlsError, StateError
from tests.fuzz.mls_world import NOW, World, fuzz

WORLD = World()


def _rich_records() -> dict[str, bytes]:
    """Bob's records with everything in them: a past epoch, waiting keys, a proposal and an update of his own."""
    alice, bob = WORLD.member("alice"), WORLD.member("bob")
    kept = dict(WORLD.records[bob.identity.uri])

    def late() -> bytes:
        alice.protect(b"lost", random=WORLD.random)
        return alice.protect(b"late", random=WORLD.random)

    bob.unprotect(late())
    staged = alice.stage(now=NOW, random=WORLD.random, path=True)
    bob.process(staged.commit, now=NOW)
    alice.merge(staged)
    bob.unprotect(late())
    bob.propose_update(random=WORLD.random)
    for name, value in bob.changes().items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    return kept


RECORDS = _rich_records()
NAMES = sorted(RECORDS)
BOB, ALICE = WORLD.people["bob"], WORLD.people["alice"]


def one_input(data: bytes) -> None:
    """Read one record."""
    kind, rest = data[0] % 5 if data else 0, data[1:]
    with contextlib.suppress(StateError if kind else MlsError):
        if kind == 0:
            _identity(rest)
        elif kind == 1:
            _bundle(rest)
        elif kind == 2:
            _staged(rest)
        elif kind == 3:
            _public(rest)
        else:
            _group(rest)


def _identity(data: bytes) -> None:
    identity = Identity.from_bytes(data)
    assert identity.to_bytes() == data
    with contextlib.suppress(MlsError):
        identity.leg  # noqa: B018 - reading it is the test


def _bundle(data: bytes) -> None:
    try:
        bundle = KeyPackageBundle.from_bytes(data)
    except MlsError:
        return
    assert bundle.to_bytes() == data
    with contextlib.suppress(MlsError):
        Group.join(WORLD.people["carol"], WORLD.staged.welcome, [bundle], now=NOW)


def _staged(data: bytes) -> None:
    try:
        staged = Staged.from_bytes(data)
    except MlsError:
        return
    assert staged.to_bytes() == data or data[0] == 1  # what earlier versions stored had a field more


def _public(data: bytes) -> None:
    try:
        router = PublicGroup.from_bytes(data)
    except MlsError:
        return
    with contextlib.suppress(MlsError):
        router.members()
    with contextlib.suppress(MlsError):
        router.process(WORLD.staged.commit, now=NOW)


def _group(data: bytes) -> None:
    """Restore a group of which one record was replaced or lost, and use it."""
    records = dict(RECORDS)
    name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
    if data[1:]:
        records[name] = data[1:]
    else:
        del records[name]
    group = Group.restore(BOB, records, session=WORLD.session)
    with contextlib.suppress(MlsError):
        group.members()
    with contextlib.suppress(MlsError):
        group.protect(b"still here", random=WORLD.random)
    with contextlib.suppress(MlsError):
        group.stage(now=NOW, random=WORLD.random)


def seeds() -> Iterator[bytes]:
    """Every record as it should be."""
    yield b"\0" + BOB.to_bytes()
    yield b"\x01" + WORLD.carol.to_bytes()
    yield b"\x02" + WORLD.staged.to_bytes()
    yield b"\x03" + WORLD.router().to_bytes()
    for number, name in enumerate(NAMES):
        yield bytes((4, number)) + RECORDS[name]
        yield bytes((4, number))


if __name__ == "__main__":
    fuzz(one_input, seeds())
