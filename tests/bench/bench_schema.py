"""What the schema costs: ``python -m tests.bench.bench_schema``.

Microseconds for decode, encode and message id, beside bare cbor2 on the same octets in the same run, and the time that
an octet takes in messages of ten, a hundred and a thousand parts: the same, if work is linear. cbor2 is compiled, and
checks nothing of what we check; the ratio is the price of strictness in Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import process_time
from timeit import repeat
from typing import Any

import cbor2

from protocol import cbor, content, status
from protocol.content import Content, ExternalPart, MultiPart, Semantics, text

SENDER, ROOM = "mimi://rialto.example/u/xmpp~juliet%40capulet.lit", "mimi://rialto.example/r/balcony"
NAMES = {1: SENDER, 2: ROOM}
PARTS = (10, 100, 1000)


def microseconds(work: Callable[[], object]) -> float:
    """The best of several rounds, in the processor's time: what the work costs when nothing else runs."""
    work()
    once = min(repeat(work, number=1, repeat=3))
    rounds = max(1, int(0.02 / once))
    return min(repeat(work, number=rounds, repeat=15, timer=process_time)) / rounds * 1e6


def examples() -> dict[str, bytes]:
    """Messages of every size, and the draft's own if they are at hand."""
    image = ExternalPart(
        "image/jpeg", "https://rialto.example/" + "0" * 64, 0, 345_678, 1, bytes(16), bytes(12), b"", 1, bytes(32)
    )
    said = {
        "text": Content(bytes(16), text("O Romeo, Romeo! Wherefore art thou Romeo?"), extensions=NAMES),
        "image": Content(bytes(16), image, extensions=NAMES),
        "1 MiB body": Content(bytes(16), text("a" * (1 << 20)), extensions=NAMES),
    } | {
        f"{parts:,} parts": Content(
            bytes(16), MultiPart(Semantics.PROCESS_ALL, (text("hello"),) * (parts - 1)), extensions=NAMES
        )
        for parts in PARTS
    }
    folder = Path(os.environ.get("RIALTO_VECTORS", "unset")) / "mimi-content"
    return {name: content.encode(one) for name, one in said.items()} | {
        f"draft: {path.stem}": path.read_bytes() for path in sorted(folder.glob("*.cbor"))
    }


def row(name: str, data: bytes) -> tuple[float, float]:
    """Print one line; return what decoding and encoding cost."""
    said, value = content.decode(data), cbor2.loads(data)
    decoding, bare_decoding = microseconds(lambda: content.decode(data)), microseconds(lambda: cbor2.loads(data))
    encoding, bare_encoding = microseconds(lambda: content.encode(said)), microseconds(lambda: cbor2.dumps(value))
    naming = microseconds(lambda: content.message_id(data, SENDER, ROOM))
    print(
        f"{name:22} {len(data):8} "
        f"{decoding:9.1f} {bare_decoding:8.1f} {decoding / bare_decoding:6.1f}x "
        f"{encoding:9.1f} {bare_encoding:8.1f} {encoding / bare_encoding:6.1f}x {naming:8.1f}"
    )
    return decoding, encoding


def main() -> None:
    """Print the table."""
    heads = ("octets", "decode", "cbor2", "ratio", "encode", "cbor2", "ratio", "id")
    widths = (8, 9, 8, 7, 9, 8, 7, 8)
    print(f"{'message (us)':22} " + " ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)))
    said = examples()
    costs = {name: row(name, data) for name, data in said.items()}
    for step, what in enumerate(("decode", "encode")):
        octet = [costs[f"{parts:,} parts"][step] / len(said[f"{parts:,} parts"]) for parts in PARTS]
        grown = ", ".join(f"{each / octet[0]:.2f}" for each in octet)
        print(f"{what}: an octet among {PARTS} parts takes {grown} times as long as among {PARTS[0]}")
    report: list[Any] = [(bytes(32), 2)] * 100
    data = status.encode(report)
    reading, writing = microseconds(lambda: status.decode(data)), microseconds(lambda: status.encode(report))
    print(f"status report of 100: decode {reading:.1f} us, encode {writing:.1f} us")
    hostile = [b"\x9b" + b"\xff" * 8, b"\x81" * 100_000, cbor.encode([{}] * 30_000)]
    for octets in hostile:
        print(f"refusing {len(octets)} hostile octets: {microseconds(lambda octets=octets: _refuse(octets)):.1f} us")


def _refuse(data: bytes) -> None:
    try:
        content.decode(data)
    except (cbor.CborError, content.ContentError):
        return
    raise AssertionError(data[:20])


if __name__ == "__main__":
    main()
