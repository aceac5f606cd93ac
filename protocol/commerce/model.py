"""What businesses send and customers answer, as parts of a message.

The types follow what the WhatsApp Cloud API, the Sinch Conversation API and Infobip's Messages API have in common;
``protocol.commerce.fields`` has the limits and what the parts share.

A reply (``Choice``, ``Location``, ``ContactCard``, ``FormReply``, ``Order``, ``OrderStatus``, ``PaymentStatus``)
answers the message that its content's ``in_reply_to`` names; ``answers`` in ``protocol.commerce.codec`` says whether
it can.
"""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from typing import Annotated, TypeAlias

from msgspec import Meta, field

from protocol.capabilities import Feature
from protocol.commerce.fields import (
    MAX_CARDS,
    MAX_OPTIONS,
    MAX_ROWS,
    MAX_SECTIONS,
    Body,
    Commerce,
    Id,
    Labelled,
    Line,
    Links,
    LinkTo,
    Media,
    Milliseconds,
    Money,
    Option,
    OptionalBody,
    OptionalId,
    OptionalTitle,
    OptionalUrl,
    PostalAddress,
    Text,
    Title,
    Url,
    distinct,
)

# --- to choose from ---------------------------------------------------------------------------------------------------


class QuickReplies(Commerce, frozen=True):
    """A text with buttons, of which one is chosen; ``links`` are buttons that answer nothing."""

    body: Body
    options: Annotated[tuple[Option, ...], Meta(min_length=1, max_length=MAX_OPTIONS)]
    header: Line = ""
    footer: Line = ""
    media: Media | None = None
    links: Links = ()

    def __post_init__(self) -> None:
        distinct(self.options)


class Section(Commerce, frozen=True):
    """Rows of a list under one title."""

    options: Annotated[tuple[Option, ...], Meta(min_length=1, max_length=MAX_ROWS)]
    title: OptionalTitle = ""


class Menu(Commerce, frozen=True):
    """A text with a list that opens at the press of ``button``; one row is chosen. At most 100 rows in all."""

    body: Body
    button: Title
    sections: Annotated[tuple[Section, ...], Meta(min_length=1, max_length=MAX_SECTIONS)]
    header: Line = ""
    footer: Line = ""
    media: Media | None = None

    def __post_init__(self) -> None:
        rows = tuple(option for section in self.sections for option in section.options)
        distinct(rows)
        if len(rows) > MAX_ROWS:
            raise ValueError(f"more than {MAX_ROWS} rows")


class LinkButton(Commerce, frozen=True):
    """A text with a button that opens a page, calls (``tel:``), writes (``mailto:``) or shows a place (``geo:``)."""

    body: Body
    title: Title
    url: Url
    header: Line = ""
    footer: Line = ""
    media: Media | None = None


class Card(Commerce, frozen=True):
    """One card of a carousel: a picture or a film, a text, options and links."""

    body: Body
    title: OptionalTitle = ""
    media: Media | None = None
    options: Annotated[tuple[Option, ...], Meta(max_length=4)] = ()
    links: Annotated[tuple[LinkTo, ...], Meta(max_length=4)] = ()


class Carousel(Commerce, frozen=True):
    """A text with cards side by side."""

    cards: Annotated[tuple[Card, ...], Meta(min_length=1, max_length=MAX_CARDS)]
    body: OptionalBody = ""

    def __post_init__(self) -> None:
        distinct(tuple(option for card in self.cards for option in card.options))


class Template(Commerce, frozen=True):
    """A message that was approved beforehand, with its parameters; ``body`` is its text as rendered for this person.

    ``language`` is a tag of RFC 5646. Networks that know templates send ``name``, ``language`` and ``parameters``: by
    name, or ``"1"``, ``"2"`` and so on, for the body; ``header.`` or ``button.`` before it for a header or, counted
    from 0, a button (``"header.1"``, ``"button.0"``). All others show the rest, which is rendered too: what stands
    above the text, the options, the links, and a ``code`` to be copied.
    """

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    language: Annotated[str, Meta(min_length=2, max_length=35, pattern=r"^[A-Za-z0-9_-]+\Z")]
    body: Body
    parameters: Annotated[dict[Id, Text], Meta(max_length=64)] = field(default_factory=dict)
    header: Line = ""
    footer: Line = ""
    media: Media | None = None
    place: Location | None = None
    options: Annotated[tuple[Option, ...], Meta(max_length=10)] = ()
    links: Links = ()
    code: Annotated[str, Meta(max_length=64)] = ""
    category: Annotated[str, Meta(max_length=32)] = ""

    def __post_init__(self) -> None:
        distinct(self.options)


