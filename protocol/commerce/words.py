"""A business part in words: the text that stands beside it, and what a network shows that has nothing of the kind.

What can be chosen is numbered, so that an answer of one digit finds it again (``protocol.degrade.match_option``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocol import geo
from protocol.commerce.model import (
    Card,
    Carousel,
    Choice,
    Commerce,
    ContactCard,
    Field,
    Form,
    FormReply,
    LinkButton,
    Location,
    LocationRequest,
    Menu,
    Money,
    Option,
    Order,
    OrderLine,
    PaymentRequest,
    PaymentState,
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
        case QuickReplies(header=header, body=body, options=options, footer=footer):
            yield from (header, body, *_numbered(options, 1), footer)
        case Template(header=header, body=body, options=options, footer=footer):
            yield from (header, body, *_numbered(options, 1), footer)
        case Menu():
            yield from _menu(part)
        case LinkButton(header=header, body=body, title=title, url=url, footer=footer):
            yield from (header, body, f"{title}: {url}", footer)
        case Carousel():
            yield from _carousel(part)
        case Choice(title=title):
            yield title
        case Form() | FormReply():
            yield from _form(part)
        case LocationRequest(body=body):
            yield from (body, "(Please answer with your location.)")
        case Location(latitude=latitude, longitude=longitude, name=name, address=address):
            yield from (name, address, geo.write(latitude, longitude))
        case ContactCard():
            yield from _contact(part)
        case Product() | ProductList():
            yield from _products(part)
        case _:
            yield from _trade(part)


def _numbered(options: Iterable[Option], first: int) -> Iterator[str]:
    for number, option in enumerate(options, first):
        yield f"{number}. {option.title}" + (f" - {option.description}" if option.description else "")


def _menu(menu: Menu) -> Iterator[str]:
    yield from (menu.header, menu.body)
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
    yield f"* {card.body}"
    yield from _numbered(card.options, number)
    yield f"{card.link.title}: {card.link.url}" if card.link else ""


def _contact(card: ContactCard) -> Iterator[str]:
    yield card.name
    yield ", ".join(word for word in (card.role, card.organisation) if word)
    for entry in (*card.phones, *card.emails, *card.urls, *card.addresses):
        yield entry.value + (f" ({entry.label})" if entry.label else "")
    yield card.birthday


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
        case PaymentRequest(body=body, lines=lines, total=total, url=url):
            yield from (body, *map(_order_line, lines), f"Total: {money(total)}", f"Pay here: {url}" if url else "")
        case PaymentStatus(reference=reference, state=state, amount=amount, note=note):
            yield f"Payment {reference}: {_STATES[state]}" + (f", {money(amount)}" if amount else "")
            yield note
        case Referral(headline=headline, body=body, url=url):  # pragma: no branch  # there is no other kind
            yield from (headline, body, url)


def _order_line(line: OrderLine) -> str:
    return f"{line.quantity} x {line.title or line.product}" + (f", {money(line.price)} each" if line.price else "")


def _form(part: Form | FormReply) -> Iterator[str]:
    if isinstance(part, FormReply):
        yield from (f"{name}: {value}" for name, value in sorted(part.values.items()))
        return
    yield from (part.header, part.body, *map(_question, part.fields))
    yield f"{part.button}: {part.url}" if part.url else ""
    yield part.footer


def _question(field: Field) -> str:
    choices = f" ({', '.join(option.title for option in field.options)})" if field.options else ""
    return f"* {field.label}{choices}" + (" (required)" if field.required else "")


_STATES = {
    PaymentState.PENDING: "pending",
    PaymentState.PAID: "paid",
    PaymentState.FAILED: "failed",
    PaymentState.CANCELLED: "cancelled",
    PaymentState.REFUNDED: "refunded",
}
