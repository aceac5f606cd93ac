"""HTML, read into a tree and written from one: what messengers use of it, never a script, a style sheet or a form.

What arrives is hostile until nh3 has been over it; only then is it looked at. What is written is built from the tree
alone, so nothing that a person typed can become an element. White space collapses as in a browser; a run of blanks
that must stay becomes no-break spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from html.parser import HTMLParser
from itertools import groupby, islice
from typing import Final, TypeAlias

import nh3
from msgspec import Struct

from protocol.capabilities import Format
from protocol.richtext.reduction import reduce
from protocol.richtext.tree import (
    LINK_SCHEMES,
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
    split_lines,
)

_MARKS: Final = {
    "b": Format.BOLD,
    "strong": Format.BOLD,
    "i": Format.ITALIC,
    "em": Format.ITALIC,
    "cite": Format.ITALIC,
    "s": Format.STRIKE,
    "del": Format.STRIKE,
    "strike": Format.STRIKE,
    "code": Format.CODE,
    "tt": Format.CODE,
}
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_CONTAINERS: Final = _HEADINGS | {"blockquote", "ul", "ol", "li", "pre", "table", "tr", "th", "td"}
_BREAKING: Final = frozenset({"p", "div"})
_INLINE: Final = frozenset({"a", "span", *_MARKS})
_TAGS: Final = set(_CONTAINERS | _BREAKING | _INLINE | {"br", "hr", "img", "thead", "tbody"})
_UNSAID: Final = {"script", "style", "title", "mx-reply"}
_MAX_OPEN: Final = 32
"""How many elements may be open at once; the ones inside are read as if their tags were not there."""
_MAX_TAGS: Final = 5_000
"""How many elements may be begun at all; a parser of HTML takes time with the square of how deep they lie."""


# --- reading ----------------------------------------------------------------------------------------------------------


def read(html: str) -> Tree:
    """Return the tree that ``html`` means; never raises."""
    reader = _Reader()
    reader.feed(sanitise(html))
    reader.close()
    return normalise(reader.finish())


def sanitise(html: str) -> str:
    """Return ``html`` with harmless elements and links only, every element closed."""
    return nh3.clean(
        _bounded(html.encode(errors="replace").decode()),
        tags=_TAGS,
        clean_content_tags=_UNSAID,
        attributes={"a": {"href"}, "code": {"class"}, "ol": {"start"}, "img": {"alt"}, "span": {"style"}},
        filter_style_properties={"font-weight", "font-style", "font-family", "text-decoration"},
        url_schemes=set(LINK_SCHEMES),
        link_rel=None,
    )


_START = re.compile(r"<[A-Za-z]")
_ANY_TAG = re.compile(r"<[A-Za-z/!?][^<>]*>?")


def _bounded(html: str) -> str:
    """Return ``html`` without the tags after the first few thousand; their text stays."""
    too_many = next(islice(_START.finditer(html), _MAX_TAGS, None), None)
    if too_many is None:
        return html
    return html[: too_many.start()] + _ANY_TAG.sub(" ", html[too_many.start() :])


_Row: TypeAlias = tuple[Spans, ...]


class _Element:
    """An open container: what is finished inside it, and the text that is not yet a paragraph."""

    def __init__(self, tag: str, start: str = "") -> None:
        self.tag = tag
        self.start = start
        self.language = ""
        self.blocks: list[Block] = []
        self.items: list[Item] = []
        self.rows: list[_Row] = []
        self.cells: list[Spans] = []
        self.spans: list[Span] = []

    def flush(self) -> None:
        """Make a paragraph of the text so far."""
        if self.spans:
            self.blocks.append(Paragraph(tuple(self.spans)))
            self.spans = []

    @property
    def line(self) -> Spans:
        """Everything inside as one sequence of spans."""
        return join_lines(lines(self.blocks))


class _Reader(HTMLParser):
    """Builds blocks from sanitised HTML, whose elements are all closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[_Element] = [_Element("")]
        self.inline: list[tuple[frozenset[Format], str]] = [(frozenset(), "")]
        self.ignored = 0

    @property
    def top(self) -> _Element:
        return self.open[-1]

    def finish(self) -> list[Block]:
        """Return the blocks of the whole."""
        self.top.flush()
        return self.top.blocks

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in _INLINE:
            self._open_inline(tag, values)
        elif tag == "br":
            self.top.spans.append(Span("\n"))
        elif tag == "img":
            self._text(values.get("alt", ""))
        elif tag in _CONTAINERS and (self.ignored or self.top.tag == "pre" or len(self.open) > _MAX_OPEN):
            self.ignored += 1
        elif tag in _CONTAINERS:
            self.top.flush()
            self.open.append(_Element(tag, values.get("start", "")))
        elif tag == "hr":
            self.top.flush()
            self.top.blocks.append(Rule())
        else:
            self._break()

    def handle_endtag(self, tag: str) -> None:
        if tag in _INLINE:
            self.inline.pop()
        elif tag in _CONTAINERS and self.ignored:
            self.ignored -= 1
        elif tag in _CONTAINERS:
            self.top.flush()
            _close(self.open.pop(), self.top)
        else:
            self._break()

    def handle_data(self, data: str) -> None:
        self._text(data)

    def _break(self) -> None:
        if self.top.tag != "pre":
            self.top.flush()

    def _open_inline(self, tag: str, values: Mapping[str, str]) -> None:
        marks, link = self.inline[-1]
        if tag == "code" and self.top.tag == "pre":
            self.top.language = values.get("class", "").removeprefix("language-")
        marks |= _styles(values.get("style", "")) | ({_MARKS[tag]} if tag in _MARKS else frozenset())
        self.inline.append((marks, values.get("href", "") if tag == "a" else link))

    def _text(self, data: str) -> None:
        spans = self.top.spans
        if self.top.tag != "pre":
            data = re.sub(r"[ \t\n\r\f]+", " ", data)
            if not spans or spans[-1].text[-1] in " \n":
                data = data.removeprefix(" ")
        if data:
            spans.append(Span(data, *self.inline[-1]))


