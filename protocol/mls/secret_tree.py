"""The secret tree: one pair of symmetric ratchets a leaf, keys deleted as they are used (RFC 9420 §9).

What is durable is written record by record, so that one message costs one small record:

    t/<epoch>/<node>                     the secret of a node that is not yet expanded
    r/<epoch>/<leaf>/<h|a>               a ratchet: next generation and secret
    s/<epoch>/<leaf>/<h|a>/<generation>  the key and nonce of a message that has not come yet

Our own leaf's secret is expanded as the epoch begins, and dropped. The two ratchets that we send with are in memory
only, in a tree that may send, and nowhere in another: no copy of the records, however old, has a key to send under.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from protocol.mls import treemath as tm
from protocol.mls.codec import u16, u32, varint, vec
from protocol.mls.errors import GenerationError, ReplayError, StateError
from protocol.mls.suites import CipherSuite

MAX_FORWARD = 1000
"""How far a message may be ahead in its sender's ratchet."""

MAX_SKIPPED = 256
"""How many keys of messages that have not come yet are kept for one ratchet."""

_LAST_GENERATION = (1 << 32) - 2

HANDSHAKE, APPLICATION = "h", "a"

Put = Callable[[str, bytes | None], None]


class Steps:
    """The three derivations of a ratchet step with their labels prepared."""

    __slots__ = ("_hash", "_key", "_key_size", "_next", "_nonce", "_nonce_size")

    def __init__(self, suite: CipherSuite) -> None:
        self._hash = suite.hash_name
        self._key_size, self._nonce_size = suite.key_size, suite.nonce_size
        self._key = self._info(b"key", suite.key_size)
        self._nonce = self._info(b"nonce", suite.nonce_size)
        self._next = self._info(b"secret", suite.hash_size)

    @staticmethod
    def _info(label: bytes, size: int) -> bytes:
        return u16(size) + vec(b"MLS 1.0 " + label) + varint(4)

    def key(self, secret: bytes, generation: int) -> tuple[bytes, bytes]:
        """Derive the key and nonce of one generation."""
        tail = generation.to_bytes(4, "big") + b"\x01"
        key = hmac.digest(secret, self._key + tail, self._hash)[: self._key_size]
        return key, hmac.digest(secret, self._nonce + tail, self._hash)[: self._nonce_size]

    def advance(self, secret: bytes, generation: int) -> bytes:
        """Derive the next generation's secret."""
        return hmac.digest(secret, self._next + generation.to_bytes(4, "big") + b"\x01", self._hash)


class Ratchet:
    """A leaf's ratchet: the next generation, its secret, and the keys that were skipped."""

    __slots__ = ("generation", "secret", "skipped")

    def __init__(self, generation: int, secret: bytes) -> None:
        self.generation = generation
        self.secret = secret
        self.skipped: dict[int, tuple[bytes, bytes]] = {}

    def encode(self) -> bytes:
        """Encode the ratchet for storage, without its skipped keys."""
        return u32(self.generation) + self.secret


class Opened(Struct, frozen=True):
    """A key found for a message that came, to be spent once the message has proved genuine."""

    key: bytes
    nonce: bytes
    ratchet: Ratchet
    name: str
    generation: int
    secret: bytes
    skipped: dict[int, tuple[bytes, bytes]]


