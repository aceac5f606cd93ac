"""Marks in plain text, as messengers have them: ``*bold*``, ``_italic_``, ``~strike~``, `` `code` ``, ``> quote``.

The networks agree on the characters and differ in where they count, so a ``Grammar`` says that. None of them has an
escape. A WORD JOINER (U+2060, invisible and without width) before a character makes it literal: no such mark-up lets a
directive follow it. The reader takes it away again.

What a grammar cannot say is not said: a mark that could not be seen where it stands (a letter before it, its own
character inside it) is left out, so that no stray asterisks appear. Hence a tree comes back unchanged from the second
round on, and from the first if the grammar can show it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from protocol.capabilities import Format
from protocol.richtext.reduction import reduce
from protocol.richtext.tree import (
    MARKS,
    MAX_DEPTH,
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
    clean,
    join_lines,
    language_name,
    lines,
    normalise,
)

JOINER: Final = "\u2060"
"""Makes the character after it literal."""


class Grammar(Struct, frozen=True, kw_only=True):
    """Where marks count in one network's text.

    ``marks`` maps what stands around a run to what it means; the longer ones come first. ``opens(before, after)`` says
    whether a mark may open between two characters and ``closes(before, after)`` whether it may close there; an empty
    string is the edge of a line or of the mark around. ``quote`` matches what makes a line a quotation. ``lists``:
    lines may be items. ``inline_fences``: a fence may hold text on its own line.
    """

    marks: Mapping[str, Format]
    opens: Callable[[str, str], bool]
    closes: Callable[[str, str], bool]
    quote: re.Pattern[str]
    lists: bool
    inline_fences: bool

    @property
    def kinds(self) -> frozenset[Format]:
        """The kinds of formatting that this grammar can show."""
        kinds = frozenset(self.marks.values()) | {Format.QUOTE, Format.CODE_BLOCK}
        return kinds | {Format.BULLETS, Format.NUMBERS} if self.lists else kinds

    def starts_block(self, line: str, at: int = 0) -> bool:
        """Whether ``line`` from ``at`` on would be more than a line of a paragraph."""
        found = line.startswith(_FENCE, at) or self.quote.match(line, at) or (self.lists and _ITEM.match(line, at))
        return bool(found)


# --- reading ----------------------------------------------------------------------------------------------------------

_FENCE: Final = "```"
_FENCE_INSIDE = re.compile(f"``(?={JOINER}*`)")
_BROKEN_FENCE = re.compile(f"(?<=``){JOINER}(?={JOINER}*`)")
_ITEM = re.compile(r"(?:[-*]|(\d{1,9})\.) (?=.*\S)")
_JOINERS = re.compile(f"{JOINER}+")


def read(text: str, grammar: Grammar) -> Tree:
    """Return the tree that ``text`` means; never raises."""
    return normalise(_blocks(clean(text).split("\n"), grammar, 1))


def _blocks(rows: list[str], grammar: Grammar, depth: int) -> Iterator[Block]:
    at = 0
    text: list[Spans] = []
    while at < len(rows):
        found = None if depth > MAX_DEPTH else _block(rows, at, grammar, depth)
        if found is None:
            text.append(tuple(_spans(rows[at], grammar, frozenset(), at_start=True)))
            at += 1
            continue
        yield Paragraph(join_lines(text))
        text = []
        block, at = found
        yield block
    yield Paragraph(join_lines(text))


def _block(rows: list[str], at: int, grammar: Grammar, depth: int) -> tuple[Block, int] | None:
    """Return the block that starts with this row and the row after it, or None for a line of text."""
    row = rows[at]
    if row.startswith(_FENCE):
        return _held_code(rows, at) if grammar.inline_fences else _fenced_code(rows, at)
    if grammar.quote.match(row):
        end = at
        while end < len(rows) and grammar.quote.match(rows[end]):
            end += 1
        inner = [grammar.quote.sub("", row, count=1) for row in rows[at:end]]
        if not any(row.strip() for row in inner):  # nothing is quoted
            return Paragraph((Span("\n".join(rows[at:end])),)), end
        return Quote(tuple(_blocks(inner, grammar, depth + 1))), end
    if grammar.lists and _ITEM.match(row):
        return _listing(rows, at, grammar)
    return None


def _fenced_code(rows: list[str], at: int) -> tuple[Block, int] | None:
    """Code between lines of their own; it ends with what is around it at the latest. Fences around nothing are text.

    The XEP ignores what stands beside the first fence, but people write code there: unless it is one word, which may
    name a language, it belongs to the code, and a second fence on its line ends it.
    """
    beside = rows[at].removeprefix(_FENCE).strip()
    held = beside.removesuffix(_FENCE)
    if held and held != beside:
        return CodeBlock(_BROKEN_FENCE.sub("", held)), at + 1
    end = at + 1
    while end < len(rows) and rows[end] != _FENCE:
        end += 1
    name = language_name(beside)
    code = [*([beside] if beside and not name else []), *rows[at + 1 : end]]
    if not any(row.strip() for row in code):
        return None
    return CodeBlock(_BROKEN_FENCE.sub("", "\n".join(code)), name), end + 1


def _held_code(rows: list[str], at: int) -> tuple[Block, int] | None:
    """Code between fences that may hold it on their own lines; without the second one, or any code, it is text."""
    end = at
    held = [rows[at].removeprefix(_FENCE)]
    while _FENCE not in held[-1]:
        end += 1
        if end == len(rows):
            return None
        held.append(rows[end])
    if held[-1].find(_FENCE) != len(held[-1]) - len(_FENCE):
        return None
    held[-1] = held[-1].removesuffix(_FENCE)
    if len(held) > 2 and not held[0] and not held[-1]:
        held = held[1:-1]
    if not any(row.strip() for row in held):
        return None
    return CodeBlock(_BROKEN_FENCE.sub("", "\n".join(held))), end + 1


def _listing(rows: list[str], at: int, grammar: Grammar) -> tuple[Block, int]:
    first = _ITEM.match(rows[at])
    start = int(first[1]) if first and first[1] else None
    items: list[list[Spans]] = []
    while at < len(rows):
        found = _ITEM.match(rows[at])
        wanted = None if start is None else start + len(items)
        if found and (int(found[1]) if found[1] else None) == wanted:
            items.append([tuple(_spans(rows[at][found.end() :], grammar, frozenset()))])
        elif items and rows[at].startswith("  ") and rows[at].strip():
            items[-1].append(tuple(_spans(rows[at][2:], grammar, frozenset())))
        else:
            break
        at += 1
    return Listing(tuple(Item((Paragraph(join_lines(item)),)) for item in items), start), at


def _spans(text: str, grammar: Grammar, marks: frozenset[Format], *, at_start: bool = False) -> Iterator[Span]:
    """Yield the spans of one line, or of what stands inside a mark."""
    literal = at = 0
    hopeless: set[str] = set()
    special = {JOINER, *(mark[0] for mark in grammar.marks)}
    while at < len(text):
        if text[at] not in special:
            at += 1
            continue
        if text[at] == JOINER:
            yield Span(text[literal:at], marks)
            literal, at = _joiners(text, at, grammar, at_start=at_start)
            continue
        end = -1
        mark = next((mark for mark in grammar.marks if text.startswith(mark, at)), "")
        if mark and text.startswith(mark, at + len(mark)):  # two with nothing between are none
            at += 2 * len(mark)
            continue
        if mark and mark not in hopeless and _may_open(text, at, mark, grammar, marks):
            end = _closing(text, at, mark, grammar)
            if end < 0:
                hopeless.add(mark)
        if end < 0:
            at += 1
            continue
        yield Span(text[literal:at], marks)
        inner, kind = text[at + len(mark) : end], grammar.marks[mark]
        if kind is Format.CODE:
            yield Span(inner, marks | {kind})
        else:
            yield from _spans(inner, grammar, marks | {kind})
        literal = at = end + len(mark)
    yield Span(text[literal:], marks)


def _joiners(text: str, at: int, grammar: Grammar, *, at_start: bool) -> tuple[int, int]:
    """Return from where on, and up to where, the text after these joiners is literal."""
    run = _JOINERS.match(text, at)
    end = run.end() if run else at
    starts_mark = any(text.startswith(mark[0], end) for mark in grammar.marks)
    if starts_mark or (at_start and at == 0 and grammar.starts_block(text, end)):
        return at + 1, end + 1
    return at, end


def _may_open(text: str, at: int, mark: str, grammar: Grammar, marks: frozenset[Format]) -> bool:
    after = text[at + len(mark) : at + len(mark) + 1]
    return grammar.marks[mark] not in marks and grammar.opens(text[at - 1] if at else "", after)


def _closing(text: str, at: int, mark: str, grammar: Grammar) -> int:
    """Return where the mark that opens at ``at`` closes, or -1."""
    end = text.find(mark, at + len(mark) + 1)
    while end >= 0:
        before, after = text[end - 1], text[end + len(mark) : end + len(mark) + 1]
        if before != JOINER and grammar.closes(before, after):
            return end
        end = text.find(mark, end + 1)
    return -1


# --- writing ----------------------------------------------------------------------------------------------------------


def write(tree: Tree, grammar: Grammar) -> str:
    """Return text that shows as much of ``tree`` as the grammar can."""
    return _write_blocks(reduce(tree, grammar.kinds), grammar)


def escape(text: str, grammar: Grammar) -> str:
    """Return ``text``, cleaned as a reader cleans it, with joiners so that nothing in it is taken for mark-up."""
    return "\n".join(_write_line((Span(line),), grammar) if line else "" for line in clean(text).split("\n"))


def _write_blocks(blocks: Iterable[Block], grammar: Grammar) -> str:
    written = ""
    previous: Block | None = None
    for block in blocks:
        if previous is not None:
            apart = type(block) is type(previous) or isinstance(previous, Listing)
            written += "\n\n" if apart else "\n"
        written += _write_block(block, grammar)
        previous = block
    return written


def _write_block(block: Block, grammar: Grammar) -> str:
    match block:
        case Paragraph() | Heading() | Rule() | Table():  # paragraphs only, after the reduction
            return "\n".join(_write_line(line, grammar) for line in lines((block,)))
        case Quote(inner):
            return "\n".join(f"> {line}" for line in _write_blocks(inner, grammar).split("\n"))
        case CodeBlock(text, language):
            body = _FENCE_INSIDE.sub(f"``{JOINER}", text)
            if grammar.inline_fences and body and not {body[0], body[-1]} & {"`", "\n", JOINER}:
                return f"{_FENCE}{body}{_FENCE}"
            return f"{_FENCE}{'' if grammar.inline_fences else language}\n{body}\n{_FENCE}"
        case _:
            bullets = ("- " if block.start is None else f"{block.start + at}. " for at in range(len(block.items)))
            return "\n".join(
                _write_item(item, bullet, grammar) for item, bullet in zip(block.items, bullets, strict=True)
            )


def _write_item(item: Item, bullet: str, grammar: Grammar) -> str:
    written = [_write_spans(line, grammar) for line in lines(item.blocks)]
    return bullet + "\n  ".join(line for line in written if line.strip())


def _write_line(spans: Spans, grammar: Grammar) -> str:
    """Return one line of a paragraph, which must not look like the start of another block."""
    line = _write_spans(spans, grammar)
    first = len(line) - len(line.lstrip(JOINER))
    marked = any(line.startswith(mark[0], first) for mark in grammar.marks)
    return JOINER + line if grammar.starts_block(line, first) and not (first and marked) else line


def _write_spans(spans: Spans, grammar: Grammar) -> str:
    text = "".join(span.text for span in spans)
    used = frozenset(mark for span in spans for mark in span.marks)
    risky = {mark[0] for mark, kind in grammar.marks.items() if kind in used or text.count(mark[0]) > 1}
    return _marked(spans, MARKS, grammar, risky, "", "")


def _marked(spans: Spans, kinds: tuple[Format, ...], grammar: Grammar, risky: set[str], before: str, after: str) -> str:
    """Return ``spans`` with the marks of ``kinds``; ``before`` and ``after`` are the characters around them."""
    if not kinds:
        return "".join(_escaped(spans, grammar, risky, before, after))
    kind, *others = kinds
    rest = tuple(others)
    if not any(kind in span.marks for span in spans):
        return _marked(spans, rest, grammar, risky, before, after)
    mark = next((mark for mark in reversed(tuple(grammar.marks)) if grammar.marks[mark] is kind), "")
    runs = [tuple(run) for _, run in groupby(_tight(spans, kind), key=lambda span: kind in span.marks)]
    edges = [before, *("".join(span.text for span in run) for run in runs), after]
    written = []
    for run, (left, text, right) in zip(runs, zip(edges, edges[1:], edges[2:], strict=False), strict=True):
        left, right = left[-1:], right[:1]
        if kind in run[0].marks and mark and _shows(text, mark, grammar, left, right):
            inner = text if kind is Format.CODE else _marked(run, rest, grammar, risky, "", "")
            written.append(mark + inner + mark)
        else:
            written.append(_marked(_without(run, kind), rest, grammar, risky, left, right))
    return "".join(written)


def _shows(text: str, mark: str, grammar: Grammar, left: str, right: str) -> bool:
    """Whether a reader would see ``mark`` around ``text`` between these two characters."""
    if mark in text or text[-1] == JOINER or left == JOINER:
        return False
    return grammar.opens(left, text[0]) and grammar.closes(text[-1], right)


def _without(spans: Spans, kind: Format) -> Spans:
    return tuple(replace(span, marks=span.marks - {kind}) for span in spans)


def _tight(spans: Spans, kind: Format) -> Spans:
    """Return ``spans`` with no white space at the edges of what is marked ``kind``."""
    found: list[Span] = []
    for marked, group in groupby(spans, key=lambda span: kind in span.marks):
        run = tuple(group)
        if marked:
            text = "".join(span.text for span in run)
            start, end = len(text) - len(text.lstrip()), len(text.rstrip())
            head, body, tail = _cut(run, 0, start), _cut(run, start, end), _cut(run, max(start, end), len(text))
            run = (*_without(head, kind), *body, *_without(tail, kind))
        found += run
    return tuple(found)


def _cut(spans: Spans, start: int, end: int) -> Spans:
    """Return the characters of ``spans`` from ``start`` up to ``end``."""
    found: list[Span] = []
    for span in spans:
        if text := span.text[max(start, 0) : max(end, 0)]:
            found.append(replace(span, text=text))
        start, end = start - len(span.text), end - len(span.text)
    return tuple(found)


def _escaped(spans: Spans, grammar: Grammar, risky: set[str], before: str, after: str) -> Iterator[str]:
    """Yield literal text with a joiner before each character that could be taken for a mark.

    The last one may stand right before a mark, and the two would be none.
    """
    marks = {mark[0] for mark in grammar.marks}
    for span in spans:
        for at, char in enumerate(span.text):
            if char in marks:
                last = at + 1 == len(span.text)
                opens = char in risky and (
                    (last and bool(after)) or grammar.opens(before if at else "", "x" if last else span.text[at + 1])
                )
                if opens or before == JOINER:
                    yield JOINER
            yield char
            before = char
