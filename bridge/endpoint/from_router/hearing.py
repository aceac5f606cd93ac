"""From the router to the ledger: decrypt, check who speaks, store, and only then acknowledge.

A message is stored as it was decrypted, in the same transaction as the ratchet that decrypted it and the cursor behind
it. What it means for the network is decided at its delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog

from adapters.contract import Adapter, Outcome, Profile, Typing
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.from_router import refusing
from bridge.endpoint.ledger.contract import DeliveryKind, DeliveryRow, Erased, Ledger, MessageRow
from bridge.endpoint.membership.following import Following
from bridge.endpoint.membership.keys import ENDPOINT
from bridge.endpoint.metrics import Metrics
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.rooms.table import Rooms
from bridge.endpoint.to_router.outbox import Outbox
from bridge.endpoint.transaction import Transaction
from bridge.router.contract import (
    Forked,
    HelloAnswer,
    Kind,
    NoHello,
    Notification,
    Router,
    RouterUnavailable,
    Standing,
    Unintelligible,
    WentBack,
)
from protocol import content, mls, status
from protocol.content import Content, NullPart, SinglePart
from protocol.errors import ProtocolError
from protocol.uri import base_network

CURSOR = "router-cursor"

_SIGN_S = 10.0  # a sign that is not shown by then is worth nothing any more
_AHEAD = 4  # batches that may be decrypted before the first of them is durable
_RETRY_S = (0.1, 5.0)
_UNINTELLIGIBLE_S = 60.0

_left = msgspec.json.Decoder(list[str])

log = structlog.get_logger(__name__)


class Rejected(ProtocolError):
    """Somebody in a room sent what may not be delivered."""

    code = "rejected"


class Hearing:
    """The way from the router of one endpoint."""

    def __init__(
        self,
        adapter: Adapter[Any],
        directory: Directory,
        ledger: Ledger,
        router: Router,
        rooms: Rooms,
        following: Following,
        outbox: Outbox,
        *,
        greet: Callable[[], Awaitable[HelloAnswer]],
        nudge: Callable[[Room], None],
        metrics: Metrics,
        clock: Callable[[], int],
        random: Callable[[int], bytes],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._adapter = adapter
        self._directory = directory
        self._ledger = ledger
        self._router = router
        self._rooms = rooms
        self._following = following
        self._outbox = outbox
        self._greet = greet
        self._nudge = nudge
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._fatal = fatal
        self._ahead = asyncio.Semaphore(_AHEAD)
        self._durable = ""
        self._progress = asyncio.Event()
        self._shown: set[asyncio.Task[None]] = set()
        self.went_back: Callable[[], None]
        """Hears that the router's history is not the one that was heard before."""
        self.connected = False
        self.stopped = ""
        """Why nothing more is taken from the router, although it can be reached."""
        self.doubtful = 0
        """The position up to which what is heard may have been delivered before, by a ledger that is lost."""
        self.heard = 0
        """How many messages were decrypted and are durable since the start."""

    async def run(self) -> None:
        """Take what the router fans out, for as long as the endpoint runs."""
        stored = await self._ledger.get(ENDPOINT, CURSOR)
        cursor = stored.decode() if stored is not None else ""
        pause = _RETRY_S[0]
        while True:
            try:
                async for notifications in self._router.notify(cursor):
                    self.connected, self.stopped = True, ""
                    pause = _RETRY_S[0]
                    await self._ahead.acquire()
                    cursor = self._take(notifications, cursor)
            except NoHello:  # it was started again
                answer = await self._begin_again()
                if answer.went_back:
                    cursor = answer.acknowledged
                    self._lost_history("it has no history of what was heard")
                continue
            except WentBack as error:
                cursor = ""
                self._lost_history(str(error))
                continue
            except Unintelligible as error:  # never passed: it is heard once this endpoint is as new as its router
                log.error("the router says what we cannot understand", cursor=cursor, error=str(error))  # noqa: TRY400
                self.stopped, pause = str(error), _UNINTELLIGIBLE_S
            except RouterUnavailable as error:
                log.warning("router cannot be reached", error=str(error))
            self.connected = False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _RETRY_S[1])

    def _lost_history(self, why: str) -> None:
        log.error("the router went back", error=why)
        self._metrics.count("router_went_back")
        self.went_back()

    async def _begin_again(self) -> HelloAnswer:
        """Say hello in the middle of our life. Raises ``Forked`` if another copy of us was used since we last did."""
        answer = await self._greet()
        if answer.standing is not Standing.CURRENT and not answer.went_back:  # a router that went back knows less
            raise Forked("another copy of this endpoint was used meanwhile: a new session begins with new keys")
        return answer

    async def acknowledge(self) -> None:
        """Tell the router what is durable here, for as long as the endpoint runs."""
        told = ""
        while True:
            await self._progress.wait()
            self._progress.clear()
            if self._durable != told:
                try:
                    durable = self._durable
                    await self._router.acknowledge(durable)
                    told = durable
                except (RouterUnavailable, WentBack) as error:  # the stream will find out more
                    log.debug("not acknowledged", cursor=self._durable, error=str(error))

    def _take(self, notifications: Sequence[Notification], cursor: str) -> str:
        """Decrypt a batch and queue its transaction, without an await between the two."""
        tx = self._outbox.transaction()
        rooms: dict[str, Room] = {}
        seen: set[bytes] = set()
        for notification in notifications:
            cursor = notification.cursor or cursor
            try:
                room = self._take_one(tx, notification, seen)
            except ProtocolError as error:
                self._metrics.count("rejected", reason=error.code)
                log.warning(
                    "rejected", room=notification.room, sender=notification.sender, code=error.code, error=str(error)
                )
                continue
            except Exception:  # one message that we cannot bear must not stop all others for ever
                self._metrics.count("rejected", reason="defect")
                log.exception("a defect: dropped", room=notification.room, position=notification.position)
                continue
            if room is not None:
                rooms[room.uri] = room
        tx.change.records.append((ENDPOINT, CURSOR, cursor.encode()))
        heard = len(tx.change.messages)

        def committed(done: asyncio.Future[None]) -> None:
            self._ahead.release()
            if done.cancelled():
                return
            if (error := done.exception()) is not None:
                self._fatal(error)
                return
            self.heard += heard
            self._durable = cursor
            self._progress.set()
            for room in rooms.values():
                self._nudge(room)

        tx.commit().add_done_callback(committed)
        return cursor

    def _take_one(self, tx: Transaction, notification: Notification, seen: set[bytes]) -> Room | None:
        """Take one notification; return the room if something is to be delivered there."""
        if notification.kind is Kind.WELCOME:
            self._following.on_welcome(tx, notification.room, notification.body, notification.at)
            return None
        room = self._rooms.get(notification.room)
        if room is not None and notification.kind is Kind.COMMIT:
            self._following.on_commit(tx, room, notification.body, notification.at)
            return None
        if room is not None and notification.kind is Kind.LEFT:
            return self._take_left(tx, room, notification)
        if room is None or room.group is None:
            raise Rejected(f"{notification.kind} for a room this endpoint is not in")
        if notification.kind is Kind.PASSING:
            self._take_sign(room, room.group, notification)
            return None
        opened = self._open(room, room.group, notification)
        tx.touch(room)
        if opened.suspicion:
            raise Rejected(f"{opened.sender.uri} is not vouched for: {opened.suspicion}")
        try:
            received = content.decode(opened.data, now=notification.at // 1000)
            names = translate.names(received)
            self._check(room, opened.sender, names)
            self._metrics.count("opened")
            return self._store(tx, room, notification, received, opened, names, seen)
        except Exception as error:
            self._refuse(tx, room, opened, error)
            raise

    def _take_left(self, tx: Transaction, room: Room, notification: Notification) -> Room:
        """Note who is no longer served in a room: what is unanswered by them is ended in its turn."""
        for endpoint in _left.decode(notification.body):
            tx.change.deliveries.append(
                DeliveryRow(
                    id=self._outbox.next_id(),
                    mimi_id=b"",
                    room=room.uri,
                    kind=DeliveryKind.LEFT,
                    sender=endpoint,
                    content=b"",
                    at=notification.at,
                )
            )
        return room

    def _refuse(self, tx: Transaction, room: Room, opened: mls.Application, error: Exception) -> None:
        """Have the sender of what cannot be delivered hear so."""
        found = refusing.refusal(opened.data, opened.sender.uri, room.uri, error)
        if found is not None:
            refusing.answer(tx, room, *found, by=self._router.endpoint, salt=self._random(16))

    def _open(self, room: Room, group: mls.Group, notification: Notification) -> mls.Application:
        """Decrypt; who cannot, in the epoch that the room is in, has lost track of the group. Raises ``MlsError``."""
        peeked = mls.peek(notification.body)
        if room.former is not None and peeked.group_id == room.former.group_id:
            return room.former.unprotect(notification.body)
        try:
            return group.unprotect(notification.body)
        except mls.MlsError:
            if peeked.group_id == group.group_id and (peeked.epoch or 0) >= group.epoch:
                self._following.lost_track(room)
            raise

    def _check(self, room: Room, leaf: mls.Member, names: translate.Names) -> None:
        """Refuse content that says it comes from elsewhere, or from somebody its leaf may not speak for."""
        if leaf.uri in room.strangers:
            raise Rejected(f"{leaf.uri} should not be in the room, which is held: {room.hold}")
        if names.room != room.uri:
            raise Rejected("a content that says it belongs to another room")
        if names.sender != leaf.uri and not mls.speaks_for(leaf, names.sender):
            raise Rejected(f"{leaf.uri} does not speak for {names.sender}")
        if names.sender != leaf.uri and names.network not in {"", self._network_of(names.sender)}:
            raise Rejected(f"a content of {names.sender} that says it was first said on {names.network}")

    def _network_of(self, user: str) -> str:
        return base_network(self._directory.address(user).network)

    def _store(
        self,
        tx: Transaction,
        room: Room,
        notification: Notification,
        received: Content,
        opened: mls.Application,
        names: translate.Names,
        seen: set[bytes],
    ) -> Room | None:
        part, encoded = received.part, opened.data
        kind, mimi_id = DeliveryKind.MESSAGE, b""
        if isinstance(part, SinglePart) and part.content_type == content.TYPING:
            self._show_typing(room, names, part)
            return None
        if isinstance(part, SinglePart) and part.content_type == content.MIMI_STATUS:
            status.decode(part.content)
            kind = DeliveryKind.STATUS
        else:
            self._directory.address(names.sender)  # only persons speak
            mimi_id = content.message_id(encoded, names.sender, names.room)
            if mimi_id in seen:
                return None
            seen.add(mimi_id)
            tx.change.messages.append(
                MessageRow(
                    mimi_id=mimi_id,
                    room=room.uri,
                    source=False,
                    sender=names.sender,
                    at=notification.at,
                    excerpt=translate.excerpt(part),
                    reaction=translate.is_reaction(part),
                    whole=b"" if isinstance(part, NullPart) else received.replaces or b"",
                )
            )
            if isinstance(part, NullPart) and received.replaces is not None:
                tx.change.erased.append(Erased(received.replaces, names.sender))
        tx.change.deliveries.append(
            DeliveryRow(
                id=self._outbox.next_id(),
                mimi_id=mimi_id,
                room=room.uri,
                kind=kind,
                sender=opened.sender.uri if kind is DeliveryKind.STATUS else names.sender,
                content=encoded,
                at=notification.at,
                sending=kind is DeliveryKind.MESSAGE and notification.position <= self.doubtful,
            )
        )
        return room

    def _take_sign(self, room: Room, group: mls.Group, notification: Notification) -> None:
        """Show a passing sign; one that cannot be opened, or comes too late, is dropped: it is worth nothing now."""
        try:
            passed = group.open_passing(room.uri, notification.sender, notification.body, now=self._clock())
        except mls.MlsError as error:
            log.debug("a passing sign was dropped", room=room.tag, code=error.code)
            return
        received = content.decode(passed.content, now=passed.at // 1000)
        names = translate.names(received)
        self._check(room, passed.sender, names)
        if isinstance(received.part, SinglePart) and received.part.content_type == content.TYPING:
            self._show_typing(room, names, received.part)

    def _show_typing(self, room: Room, names: translate.Names, part: SinglePart) -> None:
        adapter = self._adapter
        if not isinstance(adapter, Typing) or len(self._shown) > 100:
            return
        sender = self._directory.profile(self._directory.address(names.sender), names.name)
        task = asyncio.create_task(self._type(adapter, room, sender, translate.is_typing(part)))
        self._shown.add(task)
        task.add_done_callback(self._shown.discard)

    async def _type(self, adapter: Typing, room: Room, sender: Profile, active: bool) -> None:
        try:
            async with asyncio.timeout(_SIGN_S):
                await adapter.typing(room.conversation, sender, active)
        except TimeoutError:
            log.debug("typing was not shown in time", room=room.tag)
        except Outcome as outcome:
            log.debug("typing was not shown", room=room.tag, outcome=outcome.code)
        except Exception:
            log.exception("a defect of the adapter: typing", room=room.tag)
