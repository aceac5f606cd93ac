"""Figures for Prometheus. The parts count through small interfaces of their own; here the figures get their names."""

from __future__ import annotations

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

log = structlog.get_logger(__name__)

_HELP = {
    "received": "Messages accepted from the network",
    "refused": "Messages that were refused to their native sender",
    "duplicates": "Messages that came a second time and were dropped",
    "opened": "Messages decrypted from rooms",
    "rejected": "Messages from rooms that were not fit to be delivered",
    "sent": "Messages that the network has taken, of which it reports nothing more or not yet",
    "delivered": "Messages that the network says it has delivered",
    "failed": "Messages that ended as failed",
    "uncertain": "Messages of which nobody can know whether they arrived",
    "parked": "Messages that wait for an operator",
    "retries": "Attempts after the first",
    "statuses": "Statuses shown to native senders",
    "quarantined": "Things that could not be handled and were put aside: rialto quarantine list",
    "defects": "Defects of an adapter or of the bridge that were survived",
    "restarts": "Times that the endpoint failed and was started again",
    "router_went_back": "Times that the router's history was not the one that the endpoint had heard",
    "reconciled": "Rooms that were not as they should be, by the reason",
}

_BY_REASON = frozenset({"reconciled"})
"""What is counted by its reason too: a word out of few, which the code defines."""


class Figures:
    """All counters of one process, each with the endpoint as a label."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._counters = {
            event: Counter(f"rialto_{event}", text, _labels(event), registry=self.registry)
            for event, text in _HELP.items()
        }
        self._unknown: set[str] = set()
        self._up = self._gauge("rialto_endpoint_up", "Whether the endpoint runs")
        self._since = self._gauge("rialto_endpoint_since_seconds", "Since when it is as it is")
        self._again = self._gauge("rialto_endpoint_next_try_seconds", "When it is started again; 0 while it runs")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["endpoint"], registry=self.registry)

    def standing(self, endpoint: str, *, up: bool, since: int, again: int) -> None:
        """Say how an endpoint is; times in milliseconds since 1970."""
        self._up.labels(endpoint).set(int(up))
        self._since.labels(endpoint).set(since / 1000)
        self._again.labels(endpoint).set(again / 1000)

    def of(self, endpoint: str) -> EndpointFigures:
        """Return the counters of one endpoint, each of them at 0 from the start, so that none is missing."""
        for event, counter in self._counters.items():
            if event not in _BY_REASON:
                counter.labels(endpoint)
        return EndpointFigures(self, endpoint)

    def count(self, endpoint: str, event: str, amount: int, reason: str = "") -> None:
        """Add to a counter. What has none is shown in the log, once: counting ends nothing."""
        counter = self._counters.get(event)
        if counter is None:
            if event not in self._unknown:
                self._unknown.add(event)
                log.error("a defect: nothing counts this", counter=event)
            return
        labels = (endpoint, reason) if event in _BY_REASON else (endpoint,)
        counter.labels(*labels).inc(amount)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self.registry)


class EndpointFigures:
    """Implements ``bridge.endpoint.metrics.Metrics``."""

    def __init__(self, figures: Figures, endpoint: str) -> None:
        self._figures, self._endpoint = figures, endpoint

    def count(self, event: str, amount: int = 1, **labels: str) -> None:
        """Add ``amount`` to the counter of ``event``."""
        self._figures.count(self._endpoint, event, amount, labels.get("reason", ""))


def _labels(event: str) -> list[str]:
    return ["endpoint", "reason"] if event in _BY_REASON else ["endpoint"]
