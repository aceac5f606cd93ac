"""What a conversation on one network can show and do: the table that ``degrade.plan`` works from.

An adapter writes only what differs from the default, which is a bare network of plain text: every feature
``UNSUPPORTED``, no files, no limits. Levels are those of mautrix's ``RoomFeatures``, given for each direction.

    Capabilities(
        leg=LegClass.OPERATOR,
        send=Way(
            features={Feature.REPLY: Level.FULL, Feature.EDIT: Level.FULL},
            formatting={Format.BOLD: Level.FULL, Format.ITALIC: Level.FULL},
            files={"image/*": FileRule(max_size=5 << 20, caption=Level.FULL), "*/*": FileRule(max_size=100 << 20)},
        ),
        limits=Limits(text=4096),
        edit_age=15 * 60_000,
    )
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

from msgspec import Struct

from protocol.leg import LegClass


class Level(IntEnum):
    """How well something passes."""

    REJECTED = -2
    """A message with it is refused as a whole."""
    DROPPED = -1
    """The message goes through without it."""
    UNSUPPORTED = 0
    """The network has nothing of the kind; a fallback in words is sent where there is one."""
    PARTIAL = 1
    """The adapter converts it; something of it is lost."""
    FULL = 2
    """Nothing is lost."""


class Feature(StrEnum):
    """What can be said or done beside plain text, formatting and files."""

    REPLY = "reply"
    REACTION = "reaction"
    EDIT = "edit"
    DELETE = "delete"
    MENTION = "mention"
    EXPIRY = "expiry"
    TOPIC = "topic"
    LOCATION = "location"
    CONTACT = "contact"
    LOCATION_REQUEST = "location-request"
    CONTACT_REQUEST = "contact-request"
    QUICK_REPLIES = "quick-replies"
    LIST = "list"
    LINK_BUTTON = "link-button"
    CHOICE = "choice"
    """The answer to quick replies, a list or a template's button."""
    PRODUCT = "product"
    PRODUCT_LIST = "product-list"
    CAROUSEL = "carousel"
    ORDER = "order"
    ORDER_STATUS = "order-status"
    PAYMENT_REQUEST = "payment-request"
    PAYMENT_STATUS = "payment-status"
    FORM = "form"
    FORM_REPLY = "form-reply"
    TEMPLATE = "template"
    REFERRAL = "referral"
    DELIVERED = "delivered"
    READ = "read"
    TYPING = "typing"


class Format(StrEnum):
    """The kinds of formatting that the tree of ``protocol.richtext`` knows."""

    BOLD = "bold"
    ITALIC = "italic"
    STRIKE = "strike"
    CODE = "code"
    CODE_BLOCK = "code-block"
    QUOTE = "quote"
    LINK = "link"
    BULLETS = "bullets"
    NUMBERS = "numbers"
    HEADING = "heading"
    RULE = "rule"
    TABLE = "table"
    TASKS = "tasks"


class Unit(StrEnum):
    """What a network counts when it limits the length of a text."""

    CODE_POINTS = "code-points"
    UTF16 = "utf-16-units"
    UTF8 = "utf-8-bytes"

    def length(self, text: str) -> int:
        """Return the length of ``text`` in this unit."""
        if self is Unit.CODE_POINTS:
            return len(text)
        if self is Unit.UTF16:
            return len(text.encode("utf-16-le", "surrogatepass")) // 2
        return len(text.encode("utf-8", "surrogatepass"))

    def fitting(self, text: str, limit: int) -> int:
        """Return how many code points of ``text`` fit into ``limit`` units."""
        start = text[:limit]
        if self is Unit.UTF16:
            start = start.encode("utf-16-le", "replace")[: 2 * limit].decode("utf-16-le", "ignore")
        elif self is Unit.UTF8:
            start = start.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")
        return len(start)


