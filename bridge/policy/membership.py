"""Who is in a room: what one endpoint does next so that the room becomes what the configuration says.

``plan`` compares three views of one room (the router's, the ledger's, the configuration's) and returns steps; whoever
carries them out asks again afterwards. It does no I/O and takes the time as an argument, in milliseconds.

Three rules hold everything together:

* A room only goes forward. An endpoint keeps, for ever, the highest founding number and epoch that it knew of a room,
  and joins nothing at or below them. It comes back by external commit (RFC 9420 §12.4.3.2) only into a higher epoch
  whose members the configuration names; in every other case the room is founded anew, under a higher founding number.
* One keeper acts. The first configured endpoint that is a member acts at once, the next after ``PATIENCE``, and so on.
* Nobody removes whom a newer configuration names; where two configurations of the same revision differ, nobody removes
  anybody, and the room is shown as what it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

PATIENCE = 30_000
"""Milliseconds that each keeper gives the one before it."""
HEARING = 2_000
"""Milliseconds in which a Welcome or commit that the router has accepted should have been heard."""
UNHEARD = 5_000
"""Milliseconds after which a commit that was not heard is taken for lost."""


class Reason(StrEnum):
    """Why a room is not (yet) as it should be: shown, and counted."""

    NEVER_FOUNDED = "never-founded"
    ROUTER_LOST_IT = "router-lost-it"
    ROUTER_WENT_BACK = "router-went-back"
    ROUTER_DISAGREES = "router-disagrees"
    STATE_LOST = "state-lost"
    FOUNDED_ANEW = "founded-anew"
    DIVERGED = "diverged"
    COMMITS_UNHEARD = "commits-unheard"
    NOT_ADMITTED = "not-admitted"
    INCOMPLETE = "incomplete"
    UNNAMED_MEMBER = "unnamed-member"
    UNGRANTED_MEMBER = "ungranted-member"
    AWAY = "away"
    NEWER_CONFIGURATION = "newer-configuration"
    FILES_DIFFER = "files-differ"
    NOT_CONFIGURED = "not-configured"
    NEW_KEYS = "new-keys"
    STAGED = "staged"
    UNANSWERED = "unanswered"


class Claim(Struct, frozen=True):
    """What the configuration of the endpoint ``by`` says of a room's members; it has signed that."""

    by: str
    revision: int
    members: tuple[str, ...]


class Configured(Struct, frozen=True):
    """What our own configuration says of a room.

    ``members`` are endpoints' URIs in the order in which they are its keeper: as configured in a plumbed room, by their
    URIs in a ``direct`` one, where they are those that speak for its two people. Empty: it names no such room.
    """

    members: tuple[str, ...]
    revision: int = 0
    direct: bool = False


class Unseen(StrEnum):
    """What the router says of a room that it does not show us."""

    ABSENT = "absent"
    """There is no such room."""
    CLOSED = "closed"
    """There is one, and we are not in it."""


class RouterView(Struct, frozen=True):
    """What the router says of a room that we are in; ``transcript`` is the confirmed transcript hash, if it was asked.

    ``away`` are endpoints, members or not, that have not been heard of for longer than the configuration allows.
    """

    group_id: bytes
    epoch: int
    members: tuple[str, ...]
    founding: int = 0
    revision: int = 0
    transcript: bytes = b""
    away: frozenset[str] = frozenset()


class GroupView(Struct, frozen=True):
    """Our own group of the room; ``suspects`` are the members whose leaves no authority has granted."""

    group_id: bytes
    epoch: int
    members: tuple[str, ...]
    founding: int = 0
    revision: int = 0
    transcript: bytes = b""
    suspects: frozenset[str] = frozenset()


class LedgerView(Struct, frozen=True):
    """What we know of a room ourselves.

    ``founding`` and ``epoch`` are the highest we were ever in (-1: none); ``refused`` is the highest founding number
    that the router has refused us, for it knows a higher one. ``announced``: the router has accepted the
    group that we founded. ``removed``: we have heard the commit that removed us. ``diverged``: we cannot follow the
    group, or cannot read what is said in it. ``complete``: everybody who should be in it was, once. ``staged``: a
    commit of ours has no answer yet. ``sealing``: our keys of this epoch may be used. ``traffic``: something waits to
    be sent. ``unanswered``: what was sent may have been lost. ``since``: when we first saw that the room is not as it
    should be.
    """

    founding: int = -1
    epoch: int = -1
    group: GroupView | None = None
    announced: bool = True
    removed: bool = False
    diverged: bool = False
    complete: bool = False
    staged: bool = False
    sealing: bool = True
    traffic: bool = False
    unanswered: bool = False
    refused: int = -1
    since: int = 0


