"""An endpoint as the operator's interface shows it: plain values, no bodies, no keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bridge.api.app import KeyView, MemberView, MessageView, QuarantineView, RoomView, StepView
from bridge.endpoint.endpoint import Endpoint
from bridge.endpoint.errors import NotReplayable, NotRetriable
from bridge.endpoint.ledger.contract import DeliveryRow, MessageLog, MessageRow, QuarantineKind, QuarantineRow, State
from bridge.endpoint.operator import RoomSummary

PARKED = "parked"


class ObservedEndpoint:
    """Implements ``bridge.api.app.Observed`` on a running endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def messages(self, *, limit: int, room: str, state: str, before: str = "") -> Sequence[MessageView]:
        """Return the newest messages; raises ``ValueError`` for a state that there is none of, or for what is no id."""
        earlier = _mimi_id(before) if before else b""
        if state == PARKED:
            return list(map(_parked, await self._endpoint.ledger.parked(limit=limit, room=room, before=earlier)))
        if state and state.upper() not in State.__members__:
            names = ", ".join(name.lower() for name in State.__members__)
            raise ValueError(f"state: '{state}' is none of {names}, {PARKED}")
        wanted = State[state.upper()] if state else None
        rows = await self._endpoint.operator.messages(limit=limit, room=room, state=wanted, before=earlier)
        return list(map(_message, rows))

    async def message(self, id: str) -> MessageView | None:  # noqa: A002 - the word of the field
        """Return one message with its timeline; raises ``ValueError`` for what is no id."""
        log = await self._endpoint.operator.message(_mimi_id(id))
        return None if log is None else _with_timeline(log)

    async def replay(self, id: str) -> bool:  # noqa: A002 - the word of the field
        """Send a parked message again; raises ``ValueError`` for what is no id."""
        try:
            await self._endpoint.operator.replay(_mimi_id(id))
        except NotReplayable:
            return False
        return True

    async def rooms(self) -> Sequence[RoomView]:
        """Return its rooms."""
        return [_room(summary) for summary in await self._endpoint.operator.room_summaries()]

    async def quarantine(self, *, limit: int, kind: str) -> Sequence[QuarantineView]:
        """Return what was put aside; raises ``ValueError`` for a kind that there is none of."""
        if kind and kind not in set(QuarantineKind):
            raise ValueError(f"kind: '{kind}' is none of {', '.join(QuarantineKind)}")
        wanted = QuarantineKind(kind) if kind else None
        return list(map(_aside, await self._endpoint.quarantine.list(limit=limit, kind=wanted)))

    async def quarantined(self, id: int) -> QuarantineView | None:  # noqa: A002 - the word of the field
        """Return one thing that was put aside."""
        row = await self._endpoint.quarantine.show(id)
        return None if row is None else _aside(row)

    async def retry(self, id: int) -> bool:  # noqa: A002 - the word of the field
        """Handle it again; raises ``ValueError`` with why it failed again."""
        try:
            return await self._endpoint.quarantine.retry(id)
        except NotRetriable as error:
            raise ValueError(str(error)) from error

    async def drop(self, id: int) -> bool:  # noqa: A002 - the word of the field
        """Let go of it."""
        return await self._endpoint.quarantine.drop(id)

    def key(self) -> KeyView:
        """Return its signature key's fingerprint."""
        identity = self._endpoint.keys.identity
        return KeyView(
            endpoint=self._endpoint.settings.name,
            uri=identity.uri,
            fingerprint=hashlib.sha256(identity.public).hexdigest(),
            leg=identity.leg.leg,
            label=identity.leg.leg.label,
            grant=0 if identity.grant is None else identity.grant.grant.number,
        )


def _aside(row: QuarantineRow) -> QuarantineView:
    return QuarantineView(
        id=row.id, kind=row.kind.value, place=row.place, code=row.code, text=row.text, at=row.at, attempts=row.attempts
    )


def _mimi_id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"'{text[:80]}' is not a message id: those are 64 hexadecimal digits") from None


def _message(row: MessageRow) -> MessageView:
    return MessageView(
        id=row.mimi_id.hex(),
        room=row.room,
        direction="in" if row.source else "out",
        sender=row.sender,
        at=row.at,
        state=row.state.name.lower(),
        native_id=row.native_id,
        reason=row.reason,
    )


def _parked(row: DeliveryRow) -> MessageView:
    return MessageView(
        id=row.mimi_id.hex(),
        room=row.room,
        direction="out",
        sender=row.sender,
        at=row.at,
        state=PARKED,
        reason=row.reason,
        parked=True,
        attempts=row.attempts,
    )


def _with_timeline(log: MessageLog) -> MessageView:
    shown, delivery = _message(log.message), log.delivery
    steps = tuple(
        StepView(
            state=step.state.name.lower(), at=step.at, by=step.by, reason=step.reason, text=step.text, who=step.who
        )
        for step in log.timeline
    )
    return MessageView(
        id=shown.id,
        room=shown.room,
        direction=shown.direction,
        sender=shown.sender,
        at=shown.at,
        state=shown.state,
        native_id=shown.native_id,
        reason=shown.reason,
        parked=delivery is not None and delivery.parked,
        attempts=0 if delivery is None else delivery.attempts,
        timeline=steps,
    )


def _room(summary: RoomSummary) -> RoomView:
    members = tuple(
        MemberView(
            endpoint=member.endpoint,
            leaf=member.leaf,
            leg=member.leg,
            label=member.leg.label,
            namespaces=member.namespaces,
        )
        for member in summary.members
    )
    return RoomView(
        room=summary.room,
        name=summary.name,
        phase=summary.phase,
        hold=summary.hold,
        reason=summary.reason,
        since=summary.since,
        next_step=summary.next_step,
        founding=summary.founding,
        epoch=summary.epoch,
        conversation=summary.conversation,
        members=members,
        assurance=summary.assurance,
        label=summary.assurance.label,
        held_for=summary.held_for,
    )
