"""A business part in words: the text that stands beside it, and what a network shows that has nothing of the kind.

What can be chosen is numbered, so that an answer of one digit finds it again (``protocol.degrade.match_option``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocol import geo
from protocol.commerce.fields import Commerce, LinkTo, Media, Money, Option, PostalAddress
from protocol.commerce.model import (
    Card,
    Carousel,
    Choice,
    ContactCard,
    ContactRequest,
    Field,
    Form,
    FormReply,
    LinkButton,
    Location,
    LocationRequest,
    Menu,
    Order,
    OrderLine,
    OrderStatus,
    PaymentRequest,
    PaymentStatus,
    Product,
    ProductList,
    QuickReplies,
    Referral,
    Template,
)


def text_of(part: Commerce) -> str:
    """Return what ``part`` says, in words."""
    return "\n".join(line for line in _lines(part) if line).strip() or "-"


def money(amount: Money) -> str:
    """Return an amount as people read it: ``12.50 EUR``."""
    digits = str(abs(amount.value)).rjust(amount.exponent + 1, "0")
    whole, fraction = digits[: len(digits) - amount.exponent], digits[len(digits) - amount.exponent :]
    return f"{'-' if amount.value < 0 else ''}{whole}{'.' + fraction if fraction else ''} {amount.currency}"


def _lines(part: Commerce) -> Iterator[str]:
    match part:
        case QuickReplies(header=header, media=media, body=body, options=options, links=links, footer=footer):
            yield from (header, _seen(media), body, *_numbered(options, 1), *map(_link, links), footer)
        case Template():
            yield from _template(part)
        case Menu():
            yield from _menu(part)
        case LinkButton(header=header, media=media, body=body, title=title, url=url, footer=footer):
            yield from (header, _seen(media), body, _link(LinkTo(title=title, url=url)), footer)
        case Carousel():
            yield from _carousel(part)
        case Choice(title=title):
            yield title
        case Form() | FormReply():
            yield from _form(part)
        case LocationRequest(body=body):
            yield from (body, "(Please answer with your location.)")
        case ContactRequest(body=body):
            yield from (body, "(Please answer with your telephone number.)")
        case Location():
            yield from _place(part)
        case ContactCard():
            yield from _contact(part)
        case Product() | ProductList():
            yield from _products(part)
        case _:
            yield from _trade(part)


def _seen(media: Media | None) -> str:
    """Say where to see what stands above a text; '' if it travels in the message itself."""
    if media is None or media.url.startswith("cid:"):
        return ""
    return f"{media.filename or media.kind.capitalize()}: {media.url}"


def _link(link: LinkTo) -> str:
    return f"{link.title}: {link.url.removeprefix('tel:').removeprefix('mailto:')}"


def _place(place: Location) -> Iterator[str]:
    yield from (place.name, place.address, geo.write(place.latitude, place.longitude), place.url)


def _template(template: Template) -> Iterator[str]:
    yield from (template.header, _seen(template.media))
    if template.place:
        yield from _place(template.place)
    yield template.body
    yield f"Code: {template.code}" if template.code else ""
    yield from (*_numbered(template.options, 1), *map(_link, template.links), template.footer)


def _numbered(options: Iterable[Option], first: int) -> Iterator[str]:
    for number, option in enumerate(options, first):
        yield f"{number}. {option.title}" + (f" - {option.description}" if option.description else "")


def _menu(menu: Menu) -> Iterator[str]:
    yield from (menu.header, _seen(menu.media), menu.body)
    number = 1
    for section in menu.sections:
        yield f"{section.title}:" if section.title else ""
        yield from _numbered(section.options, number)
        number += len(section.options)
    yield menu.footer


def _carousel(carousel: Carousel) -> Iterator[str]:
    yield carousel.body
    number = 1
    for card in carousel.cards:
        yield from _card(card, number)
        number += len(card.options)


def _card(card: Card, number: int) -> Iterator[str]:
    yield f"* {card.title}: {card.body}" if card.title else f"* {card.body}"
    yield _seen(card.media)
    yield from (*_numbered(card.options, number), *map(_link, card.links))


def _contact(card: ContactCard) -> Iterator[str]:
    yield card.name
    yield _joined(card.role, card.department, card.organisation)
    for entry in (*card.phones, *card.emails, *card.urls):
        yield _labelled(entry.value, entry.label)
    for address in card.addresses:
        yield _labelled(_postal(address), address.label)
    yield card.birthday


def _postal(address: PostalAddress) -> str:
    town = " ".join(word for word in (address.postcode, address.city) if word)
    return _joined(address.street, town, address.region, address.country or address.country_code)


def _labelled(value: str, label: str) -> str:
    return f"{value} ({label})" if value and label else value


def _joined(*words: str) -> str:
    return ", ".join(word for word in words if word)


def _products(part: Product | ProductList) -> Iterator[str]:
    if isinstance(part, Product):
        yield _named_product(part)
        yield from (part.description, part.url)
        return
    yield from (part.header, part.body)
    for section in part.sections:
        yield f"{section.title}:" if section.title else ""
        for product in section.products:
            yield f"* {_named_product(product)}" + (f" {product.url}" if product.url else "")
    yield part.footer


def _named_product(product: Product) -> str:
    return product.title + (f", {money(product.price)}" if product.price else "")


def _trade(part: Commerce) -> Iterator[str]:
    match part:
        case Order(lines=lines, note=note):
            yield from ("Order:", *map(_order_line, lines), note)
        case OrderStatus(reference=reference, state=state, note=note, url=url):
            yield from (f"Order {reference}: {state.replace('-', ' ')}", note, url)
        case PaymentRequest():
            yield from _bill(part)
        case PaymentStatus(reference=reference, state=state, amount=amount, note=note):
            yield f"Payment {reference}: {state}" + (f", {money(amount)}" if amount else "")
            yield note
        case Referral(headline=headline, body=body, url=url):  # pragma: no branch  # there is no other kind
            yield from (headline, body, url)


def _bill(bill: PaymentRequest) -> Iterator[str]:
    yield from (bill.header, _seen(bill.media), bill.body, *map(_order_line, bill.lines))
    for name in ("subtotal", "discount", "tax", "shipping", "total"):
        amount = getattr(bill, name)
        yield f"{name.capitalize()}: {money(amount)}" if amount else ""
    yield from (f"Pay here: {bill.url}" if bill.url else "", bill.footer)


def _order_line(line: OrderLine) -> str:
    return f"{line.quantity} x {line.title or line.product}" + (f", {money(line.price)} each" if line.price else "")


def _form(part: Form | FormReply) -> Iterator[str]:
    if isinstance(part, FormReply):
        yield from (f"{name}: {value}" for name, value in sorted(part.values.items()))
        return
    yield from (part.header, _seen(part.media), part.body, *map(_question, part.fields))
    yield f"{part.button}: {part.url}" if part.url else ""
    yield part.footer


def _question(field: Field) -> str:
    choices = f" ({', '.join(option.title for option in field.options)})" if field.options else ""
    return f"* {field.label}{choices}" + (" (required)" if field.required else "")