class Choice(Commerce, frozen=True):
    """The option that somebody chose, of the message answered."""

    id: Id
    title: Title
    description: Line = ""


# --- where and who ----------------------------------------------------------------------------------------------------


class ContactRequest(Commerce, frozen=True):
    """A text that asks for somebody's contact card: their telephone number, most of all."""

    body: Body


class LocationRequest(Commerce, frozen=True):
    """A text that asks where somebody is."""

    body: Body


class Location(Commerce, frozen=True):
    """A place: degrees on WGS 84, what it is called, and a page about it."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    name: Line = ""
    address: Text = ""
    url: OptionalUrl = ""

    def __post_init__(self) -> None:
        if not (isfinite(self.latitude) and isfinite(self.longitude)):
            raise ValueError("not a number")


_Several: TypeAlias = Annotated[tuple[Labelled, ...], Meta(max_length=20)]


class ContactCard(Commerce, frozen=True):
    """How to reach somebody. ``name`` is the whole name, the next five its parts; ``birthday`` a date of RFC 3339."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    given: Line = ""
    middle: Line = ""
    family: Line = ""
    prefix: Line = ""
    suffix: Line = ""
    phones: _Several = ()
    emails: _Several = ()
    urls: _Several = ()
    addresses: Annotated[tuple[PostalAddress, ...], Meta(max_length=20)] = ()
    organisation: Line = ""
    department: Line = ""
    role: Line = ""
    birthday: Annotated[str, Meta(max_length=10, pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?\Z")] = ""


# --- what is for sale -------------------------------------------------------------------------------------------------


class Product(Commerce, frozen=True):
    """One thing in a catalogue; ``id`` is the retailer's own."""

    id: Id
    title: Annotated[str, Meta(min_length=1, max_length=256)]
    catalog: OptionalId = ""
    description: OptionalBody = ""
    price: Money | None = None
    url: OptionalUrl = ""
    image: OptionalUrl = ""


class ProductSection(Commerce, frozen=True):
    """Products under one title."""

    products: Annotated[tuple[Product, ...], Meta(min_length=1, max_length=MAX_ROWS)]
    title: OptionalTitle = ""


class ProductList(Commerce, frozen=True):
    """A text with products to choose from. At most 100 of them in all."""

    body: Body
    sections: Annotated[tuple[ProductSection, ...], Meta(min_length=1, max_length=MAX_SECTIONS)]
    header: Line = ""
    footer: Line = ""

    def __post_init__(self) -> None:
        if sum(len(section.products) for section in self.sections) > MAX_ROWS:
            raise ValueError(f"more than {MAX_ROWS} products")


class OrderLine(Commerce, frozen=True):
    """So many of one product, at a price each."""

    product: Id
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]
    title: Annotated[str, Meta(max_length=256)] = ""
    price: Money | None = None


class Order(Commerce, frozen=True):
    """What a customer wants to buy."""

    lines: Annotated[tuple[OrderLine, ...], Meta(min_length=1, max_length=MAX_ROWS)]
    catalog: OptionalId = ""
    note: OptionalBody = ""


class OrderState(StrEnum):
    """How far an order has come."""

    PENDING = "pending"
    PROCESSING = "processing"
    PARTLY_SHIPPED = "partly-shipped"
    SHIPPED = "shipped"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class OrderStatus(Commerce, frozen=True):
    """What became of an order: of the one answered, or of the one with this reference. ``url`` may track a parcel."""

    reference: Id
    state: OrderState
    note: OptionalBody = ""
    url: OptionalUrl = ""


class PaymentRequest(Commerce, frozen=True):
    """A bill: what for, how much, where to pay, and until when (``expires``, milliseconds since 1970, 0: for ever).

    What ``total`` adds up from may be said: ``subtotal``, and ``tax``, ``shipping`` and ``discount``.
    """

    reference: Id
    body: Body
    total: Money
    lines: Annotated[tuple[OrderLine, ...], Meta(max_length=MAX_ROWS)] = ()
    subtotal: Money | None = None
    tax: Money | None = None
    shipping: Money | None = None
    discount: Money | None = None
    url: OptionalUrl = ""
    expires: Milliseconds = 0
    header: Line = ""
    footer: Line = ""
    media: Media | None = None


class PaymentState(StrEnum):
    """How far a payment has come."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class PaymentStatus(Commerce, frozen=True):
    """What became of the payment with this reference."""

    reference: Id
    state: PaymentState
    amount: Money | None = None
    note: Line = ""


# --- to fill in -------------------------------------------------------------------------------------------------------


class FieldKind(StrEnum):
    """What a field of a form takes."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    EMAIL = "email"
    PHONE = "phone"
    CHOICE = "choice"
    AGREE = "agree"


class Field(Commerce, frozen=True):
    """One question of a form."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    label: Annotated[str, Meta(min_length=1, max_length=256)]
    kind: FieldKind = FieldKind.TEXT
    required: bool = False
    options: Annotated[tuple[Option, ...], Meta(max_length=MAX_ROWS)] = ()

    def __post_init__(self) -> None:
        distinct(self.options)


class Form(Commerce, frozen=True):
    """Questions to answer at once: ``fields`` to be shown, or a page at ``url`` (a flow, an appointment book).

    ``id`` comes back in the ``FormReply``, and so does ``token``, which tells one asking from another. A form that the
    network keeps itself is opened at ``screen``, with ``data`` filled in.
    """

    id: Id
    body: Body
    button: Title
    fields: Annotated[tuple[Field, ...], Meta(max_length=50)] = ()
    url: OptionalUrl = ""
    header: Line = ""
    footer: Line = ""
    media: Media | None = None
    token: OptionalId = ""
    screen: OptionalId = ""
    data: Annotated[dict[Id, OptionalBody], Meta(max_length=64)] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len({field.name for field in self.fields}) != len(self.fields):
            raise ValueError("two fields have the same name")


class FormReply(Commerce, frozen=True):
    """The answers to a form, by the names of its fields."""

    form: Id
    values: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=4096)]],
        Meta(max_length=50),
    ]
    token: OptionalId = ""


# --- where somebody came from -----------------------------------------------------------------------------------------


class Referral(Commerce, frozen=True):
    """The advertisement or post from which a customer started this conversation.

    ``media`` is what it showed, ``thumbnail`` a small picture of a film, ``greeting`` the words it greeted them with.
    """

    source: Annotated[str, Meta(max_length=4, pattern=r"^(ad|post|link)\Z")]
    id: OptionalId = ""
    url: OptionalUrl = ""
    headline: Line = ""
    body: OptionalBody = ""
    media: Media | None = None
    thumbnail: OptionalUrl = ""
    greeting: OptionalBody = ""
    click_id: Annotated[str, Meta(max_length=512)] = ""


# --- the table --------------------------------------------------------------------------------------------------------

PART_TYPES: dict[Feature, type[Commerce]] = {
    Feature.QUICK_REPLIES: QuickReplies,
    Feature.LIST: Menu,
    Feature.LINK_BUTTON: LinkButton,
    Feature.CHOICE: Choice,
    Feature.LOCATION_REQUEST: LocationRequest,
    Feature.LOCATION: Location,
    Feature.CONTACT_REQUEST: ContactRequest,
    Feature.CONTACT: ContactCard,
    Feature.PRODUCT: Product,
    Feature.PRODUCT_LIST: ProductList,
    Feature.CAROUSEL: Carousel,
    Feature.ORDER: Order,
    Feature.ORDER_STATUS: OrderStatus,
    Feature.PAYMENT_REQUEST: PaymentRequest,
    Feature.PAYMENT_STATUS: PaymentStatus,
    Feature.FORM: Form,
    Feature.FORM_REPLY: FormReply,
    Feature.TEMPLATE: Template,
    Feature.REFERRAL: Referral,
}
"""Every business part: the feature that a network must have for it, which also names its media type, and its type."""
