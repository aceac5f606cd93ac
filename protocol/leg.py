"""Leg classes: where the plaintext of a conversation exists on one member's leg.

A leg class is a claim that a leaf signs about itself; it binds an identity to the claim and proves nothing about
its behaviour. The assurance of a room is the worst class among its active leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class LegClass(IntEnum):
    """Who can read a leg; the larger, the more."""

    DEVICES = 0
    OWN_BRIDGE = 1
    OPERATOR = 2
    PROVIDER = 3
    OPEN = 4

    @property
    def label(self) -> str:
        """The words shown to people beside a room or a member."""
        return _LABELS[self]


_LABELS = {
    LegClass.DEVICES: "end-to-end (unaudited)",
    LegClass.OWN_BRIDGE: "end-to-end to the user's own bridge (unaudited)",
    LegClass.OPERATOR: "re-encrypted at the operator",
    LegClass.PROVIDER: "visible to the operator and the provider",
    LegClass.OPEN: "not encrypted on the network",
}


def assurance(classes: Iterable[LegClass]) -> LegClass:
    """Return the assurance of a room whose active leaves have these classes: the worst one.

    A room without leaves has nobody who could keep a promise: it is ``OPEN``.
    """
    return max(classes, default=LegClass.OPEN)
