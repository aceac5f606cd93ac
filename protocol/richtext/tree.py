"""Rich text as one tree that every network's mark-up is read into and written from.

A tree is a sequence of blocks; where text runs, it is a sequence of ``Span``s, each with a set of marks and perhaps a
link. Spans do not nest: bold in italic and italic in bold are the same tree, so two mark-ups can only disagree about
what they can show, never about how it was nested.

``normalise`` gives the one tree that stands for all that look alike; every reader returns it, and a round trip through
a mark-up that can show everything returns it unchanged. A mention is a link to a ``mimi:`` URI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from protocol.capabilities import Format

MARKS: Final = (Format.BOLD, Format.ITALIC, Format.STRIKE, Format.CODE)
"""The marks of a span, in the order in which writers open them."""

MAX_DEPTH: Final = 8
"""How deep quotes and lists may lie inside one another; what is deeper becomes plain lines."""

MAX_PADDING: Final = 1_000
"""How many cells that nobody wrote a table may get to be rectangular; one that needs more becomes plain lines."""

MAX_NUMBER: Final = 999_999_999
"""The highest number that an item of a list has: Markdown reads no longer one."""

LINK_SCHEMES: Final = frozenset({"http", "https", "mailto", "tel", "xmpp", "matrix", "mimi", "geo", "sms", "sip"})


class Span(Struct, frozen=True):
    """A run of text; ``link`` is the URL it leads to, or empty. A line break is a newline in an unmarked span."""

    text: str
    marks: frozenset[Format] = frozenset()
    link: str = ""


Spans: TypeAlias = tuple[Span, ...]


class Paragraph(Struct, frozen=True):
    """Lines of text without an empty one between them."""

    spans: Spans


class Heading(Struct, frozen=True):
    """A heading of ``level`` 1 to 6, on one line."""

    level: int
    spans: Spans


class CodeBlock(Struct, frozen=True):
    """Preformatted text, without empty lines at its end, and the name of its language, if known."""

    text: str
    language: str = ""


class Quote(Struct, frozen=True):
    """What somebody else said."""

    blocks: Tree


class Item(Struct, frozen=True):
    """One item of a list; ``checked`` makes it a task that is done or not."""

    blocks: Tree
    checked: bool | None = None


class Listing(Struct, frozen=True):
    """A list: of bullets, or numbered from ``start``; not even the last number is above ``MAX_NUMBER``."""

    items: tuple[Item, ...]
    start: int | None = None


class Rule(Struct, frozen=True):
    """A horizontal line."""


class Table(Struct, frozen=True):
    """Rows of cells, each cell on one line and all rows of one length; the first row is the header."""

    rows: tuple[tuple[Spans, ...], ...]


Block: TypeAlias = Paragraph | Heading | CodeBlock | Quote | Listing | Rule | Table
Tree: TypeAlias = tuple[Block, ...]


# --- the normal form --------------------------------------------------------------------------------------------------

_NO_CHARACTERS: Final = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NO_CHARACTERS}]")
_BREAK = re.compile(r"(\n)")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]{1,32}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):\S")
_UNSAFE_IN_URL = re.compile(r"[\s<>\"\\^`{|}]")


def clean(text: str) -> str:
    """Return ``text`` with plain newlines and without control characters, surrogates and their like."""
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def safe_link(url: str) -> str:
    """Return ``url`` in the form in which it may stand in a tree, or an empty string if it may not.

    Only schemes that lead somewhere without running anything are let through, in lower case; blanks and delimiters
    are percent-encoded.
    """
    url = clean(url).strip()
    found = _SCHEME.match(url)
    if not found or found[1].lower() not in LINK_SCHEMES:
        return ""
    url = found[1].lower() + url[found.end(1) :]
    return _UNSAFE_IN_URL.sub(lambda char: "".join(f"%{octet:02X}" for octet in char[0].encode()), url)


def normalise(blocks: Iterable[Block], depth: int = 1) -> Tree:
    """Return the one tree that stands for all that look like ``blocks``."""
    return tuple(part for block in blocks for part in _normal_block(block, depth))


def _normal_block(block: Block, depth: int) -> Iterator[Block]:
    match block:
        case Paragraph(spans):
            yield from map(Paragraph, paragraphs(spans))
        case Heading(level, spans):
            if line := one_line(spans):
                yield Heading(min(max(level, 1), 6), line)
        case CodeBlock(text, language):
            if (body := clean(text).rstrip("\n")).strip():
                yield CodeBlock(body if depth == 1 else body.expandtabs(4), language_name(language))
        case Quote() | Listing() if depth >= MAX_DEPTH:
            yield from map(Paragraph, paragraphs(join_lines(lines((block,)))))
        case Quote(inner):
            if inside := normalise(inner, depth + 1):
                yield Quote(inside)
        case Listing(items, start):
            if kept := tuple(_normal_items(items, depth + 1)):
                yield Listing(kept, None if start is None else min(max(start, 0), MAX_NUMBER + 1 - len(kept)))
        case Rule():
            yield block
        case _:
            yield from _normal_table(block.rows)


def _normal_items(items: Iterable[Item], depth: int) -> Iterator[Item]:
    for item in items:
        if blocks := normalise(item.blocks, depth):
            yield Item(blocks, item.checked if isinstance(blocks[0], Paragraph) else None)


def _normal_table(rows: tuple[tuple[Spans, ...], ...]) -> Iterator[Block]:
    width = max(map(len, rows), default=0)
    if sum(width - len(row) for row in rows) > MAX_PADDING:
        yield from map(Paragraph, paragraphs(join_lines(map(_row_line, rows))))
    elif width:
        empty: tuple[Spans, ...] = ((),) * width
        yield Table(tuple(tuple(one_line(cell) for cell in (*row, *empty)[:width]) for row in rows))


def language_name(name: str) -> str:
    """Return ``name`` if it may name the language of code, or an empty string."""
    return name if _LANGUAGE.fullmatch(name) else ""


def merge(spans: Iterable[Span]) -> Spans:
    """Return ``spans`` cleaned: line breaks unmarked, links safe, nothing empty, neighbours alike made one."""
    return _joined(_pieces(spans))


def _joined(spans: Iterable[Span]) -> Spans:
    """Return ``spans`` with neighbours alike made one."""
    runs = groupby(spans, key=lambda span: (span.marks, span.link))
    return tuple(Span("".join(span.text for span in run), marks, link) for (marks, link), run in runs)


def _pieces(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield ``spans`` cleaned, each line break by itself."""
    for span in spans:
        link = safe_link(span.link) if span.link else ""
        for piece in _BREAK.split(clean(span.text)):
            if piece:
                yield Span("\n") if piece == "\n" else Span(piece, span.marks, link)


