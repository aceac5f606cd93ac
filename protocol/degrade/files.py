"""What becomes of a file."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from protocol.capabilities import Level, Way
from protocol.content import ExternalPart, SinglePart
from protocol.degrade import words
from protocol.degrade.model import Loss, Refusal
from protocol.degrade.outcome import File, Outcome, Words, dropped, refused

_INLINE = ";base64,"


def inline(part: SinglePart) -> ExternalPart:
    """Return a file that stands in the content itself in the shape in which adapters get files."""
    return ExternalPart(
        disposition=part.disposition,
        language=part.language,
        content_type=part.content_type,
        url=f"data:{part.content_type}{_INLINE}{b64encode(part.content).decode()}",
        size=len(part.content),
    )


def inline_bytes(part: ExternalPart) -> bytes | None:
    """Return the bytes of a file that stands in the content itself, or None if it is somewhere else."""
    head, found, body = part.url.rpartition(_INLINE)
    if not found or not head.startswith("data:"):
        return None
    try:
        return b64decode(body, validate=True)
    except (Base64Error, ValueError):
        return None


def show(part: ExternalPart, way: Way) -> Outcome:
    """Return what becomes of a file on its way to a network with these rules."""
    mime = words.mime(part) or "unknown"
    rule = way.file(part.content_type)
    if rule.level is Level.REJECTED:
        return refused("media-refused", f"the network refuses files of type {mime}")
    if rule.level is Level.DROPPED:
        return dropped("file", f"a file ({mime}) is left out")
    if rule.level is Level.UNSUPPORTED:
        return _notice(part, Refusal("media-refused", f"the network takes no files of type {mime}"))
    if rule.max_size is not None and part.size > rule.max_size:
        limit = f"{part.size:,} bytes are more than the network's {rule.max_size:,}"
        return _notice(part, Refusal("media-too-large", limit))
    converted = Loss("file", Level.PARTIAL, f"a file ({mime}) is converted")
    return Outcome(shown=(File(part, rule),), losses=(converted,) if rule.level is Level.PARTIAL else ())


def invitation(part: ExternalPart) -> Outcome:
    """Return words for a call or a conference that can be joined at the part's URL; there is nothing to fetch."""
    loss = Loss("part", Level.PARTIAL, "an invitation to a call is sent as a link")
    return Outcome(shown=(Words(text=words.invitation(part)),), losses=(loss,))


def _notice(part: ExternalPart, why: Refusal) -> Outcome:
    """Return words for a file that cannot be sent: a link, if whoever has it can open the file."""
    public = part.enc_alg == 0 and part.url.startswith(("https://", "http://"))
    text = words.file(part, part.url if public else "")
    loss = Loss("file", Level.UNSUPPORTED, f"a file is sent as a {'link' if public else 'notice'}: {why.text}")
    return Outcome(shown=(Words(text=text, instead_of=None if public else why),), losses=(loss,))
