"""What the business parts of ``protocol.commerce.model`` are made of: the limits, and the small structs they share.

Every field has a limit, which is part of its type: the schema's own, at least as wide as any of the networks'; what one
network takes is the affair of ``protocol.degrade``. An empty string means that a field is not given.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

MAX_OPTIONS = 20
MAX_SECTIONS = 20
MAX_ROWS = 100
MAX_CARDS = 20

_SCHEME = "https?://|mailto:|tel:|geo:|cid:"

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
OptionalId: TypeAlias = Annotated[str, Meta(max_length=256)]
Title: TypeAlias = Annotated[str, Meta(min_length=1, max_length=80)]
OptionalTitle: TypeAlias = Annotated[str, Meta(max_length=80)]
Line: TypeAlias = Annotated[str, Meta(max_length=256)]
Text: TypeAlias = Annotated[str, Meta(max_length=1024)]
Body: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096)]
OptionalBody: TypeAlias = Annotated[str, Meta(max_length=4096)]
Url: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2048, pattern=rf"^({_SCHEME})\S+\Z")]
OptionalUrl: TypeAlias = Annotated[str, Meta(max_length=2048, pattern=rf"^(({_SCHEME})\S+)?\Z")]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Commerce(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all business parts have in common: strict fields, and nothing written that is not given."""


class Option(Commerce, frozen=True):
    """Something to choose: a button or a row. ``id`` comes back in the ``Choice``; people see the rest."""

    id: Id
    title: Title
    description: Line = ""


def distinct(options: Iterable[Option]) -> None:
    """Raise ``ValueError`` if two options have the same id."""
    ids = [option.id for option in options]
    if len(set(ids)) != len(ids):
        raise ValueError("two options have the same id")


class LinkTo(Commerce, frozen=True):
    """A button that answers nothing: it opens a page, a call (``tel:``), a letter (``mailto:``) or a map (``geo:``)."""

    title: Title
    url: Url


Links: TypeAlias = Annotated[tuple[LinkTo, ...], Meta(max_length=10)]


class MediaKind(StrEnum):
    """What stands above a text."""

    IMAGE = "image"
    VIDEO = "video"
    DOCUMENT = "document"


class Media(Commerce, frozen=True):
    """What stands above a text: at a url that everybody may open, or as another part of the message (``cid:``)."""

    kind: MediaKind
    url: Url
    filename: Line = ""


class Labelled(Commerce, frozen=True):
    """A telephone number, an e-mail address or a page, and what it is for ("work")."""

    value: Annotated[str, Meta(min_length=1, max_length=2048)]
    label: Annotated[str, Meta(max_length=64)] = ""


class PostalAddress(Commerce, frozen=True):
    """Where letters go. ``country_code`` is of ISO 3166-1, two capital letters."""

    street: Line = ""
    city: Line = ""
    region: Line = ""
    postcode: Annotated[str, Meta(max_length=32)] = ""
    country: Line = ""
    country_code: Annotated[str, Meta(max_length=2, pattern=r"^([A-Z]{2})?\Z")] = ""
    label: Annotated[str, Meta(max_length=64)] = ""


class Money(Commerce, frozen=True):
    """An amount: ``value`` in units of 10 to the minus ``exponent`` of a currency of ISO 4217."""

    currency: Annotated[str, Meta(max_length=3, pattern=r"^[A-Z]{3}\Z")]
    value: Annotated[int, Meta(ge=-(2**53 - 1), le=2**53 - 1)]
    exponent: Annotated[int, Meta(ge=0, le=6)] = 2
