"""Grants: what an operator's authority lets one endpoint say of itself.

A grant binds the endpoint's URI and its signature key to the best leg class it may claim and to the namespaces it may
speak for. The endpoint carries it in its MLS leaf, so that everybody who holds the authority's public key can judge the
leaf, whoever handed it out: a router that makes leaves of its own cannot sign them a grant.

Encoded, a grant is a deterministic CBOR array (RFC 8949 §4.2.1)::

    [version, authority, uri, key, leg, [+ namespace], number, not after / null, signature]

``signature`` is Ed25519 (RFC 8032) over the label ``Rialto Grant 1``, a zero octet, and the encoding of the eight
items before it. ``authority`` is the first eight octets of the SHA-256 of the authority's public key: it says which key
to try, and proves nothing by itself.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from protocol import cbor
from protocol.errors import ProtocolError
from protocol.leg import LegClass

VERSION: Final = 1
LABEL: Final = b"Rialto Grant 1"
KEY_ID_OCTETS: Final = 8
MAX_OCTETS: Final = 8192
"""The longest grant that is looked at."""
MAX_NAMESPACES: Final = 64
MAX_URI: Final = 1024
"""The longest URI or namespace, in octets of UTF-8."""
MAX_NUMBER: Final = (1 << 53) - 1

_ITEMS: Final = 9
_SIGNATURE: Final = 64
_HASH: Final = 32


class GrantError(ProtocolError):
    """Octets that are no grant, or a grant that cannot be made of these values."""

    code: ClassVar[str] = "grant"


class GrantSignatureError(GrantError):
    """A grant that the authority's key did not sign."""

    code = "grant.signature"


class Grant(Struct, frozen=True, kw_only=True):
    """What an authority grants.

    ``authority`` is ``key_id`` of the key that signs, ``key`` ``key_hash`` of the endpoint's signature key, ``leg`` the
    best (lowest) leg class that its leaves may claim, ``namespaces`` prefixes of the URIs that it may speak for.
    ``number`` grows from grant to grant of an endpoint: a revocation names the lowest that is still good. ``not_after``
    is in seconds since 1970, None for a grant that does not end by itself.
    """

    authority: bytes
    uri: str
    key: bytes
    leg: LegClass
    namespaces: tuple[str, ...]
    number: int
    not_after: int | None = None


class SignedGrant(Struct, frozen=True):
    """A grant with its signature, which ``verify`` has yet to check."""

    grant: Grant
    signature: bytes

    def encode(self) -> bytes:
        """Encode it, as it stands in a leaf."""
        return cbor.encode([*_items(self.grant), self.signature])

    def verify(self, public: bytes) -> None:
        """Check that the authority whose public key (32 octets) this is signed it. Raises ``GrantSignatureError``."""
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.signature, _signed(self.grant))
        except (InvalidSignature, ValueError):
            raise GrantSignatureError(f"the authority did not sign this grant for {self.grant.uri}") from None


def key_id(public: bytes) -> bytes:
    """Return the short name of an authority's public key."""
    return hashlib.sha256(public).digest()[:KEY_ID_OCTETS]


def key_hash(public: bytes) -> bytes:
    """Return what a grant says of an endpoint's public signature key: its SHA-256, shown to people as fingerprint."""
    return hashlib.sha256(public).digest()


def sign(grant: Grant, private: bytes) -> SignedGrant:
    """Sign a grant with an authority's private key (an Ed25519 seed of 32 octets).

    Raises ``GrantError`` if the values cannot stand in a grant, or it names another authority than this key.
    """
    _check(grant)
    try:
        key = Ed25519PrivateKey.from_private_bytes(private)
    except ValueError as error:
        raise GrantError(f"no private key of an authority: {error}") from None
    if grant.authority != key_id(key.public_key().public_bytes_raw()):
        raise GrantError("a grant that names another authority than the key that signs it")
    return SignedGrant(grant, key.sign(_signed(grant)))


def public_of(private: bytes) -> bytes:
    """Return the public key (32 octets) of an authority's private key. Raises ``GrantError``."""
    try:
        return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    except ValueError as error:
        raise GrantError(f"no private key of an authority: {error}") from None


def decode(data: bytes) -> SignedGrant:
    """Read a grant. What is returned is well formed; who signed it is ``verify``'s question. Raises ``GrantError``."""
    if len(data) > MAX_OCTETS:
        raise GrantError(f"a grant of {len(data)} octets; {MAX_OCTETS} are the most")
    try:
        items = cbor.decode(data)
    except cbor.CborError as error:
        raise GrantError(f"a grant is CBOR: {error}") from None
    if not isinstance(items, list) or not items:
        raise GrantError("a grant is an array")
    if type(items[0]) is not int or items[0] != VERSION:
        raise GrantError(f"a grant of version {items[0]!r:.40}; this program reads version {VERSION}")
    if len(items) != _ITEMS:
        raise GrantError(f"a grant of {len(items)} items; it has {_ITEMS}")
    _, authority, uri, key, leg, namespaces, number, not_after, signature = items
    if type(leg) is not int or leg not in LegClass.__members__.values():
        raise GrantError(f"no leg class: {leg!r:.40}")
    if not isinstance(namespaces, list):
        raise GrantError("a grant's namespaces are an array")
    grant = Grant(
        authority=authority,
        uri=uri,
        key=key,
        leg=LegClass(leg),
        namespaces=tuple(namespaces),
        number=number,
        not_after=not_after,
    )
    _check(grant)
    if not isinstance(signature, bytes) or len(signature) != _SIGNATURE:
        raise GrantError(f"a grant's signature has {_SIGNATURE} octets")
    return SignedGrant(grant, signature)


def _items(grant: Grant) -> list[Any]:
    return [
        VERSION,
        grant.authority,
        grant.uri,
        grant.key,
        int(grant.leg),
        list(grant.namespaces),
        grant.number,
        grant.not_after,
    ]


def _signed(grant: Grant) -> bytes:
    return LABEL + b"\x00" + cbor.encode(_items(grant))


def _check(grant: Grant) -> None:
    """Refuse values of the wrong type or size, which come from a decoder as easily as from a caller."""
    sized: tuple[tuple[str, Any, int], ...] = (("authority", grant.authority, KEY_ID_OCTETS), ("key", grant.key, _HASH))
    for what, value, size in sized:
        if not isinstance(value, bytes) or len(value) != size:
            raise GrantError(f"a grant's {what} has {size} octets")
    if len(grant.namespaces) > MAX_NAMESPACES:
        raise GrantError(f"a grant of {len(grant.namespaces)} namespaces; {MAX_NAMESPACES} are the most")
    names: tuple[Any, ...] = (grant.uri, *grant.namespaces)
    for name in names:
        if not isinstance(name, str) or not 0 < _octets(name) <= MAX_URI:
            raise GrantError(f"a grant's URI and namespaces have 1 to {MAX_URI} octets: {name!r:.80}")
    if len(set(grant.namespaces)) != len(grant.namespaces):
        raise GrantError("a grant that names a namespace twice")
    for what, number in (("number", grant.number), ("end", 0 if grant.not_after is None else grant.not_after)):
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise GrantError(f"a grant's {what} is a whole number from 0 to {MAX_NUMBER}")


def _octets(name: str) -> int:
    try:
        return len(name.encode())
    except UnicodeEncodeError:
        return 0
