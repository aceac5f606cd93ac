"""The keyed side: runs one adapter, with its MLS client and its ledger.

Follow a message forward: ``from_network``, ``to_router``, then at the other endpoint ``from_router`` and ``to_network``
(``schedule``, ``plan``, ``attempt``, ``outcome``), and back again as a status: ``to_network.reports``.
"""

from __future__ import annotations

from bridge.endpoint.endpoint import Endpoint
from bridge.endpoint.errors import EndpointError, LedgerError, NotReplayable, SealError
from bridge.endpoint.metrics import Metrics
from bridge.endpoint.operator import RoomSummary
from bridge.endpoint.settings import EndpointSettings, MediaLimits, RetryLimits

__all__ = [
    "Endpoint",
    "EndpointError",
    "EndpointSettings",
    "LedgerError",
    "MediaLimits",
    "Metrics",
    "NotReplayable",
    "RetryLimits",
    "RoomSummary",
    "SealError",
]
