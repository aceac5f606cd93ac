"""One database of the daemon: its engine, its migrations, and the one thread that writes to it.

SQLite (the default) and PostgreSQL run the same SQLAlchemy Core code. Every database has exactly one writer, which puts
whatever is queued at the moment into one transaction (group commit): no timer, so a lone write commits at once and a
thousand concurrent ones share an fsync. What a closure returned is handed out only after the COMMIT::

    database = await Database.open("sqlite:////var/lib/rialto/router.db", MIGRATIONS)
    count = await database.writer.run(lambda connection: connection.execute(...).rowcount)
    rows = await database.reader.run(lambda connection: connection.execute(...).all())
    await database.close()
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, Generic, TypeVar

import structlog
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import (
    URL,
    Connection,
    Delete,
    Dialect,
    Engine,
    Insert,
    Update,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, InterfaceError, InternalError, OperationalError, SQLAlchemyError

from bridge.backoff import Backoff

T = TypeVar("T")

BATCH = 128
"""Most closures that share one transaction; more wait for the next."""

_READ_ONLY = "rialto_read_only"
_SQLITE_PRAGMAS = (
    "busy_timeout = 10000",
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    "foreign_keys = ON",
    "journal_size_limit = 16777216",
    "cache_size = -8192",
    "temp_store = MEMORY",
)

_NOT_NOW_S = (0.1, 5.0)
_FULL = "the disk is full: free some space, and it goes on by itself"
_READ_ONLY_DISK = "the disk is read-only: mend that, and it goes on by itself"
_NO_ROOM = {errno.ENOSPC: _FULL, errno.EDQUOT: _FULL, errno.EROFS: _READ_ONLY_DISK}
_SQLITE_MOVED = sqlite3.SQLITE_READONLY_DBMOVED  # the file is gone: waiting does not help
_SQLITE_NOT_NOW = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY_DISK,
    sqlite3.SQLITE_IOERR: "the disk fails: look at the system's log; it goes on by itself when it can",
    sqlite3.SQLITE_BUSY: "another program holds the database's lock: end it, and it goes on by itself",
}
_POSTGRES_NOT_NOW = {
    "53": "the database server has no room or no connection left: it goes on by itself when there is",
    "25006": "the database server takes no writes: it goes on by itself when it does",
    "57P03": "the database server is starting: it goes on by itself",
}

log = structlog.get_logger(__name__)


class StorageError(Exception):
    """A database cannot be opened, read or committed to; nothing of the transaction was kept."""

    code: ClassVar[str] = "storage"


class NotNow(StorageError):
    """The database can take nothing just now (the disk is full, read-only or failing); nothing was kept.

    The writer tries again by itself; only what still waited when the database was closed hears of this.
    """

    code = "storage-full"


class DatabaseInUseError(StorageError):
    """Another process is already this database's writer."""

    code: ClassVar[str] = "database-in-use"


def open_engine(url: str | URL) -> Engine:
    """Return an engine for ``sqlite:///path`` or ``postgresql://...``.

    SQLite runs with WAL, synchronous=FULL and secure_delete, in a file that only its owner may read. Raises
    ``StorageError`` for a URL that is neither, or for an SQLite database in memory, which no two threads can share.
    Errors never show a statement's parameters.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StorageError(f"not a database URL: {error}") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(parsed)
    if backend == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    raise StorageError(f"databases are sqlite or postgresql, not {backend}")


def _open_sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise StorageError("an SQLite database needs a file: sqlite:////absolute/path.db")
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # SQLite gives -wal and -shm the same mode
    connect_args = {"isolation_level": None, "check_same_thread": False}
    engine = create_engine(url, connect_args=connect_args, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(dbapi_connection: DBAPIConnection, _record: object) -> None:
        cursor = dbapi_connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: a transaction that reads first and writes later could be refused half-way.
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


_migrating = threading.Lock()  # Alembic's ``op`` is a process-wide proxy


def upgrade(engine: Engine, script_location: Path) -> None:
    """Bring the database to the newest revision below ``script_location``/versions, in one transaction.

    Raises ``StorageError`` if the database was written by a newer version of the program.
    """
    script = ScriptDirectory(str(script_location))
    with _migrating, engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('rialto migrations'))"))
        with EnvironmentContext(
            Config(), script, fn=lambda revision, _: _upgrade_steps(script, revision), destination_rev="head"
        ) as environment:
            environment.configure(connection=connection, transactional_ddl=True)
            environment.run_migrations()


def _upgrade_steps(script: ScriptDirectory, revision: Any) -> list[Any]:  # noqa: ANN401  Alembic's own types
    try:
        return script._upgrade_revs("head", revision)  # noqa: SLF001  what alembic.command.upgrade itself calls
    except CommandError as error:
        raise StorageError(f"the database is not of this version of the program: {error}") from error


class Bulk:
    """One INSERT, UPDATE or DELETE of many rows, at the driver's own speed.

    ``connection.execute(statement, rows)`` spends more time on a row's parameters than SQLite spends on the row. A
    Bulk is compiled once for each dialect; its rows are tuples in the order of ``names``, the statement's parameters,
    of values that the drivers take as they are: int, str, bytes, None.
    """

    def __init__(self, statement: Insert | Update | Delete, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = tuple(names)
        self._compiled: dict[str, tuple[str, bool]] = {}

    def run(self, connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Run the statement once for each row; no rows are no work."""
        if not rows:
            return
        text_, positional = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect)
        if positional:
            connection.exec_driver_sql(text_, list(rows))
        else:
            connection.exec_driver_sql(text_, [dict(zip(self._names, row, strict=True)) for row in rows])

    def _compile(self, dialect: Dialect) -> tuple[str, bool]:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(self._names))
        order = getattr(compiled, "positiontup", None)
        if order is not None and tuple(order) != self._names:
            raise ValueError(f"the parameters of this statement come in the order {order}")
        self._compiled[dialect.name] = (str(compiled), order is not None)
        return self._compiled[dialect.name]


