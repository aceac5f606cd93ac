"""What businesses send: the same bytes for the same part, limits on every field, and words beside it."""

from __future__ import annotations

import pytest
from msgspec import inspect

from protocol import cbor, commerce, degrade
from protocol.capabilities import Capabilities, Feature
from protocol.commerce import (
    PART_TYPES,
    BadField,
    Card,
    Carousel,
    Choice,
    ContactCard,
    ContactRequest,
    Field,
    FieldKind,
    Form,
    FormReply,
    Labelled,
    LinkButton,
    LinkTo,
    Location,
    LocationRequest,
    Media,
    MediaKind,
    Menu,
    Money,
    Option,
    Order,
    OrderLine,
    OrderState,
    OrderStatus,
    PaymentRequest,
    PaymentState,
    PaymentStatus,
    PostalAddress,
    Product,
    ProductList,
    ProductSection,
    QuickReplies,
    Referral,
    Section,
    Template,
    Undecodable,
    UnknownKind,
)
from protocol.content import Content, ExternalPart, MultiPart, Semantics, SinglePart, cid, referenced, text

RED, BLUE = Option(id="r", title="Red"), Option(id="b", title="Blue", description="like the sea")
EUROS = Money(currency="EUR", value=1250)
CHAIR = Product(id="chair-1", title="Chair", price=EUROS, url="https://shop.example/chair", description="Four legs.")
LINE = OrderLine(product="chair-1", quantity=2, title="Chair", price=EUROS)

ROSES = Media(kind=MediaKind.IMAGE, url="https://e.org/roses.jpg")
CALL, SHOP = LinkTo(title="Call us", url="tel:+391"), LinkTo(title="See all", url="https://e.org")

