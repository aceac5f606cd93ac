"""What endpoints submit: checked for size, shape and rate; messages go to the journal, passing signs to who listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.router.contract import Accepted, Envelope, Kind, Notification, Refusal, RefusalCode
from bridge.router.fanout import FanOut
from bridge.router.groups import Groups
from bridge.router.journal import Journal, RoomState
from bridge.router.rates import Rates
from bridge.router.rooms import refuse
from protocol.mls.errors import MlsError

LONGEST_SIGN = 4096
"""Octets of a passing sign."""


class Submissions:
    """The way in for envelopes; ``clock`` is in milliseconds, ``longest`` the octets that a message may have."""

    def __init__(
        self,
        journal: Journal,
        groups: Groups,
        fan_out: FanOut,
        rates: Rates,
        clock: Callable[[], int],
        longest: int,
    ) -> None:
        self._journal = journal
        self._groups = groups
        self._fan_out = fan_out
        self._rates = rates
        self._clock = clock
        self._longest = longest

    async def submit(self, endpoint: str, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        """Answer each envelope of one endpoint, in order."""
        now = self._clock()
        answers: list[Accepted | Refusal | None] = [None] * len(envelopes)
        durable: list[int] = []
        groups: list[bytes] = []
        exhausted: Refusal | None = None
        for index, envelope in enumerate(envelopes):
            checked = self._check(endpoint, envelope)
            if isinstance(checked, Refusal):
                answers[index] = checked
            elif envelope.kind is Kind.PASSING:
                answers[index] = await self._show(envelope, now)
            elif exhausted := exhausted or self._rates.envelope(endpoint, now):
                answers[index] = exhausted  # and everything behind it, or order would be lost
            else:
                durable.append(index)
                groups.append(checked)
        accepted = await self._journal.append([envelopes[index] for index in durable], now, groups)
        for index, answer in zip(durable, accepted, strict=True):
            answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def _check(self, endpoint: str, envelope: Envelope) -> bytes | Refusal:
        """Return the group that an envelope's body is of (none for a passing sign), or what is wrong with it."""
        if envelope.sender != endpoint:
            return Refusal(RefusalCode.NOT_ALLOWED, f"{endpoint} may not send as {envelope.sender}")
        if envelope.kind is Kind.PASSING:
            return _check_size(envelope, LONGEST_SIGN) or b""
        if envelope.kind is not Kind.APPLICATION:
            return Refusal(RefusalCode.MALFORMED, f"a {envelope.kind} is not submitted by itself")
        if refusal := _check_size(envelope, self._longest):
            return refusal
        try:
            header = self._groups.application(envelope.body)
        except MlsError as error:
            return refuse(error, None)
        if header.epoch != envelope.epoch:
            text = f"the envelope says epoch {envelope.epoch}, its body {header.epoch}"
            return Refusal(RefusalCode.MALFORMED, text)
        return header.group_id

    async def _show(self, envelope: Envelope, now: int) -> Accepted | Refusal:
        """Pass a passing sign to who listens now."""
        state = await self._journal.room(envelope.room)
        if refusal := _refuse_passing(state, envelope) or self._rates.sign(envelope.sender, now):
            return refusal
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


def _check_size(envelope: Envelope, longest: int) -> Refusal | None:
    size = len(envelope.body)
    if size <= longest:
        return None
    return Refusal(RefusalCode.TOO_LARGE, f"a message of {size} octets; {longest} are allowed")


def _refuse_passing(state: RoomState | None, envelope: Envelope) -> Refusal | None:
    if state is None:
        return Refusal(RefusalCode.NO_SUCH_ROOM, f"there is no room {envelope.room}")
    if not state.holds(envelope.sender):
        return Refusal(RefusalCode.NOT_ALLOWED, f"{envelope.sender} is not in {envelope.room}")
    if envelope.epoch != state.epoch:
        return Refusal(RefusalCode.EPOCH_TOO_OLD, f"the room is in epoch {state.epoch}", state.epoch)
    return None
