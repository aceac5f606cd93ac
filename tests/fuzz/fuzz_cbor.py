"""Any bytes are deterministic CBOR, and then the encoding of what they decode to, or refused by its own errors.

``python -m tests.fuzz.fuzz_cbor [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol import cbor
from tests.fuzz import said
from tests.fuzz.harness import fuzz, structured


def one_input(data: bytes) -> None:
    """Decode ``data`` and encode it again."""
    try:
        value = cbor.decode(data)
    except cbor.CborError:
        return
    assert cbor.encode(value) == data


EVERYTHING = tuple(
    cbor.encode(value)
    for value in (
        *(0, 23, 24, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1, -1, -25, -(1 << 64)),
        *(0.0, -0.0, 1.5, 1e-8, 65_504.0, 3.4e38, 1e300, float("inf"), float("-inf"), float("nan")),
        *(
            True,
            False,
            None,
            cbor.Simple(0),
            cbor.Simple(23),
            cbor.Simple(255),
            cbor.Tag(0, "x"),
            cbor.Tag(1 << 32, []),
        ),
        *(b"x" * 300, "\u00e9\U0001f600" * 20, [[[[]]]], {1: 2, -1: 3, "a": {b"": None}}),
    )
)


def seeds() -> Iterator[bytes]:
    """Contents, and one of everything."""
    yield from said.encoded(40)
    yield from EVERYTHING


if __name__ == "__main__":
    fuzz(one_input, "protocol.cbor", seeds=seeds(), mutator=structured(cbor.decode, cbor.encode))
