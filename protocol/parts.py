"""What one message says: the parts of MIMI content (draft-ietf-mimi-content-09), as values.

``protocol.content`` encodes and decodes them, checks them against the draft's limits, and exports all of this again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, TypeAlias

from msgspec import Struct

TEXT_PLAIN: Final = "text/plain;charset=utf-8"
MARKDOWN: Final = "text/markdown;variant=GFM-MIMI"
HTML: Final = "text/html;charset=utf-8"
MIMI_CONTENT: Final = "application/mimi-content"
MIMI_STATUS: Final = "application/mimi-message-status"
TYPING: Final = "application/vnd.rialto.typing"


class Disposition(IntEnum):
    """What a part is for. Values from 9 to 255 are legitimate, unknown, and treated like ``RENDER``."""

    UNSPECIFIED = 0
    RENDER = 1
    REACTION = 2
    PROFILE = 3
    INLINE = 4
    ICON = 5
    ATTACHMENT = 6
    SESSION = 7
    PREVIEW = 8


class Semantics(IntEnum):
    """How the parts of a ``MultiPart`` belong together."""

    CHOOSE_ONE = 0
    SINGLE_UNIT = 1
    PROCESS_ALL = 2


class _Part(Struct, frozen=True, kw_only=True):
    """What all parts have: a ``disposition`` (0..255) and the ``language`` tags of RFC 5646, comma-separated."""

    disposition: int = Disposition.RENDER
    language: str = ""


class NullPart(_Part, frozen=True, tag="null"):
    """Nothing: with ``replaces`` it deletes a message or withdraws a reaction."""


class SinglePart(_Part, frozen=True, tag="single"):
    """A body that travels inside the message; ``content_type`` is a media type with its parameters."""

    content_type: str
    content: bytes

    @property
    def text(self) -> str:
        """The body as text; octets that are not UTF-8 become U+FFFD."""
        return self.content.decode(errors="replace")


class ExternalPart(_Part, frozen=True, tag="external"):
    """A body that is fetched from ``url``.

    ``expires`` is when the url stops working, in seconds since 1970 (0: never); ``size`` is in octets (0: unknown).
    ``enc_alg`` is an IANA AEAD number (0: not encrypted, 1: AES-128-GCM) and ``hash_alg`` an IANA hash number (0:
    none, 1: SHA-256). ``description`` and ``filename`` are for people.
    """

    content_type: str
    url: str
    expires: int = 0
    size: int = 0
    enc_alg: int = 0
    key: bytes = b""
    nonce: bytes = b""
    aad: bytes = b""
    hash_alg: int = 0
    content_hash: bytes = b""
    description: str = ""
    filename: str = ""


class MultiPart(_Part, frozen=True, tag="multi"):
    """Two or more parts: alternatives to choose from, pieces of one unit, or bodies to process each."""

    semantics: Semantics
    parts: tuple[Part, ...]


Part: TypeAlias = NullPart | SinglePart | ExternalPart | MultiPart


class Expiration(Struct, frozen=True):
    """When a message should vanish: ``time`` in seconds, since 1970 or, if ``relative``, after it was read."""

    relative: bool
    time: int


class Content(Struct, frozen=True):
    """One message.

    ``salt`` is 16 unpredictable octets. ``replaces`` is the id of the *first* version of the message that this one
    edits or, with a ``NullPart``, deletes. ``in_reply_to`` is the id of the version that this one answers or reacts
    to. ``topic_id`` groups messages into a thread. Extension values are what ``protocol.cbor`` decodes to.
    """

    salt: bytes
    part: Part
    replaces: bytes | None = None
    topic_id: bytes = b""
    expires: Expiration | None = None
    in_reply_to: bytes | None = None
    extensions: Mapping[int | str, Any] = {}


def text(body: str, content_type: str = TEXT_PLAIN, *, disposition: int = Disposition.RENDER) -> SinglePart:
    """Return a part that says ``body``, repaired if need be."""
    return SinglePart(content_type, repaired(body).encode(), disposition=disposition)


def repaired(body: str) -> str:
    """Return ``body`` with U+FFFD for halves of surrogate pairs, which JSON can smuggle in and UTF-8 cannot hold."""
    if body.isascii():
        return body
    return body.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def reaction(*emoji: str) -> Part:
    """Return a part that reacts with each of ``emoji``; with none it is a ``NullPart``, which withdraws a reaction."""
    parts = tuple(text(one, disposition=Disposition.REACTION) for one in emoji)
    if not parts:
        return NullPart(disposition=Disposition.REACTION)
    if len(parts) == 1:
        return parts[0]
    return MultiPart(Semantics.PROCESS_ALL, parts, disposition=Disposition.REACTION)


def reactions(part: Part) -> tuple[str, ...]:
    """Return the texts that ``part`` reacts with; none if it is something else than a reaction in text."""
    return tuple(
        inner.text
        for _, inner in walk(part)
        if isinstance(inner, SinglePart)
        and inner.content_type.startswith("text/plain")
        and Disposition.REACTION in {part.disposition, inner.disposition}
    )


def walk(part: Part) -> Iterator[tuple[int, Part]]:
    """Yield every part with its index: from zero, depth first, a ``MultiPart`` before the parts it holds."""
    stack: list[Part] = [part]
    index = 0
    while stack:
        current = stack.pop()
        yield index, current
        index += 1
        if isinstance(current, MultiPart):
            stack.extend(reversed(current.parts))


def cid(index: int) -> str:
    """Return the URI by which one part of a message refers to the part with this index."""
    return f"cid:{index}@local.invalid"


def referenced(root: Part, uri: str) -> SinglePart | ExternalPart | None:
    """Return the part of ``root`` that a ``cid:`` URI refers to; None if it is no such URI or refers to no body."""
    found = _CID.fullmatch(uri)
    if found is None:
        return None
    wanted = int(found[1])
    for index, part in walk(root):
        if index == wanted and isinstance(part, SinglePart | ExternalPart):
            return part
    return None


_CID: Final = re.compile(r"cid:(0|[1-9][0-9]{0,3})@local\.invalid")
