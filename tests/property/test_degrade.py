"""Whatever is said, and whatever a network can do: there is a plan, and it keeps to what the network takes."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import commerce, degrade
from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Limits, Unit, Way
from protocol.commerce.model import PART_TYPES
from protocol.content import (
    HTML,
    MARKDOWN,
    TEXT_PLAIN,
    Content,
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
)
from protocol.degrade.splitting import shorten, split
from protocol.leg import LegClass
from protocol.richtext import markdown
from protocol.richtext.reduction import formats
from tests.property import strategies
from tests.property.test_richtext import texts as hostile_texts
from tests.property.test_richtext import trees

# --- everything that can be said --------------------------------------------------------------------------------------

words = st.text(max_size=30) | hostile_texts | st.text("ab \n👩‍👩‍👧é", max_size=200)
said = st.one_of(
    st.builds(
        SinglePart,
        content_type=st.sampled_from([TEXT_PLAIN, MARKDOWN, HTML, "text/x-new"]),
        content=words.map(lambda text: text.encode(errors="replace")),
    ),
    st.builds(
        SinglePart, content_type=st.just(MARKDOWN), content=trees.map(lambda tree: markdown.write(tree).encode())
    ),
    st.builds(
        SinglePart,
        content_type=st.just(TEXT_PLAIN),
        content=st.sampled_from(["👍".encode(), b"", b"x" * 50]),
        disposition=st.just(Disposition.REACTION),
    ),
    st.builds(
        ExternalPart,
        content_type=st.sampled_from(["image/png", "video/mp4", "application/pdf", "odd"]),
        url=st.sampled_from(["https://e.org/f", "data:x"]),
        size=st.integers(0, 100),
        enc_alg=st.sampled_from([0, 1]),
    ),
    st.builds(
        SinglePart, content_type=st.sampled_from(["image/png", "application/pdf"]), content=st.binary(max_size=50)
    ),
    strategies.single_parts(),
    strategies.external_parts(),
    st.just(NullPart()),
)


def business(kind):
    return st.from_type(kind).map(lambda part: part)


options = st.lists(
    st.builds(commerce.Option, id=st.text("abc", min_size=1, max_size=4), title=st.text("abc", min_size=1, max_size=9)),
    min_size=1,
    max_size=6,
    unique_by=lambda option: option.id,
).map(tuple)
links = st.lists(
    st.builds(commerce.LinkTo, title=st.text("abc", min_size=1, max_size=9), url=st.just("tel:+391")), max_size=3
).map(tuple)
menus = st.one_of(
    st.builds(commerce.QuickReplies, body=st.text("ab", min_size=1, max_size=30), options=options, links=links),
    options.map(
        lambda many: commerce.Menu(body="Choose", button="Open the list", sections=(commerce.Section(options=many),))
    ),
    st.builds(
        commerce.LinkButton,
        body=st.just("See"),
        title=st.text("ab", min_size=1, max_size=30),
        url=st.just("https://e.org"),
    ),
    st.builds(
        lambda many, more: commerce.Carousel(
            cards=(commerce.Card(body="One", options=many[:3]), commerce.Card(body="Two", links=more))
        ),
        options,
        links,
    ),
    st.builds(
        commerce.Template,
        name=st.just("t"),
        language=st.just("de"),
        body=st.just("Hello"),
        options=options | st.just(()),
        links=links,
    ),
    st.just(commerce.Location(latitude=1.5, longitude=2.5)),
    st.just(
        commerce.ProductList(
            body="All", sections=(commerce.ProductSection(products=(commerce.Product(id="p", title="P"),) * 3),)
        )
    ),
).map(commerce.single)
leaves = said | menus
several = st.recursive(
    leaves,
    lambda inner: st.builds(
        MultiPart,
        semantics=st.sampled_from(Semantics),
        parts=st.lists(inner, min_size=2, max_size=4).map(tuple),
        disposition=st.sampled_from(Disposition),
    ),
    max_leaves=6,
)
contents = st.one_of(
    strategies.contents(),
    st.builds(
        Content,
        salt=st.just(bytes(16)),
        part=several,
        replaces=st.none() | st.just(bytes(32)),
        in_reply_to=st.none() | st.just(bytes(32)),
        topic_id=st.sampled_from([b"", b"t"]),
        expires=st.none() | strategies.expirations(),
    ),
)

# --- everything that a network can be ---------------------------------------------------------------------------------

levels = st.sampled_from(Level)
maybe = st.none() | st.integers(0, 60)
rules = st.builds(FileRule, level=levels, max_size=maybe, caption=levels, max_caption=maybe)
ways = st.builds(
    Way,
    text=st.sampled_from([Level.FULL, Level.FULL, *Level]),
    features=st.dictionaries(st.sampled_from(Feature), levels),
    formatting=st.dictionaries(st.sampled_from(Format), levels),
    files=st.dictionaries(st.sampled_from(["image/png", "image/*", "*/*"]), rules),
    reactions=st.none() | st.just(frozenset({"👍"})),
)
limits = st.builds(
    Limits, unit=st.sampled_from(Unit), **{name: maybe for name in Limits.__struct_fields__ if name != "unit"}
)
networks = st.builds(
    Capabilities,
    leg=st.sampled_from(LegClass),
    send=ways,
    limits=limits,
    edit_age=maybe,
    delete_age=maybe,
    shows_sender=st.booleans(),
)
referenced = st.builds(
    degrade.Referenced,
    known=st.booleans(),
    age=maybe,
    text=words,
    sender=st.text(max_size=100),
    reaction=st.booleans(),
)
contexts = st.builds(
    degrade.Context,
    sender=st.text(max_size=200),
    replaced=st.none() | referenced,
    answered=st.none() | referenced,
)
thorough = settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@thorough
@given(contents, networks, contexts)
def test_there_is_always_a_plan_within_the_limits(content, network, context):
    plan = degrade.plan(content, network, context=context)
    assert not (plan.refused and plan.messages)
    for message in plan.messages:
        obeys(message.part, network)
        assert not message.keeps_replaces or content.replaces is not None
        assert not message.keeps_in_reply_to or content.in_reply_to is not None
    for loss in plan.losses:
        assert loss.text
        assert loss.level is not Level.FULL


@given(contents, networks, contexts)
def test_the_same_is_always_planned_the_same_way(content, network, context):
    assert degrade.plan(content, network, context=context) == degrade.plan(content, network, context=context)


def obeys(part, network):
    """Assert that an adapter of this network may be handed ``part``."""
    send, limit, unit = network.send, network.limits, network.limits.unit
    match part:
        case NullPart():
            assert max(send.level(Feature.DELETE), send.level(Feature.REACTION)) >= Level.PARTIAL
        case SinglePart(content_type=kind) if commerce.is_commerce(kind):
            shown = commerce.decode(kind, part.content)
            assert send.level(commerce.feature_of(shown)) >= Level.PARTIAL
            obeys_shape(shown, limit)
        case SinglePart(content_type="text/plain;charset=utf-8" | "text/markdown;variant=GFM-MIMI"):
            assert limit.text is None or unit.length(part.text) <= limit.text
            assert part.text.strip()
            if part.content_type == MARKDOWN:
                assert all(send.format(kind) >= Level.PARTIAL for kind in formats(markdown.read(part.text)))
            if part.disposition == Disposition.REACTION:
                assert send.level(Feature.REACTION) >= Level.PARTIAL
                assert send.reactions is None or part.text in send.reactions
        case SinglePart(content_type=kind):
            assert kind in ("application/mimi-message-status", "application/vnd.rialto.typing")
        case ExternalPart():
            rule = send.file(part.content_type)
            assert rule.level >= Level.PARTIAL
            assert rule.max_size is None or part.size <= rule.max_size
        case MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(ExternalPart() as file, SinglePart() as caption)):
            rule = send.file(file.content_type)
            obeys(file, network)
            obeys(caption, network)
            assert rule.caption >= Level.PARTIAL
            assert rule.max_caption is None or unit.length(caption.text) <= rule.max_caption
        case _:
            raise AssertionError(f"no adapter expects {part}")


def obeys_shape(shown, limit):
    within(getattr(shown, "body", ""), limit.body, limit)
    within(getattr(shown, "header", ""), limit.header, limit)
    within(getattr(shown, "footer", ""), limit.footer, limit)
    rows = isinstance(shown, commerce.Menu)
    cards = shown.cards if isinstance(shown, commerce.Carousel) else (shown,)
    for card in cards:
        group = commerce.options_of(shown) if card is shown else card.options
        beside = getattr(card, "links", ())
        most = limit.list_rows if rows else limit.buttons
        assert most is None or len(group) + len(beside) <= most or not (group or beside)
        for link in beside:
            within(link.title, limit.button_title, limit)
        for option in group:
            within(option.title, limit.row_title if rows else limit.button_title, limit)
            within(option.id, limit.row_id if rows else limit.button_id, limit)
            within(option.description, limit.row_description, limit)
    match shown:
        case commerce.Menu(button=button, sections=sections):
            within(button, limit.button_title, limit)
            assert limit.list_sections is None or len(sections) <= limit.list_sections
        case commerce.Carousel(cards=cards):
            assert limit.cards is None or len(cards) <= limit.cards
            for card in cards:
                within(card.body, limit.body, limit)
        case commerce.LinkButton(title=title):
            within(title, limit.button_title, limit)
        case commerce.ProductList(sections=sections):
            assert limit.products is None or sum(len(section.products) for section in sections) <= limit.products


def within(text, most, limit):
    assert most is None or limit.unit.length(text) <= most


@given(st.text("ab \n\u0301👩\u200d👧é\U0001f1e9", max_size=300), st.integers(1, 40), st.sampled_from(Unit))
def test_pieces_fit_and_say_everything(text, limit, unit):
    pieces = list(split(text, limit, unit))
    assert all(0 < unit.length(piece) <= limit for piece in pieces)
    if limit >= 4:
        assert "".join("".join(pieces).split()) == "".join(text.split())


@given(st.text(max_size=60), st.integers(0, 40), st.sampled_from(Unit))
def test_a_shortened_text_fits(text, limit, unit):
    assert unit.length(shorten(text, limit, unit)) <= limit


@given(menus, st.data())
def test_a_number_finds_its_option(part, data):
    shown = commerce.decode(part.content_type, part.content)
    offered = commerce.options_of(shown)
    if offered:
        number = data.draw(st.integers(1, len(offered)))
        assert degrade.match_option(f" {number}. ", shown).id == offered[number - 1].id
    assert degrade.match_option(str(len(offered) + 1), shown) is None


def test_every_business_part_has_a_strategy_of_its_own_type():
    assert set(PART_TYPES) <= set(Feature)
