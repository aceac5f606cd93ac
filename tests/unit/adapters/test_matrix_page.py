"""The page "what is lost from X to Y" says what the planner does with what the adapters say of themselves.

``python -m tests.unit.adapters.test_matrix_page > specs/matrix.md`` writes it anew.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.business import Business
from adapters.business.config import Limits as BusinessLimits
from adapters.business.config import Subscriber
from adapters.matrix import adapter as matrix_adapter
from adapters.xmpp import abilities
from adapters.xmpp.config import XmppConfig
from protocol import commerce, degrade
from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Unit, Way
from protocol.commerce import Card, Carousel, Option, Section
from protocol.content import (
    MARKDOWN,
    Content,
    Disposition,
    Expiration,
    ExternalPart,
    MultiPart,
    NullPart,
    Part,
    Semantics,
    SinglePart,
    text,
)
from protocol.degrade import Context, Plan, Referenced
from protocol.degrade.words import named

PAGE = Path(__file__).parents[3] / "specs" / "matrix.md"

# --- the networks -----------------------------------------------------------------------------------------------------


def networks() -> dict[str, Capabilities]:
    """What each adapter says of itself, with its default settings."""
    xmpp = XmppConfig(component="rialto.example", secret="unused")
    business = SimpleNamespace(_config=SimpleNamespace(subscriber=Subscriber.DUAL, limits=BusinessLimits()))
    return {
        "XMPP": abilities.capabilities(xmpp, room=False, files=True),
        "Matrix": matrix_adapter._capabilities(50 << 20),
        "business": asyncio.run(Business.capabilities(business, None)),  # type: ignore[arg-type]
    }


NATIVE = Capabilities(
    receive=Way(
        features=dict.fromkeys(Feature, Level.FULL),
        formatting=dict.fromkeys(Format, Level.FULL),
        files={"*/*": FileRule(caption=Level.FULL)},
    )
)
"""A client that speaks MIMI itself, such as a business's own endpoint: it can say everything."""


# --- what can be said -------------------------------------------------------------------------------------------------

ID = bytes(32)
RED, BLUE = Option(id="r", title="Red"), Option(id="b", title="Blue")
EUROS = commerce.Money(currency="EUR", value=1250)
CHAIR = commerce.Product(id="chair", title="Chair", price=EUROS)

MARKED = {
    Format.BOLD: "**word**",
    Format.ITALIC: "_word_",
    Format.STRIKE: "~~word~~",
    Format.CODE: "`word`",
    Format.CODE_BLOCK: "```\nword\n```",
    Format.QUOTE: "> word",
    Format.LINK: "[word](https://example.org)",
    Format.BULLETS: "- word",
    Format.NUMBERS: "1. word",
    Format.HEADING: "# word",
    Format.RULE: "word\n\n---",
    Format.TABLE: "| word |\n|---|",
    Format.TASKS: "- [x] word",
}
FILES = {"image": "image/jpeg", "voice": "audio/ogg", "video": "video/mp4", "document": "application/pdf"}
BUSINESS: dict[Feature, commerce.Commerce] = {
    Feature.LOCATION: commerce.Location(latitude=45.438, longitude=12.336),
    Feature.CONTACT: commerce.ContactCard(name="Juliet"),
    Feature.QUICK_REPLIES: commerce.QuickReplies(body="Which?", options=(RED, BLUE)),
    Feature.LIST: commerce.Menu(body="Which?", button="Choose", sections=(Section(options=(RED, BLUE)),)),
    Feature.CHOICE: commerce.Choice(id="r", title="Red"),
    Feature.LINK_BUTTON: commerce.LinkButton(body="See", title="Open", url="https://example.org"),
    Feature.CONTACT_REQUEST: commerce.ContactRequest(body="How can we reach you?"),
    Feature.LOCATION_REQUEST: commerce.LocationRequest(body="Where are you?"),
    Feature.PRODUCT: CHAIR,
    Feature.PRODUCT_LIST: commerce.ProductList(body="All", sections=(commerce.ProductSection(products=(CHAIR,)),)),
    Feature.CAROUSEL: Carousel(cards=(Card(body="One"), Card(body="Two"))),
    Feature.ORDER: commerce.Order(lines=(commerce.OrderLine(product="chair", quantity=2),)),
    Feature.ORDER_STATUS: commerce.OrderStatus(reference="7", state=commerce.OrderState.SHIPPED),
    Feature.PAYMENT_REQUEST: commerce.PaymentRequest(reference="7", body="Chairs", total=EUROS),
    Feature.PAYMENT_STATUS: commerce.PaymentStatus(reference="7", state=commerce.PaymentState.PAID),
    Feature.FORM: commerce.Form(id="f", body="When?", button="Book"),
    Feature.FORM_REPLY: commerce.FormReply(form="f", values={"day": "Friday"}),
    Feature.TEMPLATE: commerce.Template(name="shipped", language="en", body="It is on its way."),
    Feature.REFERRAL: commerce.Referral(source="ad", headline="Chairs!"),
}


