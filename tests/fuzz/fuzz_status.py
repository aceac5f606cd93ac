"""Any bytes are a MIMI message status report, and then the encoding of what they decode to, or refused.

``python -m tests.fuzz.fuzz_status [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import sys

from protocol import cbor, status


def one_input(data: bytes) -> None:
    """Decode ``data`` and encode it again."""
    try:
        report = status.decode(data)
    except (cbor.CborError, status.StatusError):
        return
    assert status.encode(report) == data


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
