"""What the keyed side itself may refuse.

::

    EndpointError
    ├── SealError      bridge.endpoint.ledger.sealing   a ledger row that this key does not open, or that was moved
    ├── LedgerError    bridge.endpoint.ledger.contract    the ledger holds something this version cannot read
    ├── MovedError    bridge.endpoint.membership.names    the configuration names all its people anew
    ├── AdapterFailed  bridge.endpoint.from_network.receive  the adapter does not do what the contract asks of it
    ├── NotReplayable  bridge.endpoint.endpoint  there is nothing parked under that id
    └── NotRetriable   bridge.endpoint.quarantine  what was put aside cannot be handled now either
"""

from __future__ import annotations

from typing import ClassVar


class EndpointError(Exception):
    """Something an operator should hear of; the message says what and where."""

    code: ClassVar[str] = "endpoint"


class SealError(EndpointError):
    """A sealed row cannot be opened: another ledger key, another row's bytes, or damage."""

    code = "seal"


class LedgerError(EndpointError):
    """The ledger holds something that this version of the program cannot read."""

    code = "ledger"


class MovedError(EndpointError):
    """The configuration, edited, would give other addresses to all people of an account."""

    code = "moved"


class NotReplayable(EndpointError):
    """No parked delivery has this id."""

    code = "not-replayable"


class AdapterFailed(EndpointError):
    """The adapter does not do what the contract asks of it: its endpoint is started again."""

    code = "adapter-failed"


class NotRetriable(EndpointError):
    """What was put aside cannot be tried again, or failed again; the message says why."""

    code = "not-retriable"
