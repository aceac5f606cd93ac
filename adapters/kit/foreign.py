"""JSON that somebody else wrote, within limits of ours.

How deep a parser goes before it gives up depends on the parser and the interpreter; here it is ``MAX_DEPTH``,
everywhere the same. ``decode`` refuses what goes deeper. ``tamed`` is for bodies that carry many independent things, of
which a bad one must not spoil the others: what is too deep becomes null in it, and half a surrogate pair U+FFFD.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 100
"""How many arrays and objects may stand inside one another. RFC 8259 §9 lets a parser set such a limit."""

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_OPENING: Final = b"[{"
_HALVES: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def decode(data: bytes | bytearray | memoryview) -> Any:  # noqa: ANN401 - JSON is anything
    """Return what ``data`` says. Raises ``ValueError`` in words when it is no JSON or nested too deep."""
    octets = bytes(data)
    if _too_deep(octets):
        raise ValueError(f"JSON that is nested deeper than {MAX_DEPTH}")
    try:
        return msgspec.json.decode(octets)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


def tamed(data: bytes | bytearray | memoryview) -> bytes:
    """Return ``data`` with null for whatever is nested too deep, and U+FFFD for each half of a surrogate pair.

    What is no JSON comes back as it is, or as something else that is none.
    """
    octets = bytes(data)
    if _HALVES.search(octets):
        octets = _ESCAPE.sub(lambda found: found[0] if found["lone"] is None else rb"\ufffd", octets)
    return _pruned(octets) if _may_be_deep(octets) else octets


def _may_be_deep(data: bytes) -> bool:
    """Say whether there are enough brackets at all: most bodies need no closer look."""
    return data.count(b"[") + data.count(b"{") > MAX_DEPTH


def _too_deep(data: bytes) -> bool:
    return _may_be_deep(data) and _pruned(data) != data


def _pruned(data: bytes) -> bytes:
    kept: list[bytes] = []
    depth, start = 0, 0
    for found in _TOKEN.finditer(data):
        if data[found.start()] in _OPENING:
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept += (data[start : found.start()], b"null")
                start = len(data)  # until it closes
        elif found[0] in (b"]", b"}"):
            if depth == MAX_DEPTH + 1:
                start = found.end()
            depth = max(0, depth - 1)
    kept.append(data[start:])
    return b"".join(kept)
