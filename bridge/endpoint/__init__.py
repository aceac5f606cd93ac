"""The keyed side: runs one adapter, with its MLS client and its ledger.

Follow a message forward: ``inbound`` (network to ledger), ``outbox`` (ledger to router), then at the other endpoint
``outbound`` (router to ledger), ``delivery`` and ``carrier`` (ledger to network), and back again as a status:
``reports``.
"""

from __future__ import annotations

from bridge.endpoint.endpoint import Endpoint, RoomSummary
from bridge.endpoint.errors import EndpointError, LedgerError, NotReplayable, SealError
from bridge.endpoint.metrics import Metrics
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
