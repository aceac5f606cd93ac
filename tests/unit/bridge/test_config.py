"""An operator edits rialto.toml; whatever is wrong is said in words, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import line_of, load, parse
from bridge.errors import ConfigError

GOOD = """\
domain = "bridge.example"

[router]
listen = "127.0.0.1:8440"

[endpoint.xmpp]
[endpoint.xmpp.account]
server = "127.0.0.1"

[endpoint.matrix]
listen = "127.0.0.1:8450"

[[room]]
id = "verona"
members = { xmpp = "verona@muc.xmpp.test", matrix = "#verona:hs.test" }

[[person]]
name = "Juliet"
addresses = ["xmpp~juliet@xmpp.test", "matrix~@juliet:hs.test"]
"""


def findings(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value.findings


def test_a_good_file_is_read() -> None:
    config = parse(GOOD)
    assert config.domain == "bridge.example"
    assert config.endpoint["xmpp"].account == {"server": "127.0.0.1"}
    assert config.room[0].members["matrix"] == "#verona:hs.test"
    assert config.delivery.max_attempts == 12


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        (
            'listen = "127.0.0.1:8440"',
            'lisen = "x"',
            "rialto.toml:4: unknown key 'lisen' in [router]; did you mean 'listen'?",
        ),
        ("[router]", "[zebra]", "rialto.toml:3: unknown key 'zebra'"),
        ('domain = "bridge.example"', "", "rialto.toml:1: 'domain' is missing"),
        ('"127.0.0.1:8450"', "8450", "rialto.toml:11: endpoint.matrix.listen: expected `str`, got `int`"),
        (
            '"127.0.0.1:8450"',
            '"localhost"',
            "rialto.toml:11: endpoint.matrix.listen: 'localhost' is not HOST:PORT",
        ),
        (
            '"127.0.0.1:8450"',
            '"127.0.0.1:8440"',
            "rialto.toml:11: endpoint.matrix.listen: 127.0.0.1:8440 is taken by router.listen already",
        ),
        (
            "{ xmpp =",
            "{ xmqp =",
            "rialto.toml:15: room 'verona': there is no endpoint 'xmqp'; did you mean 'xmpp'?",
        ),
        ('"xmpp~juliet@xmpp.test"', '"juliet"', "rialto.toml:19: person 'Juliet': 'juliet' is not written network~id"),
        ('id = "verona"', "", "rialto.toml:13: 'id' is missing in [room.0]"),
        (
            "bridge.example",
            "Bridge Example",
            "rialto.toml:1: domain: 'Bridge Example' is not a domain name in lower case",
        ),
        (
            "[endpoint.xmpp]\n",
            "[endpoint.xmpp]\nleg = 7\n",
            "rialto.toml:7: endpoint.xmpp.leg: 7 is not a leg class (0 to 4)",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(before: str, after: str, finding: str) -> None:
    assert before in GOOD
    assert findings(GOOD.replace(before, after)) == (finding,)


def test_everything_wrong_is_said_at_once() -> None:
    assert len(findings(GOOD.replace("listen", "lisen").replace('id = "verona"', "idd = 3"))) == 4


def test_what_is_not_toml_is_said_to_be_none(tmp_path: Path) -> None:
    assert "not TOML" in findings("domain = [")[0]
    (tmp_path / "rialto.toml").write_bytes(b"domain = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 10"):
        load(tmp_path / "rialto.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nowhere.toml")


def test_a_room_needs_two_sides() -> None:
    text = GOOD.replace(', matrix = "#verona:hs.test"', "")
    assert findings(text) == ("rialto.toml:15: room 'verona' has fewer than two members: there is nobody to talk to",)


def test_the_line_of_an_array_counts_its_tables() -> None:
    text = '[[room]]\nid = "a"\n[[room]]\nid = "b"\n'
    assert line_of(text, ["room", "1", "id"]) == 4
    assert line_of(text, ["room", "1", "members"]) == 3
