"""The command ``rialto``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from adapters.matrix.config import MatrixConfig
from adapters.matrix.registration import registration
from bridge import adapters, secrets
from bridge.api.app import MessageView, RoomView
from bridge.api.client import ApiClient
from bridge.commands import key, quarantine
from bridge.commands.common import DEFAULT, ConfigOption, EndpointOption, JsonOption, ask, built, known, show
from bridge.config import Loaded, load
from bridge.errors import ConfigError, RialtoError, ServiceError
from bridge.template import render

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Rialto, a messenger bridge you can trust.",
)
message_app = typer.Typer(no_args_is_help=True, help="What became of messages.")
room_app = typer.Typer(no_args_is_help=True, help="Rooms, their members and their assurance.")
matrix_app = typer.Typer(no_args_is_help=True, help="What a Matrix homeserver needs.")
app.add_typer(message_app, name="message")
app.add_typer(room_app, name="room")
app.add_typer(key.app, name="key")
app.add_typer(matrix_app, name="matrix")
app.add_typer(quarantine.app, name="quarantine")

RestoredOption = Annotated[
    bool,
    typer.Option("--restored", help="The ledgers come from a backup: re-key every room before sending. For one start."),
]


def main() -> None:
    """Run the command line; an error that somebody can mend is one line on standard error, and exit code 1."""
    try:
        app()
    except ConfigError as error:
        for finding in error.findings:
            typer.echo(finding, err=True)
        sys.exit(1)
    except RialtoError as error:
        typer.echo(f"rialto: {error}", err=True)
        sys.exit(1)
    except ExceptionGroup as group:  # of endpoints that start side by side
        ours, others = group.split(RialtoError)
        if ours is None or others is not None:
            raise
        for one in ours.exceptions:
            typer.echo(f"rialto: {one}", err=True)
        sys.exit(1)


# --- the daemon -------------------------------------------------------------------------------------------------------


@app.command()
def init(
    config: ConfigOption = DEFAULT,
    domain: Annotated[str, typer.Option(help="The bridge's own domain.")] = "bridge.example",
    keys_only: Annotated[bool, typer.Option("--keys-only", help="Only make the secrets that are missing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a commented rialto.toml (if there is none) and make the keys and tokens that are missing."""
    written = []
    if not keys_only and not config.exists():
        config.write_text(render(domain), encoding="utf-8")
        written.append(config)
    loaded = load(config)
    written += secrets.create(loaded.data, tuple(loaded.config.endpoint))
    if not loaded.config.authority.keys:
        written += secrets.create_authority(loaded.data)
    show([{"written": str(path)} for path in written], as_json, ["written"], "nothing was missing")


