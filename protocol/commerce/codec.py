"""Business parts as bytes, as parts of a message, and back.

The media type is ``application/vnd.rialto.<feature>+cbor``; the body is deterministic CBOR of one map from the names of
the fields to their values. Fields at their default are left out, so equal parts have equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from protocol import cbor
from protocol.capabilities import Feature
from protocol.cbor import CborError
from protocol.commerce.errors import BadField, Undecodable, UnknownKind
from protocol.commerce.fields import Commerce, Option
from protocol.commerce.model import (
    PART_TYPES,
    Carousel,
    Choice,
    ContactCard,
    ContactRequest,
    Form,
    FormReply,
    Location,
    LocationRequest,
    Menu,
    Order,
    OrderStatus,
    PaymentRequest,
    PaymentStatus,
    Product,
    ProductList,
    QuickReplies,
    Template,
)
from protocol.commerce.words import text_of
from protocol.content import TEXT_PLAIN, MultiPart, Part, Semantics, SinglePart, text, walk

_FEATURES: Final = {kind: feature for feature, kind in PART_TYPES.items()}
_KINDS: Final = {f"application/vnd.rialto.{feature}+cbor": kind for feature, kind in PART_TYPES.items()}


_JSON: Final = msgspec.json.Encoder(order="sorted")
"""Tells a field that is not written from one at its default, and 1 from 1.0, which Python does not."""


def feature_of(part: Commerce | type[Commerce]) -> Feature:
    """Return the feature that a network must have to show this part."""
    return _FEATURES[part if isinstance(part, type) else type(part)]


def media_type(part: Commerce | type[Commerce]) -> str:
    """Return the media type of a business part."""
    return f"application/vnd.rialto.{feature_of(part)}+cbor"


def is_commerce(content_type: str) -> bool:
    """Whether a media type is one of ours."""
    return content_type in _KINDS


def encode(part: Commerce) -> bytes:
    """Return the one encoding of ``part``; raises ``BadField`` if it is outside its limits."""
    checked = _converted(msgspec.to_builtins(part), type(part))
    try:
        return cbor.encode(msgspec.to_builtins(checked))
    except CborError as error:
        raise BadField(f"{feature_of(part)}: {error}") from error


def decode(content_type: str, data: bytes) -> Commerce:
    """Return the part that ``data`` encodes.

    Raises ``UnknownKind``, ``Undecodable`` or ``BadField``.
    """
    kind = _KINDS.get(content_type)
    if kind is None:
        raise UnknownKind(f"{content_type!r} is no business part")
    try:
        fields = cbor.decode(data)
    except CborError as error:
        raise Undecodable(f"{feature_of(kind)}: {error}") from error
    part = _converted(fields, kind)
    if _JSON.encode(part) != _JSON.encode(fields):
        raise BadField(f"{feature_of(kind)}: written at its default, or a number in another form")
    return part


def _converted(fields: object, kind: type[Commerce]) -> Commerce:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise BadField(f"{feature_of(kind)}: {error}") from error


def single(part: Commerce) -> SinglePart:
    """Return ``part`` alone, for adapters and for whoever adds an alternative of their own."""
    return SinglePart(content_type=media_type(part), content=encode(part))


def message(part: Commerce, alternative: str = "", files: Sequence[Part] = ()) -> MultiPart:
    """Return ``part`` together with a text that says the same, for whoever does not know the type.

    ``files`` make one unit with ``part``, whose ``media`` names them: the first as ``cid(3)``, the next as ``cid(4)``.
    """
    words = text(alternative or text_of(part), TEXT_PLAIN)
    offered: Part = MultiPart(Semantics.SINGLE_UNIT, (single(part), *files)) if files else single(part)
    return MultiPart(semantics=Semantics.CHOOSE_ONE, parts=(offered, words))


def find(part: Part) -> Commerce | None:
    """Return the first business part in ``part`` that can be read, or None."""
    for _, inner in walk(part):
        if isinstance(inner, SinglePart) and is_commerce(inner.content_type):
            try:
                return decode(inner.content_type, inner.content)
            except (UnknownKind, Undecodable, BadField):
                continue  # the text beside it says the same
    return None


def options_of(part: Commerce) -> tuple[Option, ...]:
    """Return what can be chosen in ``part``, in the order in which it is shown."""
    match part:
        case QuickReplies(options=options) | Template(options=options):
            return options
        case Menu(sections=sections):
            return tuple(option for section in sections for option in section.options)
        case Carousel(cards=cards):
            return tuple(option for card in cards for option in card.options)
        case _:
            return ()


def answers(reply: Commerce, request: Commerce) -> bool:
    """Whether ``reply`` is an answer that ``request`` allows."""
    match reply, request:
        case Choice(id=chosen), _:
            return any(option.id == chosen for option in options_of(request))
        case Location(), LocationRequest():
            return True
        case ContactCard(), ContactRequest():
            return True
        case FormReply(form=form, token=given), Form(id=asked, token=token):
            return (form, given) == (asked, token)
        case OrderStatus(), Order():
            return True
        case PaymentStatus(reference=paid), PaymentRequest(reference=billed):
            return paid == billed
        case Order(lines=lines), Product(id=product):
            return all(line.product == product for line in lines)
        case Order(lines=lines), ProductList(sections=sections):
            offered = {product.id for section in sections for product in section.products}
            return all(line.product in offered for line in lines)
        case _:
            return False
