"""``rialto key``: the endpoints' signature keys, the operator's authority and its grants, and their escrow."""

from __future__ import annotations

import base64
import os
import re
import time
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge import adapters, escrow, secrets
from bridge.api.app import KeyView
from bridge.authority import grant_file, issue_for, issue_number, read_grant, write_grant, write_public
from bridge.commands.common import DEFAULT, ConfigOption, EndpointOption, JsonOption, ask, built, known, show
from bridge.config import Loaded, load, parse
from bridge.errors import NotGrantedError, SecretError, ServiceError
from protocol.grant import SignedGrant, public_of
from protocol.uri import endpoint_uri

app = typer.Typer(no_args_is_help=True, help="The endpoints' keys, the operator's authority and its grants.")

ESCROWED = ("ledger.key", secrets.AUTHORITY_KEY, secrets.AUTHORITY_NEXT, secrets.AUTHORITY_PUBLIC)
"""What goes into escrow: what cannot be made again without losing what it opens, or whom it vouches for."""

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="The passphrase stands in this file; else it is asked for."),
]


@app.command("show")
def key_show(config: ConfigOption = DEFAULT, endpoint: EndpointOption = "", as_json: JsonOption = False) -> None:
    """Show the fingerprint of each endpoint's signature key, to be compared out of band, and what it is granted."""
    found = ask(config, endpoint, lambda api, name: api.get(name, "key", KeyView))
    columns = ["endpoint", "uri", "fingerprint", "grant", "label"]
    show([built(view) for _, view in found], as_json, columns, "no endpoints")


