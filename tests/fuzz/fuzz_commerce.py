"""Any bytes are a business part in its one encoding, or refused.

``python -m tests.fuzz.fuzz_commerce [-max_total_time=600] [CORPUS]``; needs atheris. The first octet chooses the type.
"""

from __future__ import annotations

import sys

from protocol import commerce
from protocol.commerce import PART_TYPES

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


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
