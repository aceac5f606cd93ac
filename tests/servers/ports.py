"""Ports of 127.0.0.1 for servers of tests."""

from __future__ import annotations

import secrets
import socket

_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nothing listens on, and that this process has given to nobody yet.

    They lie below those that outgoing connections get by themselves, so that none takes one before its server does.
    """
    found: list[int] = []
    while len(found) < count:
        port = 12_000 + secrets.randbelow(20_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            found.append(port)
    return found


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]
