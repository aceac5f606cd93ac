"""How much one endpoint may ask of the router in a time: refused beyond that, so that it waits or slows down."""

from __future__ import annotations

from bridge.limits import Limiter, Limits, Rate, Verdict
from bridge.router.contract import Refusal, RefusalCode


class Rates:
    """The rates of all endpoints. Times are milliseconds and come from the caller."""

    def __init__(self, limits: Limits) -> None:
        keys = limits.limiter_keys
        self._envelopes = Limiter(Rate(limits.endpoint_per_minute, limits.endpoint_burst), keys)
        self._signs = Limiter(Rate(limits.signs_per_minute, limits.signs_burst), keys)
        self._commits = Limiter(Rate(limits.commits_per_minute, limits.commits_burst), keys)
        self._claims = Limiter(Rate(limits.claims_per_minute, limits.claims_burst), keys)

    def envelope(self, endpoint: str, now: int) -> Refusal | None:
        """Count one message; refuse it beyond the rate."""
        return _judge(self._envelopes, endpoint, now, "messages")

    def sign(self, endpoint: str, now: int) -> Refusal | None:
        """Count one passing sign; refuse it beyond the rate."""
        return _judge(self._signs, endpoint, now, "passing signs")

    def commit(self, endpoint: str, now: int) -> Refusal | None:
        """Count one change of a room; refuse it beyond the rate."""
        return _judge(self._commits, endpoint, now, "changes of rooms")

    def claim(self, endpoint: str, target: str, now: int) -> Refusal | None:
        """Count one claim of ``target``'s KeyPackages; refuse it beyond the rate."""
        return _judge(self._claims, f"{endpoint} {target}", now, "claims of one endpoint's KeyPackages")


def _judge(limiter: Limiter, key: str, now: int, what: str) -> Refusal | None:
    if limiter.take(key, now) is Verdict.WITHIN:
        return None
    return Refusal(RefusalCode.TOO_MANY, f"too many {what} in a short time: later")
