"""``rialto key``: the authority, grants, revocation, rotation and escrow, as an operator does it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bridge import assembly, cli, escrow, secrets
from bridge.authority import read_grant, read_public
from bridge.cli import app
from bridge.config import load
from bridge.errors import NotGrantedError, SecretError
from protocol.grant import key_id, public_of

ACCOUNT = """
[endpoint.xmpp]
leg = 3
[endpoint.xmpp.account]
component = "rialto.example.org"
secret = "not-so-secret"
"""
FINGERPRINT = "ab" * 32


def rialto(home: Path, *words: str, fails: bool = False) -> Any:
    """Run a command; return its answer, or the error it ends with."""
    done = CliRunner().invoke(app, [*words, "--config", str(home / "rialto.toml"), "--json"])
    assert (done.exit_code != 0) == fails, done.output
    return str(done.exception) if fails else json.loads(done.output)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rialto(tmp_path, "init", "--domain", "bridge.example.org")
    file = tmp_path / "rialto.toml"
    file.write_text(file.read_text() + ACCOUNT)
    rialto(tmp_path, "init")
    return tmp_path


def test_init_makes_the_authority_whose_private_key_only_its_owner_reads(home: Path) -> None:
    assert stat.S_IMODE((home / "data" / "authority.key").stat().st_mode) == 0o600
    (row,) = rialto(home, "key", "authority")
    private = secrets.authority_key(home / "data", {})
    assert private is not None
    assert read_public(row["public"]) == public_of(private)
    assert row["signs"]
    assert rialto(home, "check") == []


def test_a_machine_that_names_the_keys_makes_none_of_its_own(home: Path, tmp_path: Path) -> None:
    (row,) = rialto(home, "key", "authority")
    apart = tmp_path / "router"
    apart.mkdir()
    (apart / "rialto.toml").write_text(
        f'domain = "bridge.example.org"\n[authority]\nkeys = ["{row["public"]}"]\n{ACCOUNT}'
    )
    rialto(apart, "init")
    assert not (apart / "data" / "authority.key").exists()
    assert assembly.authority_keys(load(apart / "rialto.toml")) == (read_public(row["public"]),)
    (known,) = rialto(apart, "key", "authority")
    assert (known["private"], known["signs"]) == ("elsewhere", False)
    assert "signed where it is" in rialto(apart, "key", "admit", "xmpp", FINGERPRINT, fails=True)


def test_check_says_that_the_authority_is_missing(home: Path) -> None:
    (home / "data" / "authority.pub").unlink()
    (home / "data" / "authority.key").write_text("!!")
    done = CliRunner().invoke(app, ["check", "--config", str(home / "rialto.toml"), "--json"])
    findings = [row["finding"] for row in json.loads(done.output)]
    assert done.exit_code == 1
    assert any("authority.pub is not there" in finding for finding in findings)
    assert any("authority.key: not base64" in finding for finding in findings)


def test_who_is_admitted_by_fingerprint_is_granted_what_the_configuration_says(home: Path) -> None:
    (row,) = rialto(home, "key", "admit", "xmpp", FINGERPRINT.upper())
    signed = read_grant(home / "data" / "grants" / "xmpp")
    assert signed is not None
    assembly.authority(load(home / "rialto.toml")).check(signed)
    grant = signed.grant
    assert (grant.uri, grant.key.hex()) == ("mimi://bridge.example.org/d/xmpp", FINGERPRINT)
    assert (grant.leg, grant.namespaces) == (3, ("mimi://bridge.example.org/u/xmpp~",))
    assert base64.b64decode(row["grant"]) == signed.encode()
    rialto(home, "key", "grant", "xmpp", "--days", "7")
    again = read_grant(home / "data" / "grants" / "xmpp")
    assert again is not None
    assert again.grant.number > grant.number
    assert again.grant.not_after is not None


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("admit", "xmpp", "abc"), "64 hexadecimal digits"),
        (("admit", "moon", FINGERPRINT), "there is no endpoint 'moon'"),
        (("revoke", "moon"), "there is no endpoint 'moon'"),
        (("export", "out"), "--sealed"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(home: Path, words: tuple[str, ...], what: str) -> None:
    assert what in rialto(home, "key", *words, fails=True)


def test_a_revocation_is_a_line_of_the_configuration_and_voids_what_was_granted_so_far(home: Path) -> None:
    rialto(home, "key", "admit", "xmpp", FINGERPRINT)
    signed = read_grant(home / "data" / "grants" / "xmpp")
    assert signed is not None
    before = (home / "rialto.toml").read_text()
    for _ in range(2):
        (row,) = rialto(home, "key", "revoke", "xmpp")
        assert row["written"]
        loaded = load(home / "rialto.toml")
        assert loaded.config.authority.revoked == {"xmpp": row["below"]}
        with pytest.raises(Exception, match="revoked"):
            assembly.authority(loaded).check(signed)
    after = (home / "rialto.toml").read_text()
    assert [line for line in after.splitlines() if not line.startswith("revoked")] == before.splitlines()
    (row,) = rialto(home, "key", "grant", "xmpp")
    new = read_grant(home / "data" / "grants" / "xmpp")
    assert new is not None
    assembly.authority(load(home / "rialto.toml")).check(new)


def test_a_key_is_rotated_in_three_steps_and_both_are_believed_in_between(home: Path) -> None:
    def believed() -> list[bytes]:
        return list(secrets.authority_public(home / "data"))

    old = believed()[0]
    assert rialto(home, "key", "rotate")[0]["step"] == "announce"
    assert believed()[0] == old
    new = believed()[1]
    assert signs(home) == old
    assert rialto(home, "key", "rotate")[0]["step"] == "sign"
    assert believed() == [new, old]
    assert signs(home) == new
    assert rialto(home, "key", "rotate")[0]["step"] == "none", "the old key goes when the operator says so"
    assert believed() == [new, old]
    assert rialto(home, "key", "rotate", "--finish")[0]["step"] == "finish"
    assert believed() == [new]
    rialto(home, "key", "admit", "xmpp", FINGERPRINT)
    signed = read_grant(home / "data" / "grants" / "xmpp")
    assert signed is not None
    assert signed.grant.authority == key_id(new)


def signs(home: Path) -> bytes:
    private = secrets.authority_key(home / "data", {})
    assert private is not None
    return public_of(private)


def test_keys_come_back_from_escrow_and_never_replace_others(home: Path) -> None:
    phrase = home / "phrase"
    phrase.write_text("correct horse battery staple\n")
    sealed = home / "sealed"
    words = ("--passphrase-file", str(phrase))
    rows = rialto(home, "key", "export", "--sealed", str(sealed), *words)
    assert {row["sealed"] for row in rows} == {"ledger.key", "authority.key", "authority.pub"}
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    ledger, authority = ((home / "data" / name).read_bytes() for name in ("ledger.key", "authority.key"))
    assert ledger.strip() not in sealed.read_bytes()
    shutil.rmtree(home / "data")
    assert {row["was"] for row in rialto(home, "key", "import", str(sealed), *words)} == {"put back"}
    assert (home / "data" / "ledger.key").read_bytes() == ledger
    assert (home / "data" / "authority.key").read_bytes() == authority
    assert {row["was"] for row in rialto(home, "key", "import", str(sealed), *words)} == {"there already"}
    (home / "data" / "ledger.key").write_bytes(b"another")
    assert "is another key" in rialto(home, "key", "import", str(sealed), *words, fails=True)
    assert (home / "data" / "ledger.key").read_bytes() == b"another"
    assert "is there already" in rialto(home, "key", "export", "--sealed", str(sealed), *words, fails=True)


def test_what_is_sealed_opens_under_its_passphrase_only() -> None:
    sealed = escrow.seal({"ledger.key": b"key"}, "correct horse battery", os.urandom)
    assert escrow.unseal(sealed, "correct horse battery") == {"ledger.key": b"key"}
    bent = (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:40], sealed[:20], b"RIALTO ESCROW 1\n", b"", b"x" * 100)
    for data in bent:
        with pytest.raises(SecretError):
            escrow.unseal(data, "correct horse battery")
    with pytest.raises(SecretError, match="passphrase"):
        escrow.unseal(sealed, "another passphrase")
    with pytest.raises(SecretError, match="12 characters"):
        escrow.seal({}, "short", os.urandom)


def test_what_endpoints_that_start_side_by_side_end_of_is_said_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = ExceptionGroup("tasks", [NotGrantedError("endpoint 'sea' has no grant"), SecretError("no key")])

    def end() -> None:
        raise ended

    monkeypatch.setattr(cli, "app", end)
    with pytest.raises(SystemExit) as found:
        cli.main()
    assert found.value.code == 1
    assert capsys.readouterr().err == "rialto: endpoint 'sea' has no grant\nrialto: no key\n"
    ended = ExceptionGroup("tasks", [NotGrantedError("a"), RuntimeError("a defect")])
    with pytest.raises(ExceptionGroup):
        cli.main()
