"""Any bytes are a MIMI content, and then the encoding of what they decode to, or refused by its own errors.

``python -m tests.fuzz.fuzz_content [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import sys

from protocol import cbor, content


def one_input(data: bytes) -> None:
    """Decode ``data``, encode it again, and look at everything that it says."""
    try:
        said = content.decode(data, now=1_800_000_000)
    except (cbor.CborError, content.ContentError):
        return
    assert content.encode(said) == data
    assert len(content.message_id(data, "mimi://a.example/u/a", "mimi://a.example/r/b")) == 32
    content.reactions(said.part)
    for index, part in content.walk(said.part):
        referable = isinstance(part, content.SinglePart | content.ExternalPart)
        assert (content.referenced(said.part, content.cid(index)) is part) == referable


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