@app.command()
def check(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Say what is wrong with the configuration, in words, with the line."""
    try:
        loaded = load(config)
        found = [*adapters.findings(loaded), *_missing_secrets(loaded)]
    except ConfigError as error:
        found = list(error.findings)
    show([{"finding": finding} for finding in found], as_json, ["finding"], f"{config}: nothing is wrong")
    if found:
        raise typer.Exit(1)


@app.command()
def run(config: ConfigOption = DEFAULT, restored: RestoredOption = False, as_json: JsonOption = False) -> None:
    """Run router and endpoints in this one process."""
    loaded = _logged(config, as_json)
    _serve(config, loaded, router=True, endpoints=tuple(loaded.config.endpoint), own_process=False, restored=restored)


@app.command()
def router(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Run the router alone: it holds no key and reads none."""
    _serve(config, _logged(config, as_json), router=True, endpoints=(), own_process=True, restored=False)


@app.command()
def endpoint(
    name: str, config: ConfigOption = DEFAULT, restored: RestoredOption = False, as_json: JsonOption = False
) -> None:
    """Run one endpoint alone, against a router in another process."""
    loaded = _logged(config, as_json)
    known(loaded, name)
    _serve(config, loaded, router=False, endpoints=(name,), own_process=True, restored=restored)


@app.command()
def reload(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Have the running daemon read its configuration again; what is wrong with it is said, and changes nothing."""

    async def answer() -> dict[str, list[str]]:
        async with ApiClient(load(config)) as api:
            return await api.reload()

    found = asyncio.run(answer())
    rows = [{"what": word, "names": ", ".join(names)} for word, names in found.items()]
    show(rows, as_json, ["what", "names"], "nothing is different")


# --- looking at a running daemon --------------------------------------------------------------------------------------


@message_app.command("list")
def message_list(
    config: ConfigOption = DEFAULT,
    endpoint: EndpointOption = "",
    state: Annotated[str, typer.Option(help="queued, sent, delivered, read, failed, uncertain, or parked.")] = "",
    room: Annotated[str, typer.Option(help="Only this room.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    before: Annotated[str, typer.Option(help="Only what is older than the message of this id: the next page.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the newest messages."""
    query = {"limit": str(limit), "state": state, "room": room, "before": before}
    found = ask(config, endpoint, lambda api, name: api.get(name, "messages", list[MessageView], **query))
    rows = [_message_row(name, message) for name, messages in found for message in messages]
    show(rows, as_json, ["endpoint", "id", "direction", "state", "at", "sender", "reason"], "no messages")


@message_app.command("show")
def message_show(
    id: str,  # noqa: A002 - the word of the field
    config: ConfigOption = DEFAULT,
    endpoint: EndpointOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show one message and every step of its life, at each endpoint that knows it."""
    found = ask(
        config,
        endpoint,
        lambda api, name: api.get(name, f"messages/{quote(id, safe='')}", MessageView),
        missing_ok=True,
    )
    if not found:
        raise ServiceError(f"there is no message {id}")
    if as_json:
        show([_message_row(name, message) for name, message in found], as_json, [], "")
        return
    for name, message in found:
        row = _message_row(name, message)
        typer.echo("\n".join(f"{key}: {value}" for key, value in row.items() if key != "timeline" and value != ""))
        steps = [built(step) | {"at": _time(step.at)} for step in message.timeline]
        show(steps, as_json, ["at", "state", "by", "reason", "text"], "no steps yet")


@message_app.command("replay")
def message_replay(
    id: str,  # noqa: A002 - the word of the field
    config: ConfigOption = DEFAULT,
    endpoint: EndpointOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send a parked message again."""
    done = ask(
        config, endpoint, lambda api, name: api.post(name, f"messages/{quote(id, safe='')}/replay"), missing_ok=True
    )
    if not done:
        raise ServiceError(f"no parked message is called {id}")
    show([{"replayed": id, "endpoint": name} for name, _ in done], as_json, ["replayed", "endpoint"], "")


@room_app.command("list")
def room_list(config: ConfigOption = DEFAULT, endpoint: EndpointOption = "", as_json: JsonOption = False) -> None:
    """List rooms with the assurance of each."""
    rows = [built(room) for room in _rooms(config, endpoint).values()]
    show(rows, as_json, ["room", "name", "phase", "epoch", "hold", "reason", "label"], "no rooms")


@room_app.command("show")
def room_show(
    room: str, config: ConfigOption = DEFAULT, endpoint: EndpointOption = "", as_json: JsonOption = False
) -> None:
    """Show one room with each member's leg class and the room's assurance."""
    rooms = _rooms(config, endpoint)
    found = rooms.get(room) or next((view for uri, view in rooms.items() if uri.endswith(f"/{room}")), None)
    if found is None:
        raise ServiceError(f"there is no room {room}")
    if as_json:
        show([built(found)], as_json, [], "")
        return
    typer.echo(f"{found.room}\n{found.name or 'a direct conversation'}, epoch {found.epoch}, {found.phase}")
    if found.reason:
        typer.echo(f"needs: {found.reason}, since {_time(found.since)}; next: {found.next_step or 'nothing'}")
    if found.hold:
        typer.echo(f"held: {found.hold}; nothing is sealed to this room")
    typer.echo(f"assurance: {found.assurance} ({found.label}), the worst leg of its members")
    if found.held_for:
        typer.echo(f"held, nothing is sealed to it: {found.held_for}")
    show([built(member) for member in found.members], as_json, ["leaf", "endpoint", "leg", "label"], "no members yet")


@matrix_app.command("registration")
def matrix_registration(
    config: ConfigOption = DEFAULT, endpoint: EndpointOption = "", as_json: JsonOption = False
) -> None:
    """Print the registration file that the homeserver wants in app_service_config_files."""
    loaded = load(config)
    for name in (endpoint,) if endpoint else tuple(loaded.config.endpoint):
        kind = adapters.of_endpoint(name, known(loaded, name))
        settings = adapters.account(loaded, name, kind)
        if isinstance(settings, MatrixConfig):
            text = registration(settings)
            typer.echo(msgspec.json.encode({"registration": text}).decode() if as_json else text, nl=as_json)
            return
    raise ServiceError("no endpoint of this configuration is on Matrix")


# --- the commands' common parts ---------------------------------------------------------------------------------------


def _serve(
    config: Path, loaded: Loaded, *, router: bool, endpoints: Sequence[str], own_process: bool, restored: bool
) -> None:
    from bridge.service import serve  # the daemon's weight, which no other command needs

    asyncio.run(
        serve(loaded, path=config, router=router, endpoints=endpoints, own_process=own_process, restored=restored)
    )


def _logged(config: Path, as_json: bool) -> Loaded:
    from bridge.logs import configure

    loaded = load(config)
    configure(loaded.config.log.level, "json" if as_json else loaded.config.log.format)
    return loaded


def _missing_secrets(loaded: Loaded) -> Iterable[str]:
    if not loaded.config.endpoint:
        return
    from bridge import assembly  # the daemon's weight, which no other command needs

    looks: list[Callable[[], object]] = [partial(secrets.ledger_key, loaded.data)]
    looks += [partial(assembly.authority, loaded), partial(secrets.authority_key, loaded.data)]
    looks += [partial(secrets.router_token, loaded.data, name) for name in loaded.config.endpoint]
    for look in looks:
        try:
            look()
        except RialtoError as error:
            yield str(error)


def _rooms(config: Path, endpoint: str) -> dict[str, RoomView]:
    """All rooms by URI; of a room that several endpoints know, the view of one that is a member."""
    rooms: dict[str, RoomView] = {}
    for _, views in ask(config, endpoint, lambda api, name: api.get(name, "rooms", list[RoomView])):
        for view in views:
            if view.members or view.room not in rooms:
                rooms[view.room] = view
    return rooms


def _message_row(endpoint: str, message: MessageView) -> dict[str, Any]:
    return {"endpoint": endpoint, **built(message), "at": _time(message.at)}


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00")


if __name__ == "__main__":
    main()
