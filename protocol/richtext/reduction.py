"""Less of a tree: for networks that cannot show all of it, words and characters take the place of formatting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from msgspec.structs import replace

from protocol.capabilities import Format
from protocol.richtext.tree import (
    Block,
    CodeBlock,
    Heading,
    Item,
    Listing,
    Paragraph,
    Quote,
    Rule,
    Span,
    Spans,
    Table,
    Tree,
    join_lines,
    lines,
    normalise,
)

Relink: TypeAlias = Callable[[str], str]
"""Maps the target of a link to another; an empty string unlinks it. For mentions, which each network names itself."""


def text_of(tree: Tree) -> str:
    """Return what remains of ``tree`` where nothing can be formatted."""
    written = [
        ("".join(span.text for span in block.spans))
        for block in reduce(tree, frozenset())
        if isinstance(block, Paragraph)
    ]
    return "\n\n".join(written)


def spans_of(blocks: Iterable[Block]) -> Iterator[Span]:
    """Yield every span of ``blocks``, however deep."""
    for block in blocks:
        match block:
            case Paragraph(spans) | Heading(_, spans):
                yield from spans
            case Quote(inner):
                yield from spans_of(inner)
            case Listing(items):
                for item in items:
                    yield from spans_of(item.blocks)
            case Table(rows):
                for row in rows:
                    for cell in row:
                        yield from cell


def formats(blocks: Iterable[Block]) -> frozenset[Format]:
    """Return the kinds of formatting that ``blocks`` use; mentions count as links."""
    kept = tuple(blocks)
    found = set(_shapes(kept))
    for span in spans_of(kept):
        found |= span.marks
        if span.link:
            found.add(Format.LINK)
    return frozenset(found)


def _shapes(blocks: Iterable[Block]) -> Iterator[Format]:
    """Yield the kinds of the blocks themselves."""
    for block in blocks:
        if kind := _BLOCK_KIND.get(type(block)):
            yield kind
        if isinstance(block, Quote):
            yield from _shapes(block.blocks)
        if isinstance(block, Listing):
            yield Format.BULLETS if block.start is None else Format.NUMBERS
            for item in block.items:
                if item.checked is not None:
                    yield Format.TASKS
                yield from _shapes(item.blocks)


_BLOCK_KIND: Final[Mapping[type, Format]] = {
    Heading: Format.HEADING,
    CodeBlock: Format.CODE_BLOCK,
    Quote: Format.QUOTE,
    Rule: Format.RULE,
    Table: Format.TABLE,
}


def map_spans(blocks: Iterable[Block], change: Callable[[Spans], Iterable[Span]]) -> Iterator[Block]:
    """Yield ``blocks`` with every sequence of spans changed; the result is not yet normal."""
    for block in blocks:
        match block:
            case Paragraph(spans):
                yield Paragraph(tuple(change(spans)))
            case Heading(level, spans):
                yield Heading(level, tuple(change(spans)))
            case Quote(inner):
                yield Quote(tuple(map_spans(inner, change)))
            case Listing(items, start):
                yield Listing(tuple(Item(tuple(map_spans(i.blocks, change)), i.checked) for i in items), start)
            case Table(rows):
                yield Table(tuple(tuple(tuple(change(cell)) for cell in row) for row in rows))
            case _:
                yield block


def relink(tree: Tree, target: Relink) -> Tree:
    """Return ``tree`` with every link leading to what ``target`` says."""
    return normalise(map_spans(tree, lambda spans: (replace(s, link=target(s.link)) if s.link else s for s in spans)))


def reduce(tree: Tree, kinds: frozenset[Format]) -> Tree:
    """Return ``tree`` with these kinds of formatting only; words and characters take the place of the others."""
    reduced = (part for block in tree for part in _reduced_block(block, kinds))
    return normalise(map_spans(reduced, lambda spans: _reduced_spans(spans, kinds)))


def _reduced_block(block: Block, kinds: frozenset[Format]) -> Iterator[Block]:
    match block:
        case Heading(_, spans) if Format.HEADING not in kinds:
            yield Paragraph(tuple(replace(span, marks=span.marks | {Format.BOLD}) for span in spans))
        case Quote(inner) if Format.QUOTE in kinds:
            yield Quote(tuple(part for child in inner for part in _reduced_block(child, kinds)))
        case Listing(items, start) if (Format.BULLETS if start is None else Format.NUMBERS) in kinds:
            yield Listing(tuple(_reduced_item(item, kinds) for item in items), start)
        case Paragraph():
            yield block
        case _ if kinds.issuperset(_shapes((block,))):
            yield block
        case _:
            yield Paragraph(join_lines(lines((block,))))


def _reduced_item(item: Item, kinds: frozenset[Format]) -> Item:
    blocks = tuple(part for child in item.blocks for part in _reduced_block(child, kinds))
    if item.checked is None or Format.TASKS in kinds:
        return Item(blocks, item.checked)
    box = Span("☑ " if item.checked else "☐ ")
    first, *others = blocks
    spans = first.spans if isinstance(first, Paragraph) else ()  # a task always starts with a paragraph
    return Item((Paragraph((box, *spans)), *others))


def _reduced_spans(spans: Spans, kinds: frozenset[Format]) -> Iterator[Span]:
    label = ""
    for index, span in enumerate(spans):
        if Format.LINK in kinds or not span.link:
            yield replace(span, marks=span.marks & kinds)
            continue
        label += span.text
        yield Span(span.text, span.marks & kinds)
        if index + 1 == len(spans) or spans[index + 1].link != span.link:
            yield Span(_beside(label, span.link))
            label = ""


def _beside(label: str, url: str) -> str:
    """What to write after the words of a link so that it can still be followed; a mention needs nothing."""
    named = url.removeprefix("mailto:").removeprefix("tel:")
    if url.startswith("mimi:") or label.strip() in (url, named, url.partition("://")[2]):
        return ""
    return f" ({named})"