class _Job(Generic[T]):
    """A closure on its way to the thread, and the future that waits for it on its loop."""

    __slots__ = ("closure", "error", "future", "loop", "result")

    def __init__(self, closure: Callable[[Connection], T]) -> None:
        self.closure = closure
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.result: T | None = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Answer, on the job's loop. A caller that was cancelled meanwhile no longer wants to know."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # T may itself be Optional


class Worker:
    """A thread with one connection that runs queued closures, several to a transaction."""

    def __init__(self, engine: Engine, *, name: str, read_only: bool) -> None:
        self._engine = engine
        self._read_only = read_only
        self._connection: Connection | None = None
        self._queue: deque[_Job[Any]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self.trouble = ""
        """Why the thread waits before it tries a transaction again; '' while all is well."""
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Connect and start the thread. Raises ``StorageError``."""
        self._connect()
        self._thread.start()

    async def stop(self) -> None:
        """Finish what is queued, then end the thread and close the connection. Stopping twice is allowed."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        self._disconnect()

    async def run(self, closure: Callable[[Connection], T]) -> T:
        """Run ``closure(connection)`` in the thread; return its result once the transaction has ended.

        It must touch nothing but the connection and its own variables, and must neither commit nor roll back. If it
        raises, its own statements are undone, the others' are kept, and the exception comes out here. Raises
        ``StorageError`` if the transaction itself failed. Cancelling the caller does not take the closure back.
        """
        return await self.queue(closure)

    def queue(self, closure: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Queue like ``run``; futures are answered in the order in which their transactions ended."""
        job = _Job(closure)
        with self._wake:
            if self._stopping:
                raise StorageError("the database is closed")
            self._queue.append(job)
            self._wake.notify()
        return job.future

    def _work(self) -> None:
        while jobs := self._next_jobs():
            try:
                self._transact_when_possible(jobs)
            except Exception as error:  # whatever it is, every caller must hear of it
                cause = f"{type(error).__name__}: {error}"  # no traceback: its locals would show rows
                log.error("transaction failed", database=self._engine.url.database, cause=cause)  # noqa: TRY400
                self._disconnect()
                kind = NotNow if isinstance(error, NotNow) else StorageError
                for job in jobs:
                    job.error = kind(f"the transaction failed and nothing of it was kept: {error}")
            if self._connection is not None and self._connection.invalidated:
                self._disconnect()  # the next one takes the writer's lock again
            _settle(jobs)

    def _next_jobs(self) -> list[_Job[Any]]:
        with self._wake:
            while not self._queue and not self._stopping:
                self._wake.wait()
            return [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]

    def _transact_when_possible(self, jobs: list[_Job[Any]]) -> None:
        """Run the transaction, again and again while there is no room for it. Raises ``NotNow`` when stopped meanwhile.

        Callers only wait longer: what they queued stays whole and in its order, and nobody is told that something is
        durable that is not.
        """
        backoff = Backoff(*_NOT_NOW_S, random=os.urandom)
        while True:
            try:
                self._transact(jobs)
            except Exception as error:
                reason = not_now(error)
                if self._read_only or not reason:
                    raise
                self._disconnect()
                if not self.trouble:
                    log.error("nothing can be written", database=self._engine.url.database, why=reason)  # noqa: TRY400
                self.trouble = reason
                with self._wake:
                    if self._wake.wait_for(lambda: self._stopping, timeout=backoff.next()):
                        raise NotNow(reason) from error
                for job in jobs:
                    job.error = None
            else:
                if self.trouble:
                    log.info("everything that waited is written", database=self._engine.url.database)
                    self.trouble = ""
                return

    def _transact(self, jobs: list[_Job[Any]]) -> None:
        connection = self._connection or self._connect()
        with connection.begin() as transaction:
            if len(jobs) == 1:
                _attempt(jobs[0], connection)
                if jobs[0].error is not None:
                    transaction.rollback()
                return
            for job in jobs:
                connection.exec_driver_sql("SAVEPOINT job")
                _attempt(job, connection)
                if job.error is not None:
                    connection.exec_driver_sql("ROLLBACK TO SAVEPOINT job")
                connection.exec_driver_sql("RELEASE SAVEPOINT job")

    def _connect(self) -> Connection:
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            raise StorageError(f"cannot open the database: {error}") from error
        self._connection = connection.execution_options(**{_READ_ONLY: self._read_only})
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.close()
        except SQLAlchemyError:
            self._connection.invalidate()
        self._connection = None


def not_now(error: BaseException) -> str:
    """Say in words what to do if the database can take nothing just now, but will later; '' for every other error.

    SQLite's result codes and PostgreSQL's SQLSTATE classes; with all of them nothing of the transaction was kept.
    """
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return _NO_ROOM[error.errno]
    cause = getattr(error, "orig", error)
    code = getattr(cause, "sqlite_errorcode", None)
    if isinstance(code, int) and code != _SQLITE_MOVED:
        return _SQLITE_NOT_NOW.get(code & 0xFF, "")
    state = getattr(cause, "sqlstate", None) or ""
    return _POSTGRES_NOT_NOW.get(state) or _POSTGRES_NOT_NOW.get(state[:2], "")


def _attempt(job: _Job[Any], connection: Connection) -> None:
    try:
        job.result = job.closure(connection)
    except (OperationalError, InterfaceError, InternalError) as error:  # the disk or the server, not the statement
        if not_now(error):
            raise  # the whole transaction may be gone with it
        job.error = StorageError(f"the database failed: {error}")
    except Exception as error:  # it belongs to the caller
        job.error = error


def _settle(jobs: list[_Job[Any]]) -> None:
    """Answer all jobs with one wake-up of each loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, waiting in loops.items():
        try:
            loop.call_soon_threadsafe(_settle_all, waiting)
        except RuntimeError:  # that loop is closed: nobody waits there any more
            log.warning("a database answer came after its event loop had closed", answers=len(waiting))


def _settle_all(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        job.settle()


class Reader(Worker):
    """Runs closures that only read, beside the writer, each batch on one snapshot."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, name="database-reader", read_only=True)

    def _connect(self) -> Connection:
        connection = super()._connect()
        connection.detach()  # never back into the pool, where somebody may want to write with it
        sqlite = self._engine.dialect.name == "sqlite"
        with connection.begin():
            connection.exec_driver_sql(
                "PRAGMA query_only = ON" if sqlite else "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
            )
        return connection


class Writer(Worker):
    """The one writer of a database; a second process that wants to be it is refused with ``DatabaseInUseError``.

    Two writers would hand out the same sequence number or use a ratchet twice, so this is never merely hoped for.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, name="database-writer", read_only=False)
        self._lock_file: IO[bytes] | None = None

    async def stop(self) -> None:
        """Finish what is queued, end the thread, close the connection and let go of the database."""
        await super().stop()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def _connect(self) -> Connection:
        if self._engine.dialect.name == "sqlite" and self._lock_file is None:
            self._lock_file = _lock(Path(f"{self._engine.url.database}.lock"))
        connection = super()._connect()
        if self._engine.dialect.name == "postgresql":
            _lock_session(connection)
        return connection


def _lock(path: Path) -> IO[bytes]:
    """Hold an advisory lock on ``path`` for as long as the file stays open; a killed process lets go of it."""
    file = os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600), "wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise DatabaseInUseError(f"another process writes to {path.with_suffix('')}") from error
    return file


def _lock_session(connection: Connection) -> None:
    """Hold PostgreSQL's advisory lock for this schema for as long as the session lives."""
    query = "SELECT pg_try_advisory_lock(hashtext('rialto writer'), hashtext(current_schema()))"
    with connection.begin():
        held = connection.execute(text(query)).scalar_one()
    if not held:
        raise DatabaseInUseError("another process writes to this PostgreSQL schema")


class Database:
    """A database at its newest revision, with its writer and its reader running."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writer = Writer(engine)
        self.reader = Reader(engine)

    @classmethod
    async def open(cls, url: str | URL, script_location: Path) -> Database:
        """Open, become the writer, migrate, start both threads. Raises ``StorageError`` or ``DatabaseInUseError``."""
        database = cls(await asyncio.to_thread(open_engine, url))
        try:
            database.writer.start()
            await asyncio.to_thread(upgrade, database.engine, script_location)
            database.reader.start()
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Stop reader and writer and close every connection; what was queued is committed first."""
        await self.reader.stop()
        await self.writer.stop()
        self.engine.dispose()
