"""What is to be sent of one message: planned at the first attempt, and kept, so that every attempt sends the same."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
from msgspec import Struct, structs

from adapters.contract import Message, Profile, Reason
from bridge.directory import Directory
from bridge.endpoint import translate
from bridge.endpoint.ledger.contract import DeliveryRow, Ledger, MessageRow
from bridge.endpoint.offers.offers import encode as encode_offer
from bridge.endpoint.rooms.room import Room
from bridge.endpoint.to_network import pieces
from bridge.endpoint.translate import Failure
from protocol import degrade
from protocol.capabilities import Capabilities, Feature, Level
from protocol.content import Content, Disposition, NullPart

Clock = Callable[[], int]

log = structlog.get_logger(__name__)


class Plan(Struct, frozen=True):
    """What is to be sent; ``offers`` is the part, encoded, that may then be answered in words."""

    messages: list[Message] = []
    offers: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Plan | list[Message]).decode


class Job(Struct):
    """A delivery under way: its row as the ledger has it, and what is to be sent.

    ``replaced`` is the message that it edits or deletes, if it does.
    """

    room: Room
    row: DeliveryRow
    sender: Profile
    replaced: bytes | None = None
    plan: Plan = Plan()
    idempotent: bool = False
    expires: int | None = None
    """When it is not worth delivering any more, in milliseconds; None: never."""
    ends: int = 0
    """When it is too old to be tried again, in milliseconds."""
    delivered: bool = True
    """Whether every part that was sent so far has arrived, and not only been taken."""
    asked: bool = False
    """Whether the network was asked, in this run, what became of a part."""
    out_of_reach: int = 0
    """How often in a row the network could not be reached."""

    @property
    def key(self) -> str:
        """The idempotency key of the part that is next: the same for every attempt at it."""
        name = base64.urlsafe_b64encode(self.row.mimi_id).rstrip(b"=").decode()
        return f"{name}.{self.row.part}"

    def update(self, **changes: object) -> DeliveryRow:
        """Change the row; the plan is kept with it, so that every attempt sends the same."""
        plan = self.row.plan or (_encode(self.plan) if self.plan.messages else b"")
        self.row = structs.replace(self.row, plan=plan, **changes)
        return self.row


class Planner:
    """Plans what one endpoint's network is sent."""

    def __init__(self, directory: Directory, ledger: Ledger, clock: Clock) -> None:
        self._directory = directory
        self._ledger = ledger
        self._clock = clock

    async def plan(
        self, job: Job, received: Content, capabilities: Capabilities, settled: Callable[[Room], Awaitable[None]]
    ) -> Plan | Failure:
        """Decide what will be sent; once something was tried, it stays what it was.

        ``settled`` waits until what has been brought to its end in a room is durable.
        """
        if job.row.plan:
            stored = _decode(job.row.plan)
            return Plan(stored) if isinstance(stored, list) else stored  # a list: planned before offers were kept
        named = [mimi_id for mimi_id in (received.replaces, received.in_reply_to) if mimi_id is not None]
        if named:
            await settled(job.room)  # what it names may have been sent just now
        found = await self._ledger.messages(named) if named else {}
        known = {mimi_id: row for mimi_id, row in found.items() if row.room == job.room.uri}
        replaced = known.get(received.replaces or b"")
        if replaced is not None and replaced.sender != job.row.sender:
            return Failure(Reason.NOT_ALLOWED, "only the sender of a message may change it")
        if replaced is not None and not replaced.native_id and isinstance(received.part, NullPart):
            return Plan()  # it was never shown, so nothing is left to be deleted
        context = degrade.Context(
            sender=job.sender.name or job.sender.address.id,
            replaced=self._referenced(replaced),
            answered=self._referenced(known.get(received.in_reply_to or b"")),
        )
        plan = degrade.plan(received, capabilities, context=context)
        for loss in plan.losses:
            log.info("something is lost", room=job.room.tag, what=loss.what, why=loss.text)
        if plan.refused is not None:
            return Failure(plan.refused.reason, plan.refused.text, plan.refused.text)
        natives: Mapping[bytes, str] = {key: found.native_id for key, found in known.items() if found.native_id}
        messages = [translate.native_message(received, planned, natives) for planned in plan.messages]
        if replaced is not None and messages and messages[0].replaces is not None:
            messages = await self._revised(messages, replaced, capabilities)
        return Plan(messages, b"" if plan.offers is None else encode_offer(plan.offers))

    async def _revised(self, messages: list[Message], old: MessageRow, capabilities: Capabilities) -> list[Message]:
        """Return an edit or a deletion such that it reaches every piece in which the old message was sent."""
        feature = Feature.REACTION if old.reaction else Feature.DELETE
        oldest = None if old.reaction else capabilities.delete_age
        young = oldest is None or self._clock() - old.at <= oldest
        gone = NullPart(disposition=Disposition.REACTION if old.reaction else Disposition.RENDER)
        deletable = young and capabilities.send.level(feature) >= Level.PARTIAL
        return pieces.revised(messages, await pieces.known(self._ledger, old.mimi_id), gone if deletable else None)

    def _referenced(self, message: MessageRow | None) -> degrade.Referenced | None:
        if message is None:
            return None
        return degrade.Referenced(
            known=bool(message.native_id),
            age=max(0, self._clock() - message.at),
            text=message.excerpt,
            sender=self._directory.profile(self._directory.address(message.sender)).name,
            reaction=message.reaction,
        )
