"""The hub: one set of handlers behind every way in.

Each handler is told which endpoint asks; that has been authenticated before. What came from outside is checked here for
size and shape, what depends on the room's state by the journal, inside the transaction that keeps it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import structlog
from msgspec import Struct

from bridge.limits import Limiter, Rate, Verdict
from bridge.router.blobs import BlobStore
from bridge.router.contract import (
    CONTRACT,
    FEATURES,
    OLDEST_CONTRACT,
    Accepted,
    BadRequest,
    Envelope,
    HandshakeBundle,
    Hello,
    HelloAnswer,
    Kind,
    Notification,
    Refusal,
    RefusalCode,
    RoomView,
    Router,
    Standing,
    Unintelligible,
    WentBack,
)
from bridge.router.fanout import FanOut
from bridge.router.grants import EndpointGrant, Grants
from bridge.router.groups import Groups
from bridge.router.journal import Journal, RoomState
from bridge.router.keys import KeyStore
from bridge.router.local import LocalRouter
from bridge.router.mls_groups import MlsGroups
from bridge.router.rooms import RoomRules, refuse
from bridge.router.sql import SqlJournal
from bridge.storage import StorageError
from protocol.bounded import Bounded
from protocol.mls.errors import MlsError
from protocol.uri import Kind as UriKind
from protocol.uri import UriError, parse

log = structlog.get_logger(__name__)

GROUPS_REMEMBERED = 10_000
"""Rooms whose group id is kept in memory; others are looked up in the journal."""

DAY = 24 * 3600 * 1000
"""Milliseconds."""

LONGEST_SESSION = 64
"""Characters of a session's name."""