class FileRule(Struct, frozen=True, kw_only=True):
    """What becomes of files of one MIME type.

    ``max_size`` is in octets (None: no limit). ``caption`` is the level of a text that travels with the file in one
    message, ``max_caption`` its longest length in the unit of ``Limits``. A file over ``max_size`` is treated as
    ``UNSUPPORTED``: a link or a notice takes its place, or the message is refused if there is nothing else in it.
    """

    level: Level = Level.FULL
    max_size: int | None = None
    caption: Level = Level.UNSUPPORTED
    max_caption: int | None = None


_NO_FILES = FileRule(level=Level.UNSUPPORTED)


class Way(Struct, frozen=True, kw_only=True):
    """What passes in one direction.

    ``files`` is keyed by MIME type; a type is looked up exactly, then without its parameters, then as ``type/*``, then
    as ``*/*``. A file that finds no rule is ``UNSUPPORTED``. ``reactions`` are the emoji that may be used (None: all).
    """

    text: Level = Level.FULL
    features: Mapping[Feature, Level] = {}
    formatting: Mapping[Format, Level] = {}
    files: Mapping[str, FileRule] = {}
    reactions: frozenset[str] | None = None

    def level(self, feature: Feature) -> Level:
        """Return the level of a feature; ``UNSUPPORTED`` unless stated."""
        return self.features.get(feature, Level.UNSUPPORTED)

    def format(self, kind: Format) -> Level:
        """Return the level of a kind of formatting; ``UNSUPPORTED`` unless stated."""
        return self.formatting.get(kind, Level.UNSUPPORTED)

    @property
    def formatted(self) -> bool:
        """Whether text may be sent as Markdown at all; otherwise the adapter is handed plain text only."""
        return any(level >= Level.PARTIAL for level in self.formatting.values())

    def file(self, mime: str) -> FileRule:
        """Return the rule for a MIME type; see the class for the order of the look-up."""
        exact = mime.strip().lower()
        bare = exact.partition(";")[0].rstrip()
        for key in (exact, bare, bare.partition("/")[0] + "/*", "*/*"):
            if key in self.files:
                return self.files[key]
        return _NO_FILES


class Limits(Struct, frozen=True, kw_only=True):
    """The largest of everything; None means that the network names no limit. Lengths of text are in ``unit``.

    ``text`` limits one message of text, ``body`` the text that stands above buttons or a list.
    """

    unit: Unit = Unit.CODE_POINTS
    text: int | None = None
    body: int | None = None
    header: int | None = None
    footer: int | None = None
    buttons: int | None = None
    button_title: int | None = None
    button_id: int | None = None
    list_rows: int | None = None
    list_sections: int | None = None
    row_title: int | None = None
    row_description: int | None = None
    row_id: int | None = None
    products: int | None = None
    cards: int | None = None


class Capabilities(Struct, frozen=True, kw_only=True):
    """What one conversation can show, both ways, and what its network guarantees.

    ``send`` is the way from Rialto to the network, ``receive`` the way back. ``leg`` says where plaintext exists on the
    network's side. All times are in milliseconds; None means without limit.

    ``edit_age`` and ``delete_age``: how old a message may be. ``reply_window``: how long after the person's last
    message others may write to them. ``shows_sender``: the network itself shows who of several people speaks; where it
    does not, the name is put before the text. ``idempotent_send``: a second send with the same key is not delivered
    twice. ``reports_delivery``: the network says later whether what it took has arrived (a delivery receipt, a bounce),
    so that ``sent`` is not the end. ``ordered``: messages arrive in the order in which they were sent. ``history``:
    what was said while the adapter was away can be fetched.
    """

    leg: LegClass = LegClass.OPEN
    send: Way = Way()
    receive: Way = Way()
    limits: Limits = Limits()
    edit_age: int | None = None
    delete_age: int | None = None
    reply_window: int | None = None
    shows_sender: bool = True
    idempotent_send: bool = False
    reports_delivery: bool = False
    ordered: bool = False
    history: bool = False
