"""Addresses: what each kind of network calls a person, each in its one spelling.

Two spellings of one address become one id here, and two addresses never do, so that an ``Address`` may be compared,
stored and turned into a URI without knowing its network. Everything is a pure function of text; what is no address
raises ``UriError``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from typing import Final

import idna
from precis_i18n import get_profile
from precis_i18n.profile import Profile

from protocol.uri import Address, UriError

MAX_JID_PART_OCTETS: Final = 1023
MAX_MXID_OCTETS: Final = 255


def address(network: str, text: str) -> Address:
    """Return the address that ``text`` spells on ``network``; a network without rules here takes it as it stands."""
    normalise = KINDS.get(network)
    return Address(network, normalise(text) if normalise else text)


def jid(text: str) -> str:
    """Return a JID, bare or full, prepared as RFC 7622 asks.

    The localpart follows the PRECIS profile UsernameCaseMapped and the resource OpaqueString (RFC 8265); the domain is
    written in lower-case U-labels (IDNA 2008, UTS 46) without a final dot.
    """
    bare, slash, resource = text.partition("/")
    local, at, domain = bare.rpartition("@")
    prepared = domain_name(domain)
    if at:
        prepared = f"{_localpart(local)}@{prepared}"
    if slash:
        prepared = f"{prepared}/{_sized(_prepared(resource, _OPAQUE, 'resource'), 'resource')}"
    return prepared


def domain_name(text: str) -> str:
    """Return a domain in lower-case U-labels, or an IP address; underscores are let pass, as XMPP servers do."""
    name = _sized(text.removesuffix("."), "domain")
    if name.startswith("["):
        return _ipv6(name)
    if _ASCII_DOMAIN.fullmatch(name) and "xn--" not in name.lower():
        return name.lower()
    try:
        prepared = idna.decode(idna.encode(name, uts46=True))
    except (idna.IDNAError, UnicodeError):
        prepared = ""
    if not prepared or prepared.endswith("."):
        raise UriError(f"no domain name: {text[:200]!r}")
    return prepared


def mxid(text: str) -> str:
    """Return a Matrix user id unchanged, if it is one: case counts, and old localparts may hold nearly anything."""
    if not _MXID.fullmatch(text) or _octets(text) > MAX_MXID_OCTETS:
        raise UriError(f"no Matrix user id: {text[:200]!r}")
    return text


def e164(text: str) -> str:
    """Return a phone number with its plus sign, which ``text`` may lack; 2 to 15 digits."""
    if not _E164.fullmatch(text):
        raise UriError(f"no phone number in E.164: {text[:200]!r}")
    return text if text.startswith("+") else f"+{text}"


def bsuid(text: str) -> str:
    """Return a business-scoped user id unchanged, if it is one: a country, perhaps ``ENT``, and letters or digits."""
    if not _BSUID.fullmatch(text):
        raise UriError(f"no business-scoped user id: {text[:200]!r}")
    return text


def phone_or_bsuid(text: str) -> str:
    """Return whichever of the two ``text`` is: no phone number starts with a letter and every BSUID does."""
    return bsuid(text) if text[:1].isalpha() else e164(text)


KINDS: Final[Mapping[str, Callable[[str], str]]] = {
    "xmpp": jid,
    "matrix": mxid,
    "whatsapp": phone_or_bsuid,
}
"""The rule by which each network's addresses get their one spelling."""

_USERNAME: Final = get_profile("UsernameCaseMapped")
_OPAQUE: Final = get_profile("OpaqueString")
_NOT_IN_LOCALPART: Final = frozenset("\"&'/:<>@")
_ASCII_DOMAIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\]")
_HOST: Final = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?"
_MXID: Final = re.compile(rf"@[^:\x00\ud800-\udfff]*:{_HOST}")
_E164: Final = re.compile(r"\+?[1-9][0-9]{1,14}")
_BSUID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


def _localpart(text: str) -> str:
    local = _sized(_prepared(text, _USERNAME, "localpart"), "localpart")
    if not _NOT_IN_LOCALPART.isdisjoint(local):
        raise UriError(f"a localpart may not hold any of \"&'/:<>@: {text[:200]!r}")
    return local


def _prepared(text: str, profile: Profile, name: str) -> str:
    """Apply a PRECIS profile until it changes nothing any more, four times at most (RFC 8264, section 7)."""
    _sized(text, name)
    for _ in range(4):
        try:
            result = profile.enforce(text)
        except UnicodeError as error:
            raise UriError(f"no {name} of a JID: {text[:200]!r}") from error
        if result == text:
            return text
        text = result
    raise UriError(f"a {name} that never settles: {text[:200]!r}")


def _sized(text: str, name: str) -> str:
    if not 0 < _octets(text) <= MAX_JID_PART_OCTETS:
        raise UriError(f"a {name} of a JID has 1 to {MAX_JID_PART_OCTETS} octets: {text[:200]!r}")
    return text


def _octets(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _ipv6(text: str) -> str:
    found = _BRACKETED.fullmatch(text)
    try:
        return f"[{IPv6Address(found[1] if found else '')}]"
    except ValueError:
        raise UriError(f"no IPv6 address: {text[:200]!r}") from None
