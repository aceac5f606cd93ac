"""Keys and tokens come from the environment, systemd or a file, and say clearly when they are wrong."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from bridge.errors import SecretError
from bridge.secrets import create, ledger_key, operator_token, router_token


def test_what_init_makes_is_found_again_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    made = create(tmp_path / "data", ("xmpp", "matrix"))
    assert {path.name for path in made} == {"ledger.key", "operator.token", "xmpp", "matrix"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in made)
    assert len(ledger_key(tmp_path / "data", {})) == 32
    assert router_token(tmp_path / "data", "xmpp", {}) != router_token(tmp_path / "data", "matrix", {})


def test_making_secrets_again_keeps_those_there_are(tmp_path: Path) -> None:
    create(tmp_path, ("xmpp",))
    before = ledger_key(tmp_path, {})
    assert [path.name for path in create(tmp_path, ("xmpp", "matrix"))] == ["matrix"]
    assert ledger_key(tmp_path, {}) == before


def test_the_environment_goes_before_systemd_and_systemd_before_the_file(tmp_path: Path) -> None:
    one, two = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    create(tmp_path, ())
    (tmp_path / "rialto-ledger-key").write_text(two)
    assert ledger_key(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == bytes([2]) * 32
    both = {"CREDENTIALS_DIRECTORY": str(tmp_path), "RIALTO_LEDGER_KEY": one}
    assert ledger_key(tmp_path, both) == bytes([1]) * 32


@pytest.mark.parametrize(("value", "what"), [("!!", "not base64"), ("AAAA", "3 octets")])
def test_a_malformed_key_is_refused_by_name(tmp_path: Path, value: str, what: str) -> None:
    with pytest.raises(SecretError, match=f"RIALTO_LEDGER_KEY: {what}"):
        ledger_key(tmp_path, {"RIALTO_LEDGER_KEY": value})


def test_a_missing_or_short_secret_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="rialto init"):
        ledger_key(tmp_path, {})
    with pytest.raises(SecretError, match="32 characters"):
        router_token(tmp_path, "xmpp", {"RIALTO_TOKEN_XMPP": "short"})


def test_an_older_installation_gets_an_operators_token_and_keeps_it(tmp_path: Path) -> None:
    made = operator_token(tmp_path / "data", {})
    assert operator_token(tmp_path / "data", {}) == made
    assert (tmp_path / "data" / "operator.token").stat().st_mode & 0o077 == 0
    assert operator_token(tmp_path / "data", {"RIALTO_OPERATOR_TOKEN": "o" * 32}) == "o" * 32
    with pytest.raises(SecretError, match="32 characters"):
        operator_token(tmp_path / "data", {"RIALTO_OPERATOR_TOKEN": "short"})
