"""Any text is some tree in HTML, of which nothing dangerous is left, and every other mark-up says the same.

``python -m tests.fuzz.fuzz_html [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol.richtext import html
from tests.fuzz.harness import fuzz
from tests.fuzz.markup import PACKAGES, judge, sanitised


def one_input(data: bytes) -> None:
    """Read ``data`` as HTML."""
    text = data.decode(errors="replace")
    sanitised(text)
    judge(html.read(text))


SEEDS = (
    "<h1>Verona</h1><p><b>bold</b> <i>italic</i> <del>struck</del> <code>code</code></p><p><a href='tel:1'>a</a></p>",
    "<blockquote>quoted<blockquote>twice</blockquote></blockquote><ul><li>one</li><li><ol start='3'><li>x</ol></ul>",
    "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>b<td>c</tr></tbody></table><hr>x<br/>y",
    "<pre><code class='language-python'>print(1)\n\n</code></pre><mx-reply>gone</mx-reply><img alt='seen' src='x'>",
    "<span style='font-weight: bold; text-decoration: line-through; font-family: monospace'>x</span><div>y</div>",
    "<script>alert(1)</script><a href='javascript:alert(1)' onclick='x'>y</a><svg><style><img src=x onerror=y></style>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
)
NAMES = "a b i s p br hr ul ol li h6 td tr th pre div img del code span table tbody svg math style script template form"
CLOSED = (
    "</a> </b> </li> </ul> </pre> </table> </blockquote> <blockquote> <!-- --> <![CDATA[ <mx-reply> <noscript> <xmp>"
)
ATTRIBUTES = "href='https://a' href='java&#10;script:a' style='font-weight:bold' start='2' class='language-x' onclick=a"
WORDS = (
    *(f"<{name}>" for name in NAMES.split()),
    *CLOSED.split(),
    *(f" {attribute}" for attribute in ATTRIBUTES.split()),
    *("&lt;", "&#0;", "&nbsp;", "\u00a0", "<textarea>"),
)


def seeds() -> Iterator[bytes]:
    """What messengers write, and what attackers do."""
    yield from map(str.encode, SEEDS)


if __name__ == "__main__":
    fuzz(one_input, *PACKAGES, "html.parser", seeds=seeds(), words=map(str.encode, WORDS))