class Found(Struct, frozen=True, tag="found"):
    """Make the room's first group, and ask the router for it."""

    reason: Reason = Reason.NEVER_FOUNDED


class FoundAnew(Struct, frozen=True, tag="found-anew"):
    """Make a new group in the place of the one there is; ours is kept for reading until its queue is drained."""

    founding: int
    reason: Reason


class Invite(Struct, frozen=True, tag="invite"):
    """Add these endpoints, in the same commit as a ``Remove`` beside it."""

    members: tuple[str, ...]
    reason: Reason = Reason.INCOMPLETE


class Remove(Struct, frozen=True, tag="remove"):
    """Remove these endpoints' leaves."""

    members: tuple[str, ...]
    reason: Reason


class Rekey(Struct, frozen=True, tag="rekey"):
    """Commit, so that this session has keys that nobody used before."""

    reason: Reason = Reason.NEW_KEYS


class Settle(Struct, frozen=True, tag="settle"):
    """Submit the staged commit again: the router answers a repeated one as before."""

    reason: Reason = Reason.STAGED


class ComeBack(Struct, frozen=True, tag="come-back"):
    """Replace our leaf by an external commit; the epoch that it makes is higher than ``above`` of this founding."""

    founding: int
    above: int
    reason: Reason


class Wait(Struct, frozen=True, tag="wait"):
    """Do nothing before ``until`` (0: before something is heard)."""

    until: int
    reason: Reason


class Hold(Struct, frozen=True, tag="hold"):
    """Seal nothing to the room; drop what the ``suspects`` say."""

    reason: Reason
    suspects: tuple[str, ...] = ()


class Repeat(Struct, frozen=True, tag="repeat"):
    """Put what nobody has answered at the head of the room's queue, in its old order."""

    reason: Reason = Reason.UNANSWERED


class Forget(Struct, frozen=True, tag="forget"):
    """Delete our group: the room is none of ours any more."""

    reason: Reason = Reason.NOT_CONFIGURED


Step = Found | FoundAnew | Invite | Remove | Rekey | Settle | ComeBack | Wait | Hold | Repeat | Forget


def plan(
    me: str,
    router: RouterView | Unseen,
    ledger: LedgerView,
    configuration: Configured,
    claims: Sequence[Claim],
    now: int,
) -> tuple[Step, ...]:
    """Return what the endpoint ``me`` does about one room; nothing if the room is as it should be.

    ``ledger`` must have been read before the router was asked, so that a router that is behind it has gone back.
    ``claims`` of endpoints that our own configuration does not name count for nothing.
    """
    return _Planner(me, ledger, configuration, claims, now).plan(router)


