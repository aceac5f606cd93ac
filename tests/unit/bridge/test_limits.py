"""The limiter, the bounded dictionary, and ``specs/limits.md``, which is made from the table in the code.

``python -m tests.unit.bridge.test_limits`` writes the page anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kit import foreign
from adapters.matrix import invitations
from adapters.xmpp import inbound, presence
from bridge import config
from bridge.endpoint.from_network import receive, translate
from bridge.endpoint.ledger.rows import OFFERS_KEPT
from bridge.endpoint.offers import early
from bridge.errors import ConfigError
from bridge.limits import TELL_EVERY_MS, Admission, Limiter, Limits, Rate, Verdict
from bridge.router import fanout, keys
from protocol.bounded import Bounded

PAGE = Path(__file__).parents[3] / "specs" / "limits.md"

HEAD = """\
# Limits

Everything that can grow has a bound. This page is made from the code (`bridge/limits.py`, `bridge/config.py` and the
modules named below); a test holds the two together.

## Settings in `[limits]`

| what | setting | default | at the bound |
|---|---|---|---|
"""

OTHERS = """
## Settings elsewhere

| what | setting | default | at the bound |
|---|---|---|---|
"""

FIXED = """
## Fixed

| what | bound | at the bound |
|---|---|---|
"""


def _settings() -> list[tuple[str, str, Any, str]]:
    """Bounds that stand in another table of the configuration."""
    router, delivery = config.RouterConfig(), config.DeliveryConfig()
    return [
        (
            "Octets of one envelope",
            "router.max_message_bytes",
            router.max_message_bytes,
            "The envelope is refused; the message fails as `not-allowed`.",
        ),
        (
            "Octets of one attachment's ciphertext",
            "router.max_blob_bytes",
            router.max_blob_bytes,
            "The message fails as `media-too-large`.",
        ),
        (
            "Days for which the router keeps attachments and what tells a repeated message",
            "router.retention_days",
            router.retention_days,
            "An older attachment is gone; its message fails as `media-unreachable`.",
        ),
        (
            "Conversations of one endpoint that are delivered side by side",
            "delivery.parallel",
            delivery.parallel,
            "The others wait for their turn.",
        ),
        (
            "Hours for which a message is tried",
            "delivery.max_age_hours",
            delivery.max_age_hours,
            "It fails and is parked for the operator; its sender is told.",
        ),
    ]


def _fixed() -> list[tuple[str, Any, str]]:
    """Bounds that nobody needs to set."""
    return [
        (
            "Events taken from a network ahead of the commit",
            receive._MOST,
            "The adapter is not asked for more until some are durable.",
        ),
        (
            "Octets of one message's content",
            translate._LARGEST,
            "It is refused as `too-large`; its sender is told.",
        ),
        ("Offers kept for each room", OFFERS_KEPT, "The oldest is forgotten: what answers it stays a text."),
        (
            "Second names of messages whose first name is not known yet",
            early._MOST,
            "The oldest are forgotten: a receipt that uses one says nothing.",
        ),
        (
            "Notifications that the router keeps in memory for each listener",
            fanout.KEPT_IN_MEMORY,
            "The listener reads the journal instead.",
        ),
        ("KeyPackages published in one call", keys.MAX_PUBLISHED, "The call is refused."),
        (
            "Seconds in which somebody who was told to slow down is not told again",
            TELL_EVERY_MS // 1000,
            "They are told once more.",
        ),
        (
            "Contacts of other networks that one XMPP user may have",
            presence.MAX_CONTACTS,
            "Another one's subscription is refused (`unsubscribed`).",
        ),
        (
            "XMPP receipts and errors that wait for the stream to come back",
            inbound.MAX_OWED,
            "Further ones are not sent; the messages themselves are safe.",
        ),
        (
            "Invitations on one Matrix account that wait to be answered",
            invitations.MAX_OPEN,
            "A further one stays open on the homeserver, and in the log.",
        ),
        (
            "Arrays and objects inside one another in JSON that a homeserver or a program sends",
            foreign.MAX_DEPTH,
            "A program is refused; in a homeserver's event what is deeper counts as null.",
        ),
    ]


def generated() -> str:
    hints = get_type_hints(Limits, include_extras=True)
    default = msgspec.structs.asdict(Limits())
    lines = []
    for name in Limits.__struct_fields__:
        meta = get_args(hints[name])[1]
        lines.append(f"| {meta.description} | `{name}` | {default[name]:,} | {meta.extra['then']} |\n")
    others = [f"| {what} | `{name}` | {value:,} | {then} |\n" for what, name, value, then in _settings()]
    fixed = [f"| {what} | {value:,} | {then} |\n" for what, value, then in _fixed()]
    return HEAD + "".join(lines) + OTHERS + "".join(others) + FIXED + "".join(fixed)


def test_the_page_is_that_of_the_table() -> None:
    assert PAGE.read_text() == generated(), "write it anew: python -m tests.unit.bridge.test_limits"


# --- the limiter ------------------------------------------------------------------------------------------------------


def test_a_burst_passes_and_what_follows_is_told_once_and_then_refused() -> None:
    limiter = Limiter(Rate(per_minute=60, burst=3), keys=10)
    assert [limiter.take("anna", 0) for _ in range(5)] == [
        Verdict.WITHIN,
        Verdict.WITHIN,
        Verdict.WITHIN,
        Verdict.TELL,
        Verdict.REFUSE,
    ]
    assert limiter.take("bert", 0) is Verdict.WITHIN, "nobody pays for somebody else"
    assert limiter.take("anna", 1_000) is Verdict.WITHIN, "one a second flows in"
    assert limiter.take("anna", 1_000) is Verdict.REFUSE
    assert limiter.take("anna", 1_000 + TELL_EVERY_MS) is Verdict.WITHIN


def test_who_goes_on_and_on_is_told_again_after_a_while() -> None:
    limiter = Limiter(Rate(per_minute=1, burst=1), keys=10)
    limiter.take("anna", 0)
    assert limiter.take("anna", 1) is Verdict.TELL
    assert limiter.take("anna", TELL_EVERY_MS // 2) is Verdict.REFUSE
    limiter.take("anna", TELL_EVERY_MS + 1)
    assert limiter.take("anna", TELL_EVERY_MS + 2) is Verdict.TELL


def test_a_rate_of_nothing_is_no_limit() -> None:
    limiter = Limiter(Rate(per_minute=0, burst=1), keys=10)
    assert {limiter.take("anna", 0) for _ in range(1000)} == {Verdict.WITHIN}
    assert not len(limiter)


def test_a_clock_that_is_set_back_gives_nothing_away_and_locks_nobody_out() -> None:
    limiter = Limiter(Rate(per_minute=60, burst=1), keys=10)
    limiter.take("anna", 1_000_000)
    assert limiter.take("anna", 0) is Verdict.TELL
    assert limiter.take("anna", 1_000) is Verdict.WITHIN


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5_000)), max_size=200))
def test_no_key_passes_more_than_its_burst_and_what_flowed_in(steps: list[tuple[int, int]]) -> None:
    limiter = Limiter(Rate(per_minute=600, burst=5), keys=100)
    now, passed = 0, dict.fromkeys(range(21), 0)
    for key, wait in steps:
        now += wait
        passed[key] += limiter.take(str(key), now) is Verdict.WITHIN
        assert passed[key] <= 5 + now * 600 / 60_000


def test_the_limiter_remembers_no_more_keys_than_it_may() -> None:
    limiter = Limiter(Rate(per_minute=60, burst=2), keys=100)
    for number in range(10_000):
        limiter.take(f"sender {number}", number)
    assert len(limiter) == 100


def test_who_floods_a_room_does_not_silence_the_others_in_it() -> None:
    limits = Limits(sender_per_minute=60, sender_burst=5, room_per_minute=600, room_burst=20)
    admission = Admission(limits)
    flood = [admission.judge("mallory", "verona", 0) for _ in range(1000)]
    assert flood.count(Verdict.WITHIN) == 5
    assert flood.count(Verdict.TELL) == 1
    assert {admission.judge("juliet", "verona", 0) for _ in range(5)} == {Verdict.WITHIN}


def test_many_senders_are_bounded_by_their_room_and_many_rooms_by_the_account() -> None:
    limits = Limits(sender_burst=10, room_per_minute=60, room_burst=20, account_per_minute=60, account_burst=30)
    admission = Admission(limits)
    verona = [admission.judge(f"sender {number}", "verona", 0) for number in range(100)]
    assert verona.count(Verdict.WITHIN) == 20
    elsewhere = [admission.judge(f"sender {number}", f"room {number}", 0) for number in range(100)]
    assert elsewhere.count(Verdict.WITHIN) == 10


# --- settings ---------------------------------------------------------------------------------------------------------


def test_limits_are_read_from_the_file_and_nonsense_is_found_in_its_line() -> None:
    text = 'domain = "a.example"\n[limits]\nsender_per_minute = 5\n'
    assert config.parse(text).limits.sender_per_minute == 5
    with pytest.raises(ConfigError, match=r"rialto.toml:3.*sender_per_minut.*did you mean 'sender_per_minute'"):
        config.parse(text.replace("sender_per_minute", "sender_per_minut"))
    with pytest.raises(ConfigError, match="limits"):
        config.parse(text.replace("= 5", "= -1"))


def test_retention_that_would_forget_what_is_needed_is_found() -> None:
    text = 'domain = "a.example"\n[retention]\nlog_days = 3\n'
    with pytest.raises(ConfigError, match=r"rialto.toml:3: retention.log_days: 3.0 is less than status_days"):
        config.parse(text)
    with pytest.raises(ConfigError, match=r"retention.parked_days: -1.0 is not a number of days"):
        config.parse(text.replace("log_days = 3", "parked_days = -1"))


# --- the bounded dictionary -------------------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    gone: list[str] = []
    kept: Bounded[str, int] = Bounded(2, lambda key, _: gone.append(key))
    kept["a"], kept["b"] = 1, 2
    assert kept["a"] == 1
    kept["c"] = 3
    assert (dict(kept), gone) == ({"a": 1, "c": 3}, ["b"])
    kept["a"] = 4
    kept["d"] = 5
    assert sorted(kept) == ["a", "d"]
    assert kept.get("c") is None
    assert kept.pop("d") == 5
    assert len(kept) == 1


def test_a_dictionary_for_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Bounded(0)


if __name__ == "__main__":
    PAGE.write_text(generated())
