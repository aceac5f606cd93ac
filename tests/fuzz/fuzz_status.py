"""Any bytes are a MIMI message status report, and then the encoding of what they decode to, or refused.

``python -m tests.fuzz.fuzz_status [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol import cbor, status
from tests.fuzz.harness import fuzz, structured


def one_input(data: bytes) -> None:
    """Decode ``data`` and encode it again."""
    try:
        report = status.decode(data)
    except (cbor.CborError, status.StatusError):
        return
    assert status.encode(report) == data


def seeds() -> Iterator[bytes]:
    """Reports on some messages."""
    yield from (status.encode([(bytes([n]) * 32, n) for n in range(count)]) for count in (0, 1, 2, 8))


if __name__ == "__main__":
    fuzz(one_input, "protocol", seeds=seeds(), mutator=structured(cbor.decode, cbor.encode))
