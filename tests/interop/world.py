"""A group whose members are of several implementations, with a delivery service that tells everyone everything.

Every method plays one event of the group's life and checks that all members took it as they must; after each commit
``agree`` compares what they know: epoch, epoch authenticator, members.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import Any

from protocol.mls import PublicGroup
from tests.interop.process import Peer

OURS, TSMLS, MLSRS = "ours", "ts-mls", "mls-rs"


@dataclass(eq=False)
class Member:
    """One member: its name, whose implementation plays it, and its leaf once it is in."""

    name: str
    kind: str
    peer: Peer
    leaf: int = -1

    def send(self, op: str, **fields: Any) -> None:
        self.peer.send(op, member=self.name, **fields)

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        return self.peer.ask(op, member=self.name, **fields)

    def __repr__(self) -> str:
        return f"{self.name}@{self.leaf}"


class World:
    """One group and its delivery service."""

    _names = count(1)

    def __init__(self, peers: dict[str, Peer], suite: int = 1) -> None:
        self.peers, self.suite = peers, suite
        self.members: list[Member] = []
        self.unmerged: set[Member] = set()
        self.commits = 0
        self.story: list[str] = []
        self.router: PublicGroup | None = None

    def watch(self, host: Member) -> None:
        """From now on a router follows the group without its keys, beginning at ``host``'s GroupInfo."""
        info = host.ask("state", group_info=True)["group_info"]
        self.router = PublicGroup.create(bytes.fromhex(info), now=int(time.time()))

    def _route(self, message: str) -> None:
        if self.router is not None:
            self.router.process(bytes.fromhex(message), now=int(time.time()))

    def newcomer(self, kind: str) -> Member:
        """Someone of this kind who is not yet in the group."""
        return Member(f"{kind}-{next(self._names)}", kind, self.peers[kind])

    def create(self, kind: str, **fields: Any) -> Member:
        """Begin the group."""
        first = self.newcomer(kind)
        group = f"room of {first.name}".encode().hex()
        first.ask("create", group=group, suite=self.suite, **fields)
        first.leaf = 0
        self.members.append(first)
        return first

    def key_package(self, member: Member) -> str:
        """A fresh key package of this member."""
        return member.ask("keypackage", suite=self.suite)["key_package"]

    def of(self, *kinds: str) -> list[Member]:
        """The members of these kinds."""
        return [member for member in self.members if member.kind in kinds]

    # Events

    def invite(self, author: Member, *kinds: str, **wishes: Any) -> list[Member]:
        """``author`` adds newcomers of these kinds, who join by its Welcome."""
        guests = [self.newcomer(kind) for kind in kinds]
        self.commit(author, add=guests, **wishes)
        return guests

    def commit(
        self,
        author: Member,
        *,
        add: list[Member] | tuple[()] = (),
        remove: list[Member] | tuple[()] = (),
        invited: list[Member] | tuple[()] = (),
        dropped: list[Member] | tuple[()] = (),
        **wishes: Any,
    ) -> str:
        """``author`` commits and everyone follows; ``invited`` and ``dropped`` are in proposals already sent."""
        packages, leaves = [self.key_package(guest) for guest in add], [member.leaf for member in remove]
        made = author.ask("commit", add=packages, remove=leaves, **wishes)
        self.accept(author, made, [*invited, *add], [*dropped, *remove])
        return made["commit"]

    def accept(self, author: Member, made: dict[str, str], guests: list[Member], gone: list[Member]) -> None:
        """The delivery service takes this commit: everyone follows it, newcomers join."""
        self._route(made["commit"])
        self.story.append(f"{author} commits: {guests} come, {gone} go")
        lone = all(member is author or member in gone for member in self.members)
        for member, done in self.deliver(made["commit"], self.members):
            assert done["kind"] == "commit"
            assert done["left"] == (member in gone)
        for member in gone:
            self.forget(member)
        for guest in guests:
            guest.leaf = guest.ask("join", welcome=made["welcome"])["leaf"]
            self.members.append(guest)
        self.unmerged.discard(author)
        if not lone:
            self.unmerged.update(guests)
        self.agree()

    def enter(self, host: Member, guest: Member, replace: Member | None = None) -> None:
        """``guest`` joins by an external commit on ``host``'s GroupInfo, maybe in place of its former self."""
        info = host.ask("state", group_info=True)["group_info"]
        wish = {} if replace is None else {"replace": replace.leaf}
        joined = guest.ask("external_join", group_info=info, suite=self.suite, **wish)
        self._route(joined["commit"])
        self.story.append(f"{guest} enters by {host}" + ("" if replace is None else " again"))
        others = [member for member in self.members if member is not guest]
        for _, done in self.deliver(joined["commit"], others):
            assert (done["kind"], done["epoch"], done["left"]) == ("commit", joined["epoch"], False)
        guest.leaf = joined["leaf"]
        if guest not in self.members:
            self.members.append(guest)
        self.unmerged.discard(guest)
        self.agree()

    def propose(self, author: Member, op: str, **fields: Any) -> None:
        """``author`` proposes something, which everyone else hears."""
        message = author.ask(op, **fields)["proposal"]
        self._route(message)
        self.story.append(f"{author} proposes to {op}")
        for _, done in self.deliver(message, [member for member in self.members if member is not author]):
            assert done["kind"] == "proposal"

    def say(self, author: Member, data: bytes) -> None:
        """``author`` says something, which everyone else reads."""
        message = author.ask("encrypt", data=data.hex())["message"]
        self.hear(author, message, data)

    def hear(self, author: Member, message: str, data: bytes) -> None:
        """Everyone but its author reads a message."""
        for _, done in self.deliver(message, [member for member in self.members if member is not author]):
            assert (done["kind"], done["data"]) == ("application", data.hex())
            assert done["sender"] in (None, author.leaf)

    def settle(self) -> None:
        """Everyone who was added since and has not committed does so: no node of the tree has unmerged leaves."""
        for member in sorted(self.unmerged, key=lambda one: one.leaf):
            self.commit(member)
        self.unmerged.clear()

    def forget(self, member: Member) -> None:
        """Strike a member from the list, at its desk too."""
        self.members.remove(member)
        self.unmerged.discard(member)
        member.ask("forget")

    # What everyone does

    def deliver(self, message: str, to: list[Member]) -> list[tuple[Member, dict[str, Any]]]:
        """Give a message to these members and collect what they say of it."""
        return self.everyone(to, "process", message=message)

    def everyone(self, who: list[Member], op: str, **fields: Any) -> list[tuple[Member, dict[str, Any]]]:
        """Ask members the same at once: programs work while the others do."""
        asked = sorted(who, key=lambda member: member.kind != TSMLS)
        for member in asked:
            member.send(op, **fields)
        answers = [(member, member.peer.outcome()) for member in asked]
        refusals = [(member, answered) for member, answered in answers if "error" in answered]
        assert not refusals, f"{op} refused by {refusals} of {asked}"
        return answers

    def agree(self) -> None:
        """Compare what the members know of the epoch."""
        self.commits += 1
        states = self.everyone(self.members, "state")
        _, first = states[0]
        for member, state in states:
            assert state["epoch"] == first["epoch"], member
            assert state["authenticator"] == first["authenticator"], member
            assert state["members"] == first["members"], member
            assert state["leaf"] == member.leaf, member
        assert first["members"] == sorted([member.leaf, member.name] for member in self.members)
        if self.router is not None:
            assert self.router.epoch == first["epoch"]
            assert [[member.leaf, member.uri] for member in self.router.members()] == first["members"]

    def epoch(self) -> int:
        """The epoch that all are in."""
        return self.members[0].ask("state")["epoch"]

    def agree_on_exports(self) -> None:
        """Compare what the members export, with several labels, contexts and lengths."""
        for label, context, length in (("", b"", 32), ("rialto", b"context", 16), ("long", bytes(300), 99)):
            told = self.everyone(self.members, "exporter", label=label, context=context.hex(), length=length)
            secrets = {done["secret"] for _, done in told}
            assert len(secrets) == 1
            assert len(secrets.pop()) == 2 * length
