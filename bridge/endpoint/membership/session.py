"""Whether the ledger is the latest: an older copy of it, as from a backup, would use keys again that were used since.

The router knows how far this endpoint has acknowledged what it heard. A ledger that has not come as far is not the one
that acknowledged it. Until the router has been asked nothing is encrypted and nothing delivered that waited; then an
older copy gets new keys in every room before anything is said there, comes back into rooms that have gone on without
it, and asks the network about, or calls uncertain, what may have been delivered after it was made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from bridge.endpoint.from_router.hearing import CURSOR
from bridge.endpoint.ledger.contract import Change, Ledger
from bridge.endpoint.membership.keys import ENDPOINT
from bridge.endpoint.membership.reconciler import Reconciler
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.to_network.schedule import Deliveries
from bridge.router.contract import (
    CONTRACT,
    FEATURES,
    OLDEST_CONTRACT,
    Forked,
    Hello,
    HelloAnswer,
    Router,
    RouterUnavailable,
    Standing,
    position_of,
)

_SESSION = "session"
_RETRY_S = (0.1, 5.0)

log = structlog.get_logger(__name__)


class Trust:
    """Judges the ledger of one endpoint, once for each start; ``told``: the operator says that it is an older copy."""

    def __init__(
        self,
        ledger: Ledger,
        router: Router,
        rooms: Rooms,
        membership: Reconciler,
        deliveries: Deliveries,
        *,
        random: Callable[[int], bytes],
        told: bool,
        revision: int = 0,
    ) -> None:
        self._ledger = ledger
        self._random = random
        self._router = router
        self._rooms = rooms
        self._membership = membership
        self._deliveries = deliveries
        self._told = told
        self.request_octets = 0
        """How long one request to the router may be, once it has said so."""
        self._revision = revision

    async def settle(self) -> int:
        """Judge, and let the rooms open; return the position up to which what is heard may have been heard before."""
        cursor = position_of((await self._ledger.get(ENDPOINT, CURSOR) or b"").decode())
        answer = await self.greet()
        self.request_octets = answer.request_octets
        acknowledged = position_of(answer.acknowledged)
        forked = answer.standing is Standing.FORKED and not answer.went_back  # a router that went back knows less
        older = self._told or forked or acknowledged > cursor
        if older:
            log.warning(
                "the ledger is an older copy: what it would deliver may have been delivered",
                cursor=cursor,
                acknowledged=acknowledged,
            )
            await self._deliveries.doubt()
        self._membership.trust()
        if answer.went_back:
            log.error("the router went back: every room is compared with it, and what is unanswered is said again")
            await self._ledger.commit(Change(records=[(ENDPOINT, CURSOR, answer.acknowledged.encode())]))
            self._membership.went_back()
        return acknowledged if older else 0

    async def greet(self) -> HelloAnswer:
        """Begin a session with the router, and write it down once the router knows it.

        Raises ``Forked`` if another copy of this endpoint has taken its place.
        """
        previous = (await self._ledger.get(ENDPOINT, _SESSION) or b"").decode()
        session = self._random(8).hex()
        known = (await self._ledger.get(ENDPOINT, CURSOR) or b"").decode()
        hello = Hello(OLDEST_CONTRACT, CONTRACT, FEATURES, session, previous, revision=self._revision, known=known)
        pause = _RETRY_S[0]
        while True:
            try:
                answer = await self._router.hello(hello)
            except RouterUnavailable as error:
                log.info("router cannot be reached", error=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _RETRY_S[1])
            else:
                if answer.standing is Standing.OLDER:
                    raise Forked("another session of this endpoint has taken the place of this one")
                await self._ledger.commit(Change(records=[(ENDPOINT, _SESSION, session.encode())]))
                return answer
