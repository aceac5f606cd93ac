"""A database of the daemon: one writer, group commit, migrations."""

from __future__ import annotations

import asyncio
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, bindparam, text, update
from sqlalchemy import insert as insert_into
from sqlalchemy.exc import IntegrityError

from bridge.storage import Bulk, Database, DatabaseInUseError, StorageError, open_engine, upgrade

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


async def test_a_full_disk_is_told_and_over_when_there_is_room_again(database: Database) -> None:
    def pages(connection: Connection, limit: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit}")

    def fill(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE blobs AS SELECT randomblob(200000) AS body")

    await database.writer.run(lambda connection: pages(connection, 10))
    with pytest.raises(StorageError, match="full"):
        await database.writer.run(fill)
    first, gate = busy(database)
    writes = [database.writer.queue(work) for work in (insert(1), fill, insert(2))]
    gate.set()
    await asyncio.gather(first, *writes, return_exceptions=True)
    assert isinstance(writes[1].exception(), StorageError)
    kept = [n for n, write in ((1, writes[0]), (2, writes[2])) if write.exception() is None]
    assert await database.reader.run(numbers) == kept, "what was answered is kept, and nothing else"
    await database.writer.run(lambda connection: pages(connection, 100_000))
    await database.writer.run(fill)


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
