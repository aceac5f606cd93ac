"""Pre-shared keys: how they are named and how they become one secret (RFC 9420 §8.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from protocol.mls.codec import u16
from protocol.mls.errors import PskError
from protocol.mls.proposals import PskId
from protocol.mls.suites import CipherSuite

PskKey: TypeAlias = bytes | tuple[bytes, int]
"""How a caller names a key: the id of an external one, or (group id, epoch) of a resumption one."""

Psks: TypeAlias = Mapping[PskKey, bytes]
"""Pre-shared keys at hand."""

GivenPsks: TypeAlias = Mapping[bytes, bytes] | Mapping[tuple[bytes, int], bytes] | Mapping[PskKey, bytes]
"""Pre-shared keys as callers may give them: external ones, resumption ones, or both."""


def gather(*given: GivenPsks | None) -> Psks:
    """Put keys from several sources together; a later source overrides."""
    known: dict[PskKey, bytes] = {}
    for source in given:
        known.update({name: key for name, key in (source or {}).items()})  # noqa: C416 - widens the key's type
    return known


def key_of(psk: PskId) -> PskKey:
    """Return the name under which a caller's mapping holds this key."""
    return psk.psk_id if psk.external else (psk.group_id, psk.epoch)


def psk_secret(suite: CipherSuite, ids: Sequence[PskId], known: Psks) -> bytes:
    """Combine the named keys in order; raises ``PskError`` for one that we do not hold."""
    secret = suite.zero
    for position, psk in enumerate(ids):
        value = known.get(key_of(psk))
        if value is None:
            raise PskError("a pre-shared key that we do not hold")
        extracted = suite.extract(suite.zero, value)
        label = psk.encode() + u16(position) + u16(len(ids))
        step = suite.expand_with_label(extracted, b"derived psk", label, suite.hash_size)
        secret = suite.extract(step, secret)
    return secret
