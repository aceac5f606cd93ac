"""GFM-MIMI Markdown, read into a tree and written from one.

Read as CommonMark with tables, task lists and strikethrough, without HTML; a bare address is no link, one in angle
brackets is (mimi-content §7.1.1). A single line break counts: in a chat, a new line that somebody typed
is a new line. What nests too deep is shown as it was typed.

Written so that it is read back as the same tree, whatever the text: characters that could be taken for mark-up are
escaped, an angle bracket that could start a tag becomes ``&lt;`` as the draft wants it, and where the rules of emphasis
would not see a mark (white space inside it, a letter beside it) the neighbour becomes a character reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import Struct

from protocol.capabilities import Format
from protocol.richtext.tree import (
    MAX_PADDING,
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
    normalise,
    plain,
    split_lines,
)

_MAX_NESTING: Final = 40


def _parser() -> MarkdownIt:
    vars(import_module("markdown_it.rules_block.table"))["MAX_AUTOCOMPLETED_CELLS"] = (
        MAX_PADDING  # the rows after it are text
    )
    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.disable(["html_block", "html_inline", "text_join"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # the tree has its own rule
    parser.normalizeLink = lambda url: url  # type: ignore[method-assign]
    parser.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    return parser


_PARSER: Final = _parser()


# --- reading ----------------------------------------------------------------------------------------------------------


def read(markdown: str) -> Tree:
    """Return the tree that ``markdown`` means; never raises."""
    tokens = _PARSER.parse(markdown)
    if any(token.level >= _MAX_NESTING - 1 for token in tokens):
        return plain(markdown)
    return normalise(_blocks(iter(tokens)))


def _blocks(tokens: Iterator[Token]) -> Iterator[Block]:
    """Yield the blocks up to the token that closes the one around them."""
    for token in tokens:
        match token.type:
            case "inline":
                yield Paragraph(tuple(_spans(token.children or ())))
            case "heading_open":
                yield Heading(int(token.tag[1]), tuple(_spans(next(tokens).children or ())))
                next(tokens)
            case "fence" | "code_block":
                yield CodeBlock(token.content, token.info.strip().partition(" ")[0])
            case "blockquote_open":
                yield Quote(tuple(_blocks(tokens)))
            case "bullet_list_open":
                yield Listing(tuple(_items(tokens)))
            case "ordered_list_open":
                yield Listing(tuple(_items(tokens)), int(token.attrs.get("start", 1)))
            case "table_open":
                yield Table(tuple(_rows(tokens)))
            case "hr":
                yield Rule()
            case "blockquote_close" | "list_item_close":
                return


_TASK = re.compile(r"\[([ xX])\] ")


def _items(tokens: Iterator[Token]) -> Iterator[Item]:
    while not next(tokens).type.endswith("_list_close"):
        yield _item(list(_until_item_end(tokens)))


def _until_item_end(tokens: Iterator[Token]) -> Iterator[Token]:
    depth = 1
    while True:
        token = next(tokens)
        depth += (token.type == "list_item_open") - (token.type == "list_item_close")
        if not depth:
            return
        yield token


def _item(tokens: Sequence[Token]) -> Item:
    blocks = tuple(_blocks(iter(tokens)))
    source = tokens[1].content if len(tokens) > 1 and tokens[0].type == "paragraph_open" else ""
    found = _TASK.match(source)
    match blocks:
        case (Paragraph((first, *others)), *rest) if found:
            text = Span(first.text[4:], first.marks, first.link)
            return Item((Paragraph((text, *others)), *rest), found[1] != " ")
        case _:
            return Item(blocks)


def _rows(tokens: Iterator[Token]) -> Iterator[tuple[Spans, ...]]:
    row: list[Spans] = []
    while (token := next(tokens)).type != "table_close":
        if token.type == "inline":
            row.append(tuple(_spans(token.children or ())))
        elif token.type == "tr_close":
            yield tuple(row)
            row = []


_MARKS: Final = {"strong": Format.BOLD, "em": Format.ITALIC, "s": Format.STRIKE}


def _spans(tokens: Iterable[Token]) -> Iterator[Span]:
    marks: list[Format] = []
    link = ""
    for token in tokens:
        name, _, edge = token.type.rpartition("_")
        match token.type:
            case "text" | "text_special":
                yield Span(token.content, frozenset(marks), link)
            case "code_inline":
                yield Span(token.content, frozenset(marks) | {Format.CODE}, link)
            case "softbreak" | "hardbreak":
                yield Span("\n")
            case "image":
                label, source = "".join(span.text for span in _spans(token.children or ())), str(token.attrs["src"])
                unnamed = "" if source.startswith("cid:") else source  # another part of the message, shown by itself
                yield Span(label or unnamed, frozenset(marks), link or source)
            case "link_open" | "link_close":
                link = str(token.attrs.get("href", ""))
            case _ if edge == "open":
                marks.append(_MARKS[name])
            case _:
                marks.remove(_MARKS[name])


# --- writing ----------------------------------------------------------------------------------------------------------


def write(tree: Tree) -> str:
    """Return Markdown that ``read`` turns into ``tree`` again; the tree must be normal."""
    return "\n\n".join(_written(tree))


def _written(blocks: Iterable[Block]) -> Iterator[str]:
    previous: Block | None = None
    alternate = False  # two lists in a row are two lists only if their markers differ
    for block in blocks:
        is_next = isinstance(block, Listing) and isinstance(previous, Listing)
        alternate = is_next and not alternate
        yield _write_block(block, alternate)
        previous = block


def _write_block(block: Block, alternate: bool) -> str:
    match block:
        case Paragraph(spans):
            return _not_a_definition("\\\n".join(_write_line(line) for line in split_lines(spans)))
        case Heading(level, spans):
            return "#" * level + " " + _write_line(spans)
        case CodeBlock(text, language):
            fence = "`" * max(3, 1 + _longest_run(text))
            return f"{fence}{language}\n{text}\n{fence}"
        case Quote(inner):
            return "\n".join(f"> {line}" if line else ">" for line in write(inner).split("\n"))
        case Listing(items, start):
            return "\n".join(_write_item(item, start, index, alternate) for index, item in enumerate(items))
        case Rule():
            return "___"
        case _:
            written = ["| " + " | ".join(_write_line(cell, table=True) for cell in row) + " |" for row in block.rows]
            written.insert(1, "|" + " --- |" * len(block.rows[0]))
            return "\n".join(written)


_DEFINITION = re.compile(r"\[(?:[^\[\]\\]|\\.)+\]:", re.DOTALL)


def _not_a_definition(paragraph: str) -> str:
    """Return ``paragraph``, after an empty line of its own if code in a link would make it a reference definition.

    Such a definition is shown nowhere, and nothing in code can be escaped; but it cannot interrupt a paragraph.
    """
    return f"\\\n{paragraph}" if _DEFINITION.match(paragraph) else paragraph


def _write_item(item: Item, start: int | None, index: int, alternate: bool) -> str:
    bullet, point = ("* ", ") ") if alternate else ("- ", ". ")
    marker = bullet if start is None else f"{start + index}{point}"
    box = "" if item.checked is None else "[x] " if item.checked else "[ ] "
    first, *others = (box + write(item.blocks)).split("\n")
    indent = " " * len(marker)
    return "\n".join([marker + first, *(indent + line if line else "" for line in others)])


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


_DELIMITERS: Final = {Format.BOLD: "**", Format.ITALIC: "_", Format.STRIKE: "~~"}
_ESCAPED = re.compile(r"[\\`*_~\[\]&|#]")
_TAG = re.compile(r"<(?=[A-Za-z/!?]|\Z)")
_AT_START = re.compile(r"[-+=>:]|(?<=\d)[.)]")
_NUMBERED = re.compile(r"\d{1,9}[.)]")
_ENTITY = re.compile(r"&(?=#?\w+;)")


class _Piece(Struct, frozen=True):
    """A piece of a line: literal ``text``, a delimiter that ``open``s or ``close``s, or ``other`` mark-up."""

    kind: str
    text: str


_TILDES: Final = (_Piece("open", "~~"), _Piece("close", "~~"))


def _write_line(spans: Spans, *, table: bool = False) -> str:
    used = frozenset().union(*(span.marks for span in spans))
    pieces = list(_pieces(spans, [mark for mark in _DELIMITERS if mark in used]))
    referenced: dict[int, set[int]] = {}
    for number, at in _references(pieces):
        referenced.setdefault(number, set()).add(at)
    return "".join(
        _literal(piece.text, referenced.get(number, set()), at_start=number == 0)
        if piece.kind == "text"
        else piece.text.replace("|", "\\|")
        if table
        else piece.text
        for number, piece in enumerate(pieces)
    )


def _pieces(spans: Iterable[Span], marks: Sequence[Format]) -> Iterator[_Piece]:
    """Yield the spans as pieces, each link around its marks and each mark around those that come after it."""
    for link, group in groupby(spans, key=lambda span: span.link):
        if link:
            yield _Piece("other", "[")
        yield from _marked(tuple(group), marks)
        if link:
            yield _Piece("other", f"]({_destination(link)})")


def _marked(spans: Spans, marks: Sequence[Format]) -> Iterator[_Piece]:
    if not marks:
        for span in spans:
            yield _Piece("other", _code(span.text)) if Format.CODE in span.marks else _Piece("text", span.text)
        return
    mark, *others = marks
    for marked, group in groupby(spans, key=lambda span: mark in span.marks):
        if marked:
            yield _Piece("open", _DELIMITERS[mark])
        yield from _marked(tuple(group), others)
        if marked:
            yield _Piece("close", _DELIMITERS[mark])


def _destination(url: str) -> str:
    escaped = _ENTITY.sub(r"\&", url)
    return f"<{escaped}>" if "(" in url or ")" in url else escaped


def _code(text: str) -> str:
    fence = "`" * (1 + _longest_run(text))
    padded = text[0] == "`" or text[-1] == "`" or (text[0] == text[-1] == " " and text.strip(" "))
    return f"{fence} {text} {fence}" if padded else f"{fence}{text}{fence}"


def _literal(text: str, references: set[int], *, at_start: bool) -> str:
    """Return ``text`` escaped; the characters at ``references`` become character references."""
    start = 0
    if at_start and text[0].isspace():
        references = references | {0}
    elif at_start and (found := _NUMBERED.match(text)):
        start = found.end() - 1
    written = []
    for at, char in enumerate(text):
        if at in references:
            written.append(f"&#{ord(char)};")
        elif _ESCAPED.match(char) or (at_start and at == start and _AT_START.match(text, at)):
            written.append("\\" + char)
        elif _TAG.match(text, at):
            written.append("&lt;")
        else:
            written.append(char)
    if text[-1] == "!" and len(text) - 1 not in references:
        written[-1] = "\\!"
    return "".join(written)


def _references(pieces: Sequence[_Piece]) -> set[tuple[int, int]]:
    """Return which characters (piece, position) must be written as references for every delimiter to be seen.

    CommonMark looks at the characters on both sides of a delimiter; a reference counts as punctuation there. GitHub's
    own parser, and those made after it, look past tildes, so both views must do. Each found one may make another
    necessary, so this looks again until nothing changes.
    """
    found: set[tuple[int, int]] = set()
    while True:
        more = {place for at, piece in enumerate(pieces) for place in _hidden_by(pieces, at, piece, found)}
        if more <= found:
            return found
        found |= more


def _hidden_by(
    pieces: Sequence[_Piece], at: int, piece: _Piece, found: set[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Yield the neighbours that keep the delimiter at ``at`` from being one."""
    if piece.kind not in ("open", "close"):
        return
    step = 1 if piece.kind == "open" else -1
    for past_tildes in (False, True):
        inner, inner_place = _neighbour(pieces, at, step, found, past_tildes=past_tildes)
        outer, outer_place = _neighbour(pieces, at, -step, found, past_tildes=past_tildes)
        if inner.isspace():
            yield inner_place
        hugging = inner.isalnum() and piece.text != "_"
        if not hugging and not _is_boundary(outer):
            yield outer_place


def _neighbour(
    pieces: Sequence[_Piece], at: int, step: int, found: set[tuple[int, int]], *, past_tildes: bool
) -> tuple[str, tuple[int, int]]:
    """Return the character that the delimiter at ``at`` sees at one side, and where it stands."""
    at += step
    while past_tildes and 0 <= at < len(pieces) and pieces[at] in _TILDES:
        at += step
    if not 0 <= at < len(pieces):
        return " ", (at, 0)
    place = (at, 0 if step > 0 else len(pieces[at].text) - 1)
    return ("&" if place in found else pieces[at].text[place[1]]), place


def _is_boundary(char: str) -> bool:
    """Whether a delimiter may surely stand beside ``char``: a blank or ASCII punctuation."""
    return char in " \t" or (char.isascii() and not char.isalnum())