def said(part: Part, **fields: object) -> Content:
    return Content(bytes(16), part, **fields)  # type: ignore[arg-type]


def file(mime: str) -> ExternalPart:
    return ExternalPart(mime, "https://rialto.example/" + "0" * 64, 0, 1_000_000, 1)


def captioned() -> MultiPart:
    return MultiPart(Semantics.SINGLE_UNIT, (file("image/jpeg"), text("My cat")))


def sayings() -> dict[str, tuple[Content, object]]:
    """Everything in the table: its name, an example, and what a network must have for it to be said there."""
    reaction = SinglePart("text/plain;charset=utf-8", "❤️".encode(), disposition=Disposition.REACTION)
    found: dict[str, tuple[Content, object]] = {
        "text": (said(text("word")), None),
        "reply": (said(text("word"), in_reply_to=ID), Feature.REPLY),
        "reaction": (said(reaction, in_reply_to=ID), Feature.REACTION),
        "edit": (said(text("word"), replaces=ID), Feature.EDIT),
        "deletion": (said(NullPart(), replaces=ID), Feature.DELETE),
        "mention": (said(text("[Romeo](mimi://rialto.example/u/r)", MARKDOWN)), Feature.MENTION),
        "thread": (said(text("word"), topic_id=b"t"), Feature.TOPIC),
        "vanishing": (said(text("word"), expires=Expiration(True, 60)), Feature.EXPIRY),
    }
    found |= {named(kind): (said(text(example, MARKDOWN)), kind) for kind, example in MARKED.items()}
    found |= {name: (said(file(mime)), mime) for name, mime in FILES.items()}
    found["caption"] = (said(captioned()), FileRule)
    return found | {named(kind): (said(commerce.message(part)), kind) for kind, part in BUSINESS.items()}


SIGNALS = {"delivery receipt": Feature.DELIVERED, "read receipt": Feature.READ, "typing": Feature.TYPING}
"""What is told without a message; it is never planned, an adapter takes it or does not."""


# --- the page ---------------------------------------------------------------------------------------------------------

KNOWN = Context(answered=Referenced(text="Wherefore?"), replaced=Referenced(text="Wherefore?"))


def sayable(way: Way, need: object) -> bool:
    """Whether people on a network can say such a thing at all."""
    match need:
        case Format():
            return way.format(need) >= Level.PARTIAL
        case Feature():
            return way.level(need) >= Level.PARTIAL
        case str():
            return way.file(need).level >= Level.PARTIAL
        case type():
            return way.file("image/jpeg").caption >= Level.PARTIAL
        case _:
            return True


def outcome(plan: Plan) -> str:
    """A plan in one word or a few."""
    if plan.refused:
        return f"refused: {plan.refused.text}"
    worst = min((loss.level for loss in plan.losses), default=Level.FULL)
    return {Level.FULL: "yes", Level.PARTIAL: "converted", Level.UNSUPPORTED: "in words", Level.DROPPED: "lost"}[worst]


def cell(content: Content, need: object, source: Capabilities, target: Capabilities) -> str:
    """What happens to one thing from one network to another."""
    if not sayable(source.receive, need):
        return "-"
    return outcome(degrade.plan(content, target, context=KNOWN))


def signal(feature: Feature, source: Capabilities, target: Capabilities) -> str:
    """What happens to a receipt, or to the news that somebody types."""
    if source.receive.level(feature) < Level.PARTIAL:
        return "-"
    return "yes" if target.send.level(feature) >= Level.PARTIAL else "lost"


