"""The journal engine passes the suite on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect

from bridge.router.journal import Journal
from bridge.router.migrations import LOCATION
from bridge.router.sql import SqlJournal
from bridge.router.sql.schema import metadata
from bridge.storage import open_engine, upgrade
from tests.unit.router.journal_suite import JournalSuite, Reopen


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'router.db'}"


class TestOnSqlite(JournalSuite):
    @pytest.fixture
    def reopen(self, sqlite_url: str) -> Reopen:
        return lambda: SqlJournal(sqlite_url)


class TestOnPostgres(JournalSuite):
    @pytest.fixture
    def reopen(self, postgres_url: str) -> Reopen:
        return lambda: SqlJournal(postgres_url)


def test_the_sql_engine_is_a_journal(sqlite_url: str) -> None:
    journal: Journal = SqlJournal(sqlite_url)
    assert journal is not None


@pytest.mark.parametrize("backend", ["sqlite_url", "postgres_url"])
def test_the_migrations_arrive_at_the_schema(backend: str, request: pytest.FixtureRequest) -> None:
    engine = open_engine(request.getfixturevalue(backend))
    upgrade(engine, LOCATION)
    inspector = inspect(engine)
    for table in metadata.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        assert columns == {column.name: bool(column.nullable) for column in table.columns}, table.name
        assert {index["name"] for index in inspector.get_indexes(table.name)} >= {index.name for index in table.indexes}
        assert inspector.get_pk_constraint(table.name)["constrained_columns"] == [
            column.name for column in table.primary_key.columns
        ]
    assert set(inspector.get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()
