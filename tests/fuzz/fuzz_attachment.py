"""Any stored bytes and any description of them are opened whole, or refused before anything is shown.

``python -m tests.fuzz.fuzz_attachment [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import sys

from protocol import content
from protocol.attachment import AttachmentError, Opener, Sealer
from protocol.content import Content, ExternalPart
from protocol.errors import ProtocolError


def one_input(data: bytes) -> None:
    """Take a content that describes an attachment, and what is stored, out of ``data``; or harm a good one."""
    length = int.from_bytes(data[:2])
    try:
        part = content.decode(data[2 : 2 + length]).part
    except ProtocolError:
        _harmed(data)
        return
    if isinstance(part, ExternalPart):
        _open(part, data[2 + length :])


def _harmed(data: bytes) -> None:
    """Seal what nobody has harmed; then what differs from it must not be opened."""
    sealer = Sealer(bytes(16), bytes(12))
    stored = sealer.update(b"hello") + sealer.finish()
    assert _open(sealer.part("a/b", "u"), data) == (b"hello" if data == stored else None)


def _open(part: ExternalPart, stored: bytes) -> bytes | None:
    """Return what is shown; None if it is refused."""
    assert content.decode(content.encode(Content(bytes(16), part))).part == part
    try:
        opener = Opener(part)
        opener.examine(stored)
        opener.proven()
    except AttachmentError:
        return None
    plain = b"".join(opener.open(stored[start : start + 7]) for start in range(0, len(stored), 7))
    opener.finish()
    return plain


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
