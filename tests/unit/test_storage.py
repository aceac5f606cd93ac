"""A database of the daemon: one writer, group commit, migrations."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, bindparam, event, text, update
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import IntegrityError

from bridge.storage import Bulk, Database, DatabaseInUseError, NotNow, StorageError, open_engine, upgrade

REVISION = """
from alembic import op
import sqlalchemy as sa

revision = "{revision}"
down_revision = {former}

def upgrade():
    op.create_table("{table}", sa.Column("n", sa.Integer, primary_key=True))
"""


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "first.py").write_text(REVISION.format(revision="first", former=None, table="numbers"))
    return versions.parent


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'house' / 'numbers.db'}"


@pytest.fixture
async def database(url: str, migrations: Path):
    database = await Database.open(url, migrations)
    yield database
    await database.close()


def busy(database: Database) -> tuple[asyncio.Future[bool], threading.Event]:
    """Keep the writer busy, so that what is queued meanwhile shares the next transaction."""
    started, gate = threading.Event(), threading.Event()

    def hold(_: Connection) -> bool:
        started.set()
        return gate.wait(5)

    held = database.writer.queue(hold)
    assert started.wait(5)
    return held, gate


def insert(number: int):
    return lambda connection: connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})


def numbers(connection: Connection) -> list[int]:
    return list(connection.execute(text("SELECT n FROM numbers ORDER BY n")).scalars())


async def test_what_was_written_is_read_back_by_the_reader(database: Database) -> None:
    await database.writer.run(insert(7))
    assert await database.reader.run(numbers) == [7]


async def test_writes_that_wait_together_share_a_transaction(database: Database) -> None:
    first, gate = busy(database)
    commits: list[str] = []
    writes = [database.writer.queue(insert(n)) for n in range(20)]
    count = database.writer.queue(lambda connection: connection.exec_driver_sql("PRAGMA data_version").scalar())
    before = await database.reader.run(lambda connection: connection.exec_driver_sql("PRAGMA data_version").scalar())
    for write in writes:
        write.add_done_callback(lambda _: commits.append("answered"))
    gate.set()
    await asyncio.gather(first, count, *writes)
    after = await database.reader.run(lambda connection: connection.exec_driver_sql("PRAGMA data_version").scalar())
    assert len(commits) == 20
    assert after == before + 1, "twenty inserts were seen by the reader as one change"


async def test_one_failing_write_leaves_its_neighbours_alone(database: Database) -> None:
    first, gate = busy(database)

    def stumbles(connection: Connection) -> None:
        insert(2)(connection)
        raise LookupError("on purpose")

    writes = [database.writer.queue(work) for work in (insert(1), stumbles, insert(3))]
    gate.set()
    answers = await asyncio.gather(first, *writes, return_exceptions=True)
    assert isinstance(answers[2], LookupError)
    assert await database.reader.run(numbers) == [1, 3]


async def test_a_lone_failing_write_leaves_nothing(database: Database) -> None:
    def stumbles(connection: Connection) -> None:
        insert(2)(connection)
        raise LookupError("on purpose")

    with pytest.raises(LookupError):
        await database.writer.run(stumbles)
    assert await database.reader.run(numbers) == []


async def test_a_broken_transaction_is_told_to_everyone_in_it_and_the_next_one_works(database: Database) -> None:
    first, gate = busy(database)
    saboteur = database.writer.queue(lambda connection: connection.exec_driver_sql("ROLLBACK"))
    bystander = database.writer.queue(insert(1))
    gate.set()
    assert await first
    answers = await asyncio.gather(saboteur, bystander, return_exceptions=True)
    assert all(isinstance(answer, StorageError) for answer in answers)
    await database.writer.run(insert(2))
    assert await database.reader.run(numbers) == [2]


async def test_a_cancelled_caller_does_not_stop_the_writer(database: Database) -> None:
    first, gate = busy(database)
    task = asyncio.create_task(database.writer.run(insert(1)))
    await asyncio.sleep(0)
    task.cancel()
    gate.set()
    await first
    await database.writer.run(insert(2))
    assert await database.reader.run(numbers) == [1, 2]


async def test_answers_come_in_the_order_of_the_writes(database: Database) -> None:
    order: list[int] = []
    writes = [database.writer.queue(insert(n)) for n in range(300)]
    for n, write in enumerate(writes):
        write.add_done_callback(lambda _, n=n: order.append(n))
    await asyncio.gather(*writes)
    assert order == list(range(300))


async def test_closing_commits_what_was_queued(url: str, migrations: Path) -> None:
    database = await Database.open(url, migrations)
    writes = [database.writer.queue(insert(n)) for n in range(300)]
    await database.close()
    assert all(write.done() for write in writes)
    again = await Database.open(url, migrations)
    assert await again.reader.run(numbers) == list(range(300))
    await again.close()


async def test_a_closed_database_takes_no_more_writes(url: str, migrations: Path) -> None:
    database = await Database.open(url, migrations)
    await database.close()
    with pytest.raises(StorageError, match="closed"):
        await database.writer.run(insert(1))


async def test_the_reader_cannot_write_while_the_writer_does_nothing_wrong(database: Database) -> None:
    await database.writer.run(insert(1))
    with pytest.raises(Exception, match="readonly"):
        await database.reader.run(insert(2))
    assert await database.reader.run(numbers) == [1]


async def test_a_second_writer_is_refused(database: Database, url: str, migrations: Path) -> None:
    with pytest.raises(DatabaseInUseError):
        await Database.open(url, migrations)
    await database.writer.run(insert(1))


async def test_sqlite_runs_durably_and_privately(database: Database, tmp_path: Path) -> None:
    def settings(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await database.writer.run(settings) == ["wal", 2, 1, 1]
    for name in ("numbers.db", "numbers.db-wal", "numbers.db.lock"):
        assert stat.S_IMODE((tmp_path / "house" / name).stat().st_mode) == 0o600


async def test_a_later_revision_is_applied_and_an_unknown_one_refused(url: str, migrations: Path) -> None:
    await (await Database.open(url, migrations)).close()
    second = migrations / "versions" / "second.py"
    second.write_text(REVISION.format(revision="second", former="'first'", table="letters"))
    database = await Database.open(url, migrations)
    await database.writer.run(lambda connection: connection.exec_driver_sql("INSERT INTO letters VALUES (1)"))
    await database.close()
    second.unlink()
    with pytest.raises(StorageError, match="not of this version"):
        await Database.open(url, migrations)


def test_a_migration_that_fails_leaves_no_half_of_itself(url: str, migrations: Path) -> None:
    broken = (
        REVISION.format(revision="second", former="'first'", table="letters") + "    raise RuntimeError('half-way')\n"
    )
    (migrations / "versions" / "second.py").write_text(broken)
    engine = open_engine(url)
    with pytest.raises(RuntimeError, match="half-way"):
        upgrade(engine, migrations)
    with engine.connect() as connection:
        assert list(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")) == []
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://host/db", "nonsense"])
def test_databases_that_cannot_be_are_refused(url: str) -> None:
    with pytest.raises(StorageError):
        open_engine(url)


TABLE = Table("numbers", MetaData(), Column("n", Integer, primary_key=True))


async def test_many_rows_go_in_at_once(database: Database) -> None:
    into = Bulk(insert_into(TABLE), ["n"])
    double = Bulk(update(TABLE).where(TABLE.c.n == bindparam("old")).values(n=bindparam("new")), ["new", "old"])
    await database.writer.run(lambda connection: into.run(connection, [(1,), (2,), (3,)]))
    await database.writer.run(lambda connection: double.run(connection, [(30, 3), (20, 2)]))
    await database.writer.run(lambda connection: into.run(connection, []))
    assert await database.reader.run(numbers) == [1, 20, 30]


async def test_parameters_in_another_order_than_the_statements_are_a_mistake(database: Database) -> None:
    confused = Bulk(update(TABLE).where(TABLE.c.n == bindparam("old")).values(n=bindparam("new")), ["old", "new"])
    with pytest.raises(ValueError, match="in the order"):
        await database.writer.run(lambda connection: confused.run(connection, [(1, 2)]))


async def test_postgresql_has_one_writer_too_and_keeps_the_neighbours_of_a_failure(
    postgres_url: str, migrations: Path
) -> None:
    database = await Database.open(postgres_url, migrations)
    with pytest.raises(DatabaseInUseError):
        await Database.open(postgres_url, migrations)
    first, gate = busy(database)
    writes = [database.writer.queue(insert(n)) for n in (1, 1, 2)]
    gate.set()
    answers = await asyncio.gather(first, *writes, return_exceptions=True)
    assert isinstance(answers[2], IntegrityError)
    assert await database.reader.run(numbers) == [1, 2]
    with pytest.raises(Exception, match="read-only"):
        await database.reader.run(insert(3))
    await database.close()
    again = await Database.open(postgres_url, migrations)
    await again.close()


async def test_postgresql_that_drops_the_connection_is_reconnected(postgres_url: str, migrations: Path) -> None:
    database = await Database.open(postgres_url, migrations)
    other = open_engine(postgres_url)
    own = await database.writer.run(lambda connection: connection.execute(text("SELECT pg_backend_pid()")).scalar())
    with other.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
    with pytest.raises(StorageError):
        await database.writer.run(insert(1))
    await database.writer.run(insert(2))
    with pytest.raises(DatabaseInUseError):
        await Database.open(postgres_url, migrations)
    assert await database.reader.run(numbers) == [2]
    other.dispose()
    await database.close()


class Disk:
    """A disk below a database that can be full: SQLite then says so, as it does in life."""

    def __init__(self, database: Database) -> None:
        self.full = False
        self.refused = 0
        event.listen(database.engine, "before_cursor_execute", self._before)

    def _before(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if self.full and statement.startswith("INSERT"):
            self.refused += 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            error.sqlite_errorname = "SQLITE_FULL"
            raise error


async def test_while_the_disk_is_full_writers_wait_and_go_on_in_their_order(database: Database) -> None:
    disk = Disk(database)
    disk.full = True
    writes = [database.writer.queue(insert(n)) for n in range(3)]
    while disk.refused < 3:
        await asyncio.sleep(0.01)
    assert not any(write.done() for write in writes)
    assert "full" in database.writer.trouble
    disk.full = False
    await asyncio.gather(*writes)
    assert await database.reader.run(numbers) == [0, 1, 2]
    assert database.writer.trouble == ""


async def test_what_waits_for_room_when_the_database_is_closed_hears_that_it_was_not_kept(database: Database) -> None:
    disk = Disk(database)
    disk.full = True
    write = database.writer.queue(insert(1))
    while not disk.refused:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        await database.close()
    with pytest.raises(NotNow) as told:
        await write
    assert told.value.code == "storage-full"


async def test_a_file_that_may_not_grow_is_a_full_disk_until_it_may(database: Database) -> None:
    pages = 10

    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE blobs AS SELECT randomblob(200000) AS body")

    event.listen(database.engine, "begin", limit)
    first, gate = busy(database)
    writes = [database.writer.queue(work) for work in (insert(1), fill, insert(2))]
    gate.set()
    while not database.writer.trouble:
        await asyncio.sleep(0.01)
    assert await database.reader.run(numbers) == [], "what is not answered is not half there either"
    pages = 100_000
    await asyncio.gather(first, *writes)
    assert await database.reader.run(numbers) == [1, 2]