@app.command("authority")
def key_authority(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Show the authority's public keys, for `[authority] keys` on machines of their own; make it if there is none."""
    from bridge import assembly  # the daemon's weight, which no other command needs

    loaded = load(config)
    if not loaded.config.authority.keys:
        secrets.create_authority(loaded.data)
    private = secrets.authority_key(loaded.data)
    ours = b"" if private is None else public_of(private)
    rows: list[dict[str, Any]] = [
        {"public": write_public(key), "private": "here" if key == ours else "elsewhere", "signs": key == ours}
        for key in assembly.authority_keys(loaded)
    ]
    show(rows, as_json, ["public", "private", "signs"], "no authority")


@app.command("admit")
def key_admit(
    name: str,
    fingerprint: Annotated[str, typer.Argument(help="SHA-256 of its signature key in hexadecimal.")],
    config: ConfigOption = DEFAULT,
    days: Annotated[float, typer.Option(help="After how many days the grant ends; 0: it does not.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Grant the endpoint whose signature key has this fingerprint what the configuration says of it.

    Prints the grant, one line, which is no secret: it belongs into grants/NAME in the endpoint's data folder.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", fingerprint.lower()):
        raise ServiceError(f"'{fingerprint[:80]}' is no fingerprint: those are 64 hexadecimal digits")
    loaded = load(config)
    _print_grant(loaded, name, _issue(loaded, name, bytes.fromhex(fingerprint), days), as_json)


@app.command("grant")
def key_grant(
    name: str,
    config: ConfigOption = DEFAULT,
    days: Annotated[float, typer.Option(help="After how many days the grant ends; 0: it does not.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Grant an endpoint anew: the one that was admitted before under this name, or that runs here now."""
    loaded = load(config)
    held = read_grant(_grant_path(loaded, name))
    if held is not None:
        fingerprint = held.grant.key
    else:
        ((_, view),) = ask(config, name, lambda api, one: api.get(one, "key", KeyView))
        fingerprint = bytes.fromhex(view.fingerprint)
    _print_grant(loaded, name, _issue(loaded, name, fingerprint, days), as_json)


@app.command("revoke")
def key_revoke(name: str, config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Make void every grant that an endpoint has been given so far, by a line in this configuration file.

    The same line belongs into the file of every other machine. It holds from the next start or reload.
    """
    loaded = load(config)
    held = read_grant(_grant_path(loaded, name))
    number = max(int(time.time()), 0 if held is None else held.grant.number) + 1
    revoked = loaded.config.authority.revoked | {name: number}
    line = f"revoked = {{ {', '.join(f'{one} = {lowest}' for one, lowest in revoked.items())} }}"
    written = _write_revoked(config, loaded, line, revoked)
    row = {"revoked": name, "below": number, "line": line, "written": written}
    show([row], as_json, ["revoked", "below", "line", "written"], "")
    if not written and not as_json:
        typer.echo(f"put the line into [authority] of {config}: the file says it in a way that is better left to you")


@app.command("rotate")
def key_rotate(
    config: ConfigOption = DEFAULT,
    finish: Annotated[bool, typer.Option("--finish", help="Take the third step.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take the next of the three steps by which another key becomes the authority's, and say what comes after it.

    1 announce: a second key is believed. 2 sign: it signs the grants. 3 finish: the first is believed no more. No
    message is lost by any of them; what meets a leaf that is believed no more waits until that leaf is renewed.
    """
    loaded = load(config)
    step, then = _rotate(loaded, finish=finish)
    believed = ", ".join(f'"{write_public(key)}"' for key in secrets.authority_public(loaded.data))
    row = {"step": step, "keys": f"keys = [{believed}]", "then": then}
    if as_json:
        show([row], as_json, [], "")
    else:
        typer.echo("\n".join(f"{key}: {value}" for key, value in row.items()))


@app.command("export")
def key_export(
    out: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    config: ConfigOption = DEFAULT,
    sealed: Annotated[bool, typer.Option("--sealed", help="Under a passphrase; there is no other way.")] = False,
    passphrase_file: PassphraseFile = None,
    as_json: JsonOption = False,
) -> None:
    """Write the ledger's and the authority's keys, sealed under a passphrase, into a file to be laid away."""
    if not sealed:
        raise ServiceError("keys leave this machine sealed or not at all: 'rialto key export --sealed FILE'")
    loaded = load(config)
    files = {name: path.read_bytes() for name in ESCROWED if (path := loaded.data / name).exists()}
    if not files:
        raise SecretError(f"{loaded.data}: there are no key files; keys from the environment are yours to lay away")
    data = escrow.seal(files, _passphrase(passphrase_file, confirm=True), os.urandom)
    try:
        secrets.write_secret(out, data)
    except FileExistsError:
        raise ServiceError(f"{out} is there already") from None
    show([{"sealed": name, "into": str(out)} for name in files], as_json, ["sealed", "into"], "")


@app.command("import")
def key_import(
    sealed: Annotated[Path, typer.Argument(help="A file that `rialto key export` wrote.")],
    config: ConfigOption = DEFAULT,
    passphrase_file: PassphraseFile = None,
    as_json: JsonOption = False,
) -> None:
    """Put keys from escrow back where they belong. A key that is there and says something else is not replaced."""
    loaded = load(config)
    try:
        data = sealed.read_bytes()
    except OSError as error:
        raise ServiceError(f"{sealed}: cannot be read: {error.strerror}") from error
    files = escrow.unseal(data, _passphrase(passphrase_file, confirm=False))
    files = {name: value for name, value in files.items() if name in ESCROWED}
    there = {name: (loaded.data / name).read_bytes() for name in files if (loaded.data / name).exists()}
    if clash := [name for name, value in there.items() if value != files[name]]:
        raise SecretError(f"{loaded.data}: {', '.join(clash)} is there and is another key: move it away first")
    for name, value in files.items():
        if name not in there:
            secrets.write_secret(loaded.data / name, value)
    rows = [{"key": name, "was": "there already" if name in there else "put back"} for name in files]
    show(rows, as_json, ["key", "was"], "the file holds no keys")


# --- the commands' common parts ---------------------------------------------------------------------------------------


def _grant_path(loaded: Loaded, name: str) -> Path:
    known(loaded, name)
    return grant_file(loaded.data / "grants", name)


def _private(loaded: Loaded) -> bytes:
    from bridge import assembly  # the daemon's weight, which no other command needs

    private = secrets.authority_key(loaded.data)
    if private is None:
        raise NotGrantedError(f"{loaded.data}: the authority's private key is not here; grants are signed where it is")
    if public_of(private) not in assembly.authority_keys(loaded):
        raise NotGrantedError(f"{loaded.data}: the private key here is none that [authority] or authority.pub names")
    return private


def _issue(loaded: Loaded, name: str, fingerprint: bytes, days: float) -> SignedGrant:
    from bridge import assembly  # the daemon's weight, which no other command needs

    kind = adapters.of_endpoint(name, known(loaded, name))
    settings = assembly.endpoint_settings(loaded, name, kind.info)
    uri, now = endpoint_uri(loaded.config.domain, name), int(time.time())
    lowest = loaded.config.authority.revoked.get(name, 0)
    number = issue_number(now * 1000, lowest, read_grant(_grant_path(loaded, name)))
    ends = int(now + days * 86_400) if days else None
    return issue_for(_private(loaded), uri, fingerprint, settings.leg, tuple(settings.namespaces), number, ends)


def _print_grant(loaded: Loaded, name: str, signed: SignedGrant, as_json: bool) -> None:
    """Keep the grant here, where an endpoint on this machine finds it, and print it for one elsewhere."""
    line = write_grant(signed)
    path = _grant_path(loaded, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    new.write_text(line + "\n", encoding="ascii")
    new.replace(path)
    row = {"endpoint": name, "number": signed.grant.number, "file": str(path), "grant": line}
    if as_json:
        show([row], as_json, [], "")
    else:
        typer.echo(line)


def _write_revoked(config: Path, loaded: Loaded, line: str, revoked: dict[str, int]) -> bool:
    """Write the line into the file's ``[authority]``, if it then says that and nothing else; return whether it does."""
    text = loaded.text
    if re.search(r"^revoked\s*=\s*\{[^}\n]*\}", text, re.MULTILINE):
        text = re.sub(r"^revoked\s*=\s*\{[^}\n]*\}", line, text, count=1, flags=re.MULTILINE)
    elif re.search(r"^\[authority\]", text, re.MULTILINE):
        text = re.sub(r"^(\[authority\][^\n]*)$", rf"\1\n{line}", text, count=1, flags=re.MULTILINE)
    else:
        text = f"{text.rstrip()}\n\n[authority]\n{line}\n"
    before = tomllib.loads(loaded.text)
    before.setdefault("authority", {})["revoked"] = revoked
    if tomllib.loads(text) != before:
        return False
    parse(text, str(config))
    new = config.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(config)
    return True


_FINISH = "Once each endpoint has spoken in its rooms since, finish: 'rialto key rotate --finish'"


def _rotate(loaded: Loaded, *, finish: bool) -> tuple[str, str]:
    """Take one step; each is whole by itself, and a step that was interrupted is taken again."""
    data = loaded.data
    following, keys = data / secrets.AUTHORITY_NEXT, secrets.authority_public(data)
    private = secrets.authority_key(data)
    if private is None or not (data / secrets.AUTHORITY_KEY).exists():
        raise SecretError(f"{data / secrets.AUTHORITY_KEY} is not there: the key is rotated where it lies in that file")
    everywhere = "into [authority] of the machines that do not share this folder, and restart router and endpoints"
    if following.exists():
        replacement = secrets.authority_next(data)
        secrets.write_public_keys(data, (public_of(replacement), public_of(private)))
        following.replace(data / secrets.AUTHORITY_KEY)
        return "sign", f"restart the endpoints (those elsewhere are admitted anew). {_FINISH}"
    if len(keys) > 1 and not finish:
        return "none", _FINISH
    if len(keys) > 1:
        secrets.write_public_keys(data, (public_of(private),))
        return "finish", f"put these keys {everywhere}"
    replacement = os.urandom(32)
    secrets.write_secret(following, base64.b64encode(replacement) + b"\n")
    secrets.write_public_keys(data, (public_of(private), public_of(replacement)))
    return "announce", f"put these keys {everywhere}; then: rotate"


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ServiceError(f"{file}: cannot be read: {error.strerror}") from error
    if given := os.environ.get("RIALTO_ESCROW"):
        return given
    asked: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)
    return asked