EXAMPLES = [
    (
        QuickReplies(body="Which colour?", options=(RED, BLUE), media=ROSES, links=(CALL,), footer="Thank you"),
        "Image: https://e.org/roses.jpg\nWhich colour?\n1. Red\n2. Blue - like the sea\nCall us: +391\nThank you",
    ),
    (
        Menu(
            body="What next?",
            button="Choose",
            sections=(Section(title="Paint", options=(RED,)), Section(options=(BLUE,))),
        ),
        "What next?\nPaint:\n1. Red\n2. Blue - like the sea",
    ),
    (
        LinkButton(body="Your parcel is on its way.", title="Track it", url="https://e.org/1"),
        "Your parcel is on its way.\nTrack it: https://e.org/1",
    ),
    (Choice(id="r", title="Red"), "Red"),
    (
        LinkButton(body="Read on", title="Write", url="mailto:a@e.org", media=Media(kind=MediaKind.VIDEO, url="cid:3")),
        "Read on\nWrite: a@e.org",
    ),
    (
        ContactRequest(body="How can we reach you?"),
        "How can we reach you?\n(Please answer with your telephone number.)",
    ),
    (LocationRequest(body="Where are you?"), "Where are you?\n(Please answer with your location.)"),
    (
        Location(latitude=45.438, longitude=12.3359, name="Rialto", address="Venezia", url="https://e.org/rialto"),
        "Rialto\nVenezia\ngeo:45.438000,12.335900\nhttps://e.org/rialto",
    ),
    (
        ContactCard(
            name="Juliet Capulet",
            given="Juliet",
            family="Capulet",
            role="Heiress",
            organisation="House of Capulet",
            addresses=(
                PostalAddress(
                    street="Via Cappello 23", postcode="37121", city="Verona", country="Italia", label="home"
                ),
                PostalAddress(country_code="IT"),
                PostalAddress(label="none"),
            ),
            phones=(Labelled(value="+39 1", label="home"),),
            emails=(Labelled(value="j@capulet.example"),),
            birthday="1580-07-31",
        ),
        (
            "Juliet Capulet\nHeiress, House of Capulet\n+39 1 (home)\nj@capulet.example\n"
            "Via Cappello 23, 37121 Verona, Italia (home)\nIT\n1580-07-31"
        ),
    ),
    (CHAIR, "Chair, 12.50 EUR\nFour legs.\nhttps://shop.example/chair"),
    (
        ProductList(
            body="All we have",
            sections=(
                ProductSection(title="To sit on", products=(CHAIR,)),
                ProductSection(products=(Product(id="t", title="Table"),)),
            ),
        ),
        "All we have\nTo sit on:\n* Chair, 12.50 EUR https://shop.example/chair\n* Table",
    ),
    (
        Carousel(
            body="Look",
            cards=(
                Card(body="A red one", media=ROSES, options=(RED,)),
                Card(body="A blue one", title="New", options=(BLUE,)),
                Card(body="More", links=(SHOP, CALL)),
            ),
        ),
        (
            "Look\n* A red one\nImage: https://e.org/roses.jpg\n1. Red\n"
            "* New: A blue one\n2. Blue - like the sea\n* More\nSee all: https://e.org\nCall us: +391"
        ),
    ),
    (
        Order(lines=(LINE, OrderLine(product="t", quantity=1)), note="By Friday"),
        "Order:\n2 x Chair, 12.50 EUR each\n1 x t\nBy Friday",
    ),
    (
        OrderStatus(reference="7", state=OrderState.PARTLY_SHIPPED, note="The table follows", url="https://e.org/7"),
        "Order 7: partly shipped\nThe table follows\nhttps://e.org/7",
    ),
    (
        PaymentRequest(
            reference="7",
            body="Your chairs",
            total=EUROS,
            lines=(LINE,),
            tax=Money(currency="EUR", value=225),
            url="https://pay.example/7",
            footer="Thank you",
        ),
        (
            "Your chairs\n2 x Chair, 12.50 EUR each\nTax: 2.25 EUR\nTotal: 12.50 EUR\nPay here: https://pay.example/7\n"
            "Thank you"
        ),
    ),
    (PaymentStatus(reference="7", state=PaymentState.PAID, amount=EUROS), "Payment 7: paid, 12.50 EUR"),
    (PaymentStatus(reference="7", state=PaymentState.FAILED, note="No money"), "Payment 7: failed\nNo money"),
    (
        Form(
            id="f",
            body="An appointment?",
            button="Book",
            url="https://e.org/f",
            fields=(
                Field(name="day", label="Which day", kind=FieldKind.DATE, required=True),
                Field(name="colour", label="Which colour", kind=FieldKind.CHOICE, options=(RED, BLUE)),
            ),
        ),
        "An appointment?\n* Which day (required)\n* Which colour (Red, Blue)\nBook: https://e.org/f",
    ),
    (Form(id="f", body="Come in", button="Go"), "Come in"),
    (
        Template(
            name="shipped",
            language="de",
            body="Ihr Paket ist da.",
            media=Media(kind=MediaKind.DOCUMENT, url="https://e.org/7.pdf", filename="Rechnung.pdf"),
            options=(RED,),
            links=(SHOP,),
            code="DANKE10",
            parameters={"1": "x", "button.0": "7"},
            category="utility",
        ),
        "Rechnung.pdf: https://e.org/7.pdf\nIhr Paket ist da.\nCode: DANKE10\n1. Red\nSee all: https://e.org",
    ),
    (
        Template(name="here", language="de", body="Hier sind wir.", place=Location(latitude=1.5, longitude=2.5)),
        "geo:1.500000,2.500000\nHier sind wir.",
    ),
    (
        Referral(source="ad", headline="Chairs!", url="https://ad.example", media=ROSES, click_id="ARAk"),
        "Chairs!\nhttps://ad.example",
    ),
    (Referral(source="link"), "-"),
]
FORM_REPLY = FormReply(form="f", values={"day": "Friday", "colour": "r"})