class SecretTree:
    """The secrets of one epoch's messages."""

    __slots__ = ("_leaves", "_nodes", "_own", "_put", "_ratchets", "_sending", "_steps", "_suite", "epoch")

    def __init__(self, suite: CipherSuite, epoch: int, leaves: int, put: Put, own: int) -> None:
        self._suite, self.epoch, self._leaves, self._put, self._own = suite, epoch, leaves, put, own
        self._steps = Steps(suite)
        self._nodes: dict[int, bytes] = {}
        self._ratchets: dict[str, Ratchet] = {}
        self._sending: dict[str, Ratchet] = {}

    @classmethod
    def start(
        cls, suite: CipherSuite, epoch: int, leaves: int, encryption: bytes, put: Put, own: int, *, sending: bool
    ) -> SecretTree:
        """Begin an epoch's tree from its encryption secret; ``put`` receives what must be stored.

        ``own`` is our leaf, whose ratchets are kept, in memory, only if this tree is for ``sending``.
        """
        tree = cls(suite, epoch, leaves, put, own)
        tree._set_node(tm.root(leaves), encryption)
        own_ratchets = tree._derive(own)
        if sending:
            tree._sending = own_ratchets
        return tree

    def load(self, name: str, value: bytes) -> None:
        """Take one record back from storage; skipped keys come after their ratchets."""
        kind, _, rest = name.split("/", 2)
        suite = self._suite
        size = suite.key_size
        expected = {"t": suite.hash_size, "r": 4 + suite.hash_size, "s": size + suite.nonce_size}[kind]
        if len(value) != expected:
            raise StateError(f"{len(value)} octets in record {name}, which has {expected}")
        if kind == "t":
            self._nodes[int(rest)] = value
        elif kind == "r":
            self._ratchets[rest] = Ratchet(int.from_bytes(value[:4], "big"), value[4:])
        else:
            owner, generation = rest.rsplit("/", 1)
            self._ratchets[owner].skipped[int(generation)] = (value[:size], value[size:])

    def forget_own(self) -> None:
        """Drop what records of earlier versions have of our own ratchets, or what these would be derived from."""
        place = 2 * self._own
        if any(node in self._nodes for node in (place, *tm.direct_path(place, self._leaves))):
            self._derive(self._own)
        for kind in (HANDSHAKE, APPLICATION):
            if self._ratchets.pop(f"{self._own}/{kind}", None) is not None:
                self._put(f"r/{self.epoch}/{self._own}/{kind}", None)

    def sending(self) -> Mapping[str, tuple[int, bytes]]:
        """Return our own ratchets: kind to next generation and secret; none if this tree is not for sending."""
        return {kind: (ratchet.generation, ratchet.secret) for kind, ratchet in self._sending.items()}

    def resume_sending(self, ratchets: Mapping[str, tuple[int, bytes]]) -> None:
        """Go on with own ratchets that ``sending`` gave."""
        self._sending = {kind: Ratchet(generation, secret) for kind, (generation, secret) in ratchets.items()}

    def stop_sending(self) -> None:
        """Drop our own ratchets: this epoch is over, or another object goes on with it."""
        self._sending = {}

    def records(self) -> Iterator[str]:
        """Name every record that this tree has in storage."""
        yield from (f"t/{self.epoch}/{place}" for place in self._nodes)
        for name, ratchet in self._ratchets.items():
            yield f"r/{self.epoch}/{name}"
            yield from (f"s/{self.epoch}/{name}/{generation}" for generation in ratchet.skipped)

    def next_key(self, kind: str) -> tuple[int, bytes, bytes]:
        """Spend our next generation: (generation, key, nonce). ``StateError`` if this tree is not for sending."""
        ratchet = self._sending.get(kind)
        if ratchet is None:
            raise StateError(f"there is nothing to send with in epoch {self.epoch}")
        generation, secret = ratchet.generation, ratchet.secret
        if generation >= _LAST_GENERATION:
            raise GenerationError("a ratchet has come to its end; commit to begin a new epoch")
        key, nonce = self._steps.key(secret, generation)
        ratchet.secret = self._steps.advance(secret, generation)
        ratchet.generation = generation + 1
        return generation, key, nonce

    def find_key(self, leaf: int, kind: str, generation: int) -> Opened:
        """Find the key of a message that came from a leaf of the tree; nothing is spent until ``spend``."""
        name = f"{leaf}/{kind}"
        ratchet = self._ratchets.get(name) or self._expand(leaf, kind)
        ahead = generation - ratchet.generation
        if ahead < 0:
            known = ratchet.skipped.get(generation)
            if known is None:
                raise ReplayError(f"generation {generation} of leaf {leaf} was used or given up")
            return Opened(*known, ratchet, name, generation, b"", {})
        if ahead > MAX_FORWARD or generation > _LAST_GENERATION:
            raise GenerationError(f"generation {generation} of leaf {leaf} is {ahead} ahead")
        secret, skipped = ratchet.secret, {}
        for between in range(ratchet.generation, generation):
            if generation - between <= MAX_SKIPPED:
                skipped[between] = self._steps.key(secret, between)
            secret = self._steps.advance(secret, between)
        key, nonce = self._steps.key(secret, generation)
        return Opened(key, nonce, ratchet, name, generation, self._steps.advance(secret, generation), skipped)

    def spend(self, found: Opened) -> None:
        """Delete the key of a message that proved genuine and keep those it skipped, within bounds."""
        ratchet, prefix = found.ratchet, f"s/{self.epoch}/{found.name}/"
        if not found.secret:
            del ratchet.skipped[found.generation]
            self._put(f"{prefix}{found.generation}", None)
            return
        for generation, (key, nonce) in found.skipped.items():
            ratchet.skipped[generation] = (key, nonce)
            self._put(f"{prefix}{generation}", key + nonce)
        while len(ratchet.skipped) > MAX_SKIPPED:
            oldest = next(iter(ratchet.skipped))
            del ratchet.skipped[oldest]
            self._put(f"{prefix}{oldest}", None)
        ratchet.generation, ratchet.secret = found.generation + 1, found.secret
        self._put(f"r/{self.epoch}/{found.name}", ratchet.encode())

    def _set_node(self, place: int, secret: bytes) -> None:
        self._nodes[place] = secret
        self._put(f"t/{self.epoch}/{place}", secret)

    def _drop_node(self, place: int) -> bytes:
        self._put(f"t/{self.epoch}/{place}", None)
        return self._nodes.pop(place)

    def _expand(self, leaf: int, kind: str) -> Ratchet:
        """Derive another leaf's two ratchets and note them for storage."""
        for letter, ratchet in self._derive(leaf).items():
            self._ratchets[f"{leaf}/{letter}"] = ratchet
            self._put(f"r/{self.epoch}/{leaf}/{letter}", ratchet.encode())
        return self._ratchets[f"{leaf}/{kind}"]

    def _derive(self, leaf: int) -> dict[str, Ratchet]:
        """Derive a leaf's two ratchets from the nearest secret above it, deleting what was expanded."""
        place = 2 * leaf
        above = [place, *tm.direct_path(place, self._leaves)]
        have = next((i for i, node in enumerate(above) if node in self._nodes), None)
        if have is None:
            raise StateError(f"the records lack what the keys of leaf {leaf} come from")
        suite = self._suite
        for node in reversed(above[1 : have + 1]):
            secret = self._drop_node(node)
            for child, side in ((tm.left(node), b"left"), (tm.right(node), b"right")):
                self._set_node(child, suite.expand_with_label(secret, b"tree", side, suite.hash_size))
        secret = self._drop_node(place)
        return {
            letter: Ratchet(0, suite.expand_with_label(secret, label, b"", suite.hash_size))
            for letter, label in ((HANDSHAKE, b"handshake"), (APPLICATION, b"application"))
        }
