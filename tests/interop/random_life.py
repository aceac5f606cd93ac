"""A group's life at random, from a seed: every event is drawn from what the members present can do."""

from __future__ import annotations

import secrets
from collections import Counter
from random import Random

from tests.interop.world import MLSRS, OURS, TSMLS, Member, World

ENTERING = (OURS, TSMLS)
"""Who can join by an external commit."""
WEIGHTS = {
    "say": 30,
    "burst": 6,
    "update": 22,
    "invite": 14,
    "leave": 12,
    "enter": 8,
    "resync": 4,
    "propose": 10,
    "swap": 5,
    "race": 6,
    "key": 3,
    "hide": 4,
    "reload": 6,
}


class Life:
    """Plays events in a world of about ``size`` members of these kinds."""

    def __init__(self, world: World, random: Random, size: int, kinds: list[str]) -> None:
        self.world, self.random, self.size, self.kinds = world, random, size, kinds
        self.played: Counter[str] = Counter()
        self.done = 0
        first = world.create(OURS)
        world.watch(first)
        world.invite(first, *kinds[1:size])

    def play(self, events: int) -> None:
        """Play this many events; ``played`` counts them by their names."""
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        while self.done < events:
            name = self.random.choices(names, weights)[0]
            if getattr(self, name)():
                self.played[name] += 1
                self.done += 1
        self.world.agree_on_exports()

    # Events: each returns whether it could be played

    def say(self) -> bool:
        self.world.say(self._anyone(), self._words())
        return True

    def burst(self) -> bool:
        """Messages of one author arrive in another order, some in the next epoch."""
        author, world = self._anyone(), self.world
        texts = [self._words() for _ in range(self.random.randint(2, 6))]
        sent = [(author.ask("encrypt", data=text.hex())["message"], text) for text in texts]
        self.random.shuffle(sent)
        late = sent.pop()
        for message, text in sent:
            world.hear(author, message, text)
        world.commit(self._anyone())
        world.hear(author, *late)
        return True

    def update(self) -> bool:
        self.world.commit(self._anyone())
        return True

    def hide(self) -> bool:
        """A commit in a PrivateMessage: the router cannot follow, and takes up again from a GroupInfo."""
        if not self.world.of(OURS, TSMLS):
            return False
        self.world.router = None
        self.world.commit(self._anyone(OURS, TSMLS), private=True)
        self.world.watch(self._anyone(OURS))
        return True

    def invite(self) -> bool:
        if len(self.world.members) >= self.size:
            return False
        self._make_room_for(kind := self._missing())
        self.world.invite(self._anyone(), kind)
        return True

    def leave(self) -> bool:
        if len(self.world.members) <= max(1, self.size - 4):
            return False
        pair = self._pair()
        if pair is None or not self._spare(pair[1]):
            return False
        author, gone = pair
        self.world.commit(author, remove=[gone])
        return True

    def enter(self) -> bool:
        kind = self._missing() if len(self.world.members) < self.size else ""
        if kind not in ENTERING:
            return False
        self._make_room_for(kind)
        self.world.enter(self._anyone(*ENTERING), self.world.newcomer(kind))
        return True

    def resync(self) -> bool:
        """A member comes back in place of its former self, told by another."""
        pair = self._pair(ENTERING)
        if pair is None or pair[1].kind not in ENTERING:
            return False
        self._make_room_for(pair[1].kind)
        self.world.enter(pair[0], pair[1], replace=pair[1])
        return True

    def propose(self) -> bool:
        """One proposes to add, to remove or to renew itself, another commits it."""
        pair, world = self._pair(), self.world
        if pair is None:
            return False
        author, committer = pair
        wish = self.random.choice(("add", "remove", "update"))
        if wish == "update":
            if author.kind != OURS:
                return False
            world.propose(author, "update")
            world.commit(committer)
            world.unmerged.discard(author)
        elif wish == "add":
            if len(world.members) >= self.size:
                return False
            self._make_room_for(kind := self._missing())
            guest = world.newcomer(kind)
            world.propose(author, "add", key_package=world.key_package(guest))
            world.commit(committer, invited=[guest])
        else:
            others = [member for member in world.members if member not in pair and self._spare(member)]
            if not others:
                return False
            gone = self.random.choice(others)
            world.propose(author, "remove", leaf=gone.leaf)
            world.commit(committer, dropped=[gone])
        return True

    def swap(self) -> bool:
        """One commit removes a member and adds another, maybe at the same leaf (which ts-mls does not survive)."""
        pair = self._pair((OURS, TSMLS))
        if pair is None or not self._spare(pair[1]) or pair[1].kind == TSMLS:
            return False
        author, gone = pair
        kind = self.random.choice([kind for kind in self.kinds if kind != TSMLS])
        self.world.commit(author, add=[self.world.newcomer(kind)], remove=[gone])
        return True

    def race(self) -> bool:
        """Two commit in one epoch; the delivery service takes one, and the other follows it."""
        pair = self._pair()
        if pair is None:
            return False
        first, second = pair
        made = first.ask("commit")
        second.ask("commit")
        self.world.accept(first, made, [], [])
        return True

    def key(self) -> bool:
        """An external pre-shared key is mixed in; everyone must be able to."""
        world = self.world
        if world.of(MLSRS):
            return False
        name, secret = secrets.token_hex(8), secrets.token_hex(32)
        world.everyone(world.members, "psk", id=name, secret=secret)
        world.commit(self._anyone(), psk=[name])
        return True

    def reload(self) -> bool:
        """One of ours goes down, and comes up again from what it had stored."""
        member = self._anyone(OURS)
        member.peer.desk.reload(member.name)
        return True

    # Who

    def _anyone(self, *kinds: str) -> Member:
        return self.random.choice(self.world.of(*kinds) if kinds else self.world.members)

    def _pair(self, kinds: tuple[str, ...] = ()) -> tuple[Member, Member] | None:
        """Two members, the first of one of these kinds."""
        first = self._anyone(*kinds) if not kinds or self.world.of(*kinds) else None
        others = [member for member in self.world.members if member is not first]
        return (first, self.random.choice(others)) if first is not None and others else None

    def _spare(self, member: Member) -> bool:
        """One of ours always stays: someone must be able to give a GroupInfo.

        Where ts-mls may be, the left half of the tree does not become empty (see ``test_limits``).
        """
        if member.kind == OURS and len(self.world.of(OURS)) == 1:
            return False
        left = [other.leaf for other in self.world.members if other is not member]
        half = 2 ** max(left, default=0).bit_length() // 2
        return TSMLS not in self.kinds or len(left) < 2 or min(left) < half

    def _missing(self) -> str:
        """The kind of the next newcomer: what the mix lacks, else any of it."""
        here, mix = Counter(member.kind for member in self.world.members), Counter(self.kinds)
        lacking = sorted((mix - here).elements())
        return self.random.choice(lacking or self.kinds)

    def _make_room_for(self, kind: str) -> None:
        """ts-mls joins only where no node has unmerged leaves (see ``test_limits``): they commit first."""
        if kind == TSMLS:
            self.world.settle()

    def _words(self) -> bytes:
        return self.random.randbytes(self.random.choice((0, 1, 100, 1000)))
