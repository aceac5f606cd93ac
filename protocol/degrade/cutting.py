"""From what is shown to native messages: what stands before the text, captions, and pieces that fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from protocol.capabilities import Capabilities, Format, Level, Unit
from protocol.content import MARKDOWN, TEXT_PLAIN, MultiPart, Part, Semantics, SinglePart, walk
from protocol.content import text as text_part
from protocol.degrade import formatted, words
from protocol.degrade.model import Loss, Plan, Planned, Referenced, Refusal
from protocol.degrade.outcome import File, Shown, Words
from protocol.degrade.splitting import excerpt, split
from protocol.richtext import markdown
from protocol.richtext import parts as text_parts
from protocol.richtext.reduction import formats
from protocol.richtext.tree import Block, Paragraph, Quote, Span, Tree, normalise, plain

MAX_MESSAGES: Final = 64
"""How many native messages one content may become; more would be a flood, so it is refused as too large."""


# --- what stands before the text --------------------------------------------------------------------------------------


class Lead(Struct, frozen=True, kw_only=True):
    """What has to be said in words before the message itself."""

    speaker: str = ""
    edited: bool = False
    quoted: Referenced | None = None

    @property
    def label(self) -> str:
        """What stands on the line of the text."""
        return words.speaker(self.speaker) + (words.edited() if self.edited else "")

    @property
    def quote(self) -> str:
        """What was answered, on one line, or nothing."""
        if self.quoted is None or not (said := excerpt(self.quoted.text)):
            return ""
        return words.speaker(self.quoted.sender) + said


def led(shown: tuple[Shown, ...], lead: Lead, capabilities: Capabilities) -> tuple[Shown, ...]:
    """Return ``shown``, which is something, with what stands before it: in its first text or in one of its own."""
    if not (lead.label or lead.quote):
        return shown
    match shown[0]:
        case Words() as first:
            return (_before(first, lead, capabilities), *shown[1:])
        case File(part, rule, caption) if rule.caption >= Level.PARTIAL:
            return (File(part, rule, _before(caption or Words(), lead, capabilities)), *shown[1:])
        case _:
            return (_before(Words(), lead, capabilities), *shown)


def _before(said: Words, lead: Lead, capabilities: Capabilities) -> Words:
    quotable = capabilities.send.format(Format.QUOTE) >= Level.PARTIAL
    if said.tree is None and not (lead.quote and quotable):
        quote = f"> {lead.quote}\n" if lead.quote else ""
        return Words(text=f"{quote}{lead.label}{said.text}".rstrip(), instead_of=said.instead_of)
    blocks: list[Block] = list(said.tree if said.tree is not None else plain(said.text))
    if lead.label:
        match blocks:
            case [Paragraph(spans), *_]:
                blocks[0] = Paragraph((Span(lead.label), *spans))
            case _:
                blocks.insert(0, Paragraph((Span(lead.label),)))
    if lead.quote:
        quote_block: Block = Quote((Paragraph((Span(lead.quote),)),))
        blocks.insert(0, quote_block if quotable else Paragraph((Span(f"> {lead.quote}"),)))
    return Words(tree=normalise(blocks), instead_of=said.instead_of)


# --- native messages --------------------------------------------------------------------------------------------------


def cut(shown: tuple[Shown, ...], losses: tuple[Loss, ...], capabilities: Capabilities) -> Plan:
    """Return the plan that sends ``shown``, which is something; refused if all of it is notices, or a flood."""
    reasons = [part.instead_of if isinstance(part, Words) else None for part in shown]
    if reasons[0] is not None and all(reasons):
        return Plan(refused=reasons[0])
    if capabilities.limits.text is not None and capabilities.limits.text < 1 and _speaks(shown):
        return Plan(refused=Refusal("too-large", "the network takes no text at all"))
    parts = list(islice(_parts(shown, capabilities), MAX_MESSAGES + 1))
    if len(parts) > MAX_MESSAGES:
        return Plan(refused=Refusal("too-large", f"it would take more than {MAX_MESSAGES} messages"))
    if len(parts) > len(shown):
        losses += (Loss("text", Level.PARTIAL, f"it is sent in {len(parts)} messages"), *_worn_off(shown, parts))
    return Plan(messages=tuple(Planned(part=part) for part in parts), losses=losses)


def bound(plan: Plan, *, replaces: bool, in_reply_to: bool) -> Plan:
    """Return ``plan`` with its first message still editing or answering what the content does."""
    if not plan.messages or not (replaces or in_reply_to):
        return plan
    first, *others = plan.messages
    first = replace(first, keeps_replaces=replaces, keeps_in_reply_to=in_reply_to)
    return replace(plan, messages=(first, *others))


def _speaks(shown: Iterable[Shown]) -> bool:
    return any(isinstance(part, Words) or (isinstance(part, File) and part.caption is not None) for part in shown)


def _worn_off(shown: Iterable[Shown], parts: Iterable[Part]) -> Iterator[Loss]:
    """Yield the kinds of formatting that are in none of the pieces: a table between its rows, a mark without room."""
    said = (part.caption if isinstance(part, File) else part for part in shown)
    wanted = {kind for one in said if isinstance(one, Words) for kind in formats(one.tree or ())}
    texts = [inner for part in parts for _, inner in walk(part) if isinstance(inner, SinglePart)]
    if Format.TABLE not in wanted and all(part.content_type == MARKDOWN for part in texts):
        return  # every piece is formatted, and only tables are cut into something else
    left = {kind for part in texts for kind in formats(text_parts.read(part) or ())}
    for kind in sorted(wanted - left):
        yield Loss(kind, Level.UNSUPPORTED, f"{words.named(kind)} sent as plain words, which had to be cut")


def _parts(shown: Iterable[Shown], capabilities: Capabilities) -> Iterator[Part]:
    for part in shown:
        match part:
            case Words():
                yield from _texts(part, capabilities)
            case File(file, rule, caption):
                said = list(_texts(caption or Words(), capabilities))
                if len(said) == 1 and _fits(said[0], rule.max_caption, capabilities):
                    yield MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(file, said[0]))
                else:
                    yield file
                    yield from said
            case _:
                yield part.part


def _fits(said: SinglePart, most: int | None, capabilities: Capabilities) -> bool:
    return most is None or capabilities.limits.unit.length(said.text) <= most


def _texts(said: Words, capabilities: Capabilities) -> Iterator[SinglePart]:
    """Yield text in parts that fit; the limit of formatted text is measured in Markdown."""
    limit, unit = capabilities.limits.text, capabilities.limits.unit
    if said.source is not None and (limit is None or unit.length(said.source.text) <= limit):
        yield _standard(said.source)
    elif said.tree is None:
        yield from (text_part(piece) for piece in split(said.text, limit, unit) if piece.strip())
    else:
        yield from _formatted(said.tree, limit, unit)


def _standard(part: SinglePart) -> SinglePart:
    """Return the part as every adapter expects it: a body to render, with the media type in one spelling."""
    kind = MARKDOWN if part.content_type.lower().startswith("text/markdown") else TEXT_PLAIN
    return text_part(part.text, kind)


def _formatted(tree: Tree, limit: int | None, unit: Unit) -> Iterator[SinglePart]:
    if limit is None:
        yield text_part(markdown.write(tree), MARKDOWN)
        return
    for piece in formatted.pieces(tree, limit, unit):
        yield text_part(piece) if isinstance(piece, str) else text_parts.formatted(piece)
