"""The SQL ledger: the suite of all ledgers on each engine, and that what it holds is sealed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from bridge.endpoint.errors import SealError
from bridge.endpoint.ledger.contract import Change, State, moves
from bridge.endpoint.ledger.sealing import Sealer
from bridge.endpoint.ledger.sql import SqlLedger
from bridge.endpoint.ledger.tables import metadata
from tests.unit.endpoint.ledger_suite import ONE, LedgerSuite, delivery, message, offer

KEY = bytes(range(32))


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
