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
_OLDER = "older-copy"  # while rooms may have been lost
_RETRY_S = (0.1, 5.0)
_HEARING_S = 2.0  # for what the router still has for us: it may bring us back into a room by itself
_TRIES = 5

log = structlog.get_logger(__name__)


class Trust:
    """Judges the ledger of one endpoint, once for each start; ``told``: the operator says that it is an older copy."""

    def __init__(
        self,
        ledger: Ledger,
        router: Router,
        rooms: Rooms,
        deliveries: Deliveries,
        *,
        random: Callable[[int], bytes],
        told: bool,
    ) -> None:
        self._ledger = ledger
        self._random = random
        self._router = router
        self._rooms = rooms
        self._deliveries = deliveries
        self._told = told
        self._reunited = False
        self.request_octets = 0
        """How long one request to the router may be, once it has said so."""

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
            self._rooms.older = True
            await self._deliveries.doubt()
            await self._ledger.commit(Change(records=[(ENDPOINT, _OLDER, b"1")]))
        self._reunited = await self._ledger.get(ENDPOINT, _OLDER) is None
        self._rooms.trust()
        return acknowledged if older else 0

    async def greet(self) -> HelloAnswer:
        """Begin a session with the router, and write it down once the router knows it.

        Raises ``Forked`` if another copy of this endpoint has taken its place.
        """
        previous = (await self._ledger.get(ENDPOINT, _SESSION) or b"").decode()
        session = self._random(8).hex()
        known = (await self._ledger.get(ENDPOINT, CURSOR) or b"").decode()
        hello = Hello(OLDEST_CONTRACT, CONTRACT, FEATURES, session, previous, revision=0, known=known)
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

    async def reunite(self) -> None:
        """Come back into the rooms that an older copy does not know it is in."""
        if self._reunited:
            return
        lost: list[str] = []
        for _ in range(_TRIES):
            await asyncio.sleep(_HEARING_S)
            try:
                lost = [view.room for view in await self._router.rooms() if self._is_lost(view.room)]
                for room in lost:
                    await self._rooms.come_back(room)
            except RouterUnavailable as error:
                log.info("router cannot be reached", error=str(error))
                continue
            if not lost:
                await self._ledger.commit(Change(records=[(ENDPOINT, _OLDER, None)]))
                return
        log.error("rooms were lost", rooms=len(lost))

    def _is_lost(self, room_uri: str) -> bool:
        room = self._rooms.get(room_uri)
        return room is None or room.group is None
