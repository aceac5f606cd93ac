"""What customers answer, and share, as the Cloud API tells it to a program. Pure.

A choice comes back in the shape of what was offered: a button, a row of a list, or a template's quick reply; the id of
the message that offered it says which (``wamid``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from adapters.business import wamid
from adapters.business.errors import UnsupportedType
from protocol import commerce
from protocol.commerce import (
    Choice,
    Commerce,
    ContactCard,
    FormReply,
    Labelled,
    Location,
    MediaKind,
    Money,
    Order,
    OrderLine,
    PostalAddress,
    Referral,
)

TOLD: Final[tuple[type[Commerce], ...]] = (Choice, Location, ContactCard, Order, FormReply, Referral)
"""The parts that a program is told as they are."""

_NO_CURRENCY: Final = "XXX"
"""ISO 4217's word for an amount of no currency at all."""


def told(part: Commerce, answered: str | None) -> dict[str, Any]:
    """Return what a message says that is ``part``; ``answered`` is the id of the message that it answers.

    Raises ``UnsupportedType`` for a part that is not one of ``TOLD``.
    """
    match part:
        case Choice():
            return _choice(part, answered)
        case Location(latitude=latitude, longitude=longitude, name=name, address=address, url=url):
            place = {"latitude": latitude, "longitude": longitude, **_given(name=name, address=address, url=url)}
            return {"type": "location", "location": place}
        case ContactCard():
            return {"type": "contacts", "contacts": [_contact(part)]}
        case Order(catalog=catalog, note=note, lines=lines):
            order = {"catalog_id": catalog, **_given(text=note), "product_items": list(map(_item, lines))}
            return {"type": "order", "order": order}
        case FormReply(token=token, values=values):
            response = json.dumps({**values, "flow_token": token or part.form})
            return _interactive("nfm_reply", {"name": "flow", "body": "Sent", "response_json": response})
        case Referral():
            return {"type": "text", "text": {"body": commerce.text_of(part)}, "referral": _referral(part)}
        case _:
            raise UnsupportedType(f"a part of the type '{commerce.feature_of(part)}'")


def _choice(choice: Choice, answered: str | None) -> dict[str, Any]:
    kind = wamid.parse(answered).kind if answered is not None else wamid.Kind.BUSINESS
    if kind is wamid.Kind.BUSINESS_TEMPLATE:
        return {"type": "button", "button": {"payload": choice.id, "text": choice.title}}
    said = {"id": choice.id, "title": choice.title}
    if kind is wamid.Kind.BUSINESS_LIST:
        return _interactive("list_reply", {**said, **_given(description=choice.description)})
    return _interactive("button_reply", said)


def _interactive(kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "interactive", "interactive": {"type": kind, kind: said}}


def _given(**fields: str) -> dict[str, str]:
    """Leave out what is not given."""
    return {key: value for key, value in fields.items() if value}


def _contact(card: ContactCard) -> dict[str, Any]:
    parts = _given(
        first_name=card.given,
        middle_name=card.middle,
        last_name=card.family,
        prefix=card.prefix,
        suffix=card.suffix,
    )
    found: dict[str, Any] = {"name": {"formatted_name": card.name, **(parts or {"first_name": card.name})}}
    several = {
        "phones": [_labelled("phone", each) for each in card.phones],
        "emails": [_labelled("email", each) for each in card.emails],
        "urls": [_labelled("url", each) for each in card.urls],
        "addresses": [_address(each) for each in card.addresses],
    }
    org = _given(company=card.organisation, department=card.department, title=card.role)
    found |= {key: value for key, value in several.items() if value} | _given(birthday=card.birthday)
    return found | ({"org": org} if org else {})


def _labelled(key: str, entry: Labelled) -> dict[str, str]:
    return {key: entry.value, **_given(type=entry.label)}


def _address(address: PostalAddress) -> dict[str, str]:
    return _given(
        street=address.street,
        city=address.city,
        state=address.region,
        zip=address.postcode,
        country=address.country,
        country_code=address.country_code,
        type=address.label,
    )


def _item(line: OrderLine) -> dict[str, Any]:
    price = line.price or Money(currency=_NO_CURRENCY, value=0)
    return {
        "product_retailer_id": line.product,
        "quantity": line.quantity,
        "item_price": price.value / 10**price.exponent,
        "currency": price.currency,
    }


def _referral(referral: Referral) -> dict[str, Any]:
    found: dict[str, Any] = _given(
        source_url=referral.url,
        source_id=referral.id,
        headline=referral.headline,
        body=referral.body,
        ctwa_clid=referral.click_id,
        thumbnail_url=referral.thumbnail,
    )
    found["source_type"] = str(referral.source)
    if referral.media is not None and referral.media.kind is not MediaKind.DOCUMENT:
        kind = str(referral.media.kind)
        found |= {"media_type": kind, f"{kind}_url": referral.media.url}
    if referral.greeting:
        found["welcome_message"] = {"text": referral.greeting}
    return found
