"""An operator's first steps, and mistakes, at the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ACCOUNTS = """
[endpoint.xmpp]
[endpoint.xmpp.account]
component = "rialto.example.org"
secret = "not-so-secret"

[endpoint.matrix]
listen = "127.0.0.1:8450"
[endpoint.matrix.account]
homeserver = "http://127.0.0.1:8008"
server_name = "example.org"
url = "http://127.0.0.1:8450"
as_token = "as"
hs_token = "hs"
"""


def rialto(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder in which ``rialto init`` was run, with two accounts written into the file."""
    assert rialto(tmp_path, "init", "--domain", "bridge.example.org").returncode == 0
    config = tmp_path / "rialto.toml"
    config.write_text(config.read_text() + ACCOUNTS)
    assert rialto(tmp_path, "init").returncode == 0
    return tmp_path


def test_what_init_writes_is_right_and_is_not_written_over(home: Path) -> None:
    before = (home / "rialto.toml").read_text()
    assert 'domain = "bridge.example.org"' in before
    assert "nothing was missing" in rialto(home, "init").stdout
    assert (home / "rialto.toml").read_text() == before
    checked = rialto(home, "check")
    assert (checked.returncode, checked.stdout) == (0, "rialto.toml: nothing is wrong\n")


def test_check_says_what_is_wrong_in_words_with_the_line(home: Path) -> None:
    config = home / "rialto.toml"
    config.write_text(config.read_text().replace("component =", "componnent ="))
    line = next(n for n, text in enumerate(config.read_text().splitlines(), 1) if text.startswith("componnent"))
    checked = rialto(home, "check", "--json")
    assert checked.returncode == 1
    findings = [row["finding"] for row in json.loads(checked.stdout)]
    table = "[endpoint.xmpp.account]"
    assert f"rialto.toml:{line}: unknown key 'componnent' in {table}; did you mean 'component'?" in findings
    assert any("'component' is missing" in finding for finding in findings)


def test_check_misses_a_secret(home: Path) -> None:
    (home / "data" / "tokens" / "matrix").unlink()
    checked = rialto(home, "check")
    assert checked.returncode == 1
    assert "RIALTO_TOKEN_MATRIX" in checked.stdout


def test_the_registration_is_printed_for_the_homeserver(home: Path) -> None:
    printed = rialto(home, "matrix", "registration")
    assert printed.returncode == 0
    assert 'as_token: "as"' in printed.stdout
    assert "sender_localpart" in json.loads(rialto(home, "matrix", "registration", "--json").stdout)["registration"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("endpoint", "signal"), "there is no endpoint 'signal'; there are xmpp, matrix"),
        (("message", "list"), "is the daemon running?"),
        (("room", "list", "--endpoint", "nobody"), "there is no endpoint 'nobody'"),
        (("check", "--config", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("run", "--config", "nowhere.toml"), "nowhere.toml: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(home: Path, words: tuple[str, ...], error: str) -> None:
    done = rialto(home, *words)
    assert done.returncode == 1
    assert error in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
