"""Long formatted text in pieces that a network takes, each of them formatted like the whole.

As many blocks go together as fit. A block that alone is too long is cut where a reader would cut it: a list between
its items, which keep their numbers; a quotation between what it quotes; code between its lines; a paragraph between
its words, whose marks and links both pieces have. Only where a mark leaves no room for words, the words go alone.

Lengths are those of the Markdown that is written. Every block is written a few times at most, so the time is linear
in the length of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from protocol.capabilities import Unit
from protocol.degrade import splitting
from protocol.richtext import markdown
from protocol.richtext.tree import (
    Block,
    CodeBlock,
    Heading,
    Item,
    Listing,
    Paragraph,
    Quote,
    Span,
    Spans,
    Tree,
    join_lines,
    lines,
    normalise,
)

Piece: TypeAlias = Tree | str
"""What is sent at once: blocks, or words for which no formatting is left."""


class _Room(Struct, frozen=True):
    """How much may be written, and into what: the quotations and the item around it."""

    limit: int
    unit: Unit
    around: Callable[[Tree], Tree] = lambda blocks: blocks

    def length(self, *blocks: Block) -> int:
        """Return the length of ``blocks`` with everything around them."""
        return self.unit.length(markdown.write(self.around(blocks)))

    def takes(self, *blocks: Block) -> bool:
        return self.length(*blocks) <= self.limit

    def inside(self, element: Callable[[Tree], Block]) -> _Room:
        """Return the room within ``element``, which stands in this one."""
        return replace(self, around=lambda blocks: self.around((element(blocks),)))


def pieces(tree: Tree, limit: int, unit: Unit) -> Iterator[Piece]:
    """Yield ``tree`` in pieces of which each is at most ``limit`` long; ``limit`` must be at least 1."""
    yield from _packed(tree, _Room(limit, unit))


def _packed(blocks: Iterable[Block], room: _Room) -> Iterator[Piece]:
    """Yield ``blocks``, cut if need be, as many at once as fit."""
    word = Paragraph((Span("x"),))
    gap = room.length(word, word) - 2 * room.length(word)
    pending: list[Block] = []
    used = 0
    for part in (part for block in blocks for part in _cut(block, room)):
        length = 0 if isinstance(part, str) else room.length(part)
        if pending and (isinstance(part, str) or used + gap + length > room.limit):
            yield tuple(pending)
            pending = []
        if isinstance(part, str):
            yield part
            continue
        used = used + gap + length if pending else length
        pending.append(part)
    if pending:
        yield tuple(pending)


def _cut(block: Block, room: _Room) -> Iterator[Block | str]:
    """Yield ``block`` in pieces that fit."""
    if room.takes(block):
        yield block
        return
    match block:
        case Paragraph(spans):
            yield from _cut_text(spans, room, Paragraph, str.isspace)
        case Heading(level, spans):
            yield from _cut_text(spans, room, lambda spans: Heading(level, spans), str.isspace)
        case CodeBlock(text, language):
            yield from _cut_text((Span(text),), room, lambda spans: _code(spans, language), "\n".__eq__)
        case Quote(inner):
            for piece in _packed(inner, room.inside(Quote)):
                yield piece if isinstance(piece, str) else Quote(piece)
        case Listing(items, start):
            yield from _cut_listing(items, start, room)
        case _:
            for rows in normalise((Paragraph(join_lines(lines((block,)))),)):
                yield from _cut(rows, room)


def _code(spans: Spans, language: str) -> CodeBlock:
    return CodeBlock("".join(span.text for span in spans), language)


def _cut_listing(items: Iterable[Item], start: int | None, room: _Room) -> Iterator[Block | str]:
    together: list[Item] = []
    first, used = start, 0
    for index, item in enumerate(items):
        number = None if start is None else start + index
        alone = Listing((item,), number)
        length = room.length(alone)
        if together and used + 1 + length > room.limit:
            yield Listing(tuple(together), first)
            together = []
        if length > room.limit:
            yield from _cut_item(item, number, room)
            continue
        first, used = (first, used + 1 + length) if together else (number, length)
        together.append(item)
    if together:
        yield Listing(tuple(together), first)


def _cut_item(item: Item, number: int | None, room: _Room) -> Iterator[Block | str]:
    """Yield the beginning of an item as one, and the rest of it below."""

    def listed(blocks: Tree) -> Listing:
        return Listing((Item(blocks, item.checked),), number)

    for index, piece in enumerate(_packed(item.blocks, room.inside(listed))):
        if isinstance(piece, str):
            yield piece
        elif index == 0:
            yield listed(piece)
        else:
            yield from piece


def _cut_text(
    spans: Spans, room: _Room, made: Callable[[Spans], Block], left_out: Callable[[str], bool]
) -> Iterator[Block | str]:
    """Yield ``spans`` in pieces, each in a block that ``made`` gives; characters at a cut may be ``left_out``."""
    text = "".join(span.text for span in spans)
    at = 0
    while at < len(text):
        end = _end(text, at, room, lambda start, end: normalise((made(_between(spans, start, end)),)))
        if not end:
            yield from splitting.split(text[at:], room.limit, room.unit)
            return
        yield from normalise((made(_between(spans, at, end)),))
        at = end
        while at < len(text) and left_out(text[at]):
            at += 1


def _end(text: str, at: int, room: _Room, shown: Callable[[int, int], Tree]) -> int:
    """Return where a piece of ``text`` that starts ``at`` must end so that what is ``shown`` of it fits; 0: nowhere."""
    end, tried = len(text), False
    while True:
        length = room.unit.length(text[at:end])
        budget = room.limit
        if length <= room.limit:
            written = room.length(*shown(at, end))
            if written <= room.limit:
                return end
            budget = length // 2 if tried else length * room.limit // written
            tried = True
        cut = splitting.first(text[at:end], budget, room.unit)
        if not cut:
            return 0
        end = at + cut


def _between(spans: Spans, start: int, end: int) -> Spans:
    """Return the characters of ``spans`` from ``start`` up to ``end``."""
    found: list[Span] = []
    for span in spans:
        if end <= 0:
            break
        if text := span.text[max(start, 0) : end]:
            found.append(replace(span, text=text))
        start, end = start - len(span.text), end - len(span.text)
    return tuple(found)