class _Planner:
    """One question; its methods are the cases."""

    def __init__(
        self, me: str, ledger: LedgerView, configuration: Configured, claims: Sequence[Claim], now: int
    ) -> None:
        self._me = me
        self._ledger = ledger
        self._wanted = configuration.members
        self._configuration = configuration
        self._claims = [c for c in claims if c.by in configuration.members and c.by != me]
        self._since = ledger.since or now
        self._now = now

    def plan(self, router: RouterView | Unseen) -> tuple[Step, ...]:
        if self._me not in self._wanted:
            return self._not_ours(router)
        if router is Unseen.ABSENT:
            return self._absent()
        if router is Unseen.CLOSED:
            return self._closed()
        assert isinstance(router, RouterView)  # noqa: S101 - the two others are above
        return self._seen(router)

    # --- rooms that the router does not show us -----------------------------------------------------------------------

    def _not_ours(self, router: RouterView | Unseen) -> tuple[Step, ...]:
        if isinstance(router, Unseen):
            return (Forget(),) if self._ledger.group is not None else ()
        return (Hold(Reason.NOT_CONFIGURED),)

    def _absent(self) -> tuple[Step, ...]:
        """No room: the first founding is for whoever needs it; one that was lost is founded anew by its keeper."""
        ledger = self._ledger
        if ledger.group is not None and not ledger.announced:
            return (Found(),)
        if ledger.founding >= 0:
            return self._anew(ledger.founding + 1, Reason.ROUTER_LOST_IT, self._known_members())
        if self._configuration.direct:
            return (Found(),) if ledger.traffic else ()
        return self._in_turn(self._wanted, Found())

    def _closed(self) -> tuple[Step, ...]:
        """A room that we are not in: its keeper adds us, unless nobody is left in it whom the configuration names."""
        ledger = self._ledger
        forgotten = ledger.group is not None and ledger.announced
        if ledger.removed or (self._configuration.direct and not forgotten and not ledger.traffic):
            return (Wait(0, Reason.NOT_ADMITTED),)
        # Members that the router still knows add us, or found it anew, earlier than this: nobody may be left who would.
        turn = (2 if forgotten or self._configuration.direct else 10) + self._wanted.index(self._me)
        return self._at(
            self._since + turn * PATIENCE, FoundAnew(max(ledger.founding, ledger.refused, 0) + 1, Reason.NOT_ADMITTED)
        )

    # --- rooms that we are in -----------------------------------------------------------------------------------------

    def _seen(self, router: RouterView) -> tuple[Step, ...]:
        ledger, group = self._ledger, self._ledger.group
        if group is None or not ledger.announced or group.group_id != router.group_id:
            return self._other_group(router)
        if router.epoch < group.epoch or router.founding < ledger.founding:
            return self._anew_after(router, Reason.ROUTER_WENT_BACK)
        if router.epoch == group.epoch:
            if set(router.members) != set(group.members) or _forked(router.transcript, group.transcript):
                return self._anew_after(router, Reason.ROUTER_DISAGREES)
            return self._back(router, Reason.DIVERGED) if ledger.diverged else self._agreed(router, group)
        if ledger.diverged:
            return self._back(router, Reason.DIVERGED)
        if self._now < self._since + UNHEARD:
            return (Wait(self._since + UNHEARD, Reason.COMMITS_UNHEARD),)
        return self._back(router, Reason.COMMITS_UNHEARD)

    def _other_group(self, router: RouterView) -> tuple[Step, ...]:
        """The router counts us as a member of a group that we have no keys of: lost, not heard yet, or an old one."""
        if self._now < self._since + HEARING:
            return (Wait(self._since + HEARING, Reason.STATE_LOST),)
        if (router.founding, router.epoch) < (self._ledger.founding, self._ledger.epoch):
            return self._anew_after(router, Reason.ROUTER_WENT_BACK)
        return self._back(router, Reason.STATE_LOST if self._ledger.group is None else Reason.FOUNDED_ANEW)

    def _back(self, router: RouterView, reason: Reason) -> tuple[Step, ...]:
        """Come back into a higher epoch, if all who are there are named; the others cannot see that we need to."""
        ledger = self._ledger
        if set(router.members) <= set(self._wanted):
            above = ledger.epoch if router.founding == ledger.founding else -1
            return (ComeBack(router.founding, above, reason), Repeat())
        return (FoundAnew(self._next(router), reason), Repeat())

    def _agreed(self, router: RouterView, group: GroupView) -> tuple[Step, ...]:
        """Router and ledger tell of the same epoch: compare its members with the configuration's."""
        ledger = self._ledger
        steps: list[Step] = []
        if ledger.unanswered:
            steps.append(Repeat())
        away = router.away - {self._me}
        extra = [m for m in group.members if m not in self._wanted]
        missing = tuple(m for m in self._wanted if m not in group.members and m not in away)
        if group.suspects or extra:
            steps.append(self._hold(group, extra))
        elif missing and not ledger.complete:
            steps.append(Hold(Reason.INCOMPLETE))
        removals = self._removals(group, extra, away)
        invites = tuple(m for m in missing if not self._outdated(group) and not self._newer_without(m))
        if ledger.staged:
            return (*steps, Settle())
        if self._me in group.suspects and not ledger.sealing:
            return (*steps, Rekey())  # our own leaf says who we are in an outdated way: a commit of ours mends that
        if removals is None and not invites:
            if (away & set(self._wanted)) - set(group.members):
                steps.append(Wait(0, Reason.AWAY))  # to be added again when it is back
            rekey = ledger.traffic and not ledger.sealing and not any(isinstance(step, Hold) for step in steps)
            return (*steps, Rekey()) if rekey else tuple(steps)
        changes: list[Step] = [] if removals is None else [removals]
        if invites:
            changes.append(Invite(invites))
        keepers = [m for m in self._wanted if m in group.members and m not in away and m not in group.suspects]
        return (*steps, *self._in_turn(keepers, *changes))

    def _hold(self, group: GroupView, extra: Sequence[str]) -> Hold:
        suspects = tuple(m for m in group.members if m in extra or m in group.suspects)
        if group.suspects:
            return Hold(Reason.UNGRANTED_MEMBER, suspects)
        if self._outdated(group) or any(not self._may_remove(group, member) for member in extra):
            return Hold(Reason.FILES_DIFFER if self._clash() else Reason.NEWER_CONFIGURATION, suspects)
        return Hold(Reason.UNNAMED_MEMBER, suspects)

    def _removals(self, group: GroupView, extra: Sequence[str], away: frozenset[str]) -> Remove | None:
        ungranted = [m for m in group.members if m in group.suspects and m != self._me]
        unnamed = [m for m in extra if m not in ungranted and self._may_remove(group, m)]
        gone = [m for m in group.members if m in away and m not in ungranted and m not in unnamed]
        if ungranted or unnamed:
            reason = Reason.UNGRANTED_MEMBER if ungranted else Reason.UNNAMED_MEMBER
            return Remove((*ungranted, *unnamed, *gone), reason)
        return Remove(tuple(gone), Reason.AWAY) if gone else None

    # --- configurations of different age ------------------------------------------------------------------------------

    def _outdated(self, group: GroupView) -> bool:
        """Whether the room was arranged by a configuration newer than ours."""
        return not self._configuration.direct and group.revision > self._configuration.revision

    def _clash(self) -> bool:
        """Whether another configuration of our revision names other members."""
        ours = self._configuration
        return any(c.revision == ours.revision and set(c.members) != set(self._wanted) for c in self._claims)

    def _may_remove(self, group: GroupView, member: str) -> bool:
        """Whether no newer configuration, and no other one of our revision, may want this member to stay."""
        ours = self._configuration
        if ours.direct:  # who speaks for its two people is no matter of opinion
            return True
        named = any(c.revision > ours.revision and member in c.members for c in self._claims)
        return not (self._outdated(group) or named or self._clash())

    def _newer_without(self, member: str) -> bool:
        ours = self._configuration
        if ours.direct:
            return False
        return any(c.revision > ours.revision and member not in c.members for c in self._claims)

    # --- turns --------------------------------------------------------------------------------------------------------

    def _known_members(self) -> Sequence[str]:
        group = self._ledger.group
        return self._wanted if group is None else [m for m in self._wanted if m in group.members]

    def _next(self, router: RouterView) -> int:
        return max(router.founding, self._ledger.founding) + 1

    def _anew_after(self, router: RouterView, reason: Reason) -> tuple[Step, ...]:
        return self._anew(self._next(router), reason, [m for m in self._wanted if m in router.members])

    def _anew(self, founding: int, reason: Reason, keepers: Sequence[str]) -> tuple[Step, ...]:
        return self._in_turn(keepers or self._wanted, FoundAnew(founding, reason), Repeat())

    def _in_turn(self, keepers: Sequence[str], *steps: Step) -> tuple[Step, ...]:
        """Return the steps when it is our turn among the keepers; until then, the wait for it."""
        turn = keepers.index(self._me) if self._me in keepers else len(keepers)
        return self._at(self._since + turn * PATIENCE, *steps)

    def _at(self, when: int, *steps: Step) -> tuple[Step, ...]:
        if self._now >= when:
            return steps
        return (Wait(when, steps[0].reason),)


def _forked(one: bytes, other: bytes) -> bool:
    return bool(one and other) and one != other
