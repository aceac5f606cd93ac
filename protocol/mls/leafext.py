"""The leg-class extension of a leaf (private-use type 0xF010): where plaintext exists on its leg, whom it speaks for.

    struct {
        uint8 leg_class;                /* 0..4, protocol.leg */
        opaque namespaces<V><V>;        /* UTF-8 URI prefixes, at most 64 of at most 1024 octets */
    } Leg;

It is part of the leaf, hence signed by it and covered by the tree hash. It binds an identity to a claim. Beside it
stands the grant (private-use type 0xF011, ``protocol.grant``): what the operator's authority lets the leaf claim.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from protocol.grant import Grant, GrantError, SignedGrant
from protocol.grant import decode as decode_grant
from protocol.leg import LegClass
from protocol.mls.codec import Reader, decode, u8, vec, vec_of
from protocol.mls.errors import DecodeError, InputError, LegError, UngrantedError
from protocol.mls.extensions import Extension, Extensions, ExtensionType, find

MAX_NAMESPACES = 64
MAX_NAMESPACE = 1024


class Leg(Struct, frozen=True):
    """A leaf's claim about its leg."""

    leg: LegClass
    namespaces: tuple[str, ...]

    @classmethod
    def make(cls, leg: LegClass, namespaces: Sequence[str]) -> Leg:
        """Build a claim; raises ``InputError`` for namespaces that are empty, too long or too many."""
        if len(namespaces) > MAX_NAMESPACES:
            raise InputError(f"{len(namespaces)} namespaces; {MAX_NAMESPACES} are the most")
        for namespace in namespaces:
            if not 0 < len(namespace.encode()) <= MAX_NAMESPACE:
                raise InputError(f"a namespace has 1 to {MAX_NAMESPACE} octets: {namespace!r}")
        return cls(leg, tuple(namespaces))

    def extension(self) -> Extension:
        """Encode the extension."""
        names = vec_of(vec(namespace.encode()) for namespace in self.namespaces)
        return Extension(ExtensionType.LEG, u8(self.leg) + names)


NO_CLAIM = Leg(LegClass.OPEN, ())
"""What a leaf without the extension is taken for: the worst class, speaking for nobody but itself."""


def leg_of(extensions: Extensions) -> Leg:
    """Return the claim in a leaf's extensions; raises ``LegError`` if it does not parse."""
    data = find(extensions, ExtensionType.LEG)
    if data is None:
        return NO_CLAIM
    try:
        return decode(data, _read)
    except (DecodeError, InputError, ValueError) as error:
        raise LegError(f"the leg-class extension does not parse: {error}") from None


def _read(reader: Reader) -> Leg:
    leg = LegClass(reader.u8())
    return Leg.make(leg, [name.decode() for name in reader.items(Reader.vec)])


def grant_extension(grant: SignedGrant) -> Extension:
    """Encode the leaf extension that carries a grant."""
    return Extension(ExtensionType.GRANT, grant.encode())


def grant_of(extensions: Extensions) -> SignedGrant | None:
    """Return the grant in a leaf's extensions, its signature unchecked; None if there is none.

    Raises ``UngrantedError`` for one that does not parse.
    """
    data = find(extensions, ExtensionType.GRANT)
    if data is None:
        return None
    try:
        return decode_grant(data)
    except GrantError as error:
        raise UngrantedError(f"the grant in a leaf does not parse: {error}") from None


def within(claim: Leg, grant: Grant) -> bool:
    """Say whether a claim is no better, and no wider, than a grant."""
    return claim.leg >= grant.leg and all(namespace.startswith(grant.namespaces) for namespace in claim.namespaces)
