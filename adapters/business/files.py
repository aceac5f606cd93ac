"""Files as the Cloud API sees them: five kinds, each with the types and the size that it takes.

The limits bind what the business sends, as on the real API. A customer's file is shown under the kind that its type
belongs to, whatever its exact type and size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from adapters.business.errors import InvalidParameter, MediaRefused, MissingParameter
from adapters.business.fields import Fields

MAX_CAPTION: Final = 1024
MAX_LINK: Final = 2048
ANYTHING: Final = "application/octet-stream"
"""The type of a file of which nothing is known."""
_MB: Final = 1 << 20
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}")


class FileKind(StrEnum):
    """The message types that carry a file."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    STICKER = "sticker"
    DOCUMENT = "document"


class File(Struct, frozen=True):
    """A file in our keeping: ``sha256`` in hexadecimal, ``size`` in octets, ``expires`` in milliseconds since 1970."""

    id: str
    mime: str
    sha256: str
    size: int
    owner: str
    expires: int
    name: str = ""


class FileRef(Struct, frozen=True):
    """A file by the ``id`` of an upload or by ``link``; exactly one of the two is there."""

    kind: FileKind
    id: str = ""
    link: str = ""
    caption: str = ""
    filename: str = ""


class Rule(Struct, frozen=True):
    """What one kind takes; without ``types``, anything."""

    max_size: int
    types: frozenset[str] = frozenset()
    caption: bool = False


RULES: Final[Mapping[FileKind, Rule]] = {
    FileKind.IMAGE: Rule(5 * _MB, frozenset({"image/jpeg", "image/png"}), caption=True),
    FileKind.VIDEO: Rule(16 * _MB, frozenset({"video/mp4", "video/3gpp"}), caption=True),
    FileKind.AUDIO: Rule(
        16 * _MB,
        frozenset({"audio/aac", "audio/amr", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/opus"}),
    ),
    FileKind.STICKER: Rule(500 << 10, frozenset({"image/webp"})),
    FileKind.DOCUMENT: Rule(100 * _MB, caption=True),
}


def reference(kind: FileKind, given: Fields) -> FileRef:
    """Read how a request names a file. Raises ``MissingParameter`` or ``InvalidParameter``."""
    file = FileRef(
        kind=kind,
        id=given.text("id", 64, ""),
        link=given.text("link", MAX_LINK, ""),
        caption=given.text("caption", MAX_CAPTION, ""),
        filename=given.text("filename", 240, ""),
    )
    if bool(file.id) == bool(file.link):
        raise MissingParameter(f"{given.at()}: either id or link must be there")
    if file.caption and not RULES[kind].caption:
        raise InvalidParameter(f"{given.at('caption')}: {kind} has no caption")
    return file


def bare(mime: str) -> str:
    """Return a media type without its parameters, in lower case; '' if it is none."""
    name = mime.partition(";")[0].strip().lower()
    return name if _MEDIA_TYPE.fullmatch(name) else ""


def kind_of(mime: str) -> FileKind:
    """Return the kind that a customer's file is shown as."""
    family = bare(mime).partition("/")[0]
    return FileKind(family) if family in {"image", "video", "audio"} else FileKind.DOCUMENT


def size_limit(mime: str) -> int:
    """Return how large an uploaded file of this type may be: what the most generous kind takes that takes it."""
    fitting = [rule.max_size for rule in RULES.values() if bare(mime) in rule.types]
    return max(fitting, default=RULES[FileKind.DOCUMENT].max_size)


def check(kind: FileKind, mime: str, size: int) -> None:
    """Refuse with ``MediaRefused`` a file that a message of this kind may not carry."""
    rule = RULES[kind]
    if rule.types and bare(mime) not in rule.types:
        raise MediaRefused(f"{kind}: '{bare(mime)[:100]}' is not one of {', '.join(sorted(rule.types))}")
    if size > rule.max_size:
        raise MediaRefused(f"{kind}: {size} octets, where {rule.max_size} are allowed")
