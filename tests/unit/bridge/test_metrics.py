"""Whatever the code counts has a counter; and what has none ends nothing."""

from __future__ import annotations

import re
from pathlib import Path

import structlog

from bridge.api.metrics import Figures
from bridge.endpoint.ledger.contract import State

BRIDGE = Path(__file__).parents[3] / "bridge"
COUNTED = re.compile(r"""\.count\(\s*"(\w+)"[,)]""")


def counted() -> set[str]:
    """Every event that some line of the daemon counts; ends of deliveries are counted by their state."""
    names = {name for path in BRIDGE.rglob("*.py") for name in COUNTED.findall(path.read_text(encoding="utf-8"))}
    return names | {state.name.lower() for state in (State.SENT, State.DELIVERED, State.UNCERTAIN, State.FAILED)}


def test_everything_that_is_counted_has_a_counter() -> None:
    figures = Figures()
    events = counted()
    assert {"received", "reconciled", "quarantined"} <= events, "the search finds what is counted"
    with structlog.testing.capture_logs() as logs:
        for event in events:
            figures.of("xmpp").count(event, reason="incomplete")
    assert not logs
    text = figures.text().decode()
    assert 'rialto_received_total{endpoint="xmpp"} 1.0' in text
    assert 'rialto_reconciled_total{endpoint="xmpp",reason="incomplete"} 1.0' in text


def test_counting_what_has_no_counter_is_said_once_and_ends_nothing() -> None:
    figures = Figures().of("xmpp")
    with structlog.testing.capture_logs() as logs:
        figures.count("no_such_thing")
        figures.count("no_such_thing")
    assert [entry["counter"] for entry in logs] == ["no_such_thing"]
