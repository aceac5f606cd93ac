"""The journal engine passes the suite on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from bridge.router.contract import Accepted, Refusal, RefusalCode, Standing
from bridge.router.journal import Journal
from bridge.router.migrations import LOCATION
from bridge.router.sql import SqlJournal
from bridge.router.sql.schema import metadata
from bridge.storage import open_engine, upgrade
from tests.unit.router.journal_suite import MATRIX, ROOM, XMPP, JournalSuite, Reopen, says


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


@pytest.mark.parametrize("backend", ["sqlite_url", "postgres_url"])
async def test_what_was_accepted_before_there_were_runs_is_carried_over(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A database as the first revision left it: its cursors were bare positions, its rooms had no founding number."""
    url = request.getfixturevalue(backend)
    shutil.copytree(LOCATION, tmp_path / "first", ignore=shutil.ignore_patterns("r000[2-9]*", "__pycache__"))
    engine = open_engine(url)
    upgrade(engine, tmp_path / "first")
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO endpoints (id, uri, acknowledged) VALUES (1, :xmpp, 0), (2, :matrix, 1)",
            """INSERT INTO rooms (id, uri, group_id, epoch, sequence, messages, origin, created_at, updated_at)
               VALUES (1, :room, :blob, 0, 3, 3, :blob, 1000, 1000)""",
            "INSERT INTO groups (room, state, info) VALUES (1, :blob, :blob)",
            "INSERT INTO members (room, leaf, endpoint, leg, namespaces) VALUES (1, 0, 1, 2, '[]'), (1, 1, 2, 2, '[]')",
            """INSERT INTO envelopes (position, room, sequence, kind, epoch, sender, at, digest, body)
               VALUES (1, 1, 1, 0, 0, 1, 1000, :one, :one), (2, 1, 2, 0, 0, 1, 1000, :two, :two),
                      (3, 1, 3, 0, 0, 1, 1000, :three, :three)""",
            "INSERT INTO inbox (endpoint, position) VALUES (2, 1), (2, 2), (2, 3)",
        ):
            values = {"xmpp": XMPP, "matrix": MATRIX, "room": ROOM, "blob": b"state", "one": b"one"}
            values |= {"two": b"two", "three": b"three"}
            given = {name: value for name, value in values.items() if f":{name}" in statement}
            connection.execute(text(statement), given)
    engine.dispose()
    journal = SqlJournal(url, held=len("twothree") + 4)
    await journal.start(lambda _: None)
    await journal.enrol([XMPP, MATRIX])
    assert journal.runs.position("2") == 2, "an endpoint's cursor of before"
    notes = await journal.fetch(MATRIX, 1, 10)
    assert [(note.body, note.cursor) for note in notes] == [(b"two", "0.2"), (b"three", "0.3")]
    (view,) = await journal.rooms(MATRIX)
    assert (view.founding, view.revision, view.group_id, view.messages) == (0, 0, b"state", 3)
    fits, full = await journal.append([says("four"), says("!")], 2000)
    assert isinstance(fits, Accepted) and fits.sequence == 4
    assert isinstance(full, Refusal) and full.code is RefusalCode.RECIPIENT_FULL, "what waited before is counted"
    assert fits.cursor == f"{journal.runs.current.id}.4"
    assert await journal.greet(MATRIX, "the first session", "", 3000) is Standing.CURRENT
    await journal.stop()
