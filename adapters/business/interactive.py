"""``interactive`` messages: what the Cloud API lets a business ask with, read with the Cloud API's own limits. Pure.

Each kind is read into the business part that says the same, and a header that is a file stays a file above it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from adapters.business.errors import InvalidParameter, UnsupportedType
from adapters.business.fields import Fields
from adapters.business.files import MAX_LINK, FileKind, FileRef, reference
from adapters.business.structured import Structured
from protocol.commerce import (
    Card,
    Carousel,
    Commerce,
    ContactRequest,
    Form,
    LinkButton,
    LinkTo,
    LocationRequest,
    Media,
    MediaKind,
    Menu,
    Option,
    Product,
    ProductList,
    ProductSection,
    QuickReplies,
    Section,
)

MAX_BODY: Final = 1024
MAX_LIST_BODY: Final = 4096
MAX_SMALL: Final = 60
MAX_BUTTONS: Final = 3
MAX_BUTTON_TITLE: Final = 20
MAX_BUTTON_ID: Final = 256
MAX_SECTIONS: Final = 10
MAX_ROWS: Final = 10
MAX_ROW_ID: Final = 200
MAX_ROW_TITLE: Final = 24
MAX_ROW_DESCRIPTION: Final = 72
MAX_PRODUCTS: Final = 30
MAX_CARDS: Final = 10
MAX_CARD_BODY: Final = 160
MAX_FLOW_CTA: Final = 30

_TEXT: Final = "text"
_MEDIA: Final = ("image", "video", "document")
_HTTP: Final = re.compile(r"https?://\S+", re.IGNORECASE)


def read(given: Fields) -> Structured:
    """Read an ``interactive`` object. Raises a ``BusinessError`` that says what is wrong and where."""
    kind = given.text("type", 64)
    reader = _READERS.get(kind)
    if reader is None:
        raise UnsupportedType(f"{given.at('type')}: this bridge does not carry '{kind}'")
    return reader(given)


# --- what they have in common -----------------------------------------------------------------------------------------


def _body(given: Fields, limit: int = MAX_BODY) -> str:
    return given.object("body").text("text", limit)


def _footer(given: Fields) -> str:
    footer = given.maybe("footer")
    return footer.text("text", MAX_SMALL) if footer else ""


def _header(given: Fields, *kinds: str) -> tuple[str, FileRef | None]:
    """Read the header: its text, or the file that stands there. ``kinds`` are those that this message may have."""
    header = given.maybe("header")
    if header is None:
        return "", None
    if not kinds:
        raise InvalidParameter(f"{header.at()}: this kind of message has none")
    kind = header.one_of("type", *kinds)
    if kind == _TEXT:
        return header.text(_TEXT, MAX_SMALL), None
    file = reference(FileKind(kind), header.object(kind))
    if file.caption:
        raise InvalidParameter(f"{header.at(kind)}.caption: a header has none")
    return "", file


def _named(given: Fields, name: str) -> Fields:
    """Return the parameters of an action, which must have this name."""
    action = given.object("action")
    action.one_of("name", name)
    return action.object("parameters")


def _link(given: Fields) -> LinkTo:
    url = given.text("url", MAX_LINK)
    if not _HTTP.fullmatch(url):
        raise InvalidParameter(f"{given.at('url')}: is not an http or https URL")
    return LinkTo(title=given.text("display_text", MAX_BUTTON_TITLE), url=url)


def _distinct(where: str, words: Iterable[str]) -> None:
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise InvalidParameter(f"{where}: '{word[:100]}' is there twice")
        seen.add(word)


# --- each kind --------------------------------------------------------------------------------------------------------


def _buttons(given: Fields) -> Structured:
    header, file = _header(given, _TEXT, *_MEDIA)
    action = given.object("action")
    buttons = action.objects("buttons", MAX_BUTTONS)
    part = QuickReplies(
        body=_body(given),
        options=_options(buttons, "reply", action.at("buttons")),
        header=header,
        footer=_footer(given),
    )
    return Structured((part,), file)


def _options(buttons: list[Fields], kind: str, where: str) -> tuple[Option, ...]:
    options = []
    for button in buttons:
        button.one_of("type", kind)
        reply = button.object(kind)
        options.append(Option(id=reply.text("id", MAX_BUTTON_ID), title=reply.text("title", MAX_BUTTON_TITLE)))
    _distinct(f"{where}, id", (option.id for option in options))
    _distinct(f"{where}, title", (option.title for option in options))
    return tuple(options)


def _list(given: Fields) -> Structured:
    header, _ = _header(given, _TEXT)
    action = given.object("action")
    sections = action.objects("sections", MAX_SECTIONS)
    rows = [section.objects("rows", MAX_ROWS) for section in sections]
    if sum(map(len, rows)) > MAX_ROWS:
        raise InvalidParameter(f"{action.at('sections')}: more than {MAX_ROWS} rows in all")
    read = tuple(
        Section(title=_section_title(section, sections), options=tuple(map(_row, inner)))
        for section, inner in zip(sections, rows, strict=True)
    )
    _distinct(f"{action.at('sections')}, rows, id", (option.id for section in read for option in section.options))
    part = Menu(
        body=_body(given, MAX_LIST_BODY),
        button=action.text("button", MAX_BUTTON_TITLE),
        sections=read,
        header=header,
        footer=_footer(given),
    )
    return Structured((part,))


def _section_title(section: Fields, sections: list[Fields]) -> str:
    return section.text("title", MAX_ROW_TITLE, "" if len(sections) == 1 else None)


def _row(row: Fields) -> Option:
    return Option(
        id=row.text("id", MAX_ROW_ID),
        title=row.text("title", MAX_ROW_TITLE),
        description=row.text("description", MAX_ROW_DESCRIPTION, ""),
    )


def _cta_url(given: Fields) -> Structured:
    header, file = _header(given, _TEXT, *_MEDIA)
    link = _link(_named(given, "cta_url"))
    part = LinkButton(body=_body(given), title=link.title, url=link.url, header=header, footer=_footer(given))
    return Structured((part,), file)


def _asking(kind: type[LocationRequest | ContactRequest], name: str) -> Callable[[Fields], Structured]:
    def read(given: Fields) -> Structured:
        given.object("action").one_of("name", name)
        return Structured((kind(body=_body(given)),))

    return read


def _product(given: Fields) -> Structured:
    """One product. Nothing but its id is known here: the catalogue is the vendor's."""
    _header(given)
    action = given.object("action")
    sku = action.text("product_retailer_id", 256)
    said = given.object("body").text("text", MAX_BODY) if given.has("body") else ""
    words = "\n".join(word for word in (said, _footer(given)) if word)
    return Structured((Product(id=sku, title=sku, catalog=action.name("catalog_id", 256), description=words),))


