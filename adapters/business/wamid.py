"""Message ids as the Cloud API writes them: ``wamid.`` and base64url.

Like the real ones they say who the conversation is with, so that a program may mark a message as read, or answer it,
by nothing but its id:

    kind (1 octet) | user (8 octets) | unique (18 octets) | what a reaction reacts to (27 octets, only in a REACTION)

The ``user`` is the number in the person's BSUID. What a customer says gets an id that is derived from the delivery's
key, and is the same at every attempt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import IntEnum
from typing import Final

from msgspec import Struct

from adapters.business.errors import InvalidParameter

PREFIX: Final = "wamid."
UNIQUE_OCTETS: Final = 18
_PLAIN_OCTETS: Final = 27


class Kind(IntEnum):
    """Who said it."""

    BUSINESS = 1
    CUSTOMER = 2
    REACTION = 3
    """A customer's reaction: its id carries the id of the message it reacts to."""
    BUSINESS_REACTION = 4
    """The business's reaction: of these the Cloud API says that they were sent, and nothing more."""
    TACIT = 5
    """What we say on the business's behalf: its program does not know of it and hears nothing about it."""
    BUSINESS_LIST = 6
    """A list: what is chosen from it comes back as ``list_reply``, all other choices as ``button_reply``."""
    BUSINESS_TEMPLATE = 7
    """A template: its quick replies come back as messages of the type ``button``."""


BY_BUSINESS: Final = frozenset({Kind.BUSINESS, Kind.BUSINESS_LIST, Kind.BUSINESS_TEMPLATE})
"""What the business has said, and hears statuses of."""


class Wamid(Struct, frozen=True):
    """A message id, taken apart. ``target`` is the id of the message that a reaction reacts to."""

    kind: Kind
    user_id: str
    unique: bytes
    target: str | None = None

    def __str__(self) -> str:
        head = bytes([self.kind]) + int(self.user_id.removeprefix("XX.")).to_bytes(8) + self.unique
        tail = b"" if self.target is None else _octets(self.target)
        return PREFIX + base64.urlsafe_b64encode(head + tail).decode()


def derive(user_id: str, key: str, target: str | None = None) -> Wamid:
    """Return the id of what a customer says: a reaction to ``target`` or, without one, a message."""
    unique = hashlib.sha256(b"rialto business wamid\0" + key.encode()).digest()[:UNIQUE_OCTETS]
    return Wamid(Kind.CUSTOMER if target is None else Kind.REACTION, user_id, unique, target)


def parse(text: str) -> Wamid:
    """Take an id apart. Raises ``InvalidParameter`` if it is none of ours."""
    octets = _octets(text)
    kind = octets[0]
    if kind not in set(Kind) or len(octets) != (2 if kind == Kind.REACTION else 1) * _PLAIN_OCTETS:
        raise _foreign(text)
    target = None
    if kind == Kind.REACTION:
        target = PREFIX + base64.urlsafe_b64encode(octets[_PLAIN_OCTETS:]).decode()
        parse(target)
    return Wamid(Kind(kind), f"XX.{int.from_bytes(octets[1:9])}", octets[9:_PLAIN_OCTETS], target)


def _octets(text: str) -> bytes:
    """The octets of an id; only the one spelling that we ourselves write is accepted."""
    try:
        octets = base64.b64decode(text.removeprefix(PREFIX).encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _foreign(text) from error
    if PREFIX + base64.urlsafe_b64encode(octets).decode() != text or len(octets) < _PLAIN_OCTETS:
        raise _foreign(text)
    return octets


def _foreign(text: str) -> InvalidParameter:
    return InvalidParameter(f"'{text[:130]}' is not the id of a message here")
