"""Every bound of the daemon in one table, and the one limiter that slows down who sends too much.

``Limits`` is ``[limits]`` of ``rialto.toml``; ``specs/limits.md`` shows it, with the bounds that are fixed.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct


def _bound(what: str, then: str, least: int = 0) -> Meta:
    """Say what is bounded and what happens there; both go into ``specs/limits.md``."""
    return Meta(ge=least, description=what, extra={"then": then})


_TOLD = "The message is refused as `too-many`; its sender is told once a minute, the others are refused silently."
_NOT_NOW = "The router answers `tooMany`; the endpoint waits and tries again: nothing is lost."
_REREAD = "The one not used for longest is forgotten, and asked for or computed again when it is needed."


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[limits]``: how much of everything; 0 for a rate means that it is not limited.

    Rates are token buckets: ``*_per_minute`` flows in, at most ``*_burst`` is saved up.
    """

    sender_per_minute: Annotated[int, _bound("Messages of one native sender", _TOLD)] = 600
    sender_burst: Annotated[int, _bound("... saved up", _TOLD, 1)] = 1_000
    room_per_minute: Annotated[int, _bound("Messages into one room from this endpoint's network", _TOLD)] = 6_000
    room_burst: Annotated[int, _bound("... saved up", _TOLD, 1)] = 10_000
    account_per_minute: Annotated[int, _bound("Messages of everybody on one account's network", _TOLD)] = 60_000
    account_burst: Annotated[int, _bound("... saved up", _TOLD, 1)] = 50_000
    endpoint_per_minute: Annotated[int, _bound("Envelopes that one endpoint submits to the router", _NOT_NOW)] = 120_000
    endpoint_burst: Annotated[int, _bound("... saved up", _NOT_NOW, 1)] = 50_000
    claims_per_minute: Annotated[int, _bound("KeyPackages that one endpoint claims of another", _NOT_NOW)] = 3_000
    claims_burst: Annotated[int, _bound("... saved up", _NOT_NOW, 1)] = 3_000
    limiter_keys: Annotated[
        int,
        _bound(
            "Senders, rooms and endpoints whose rates are remembered, of each kind",
            "The one heard of longest ago is forgotten and may send a burst again; the wider rates still count it.",
            1,
        ),
    ] = 10_000
    held_octets: Annotated[
        int,
        _bound(
            "Octets of envelopes that the router holds for one endpoint that does not fetch them",
            "The router answers `recipientFull`; senders keep what they said until its deadline, then it fails.",
            1,
        ),
    ] = 1 << 30
    attachments_octets: Annotated[
        int,
        _bound(
            "Octets of attachments that the router holds for everybody together",
            "Until older ones are deleted it takes no other: messages with a file fail as `media-too-large`.",
            1,
        ),
    ] = 50 << 30
    attachments_octets_each: Annotated[
        int,
        _bound(
            "Octets of attachments that the router holds for one endpoint that stored them",
            "Until older ones are deleted it takes no other of it: messages with a file fail as `media-too-large`.",
            1,
        ),
    ] = 20 << 30
    rooms_founded: Annotated[
        int, _bound("Rooms that one endpoint may have founded", "The router answers `tooMany`: no room is made.", 1)
    ] = 100_000
    signs_per_minute: Annotated[
        int, _bound("Passing signs (typing) that one endpoint submits to the router", "It is dropped silently.")
    ] = 6_000
    signs_burst: Annotated[int, _bound("... saved up", "It is dropped silently.", 1)] = 300
    commits_per_minute: Annotated[int, _bound("Commits and rooms that one endpoint submits", _NOT_NOW)] = 6_000
    commits_burst: Annotated[int, _bound("... saved up", _NOT_NOW, 1)] = 10_000
    unfetched_days: Annotated[
        int,
        _bound(
            "Days for which the router keeps what an endpoint does not fetch",
            "It is deleted; the endpoint is told when it comes back, and comes into its rooms anew.",
            1,
        ),
    ] = 30
    people_remembered: Annotated[
        int, _bound("People whose addresses and endpoints are kept in memory, for each endpoint", _REREAD, 1)
    ] = 10_000


class Rate(Struct, frozen=True):
    """A token bucket: ``per_minute`` flow in (0: no limit), at most ``burst`` are saved up."""

    per_minute: int
    burst: int


class Verdict(Enum):
    """What a limiter says of one more."""

    WITHIN = "within"
    """Within the rate."""
    TELL = "tell"
    """Beyond the rate, and whoever sent it is to be told so."""
    REFUSE = "refuse"
    """Beyond the rate, and told a moment ago."""


class _Bucket(Struct):
    level: float
    at: int
    told: int | None = None


TELL_EVERY_MS = 60_000
"""How long somebody who has been told to slow down is refused without another word."""


class Limiter:
    """Token buckets, one for each key, of the ``keys`` keys that were heard of last. Pure: the caller has the clock."""

    def __init__(self, rate: Rate, keys: int) -> None:
        self._rate = rate
        self._keys = keys
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: int, cost: int = 1) -> Verdict:
        """Take ``cost`` tokens of ``key`` at ``now`` (milliseconds), if there are as many; nothing is taken if not.

        A clock that was set back fills nothing and takes nothing away.
        """
        if not self._rate.per_minute:
            return Verdict.WITHIN
        bucket = self._bucket(key, now)
        if bucket.level >= cost:
            bucket.level -= cost
            return Verdict.WITHIN
        if bucket.told is not None and 0 <= now - bucket.told < TELL_EVERY_MS:
            return Verdict.REFUSE
        bucket.told = now
        return Verdict.TELL

    def _bucket(self, key: str, now: int) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(float(self._rate.burst), now)
            if len(self._buckets) > self._keys:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(key)
        gained = max(0, now - bucket.at) * self._rate.per_minute / 60_000
        bucket.level = min(float(self._rate.burst), bucket.level + gained)
        bucket.at = now
        return bucket


class Admission:
    """Whether one more message may come in from a network: by its sender, its room and the whole account."""

    def __init__(self, limits: Limits) -> None:
        keys = limits.limiter_keys
        self._senders = Limiter(Rate(limits.sender_per_minute, limits.sender_burst), keys)
        self._rooms = Limiter(Rate(limits.room_per_minute, limits.room_burst), keys)
        self._account = Limiter(Rate(limits.account_per_minute, limits.account_burst), 1)

    def judge(self, sender: str, room: str, now: int) -> Verdict:
        """Count one message of ``sender`` in ``room`` at ``now`` (milliseconds); the narrowest rate answers first.

        Who is beyond their own rate takes nothing from the room's, so that nobody else is slowed by them.
        """
        for limiter, key in ((self._senders, sender), (self._rooms, room), (self._account, "")):
            verdict = limiter.take(key, now)
            if verdict is not Verdict.WITHIN:
                return verdict
        return Verdict.WITHIN
