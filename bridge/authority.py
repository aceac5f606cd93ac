"""The operator's authority: which signature keys are which endpoints, and what each may claim.

``OperatorAuthority`` judges leaves by the authority's public keys, as router and endpoints do alike. ``Granting`` finds
or makes the grant of one endpoint: from the grant that it holds, from a file that the operator has brought, or, where
the authority's private key is at hand, by signing one.

A grant's number is the time of its issue in seconds since 1970, or one more than the grant before it if that is
greater. So it grows without anybody's keeping count, and a revocation is a moment: what was granted before is void.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from bridge.errors import NotGrantedError
from protocol.grant import Grant, GrantError, SignedGrant, decode, key_hash, key_id, public_of, sign
from protocol.leg import LegClass
from protocol.mls import UngrantedError
from protocol.mls.extensions import ExtensionType, find
from protocol.mls.leaf import LeafNode
from protocol.mls.leafext import grant_of
from protocol.mls.validation import check_granted

KEY_OCTETS = 32
KEYS_AT_MOST = 2
"""How many keys an authority has: one, and another while it is rotated."""

_VERIFIED = 4096


class OperatorAuthority:
    """Implements ``protocol.mls.Authority`` for one domain.

    ``keys`` are the public keys whose grants are good, ``revoked`` the lowest number that a grant of an endpoint, named
    by its URI, must have. ``clock`` is the judge's own, in milliseconds: by it grants end.
    """

    def __init__(
        self, keys: Sequence[bytes], domain: str, clock: Callable[[], int], *, revoked: Mapping[str, int] | None = None
    ) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._people = f"mimi://{domain}/u/"
        self._clock = clock
        self._revoked = dict(revoked or {})
        self._borne: frozenset[bytes] = frozenset()
        self._borne_until = 0
        self._verified: dict[bytes, None] = {}

    def judge(self, leaf: LeafNode) -> None:
        """Return if a leaf is the endpoint it says it is, and claims no more than it was granted.

        Raises ``UngrantedError`` with the reason.
        """
        signed = grant_of(leaf.content.extensions)
        if signed is None:
            if mark_of(leaf) in self._borne and self._clock() < self._borne_until:
                return
            raise UngrantedError("a leaf without a grant")
        check_granted(leaf, signed.grant)
        self.check(signed)

    def check(self, signed: SignedGrant) -> None:
        """Return if a grant is good: of this authority, for this domain, not revoked and not over.

        Raises ``UngrantedError``.
        """
        self._verify(signed)
        grant = signed.grant
        for namespace in grant.namespaces:
            if not namespace.startswith(self._people):
                raise UngrantedError(f"{grant.uri} is granted {namespace}, which is no namespace of this bridge")
        lowest = self._revoked.get(grant.uri, 0)
        if grant.number < lowest:
            raise UngrantedError(f"grant {grant.number} of {grant.uri} is revoked: {lowest} is the lowest still good")
        if grant.not_after is not None and self._clock() // 1000 > grant.not_after:
            raise UngrantedError(f"grant {grant.number} of {grant.uri} ended at {grant.not_after}")

    def _verify(self, signed: SignedGrant) -> None:
        """Check the signature; that of a grant which was checked before costs no more than looking it up."""
        mark = hashlib.sha256(signed.encode()).digest()
        if mark in self._verified:
            return
        key = self._keys.get(signed.grant.authority)
        if key is None:
            raise UngrantedError(f"{signed.grant.uri} was granted by an authority that is not this bridge's")
        try:
            signed.verify(key)
        except GrantError as error:
            raise UngrantedError(str(error)) from None
        if len(self._verified) >= _VERIFIED:
            self._verified.clear()
        self._verified[mark] = None

    def lowest(self, uri: str) -> int:
        """Return the lowest number of a grant of this endpoint that is not revoked."""
        return self._revoked.get(uri, 0)

    def bear(self, marks: Iterable[bytes], until: int) -> None:
        """Bear leaves without a grant that were in rooms before there were grants (``mark_of``), until this moment, in
        milliseconds.
        """
        self._borne, self._borne_until = frozenset(marks), until


def mark_of(leaf: LeafNode) -> bytes:
    """Return what stays the same of a leaf while its endpoint changes only its encryption keys."""
    content = leaf.content
    claim = find(content.extensions, ExtensionType.LEG) or b""
    parts = (content.credential.encode(), content.signature_key, claim)
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()


class Wanted(Struct, frozen=True, kw_only=True):
    """What an endpoint asks a grant for: its ``name`` in the configuration, and what its leaves are to say."""

    name: str
    uri: str
    public: bytes
    leg: LegClass
    namespaces: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the signature key in hexadecimal, as ``rialto key show`` prints it."""
        return key_hash(self.public).hex()

    def covered_by(self, grant: Grant) -> bool:
        """Whether a grant allows all of it."""
        spaces = all(namespace.startswith(grant.namespaces) for namespace in self.namespaces)
        return (grant.uri, grant.key) == (self.uri, key_hash(self.public)) and grant.leg <= self.leg and spaces

    def is_just(self, grant: Grant) -> bool:
        """Whether a grant allows exactly this, and nothing beyond."""
        return self.covered_by(grant) and grant.leg == self.leg and grant.namespaces == self.namespaces


