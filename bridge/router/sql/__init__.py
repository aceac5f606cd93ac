"""The journal in SQL, through SQLAlchemy Core: one code base for SQLite and PostgreSQL."""

from bridge.router.sql.journal import SqlJournal

__all__ = ["SqlJournal"]
