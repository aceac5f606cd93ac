"""``rialto.toml``: what it may say, and how it is read.

Reading is strict. An unknown key, a missing one or a wrong type is a finding that names the line and, where one is
near, the key that was probably meant. Nothing secret stands in the file: ``bridge.secrets`` says where secrets are.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct, field

from bridge.authority import KEYS_AT_MOST, read_public
from bridge.errors import ConfigError
from bridge.limits import Limits

StructT = TypeVar("StructT", bound=Struct)


class RouterConfig(Struct, forbid_unknown_fields=True):
    """``[router]``: the key-less side.

    ``listen`` is where endpoints in processes of their own reach it; ``database`` an SQLAlchemy URL ('' for a SQLite
    file in ``data``); ``retention_days`` how long attachments, and what tells a repeated message, are kept.
    """

    listen: str = "127.0.0.1:8440"
    database: str = ""
    retention_days: int = 30
    max_message_bytes: int = 1_048_576
    max_blob_bytes: int = 2_147_483_648


class HttpConfig(Struct, forbid_unknown_fields=True):
    """``[http]``: where ``/healthz`` and ``/metrics`` answer in ``rialto run``."""

    listen: str = "127.0.0.1:8441"


class LogConfig(Struct, forbid_unknown_fields=True):
    """``[log]``: ``level`` is debug, info, warning or error; ``format`` auto (by terminal), console or json."""

    level: str = "info"
    format: str = "auto"


class DeliveryConfig(Struct, forbid_unknown_fields=True):
    """``[delivery]``: when to stop trying.

    A delivery that still fails after ``max_attempts`` attempts or ``max_age_hours`` is parked: it can be listed and
    replayed. ``parallel`` conversations are served side by side in each endpoint. A file that somebody links to is
    tried for ``link_minutes``; then its link goes as text, and what waits behind it goes on.
    """

    max_attempts: int = 12
    max_age_hours: float = 24.0
    parallel: int = 16
    link_minutes: float = 5.0


class RetentionConfig(Struct, forbid_unknown_fields=True):
    """``[retention]``: for how many days an endpoint's ledger keeps what it no longer needs.

    ``excerpt_days``: the beginnings of texts, for networks that can only quote, and what was offered in words;
    ``timeline_days``: the steps of a message's status; ``log_days``: who, where, when and how far, and which native ids
    name which message, which edits, reactions, receipts and quotes need; ``parked_days``: what could be replayed.
    ``status_days``: for how long a message that comes again is recognised and answered with its status; at least 7,
    and never less than twice ``max_age_hours``. What is still waiting is kept whatever its age.
    """

    excerpt_days: float = 7.0
    timeline_days: float = 30.0
    log_days: float = 90.0
    parked_days: float = 30.0
    status_days: float = 7.0


class AuthorityConfig(Struct, forbid_unknown_fields=True):
    """``[authority]``: whose word it takes to be an endpoint of this bridge.

    ``keys`` are the authority's public keys, as ``rialto key authority`` prints them: one, and two while it is rotated.
    Without them those in ``authority.pub`` in ``data`` count, which is right where everything runs from one folder.
    ``revoked`` maps an endpoint's name to the lowest number of a grant that is still good. ``grace_days`` is how long
    rooms from before there were grants bear members that have none yet.
    """

    keys: list[str] = field(default_factory=list)
    revoked: dict[str, int] = field(default_factory=dict)
    grace_days: float = 30.0


class EndpointConfig(Struct, forbid_unknown_fields=True):
    """``[endpoint.NAME]``: one account of one adapter.

    ``adapter`` is the entry point's name (the endpoint's own name when ''). Of several accounts of one network the one
    with ``default = true``, else the first in the file, has the addresses ``network~id`` and each other one
    ``network.NAME~id``; ``default = false`` keeps it so for an account that is alone. ``listen`` is where its network
    calls us,
    ``health`` where ``/healthz`` and ``/metrics`` answer in ``rialto endpoint NAME``, ``router`` the router's URL for
    a process of its own, ``leg`` the leg class the operator states for it (None: the adapter's own), and ``account``
    the adapter's settings.
    """

    adapter: str = ""
    default: bool | None = None
    listen: str = ""
    health: str = ""
    router: str = ""
    database: str = ""
    leg: int | None = None
    account: dict[str, Any] = field(default_factory=dict)


class RoomConfig(Struct, forbid_unknown_fields=True):
    """``[[room]]``: native rooms of several networks plumbed into one; ``members`` maps endpoint to native room."""

    id: str
    members: dict[str, str]
    name: str = ""


class RoomsConfig(Struct, forbid_unknown_fields=True):
    """``[rooms]``: what holds for all rooms.

    An endpoint that the router has not heard of for ``away_days`` is taken out of its rooms until it is back; what was
    said meanwhile is not kept for it.
    """

    away_days: float = 30.0


class PersonConfig(Struct, forbid_unknown_fields=True):
    """``[[person]]``: one human with many addresses, each written ``network~id``."""

    name: str
    addresses: list[str]


class Config(Struct, forbid_unknown_fields=True):
    """The whole of ``rialto.toml``. Relative paths are taken from the file's own folder.

    Raise ``revision`` with every change of who is in a room: of two files that name different members, the higher one
    is right, and nobody is removed whom a newer one names.
    """

    domain: str
    data: str = "data"
    revision: int = 0
    router: RouterConfig = field(default_factory=RouterConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    log: LogConfig = field(default_factory=LogConfig)
    delivery: DeliveryConfig = field(default_factory=DeliveryConfig)
    limits: Limits = field(default_factory=Limits)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    authority: AuthorityConfig = field(default_factory=AuthorityConfig)
    endpoint: dict[str, EndpointConfig] = field(default_factory=dict)
    rooms: RoomsConfig = field(default_factory=RoomsConfig)
    room: list[RoomConfig] = field(default_factory=list)
    person: list[PersonConfig] = field(default_factory=list)


class Loaded(Struct, frozen=True):
    """A configuration, the folder that its relative paths start from, and its text for findings."""

    config: Config
    folder: Path
    text: str

    @property
    def data(self) -> Path:
        """The folder that everything durable lives in."""
        return self.folder / self.config.data


def load(path: Path) -> Loaded:
    """Read and check the file at ``path``. Raises ``ConfigError`` with every finding that could be made."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}",)) from error
    except UnicodeDecodeError as error:
        raise ConfigError((f"{path}: not UTF-8 at byte {error.start}",)) from error
    return Loaded(config=parse(text, str(path)), folder=path.parent.resolve(), text=text)


