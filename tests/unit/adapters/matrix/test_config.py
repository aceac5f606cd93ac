"""Settings that cannot work are refused by name; the registration file says what the homeserver must know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.matrix import MatrixConfig, registration

GOOD: dict[str, Any] = {
    "homeserver": "http://127.0.0.1:8008",
    "server_name": "hs.test",
    "url": "http://127.0.0.1:9000",
    "as_token": "a",
    "hs_token": "h",
}


def read(**changes: Any) -> MatrixConfig:
    settings = {k: v for k, v in (GOOD | changes).items() if v is not None}
    return msgspec.convert(settings, MatrixConfig)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"homeserver": "127.0.0.1:8008"}, "homeserver"),
        ({"url": "ftp://127.0.0.1"}, "url"),
        ({"url": "http://"}, "url"),
        ({"server_name": ""}, "server_name"),
        ({"server_name": "https://hs.test"}, "server_name"),
        ({"sender_localpart": "Rialto Bot"}, "sender_localpart"),
        ({"user_prefix": ""}, "user_prefix"),
        ({"id": ""}, "id"),
        ({"as_token": None}, "as_token"),
        ({"hs_token_file": "/x"}, "hs_token"),
        ({"homserver": "x"}, "homserver"),
        ({"server_name": None}, "server_name"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        read(**changes)


def test_tokens_may_stand_in_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    config = read(as_token=None, as_token_file=str(file))
    with pytest.raises(ValueError, match="as_token_file: cannot be read"):
        config.secret("as_token")
    file.write_text("\n")
    with pytest.raises(ValueError, match="as_token_file: is empty"):
        config.secret("as_token")
    file.write_text("from a file\n")
    assert config.secret("as_token") == "from a file"
    assert config.secret("hs_token") == "h"


def test_the_registration_says_what_synapse_must_know() -> None:
    lines = registration(read(as_token='quo"te', server_name="hs.test")).splitlines()
    assert 'as_token: "quo\\"te"' in lines
    for line in (
        'id: "rialto"',
        'url: "http://127.0.0.1:9000"',
        'sender_localpart: "rialto"',
        "rate_limited: false",
        "receive_ephemeral: true",
        "io.element.msc4190: true",
    ):
        assert line in lines
    users = next(line for line in lines if line.startswith("  users:"))
    pattern = re.search(r'regex: "(.*)"', users)
    assert pattern is not None and "exclusive: true" in users
    regex = pattern[1].replace("\\\\", "\\")
    assert re.fullmatch(regex, "@rialto_xmpp_juliet=40xmpp.test:hs.test")
    assert not re.fullmatch(regex, "@rialto_xmpp_x:hsxtest")
    assert not re.fullmatch(regex, "@romeo:hs.test")
