"""The SQL ledger: the suite of all ledgers on each engine, and that what it holds is sealed."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from bridge.endpoint.errors import SealError
from bridge.endpoint.ledger import upgrade
from bridge.endpoint.ledger.contract import (
    Change,
    Damaged,
    InboxRow,
    Native,
    RoomPhase,
    RoomRow,
    State,
    StatusRow,
    moves,
)
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from bridge.endpoint.ledger.tables import metadata
from tests.unit.endpoint.ledger_suite import ONE, ROOM, LedgerSuite, delivery, message, offer

KEY = bytes(range(32))
NOWHERE_OPEN = (
    "mimi://bridge.example/u/sea~anna%40capulet.example",
    "a native id",
    "another native id",
    "a conversation",
    "the name of a room",
    "what went wrong",
)


def sealer(key: bytes = KEY) -> Sealer:
    return Sealer(key, os.urandom)


class Opened:
    """A ledger that can be closed and opened again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ledger: SqlLedger

    async def open(self) -> SqlLedger:
        self.ledger = await SqlLedger.open(self.url, sealer())
        return self.ledger

    async def reopen(self) -> SqlLedger:
        await self.ledger.close()
        return await self.open()


class TestSqlite(LedgerSuite):
    @pytest.fixture
    async def opened(self, tmp_path: Path) -> AsyncIterator[Opened]:
        opened = Opened(f"sqlite:///{tmp_path}/ledger.db")
        await opened.open()
        yield opened
        await opened.ledger.close()

    @pytest.fixture
    def ledger(self, opened: Opened) -> SqlLedger:
        return opened.ledger

    @pytest.fixture
    def reopened(self, opened: Opened) -> Callable[[], Awaitable[SqlLedger]]:
        return opened.reopen

    async def test_nothing_that_is_sealed_can_be_read_in_the_file(self, opened: Opened, tmp_path: Path) -> None:
        secrets = [b"an identity key", b"what Juliet said", b"the excerpt of it", b"red or blue"]
        await opened.ledger.commit(
            Change(
                records=[("endpoint", "identity", secrets[0])],
                deliveries=[delivery(1, content=secrets[1], plan=secrets[1])],
                messages=[message(ONE, excerpt=secrets[2].decode())],
                offers=[offer(1, part=secrets[3])],
            )
        )
        await opened.ledger.close()
        stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert not [secret for secret in secrets if secret in stored]
        await opened.open()

    async def test_no_name_of_anybody_or_anything_native_can_be_read_in_the_file(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        sender, native, other, place, name, wrong = NOWHERE_OPEN
        await opened.ledger.commit(
            Change(
                rooms=[RoomRow(room=ROOM, conversation=place.encode(), phase=RoomPhase.MEMBER, name=name)],
                natives=[Native(native, ONE), Native(other)],
                messages=[message(ONE, sender=sender, native_id=native)],
                named=[(ONE, other)],
                statuses=[StatusRow(mimi_id=ONE, by=sender, state=State.FAILED, at=1, reason="rejected", text=wrong)],
                inbox=[InboxRow(id=1, conversation=place, event=b"event", at=1)],
                deliveries=[delivery(2, sender=sender, text=wrong)],
                offers=[offer(3, native_id=native)],
            )
        )
        assert await opened.ledger.inbox_conversations() == {place: 1}
        assert (await opened.ledger.inbox(place, 5))[0].conversation == place
        assert await opened.ledger.natives([native, other]) == {native: ONE, other: b""}
        shown = await opened.ledger.show(ONE)
        assert shown is not None
        assert (shown.message.sender, shown.message.native_id) == (sender, other)
        assert (shown.timeline[-1].by, shown.timeline[-1].text) == (sender, wrong)
        await opened.ledger.close()
        stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert not [word for word in NOWHERE_OPEN if word.encode() in stored]
        await opened.open()

    async def test_two_ledgers_under_one_key_share_neither_seal_nor_index(self, opened: Opened, tmp_path: Path) -> None:
        other = await SqlLedger.open(f"sqlite:///{tmp_path}/other.db", sealer())
        here = opened.ledger._sealer.seal(b"said", "record/a/x")
        with pytest.raises(SealError, match="damaged, or moved here"):
            other._sealer.open(here, "record/a/x")
        assert other._sealer.index("native", "m1") != opened.ledger._sealer.index("native", "m1")
        assert opened.ledger._sealer.index("native", "m1") != opened.ledger._sealer.index("nativem", "1")
        await other.close()

    @pytest.mark.parametrize("killed_after", [0, 1, 3, 6, 9, 14])
    async def test_what_was_open_is_sealed_although_the_first_start_is_killed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
    ) -> None:
        dump = Path(__file__).parents[2] / "upgrade" / "data" / "8da523f" / "sea.sql"
        file = tmp_path / "old.db"
        connection = sqlite3.connect(file)
        connection.executescript(dump.read_text())
        before = [row[0] for row in connection.execute("SELECT native_id FROM native ORDER BY native_id")]
        connection.close()
        monkeypatch.setattr(upgrade, "PIECE", 4)
        pieces, seal = itertools.count(), upgrade._seal_some

        def dies(*arguments: Any) -> bool:
            if next(pieces) == killed_after:
                raise RuntimeError("killed")
            return seal(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(upgrade, "_seal_some", dies)
            with pytest.raises(RuntimeError, match="killed"):
                await SqlLedger.open(f"sqlite:///{file}", sealer())
        ledger = await SqlLedger.open(f"sqlite:///{file}", sealer())
        assert len(await ledger.natives(before)) == len(before) == 14
        rows = await ledger.log(limit=100)
        assert len(rows) == 13
        assert {row.sender.partition("~")[0] for row in rows} == {
            "mimi://bridge.example/u/sea",
            "mimi://bridge.example/u/sky",
        }
        assert sorted(room.name for room in await ledger.rooms()) == ["", "Verona"]
        await ledger.close()
        stored = file.read_bytes()
        assert b"sea~anna" not in stored
        assert b"m10" not in stored

    async def test_a_row_that_cannot_be_opened_is_told_of_and_costs_no_other(self, opened: Opened) -> None:
        await opened.ledger.commit(Change(deliveries=[delivery(1), delivery(2)], messages=[message(ONE, excerpt="so")]))
        await opened.ledger.close()
        engine = create_engine(opened.url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE delivery SET content = X'0102' WHERE id = 1"))
            connection.execute(text("UPDATE message SET excerpt = X'0102'"))
        engine.dispose()
        ledger = await opened.open()
        told: list[Damaged] = []
        ledger.damaged = told.append
        assert [row.id for row in await ledger.deliveries(ROOM, 9)] == [2]
        assert [(row.table, row.id, row.place, row.mimi_id) for row in told] == [("delivery", 1, ROOM, ONE)]
        assert (await ledger.messages([ONE]))[ONE].excerpt == ""
        await ledger.commit(Change(deliveries_done=[1, 2]))
        await ledger.commit(Change(restored=[("delivery", told[0].row)]))
        assert await ledger.deliveries(ROOM, 9) == [], "put back as it was, it is no more readable than before"
        assert told[1] == told[0]

    async def test_a_sealed_value_does_not_open_in_another_row(self, opened: Opened) -> None:
        await opened.ledger.commit(Change(records=[("a", "x", b"1"), ("a", "y", b"2")]))
        await opened.ledger.close()
        engine = create_engine(opened.url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE record SET sealed = (SELECT sealed FROM record WHERE name = 'y')"))
        engine.dispose()
        await opened.open()
        assert await opened.ledger.get("a", "y") == b"2"
        with pytest.raises(SealError, match="record/a/x: damaged, or moved"):
            await opened.ledger.get("a", "x")

    async def test_another_key_opens_nothing_and_says_so(self, opened: Opened) -> None:
        await opened.ledger.commit(Change(records=[("a", "x", b"1")]))
        await opened.ledger.close()
        other = await SqlLedger.open(opened.url, sealer(bytes(32)))
        with pytest.raises(SealError, match="sealed under another ledger key"):
            await other.get("a", "x")
        await other.close()
        await opened.open()

    async def test_the_migrations_make_the_tables_that_the_code_expects(self, opened: Opened) -> None:
        engine = create_engine(opened.url)
        found = inspect(engine)
        for table in metadata.sorted_tables:
            columns = {(column["name"], str(column["type"])) for column in found.get_columns(table.name)}
            assert columns == {(c.name, str(c.type.compile(engine.dialect))) for c in table.columns}, table.name
            assert found.get_pk_constraint(table.name)["constrained_columns"] == [c.name for c in table.primary_key]
            assert {index["name"] for index in found.get_indexes(table.name)} == {i.name for i in table.indexes}
        engine.dispose()


class TestPostgres(LedgerSuite):
    @pytest.fixture
    async def opened(self, postgres_url: str) -> AsyncIterator[Opened]:
        opened = Opened(postgres_url)
        await opened.open()
        yield opened
        await opened.ledger.close()

    @pytest.fixture
    def ledger(self, opened: Opened) -> SqlLedger:
        return opened.ledger

    @pytest.fixture
    def reopened(self, opened: Opened) -> Callable[[], Awaitable[SqlLedger]]:
        return opened.reopen


def test_a_key_has_its_length() -> None:
    with pytest.raises(SealError, match="32 octets"):
        sealer(b"short")


@pytest.mark.parametrize("damage", [b"", b"\x02", b"\x01" + b"x" * 5])
def test_what_was_never_sealed_is_refused(damage: bytes) -> None:
    with pytest.raises(SealError):
        sealer().open(damage, "row")


def test_only_steps_forward_are_taken() -> None:
    ways = {(now, to) for now in State for to in State if moves(now, to)}
    assert ways == {
        (State.QUEUED, State.SENT),
        (State.QUEUED, State.DELIVERED),
        (State.QUEUED, State.READ),
        (State.QUEUED, State.UNCERTAIN),
        (State.QUEUED, State.FAILED),
        (State.SENT, State.DELIVERED),
        (State.SENT, State.READ),
        (State.SENT, State.UNCERTAIN),
        (State.SENT, State.FAILED),
        (State.DELIVERED, State.READ),
    }