def _close(element: _Element, parent: _Element) -> None:
    """Add what a container became to the one around it."""
    match element.tag:
        case "blockquote":
            parent.blocks.append(Quote(tuple(element.blocks)))
        case "li" if parent.tag in ("ul", "ol"):
            parent.items.append(Item(tuple(element.blocks)))
        case "ul" | "ol":
            start = element.start if element.start.isascii() and element.start.isdecimal() else "1"
            items = (*element.items, *(Item((block,)) for block in element.blocks))
            parent.blocks.append(Listing(items, int(start[:10]) if element.tag == "ol" else None))
        case "pre":
            text = "".join(
                span.text for block in element.blocks if isinstance(block, Paragraph) for span in block.spans
            )
            parent.blocks.append(CodeBlock(text, element.language))
        case "th" | "td" if parent.tag == "tr":
            parent.cells.append(element.line)
        case "tr" if parent.tag == "table":
            beside = (element.line,) if element.blocks else ()  # of cells that are too deep
            parent.rows.append((*element.cells, *beside))
        case "table":
            parent.blocks += [*element.blocks, Table(tuple(element.rows))]
        case tag if tag in _HEADINGS:
            parent.blocks.append(Heading(int(tag[1]), element.line))
        case _:
            parent.blocks += element.blocks


_STYLES: Final = (
    (re.compile(r"\s*font-weight\s*:\s*(bold|[6-9]00)"), Format.BOLD),
    (re.compile(r"\s*font-style\s*:\s*(italic|oblique)"), Format.ITALIC),
    (re.compile(r"\s*text-decoration\s*:.*line-through", re.DOTALL), Format.STRIKE),
    (re.compile(r"\s*font-family\s*:.*monospace", re.DOTALL), Format.CODE),
)


