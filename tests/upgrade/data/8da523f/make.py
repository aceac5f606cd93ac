"""Made the dumps beside it, with the code of commit 8da523f: a router and two endpoints with something of everything.

Run in a worktree of that commit::

    PYTHONPATH=. python .../make.py FOLDER      writes FOLDER/{router,sea,sky}.sql

What is random was random when it was made; the ledger key is that of the tests (``tests/unit/endpoint/house.py``).
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path

from msgspec import structs

from adapters.contract import Group, Message, Permanent, Reason, Retry
from bridge.endpoint.ledger import State
from bridge.router.contract import RouterUnavailable
from protocol import commerce
from protocol.capabilities import Feature, Level, Way
from protocol.commerce import Option, QuickReplies
from protocol.content import Disposition, ExternalPart, NullPart, text
from tests.unit.endpoint.fake_adapter import EVERYTHING
from tests.unit.endpoint.house import House, logged, until


async def play(folder: Path) -> None:
    """Have people talk, and stop at a moment at which something of everything is left."""
    house = House(folder, "sea", "sky")
    house.plumb("verona", {"sea": "verona@sea", "sky": "#verona"}, creator="sea")
    await house.open_hub()
    await house.start()
    sea, sky = house.networks["sea"], house.networks["sky"]
    here, there = house.direct("sea", "anna", "sky", "bert"), house.direct("sky", "bert", "sea", "anna")

    sea.say(here, "Hello up there", "m1")
    await until(lambda: sky.taken)
    await until(lambda: sea.statuses("m1"))
    sky.say(there, "Hello down there", "n1")
    await until(lambda: sea.taken)
    sea.say(here, Message(text("Hello, dear, up there"), replaces="m1"), "m2")
    await until(lambda: len(sky.taken) == 2)
    sea.say(here, "my PIN is 4711", "m3")
    await until(lambda: len(sky.taken) == 3)
    sea.say(here, Message(NullPart(), replaces="m3"), "m4")
    await until(lambda: len(sky.taken) == 4)
    sky.say(there, Message(text("\U0001f44d", disposition=Disposition.REACTION), in_reply_to="sky-1"), "n2")
    await until(lambda: len(sea.taken) == 2)

    sea.say(Group("verona@sea"), "Two households, both alike in dignity", "v1", sender="chorus")
    await until(lambda: len(sky.taken) == 5)
    sky.say(Group("#verona"), "In fair Verona, where we lay our scene", "w1", sender="romeo")
    await until(lambda: len(sea.taken) == 3)

    house.adapters["sky"].script = lambda delivery, key: (
        Permanent(Reason.REJECTED, "no") if delivery.message.part.text == "refuse me" else None
    )
    sea.say(here, "refuse me", "m5")
    await until(lambda: len(sea.statuses("m5")))

    house.adapters["sky"].script = lambda delivery, key: (
        Retry("not now") if "park me" in delivery.message.part.text else None
    )
    sea.say(here, "park me", "m6")
    while not await house.endpoints["sky"].ledger.parked():
        await asyncio.sleep(0.01)
    house.adapters["sky"].script = None

    kinds = (Feature.REPLY, Feature.REACTION, Feature.EDIT, Feature.DELETE)
    words = Way(features=dict.fromkeys(kinds, Level.FULL), files=EVERYTHING.send.files)
    sky.capabilities = structs.replace(EVERYTHING, send=words)
    request = QuickReplies(body="Red or blue?", options=(Option(id="r", title="Red"), Option(id="b", title="Blue")))
    sea.say(here, Message(commerce.message(request)), "m7")
    await until(lambda: sea.statuses("m7"))

    await house.endpoints.pop("sky").stop()
    sea.say(here, "while you were away", "m8")
    await logged(house.endpoints["sea"], State.SENT)
    await asyncio.sleep(0.2)

    async def unreachable(*_: object) -> object:
        raise RouterUnavailable("not now")

    house.endpoints["sea"].outbox._router.submit = unreachable
    sea.say(here, "never submitted", "m9")
    await until(lambda: "m9" in sea.acknowledged)
    sea.fetch_outcomes += [Retry("not now") for _ in range(1000)]
    sea.say(here, Message(ExternalPart("image/jpeg", "sea:photo")), "m10")
    await until(lambda: "m10" in sea.acknowledged)
    await house.stop()


def dump(database: Path, to: Path) -> None:
    """Write a database as SQL text, its revision with it."""
    connection = sqlite3.connect(database)
    to.write_text("\n".join(connection.iterdump()) + "\n")
    connection.close()


def main() -> None:
    to = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))
        for name in ("router", "sea", "sky"):
            dump(Path(folder) / f"{name}.db", to / f"{name}.sql")


if __name__ == "__main__":
    main()