def one_line(spans: Iterable[Span]) -> Spans:
    """Return ``spans`` merged, on one line, without white space at either end."""
    return _trim(merge(replace(span, text=" ".join(clean(span.text).split("\n"))) for span in spans))


def paragraphs(spans: Iterable[Span]) -> Iterator[Spans]:
    """Yield the paragraphs of ``spans``: what stands between empty lines, trimmed; nothing for blank text."""
    current: list[Spans] = []
    for line in split_lines(merge(spans)):
        trimmed = _trim_end(line)
        if trimmed:
            current.append(trimmed)
        elif current:
            yield join_lines(current)
            current = []
    if current:
        yield join_lines(current)


def _trim(spans: Spans) -> Spans:
    kept = _trim_end(spans)
    start = next((at for at, span in enumerate(kept) if not _is_blank(span)), 0)
    return (replace(kept[start], text=kept[start].text.lstrip()), *kept[start + 1 :]) if kept else ()


def _trim_end(spans: Spans) -> Spans:
    end = next((at for at in range(len(spans), 0, -1) if not _is_blank(spans[at - 1])), 0)
    return (*spans[: end - 1], replace(spans[end - 1], text=spans[end - 1].text.rstrip())) if end else ()


def _is_blank(span: Span) -> bool:
    return not span.text.strip()


# --- looking at a tree, and less of it --------------------------------------------------------------------------------


def plain(text: str) -> Tree:
    """Return the tree of text without any formatting."""
    return normalise((Paragraph((Span(text),)),))


def split_lines(spans: Iterable[Span]) -> list[Spans]:
    """Return ``spans`` cut at their line breaks."""
    found: list[list[Span]] = [[]]
    for span in spans:
        first, *others = span.text.split("\n")
        found[-1].append(replace(span, text=first))
        found.extend([replace(span, text=other)] for other in others)
    return [tuple(span for span in line if span.text) for line in found]


def join_lines(parts: Iterable[Iterable[Span]]) -> Spans:
    """Return lines as one sequence of spans: the opposite of ``split_lines``."""
    joined = [span for line in parts for span in (Span("\n"), *line)]
    return _joined(joined[1:])


def lines(blocks: Iterable[Block]) -> list[Spans]:
    """Return ``blocks`` as lines of spans, with characters in the place of the structure."""
    found: list[Spans] = []
    for block in blocks:
        match block:
            case Paragraph(spans) | Heading(_, spans):
                found += split_lines(spans)
            case CodeBlock(text):
                found += [(Span(line),) for line in text.split("\n")]
            case Quote(inner):
                found += [(Span("> "), *line) for line in lines(inner)]
            case Listing(items, start):
                for number, item in enumerate(items, start or 0):
                    found += _item_lines(item, None if start is None else number)
            case Rule():
                found.append((Span("———"),))
            case _:
                found += [_row_line(row) for row in block.rows]
    return found


def _item_lines(item: Item, number: int | None) -> Iterator[Spans]:
    bullet = "• " if number is None else f"{number}. "
    if item.checked is not None:
        bullet = ("" if number is None else bullet) + ("☑ " if item.checked else "☐ ")
    for index, line in enumerate(lines(item.blocks)):
        yield (Span(bullet if index == 0 else "  "), *line)


def _row_line(row: tuple[Spans, ...]) -> Spans:
    return tuple(span for cell in row for span in (Span(" | "), *cell))[1:]
