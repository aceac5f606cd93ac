"""What the daemon says of itself: to logs, and to systemd."""

from __future__ import annotations

import json
import logging
import socket
from pathlib import Path

import pytest
import structlog

from bridge.logs import configure
from bridge.systemd import notify, watchdog_seconds


@pytest.fixture
def logging_as_it_was() -> object:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_as_it_was")
def test_a_body_or_a_token_is_struck_out_whoever_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    structlog.get_logger("a").info("message.accepted", body="wherefore", token="t0ken", room="r1")
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "message.accepted"
    assert line["room"] == "r1"
    assert line["body"] == line["token"] == "(struck out)"


@pytest.mark.usefixtures("logging_as_it_was")
def test_the_libraries_own_chatter_is_not_let_through(capsys: pytest.CaptureFixture[str]) -> None:
    configure("debug", "json")
    logging.getLogger("slixmpp.xmlstream").warning("RECV: <message><body>wherefore</body></message>")
    logging.getLogger("aiohttp.access").info("POST /messages")
    assert capsys.readouterr().err == ""


def test_systemd_is_told_when_it_listens(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        assert notify("READY=1", {"NOTIFY_SOCKET": path})
        assert systemd.recv(100) == b"READY=1"
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_the_watchdog_is_fed_twice_as_often_as_it_bites() -> None:
    assert watchdog_seconds({"WATCHDOG_USEC": "60000000"}) == 30.0
    assert watchdog_seconds({}) is None
