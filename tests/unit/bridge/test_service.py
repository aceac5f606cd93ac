"""The daemon's life as systemd sees it: ready, alive, stopping, gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.servers.ports import free_ports


def heard(systemd: socket.socket, word: bytes) -> None:
    """Wait until systemd was told ``word``."""
    systemd.settimeout(60)
    while systemd.recv(1000) != word:
        pass


def test_it_says_ready_answers_for_its_health_and_stops_when_asked(tmp_path: Path) -> None:
    http, router = free_ports(2)
    (tmp_path / "rialto.toml").write_text(
        f'domain = "bridge.example"\n[http]\nlisten = "127.0.0.1:{http}"\n[router]\nlisten = "127.0.0.1:{router}"\n'
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        daemon = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", "router", "--json"],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            heard(systemd, b"READY=1")
            with urllib.request.urlopen(f"http://127.0.0.1:{http}/healthz", timeout=10) as answer:
                assert json.load(answer) == {"status": "ready", "parts": {"router": {"ready": True}}}
            heard(systemd, b"WATCHDOG=1")
            daemon.send_signal(signal.SIGTERM)
            heard(systemd, b"STOPPING=1")
            _, errors = daemon.communicate(timeout=60)
        finally:
            daemon.kill()
    assert daemon.returncode == 0
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert events[0] == "daemon.ready"
    assert events[-1] == "daemon.stopped"


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        (tmp_path / "rialto.toml").write_text(f'domain = "bridge.example"\n[http]\nlisten = "127.0.0.1:{port}"\n')
        done = subprocess.run(
            [sys.executable, "-m", "bridge.cli", "run", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr
