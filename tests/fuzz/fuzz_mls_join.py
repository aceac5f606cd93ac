"""Whatever stands in a GroupInfo or a Welcome, the door opens or is shut in MLS's own words.

``python -m tests.fuzz.fuzz_mls_join [-max_total_time=600] [CORPUS]``; needs atheris. The first octet says how the rest
is taken; signatures are believed, and what must be encrypted is, so that what lies behind is reached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from protocol.mls import Group, PublicGroup, schedule
from protocol.mls.codec import decode, u32, vec
from protocol.mls.errors import MlsError
from protocol.mls.messages import GroupSecrets, SealedSecrets, Welcome, encode_message, read_message
from protocol.mls.psk import gather, psk_secret
from tests.fuzz.mls_world import NOW, World, believe_signatures, fuzz

WORLD = World()
CAROL = WORLD.people["carol"]
SUITE = CAROL.suite
PSKS = {b"door": b"key"}


def one_input(data: bytes) -> None:
    """Knock in one of three ways."""
    way, rest = data[0] % 3 if data else 0, data[1:]
    with contextlib.suppress(MlsError):
        if way == 0:
            _by_info(rest)
        else:
            message = rest if way == 1 else _welcome(rest)
            joined = Group.join(CAROL, message, [WORLD.carol], psks=PSKS, fresh=True, now=NOW)
            _use(joined)


def _by_info(info: bytes) -> None:
    """The router begins to follow, and Carol joins by an external commit."""
    router = PublicGroup.create(info, now=NOW)
    assert PublicGroup.from_bytes(router.to_bytes()).epoch == router.epoch
    joined = Group.join_external(CAROL, info, now=NOW, random=WORLD.random)
    router.process(joined.commit, now=NOW)
    _use(joined.group)


def _use(group: Group) -> None:
    group.members()
    group.protect(b"here I am", random=WORLD.random)
    group.merge(group.stage(now=NOW, random=WORLD.random, path=True))
    records = {name: value for name, value in group.changes().items() if value is not None}
    assert Group.restore(CAROL, records).epoch == group.epoch


def _welcome(rest: bytes) -> bytes:
    """A Welcome to Carol around GroupSecrets and a GroupInfo: u32 length of the first, then both."""
    size = int.from_bytes(rest[:4], "big")
    opened, info = rest[4 : 4 + size], rest[4 + size :]
    secrets = decode(opened, GroupSecrets.read)
    combined = psk_secret(SUITE, secrets.psks, gather(PSKS))
    welcome = SUITE.derive_secret(SUITE.extract(secrets.joiner_secret, combined), b"welcome")
    sealed_info = SUITE.seal(*schedule.welcome_key(SUITE, welcome), info, b"")
    key = SUITE.kem.load_public(WORLD.carol.package.init_key)
    sealed = SealedSecrets(WORLD.carol.ref, *SUITE.encrypt_with_label(key, b"Welcome", sealed_info, opened))
    return encode_message(Welcome(SUITE.id, (sealed,), sealed_info))


def seeds() -> Iterator[bytes]:
    """A GroupInfo, a Welcome, and what is inside a Welcome."""
    yield b"\0" + WORLD.info
    yield b"\x01" + WORLD.staged.welcome
    message = read_message(WORLD.staged.welcome)
    assert isinstance(message, Welcome)
    key = SUITE.kem.load_private(WORLD.carol.init_private)
    sealed, info = message.secrets[0], message.encrypted_group_info
    opened = SUITE.decrypt_with_label(key, b"Welcome", info, sealed.kem_output, sealed.ciphertext)
    secrets = decode(opened, GroupSecrets.read)
    welcome = SUITE.derive_secret(SUITE.extract(secrets.joiner_secret, SUITE.zero), b"welcome")
    opened_info = SUITE.open(*schedule.welcome_key(SUITE, welcome), info, b"")
    for path in (secrets.path_secret, None, bytes(32)):
        bent = GroupSecrets(secrets.joiner_secret, path, ()).encode()
        yield b"\x02" + u32(len(bent)) + bent + opened_info
    yield b"\x02" + u32(0) + vec(b"")


if __name__ == "__main__":
    believe_signatures()
    fuzz(one_input, seeds())
