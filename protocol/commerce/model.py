"""What businesses send and customers answer, as parts of a message.

The types follow what the WhatsApp Cloud API, the Sinch Conversation API and Infobip's Messages API have in common.
Every field has a limit, which is part of its type: the schema's own, at least as wide as any of the networks'; what one
network takes is the affair of ``protocol.degrade``. An empty string means that a field is not given.

A reply (``Choice``, ``Location``, ``FormReply``, ``Order``, ``PaymentStatus``) answers the message that its content's
``in_reply_to`` names; ``answers`` in ``protocol.commerce.codec`` says whether it can.
"""

from __future__ import annotations

from enum import StrEnum
from math import isfinite
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from protocol.capabilities import Feature

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
OptionalId: TypeAlias = Annotated[str, Meta(max_length=256)]
Title: TypeAlias = Annotated[str, Meta(min_length=1, max_length=80)]
OptionalTitle: TypeAlias = Annotated[str, Meta(max_length=80)]
Line: TypeAlias = Annotated[str, Meta(max_length=256)]
Body: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]
OptionalBody: TypeAlias = Annotated[str, Meta(max_length=4096)]
Url: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2048, pattern=r"^(https?://|mailto:|tel:|cid:)\S+\Z")]
OptionalUrl: TypeAlias = Annotated[str, Meta(max_length=2048, pattern=r"^((https?://|mailto:|tel:|cid:)\S+)?\Z")]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]

MAX_OPTIONS = 20
MAX_SECTIONS = 20
MAX_ROWS = 100
MAX_CARDS = 20


