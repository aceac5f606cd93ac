"""The words that the planner itself adds to a conversation, all in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol.capabilities import Format
from protocol.content import ExternalPart
from protocol.degrade.splitting import excerpt


def named(kind: str) -> str:
    """A feature or a kind of formatting, as people would write it."""
    return _NAMES.get(kind) or kind.replace("-", " ")


_NAMES: Final[Mapping[str, str]] = {
    Format.STRIKE: "strikethrough",
    Format.BULLETS: "bulleted list",
    Format.NUMBERS: "numbered list",
    Format.RULE: "horizontal line",
    Format.TASKS: "task list",
}


def edited() -> str:
    """Before the text of an edit that is sent as a new message."""
    return "Edited: "


def speaker(name: str) -> str:
    """Before the text of somebody whom the network does not show; nothing for a name that cannot be seen."""
    return f"{seen}: " if (seen := excerpt(name)) else ""


def reacted(emoji: str, quote: str) -> str:
    """Instead of a reaction; ``quote`` is the beginning of the message reacted to, or empty."""
    return f"Reacted with {emoji} to “{quote}”" if quote else f"Reacted with {emoji}"


def took_back(emoji: str) -> str:
    """Instead of taking a reaction back."""
    return f"Took back the reaction {emoji}" if emoji else "Took back a reaction"


def deleted(quote: str) -> str:
    """Instead of a deletion; ``quote`` is the beginning of the message deleted, or empty."""
    return f"Deleted a message: “{quote}”" if quote else "Deleted a message"


def mime(part: ExternalPart) -> str:
    """The type of a file without parameters; it may be anything that its sender has made up."""
    return excerpt(part.content_type.partition(";")[0])


def file(part: ExternalPart, url: str) -> str:
    """Instead of a file: what it is, and where to get it if everybody may (``url``)."""
    name = excerpt(part.filename) or excerpt(part.description) or "File"
    facts = ", ".join(fact for fact in (mime(part), _size(part.size)) if fact)
    what = f"{name} ({facts})" if facts else name
    return f"{what}: {url}" if url else f"[{what} cannot be shown here]"


def invitation(part: ExternalPart) -> str:
    """Instead of a call or a conference: its name, and where to join it."""
    return f"{excerpt(part.description) or excerpt(part.filename) or 'Call'}: {excerpt(part.url, 2048)}"


def _size(octets: int) -> str:
    if octets < 1000:
        return f"{octets} bytes" if octets else ""
    size, unit = octets / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if size >= 999.95:  # which would be written as 1000.0
            size, unit = size / 1000, larger
    return f"{size:.1f} {unit}"
