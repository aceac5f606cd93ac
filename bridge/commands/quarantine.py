"""``rialto quarantine``: what could not be handled, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bridge.api.app import QuarantineView
from bridge.commands.common import DEFAULT, ConfigOption, EndpointOption, JsonOption, ask, built, show
from bridge.errors import ServiceError

app = typer.Typer(no_args_is_help=True, help="What could not be handled and was put aside.")

Id = Annotated[int, typer.Argument(help="The number that `rialto quarantine list` shows.")]


@app.command("list")
def list_(
    config: ConfigOption = DEFAULT,
    endpoint: EndpointOption = "",
    kind: Annotated[str, typer.Option(help="event, awaiting-media, content, delivery, room or notification.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what was put aside, newest first."""
    query = {"limit": str(limit), "kind": kind}
    found = ask(config, endpoint, lambda api, name: api.get(name, "quarantine", list[QuarantineView], **query))
    rows = [_row(name, view) for name, views in found for view in views]
    show(rows, as_json, ["endpoint", "id", "kind", "at", "code", "attempts", "place", "text"], "nothing is put aside")


@app.command("show")
def show_(id: Id, config: ConfigOption = DEFAULT, endpoint: EndpointOption = "", as_json: JsonOption = False) -> None:  # noqa: A002 - the word of the field
    """Show one thing with its whole reason; never what it says."""
    found = ask(config, endpoint, lambda api, name: api.get(name, f"quarantine/{id}", QuarantineView), missing_ok=True)
    if not found:
        raise ServiceError(f"nothing is put aside under {id}")
    rows = [_row(name, view) for name, view in found]
    if as_json:
        show(rows, as_json, [], "")
        return
    for row in rows:
        typer.echo("\n".join(f"{key}: {value}" for key, value in row.items() if value != ""))


@app.command("retry")
def retry(id: Id, config: ConfigOption = DEFAULT, endpoint: EndpointOption = "", as_json: JsonOption = False) -> None:  # noqa: A002 - the word of the field
    """Handle it again. If it fails again it stays, and the attempt is counted."""
    _done("retry", "retried", id, config, endpoint, as_json)


@app.command("drop")
def drop(id: Id, config: ConfigOption = DEFAULT, endpoint: EndpointOption = "", as_json: JsonOption = False) -> None:  # noqa: A002 - the word of the field
    """Let go of it for good."""
    _done("drop", "dropped", id, config, endpoint, as_json)


def _done(act: str, word: str, id_: int, config: Any, endpoint: str, as_json: bool) -> None:  # noqa: ANN401 - a path
    """Ask the endpoints to act on an id: each numbers its own, so one of several must be named."""
    if not endpoint:
        holders = ask(config, "", lambda api, name: api.get(name, f"quarantine/{id_}", QuarantineView), missing_ok=True)
        if len(holders) > 1:
            names = ", ".join(name for name, _ in holders)
            raise ServiceError(f"{names} each have something under {id_}: say which with --endpoint")
        if not holders:
            raise ServiceError(f"nothing is put aside under {id_}")
        endpoint = holders[0][0]
    ask(config, endpoint, lambda api, name: api.post(name, f"quarantine/{id_}/{act}"))
    show([{word: id_, "endpoint": endpoint}], as_json, [word, "endpoint"], "")


def _row(endpoint: str, view: QuarantineView) -> dict[str, Any]:
    at = datetime.fromtimestamp(view.at / 1000, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")
    return {"endpoint": endpoint, **built(view), "at": at}