def table(around: dict[str, Capabilities]) -> list[str]:
    pairs = [(one, other) for one in (*around, "native") for other in around if one != other]
    rows = ["| | " + " | ".join(f"{one} to {other}" for one, other in pairs) + " |", "|---" * (len(pairs) + 1) + "|"]
    for name, (content, need) in sayings().items():
        cells = [cell(content, need, around.get(one, NATIVE), around[other]) for one, other in pairs]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, feature in SIGNALS.items():
        cells = [signal(feature, around.get(one, NATIVE), around[other]) for one, other in pairs]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def details(around: dict[str, Capabilities]) -> list[str]:
    """What a native MIMI client's words become on each network, and in the planner's own words what is lost."""
    found = []
    for name, target in around.items():
        alike: dict[str, list[str]] = {}
        for what, (content, _) in sayings().items():
            plan = degrade.plan(content, target, context=KNOWN)
            losses = [plan.refused.text] if plan.refused else [loss.text for loss in plan.losses]
            if losses:
                alike.setdefault("; ".join(losses).removeprefix(f"{what} "), []).append(what)
        found += [f"### To {name}", "", *(f"- {', '.join(whats)}: {loss}" for loss, whats in alike.items()), ""]
    return found


def fact(name: str, one: Capabilities) -> str:
    """A network's row in the first table."""
    text_limit = f"{one.limits.text:,} {UNITS[one.limits.unit]}" if one.limits.text else "any"
    octets = one.send.file("image/jpeg").max_size
    file_limit = f"{octets / (1 << 20):,.0f} MiB" if octets else "any"
    promises = ("yes" if promise else "no" for promise in (one.idempotent_send, one.ordered, one.history))
    return f"| {name} | {one.leg.label} | {text_limit} | {file_limit} | {' | '.join(promises)} |"


def page() -> str:
    around = networks()
    rooms = abilities.capabilities(XmppConfig(component="rialto.example", secret="unused"), room=True, files=True)
    facts = [fact(name, one) for name, one in {**around, "XMPP, in rooms": rooms}.items()]
    return "\n".join([HEAD, *facts, TABLE_HEAD, *table(around), DETAILS_HEAD, *details(around)]).rstrip() + "\n"


UNITS = {Unit.CODE_POINTS: "characters", Unit.UTF16: "units of UTF-16", Unit.UTF8: "octets of UTF-8"}
HEAD = """# What is lost from one network to another

Generated from what the adapters say of themselves and what the planner makes of it, with default settings; a test keeps
it true. `python -m tests.unit.adapters.test_matrix_page > specs/matrix.md` writes it anew.

## The networks

The leg is where plaintext exists on the network's side. Longer texts are cut between words and stay formatted. For a
larger file a notice takes its place, or the message is refused if there is nothing else in it. With idempotent sends, a
message whose acknowledgement was lost is sent again without being shown twice. History is what can be fetched of the
time when the adapter was away.

| network | leg | longest text | largest file | idempotent sends | keeps order | history |
|---|---|---|---|---|---|---|"""
TABLE_HEAD = """
## From here to there

*yes*: nothing is lost. *converted*: it arrives in another shape. *in words*: the network has nothing of the kind, so
words say it: a reaction becomes a short reply, an edit a marked new message, buttons a numbered list that a digit
answers; of formatting the words stay. *lost*: the message arrives without it. *refused*: nothing arrives, and the
sender is told why. *-*: nobody can say it there. *native* is a client that speaks MIMI itself; to it everything goes
as it was said.
"""
DETAILS_HEAD = """
## In detail

What becomes of everything that a native client can say, in the words that the daemon's log has for it. What is not
listed arrives as it was said.
"""


def test_the_page_is_what_the_code_does():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.unit.adapters.test_matrix_page > specs/matrix.md"


def test_everything_that_a_network_may_have_is_in_the_table():
    names = set(sayings())
    shown_otherwise = {"delete", "topic", "expiry", *SIGNALS.values()}
    assert {named(kind) for kind in Feature} - shown_otherwise <= names
    assert {named(kind) for kind in Format} <= names


@pytest.mark.parametrize("name", ["XMPP", "Matrix", "business"])
def test_text_always_arrives(name):
    assert cell(said(text("word")), None, Capabilities(), networks()[name]) == "yes"


if __name__ == "__main__":
    print(page(), end="")
