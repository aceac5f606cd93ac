"""Structured logs: what happened to which message, never what it said.

A line is an event's name and its fields. Bodies, tokens and keys have no field; should one be passed under a
telling name by mistake, it is struck out; a test searches the logs of whole talks for what was said.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_NEVER = frozenset({"body", "text", "content", "plaintext", "token", "secret", "key", "password", "authorization"})


def configure(level: str, form: str) -> None:
    """Send logs to standard error at ``level``; ``form`` is console, json, or auto (console on a terminal)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        strike_out,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    # The libraries' own chatter repeats stanzas and requests, bodies included: only their complaints are let through.
    for name in ("slixmpp", "aiohttp", "nio", "alembic", "sqlalchemy", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR if name == "slixmpp" else logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def strike_out(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the value of every field whose name says that it must not be logged."""
    for name in _NEVER & event.keys():
        event[name] = "(struck out)"
    return event
