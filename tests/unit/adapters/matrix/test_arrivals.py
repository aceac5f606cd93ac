"""Events as only a broken or hostile homeserver would send them: each means something, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.matrix.names import is_user_id
from tests.fuzz import fuzz_matrix_arrivals
from tests.fuzz.fuzz_matrix_arrivals import GHOST, PERSON, ROOM

ABOUT = {"room_id": ROOM, "sender": PERSON, "event_id": "$1"}
WORDS = {"msgtype": "m.text", "body": "Good morrow"}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "m.room.member", "state_key": PERSON, "content": {"membership": ["join"]}},
        {"type": "m.room.member", "state_key": GHOST, "content": {"membership": {"ban": 1}}},
        {"type": "m.room.message", "content": WORDS, "origin_server_ts": True},
        {"type": "m.room.message", "content": WORDS, "origin_server_ts": 10**30},
        {"type": "m.room.message", "content": WORDS, "origin_server_ts": -1},
    ],
    ids=[
        "membership of many",
        "membership that is an object",
        "time that is a bool",
        "time too late",
        "time too early",
    ],
)
def test_an_event_that_nobody_foresaw(event: dict[str, Any]) -> None:
    fuzz_matrix_arrivals.one_input(json.dumps(ABOUT | event).encode())


@pytest.mark.parametrize("user", ["", "romeo", "@:hs.test", "@\ud800:hs.test"])
def test_a_sign_of_nobody_is_none(user: str) -> None:
    assert not is_user_id(user)
    read = {"$1": {"m.read": {user: {"ts": 1}}}}
    for kind, content in (("m.typing", {"user_ids": [user]}), ("m.receipt", read)):
        event = {"type": kind, "room_id": ROOM, "content": content}
        fuzz_matrix_arrivals.one_input(json.dumps(event).encode())


def test_every_kind_of_event() -> None:
    for seed in fuzz_matrix_arrivals.seeds():
        fuzz_matrix_arrivals.one_input(seed)
