"""A small MLS group that is the same in every run: what fuzzing finds in one run means something in the next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from protocol.leg import LegClass
from protocol.mls import Group, Identity, KeyPackageBundle, PublicGroup, Session
from protocol.mls.messages import Authenticated, PrivateMessage, PublicMessage, read_message
from protocol.mls.suites import CipherSuite
from tests.fuzz import harness

NOW = 1_700_000_000


class Stream:
    """Randomness that is none: the same octets in the same order, for tests only."""

    def __init__(self, seed: str) -> None:
        self._seed, self._count = seed, 0

    def __call__(self, size: int) -> bytes:
        """Return the next octets."""
        self._count += 1
        return hashlib.shake_256(f"{self._seed} {self._count}".encode()).digest(size)


class Remembering(Session):
    """A session that lets a group be taken back any number of times, so that each input finds the same one."""

    def take_back(self, group_id: bytes, session: bytes, number: int) -> bool:
        """Say yes."""
        return True


class World:
    """Alice and Bob in a group, the router that follows it, and Carol at the door with a key package."""

    def __init__(self) -> None:
        self.random = Stream("world")
        self.people = {name: self._identity(name) for name in ("alice", "bob", "carol")}
        bob, self.carol = (self._bundle(name) for name in ("bob", "carol"))
        self.alice = Group.create(
            self.people["alice"], b"room", context={0x8001: b"verona"}, now=NOW, random=self.random
        )
        invitation = self.stage(add=[bob.message])
        self.alice.merge(invitation)
        self.session = Remembering(bytes(16))
        self.bob = Group.join(self.people["bob"], invitation.welcome, [bob], fresh=True, now=NOW)
        self.info = self.alice.group_info(random=self.random)
        self.staged = self.stage(add=[self.carol.message])
        self.records = {member.identity.uri: self._stored(member) for member in (self.alice, self.bob)}

    def _identity(self, name: str) -> Identity:
        uri, spaces = f"mimi://verona.example/d/{name}", [f"mimi://verona.example/u/{name}~"]
        return Identity.generate(uri, leg=LegClass.OPERATOR, namespaces=spaces, random=Stream(name))

    def _bundle(self, name: str) -> KeyPackageBundle:
        return KeyPackageBundle.generate(self.people[name], now=NOW, random=self.random)

    def stage(self, **wishes):
        """A commit of Alice's."""
        return self.alice.stage(now=NOW, random=self.random, **wishes)

    def _stored(self, member: Group) -> dict[str, bytes]:
        member.unload(self.session)
        return {name: value for name, value in member.changes().items() if value is not None}

    def router(self) -> PublicGroup:
        """The group as the router follows it."""
        return PublicGroup.create(self.info, now=NOW)

    def member(self, name: str) -> Group:
        """A member afresh, as it is stored."""
        identity = self.people[name]
        return Group.restore(identity, self.records[identity.uri], session=self.session)

    def messages(self) -> list[bytes]:
        """One message of each kind."""
        alice = self.member("alice")
        joining = Group.join_external(self.people["carol"], self.info, now=NOW, random=self.random)
        return [
            self.staged.commit,
            self.staged.welcome,
            self.info,
            self.carol.message,
            self.stage(context={0x8001: b"mantua"}, path=True).commit,
            self.stage(remove=[1]).commit,
            joining.commit,
            alice.propose_update(random=self.random),
            alice.protect(b"Wherefore art thou?", random=self.random, authenticated_data=b"balcony"),
            alice.stage(add=[self.carol.message], private=True, now=NOW, random=self.random).commit,
        ]


def content_of(message: bytes) -> Authenticated:
    """The signed content of a public message."""
    decoded = read_message(message)
    assert isinstance(decoded, PublicMessage)
    return decoded.authenticated


def private_of(message: bytes) -> PrivateMessage:
    """A private message, taken apart."""
    decoded = read_message(message)
    assert isinstance(decoded, PrivateMessage)
    return decoded


def believe_signatures() -> None:
    """Let every signature pass: what a malicious member signs is what the rules behind the signature must withstand."""

    def believed(*_: object) -> None:
        """Say yes."""

    CipherSuite.verify = believed  # type: ignore[method-assign]


def fuzz(one_input: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Fuzz until told to stop, beginning with these seeds."""
    harness.fuzz(one_input, "protocol.mls", seeds=seeds)
