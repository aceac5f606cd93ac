"""Passing signs: what is said once to who listens now, such as that somebody is typing, beside the ratchets.

A sign spends no generation, so any number of lost ones harms no message, and as its nonce is random it may be sent
under an epoch's keys by a session that must not send messages. For that it lacks what a ratchet gives: its key lives as
long as the epoch, so there is no forward secrecy inside it. It is private to Rialto, and no part of RFC 9420.

    sign      = nonce(12) || AES-128-GCM(key, nonce, u64(at) || content<V> || signature<V>, aad)
    key       = MLS-Exporter("rialto passing sign", u32(leaf), 16)
    aad       = room<V> || group_id<V> || u64(epoch) || u32(leaf)
    signature = SignWithLabel(leaf's key, "RialtoPassingSign", aad || u64(at) || content<V> || epoch_authenticator<V>)
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from protocol.mls import schedule
from protocol.mls.codec import Reader, u32, u64, vec
from protocol.mls.errors import DecryptionError, ReplayError, SenderError
from protocol.mls.identity import Identity
from protocol.mls.members import Member
from protocol.mls.state import State
from protocol.mls.suites import Random

LIFETIME = 30_000
"""How many milliseconds a sign may be away from the receiver's clock, either way."""

_EXPORT = b"rialto passing sign"
_LABEL = b"RialtoPassingSign"
_KEY, _NONCE = 16, 12


class Passed(Struct, frozen=True):
    """A sign that was opened: who gave it, when by their clock (milliseconds), and what it says."""

    sender: Member
    at: int
    content: bytes


class Signs:
    """The passing signs of one epoch: when each leaf gave its last, ours included."""

    __slots__ = ("_epoch", "_last")

    def __init__(self) -> None:
        self._epoch = -1
        self._last: dict[int, int] = {}

    def give(self, state: State, identity: Identity, room: str, content: bytes, now: int, random: Random) -> bytes:
        """Seal a sign of ours; its time is ``now`` (milliseconds), or just after our last one's."""
        own, suite = state.own_leaf, state.view.suite
        at = max(now, self._of(state).get(own, -1) + 1)
        self._last[own] = at
        aad, said = _aad(state, room, own), u64(at) + vec(content)
        signature = suite.sign(identity.key, _LABEL, aad + said + vec(state.secrets.authenticator))
        nonce = random(_NONCE)
        return nonce + AESGCM(_key(state, own)).encrypt(nonce, said + vec(signature), aad)

    def open(self, state: State, room: str, leaves: Iterable[int], sign: bytes, now: int) -> Passed:
        """Open a sign that one of ``leaves`` must have given, at ``now`` (milliseconds)."""
        for leaf in leaves:
            aad = _aad(state, room, leaf)
            try:
                plain = AESGCM(_key(state, leaf)).decrypt(sign[:_NONCE], sign[_NONCE:], aad)
            except (InvalidTag, ValueError):
                continue
            return self._check(state, leaf, aad, plain, now)
        raise DecryptionError("a passing sign of another epoch, another room or nobody there")

    def _check(self, state: State, leaf: int, aad: bytes, plain: bytes, now: int) -> Passed:
        reader = Reader(plain)
        at, content, signature = reader.u64(), reader.vec(), reader.vec()
        reader.done()
        suite = state.view.suite
        signed = aad + u64(at) + vec(content) + vec(state.secrets.authenticator)
        suite.verify(state.epoch.leaf(leaf).verifier(suite), _LABEL, signed, signature, "a passing sign")
        if leaf == state.own_leaf:
            raise SenderError("a passing sign of our own came back")
        if abs(now - at) > LIFETIME:
            raise ReplayError(f"a passing sign given {now - at} ms ago")
        if at <= self._of(state).get(leaf, -1):
            raise ReplayError(f"leaf {leaf} has given a later passing sign")
        self._last[leaf] = at
        return Passed(state.epoch.member(leaf), at, content)

    def _of(self, state: State) -> dict[int, int]:
        number = state.view.context.epoch
        if number != self._epoch:
            self._epoch, self._last = number, {}
        return self._last


def _aad(state: State, room: str, leaf: int) -> bytes:
    context = state.view.context
    return vec(room.encode()) + vec(context.group_id) + u64(context.epoch) + u32(leaf)


def _key(state: State, leaf: int) -> bytes:
    return schedule.export(state.view.suite, state.secrets.exporter, _EXPORT, u32(leaf), _KEY)
