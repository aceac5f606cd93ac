"""What a plan costs: ``python -m tests.bench.bench_degrade``.

Microseconds for ``degrade.plan`` on a network that can show everything and on one of plain text, beside bare cbor2
decoding the same message in the same run; and for each mark-up, reading and writing a page of text.
"""

from __future__ import annotations

import cbor2

from adapters.business import marks as whatsapp
from adapters.matrix import html as matrix
from adapters.xmpp import styling
from protocol import commerce, content, degrade
from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Limits, Way
from protocol.commerce import Option, QuickReplies
from protocol.content import MARKDOWN, Content, ExternalPart, MultiPart, NullPart, Semantics, text
from protocol.degrade import Context, Referenced
from protocol.richtext import html, markdown, marks
from tests.bench.bench_schema import NAMES, microseconds

RICH = Capabilities(
    send=Way(
        features=dict.fromkeys(Feature, Level.FULL),
        formatting=dict.fromkeys(Format, Level.FULL),
        files={"*/*": FileRule(caption=Level.FULL)},
    ),
    limits=Limits(text=65_536),
)
BARE = Capabilities(limits=Limits(text=4096))
PARAGRAPH = "He jests at *scars* that **never** felt a [wound](https://e.org). But, soft! what light? "
LETTER = "# Act II\n\n" + (PARAGRAPH * 4 + "\n\n- one\n- two\n\n> a quote\n\n") * 5
QUESTION = QuickReplies(body="Which?", options=tuple(Option(id=str(n), title=f"Number {n}") for n in range(3)))
IMAGE = ExternalPart("image/jpeg", "https://rialto.example/" + "0" * 64, 0, 345_678, 1, bytes(16), bytes(12))
SAID = {
    "text": Content(bytes(16), text("O Romeo, Romeo! Wherefore art thou Romeo?"), extensions=NAMES),
    "formatted": Content(bytes(16), text(PARAGRAPH, MARKDOWN), extensions=NAMES),
    "reply": Content(bytes(16), text("Here."), in_reply_to=b"\x01" * 32, extensions=NAMES),
    "deletion": Content(bytes(16), NullPart(), replaces=b"\x01" * 32, extensions=NAMES),
    "image and caption": Content(
        bytes(16), MultiPart(Semantics.SINGLE_UNIT, (IMAGE, text("My cat"))), extensions=NAMES
    ),
    "quick replies": Content(bytes(16), commerce.message(QUESTION), extensions=NAMES),
    "letter, 2 kB": Content(bytes(16), text(LETTER, MARKDOWN), extensions=NAMES),
    "64 kB of text": Content(bytes(16), text("word " * 13_000), extensions=NAMES),
}
KNOWN = Context(answered=Referenced(text="Wherefore?"), replaced=Referenced(text="Wherefore?"))


def main() -> None:
    """Print both tables."""
    print(f"{'plan (us)':20} {'octets':>8} {'cbor2':>8} {'rich':>10} {'':>8} {'bare':>10} {'':>8}")
    for name, said in SAID.items():
        data = content.encode(said)
        bare = microseconds(lambda data=data: cbor2.loads(data))
        rich = microseconds(lambda said=said: degrade.plan(said, RICH, context=KNOWN))
        poor = microseconds(lambda said=said: degrade.plan(said, BARE, context=KNOWN))
        print(f"{name:20} {len(data):8} {bare:8.1f} {rich:10.1f} {rich / bare:7.1f}x {poor:10.1f} {poor / bare:7.1f}x")
    tree = markdown.read(LETTER)
    written = html.write(tree, matrix.DIALECT)
    styled, marked = (marks.write(tree, grammar) for grammar in (styling.GRAMMAR, whatsapp.GRAMMAR))
    print(f"\n{'mark-up (us), 2 kB':20} {'read':>10} {'write':>10}")
    for name, read, write in (
        ("Markdown", lambda: markdown.read(LETTER), lambda: markdown.write(tree)),
        ("HTML", lambda: html.read(written), lambda: html.write(tree, matrix.DIALECT)),
        ("styling", lambda: marks.read(styled, styling.GRAMMAR), lambda: marks.write(tree, styling.GRAMMAR)),
        ("marks", lambda: marks.read(marked, whatsapp.GRAMMAR), lambda: marks.write(tree, whatsapp.GRAMMAR)),
    ):
        print(f"{name:20} {microseconds(read):10.1f} {microseconds(write):10.1f}")


if __name__ == "__main__":
    main()
