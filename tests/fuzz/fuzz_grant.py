"""Any bytes are a grant, and then the encoding of what they decode to, or refused.

``python -m tests.fuzz.fuzz_grant [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol import cbor, grant
from protocol.leg import LegClass
from tests.fuzz.harness import fuzz, structured

PRIVATE = bytes(range(32))
PUBLIC = grant.public_of(PRIVATE)


def one_input(data: bytes) -> None:
    """Decode ``data``, encode it again, and look at its signature."""
    try:
        read = grant.decode(data)
    except grant.GrantError:
        return
    assert read.encode() == data
    try:
        read.verify(PUBLIC)
    except grant.GrantSignatureError:
        return
    assert read == grant.sign(read.grant, PRIVATE)


def seeds() -> Iterator[bytes]:
    """Grants of several sizes."""
    for number, leg in enumerate(LegClass):
        said = grant.Grant(
            authority=grant.key_id(PUBLIC),
            uri=f"mimi://bridge.example/d/{leg.name.lower()}",
            key=grant.key_hash(bytes([number])),
            leg=leg,
            namespaces=tuple(f"mimi://bridge.example/u/n{n}~" for n in range(number)),
            number=1 << (number * 10),
            not_after=None if number % 2 else 1_800_000_000,
        )
        yield grant.sign(said, PRIVATE).encode()


if __name__ == "__main__":
    fuzz(one_input, "protocol.grant", "protocol.cbor", seeds=seeds(), mutator=structured(cbor.decode, cbor.encode))
