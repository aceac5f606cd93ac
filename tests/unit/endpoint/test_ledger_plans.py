"""How the ledger's statements find their rows: none reads through a table that grows."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bridge.endpoint.ledger.contract import Change, InboxRow, Native, RoomPhase, RoomRow, State, StatusRow
from bridge.endpoint.ledger.rows import OutboxRow
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from tests.unit.endpoint.ledger_suite import ONE, ROOM, TWO, delivery, message, offer

ONCE = {"rooms", "inbox_conversations", "offer_rooms", "delivery_rooms"}
"""Calls that are made at the start only, and read all of a queue or of the rooms because all of it is wanted."""


class Watch:
    """Every statement that a ledger runs, and the call that ran it."""

    def __init__(self, ledger: SqlLedger) -> None:
        self.seen: dict[str, tuple[str, Any]] = {}
        self.call = ""
        event.listen(ledger._database.engine, "before_cursor_execute", self._note)

    def _note(self, _c: object, _u: object, statement: str, parameters: Any, _x: object, many: bool) -> None:
        if re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT)", statement):
            self.seen.setdefault(statement, (self.call, parameters[0] if many else parameters))


@pytest.fixture
async def watch(tmp_path: Path) -> Any:
    ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", Sealer(bytes(32), os.urandom))
    watch = Watch(ledger)
    yield watch, ledger, tmp_path / "ledger.db"
    await ledger.close()


def plans(file: Path, statement: str, parameters: Any) -> Iterator[str]:
    connection = sqlite3.connect(file)
    for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters):
        yield row[3]
    connection.close()


async def test_no_statement_reads_through_a_table_that_grows(watch: tuple[Watch, SqlLedger, Path]) -> None:
    watched, ledger, file = watch
    watched.call = "commit"
    everything = Change(
        forgotten=["mls/00"],
        records=[("a", "x", b"1"), ("a", "y", None)],
        rooms=[RoomRow(room=ROOM, conversation=b"{}", phase=RoomPhase.MEMBER)],
        natives=[Native("m1", ONE)],
        messages=[message(ONE), message(TWO)],
        named=[(ONE, "m1")],
        statuses=[StatusRow(mimi_id=ONE, by="", state=State.DELIVERED, at=1)],
        inbox=[InboxRow(id=1, conversation="c", event=b"e", at=1)],
        inbox_done=[7],
        outbox=[OutboxRow(id=2, room=ROOM, content=b"c", at=1)],
        outbox_done=[7],
        accepted=[(ONE, 3)],
        deliveries=[delivery(3)],
        deliveries_done=[7],
        offers_gone=[TWO],
        offers_closed=[ROOM],
        offers=[offer(4)],
    )
    await ledger.commit(everything)
    calls: dict[str, tuple[Any, ...] | dict[str, Any]] = {
        "get": ("a", "x"),
        "scan": ("a", "x"),
        "rooms": (),
        "natives": (["m1", "m2"],),
        "messages": ([ONE, TWO],),
        "states": ([ONE],),
        "offers": (ROOM,),
        "offer_rooms": (),
        "inbox": ("c", 5),
        "inbox_conversations": (),
        "outbox": (0, 5),
        "outbox_rows": ([1, 2],),
        "deliveries": (ROOM, 5),
        "delivery_rooms": (),
        "parked": {"limit": 5, "room": ROOM, "before": ONE},
        "log": {"limit": 5},
        "show": (ONE,),
        "last_id": (),
    }
    for name, arguments in calls.items():
        watched.call = name
        await (getattr(ledger, name)(**arguments) if isinstance(arguments, dict) else getattr(ledger, name)(*arguments))
    watched.call = "log"
    await ledger.log(limit=5, room=ROOM)
    await ledger.log(limit=5, state=State.FAILED, before=ONE)
    await ledger.parked(limit=5)
    await ledger.log(limit=5, room=ROOM, state=State.FAILED)

    slow = []
    ranges = [
        plan for text, (call, values) in watched.seen.items() if call == "scan" for plan in plans(file, text, values)
    ]
    assert any("name>? AND name<?" in plan for plan in ranges), ranges
    for statement, (call, parameters) in watched.seen.items():
        newest_first = "ORDER BY" in statement and "LIMIT" in statement
        for step in plans(file, statement, parameters):
            reads_all = step.startswith("SCAN") and not newest_first and call not in ONCE
            sorts = "TEMP B-TREE FOR ORDER BY" in step and call not in ONCE and "log" not in call
            if reads_all and "CONSTANT ROW" not in step:
                slow.append((call, step, statement))
            if sorts and newest_first:
                slow.append((call, step, statement))
    assert not slow
    assert len(watched.seen) > 30


async def test_a_range_of_records_is_all_that_begin_so(tmp_path: Path) -> None:
    ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", Sealer(bytes(32), os.urandom))
    names = [
        "",
        "a",
        "a/",
        "a/1",
        "a/\U0010ffff",
        "a0",
        "b",
        "\ud7ff1",
        "\ue0001",
        "\U0010ffff",
        "\U0010ffff\U0010ffff",
    ]
    await ledger.commit(Change(records=[("s", name, name.encode()) for name in names]))
    for prefix in [*names, "a/\U0010ffff\U0010ffff", "z"]:
        found = [name for name, _ in await ledger.scan("s", prefix)]
        assert found == sorted(name for name in names if name.startswith(prefix)), repr(prefix)
    await ledger.close()
