"""Any stored bytes and any description of them are opened whole, or refused before anything is shown.

``python -m tests.fuzz.fuzz_attachment [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from protocol import cbor, content
from protocol.attachment import AttachmentError, Opener, Sealer
from protocol.content import Content, ExternalPart
from protocol.errors import ProtocolError
from tests.fuzz.harness import fuzz, structured


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


def seeds() -> Iterator[bytes]:
    """Attachments as they should be, in every way that there is, and what is stored when nobody has harmed it."""
    for size in (0, 1, 15, 16, 17, 1000):
        sealer = Sealer(bytes(16), bytes(12), bytes(size % 2))
        stored = sealer.update(bytes(size)) + sealer.finish()
        part = sealer.part("a/b", "u")
        yield _write([_fields(part), stored])
        yield _write([_fields(replace(part, hash_alg=0, content_hash=b"")), stored])
        yield _write([_fields(replace(part, enc_alg=0)), stored])
        yield _write([_fields(replace(part, size=0)), stored])
    sealer = Sealer(bytes(16), bytes(12))
    yield sealer.update(b"hello") + sealer.finish()


def _fields(part: ExternalPart) -> Any:
    return cbor.decode(content.encode(Content(bytes(16), part)))


def _read(data: bytes) -> list[Any]:
    length = int.from_bytes(data[:2])
    return [cbor.decode(data[2 : 2 + length]), data[2 + length :]]


def _write(value: list[Any]) -> bytes:
    described = cbor.encode(value[0])
    return len(described).to_bytes(2) + described + value[1]


if __name__ == "__main__":
    fuzz(one_input, "protocol", seeds=seeds(), mutator=structured(_read, _write))
