"""What the commands share: their options, how they ask a running daemon, and how they print."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from bridge.api.client import ApiClient
from bridge.config import EndpointConfig, Loaded, load
from bridge.errors import ServiceError

T = TypeVar("T")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="RIALTO_CONFIG", help="The configuration file.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
EndpointOption = Annotated[str, typer.Option("--endpoint", "-e", help="Only this endpoint.")]
DEFAULT = Path("rialto.toml")


def known(loaded: Loaded, name: str) -> EndpointConfig:
    """Return the configuration of the endpoint of this name. Raises ``ServiceError`` if there is none."""
    if name not in loaded.config.endpoint:
        raise ServiceError(f"there is no endpoint '{name}'; there are {', '.join(loaded.config.endpoint) or 'none'}")
    return loaded.config.endpoint[name]


def ask(
    config: Path, endpoint: str, question: Callable[[ApiClient, str], Awaitable[T]], *, missing_ok: bool = False
) -> list[tuple[str, T]]:
    """Ask one endpoint of the running daemon, or all ('') of them, each by its own token.

    With ``missing_ok`` an endpoint that knows nothing of what is asked is left out. Raises ``ServiceError``.
    """
    loaded = load(config)
    if endpoint:
        known(loaded, endpoint)

    async def gather() -> list[tuple[str, T]]:
        found = []
        async with ApiClient(loaded) as api:
            for name in (endpoint,) if endpoint else tuple(loaded.config.endpoint):
                try:
                    found.append((name, await question(api, name)))
                except ServiceError as error:
                    if not missing_ok or "is the daemon running" in str(error):
                        raise
        return found

    return asyncio.run(gather())


def built(view: msgspec.Struct) -> dict[str, Any]:
    """Return a record as a row to be shown."""
    row: dict[str, Any] = msgspec.to_builtins(view)
    return row


def show(rows: Sequence[dict[str, Any]], as_json: bool, columns: Sequence[str], empty: str) -> None:
    """Print rows: JSON for programs, a table of these columns for people, ``empty`` when there are none."""
    if as_json:
        typer.echo(msgspec.json.encode(rows).decode())
    elif not rows:
        typer.echo(empty)
    else:
        table = Table(box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, no_wrap=not sys.stdout.isatty(), overflow="fold")
        for row in rows:
            table.add_row(*(str(row.get(column, "")) for column in columns))
        # Into a file or a pipe a row stays a line, however long.
        Console(width=None if sys.stdout.isatty() else 1000).print(table)