class Granter(Protocol):
    """Gives an endpoint its grant."""

    def grant(self, wanted: Wanted, held: SignedGrant | None) -> SignedGrant:
        """Return a grant for what is wanted, which may be the one that is held.

        Raises ``NotGrantedError``, which says what the operator has to do.
        """
        ...


class Granting:
    """Gives the endpoints of this machine their grants.

    ``folder`` is where the operator puts grants that were signed elsewhere; ``private`` the authority's private key,
    None on a machine that does not hold it.
    """

    def __init__(
        self, authority: OperatorAuthority, folder: Path, clock: Callable[[], int], *, private: bytes | None = None
    ) -> None:
        self._authority = authority
        self._folder = folder
        self._clock = clock
        self._private = private

    def grant(self, wanted: Wanted, held: SignedGrant | None) -> SignedGrant:
        """See ``Granter.grant``: the grant that is held, then one that was brought, then one signed here."""
        brought = read_grant(grant_file(self._folder, wanted.name))
        for signed in sorted(filter(None, (brought, held)), key=lambda one: one.grant.number, reverse=True):
            if self._serves(signed, wanted):
                return signed
        if self._private is None:
            raise NotGrantedError(_missing(wanted, self._folder))
        lowest = self._authority.lowest(wanted.uri)
        if held is not None and held.grant.number < lowest:
            raise NotGrantedError(
                f"endpoint '{wanted.name}': its grant is revoked; 'rialto key grant {wanted.name}' gives it a new one"
            )
        number = issue_number(self._clock(), lowest, held)
        return issue(self._private, wanted, number)

    def _serves(self, signed: SignedGrant, wanted: Wanted) -> bool:
        """Whether a grant is good and says what is wanted, as the key that we would sign with, if any, would say it."""
        try:
            self._authority.check(signed)
        except UngrantedError:
            return False
        if self._private is None:
            return wanted.covered_by(signed.grant)
        return wanted.is_just(signed.grant) and signed.grant.authority == key_id(public_of(self._private))


def issue(private: bytes, wanted: Wanted, number: int, not_after: int | None = None) -> SignedGrant:
    """Sign a grant for what is wanted. Raises ``GrantError``."""
    return issue_for(private, wanted.uri, key_hash(wanted.public), wanted.leg, wanted.namespaces, number, not_after)


def issue_for(
    private: bytes,
    uri: str,
    fingerprint: bytes,
    leg: LegClass,
    namespaces: tuple[str, ...],
    number: int,
    not_after: int | None = None,
) -> SignedGrant:
    """Sign a grant for an endpoint of which only the fingerprint is known. Raises ``GrantError``."""
    grant = Grant(
        authority=key_id(public_of(private)),
        uri=uri,
        key=fingerprint,
        leg=leg,
        namespaces=namespaces,
        number=number,
        not_after=not_after,
    )
    return sign(grant, private)


def issue_number(now: int, lowest: int, held: SignedGrant | None) -> int:
    """Return the number of a grant that is issued at ``now`` (milliseconds) after the one that is held."""
    return max(now // 1000, lowest, 0 if held is None else held.grant.number + 1)


# --- as text ----------------------------------------------------------------------------------------------------------


def grant_file(folder: Path, name: str) -> Path:
    """Return where a grant for the endpoint of this name is put."""
    return folder / name


def write_grant(signed: SignedGrant) -> str:
    """Return a grant as a line of text. It is no secret."""
    return base64.b64encode(signed.encode()).decode()


def read_grant(path: Path) -> SignedGrant | None:
    """Read a grant that was put into a file; None if there is none. Raises ``NotGrantedError`` if it is no grant."""
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise NotGrantedError(f"{path}: cannot be read: {error}") from error
    try:
        return decode(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, GrantError) as error:
        raise NotGrantedError(f"{path}: not a grant: {error}") from error


def write_public(public: bytes) -> str:
    """Return an authority's public key as text."""
    return base64.b64encode(public).decode()


def read_public(text: str) -> bytes:
    """Read an authority's public key. Raises ``ValueError`` if the text is none."""
    try:
        public = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(f"'{text[:60]}' is not base64") from None
    if len(public) != KEY_OCTETS:
        raise ValueError(f"'{text[:60]}' has {len(public)} octets; an authority's public key has {KEY_OCTETS}")
    return public


def _missing(wanted: Wanted, folder: Path) -> str:
    return (
        f"endpoint '{wanted.name}' has no grant for {wanted.uri}, leg class {int(wanted.leg)}. Where the authority's "
        f"key is, run 'rialto key admit {wanted.name} {wanted.fingerprint}', and put the line that it prints into "
        f"{grant_file(folder, wanted.name)} here"
    )