def parse(text: str, name: str = "rialto.toml") -> Config:
    """Read the text of a configuration; ``name`` stands before each finding. Raises ``ConfigError``."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((f"{name}: not TOML: {error}",)) from error
    config = convert(raw, Config, text, name)
    findings = tuple(f"{name}:{line}: {what}" for line, what in _check(config, text))
    if findings:
        raise ConfigError(findings)
    return config


def convert(raw: object, kind: type[StructT], text: str, name: str, where: Sequence[str] = ()) -> StructT:
    """Turn a parsed table into ``kind``; the table stands at ``where`` in ``text``. Raises ``ConfigError``."""
    found = list(_mismatches(raw, kind, tuple(where)))
    if found:
        raise ConfigError(tuple(f"{name}:{line_of(text, path)}: {what}" for path, what in found))
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:  # what only the settings' own check could see
        raise ConfigError((f"{name}:{line_of(text, tuple(where))}: {'.'.join(where)}: {error}",)) from error


# --- findings in words ------------------------------------------------------------------------------------------------

_HOST_PORT = re.compile(r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$")
_NAME = re.compile(r"^[a-z][a-z0-9_-]*$")
_Path = tuple[str, ...]
_Finding = tuple[_Path, str]


def _mismatches(raw: object, kind: Any, path: _Path) -> Iterator[_Finding]:  # noqa: ANN401 - any type expression
    """Everything in which ``raw`` is not a ``kind``, each with the path at which it stands.

    msgspec stops at the first mismatch and writes ``[...]`` for a table's name; an operator wants all of them, by name.
    """
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(raw, dict):
        yield from _table_mismatches(raw, kind, path)
    elif origin is dict and isinstance(raw, dict):
        for key, value in raw.items():
            yield from _mismatches(value, get_args(kind)[1], (*path, key))
    elif origin is list and isinstance(raw, list):
        for number, value in enumerate(raw):
            yield from _mismatches(value, get_args(kind)[0], (*path, str(number)))
    else:
        try:
            msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            yield path, f"{'.'.join(path) or 'the file'}: {str(error)[:1].lower()}{str(error)[1:]}"


def _table_mismatches(raw: dict[str, object], kind: type[Struct], path: _Path) -> Iterator[_Finding]:
    hints = get_type_hints(kind)
    table = f" in [{'.'.join(path)}]" if path else ""
    required = {f.encode_name for f in msgspec.structs.fields(kind) if f.required}
    for key in sorted(required - raw.keys()):
        yield path, f"'{key}' is missing{table}"
    for key, value in raw.items():
        if key in hints:
            yield from _mismatches(value, hints[key], (*path, key))
            continue
        near = difflib.get_close_matches(key, hints, n=1, cutoff=0.6)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        yield (*path, key), f"unknown key '{key}'{table}{hint}"


_HEADER = re.compile(r"^\s*\[\[?\s*(?P<table>[^\]]+?)\s*\]\]?")
_KEY = re.compile(r"^\s*(?P<key>[A-Za-z0-9_.\"'-]+)\s*=")


def line_of(text: str, path: Sequence[str]) -> int:
    """Find the line (from 1) on which ``path`` stands in a TOML text, or the nearest table above it.

    A number in the path counts the tables of an array (``[[room]]``), from 0.
    """
    table: _Path = ()
    counts: dict[_Path, int] = {}
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = tuple(part.strip(" \"'") for part in header["table"].split("."))
            if line.lstrip().startswith("[["):
                counts[table] = counts.get(table, -1) + 1
                table = (*table, str(counts[table]))
            here = table
        elif key := _KEY.match(line):
            here = (*table, *(part.strip("\"'") for part in key["key"].split(".")))
        else:
            continue
        if here == tuple(path):
            return number
        if tuple(path[: len(here)]) == here and len(here) > depth:
            best, depth = number, len(here)
    return best


def _check(config: Config, text: str) -> list[tuple[int, str]]:
    """What types cannot say."""
    found: list[tuple[int, str]] = []

    def finding(path: Sequence[str], what: str) -> None:
        found.append((line_of(text, path), what))

    if not re.fullmatch(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", config.domain):
        finding(["domain"], f"domain: '{config.domain}' is not a domain name in lower case")
    listeners: dict[str, str] = {}
    for where, listen in _listeners(config).items():
        if not _HOST_PORT.match(listen):
            finding(where.split("."), f"{where}: '{listen}' is not HOST:PORT")
        elif other := listeners.get(listen):
            finding(where.split("."), f"{where}: {listen} is taken by {other} already")
        listeners[listen] = where
    if config.log.level not in {"debug", "info", "warning", "error"}:
        finding(["log", "level"], f"log.level: '{config.log.level}' is not debug, info, warning or error")
    if config.log.format not in {"auto", "console", "json"}:
        finding(["log", "format"], f"log.format: '{config.log.format}' is not auto, console or json")
    for name, endpoint in config.endpoint.items():
        if not _NAME.match(name):
            finding(["endpoint", name], f"endpoint '{name}': names are lower-case letters, digits, - and _")
        if endpoint.leg is not None and endpoint.leg not in range(5):
            finding(["endpoint", name, "leg"], f"endpoint.{name}.leg: {endpoint.leg} is not a leg class (0 to 4)")
    _check_retention(config.retention, finding)
    _check_authority(config.authority, finding)
    _check_rooms(config, finding)
    return found


def _check_retention(retention: RetentionConfig, finding: Callable[[Sequence[str], str], None]) -> None:
    for name in retention.__struct_fields__:
        days = getattr(retention, name)
        if not 0 <= days <= 36_500:
            finding(["retention", name], f"retention.{name}: {days} is not a number of days (0 to 36500)")
    if retention.log_days < retention.status_days:
        finding(
            ["retention", "log_days"],
            f"retention.log_days: {retention.log_days} is less than status_days ({retention.status_days}): "
            "a message that comes again would not be recognised",
        )


def _check_authority(config: AuthorityConfig, finding: Callable[[Sequence[str], str], None]) -> None:
    if len(config.keys) > KEYS_AT_MOST:
        finding(["authority", "keys"], f"authority.keys: {len(config.keys)} keys; {KEYS_AT_MOST} are the most")
    for text in config.keys:
        try:
            read_public(text)
        except ValueError as error:
            finding(["authority", "keys"], f"authority.keys: {error}")
    for name, number in config.revoked.items():
        if number < 0:
            finding(["authority", "revoked"], f"authority.revoked.{name}: {number} is no number of a grant")
    if config.grace_days < 0:
        finding(["authority", "grace_days"], f"authority.grace_days: {config.grace_days} is less than nothing")


def _check_rooms(config: Config, finding: Callable[[Sequence[str], str], None]) -> None:
    seen: set[str] = set()
    for number, room in enumerate(config.room):
        here = ["room", str(number)]
        if room.id in seen:
            finding([*here, "id"], f"room '{room.id}' is there twice")
        seen.add(room.id)
        if len(room.members) < 2:
            finding([*here, "members"], f"room '{room.id}' has fewer than two members: there is nobody to talk to")
        for endpoint in room.members:
            if endpoint not in config.endpoint:
                near = difflib.get_close_matches(endpoint, config.endpoint, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                finding([*here, "members"], f"room '{room.id}': there is no endpoint '{endpoint}'{hint}")
    for number, person in enumerate(config.person):
        for address in person.addresses:
            if "~" not in address:
                finding(
                    ["person", str(number), "addresses"],
                    f"person '{person.name}': '{address}' is not written network~id",
                )


def _listeners(config: Config) -> Mapping[str, str]:
    named = {"router.listen": config.router.listen, "http.listen": config.http.listen}
    for name, endpoint in config.endpoint.items():
        named |= {
            f"endpoint.{name}.{key}": value
            for key, value in (("listen", endpoint.listen), ("health", endpoint.health))
            if value
        }
    return named
