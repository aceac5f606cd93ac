"""The labels of RFC 9420, spelt out once more: both ends of a group would share a misspelt one and never notice."""

from __future__ import annotations

import hmac

from protocol.mls import schedule
from protocol.mls.framing import _guarded
from protocol.mls.secret_tree import APPLICATION, HANDSHAKE, SecretTree
from protocol.mls.suites import suite_of

SUITE = suite_of(1)
ROOT, CONTEXT = bytes(range(32)), b"context"


def expand(secret, label, context=b"", size=32):
    """ExpandWithLabel, for labels and contexts that are shorter than 64 octets."""
    name = b"MLS 1.0 " + label
    info = size.to_bytes(2, "big") + bytes((len(name),)) + name + bytes((len(context),)) + context
    return hmac.digest(secret, info + b"\x01", "sha256")[:size]


def step(secret, label, generation, size):
    return expand(secret, label, generation.to_bytes(4, "big"), size)


def test_the_secret_tree():
    for leaf, side in enumerate((b"left", b"right")):
        theirs, ours = (
            SecretTree.start(SUITE, 0, 2, ROOT, lambda name, value: None, own, sending=True) for own in (1 - leaf, leaf)
        )
        below = expand(ROOT, b"tree", side)
        for kind, label in ((HANDSHAKE, b"handshake"), (APPLICATION, b"application")):
            first = expand(below, label)
            second = step(first, b"secret", 0, 32)
            assert ours.next_key(kind) == (0, step(first, b"key", 0, 16), step(first, b"nonce", 0, 12))
            assert ours.sending()[kind] == (1, second)
            found = theirs.find_key(leaf, kind, 1)
            assert (found.key, found.nonce) == (step(second, b"key", 1, 16), step(second, b"nonce", 1, 12))
            assert found.skipped == {0: (step(first, b"key", 0, 16), step(first, b"nonce", 0, 12))}
            assert found.secret == step(second, b"secret", 1, 32)


def test_the_key_schedule():
    commit, psk = b"c" * 32, b"p" * 32
    joiner = schedule.joiner_secret(SUITE, ROOT, commit, CONTEXT)
    assert joiner == expand(hmac.digest(ROOT, commit, "sha256"), b"joiner", CONTEXT)
    run = schedule.run(SUITE, joiner, psk, CONTEXT)
    intermediate = hmac.digest(joiner, psk, "sha256")
    assert run.welcome == expand(intermediate, b"welcome")
    epoch, secrets = expand(intermediate, b"epoch", CONTEXT), run.secrets
    assert run.encryption == expand(epoch, b"encryption")
    names = {
        "sender_data": b"sender data",
        "exporter": b"exporter",
        "external": b"external",
        "confirmation": b"confirm",
        "membership": b"membership",
        "resumption": b"resumption",
        "authenticator": b"authentication",
        "init": b"init",
    }
    assert {name: getattr(secrets, name) for name in names} == {
        name: expand(epoch, label) for name, label in names.items()
    }
    assert schedule.from_epoch(SUITE, epoch).welcome == b""
    assert schedule.welcome_key(SUITE, ROOT) == (expand(ROOT, b"key", size=16), expand(ROOT, b"nonce", size=12))


def test_the_transcript():
    assert schedule.confirmed_hash(SUITE, b"interim", b"commit") == SUITE.hash(b"interimcommit")
    assert schedule.interim_hash(SUITE, b"confirmed", b"tag") == SUITE.hash(b"confirmed\x03tag")


def test_the_reuse_guard_is_mixed_into_the_head_of_the_nonce():
    assert _guarded(bytes.fromhex("0ff055aa") + b"the rest", bytes.fromhex("ff00ffff")) == (
        bytes.fromhex("f0f0aa55") + b"the rest"
    )
