"""What an endpoint counts: a small interface, so that nothing here depends on how figures are exported."""

from __future__ import annotations

from typing import Protocol


class Metrics(Protocol):
    """Counters of one endpoint."""

    def count(self, event: str, amount: int = 1, **labels: str) -> None:
        """Add ``amount`` to the counter of ``event``.

        Events: ``received`` (accepted from the network), ``refused``, ``duplicates``, ``opened`` (decrypted),
        ``rejected`` (from a room, but not fit to be delivered), ``delivered``, ``failed``, ``uncertain``, ``parked``,
        ``retries``, ``statuses`` (shown to the network), ``quarantined`` (put aside), ``defects`` (survived),
        ``restarts`` (of the endpoint).
        """


class Silent:
    """Counts nothing."""

    def count(self, event: str, amount: int = 1, **labels: str) -> None:
        """Do nothing."""
