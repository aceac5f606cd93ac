"""The hub: one set of handlers behind every way in.

Each handler is told which endpoint asks; that has been authenticated before. What came from outside is checked here for
size and shape, what depends on the room's state by the journal, inside the transaction that keeps it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import structlog
from msgspec import Struct, structs

from bridge.limits import Limits as Bounds
from bridge.router.blobs import BlobStore
from bridge.router.configuration import DAY, RoomConfiguration
from bridge.router.contract import (
    FEATURES,
    Accepted,
    Envelope,
    Forked,
    HandshakeBundle,
    Hello,
    HelloAnswer,
    Notification,
    Refusal,
    RefusalCode,
    RoomView,
    RouterDenied,
    Standing,
    WentBack,
    common_contract,
)
from bridge.router.fanout import FanOut
from bridge.router.grants import EndpointGrant, Grants
from bridge.router.groups import Groups
from bridge.router.journal import Journal
from bridge.router.keys import KeyStore
from bridge.router.local import LocalRouter
from bridge.router.mls_groups import MlsGroups
from bridge.router.rates import Rates
from bridge.router.rooms import RoomRules
from bridge.router.sessions import Caller, Sessions
from bridge.router.sql import SqlJournal
from bridge.router.submissions import Submissions
from bridge.storage import StorageError
from protocol.uri import Kind as UriKind
from protocol.uri import UriError, parse

log = structlog.get_logger(__name__)


class Limits(Struct, frozen=True):
    """How large things may be, in octets; ``request`` is the body of one request, attachments apart."""

    request: int = 32 * 1024 * 1024
    message: int = 1024 * 1024
    handshake: int = 8 * 1024 * 1024
    blob: int = 2 * 1024**3 + 4096


class Retention(Struct, frozen=True):
    """How long things are kept, in milliseconds.

    ``messages``: bodies that every recipient has; ``receipts``: what answers a repeated submit; ``blobs``:
    attachments; ``every``: how often the hub looks.
    """

    messages: int = DAY
    receipts: int = 30 * DAY
    blobs: int = 30 * DAY
    every: int = 3600 * 1000


def wall_clock() -> int:
    """Return the time of day in milliseconds."""
    return time.time_ns() // 1_000_000


class Hub:
    """The router of one domain."""

    def __init__(
        self,
        database_url: str,
        blobs: Path,
        endpoints: Mapping[str, EndpointGrant],
        domain: str,
        clock: Callable[[], int] = wall_clock,
        *,
        limits: Limits = Limits(),  # noqa: B008  frozen
        bounds: Bounds = Bounds(),  # noqa: B008  frozen
        retention: Retention = Retention(),  # noqa: B008  frozen
        rooms: RoomConfiguration = RoomConfiguration(),  # noqa: B008  frozen
        groups: Groups | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.domain = domain
        self.clock = clock
        self.limits = limits
        self.blobs = BlobStore(blobs, limits.blob, bounds.attachments_octets)
        self._bounds = bounds
        self._retention = retention
        self._groups: Groups = groups or MlsGroups()
        self._journal: Journal = journal or SqlJournal(
            database_url, held=bounds.held_octets, most_rooms=bounds.rooms_founded
        )
        self._names: dict[str, str] = {}
        self._take(endpoints, rooms)
        self.sessions = Sessions(self._journal, clock)
        self._fan_out = FanOut(self._journal)
        self._rates = Rates(bounds)
        self._submissions = Submissions(self._journal, self._groups, self._fan_out, self._rates, clock, limits.message)
        self._pruning: asyncio.Task[None] | None = None

    def _take(self, endpoints: Mapping[str, EndpointGrant], rooms: RoomConfiguration) -> None:
        self._names = {name: grant.uri for name, grant in endpoints.items()}
        self.grants = Grants(endpoints.values())
        self._rules = RoomRules(self._groups, self.grants, self.domain, rooms)
        self._keys = KeyStore(self._journal, self._groups, self.grants)

    async def start(self) -> None:
        """Open the journal and the blobs. Raises ``StorageError``."""
        await asyncio.to_thread(self.blobs.open)
        await self._journal.start(self._fan_out.deliver)
        await self._enrol()
        self._pruning = asyncio.create_task(self._prune_regularly())

    async def configure(self, endpoints: Mapping[str, EndpointGrant], rooms: RoomConfiguration) -> None:
        """Go on with another configuration. Endpoints that it does not name are served no longer."""
        self._take(endpoints, rooms)
        await self._enrol()

    async def _enrol(self) -> None:
        named = [grant.uri for grant in self.grants]
        await self._journal.enrol(named, self.clock())
        seen = await self._journal.seen()
        self.sessions.load({**seen, **self.sessions.seen})
        gone = sorted(set(seen) - set(named))
        for endpoint in gone:
            self._fan_out.end(endpoint, RouterDenied(f"the configuration does not name {endpoint} any more"))
        await self._journal.dismiss(gone, self.clock())

    async def stop(self) -> None:
        """Commit what was accepted and close."""
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.gather(self._pruning, return_exceptions=True)
        await self._journal.stop()

    def connect(self, endpoint: str) -> LocalRouter:
        """Return the router as the endpoint of this name has it, within this process. Raises ``KeyError``."""
        return LocalRouter(self, self._names[endpoint])

    # MIMI's operations

    async def hello(self, endpoint: str, hello: Hello) -> HelloAnswer:
        """See ``Router.hello``."""
        contract = common_contract(hello)
        before = self.sessions.current(endpoint)
        standing = await self.sessions.greet(endpoint, hello)
        if self.sessions.current(endpoint) != before:
            self._fan_out.end(endpoint, Forked(f"another session of {endpoint} has taken the place of this one"))
        level = log.info if standing is Standing.CURRENT else log.warning
        level("hello", endpoint=endpoint, contract=contract, session=standing.value, revision=hello.revision)
        return HelloAnswer(
            contract=contract,
            features=tuple(feature for feature in FEATURES if feature in hello.features),
            run=self._journal.runs.current.id,
            standing=standing,
            acknowledged=self._journal.runs.cursor(await self._journal.acknowledged(endpoint)),
            went_back=self._went_back(endpoint, hello.known),
            request_octets=self.limits.request,
        )

    def _went_back(self, endpoint: str, cursor: str) -> bool:
        try:
            self._journal.runs.position(cursor)
        except WentBack as error:
            log.warning("this router went back", endpoint=endpoint, reason=str(error))
            return True
        return False

    async def publish(
        self, caller: Caller, key_packages: Sequence[bytes], last_resort: bytes | None, *, replace: bool = False
    ) -> int:
        """See ``Router.publish``."""
        await self.sessions.admit(caller)
        return await self._keys.publish(caller.endpoint, key_packages, last_resort, self.clock(), replace=replace)

    async def key_material(self, caller: Caller, target: str) -> Sequence[bytes] | Refusal:
        """See ``Router.key_material``."""
        await self.sessions.admit(caller)
        if refusal := self._rates.claim(caller.endpoint, target, self.clock()):
            return refusal
        log.info("key package claimed", endpoint=caller.endpoint, target=target)
        return await self._keys.claim(target, self.clock())

    async def identifier_query(self, caller: Caller, uri: str) -> tuple[str, ...]:
        """See ``Router.identifier_query``. Every endpoint may ask."""
        await self.sessions.admit(caller)
        return self.grants.speakers(uri)

    async def update(self, caller: Caller, room: str, bundle: HandshakeBundle) -> Accepted | Refusal:
        """See ``Router.update``."""
        endpoint = caller.endpoint
        try:
            await self.sessions.admit(caller)
        except Forked as error:
            return Refusal(RefusalCode.FORKED, str(error))
        size = len(bundle.group_info) + len(bundle.commit) + len(bundle.welcome)
        if size > self.limits.handshake:
            return Refusal(RefusalCode.TOO_LARGE, f"a handshake of {size} octets; {self.limits.handshake} are allowed")
        now = self.clock()
        if refusal := self._refuse_name(room) or self._rates.commit(endpoint, now):
            return refusal
        digest = hashlib.sha256(bundle.commit or bundle.group_info).digest()
        away = self.sessions.away(self._rules.configuration.away)
        decide = self._rules.judge(endpoint, room, bundle, now, away=away)
        answer = await self._journal.change(room, endpoint, digest, now, decide)
        code = answer.code if isinstance(answer, Refusal) else "accepted"
        log.info("room update", room=room, endpoint=endpoint, answer=code)
        return answer

    async def submit(self, caller: Caller, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        """See ``Router.submit``."""
        try:
            await self.sessions.admit(caller)
        except Forked as error:
            return [Refusal(RefusalCode.FORKED, str(error)) for _ in envelopes]
        return await self._submissions.submit(caller.endpoint, envelopes)

    async def notify(self, caller: Caller, cursor: str) -> AsyncGenerator[Sequence[Notification]]:
        """See ``Router.notify``; the caller closes the generator when it has heard enough."""
        position = await self.position(caller, cursor)
        async with aclosing(self._fan_out.listen(caller.endpoint, position)) as batches:
            async for batch in batches:
                yield batch

    async def position(self, caller: Caller, cursor: str) -> int:
        """Return where a stream from a cursor begins. Raises what ``Router.notify`` does."""
        await self.sessions.admit(caller)
        position = self._journal.runs.position(cursor)
        if 0 < position < await self._journal.lost(caller.endpoint):
            raise WentBack(f"what came after the cursor {cursor} was not fetched in time and is gone")
        return position

    async def acknowledge(self, caller: Caller, cursor: str) -> None:
        """See ``Router.acknowledge``."""
        await self.sessions.admit(caller)
        await self._journal.acknowledge(caller.endpoint, self._journal.runs.position(cursor))

    async def group_info(self, caller: Caller, room: str) -> bytes | Refusal:
        """See ``Router.group_info``: members may have it, to come back after they have lost their state."""
        await self.sessions.admit(caller)
        state = await self._journal.room(room)
        if state is None:
            return Refusal(RefusalCode.NO_SUCH_ROOM, f"there is no room {room}")
        if not state.holds(caller.endpoint):
            return Refusal(RefusalCode.NOT_ALLOWED, f"{caller.endpoint} is not in {room}", founding=state.founding)
        return await self._journal.group_info(room) or b""

    async def rooms_of(self, caller: Caller) -> Sequence[RoomView]:
        """See ``Router.rooms``."""
        await self.sessions.admit(caller)
        return [self._seen(view) for view in await self._journal.rooms(caller.endpoint)]

    def _seen(self, view: RoomView) -> RoomView:
        never = {member.endpoint: 0 for member in view.members}
        return structs.replace(view, seen=never | dict(self.sessions.seen))

    async def put_blob(self, caller: Caller, blob: AsyncIterator[bytes]) -> str:
        """See ``Router.put_blob``."""
        await self.sessions.admit(caller)
        room = self._bounds.attachments_octets_each - await self._journal.blob_octets(caller.endpoint)
        name, size = await self.blobs.put(blob, room)
        await self._journal.note_blob(caller.endpoint, name, size, self.clock())
        log.info("attachment stored", endpoint=caller.endpoint, blob=name)
        return name

    async def get_blob(self, caller: Caller, name: str) -> AsyncGenerator[bytes]:
        """See ``Router.get_blob``."""
        await self.sessions.admit(caller)
        async with aclosing(self.blobs.get(name)) as pieces:
            async for piece in pieces:
                yield piece

    # For the operator

    async def rooms(self) -> Sequence[RoomView]:
        """List all rooms."""
        return [self._seen(view) for view in await self._journal.rooms()]

    async def room(self, room: str) -> RoomView | None:
        """Return one room."""
        return next((view for view in await self.rooms() if view.room == room), None)

    async def message(self, room: str, sequence: int) -> Notification | None:
        """Return the router's own record of one message: all that it knows of it."""
        return await self._journal.message(room, sequence)

    async def prune(self) -> int:
        """Forget what is no longer needed; return how many things that were."""
        for endpoint, at in self.sessions.heard():
            await self._journal.use(endpoint, at)
        return await self.blobs.prune(self._retention.blobs) + await self._journal.prune(
            self.clock(),
            bodies_after=self._retention.messages,
            receipts_after=self._retention.receipts,
            unfetched_after=self._bounds.unfetched_days * DAY,
            blobs_after=self._retention.blobs,
        )

    # Checks

    def _refuse_name(self, room: str) -> Refusal | None:
        try:
            uri = parse(room)
        except UriError as error:
            return Refusal(RefusalCode.MALFORMED, str(error))
        if uri.kind is not UriKind.ROOM or uri.domain != self.domain:
            return Refusal(RefusalCode.NO_SUCH_ROOM, f"{room} is no room of {self.domain}")
        return None

    async def _prune_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._retention.every / 1000)
            try:
                if count := await self.prune():
                    log.info("pruned", things=count)
            except (StorageError, OSError) as error:  # a full or failing disk must not end the pruning
                log.warning("pruning failed", cause=str(error))