@pytest.mark.parametrize(("part", "words"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_every_part_travels_and_can_be_read_aloud(part, words):
    encoded = commerce.encode(part)
    assert commerce.decode(commerce.media_type(part), encoded) == part
    assert commerce.text_of(part) == words


def test_answers_to_a_form_travel_too():
    assert commerce.decode(commerce.media_type(FORM_REPLY), commerce.encode(FORM_REPLY)) == FORM_REPLY
    assert commerce.text_of(FORM_REPLY) == "colour: r\nday: Friday"


def test_every_type_has_an_example():
    assert {type(part) for part, _ in EXAMPLES} | {FormReply} == set(PART_TYPES.values())


def test_a_part_stands_beside_words_that_everybody_can_show():
    question = QuickReplies(body="Which?", options=(RED,))
    message = commerce.message(question)
    assert message == MultiPart(
        semantics=Semantics.CHOOSE_ONE,
        parts=(
            SinglePart("application/vnd.rialto.quick-replies+cbor", commerce.encode(question)),
            text("Which?\n1. Red"),
        ),
    )
    assert commerce.find(message) == question
    assert commerce.message(question, "Welche?").parts[1] == text("Welche?")


def test_a_picture_above_a_text_may_travel_in_the_same_message():
    roses = ExternalPart("image/jpeg", "https://rialto.example/proxyDownload/0", enc_alg=1)
    question = QuickReplies(body="Which?", options=(RED,), media=Media(kind=MediaKind.IMAGE, url=cid(3)))
    message = commerce.message(question, files=(roses,))
    assert referenced(message, commerce.find(message).media.url) == roses
    assert message.parts[0] == MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(commerce.single(question), roses))
    assert message.parts[1] == text("Which?\n1. Red")
    bare = degrade.plan(Content(bytes(16), message), Capabilities())
    assert next(planned.part.text for planned in bare.messages) == "Which?\n1. Red"


def test_nothing_is_found_where_nothing_readable_is():
    broken = SinglePart("application/vnd.rialto.choice+cbor", b"\xa0")
    assert commerce.find(text("hello")) is None
    assert commerce.find(broken) is None
    both = MultiPart(semantics=Semantics.PROCESS_ALL, parts=(broken, commerce.single(Choice(id="r", title="Red"))))
    assert commerce.find(both) == Choice(id="r", title="Red")


def test_the_type_names_the_feature_that_a_network_must_have():
    assert commerce.feature_of(CHAIR) is Feature.PRODUCT
    assert commerce.feature_of(Product) is Feature.PRODUCT
    assert commerce.is_commerce("application/vnd.rialto.product+cbor")
    assert not commerce.is_commerce("application/vnd.rialto.typing")


# --- strict both ways -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        (QuickReplies(body="", options=(RED,)), r"\$\.body"),
        (QuickReplies(body="x" * 4097, options=(RED,)), r"\$\.body"),
        (QuickReplies(body="x", options=()), r"\$\.options"),
        (QuickReplies(body="x", options=(Option(id="", title="y"),)), r"\$\.options\[0\]\.id"),
        (Location(latitude=90.5, longitude=0.0), r"\$\.latitude"),
        (LinkButton(body="x", title="y", url="javascript:alert(1)"), r"\$\.url"),
        (LinkButton(body="x", title="y", url="https://e.org/\n"), r"\$\.url"),
        (Money(currency="EUR", value=2**53), r"\$\.value"),
        (Choice(id="\ud800", title="y"), "choice"),
    ],
)
def test_what_is_outside_its_limits_is_not_written(part, complaint):
    if isinstance(part, Money):
        part = PaymentRequest(reference="1", body="x", total=part)
        complaint = r"\$\.total\.value"
    with pytest.raises(BadField, match=complaint):
        commerce.encode(part)


@pytest.mark.parametrize(
    "make",
    [
        lambda: QuickReplies(body="x", options=(RED, RED)),
        lambda: Menu(body="x", button="y", sections=(Section(options=(RED,)), Section(options=(RED,)))),
        lambda: Menu(body="x", button="y", sections=tuple(map(_many, range(2)))),
        lambda: ProductList(body="x", sections=(ProductSection(products=(CHAIR,) * 51),) * 2),
        lambda: Carousel(cards=(Card(body="x", options=(RED,)),) * 2),
        lambda: Form(id="f", body="x", button="y", fields=(Field(name="a", label="b"),) * 2),
        lambda: Location(latitude=float("nan"), longitude=0.0),
    ],
)
def test_what_contradicts_itself_cannot_even_be_said(make):
    with pytest.raises(ValueError, match=r"same|more than|number"):
        make()


def _many(section):
    return Section(options=tuple(Option(id=f"{section}.{row}", title="x") for row in range(51)))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"id": "r"}, "title"),
        ({"id": "r", "title": 1}, r"\$\.title"),
        ({"id": "r", "title": "Red", "colour": "red"}, "colour"),
        ({"id": "r", "title": "Red", "description": ""}, "default"),
        ([], "object"),
        ({1: "r"}, "choice"),
    ],
)
def test_what_is_not_the_schema_is_refused(fields, complaint):
    with pytest.raises(BadField, match=complaint):
        commerce.decode("application/vnd.rialto.choice+cbor", cbor.encode(fields))


def test_a_contradiction_from_outside_is_refused_like_any_other():
    fields = {"body": "x", "options": [{"id": "r", "title": "Red"}] * 2}
    with pytest.raises(BadField, match="same id"):
        commerce.decode("application/vnd.rialto.quick-replies+cbor", cbor.encode(fields))


def test_whole_degrees_are_written_as_they_are_read():
    place = Location(latitude=45, longitude=12)
    assert commerce.decode("application/vnd.rialto.location+cbor", commerce.encode(place)) == place


