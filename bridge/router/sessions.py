"""Endpoints' sessions: each has one at a time, begun by ``hello``; an older one is refused everything.

A session is one life of one endpoint on its ledger. Two copies of a ledger would use the same keys twice; whichever of
them speaks second is told that it is a fork, and the other is shut out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct

from bridge.router.contract import BadRequest, Forked, Hello, NoHello, Standing
from bridge.router.journal import Journal

LONGEST_SESSION = 64
"""Characters of a session's name."""


class Caller(NamedTuple):
    """Who asks: the endpoint, which has been authenticated, and the session that it says it is in ('': none)."""

    endpoint: str
    session: str


class _Session(Struct):
    name: str
    used: bool


class Sessions:
    """The sessions of all endpoints since this router's start; ``clock`` is in milliseconds."""

    def __init__(self, journal: Journal, clock: Callable[[], int]) -> None:
        self._journal = journal
        self._clock = clock
        self._current: dict[str, _Session] = {}
        self._seen: dict[str, int] = {}

    def load(self, seen: Mapping[str, int]) -> None:
        """Begin with when endpoints were heard of before."""
        self._seen = dict(seen)

    async def greet(self, endpoint: str, hello: Hello) -> Standing:
        """Judge a session and, unless another has taken its place, let it speak from now on."""
        if not 0 < len(hello.session) <= LONGEST_SESSION or len(hello.previous) > LONGEST_SESSION:
            raise BadRequest(f"a session's name has 1 to {LONGEST_SESSION} characters")
        now = self._seen[endpoint] = self._clock()
        standing = await self._journal.greet(endpoint, hello.session, hello.previous, now)
        before = self._current.get(endpoint)
        if standing is not Standing.OLDER and (before is None or before.name != hello.session):
            self._current[endpoint] = _Session(hello.session, used=False)
        return standing

    async def admit(self, caller: Caller) -> None:
        """Let the current session's caller through. Raises ``NoHello`` or ``Forked``."""
        current = self._current.get(caller.endpoint)
        if current is None or not caller.session:
            raise NoHello(f"{caller.endpoint} has not said hello to this router since it was started")
        if caller.session != current.name:
            raise Forked(f"another session of {caller.endpoint} has taken the place of this one")
        self._seen[caller.endpoint] = self._clock()
        if not current.used:
            await self._journal.use(caller.endpoint, self._seen[caller.endpoint])
            current.used = True

    def current(self, endpoint: str) -> str:
        """Return the session that may speak for an endpoint ('': none has said hello yet)."""
        found = self._current.get(endpoint)
        return "" if found is None else found.name

    def heard(self) -> Iterator[tuple[str, int]]:
        """Yield the endpoints that have asked for something since the start, and when they last did."""
        for endpoint, session in list(self._current.items()):
            if session.used:
                yield endpoint, self._seen[endpoint]

    @property
    def seen(self) -> Mapping[str, int]:
        """When each endpoint was last heard of."""
        return self._seen

    def away(self, longer_than: int) -> frozenset[str]:
        """Return the endpoints that were not heard of for longer than so many milliseconds."""
        before = self._clock() - longer_than
        return frozenset(endpoint for endpoint, at in self._seen.items() if at < before)
