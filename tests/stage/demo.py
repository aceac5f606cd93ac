"""``make demo``: a conversation on real servers, and the proof that the router cannot read it.

Everything runs on loopback in one temporary folder, which is removed at the end. ``--keep`` leaves it all running and
says how to sign in with one's own client.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tests.stage.person import Did
from tests.stage.transcript import FILES, Play
from tests.stage.world import ENDPOINTS, World

PLAYS = Path(__file__).resolve().parents[1] / "scenarios" / "plays"
SCENE = ("01-balcony.play", "02-shop.play")
console = Console(highlight=False, soft_wrap=True)


class Failed(Exception):
    """The demonstration did not show what it promises."""


async def demo(keep: bool) -> None:
    """Set the stage, play the scene, prove the encryption, and tidy up (or wait, with ``keep``)."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rialto-demo-", ignore_cleanup_errors=True) as folder:
        console.print("[bold]Setting the stage[/]: Prosody, Synapse, a router, three endpoints, a shop's bot")
        async with World(Path(folder), separate=True, recorded=True, verona=False) as world:
            await world.xmpp_person("Juliet")
            await world.matrix_person("Romeo")
            console.print(
                f"  ready after {time.monotonic() - began:.1f} s (Rialto itself: {world.ready_after:.1f} s)\n"
            )
            said = await play(world)
            show_rooms(world)
            prove(world, said)
            if keep:
                await linger(world)
    console.print(f"\n[bold green]Done[/] in {time.monotonic() - began:.1f} s; nothing is left running.")


async def play(world: World) -> list[str]:
    """Play the scene, printing each line with the time it took; return every body that was said."""
    console.print("[bold]The scene[/]: Juliet uses XMPP, Romeo uses Matrix, the shop is a pywa bot")
    said: list[str] = []

    def told(line: str, seconds: float | None) -> None:
        took = "" if seconds is None else f"{seconds * 1000:7.0f} ms"
        console.print(f"{took:>11}  {line}", style="cyan" if seconds is None else "", markup=False)
        if ": " in line:
            said.append(line.split(": ", 1)[1])

    stage = Play(world.people, told=told)
    for name in SCENE:
        await stage.perform((PLAYS / name).read_text())
    assert any(thing.did is Did.SAY for thing in world.people["Romeo"].noticed)
    return list(dict.fromkeys(said))


def show_rooms(world: World) -> None:
    """Let the command line show the rooms and one message's life, as an operator would."""
    console.print("\n[bold]rialto room list[/]")
    console.print(_rialto(world, "room", "list"), markup=False, soft_wrap=True)
    console.print("[bold]rialto message list --limit 2[/]")
    console.print(_rialto(world, "message", "list", "--limit", "2"), markup=False, soft_wrap=True)


def _rialto(world: World, *words: str) -> str:
    done = subprocess.run(world.rialto.command(*words), capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise Failed(f"rialto {' '.join(words)}: {done.stderr}")
    return done.stdout


def prove(world: World, said: list[str]) -> None:
    """Show the router's record of a message, and search all that the router has and hears for what was said."""
    console.print("\n[bold]The proof[/]")
    data = world.folder / "data"
    shown = _newest_record(data / "router.db")
    console.print("  what was said last:", said[-1], markup=False)
    console.print("  what the router holds of its newest message:", markup=False)
    for key, value in shown.items():
        text = value[:48].hex() + f"... ({len(value)} octets)" if isinstance(value, bytes) else str(value)
        console.print(f"    {key}: {text}", markup=False)
    # A search that finds nothing proves something only if it would have found it: the endpoints' own network, the
    # homeserver's database, must hold what the router's must not.
    homeserver = list(world.synapse.folder.glob("homeserver.db*"))
    control = [body for body in said if _found(body.encode(), homeserver)]
    if not control:
        raise Failed("the search finds nothing even where it must, in the homeserver's database")
    places = [*data.glob("router.db*"), *(data / "blobs").rglob("*"), world.traffic]
    places = [place for place in places if place.is_file()]
    size = sum(place.stat().st_size for place in places)
    leaks = [body for body in said if _found(body.encode(), places)]
    leaks += [name for name, (_, data_) in FILES.items() if _found(data_, places)]
    console.print(
        f"  searched the router's database, its attachments and {world.traffic.stat().st_size} octets of its recorded"
        f" traffic\n  ({size} octets in all) for {len(said)} bodies and {len(FILES)} files in four encodings: "
        f"{len(leaks)} found (the same search finds {len(control)} bodies in the homeserver's database)"
    )
    if leaks:
        raise Failed(f"the router could read: {leaks}")


def _newest_record(database: Path) -> dict[str, object]:
    query = """
        SELECT rooms.uri AS room, envelopes.sequence, envelopes.epoch, endpoints.uri AS sender, envelopes.at, body
        FROM envelopes JOIN rooms ON rooms.id = envelopes.room JOIN endpoints ON endpoints.id = envelopes.sender
        WHERE kind = 0 AND body IS NOT NULL ORDER BY envelopes.position DESC LIMIT 1
    """
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return dict(connection.execute(query).fetchone())


def _encodings(body: bytes) -> Iterator[bytes]:
    yield body
    yield base64.b64encode(body).rstrip(b"=")[:-4] or body
    yield body.hex().encode()
    with contextlib.suppress(UnicodeDecodeError):
        yield json.dumps(body.decode())[1:-1].encode()


def _found(body: bytes, places: list[Path]) -> bool:
    needles = set(_encodings(body))
    return any(needle in place.read_bytes() for place in places for needle in needles)


async def linger(world: World) -> None:
    """Say how to sign in with one's own client, and wait for Ctrl-C."""
    juliet, romeo = world.people["Juliet"], world.people["Romeo"]
    console.print("\n[bold]Everything keeps running.[/] Sign in with your own clients (no TLS, loopback only):")
    lines = [
        f"XMPP    juliet@xmpp.test, password pwJuliet, host 127.0.0.1 port {world.prosody.ports.client}",
        f"        Romeo is   {juliet.addresses['Romeo']}",
        f"        the shop   {juliet.addresses['Shop']}",
        f"Matrix  {world.synapse.url}, user romeo, password pwromeo",
        f"        Juliet is  {romeo.addresses['Juliet']}",
        f"        the shop   {romeo.addresses['Shop']}",
        f"Rialto  {world.config}",
        *(
            f"        {name}: http://127.0.0.1:{world.ports[f'{name}_health']}/healthz and /metrics"
            for name in ENDPOINTS
        ),
        "Press Ctrl-C to end it and remove everything.",
    ]
    for line in lines:
        console.print(f"  {line}", markup=False)
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    await end.wait()


def main() -> None:
    """Run the demonstration; exit code 1 if it does not show what it promises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    try:
        asyncio.run(demo(parser.parse_args().keep))
    except (Failed, AssertionError, RuntimeError) as error:
        console.print(f"[bold red]The demonstration failed:[/] {error}")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