def _product_list(given: Fields) -> Structured:
    header, _ = _header(given, _TEXT)
    if not header:
        given.object("header")
    action = given.object("action")
    catalog = action.name("catalog_id", 256)
    sections = action.objects("sections", MAX_SECTIONS)
    items = [section.objects("product_items", MAX_PRODUCTS) for section in sections]
    if sum(map(len, items)) > MAX_PRODUCTS:
        raise InvalidParameter(f"{action.at('sections')}: more than {MAX_PRODUCTS} products in all")
    read = tuple(
        ProductSection(
            title=_section_title(section, sections),
            products=tuple(_item(each.text("product_retailer_id", 256), catalog) for each in inner),
        )
        for section, inner in zip(sections, items, strict=True)
    )
    return Structured((ProductList(body=_body(given), sections=read, header=header, footer=_footer(given)),))


def _item(sku: str, catalog: str) -> Product:
    return Product(id=sku, title=sku, catalog=catalog)


def _flow(given: Fields) -> Structured:
    """A flow is a form whose questions only the vendor has; what a native client answers comes back under its token."""
    header, file = _header(given, _TEXT, *_MEDIA)
    flow = _named(given, "flow")
    if flow.has("flow_id") == flow.has("flow_name"):
        raise InvalidParameter(f"{flow.at('flow_id')}: either flow_id or flow_name must be there")
    payload = flow.maybe("flow_action_payload") or Fields({})
    data = payload.maybe("data") or Fields({})
    part = Form(
        id=flow.name("flow_id" if flow.has("flow_id") else "flow_name", 200),
        body=_body(given),
        button=flow.text("flow_cta", MAX_FLOW_CTA),
        header=header,
        footer=_footer(given),
        token=flow.text("flow_token", 200, ""),
        screen=payload.text("screen", 200, ""),
        data={key: value if isinstance(value, str) else json.dumps(value) for key, value in data.items().items()},
    )
    return Structured((part,), file)


def _carousel(given: Fields) -> Structured:
    _header(given)
    action = given.object("action")
    cards = tuple(map(_card, action.objects("cards", MAX_CARDS, 2)))
    _distinct(f"{action.at('cards')}, id", (option.id for card in cards for option in card.options))
    return Structured((Carousel(body=_body(given), cards=cards),))


def _card(given: Fields) -> Card:
    """One card. Its picture is named by a link, which is shown as it is."""
    header, action, body = given.object("header"), given.object("action"), given.maybe("body")
    kind = header.one_of("type", "image", "video")
    link = header.object(kind).text("link", MAX_LINK)
    if not _HTTP.fullmatch(link):
        raise InvalidParameter(f"{header.at(kind)}.link: is not an http or https URL")
    buttons = action.objects("buttons", MAX_BUTTONS, 0)
    options = _options(buttons, "quick_reply", action.at("buttons"))
    links = () if options else (_link(_named(given, "cta_url")),)
    title = (*links, *options)[0].title
    return Card(
        body=body.text("text", MAX_CARD_BODY) if body else title,
        media=Media(kind=MediaKind(kind), url=link),
        options=options,
        links=links,
    )


_READERS: Final[Mapping[str, Callable[[Fields], Structured]]] = {
    "button": _buttons,
    "list": _list,
    "cta_url": _cta_url,
    "location_request_message": _asking(LocationRequest, "send_location"),
    "request_contact_info": _asking(ContactRequest, "request_contact_info"),
    "product": _product,
    "product_list": _product_list,
    "flow": _flow,
    "carousel": _carousel,
}

CARRIED: Final[tuple[type[Commerce], ...]] = (
    QuickReplies,
    Menu,
    LinkButton,
    LocationRequest,
    ContactRequest,
    Product,
    ProductList,
    Form,
    Carousel,
)
"""The parts that these messages are read into."""
