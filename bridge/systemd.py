"""Telling systemd how the service is (sd_notify(3)), without a library: one datagram to a socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify(state: str, env: Mapping[str, str] = os.environ) -> bool:
    """Send ``state`` (``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``, ``STATUS=...``); False when nobody listens."""
    address = env.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def watchdog_seconds(env: Mapping[str, str] = os.environ) -> float | None:
    """Return how often ``WATCHDOG=1`` is due (half of systemd's limit), or None when there is no watchdog."""
    limit = env.get("WATCHDOG_USEC", "")
    return int(limit) / 2_000_000 if limit.isdigit() else None
