"""A recorder at the seal: every key and nonce that anything was encrypted under, and whether one came twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from protocol.mls.suites import CipherSuite


class Recorder:
    """What was sealed so far.

    The reuse guard changes the first four octets of a message's nonce at random, and nothing may rely on it: so a
    nonce counts by its other octets.
    """

    def __init__(self) -> None:
        self.used: set[tuple[bytes, bytes]] = set()
        self.twice: list[tuple[bytes, bytes]] = []

    def note(self, key: bytes, nonce: bytes) -> None:
        pair = (key, nonce[4:])
        if pair in self.used:
            self.twice.append(pair)
        self.used.add(pair)

    def check(self) -> None:
        assert not self.twice, "a key and nonce were used for two ciphertexts"


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Record for as long as this lasts, and complain at its end."""
    recorder = Recorder()
    honest = CipherSuite.seal

    def seal(suite: CipherSuite, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        recorder.note(key, nonce)
        return honest(suite, key, nonce, plaintext, aad)

    with monkeypatch.context() as patch:
        patch.setattr(CipherSuite, "seal", seal)
        yield recorder
    recorder.check()
