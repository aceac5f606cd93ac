"""Hostile HTML: whatever is sent, only harmless elements and links go on, well-formed, and nothing crashes."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.matrix import html as matrix
from adapters.xmpp import styling, xhtml_im
from protocol.richtext import html, markdown, marks
from protocol.richtext.reduction import spans_of


def words(text):
    return set(text.split())


TAGS = sorted(
    words("b i s a p div span code pre h1 h3 blockquote ul ol li table tr td th tbody br hr img svg math style script")
    | words("title template noscript iframe textarea select option form xmp plaintext object base meta mx-reply mi")
    | words("foreignObject annotation-xml font details input button noembed frameset body html head")
)
URLS = [
    *("https://e.org/?a=1&b=2", "mimi://e.org/u/r", "mailto:a@e.org", "HTTPS://E.ORG", "//e.org", "/x", "mxc://a/b"),
    *("javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:x", "java\tscript:x", "java&#10;script:x"),
    *("&#106;avascript:x", "\x01javascript:x", "data:text/html,<script>x</script>", "vbscript:x", "file:///etc/passwd"),
    *("blob:x", "view-source:https://e.org", "https:javascript:x", "https://e.org/\"onclick='x'", "http://[::1]", ""),
]
ATTRIBUTES = [
    *("onclick=alert(1)", "style='font-weight:bold;background:url(javascript:x)'", "style='position:fixed'"),
    *("class='language-\"><script>'", "class=language-py", "start=-1", "start=99999999999999999999", "start=٣"),
    *("src=https://e.org/x.png", "alt='<b>x'", "xlink:href=javascript:x", "formaction=javascript:x", "\x00=\x00", "<"),
]
TEXTS = [
    *(
        "a",
        " ",
        "\n",
        "&lt;script&gt;",
        "&#60;b&#62;",
        "&nbsp;",
        "&#0;",
        "&#xD800;",
        "&#x110000;",
        "&amp;lt;",
        "<",
        ">",
    ),
    *("]]>", "-->", "<!--", "<![CDATA[", "<?x", "</", "\x00", "\u202e", "*x*", "```", "> ", "\ud800", "👩"),
]
tags = st.builds(
    "<{}{} {}>".format,
    st.sampled_from(["", "", "/"]),
    st.sampled_from([*TAGS, *(tag.upper() for tag in TAGS)]),
    st.lists(st.sampled_from(ATTRIBUTES) | st.sampled_from(URLS).map(lambda url: f'href="{url}"'), max_size=2).map(
        " ".join
    ),
)
hostile = st.lists(tags | st.sampled_from(TEXTS), max_size=25).map("".join)

HARMLESS = re.compile(r"(https?|mailto|mimi|tel|xmpp|matrix|geo|sms|sip):", re.ASCII)
SHAPES = {
    "matrix": (
        matrix.DIALECT,
        words("p br strong em del code pre h1 h2 h3 h4 h5 h6 blockquote ul ol li hr table thead tbody tr th td a"),
    ),
    "xhtml-im": (xhtml_im.DIALECT, words("p br strong em span a blockquote ul ol li")),
}
STYLES = {"text-decoration: line-through", "font-family: monospace"}


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=300)
@given(hostile)
@example("<svg><style><img src=x onerror=alert(1)></style></svg>")
@example("<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>")
@example("<a href='https://e.org'><a href='javascript:x'>b</a></a>" * 50)
def test_only_harmless_elements_and_links_go_on(name, source):
    dialect, elements = SHAPES[name]
    tree = html.read(source)
    root = ET.fromstring(f"<x>{html.write(tree, dialect)}</x>")
    for element in root.iter():
        assert element.tag in elements or element is root
        for key, value in element.attrib.items():
            match element.tag, key:
                case "a", "href":
                    assert HARMLESS.match(value)
                    assert not re.search(r"[\s<>\"\\^`{|}\x00-\x20]", value)
                case "code", "class":
                    assert re.fullmatch(r"language-[A-Za-z0-9_+#.-]{1,32}", value)
                case "ol", "start":
                    assert re.fullmatch(r"[0-9]{1,8}", value)
                case "span", "style":
                    assert value in STYLES
                case _:
                    raise AssertionError((element.tag, key))


@given(hostile)
def test_what_hostile_html_says_can_be_said_everywhere(source):
    tree = html.read(source)
    assert markdown.read(markdown.write(tree)) == tree
    assert all(HARMLESS.match(span.link) for span in spans_of(tree) if span.link)
    marks.write(tree, styling.GRAMMAR).encode()
