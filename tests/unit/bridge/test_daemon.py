"""The whole daemon with strangers' adapters that fail in every way: one endpoint is down, with its reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.servers.prosody import free_ports

ADAPTER = """
import asyncio
from msgspec import Struct
from adapters.contract import AdapterInfo
from protocol.capabilities import Capabilities, Way
from protocol.leg import LegClass

class Config(Struct, forbid_unknown_fields=True):
    fault: str = ""

class Strange:
    info = AdapterInfo(id="strange", name="A stranger's", config=Config)

    async def open(self, account):
        self.fault = account.config.fault
        if self.fault == "open":
            raise ValueError("cannot open")

    async def capabilities(self, conversation):
        return Capabilities(leg=LegClass.OPERATOR, send=Way())

    async def receive(self, cursor):
        if self.fault == "end":
            return
        if self.fault == "receive":
            raise RuntimeError("cannot receive")
        await asyncio.Event().wait()
        yield

    async def send(self, delivery, key):
        raise NotImplementedError

    async def close(self):
        if self.fault:
            raise RuntimeError("cannot close")

    def health(self):
        if self.fault == "health":
            raise RuntimeError("cannot say")
        return {"connected": True}
"""

ENDPOINT = '[endpoint.{name}]\nadapter = "{adapter}"\n[endpoint.{name}.account]\nfault = "{fault}"\n'


class House:
    """One daemon, its file, and the adapter of a stranger that is installed beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http, self.router = free_ports(2)
        (folder / "strange.py").write_text(ADAPTER)
        info = folder / "strange-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[rialto.adapters]\nstrange = strange:Strange\n")
        self.environment = {**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}

    def write(self, *endpoints: tuple[str, str, str], more: str = "") -> None:
        text = f'domain = "b.example"\n[http]\nlisten = "127.0.0.1:{self.http}"\n'
        text += f'[router]\nlisten = "127.0.0.1:{self.router}"\n'
        text += "".join(ENDPOINT.format(name=name, adapter=kind, fault=fault) for name, kind, fault in endpoints)
        (self.folder / "rialto.toml").write_text(text + more)
        self.rialto("init", "--keys-only")

    def rialto(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def run(self) -> subprocess.Popen[str]:
        log = (self.folder / "log").open("w")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "bridge.cli", "run", "--json"],
                cwd=self.folder, env=self.environment, stderr=log, text=True,
            )  # fmt: skip

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/healthz", timeout=10) as answer:
                return json.load(answer)["parts"]
        except urllib.error.HTTPError as error:
            return json.load(error)["parts"]
        except OSError:
            return {}

    def until(self, name: str, state: str) -> dict[str, Any]:
        end = time.monotonic() + 90
        while (found := self.health().get(name, {})).get("state") != state:
            assert time.monotonic() < end, f"{name}: {found}, log: {(self.folder / 'log').read_text()[-3000:]}"
            time.sleep(0.05)
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_endpoints_that_fail_in_every_way_leave_the_others_and_the_process_alone(house: House) -> None:
    faults = ("open", "end", "receive")
    house.write(
        ("well", "strange", ""), ("none", "nowhere", ""), ("odd", "strange", "health"),
        *((name, "strange", name) for name in faults),
    )  # fmt: skip
    daemon = house.run()
    try:
        house.until("well", "running")
        why = {name: house.until(name, "waiting") for name in ("none", *faults)}
        assert "there is no adapter 'nowhere'" in why["none"]["action"]
        assert why["open"]["action"] == "ValueError: cannot open"
        assert "ended by itself" in why["end"]["action"]
        assert why["receive"]["action"] == "RuntimeError: cannot receive"
        assert all(each["again"] > each["since"] > 0 and each["restarts"] > 0 for each in why.values())
        assert house.until("odd", "running")["network"] == {"connected": False, "defect": "RuntimeError: cannot say"}
        again = house.until("open", "waiting")["restarts"]
        while house.health()["open"]["restarts"] == again:
            time.sleep(0.1)
        assert house.health()["well"] | {"ready": True, "restarts": 0} == house.health()["well"]
        listed = house.rialto("quarantine", "list", "--endpoint", "well", "--json")
        assert (listed.stdout.strip(), listed.returncode) == ("[]", 0), listed.stderr
        assert daemon.poll() is None
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(90)
    assert daemon.returncode == 0


def test_a_reload_starts_stops_and_restarts_what_the_file_says_and_refuses_what_is_wrong(house: House) -> None:
    house.write(("stays", "strange", ""), ("goes", "strange", ""))
    daemon = house.run()
    try:
        house.until("stays", "running")
        house.until("goes", "running")
        since = house.health()["stays"]["since"]
        house.write(("stays", "strange", ""), ("comes", "strange", ""))
        done = house.rialto("reload", "--json")
        assert json.loads(done.stdout) == [
            {"what": "added", "names": "comes"},
            {"what": "removed", "names": "goes"},
        ], done.stderr
        house.until("comes", "running")
        assert "goes" not in house.health()
        (house.folder / "rialto.toml").write_text((house.folder / "rialto.toml").read_text() + "[nonsense]\n")
        daemon.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while "unknown key 'nonsense'" not in (house.folder / "log").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        house.write(("stays", "strange", ""), ("comes", "strange", "receive"))
        daemon.send_signal(signal.SIGHUP)
        house.until("comes", "waiting")
        assert house.health()["stays"]["since"] == since, "it was not touched"
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(90)
    assert daemon.returncode == 0
