"""What an answer means for its message: pure decisions over what is known of it.

A message is answered by the endpoints that the router handed it to, each for its own network. Only they count. What it
has come to is the worst of what they say, known once all of them have said something; it then moves forward only. What
people say beside that (they have read it) is of themselves, and is shown as it comes.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, structs

from adapters.contract import REPLAYED
from bridge.endpoint.ledger.contract import Fate, State, StatusRow, moves
from protocol import uri
from protocol.uri import Kind

_WORST = (State.FAILED, State.UNCERTAIN, State.QUEUED, State.SENT, State.DELIVERED, State.READ)
_ENDS = frozenset((State.UNCERTAIN, State.FAILED))


class News(Struct, frozen=True, kw_only=True):
    """What is new by one answer.

    ``step`` is the answer itself. ``whole`` is what the message has come to by it, if that is new: the same step where
    only one was asked. ``revived``: it had failed, and was sent again. ``over``: nobody owes an answer any more.
    """

    step: StatusRow
    whole: StatusRow | None = None
    revived: bool = False
    over: bool = False

    @property
    def shown(self) -> tuple[StatusRow, ...]:
        """The steps that its sender is shown: who has read it, and what it has come to, each once."""
        read = self.step.state is State.READ and _is_person(self.step.by)
        steps = [self.step] if read else []
        if (self.whole is not None and self.whole.state is not State.READ) or (self.whole is not None and not read):
            steps.append(self.whole)
        return tuple(steps)


def judge(fate: Fate, step: StatusRow, *, ours: str, members: Iterable[str]) -> News | None:
    """Return what an answer means; None if it means nothing: it was known, comes too late, or is not theirs to give.

    ``ours`` is this endpoint, whose own word is the end (it could not be sent, or nobody answered in time). ``members``
    are the others in the room just now, who owe an answer to what the router has only just accepted.
    """
    if step.who == ours:
        return _own(fate, step)
    owed = _owed(fate, step.who, members)
    if step.who not in owed:
        return None
    before = _standing(known for known in fate.steps if known.who == step.who)
    again = before is not None and before.state in _ENDS and _is_replay(step)
    last = _standing(known for known in fate.steps if known.by == step.by and known.who in ("", step.who))
    if not again and not moves(State.QUEUED if last is None else last.state, step.state):
        return None
    said = {who: _standing(known for known in (*fate.steps, step) if known.who == who) for who in owed}
    if any(standing is None for standing in said.values()):
        return News(step=step)
    worst = min((standing for standing in said.values() if standing is not None), key=_badness)
    revived = again and fate.message.state in _ENDS and worst.state not in _ENDS
    if not revived and not moves(fate.message.state, worst.state):
        return News(step=step, over=True)
    whole = step if len(owed) == 1 else structs.replace(worst, by="", who="", at=step.at)
    return News(step=step, whole=whole, revived=revived, over=True)


def _own(fate: Fate, step: StatusRow) -> News | None:
    if not moves(fate.message.state, step.state):
        return None
    answered = dict.fromkeys(known.who for known in fate.steps if known.who)
    standings = (_standing(known for known in fate.steps if known.who == who) for who in answered)
    worst = min([step, *(standing for standing in standings if standing is not None)], key=_badness)
    return News(step=step, whole=structs.replace(worst, by=step.by, who=step.who, at=step.at), over=True)


def _owed(fate: Fate, who: str, members: Iterable[str]) -> tuple[str, ...]:
    """Who is asked: those that the router handed it to, or, once they have all answered, those who have."""
    if fate.owed is not None:
        return fate.owed or tuple(members)
    answered = tuple(dict.fromkeys(step.who for step in fate.steps if step.who))
    return answered or (who,)  # a message from before answers were kept


def _standing(steps: Iterable[StatusRow]) -> StatusRow | None:
    """Return how far a message has come by these steps; None if there are none."""
    standing: StatusRow | None = None
    for step in steps:
        if standing is None or moves(standing.state, step.state) or (standing.state in _ENDS and _is_replay(step)):
            standing = step
    return standing


def _is_replay(step: StatusRow) -> bool:
    return step.reason == REPLAYED and step.state not in _ENDS


def _badness(step: StatusRow) -> int:
    return _WORST.index(step.state)


def _is_person(by: str) -> bool:
    return bool(by) and uri.parse(by).kind is Kind.USER
