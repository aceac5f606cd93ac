"""What people and businesses say and what networks can show, drawn from octets: for seeds, and for the planner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, Final

from protocol import commerce, content
from protocol.capabilities import FileRule
from protocol.commerce.model import PART_TYPES
from protocol.content import HTML, MARKDOWN, MIMI_STATUS, TEXT_PLAIN, TYPING, Content, Disposition, SinglePart
from protocol.errors import ProtocolError
from tests.fuzz.choices import Choices

TYPES: Final = (
    *(TEXT_PLAIN, MARKDOWN, HTML, "image/png", "video/mp4", "application/pdf", "audio/ogg;a", "text/x-new", "odd", ""),
    *(MIMI_STATUS, TYPING),
)
FILES: Final = ("image/png", "image/*", "video/*", "*/*", "application/pdf")


def choices(data: bytes) -> Choices:
    """Return choices that make contents, capabilities and contexts that mean something."""
    return Choices(data, _NAMED, {SinglePart: _single})


def part_of_business(drawn: Choices) -> commerce.Commerce:
    """Return a business part. Raises ``ValueError`` or ``CommerceError`` for one that cannot be."""
    kind = drawn.pick(tuple(PART_TYPES.values()))
    part: commerce.Commerce = drawn.of(kind)
    return part


def encoded(count: int) -> Iterator[bytes]:
    """Yield the encodings of ``count`` contents, the same in every run."""
    random = Random(1)
    while count:
        try:
            yield content.encode(choices(random.randbytes(120)).of(Content))
        except (ValueError, ProtocolError):
            continue  # nothing that could be said
        count -= 1


def _single(drawn: Choices) -> SinglePart:
    if drawn.below(2):
        return commerce.single(part_of_business(drawn))
    body = drawn.text().encode(errors="replace")
    return SinglePart(drawn.pick(TYPES), body, disposition=drawn.pick(tuple(Disposition)))


_NAMED: Final[Mapping[str, Callable[[Choices], Any]]] = {
    "salt": lambda _: bytes(16),
    "replaces": lambda drawn: drawn.pick((None, bytes(32))),
    "in_reply_to": lambda drawn: drawn.pick((None, bytes(32))),
    "extensions": lambda drawn: drawn.pick(({}, {1: "mimi://e.org/u/x~r"}, {"rialto.forwarded": 1, 3: {1: 2}})),
    "disposition": lambda drawn: drawn.pick((*Disposition, 77)),
    "content_type": lambda drawn: drawn.pick(TYPES),
    "files": lambda drawn: {drawn.pick(FILES): drawn.of(FileRule) for _ in range(drawn.below(4))},
    "enc_alg": lambda drawn: drawn.pick((0, 1)),
    "hash_alg": lambda drawn: drawn.pick((0, 1)),
}
