"""What a configuration that is read again changes, and for whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import Loaded, load
from bridge.reload import Difference, compare

FILE = """
domain = "bridge.example"

[endpoint.sea]
adapter = "business"

[endpoint.sky]
adapter = "business"
"""


@pytest.fixture
def before(tmp_path: Path) -> Loaded:
    return written(tmp_path, FILE)


def written(folder: Path, text: str) -> Loaded:
    path = folder / "rialto.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_the_same_file_changes_nothing(before: Loaded, tmp_path: Path) -> None:
    assert compare(before, written(tmp_path, FILE)) == Difference()


def test_a_room_is_told_to_all_and_stops_nobody(before: Loaded, tmp_path: Path) -> None:
    room = '[[room]]\nid = "verona"\nmembers = { sea = "a", sky = "b" }\n'
    assert compare(before, written(tmp_path, FILE + room)) == Difference(told=("sea", "sky"))


def test_who_is_revoked_is_read_at_a_start_of_endpoints_and_of_the_router(before: Loaded, tmp_path: Path) -> None:
    found = compare(before, written(tmp_path, FILE + "[authority]\nrevoked = { sky = 7 }\n"))
    assert found == Difference(changed=("sea", "sky"), needs_restart=("authority",))


def test_of_a_process_with_one_endpoint_the_others_are_no_business(before: Loaded, tmp_path: Path) -> None:
    changed = FILE.replace("[endpoint.sky]", '[endpoint.sky]\nlisten = "127.0.0.1:1"')
    assert compare(before, written(tmp_path, changed), frozenset({"sea"})) == Difference()
