"""Any bytes are deterministic CBOR, and then the encoding of what they decode to, or refused by its own errors.

``python -m tests.fuzz.fuzz_cbor [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import sys

from protocol import cbor


def one_input(data: bytes) -> None:
    """Decode ``data`` and encode it again."""
    try:
        value = cbor.decode(data)
    except cbor.CborError:
        return
    assert cbor.encode(value) == data


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