def test_nothing_is_without_a_limit():
    """Every text, number, list and map of every part, however deep: a part cannot be larger than its type allows."""
    seen: set[type] = set()

    def check(info: inspect.Type) -> None:
        match info:
            case inspect.StructType():
                if info.cls not in seen:
                    seen.add(info.cls)
                    for one in info.fields:
                        check(one.type)
            case inspect.UnionType():
                for one in info.types:
                    check(one)
            case inspect.VarTupleType():
                assert info.max_length is not None
                check(info.item_type)
            case inspect.DictType():
                assert info.max_length is not None
                check(info.key_type)
                check(info.value_type)
            case inspect.StrType():
                assert info.max_length is not None
            case inspect.IntType() | inspect.FloatType():
                assert info.ge is not None
                assert info.le is not None
            case _:
                assert isinstance(info, inspect.EnumType | inspect.BoolType | inspect.NoneType), info

    for kind in PART_TYPES.values():
        check(inspect.type_info(kind))
    assert seen > set(PART_TYPES.values()) | {
        Option,
        Money,
        Media,
        LinkTo,
        Labelled,
        PostalAddress,
        Section,
        Card,
        Field,
    }


def test_an_integer_is_no_coordinate():
    with pytest.raises(BadField, match="form"):
        commerce.decode("application/vnd.rialto.location+cbor", cbor.encode({"latitude": 1, "longitude": 1}))


def test_bytes_that_are_not_ours_are_told_apart():
    with pytest.raises(UnknownKind, match="text/plain"):
        commerce.decode("text/plain", b"")
    with pytest.raises(Undecodable, match="choice"):
        commerce.decode("application/vnd.rialto.choice+cbor", b"\xff")


def test_what_can_be_chosen_is_numbered_across_sections_and_cards():
    sections = (Section(options=(RED,)), Section(options=(BLUE,)))
    assert commerce.options_of(Menu(body="x", button="y", sections=sections)) == (RED, BLUE)
    assert commerce.options_of(Carousel(cards=(Card(body="x", options=(BLUE,)), Card(body="y")))) == (BLUE,)
    assert commerce.options_of(CHAIR) == ()


# --- answers ----------------------------------------------------------------------------------------------------------

COLOURS = QuickReplies(body="Which?", options=(RED, BLUE))


@pytest.mark.parametrize(
    ("reply", "request_", "fits"),
    [
        (Choice(id="r", title="Red"), COLOURS, True),
        (Choice(id="g", title="Green"), COLOURS, False),
        (Choice(id="r", title="Red"), CHAIR, False),
        (Location(latitude=0.0, longitude=0.0), LocationRequest(body="Where?"), True),
        (Location(latitude=0.0, longitude=0.0), COLOURS, False),
        (FORM_REPLY, Form(id="f", body="x", button="y"), True),
        (FORM_REPLY, Form(id="g", body="x", button="y"), False),
        (FORM_REPLY, Form(id="f", body="x", button="y", token="2"), False),
        (FormReply(form="f", values={}, token="2"), Form(id="f", body="x", button="y", token="2"), True),
        (ContactCard(name="Juliet"), ContactRequest(body="Who?"), True),
        (ContactCard(name="Juliet"), COLOURS, False),
        (OrderStatus(reference="7", state=OrderState.SHIPPED), Order(lines=(LINE,)), True),
        (
            PaymentStatus(reference="7", state=PaymentState.PAID),
            PaymentRequest(reference="7", body="x", total=EUROS),
            True,
        ),
        (
            PaymentStatus(reference="8", state=PaymentState.PAID),
            PaymentRequest(reference="7", body="x", total=EUROS),
            False,
        ),
        (Order(lines=(LINE,)), CHAIR, True),
        (Order(lines=(OrderLine(product="t", quantity=1),)), CHAIR, False),
        (Order(lines=(LINE,)), ProductList(body="x", sections=(ProductSection(products=(CHAIR,)),)), True),
        (
            Order(lines=(OrderLine(product="t", quantity=1),)),
            ProductList(body="x", sections=(ProductSection(products=(CHAIR,)),)),
            False,
        ),
    ],
)
def test_an_answer_belongs_to_its_question(reply, request_, fits):
    assert commerce.answers(reply, request_) is fits


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (Money(currency="EUR", value=-5), "-0.05 EUR"),
        (Money(currency="JPY", value=500, exponent=0), "500 JPY"),
        (Money(currency="KWD", value=1, exponent=3), "0.001 KWD"),
    ],
)
def test_money_is_read_in_its_own_denomination(amount, said):
    assert commerce.money(amount) == said
