"""Any bytes are a business part in its one encoding, or refused.

``python -m tests.fuzz.fuzz_commerce [-max_total_time=600] [CORPUS]``; needs atheris. The first octet chooses the type.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from protocol import cbor, commerce
from protocol.commerce import PART_TYPES
from tests.fuzz import said
from tests.fuzz.harness import fuzz, structured

KINDS = tuple(commerce.media_type(kind) for kind in PART_TYPES.values())


def one_input(data: bytes) -> None:
    """Read ``data`` as each part that it might be, and what was read aloud."""
    kind, body = KINDS[data[0] % len(KINDS)] if data else "text/plain", data[1:]
    try:
        part = commerce.decode(kind, body)
    except commerce.CommerceError:
        return
    assert commerce.encode(part) == body
    assert commerce.text_of(part)
    assert commerce.find(commerce.message(part)) == part


def seeds() -> Iterator[bytes]:
    """Parts of every kind."""
    random = Random(1)
    for _ in range(400):
        try:
            part = said.part_of_business(said.choices(random.randbytes(60)))
            yield bytes([KINDS.index(commerce.media_type(part))]) + commerce.encode(part)
        except (ValueError, commerce.CommerceError):
            continue  # one that cannot be


def _read(data: bytes) -> list[Any]:
    return [data[0], cbor.decode(data[1:])]


def _write(value: list[Any]) -> bytes:
    return bytes([value[0] % 256]) + cbor.encode(value[1])


if __name__ == "__main__":
    fuzz(one_input, "protocol", seeds=seeds(), mutator=structured(_read, _write))