class Commerce(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all business parts have in common: strict fields, and nothing written that is not given."""


def _distinct(options: tuple[Option, ...]) -> None:
    if len({option.id for option in options}) != len(options):
        raise ValueError("two options have the same id")


# --- to choose from ---------------------------------------------------------------------------------------------------


class Option(Commerce, frozen=True):
    """Something to choose: a button or a row. ``id`` comes back in the ``Choice``; people see the rest."""

    id: Id
    title: Title
    description: Line = ""


class QuickReplies(Commerce, frozen=True):
    """A text with buttons, of which one is chosen."""

    body: Body
    options: Annotated[tuple[Option, ...], Meta(min_length=1, max_length=MAX_OPTIONS)]
    header: Line = ""
    footer: Line = ""

    def __post_init__(self) -> None:
        _distinct(self.options)


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

    def __post_init__(self) -> None:
        rows = tuple(option for section in self.sections for option in section.options)
        _distinct(rows)
        if len(rows) > MAX_ROWS:
            raise ValueError(f"more than {MAX_ROWS} rows")


class LinkButton(Commerce, frozen=True):
    """A text with a button that opens a page."""

    body: Body
    title: Title
    url: Url
    header: Line = ""
    footer: Line = ""


class Card(Commerce, frozen=True):
    """One card of a carousel: a picture, a text, and either options or a link."""

    body: Body
    image: OptionalUrl = ""
    options: Annotated[tuple[Option, ...], Meta(max_length=3)] = ()
    link: LinkTo | None = None


class LinkTo(Commerce, frozen=True):
    """A link with its words."""

    title: Title
    url: Url


class Carousel(Commerce, frozen=True):
    """A text with cards side by side."""

    cards: Annotated[tuple[Card, ...], Meta(min_length=1, max_length=MAX_CARDS)]
    body: OptionalBody = ""

    def __post_init__(self) -> None:
        _distinct(tuple(option for card in self.cards for option in card.options))


class Template(Commerce, frozen=True):
    """A message that was approved beforehand, with its parameters; ``body`` is its text as rendered for this person.

    ``language`` is a tag of RFC 5646. Networks that know templates send ``name``, ``language`` and ``parameters``, in
    the order given; all others show ``body``.
    """

    name: Annotated[str, Meta(min_length=1, max_length=512)]
    language: Annotated[str, Meta(min_length=2, max_length=35, pattern=r"^[A-Za-z0-9_-]+\Z")]
    body: Body
    parameters: Annotated[dict[Id, Annotated[str, Meta(max_length=1024)]], Meta(max_length=64)] = {}
    header: Line = ""
    footer: Line = ""
    options: Annotated[tuple[Option, ...], Meta(max_length=10)] = ()
    category: Annotated[str, Meta(max_length=32)] = ""

    def __post_init__(self) -> None:
        _distinct(self.options)


class Choice(Commerce, frozen=True):
    """The option that somebody chose, of the message answered."""

    id: Id
    title: Title
    description: Line = ""


# --- where and who ----------------------------------------------------------------------------------------------------


class LocationRequest(Commerce, frozen=True):
    """A text that asks where somebody is."""

    body: Body


class Location(Commerce, frozen=True):
    """A place: degrees on WGS 84, and what it is called."""

    latitude: Annotated[float, Meta(ge=-90, le=90)]
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    name: Line = ""
    address: Annotated[str, Meta(max_length=1024)] = ""

    def __post_init__(self) -> None:
        if not (isfinite(self.latitude) and isfinite(self.longitude)):
            raise ValueError("not a number")


class Labelled(Commerce, frozen=True):
    """A telephone number, an e-mail address, a page or a postal address, and what it is for ("work")."""

    value: Annotated[str, Meta(min_length=1, max_length=2048)]
    label: Annotated[str, Meta(max_length=64)] = ""


_Several: TypeAlias = Annotated[tuple[Labelled, ...], Meta(max_length=20)]


class ContactCard(Commerce, frozen=True):
    """How to reach somebody. ``birthday`` is a date of RFC 3339."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    phones: _Several = ()
    emails: _Several = ()
    urls: _Several = ()
    addresses: _Several = ()
    organisation: Line = ""
    role: Line = ""
    birthday: Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?\Z")] = ""


# --- what is for sale -------------------------------------------------------------------------------------------------


class Money(Commerce, frozen=True):
    """An amount: ``value`` in units of 10 to the minus ``exponent`` of a currency of ISO 4217."""

    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    value: Annotated[int, Meta(ge=-(2**53 - 1), le=2**53 - 1)]
    exponent: Annotated[int, Meta(ge=0, le=6)] = 2


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


class PaymentRequest(Commerce, frozen=True):
    """A bill: what for, how much, where to pay, and until when (``expires``, milliseconds since 1970, 0: for ever)."""

    reference: Id
    body: Body
    total: Money
    lines: Annotated[tuple[OrderLine, ...], Meta(max_length=MAX_ROWS)] = ()
    url: OptionalUrl = ""
    expires: Milliseconds = 0


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
        _distinct(self.options)


class Form(Commerce, frozen=True):
    """Questions to answer at once: ``fields`` to be shown, or a page at ``url`` (a flow, an appointment book)."""

    id: Id
    body: Body
    button: Title
    fields: Annotated[tuple[Field, ...], Meta(max_length=50)] = ()
    url: OptionalUrl = ""
    header: Line = ""
    footer: Line = ""

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


# --- where somebody came from -----------------------------------------------------------------------------------------


class Referral(Commerce, frozen=True):
    """The advertisement or post from which a customer started this conversation."""

    source: Annotated[str, Meta(pattern=r"^(ad|post|link)\Z")]
    id: OptionalId = ""
    url: OptionalUrl = ""
    headline: Line = ""
    body: OptionalBody = ""
    image: OptionalUrl = ""
    click_id: Annotated[str, Meta(max_length=512)] = ""


# --- the table --------------------------------------------------------------------------------------------------------

PART_TYPES: dict[Feature, type[Commerce]] = {
    Feature.QUICK_REPLIES: QuickReplies,
    Feature.LIST: Menu,
    Feature.LINK_BUTTON: LinkButton,
    Feature.CHOICE: Choice,
    Feature.LOCATION_REQUEST: LocationRequest,
    Feature.LOCATION: Location,
    Feature.CONTACT: ContactCard,
    Feature.PRODUCT: Product,
    Feature.PRODUCT_LIST: ProductList,
    Feature.CAROUSEL: Carousel,
    Feature.ORDER: Order,
    Feature.PAYMENT_REQUEST: PaymentRequest,
    Feature.PAYMENT_STATUS: PaymentStatus,
    Feature.FORM: Form,
    Feature.FORM_REPLY: FormReply,
    Feature.TEMPLATE: Template,
    Feature.REFERRAL: Referral,
}
"""Every business part: the feature that a network must have for it, which also names its media type, and its type."""
