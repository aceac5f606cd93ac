"""What people see on each network: small readers of its mark-up that share no line with ours.

Each returns what is seen as lines of characters, and each character with what it is shown as (``b``, ``i``, ``s``,
``code``, ``quote``, ``item``, ``head``, ``link``). They follow the networks' own rules: XEP-0393 for styled text, what
the vendor's clients do for WhatsApp, HTML for Matrix and XHTML-IM, CommonMark with GitHub's extensions for MIMI.
"""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

from markdown_it import MarkdownIt

Seen = list[list[tuple[str, frozenset[str]]]]
INVISIBLE = "\u2060"  # the WORD JOINER: no width, no ink
MARKS = {"*": "b", "_": "i", "~": "s", "`": "code"}


def plain(text: str) -> Seen:
    """Text that is shown as it is."""
    return [[(char, frozenset()) for char in line] for line in re.split("\r\n|\r|\n", text)]


def lines(seen: Seen) -> list[str]:
    """The characters alone: runs of blanks as one, empty lines and invisible characters left out."""
    found = ["".join(char for char, _ in line).replace(INVISIBLE, "") for line in seen]
    found = [re.sub("[ \t\u00a0]+", " ", line).strip() for line in found]
    return [line for line in found if line]


def shown_as(seen: Seen) -> set[str]:
    """Everything that any visible character is shown as."""
    return {how for line in seen for char, ways in line if char.strip() and char != INVISIBLE for how in ways}


# --- XEP-0393 ---------------------------------------------------------------------------------------------------------


def styled(body: str) -> Seen:
    """Blocks line by line, then spans: the rules of XEP-0393 §5.1 and §5.2."""
    return _blocks(body.split("\n"), frozenset())


def _blocks(rows: list[str], ways: frozenset[str]) -> Seen:
    seen: Seen = []
    while rows:
        row, *rows = rows
        if row.startswith("```"):
            while rows and rows[0] != "```":
                seen.append([(char, ways | {"code"}) for char in rows.pop(0)])
            rows = rows[1:]
        elif row.startswith(">"):
            quoted = [row[1:]]
            while rows and rows[0].startswith(">"):
                quoted.append(rows.pop(0)[1:])
            inner = [each[1:] if each and _white(each[0]) else each for each in quoted]
            seen += _blocks(inner, ways | {"quote"})
        else:
            seen.append(_styled_line(row, ways))
    return seen


def _white(char: str) -> bool:
    return char.isspace() or unicodedata.category(char).startswith("Z")


def _styled_line(row: str, ways: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    seen: list[tuple[str, frozenset[str]]] = []
    at = 0
    while at < len(row):
        char = row[at]
        end = -1
        if char in MARKS and MARKS[char] not in ways and (at == 0 or _white(row[at - 1])):
            if row[at + 1 : at + 2] == char:  # nothing between: not a directive, and neither is the second
                seen += [(char, ways)] * 2
                at += 2
                continue
            if at + 1 < len(row) and not _white(row[at + 1]):
                end = row.find(char, at + 1)
                while end >= 0 and _white(row[end - 1]):
                    end = row.find(char, end + 1)
        if end < 0:
            seen.append((char, ways))
            at += 1
            continue
        inner = row[at + 1 : end]
        marked = ways | {MARKS[char]}
        seen += [(each, marked) for each in inner] if char == "`" else _styled_line(inner, marked)
        at = end + 1
    return seen


# --- WhatsApp ---------------------------------------------------------------------------------------------------------


def marked(text: str) -> Seen:
    """A generous client: any pair of marks between words counts, unless a joiner stands before one."""
    seen: Seen = []
    for number, part in enumerate(re.split("```(.+?)```", text, flags=re.DOTALL)):
        rows: Seen = []
        for row in part.split("\n"):
            if number % 2:
                rows.append([(char, frozenset({"code"})) for char in row])
                continue
            prefix = re.match(r"> |[*-] (?=\S)|\d+\. (?=\S)", row)
            ways = frozenset({"quote" if row.startswith(">") else "item"} if prefix else ())
            rows.append(_marked_line(row[prefix.end() :] if prefix else row, ways))
        if seen:
            seen[-1] += rows.pop(0)
        seen += rows
    return seen


def _marked_line(row: str, ways: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    for opening in re.finditer(rf"(?<![^\W_])(?<!{INVISIBLE})([*_~`])(?=\S)", row):
        mark = opening[1]
        closing = re.compile(rf"(?<=[^\s{INVISIBLE}]){re.escape(mark)}(?![^\W_])").search(row, opening.end() + 1)
        if closing and MARKS[mark] not in ways:
            before = [(char, ways) for char in row[: opening.start()]]
            held, marked_ways = row[opening.end() : closing.start()], ways | {MARKS[mark]}
            inner = [(char, marked_ways) for char in held] if mark == "`" else _marked_line(held, marked_ways)
            return [*before, *inner, *_marked_line(row[closing.end() :], ways)]
    return [(char, ways) for char in row]


# --- HTML and Markdown ------------------------------------------------------------------------------------------------

_SHOWN = {
    "b": "b",
    "strong": "b",
    "i": "i",
    "em": "i",
    "del": "s",
    "s": "s",
    "code": "code",
    "pre": "code",
    "a": "link",
    "li": "item",
    "blockquote": "quote",
    "th": "head",
    "td": "item",
    **{f"h{level}": "head" for level in range(1, 7)},
}
_BLOCKS = {"p", "div", "ul", "ol", "li", "blockquote", "pre", "table", "tr", "hr", *(f"h{n}" for n in range(1, 7))}


class _Browser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: Seen = [[]]
        self.ways: list[str] = []
        self.verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS or tag == "br":
            self.seen.append([])
        if tag not in ("br", "hr"):
            style = dict(attrs).get("style") or ""
            self.ways.append("s" if "line-through" in style else "code" if "mono" in style else _SHOWN.get(tag, ""))
            self.verbatim += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("br", "hr"):
            self.ways.pop()
            self.verbatim -= tag == "pre"
        if tag in _BLOCKS:
            self.seen.append([])

    def handle_data(self, data: str) -> None:
        ways = frozenset(filter(None, self.ways))
        if not self.verbatim:
            data = re.sub("[ \t\r\n\f]+", " ", data)
        for number, line in enumerate(data.split("\n")):
            if number:
                self.seen.append([])
            self.seen[-1] += [(char, ways) for char in line]


def browsed(html: str) -> Seen:
    """HTML as a browser lays it out."""
    browser = _Browser()
    browser.feed(html)
    browser.close()
    return browser.seen


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])


def rendered(markdown: str) -> Seen:
    """Markdown as a MIMI client shows it."""
    return browsed(_MARKDOWN.render(markdown))
