"""Messages that are more than text: a business part, perhaps with a file above it; places and contact cards. Pure."""

from __future__ import annotations

from msgspec import Struct

from adapters.business.errors import InvalidParameter
from adapters.business.fields import Fields
from adapters.business.files import FileRef
from protocol import commerce
from protocol.commerce import Commerce, ContactCard, Labelled, Location, PostalAddress
from protocol.content import ExternalPart, MultiPart, Part, Semantics

MAX_CONTACTS = 257


class Structured(Struct, frozen=True):
    """What a message says: usually one part (several contact cards may come at once), and the file above it."""

    parts: tuple[Commerce, ...]
    file: FileRef | None = None


def to_part(said: Structured, file: ExternalPart | None) -> Part:
    """Return the part of a message that says it, each business part beside words that say the same.

    Raises ``InvalidParameter`` for what is within the Cloud API's limits but not within the schema's.
    """
    try:
        parts: tuple[Part, ...] = tuple(map(commerce.message, said.parts))
    except commerce.CommerceError as error:
        raise InvalidParameter(str(error)) from error
    if file is not None:
        return MultiPart(semantics=Semantics.SINGLE_UNIT, parts=(file, *parts))
    return parts[0] if len(parts) == 1 else MultiPart(semantics=Semantics.PROCESS_ALL, parts=parts)


def location(given: Fields) -> Location:
    """Read a place."""
    return Location(
        latitude=given.number("latitude", 90),
        longitude=given.number("longitude", 180),
        name=given.text("name", 256, ""),
        address=given.text("address", 1024, ""),
    )


def contacts(request: Fields) -> Structured:
    """Read the contact cards of a request."""
    return Structured(tuple(map(_contact, request.objects("contacts", MAX_CONTACTS))))


def _contact(given: Fields) -> ContactCard:
    name, org = given.object("name"), given.maybe("org") or Fields({}, given.at("org"))
    return ContactCard(
        name=name.text("formatted_name", 256),
        given=name.text("first_name", 256, ""),
        middle=name.text("middle_name", 256, ""),
        family=name.text("last_name", 256, ""),
        prefix=name.text("prefix", 256, ""),
        suffix=name.text("suffix", 256, ""),
        phones=tuple(map(_phone, given.objects("phones", 20, 0))),
        emails=tuple(_labelled(each, "email") for each in given.objects("emails", 20, 0)),
        urls=tuple(_labelled(each, "url") for each in given.objects("urls", 20, 0)),
        addresses=tuple(map(_address, given.objects("addresses", 20, 0))),
        organisation=org.text("company", 256, ""),
        department=org.text("department", 256, ""),
        role=org.text("title", 256, ""),
        birthday=given.text("birthday", 10, ""),
    )


def _labelled(given: Fields, key: str) -> Labelled:
    return Labelled(value=given.text(key, 2048), label=given.text("type", 64, ""))


def _phone(given: Fields) -> Labelled:
    """A number; where only the WhatsApp id is given, that is the number without its plus."""
    if not given.has("phone") and given.has("wa_id"):
        return Labelled(value=f"+{given.text('wa_id', 64)}", label=given.text("type", 64, ""))
    return _labelled(given, "phone")


def _address(given: Fields) -> PostalAddress:
    return PostalAddress(
        street=given.text("street", 256, ""),
        city=given.text("city", 256, ""),
        region=given.text("state", 256, ""),
        postcode=given.text("zip", 32, ""),
        country=given.text("country", 256, ""),
        country_code=given.text("country_code", 2, "").upper(),
        label=given.text("type", 64, ""),
    )
