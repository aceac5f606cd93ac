"""Any bytes are a MIMI content, and then the encoding of what they decode to, or refused by its own errors.

``python -m tests.fuzz.fuzz_content [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from protocol import cbor, content, extensions
from protocol.extensions import ExtensionError
from tests.fuzz import said as spoken
from tests.fuzz.harness import fuzz, structured


def one_input(data: bytes) -> None:
    """Decode ``data``, encode it again, and look at everything that it says."""
    try:
        said = content.decode(data, now=1_800_000_000)
    except (cbor.CborError, content.ContentError):
        return
    assert content.encode(said) == data
    assert len(content.message_id(data, "mimi://a.example/u/a", "mimi://a.example/r/b")) == 32
    content.reactions(said.part)
    with contextlib.suppress(ExtensionError):
        extensions.check(said.extensions)
        _shown(said.extensions)
    for index, part in content.walk(said.part):
        referable = isinstance(part, content.SinglePart | content.ExternalPart)
        assert (content.referenced(said.part, content.cid(index)) is part) == referable


def _shown(known: extensions.Extensions) -> None:
    """What is of the right shape can be used, and written again."""
    if (sent := extensions.SENDER_TIMESTAMP.of(known)) is not None:
        at = extensions.milliseconds(sent)
        assert extensions.milliseconds(extensions.timestamp(at)) == at
    if (failure := extensions.FAILURE.of(known)) is not None:
        assert extensions.failure(**failure) == failure


def seeds() -> Iterator[bytes]:
    """Contents of every kind."""
    yield from spoken.encoded(200)


if __name__ == "__main__":
    fuzz(one_input, "protocol", seeds=seeds(), mutator=structured(cbor.decode, cbor.encode))