def _styles(style: str) -> frozenset[Format]:
    declarations = style.split(";") if style else ()
    return frozenset(mark for each in declarations for pattern, mark in _STYLES if pattern.match(each))


# --- writing ----------------------------------------------------------------------------------------------------------


class Dialect(Struct, frozen=True, kw_only=True):
    """What one network takes of HTML: the kinds of formatting, and the element for each mark."""

    kinds: frozenset[Format]
    marks: Mapping[Format, tuple[str, str]]


def write(tree: Tree, dialect: Dialect) -> str:
    """Return well-formed HTML, valid as XML too, that shows as much of ``tree`` as the dialect can."""
    return _write_blocks(reduce(tree, dialect.kinds), dialect)


def _write_blocks(blocks: Iterable[Block], dialect: Dialect) -> str:
    kept = tuple(blocks)
    spaced = sum(isinstance(block, Paragraph) for block in kept) > 1
    return "".join(_write_block(block, dialect, spaced=spaced) for block in kept)


def _write_block(block: Block, dialect: Dialect, *, spaced: bool) -> str:
    match block:
        case Paragraph(spans):
            text = "<br/>".join(_write_line(line, dialect) for line in split_lines(spans))
            return f"<p>{text}</p>" if spaced else text
        case Heading(level, spans):
            return f"<h{level}>{_write_line(spans, dialect)}</h{level}>"
        case CodeBlock(text, language):
            name = f' class="language-{language}"' if language else ""
            return f"<pre><code{name}>{escape(text, quote=False)}\n</code></pre>"
        case Quote(inner):
            return f"<blockquote>{_write_blocks(inner, dialect)}</blockquote>"
        case Listing(items, start):
            tag, first = ("ul", "") if start is None else ("ol", "" if start == 1 else f' start="{start}"')
            inside = "".join(f"<li>{_write_blocks(item.blocks, dialect)}</li>" for item in items)
            return f"<{tag}{first}>{inside}</{tag}>"
        case Rule():
            return "<hr/>"
        case _:
            head, *body = block.rows
            written = f"<thead>{_write_row(head, 'th', dialect)}</thead>"
            if body:
                written += f"<tbody>{''.join(_write_row(row, 'td', dialect) for row in body)}</tbody>"
            return f"<table>{written}</table>"


def _write_row(row: _Row, tag: str, dialect: Dialect) -> str:
    return "<tr>" + "".join(f"<{tag}>{_write_line(cell, dialect)}</{tag}>" for cell in row) + "</tr>"


def _write_line(spans: Spans, dialect: Dialect) -> str:
    return "".join(_linked(_spaced(spans), dialect))


def _spaced(spans: Spans) -> Iterator[Span]:
    """Yield ``spans`` with no-break spaces where a browser would swallow a blank."""
    before = " "
    for span in spans:
        text = []
        for char in span.text:
            before = "\u00a0" if char in " \t" and before in " \t" else " " if char == "\t" else char
            text.append(before)
        yield Span("".join(text), span.marks, span.link)


def _linked(spans: Iterable[Span], dialect: Dialect) -> Iterator[str]:
    for link, group in groupby(spans, key=lambda span: span.link):
        inside = "".join(_marked(tuple(group), tuple(dialect.marks), dialect))
        yield f'<a href="{escape(link)}">{inside}</a>' if link else inside


def _marked(spans: Spans, kinds: tuple[Format, ...], dialect: Dialect) -> Iterator[str]:
    if not kinds:
        yield from (escape(span.text, quote=False) for span in spans)
        return
    kind, *others = kinds
    for marked, group in groupby(spans, key=lambda span: kind in span.marks):
        start, end = dialect.marks[kind] if marked else ("", "")
        yield start + "".join(_marked(tuple(group), tuple(others), dialect)) + end