class Limits(Struct, frozen=True):
    """How large things may be, in octets; ``request`` is the body of one request, attachments apart."""

    request: int = 32 * 1024 * 1024
    message: int = 1024 * 1024
    handshake: int = 8 * 1024 * 1024
    blob: int = 2 * 1024**3 + 4096
    blobs: int = 50 * 1024**3
    """All attachments together."""
    claims: Rate = Rate(per_minute=3_000, burst=3_000)
    """KeyPackages that one endpoint claims."""
    keys: int = 10_000
    """Endpoints whose claims are remembered."""


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
        retention: Retention = Retention(),  # noqa: B008  frozen
        groups: Groups | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.domain = domain
        self.clock = clock
        self.limits = limits
        self.grants = Grants(endpoints.values())
        self.blobs = BlobStore(blobs, limits.blob, limits.blobs)
        self._names = {name: grant.uri for name, grant in endpoints.items()}
        self._retention = retention
        self._groups: Groups = groups or MlsGroups()
        self._journal: Journal = journal or SqlJournal(database_url)
        self._rules = RoomRules(self._groups, self.grants)
        self._keys = KeyStore(self._journal, self._groups, self.grants)
        self._fan_out = FanOut(self._journal)
        self._claims = Limiter(limits.claims, limits.keys)
        self._group_ids: Bounded[str, bytes] = Bounded(GROUPS_REMEMBERED)
        self._pruning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the journal and the blobs. Raises ``StorageError``."""
        await asyncio.to_thread(self.blobs.open)
        await self._journal.start(self._fan_out.deliver)
        await self._journal.enrol([grant.uri for grant in self.grants])
        self._pruning = asyncio.create_task(self._prune_regularly())

    async def stop(self) -> None:
        """Commit what was accepted and close."""
        if self._pruning is not None:
            self._pruning.cancel()
            await asyncio.gather(self._pruning, return_exceptions=True)
        await self._journal.stop()

    def connect(self, endpoint: str) -> Router:
        """Return the router as the endpoint of this name has it, within this process. Raises ``KeyError``."""
        return LocalRouter(self, self._names[endpoint])

    # MIMI's operations

    async def hello(self, endpoint: str, hello: Hello) -> HelloAnswer:
        """See ``Router.hello``."""
        contract = _common_contract(hello)
        if not 0 < len(hello.session) <= LONGEST_SESSION or len(hello.previous) > LONGEST_SESSION:
            raise BadRequest(f"a session's name has 1 to {LONGEST_SESSION} characters")
        standing = await self._journal.greet(endpoint, hello.session, hello.previous)
        level = log.info if standing is Standing.CURRENT else log.warning
        level("hello", endpoint=endpoint, contract=contract, session=standing.value, revision=hello.revision)
        return HelloAnswer(
            contract=contract,
            features=tuple(feature for feature in FEATURES if feature in hello.features),
            run=self._journal.runs.current.id,
            standing=standing,
            acknowledged=await self._acknowledged(endpoint),
            went_back=self._went_back(hello.known),
            request_octets=self.limits.request,
        )

    async def _acknowledged(self, endpoint: str) -> str:
        return self._journal.runs.cursor(await self._journal.acknowledged(endpoint))

    def _went_back(self, cursor: str) -> bool:
        try:
            self._journal.runs.position(cursor)
        except WentBack as error:
            log.warning("this router went back", reason=str(error))
            return True
        return False

    async def publish(
        self, endpoint: str, key_packages: Sequence[bytes], last_resort: bytes | None, *, replace: bool = False
    ) -> int:
        """See ``Router.publish``."""
        return await self._keys.publish(endpoint, key_packages, last_resort, self.clock(), replace=replace)

    async def key_material(self, endpoint: str, target: str) -> Sequence[bytes] | Refusal:
        """See ``Router.key_material``."""
        if self._claims.take(endpoint, self.clock()) is not Verdict.WITHIN:
            return Refusal(RefusalCode.TOO_MANY, f"{endpoint} claims more KeyPackages than one endpoint may")
        log.info("key package claimed", endpoint=endpoint, target=target)
        return await self._keys.claim(target, self.clock())

    async def identifier_query(self, endpoint: str, uri: str) -> tuple[str, ...]:
        """See ``Router.identifier_query``. Every endpoint may ask."""
        del endpoint
        return self.grants.speakers(uri)

    async def update(self, endpoint: str, room: str, bundle: HandshakeBundle) -> Accepted | Refusal:
        """See ``Router.update``."""
        size = len(bundle.group_info) + len(bundle.commit) + len(bundle.welcome)
        if size > self.limits.handshake:
            return Refusal(RefusalCode.TOO_LARGE, f"a handshake of {size} octets; {self.limits.handshake} are allowed")
        if refusal := self._refuse_name(room):
            return refusal
        now = self.clock()
        digest = hashlib.sha256(bundle.commit or bundle.group_info).digest()
        decide = self._rules.judge(endpoint, bundle, now)
        answer = await self._journal.change(room, endpoint, digest, now, decide)
        code = answer.code if isinstance(answer, Refusal) else "accepted"
        log.info("room update", room=room, endpoint=endpoint, answer=code)
        return answer

    async def submit(self, endpoint: str, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        """See ``Router.submit``."""
        answers: list[Accepted | Refusal | None] = [await self._check(endpoint, envelope) for envelope in envelopes]
        durable = [
            index
            for index, answer in enumerate(answers)
            if answer is None and envelopes[index].kind is Kind.APPLICATION
        ]
        accepted = await self._journal.append([envelopes[index] for index in durable], self.clock())
        for index, answer in zip(durable, accepted, strict=True):
            answers[index] = answer
        return [answer or await self._show(envelopes[index]) for index, answer in enumerate(answers)]

    def notify(self, endpoint: str, cursor: str) -> AsyncGenerator[Sequence[Notification]]:
        """See ``Router.notify``; the caller closes the generator when it has heard enough."""
        return self._fan_out.listen(endpoint, self._journal.runs.position(cursor))

    async def acknowledge(self, endpoint: str, cursor: str) -> None:
        """See ``Router.acknowledge``."""
        await self._journal.acknowledge(endpoint, self._journal.runs.position(cursor))

    async def group_info(self, endpoint: str, room: str) -> bytes | Refusal:
        """See ``Router.group_info``: members may have it, to come back after they have lost their state."""
        state = await self._journal.room(room)
        if state is None:
            return Refusal(RefusalCode.NO_SUCH_ROOM, f"there is no room {room}")
        if not state.holds(endpoint):
            return Refusal(RefusalCode.NOT_ALLOWED, f"{endpoint} is not in {room}")
        return await self._journal.group_info(room) or b""

    async def rooms_of(self, endpoint: str) -> Sequence[RoomView]:
        """See ``Router.rooms``."""
        return await self._journal.rooms(endpoint)

    async def put_blob(self, endpoint: str, blob: AsyncIterator[bytes]) -> str:
        """See ``Router.put_blob``."""
        name = await self.blobs.put(blob)
        log.info("attachment stored", endpoint=endpoint, blob=name)
        return name

    # For the operator

    async def rooms(self) -> Sequence[RoomView]:
        """List all rooms."""
        return await self._journal.rooms()

    async def room(self, room: str) -> RoomView | None:
        """Return one room."""
        return next((view for view in await self._journal.rooms() if view.room == room), None)

    async def message(self, room: str, sequence: int) -> Notification | None:
        """Return the router's own record of one message: all that it knows of it."""
        return await self._journal.message(room, sequence)

    async def prune(self) -> int:
        """Forget what is no longer needed; return how many things that were."""
        return await self.blobs.prune(self._retention.blobs) + await self._journal.prune(
            self.clock(), bodies_after=self._retention.messages, receipts_after=self._retention.receipts
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

    async def _check(self, endpoint: str, envelope: Envelope) -> Refusal | None:
        if envelope.sender != endpoint:
            return Refusal(RefusalCode.NOT_ALLOWED, f"{endpoint} may not send as {envelope.sender}")
        if envelope.kind not in (Kind.APPLICATION, Kind.PASSING):
            return Refusal(RefusalCode.MALFORMED, f"a {envelope.kind} is not submitted by itself")
        if len(envelope.body) > self.limits.message:
            text = f"a message of {len(envelope.body)} octets; {self.limits.message} are allowed"
            return Refusal(RefusalCode.TOO_LARGE, text)
        if envelope.kind is Kind.PASSING:
            return None
        try:
            header = self._groups.application(envelope.body)
        except MlsError as error:
            return refuse(error, None)
        if header.epoch != envelope.epoch:
            text = f"the envelope says epoch {envelope.epoch}, its body {header.epoch}"
            return Refusal(RefusalCode.MALFORMED, text)
        known = await self._group_id(envelope.room)
        if known is not None and header.group_id != known:
            return Refusal(RefusalCode.MALFORMED, f"a message of another group than {envelope.room}'s")
        return None

    async def _group_id(self, room: str) -> bytes | None:
        """Return the group of a room, which never changes; None if there is no such room."""
        if room not in self._group_ids:
            state = await self._journal.room(room)
            if state is None:
                return None
            self._group_ids[room] = state.group_id
        return self._group_ids[room]

    async def _show(self, envelope: Envelope) -> Accepted | Refusal:
        """Pass a passing sign to who listens now."""
        state = await self._journal.room(envelope.room)
        if refusal := _refuse_passing(state, envelope):
            return refusal
        now = self.clock()
        notification = Notification(
            position=0,
            room=envelope.room,
            sequence=0,
            kind=Kind.PASSING,
            epoch=envelope.epoch,
            sender=envelope.sender,
            body=envelope.body,
            at=now,
        )
        members = () if state is None else state.members
        others = [member.endpoint for member in members if member.endpoint != envelope.sender]
        self._fan_out.show(notification, others)
        return Accepted(sequence=0, at=now)

    async def _prune_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._retention.every / 1000)
            try:
                if count := await self.prune():
                    log.info("pruned", things=count)
            except (StorageError, OSError) as error:  # a full or failing disk must not end the pruning
                log.warning("pruning failed", cause=str(error))


def _common_contract(hello: Hello) -> int:
    """Return the newest contract that both understand. Raises ``Unintelligible``."""
    contract = min(hello.newest, CONTRACT)
    if contract < max(hello.oldest, OLDEST_CONTRACT):
        older = "endpoint" if hello.newest < OLDEST_CONTRACT else "router"
        raise Unintelligible(
            f"the endpoint speaks contracts {hello.oldest} to {hello.newest}, this router {OLDEST_CONTRACT} to "
            f"{CONTRACT}: upgrade the {older}"
        )
    return contract


def _refuse_passing(state: RoomState | None, envelope: Envelope) -> Refusal | None:
    if state is None:
        return Refusal(RefusalCode.NO_SUCH_ROOM, f"there is no room {envelope.room}")
    if not state.holds(envelope.sender):
        return Refusal(RefusalCode.NOT_ALLOWED, f"{envelope.sender} is not in {envelope.room}")
    if envelope.epoch != state.epoch:
        return Refusal(RefusalCode.EPOCH_TOO_OLD, f"the room is in epoch {state.epoch}", state.epoch)
    return None
