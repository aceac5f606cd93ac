"""Any event that a homeserver pushes is taken: nothing comes out but events fit for the endpoint.

``python -m tests.fuzz.fuzz_matrix_arrivals [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from adapters.contract import Outcome, Permanent, Reason
from adapters.matrix.arrivals import Arrivals
from adapters.matrix.directs import Binding, Directs
from adapters.matrix.groups import Groups
from adapters.matrix.membership import Membership
from adapters.matrix.people import People
from tests.fuzz import fuzz_matrix
from tests.fuzz.arriving import MemoryStore, taken
from tests.fuzz.fuzz_matrix import NAMES
from tests.fuzz.harness import fuzz, structured

ROOM, PERSON, GHOST = "!verona:hs.test", "@romeo:hs.test", "@rialto_xmpp_juliet=40xmpp.test:hs.test"
BINDING = msgspec.json.encode(Binding(PERSON, "xmpp", "juliet@xmpp.test", 1))
LOOP = asyncio.new_event_loop()


def one_input(data: bytes) -> None:
    """Read ``data`` as an event of a room's timeline, or as one that passes."""
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(event, dict):
        LOOP.run_until_complete(_given(event))


async def _refuses(*_: object, **__: object) -> Any:
    raise Permanent(Reason.NOT_ALLOWED, "no")


async def _says(*_: object) -> None:
    """Say nothing."""


async def _given(event: dict[str, Any]) -> None:
    client = cast("Any", SimpleNamespace(call=_refuses))
    people, groups = People(client), Groups(client, NAMES, ())
    directs = Directs(client, NAMES, MemoryStore({f"direct/{ROOM}": BINDING}))
    await directs.load()
    ghosts = cast("Any", SimpleNamespace(address=_refuses, ensure=_refuses))
    arrivals = Arrivals(
        NAMES,
        people,
        directs,
        groups,
        Membership(client, NAMES, ghosts, people, directs, groups),
        _says,
        MemoryStore(),
        int,
    )
    settled = None
    with contextlib.suppress(Outcome):
        settled = arrivals.ephemeral(event) if "event_id" not in event else await arrivals._event(event)
    while not arrivals.queue.empty():
        taken(arrivals.queue.get_nowait())
    if settled is not None:
        await settled
    await arrivals.close()


def seeds() -> Iterator[bytes]:
    """What people say, who comes and goes, who types and who has read."""
    about = {"room_id": ROOM, "sender": PERSON, "event_id": "$1", "origin_server_ts": 1_700_000_000_000}
    for seed in fuzz_matrix.seeds():
        with contextlib.suppress(ValueError):
            yield json.dumps(json.loads(seed) | about).encode()
    for user, membership in ((PERSON, "join"), (PERSON, "leave"), (GHOST, "invite"), (GHOST, "ban")):
        content = {"membership": membership, "displayname": "Romeo", "avatar_url": "mxc://hs.test/1"}
        event = about | {"type": "m.room.member", "state_key": user, "content": content}
        yield json.dumps(event).encode()
    yield json.dumps({"type": "m.typing", "room_id": ROOM, "content": {"user_ids": [PERSON, GHOST]}}).encode()
    read = {"$1": {"m.read": {PERSON: {"ts": 1}, GHOST: {}}}}
    yield json.dumps({"type": "m.receipt", "room_id": ROOM, "content": read}).encode()


if __name__ == "__main__":
    logging.disable()
    fuzz(
        one_input,
        "adapters.matrix",
        "protocol",
        "bridge.endpoint.translate",
        seeds=seeds(),
        words=fuzz_matrix.WORDS,
        mutator=structured(json.loads, lambda value: json.dumps(value).encode()),
    )
