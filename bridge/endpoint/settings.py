"""What an endpoint is told when it is made: nothing here is secret."""

from __future__ import annotations

from msgspec import Struct

from bridge.directory import Person, PlumbedRoom
from bridge.endpoint.ledger.retention import Keep
from bridge.limits import Limits
from protocol.leg import LegClass


class RetryLimits(Struct, frozen=True):
    """When to try again, and when to stop: all times in seconds.

    The wait doubles from ``first`` to ``longest``, jittered; after ``attempts`` attempts, or at ``age``, a delivery is
    parked. That the network could not be reached is no attempt. ``answer`` is how much longer than ``age`` a sender
    waits for what became of a message. ``signed_out`` is how often an account that is signed out is tried.
    """

    first: float = 1.0
    longest: float = 300.0
    attempts: int = 12
    age: float = 86_400.0
    signed_out: float = 30.0
    answer: float = 3600.0


class MediaLimits(Struct, frozen=True):
    """Attachments: the largest in octets, the seconds for a whole fetch, and how much of one is kept in memory.

    ``parallel`` files are fetched side by side, and all that lie in temporary files have ``spooled`` octets at most;
    these are in ``folder`` ('' for the system's own). A message waits ``link_age`` seconds for a file that is a link
    into the web, and ``file_age`` for one that only its network knows; later messages of its conversation wait behind.
    """

    largest: int = 2 << 30
    timeout: float = 600.0
    spool: int = 1 << 20
    parallel: int = 32
    spooled: int = 8 << 30
    folder: str = ""
    link_age: int = 300
    file_age: int = 1800


class EndpointSettings(Struct, frozen=True, kw_only=True):
    """One endpoint.

    ``name`` is its name in the configuration, ``domain`` the bridge's own, ``network`` the adapter's id,
    ``address_network`` the network in its own people's addresses ('' if that is the same), ``leg`` the class that its
    leaves claim, ``namespaces`` the prefixes of the user URIs that it speaks for. ``parallel`` conversations are
    delivered side by side, not counting those whose call has hung for ``patience`` seconds; ``stop_timeout`` is how
    many seconds a graceful stop may take.

    ``revision`` is that of the configuration: of two that name different members of a room, the higher one is right.

    ``distrust`` says, for one start, that the ledger may be an older copy of itself, as after a restored backup: every
    room is re-keyed before anything is said in it. The endpoint finds that out by itself if it had heard anything from
    the router since the copy was made; only the operator can know it if it had not.
    """

    name: str
    domain: str
    network: str
    address_network: str = ""
    leg: LegClass = LegClass.OPERATOR
    namespaces: tuple[str, ...] = ()
    rooms: tuple[PlumbedRoom, ...] = ()
    persons: tuple[Person, ...] = ()
    retry: RetryLimits = RetryLimits()
    media: MediaLimits = MediaLimits()
    parallel: int = 16
    limits: Limits = Limits()
    keep: Keep = Keep()
    patience: float = 5.0
    stop_timeout: float = 10.0
    distrust: bool = False
    grace: float = 30 * 86_400.0
    """How many seconds rooms from before there were grants bear members that have none yet."""
    revision: int = 0
    away: float = 30 * 86_400.0
    """After how many seconds an endpoint that the router has not heard of is removed from its rooms."""
