"""A message that its network took only in several native ones, and what becomes of all of them later.

The first native message stands for the whole: its id is in the ledger's log of messages. The ids of the others are kept
here by their number, so that a deletion reaches every one of them, and an edit changes as many as it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from adapters.contract import Message
from bridge.endpoint.ledger.contract import Change, Ledger
from protocol.content import NullPart

_SPACE = "piece"


async def known(ledger: Ledger, mimi_id: bytes) -> Mapping[int, str]:
    """Return the native ids of what was sent of a message after its first piece, by number from 1 on."""
    records = await ledger.scan(_SPACE, f"{mimi_id.hex()}.")
    return {int(name.rpartition(".")[2]): native_id.decode() for name, native_id in records}


def revised(messages: Sequence[Message], pieces: Mapping[int, str], gone: NullPart | None) -> list[Message]:
    """Return an edit or a deletion, planned for the first piece of its message, for one that has ``pieces`` beside it.

    A deletion deletes each. An edit changes each into what now stands in its place; those that are left over are
    deleted by ``gone``, unless the network cannot (None). What has more pieces than before ends with new ones.
    """
    first, *others = messages
    result = [structs.replace(message, replaces=pieces.get(number)) for number, message in enumerate(others, 1)]
    if isinstance(first.part, NullPart):
        gone = first.part
    if gone is not None:
        left = (pieces[number] for number in sorted(pieces) if number >= len(messages))
        result += [Message(gone, replaces=piece) for piece in left]
    return [first, *result]


def note(change: Change, mimi_id: bytes, number: int, native_id: str) -> None:
    """Write into ``change`` what the network calls a piece of a message; ``number`` 1 is the second."""
    change.records.append((_SPACE, _name(mimi_id, number), native_id.encode()))


async def forget(change: Change, ledger: Ledger, mimi_id: bytes, native_id: str) -> None:
    """Write into ``change`` that a piece of a message is gone."""
    for number, piece in (await known(ledger, mimi_id)).items():
        if piece == native_id:
            change.records.append((_SPACE, _name(mimi_id, number), None))


def _name(mimi_id: bytes, number: int) -> str:
    return f"{mimi_id.hex()}.{number:02}"
