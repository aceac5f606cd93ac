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

from protocol.uri import Address, UriError, base_network

MAX_JID_PART_OCTETS: Final = 1023
MAX_MXID_OCTETS: Final = 255


def address(network: str, text: str) -> Address:
    """Return the address that ``text`` spells on ``network``; a network without rules here takes it as it stands.

    All accounts of one network spell alike: ``xmpp.shop2`` as ``xmpp`` does.
    """
    normalise = KINDS.get(base_network(network))
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
        prepared = f"{prepared}/{_prepared(resource, _OPAQUE, 'resource')}"
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
    except (idna.IDNAError, UnicodeError) as error:
        raise UriError(f"no domain name, {str(error)[:200]}: {text[:200]!r}") from None
    if prepared.endswith("."):
        raise UriError(f"no domain name, it ends with an empty label: {text[:200]!r}")
    return prepared


def mxid(text: str) -> str:
    """Return a Matrix user id unchanged, if it is one: case counts, and old localparts may hold nearly anything."""
    localpart, colon, host = text[1:].partition(":")
    if not text.startswith("@"):
        flaw = "it does not start with an @"
    elif found := _NOT_IN_MXID.search(localpart):
        flaw = f"{_at(text, found.start() + 1)} is not allowed"
    elif not colon:
        flaw = "a colon and the name of a server are missing"
    elif not _HOST.fullmatch(host):
        flaw = f"what stands from index {len(localpart) + 2} on is no name of a server"
    elif _octets(text) > MAX_MXID_OCTETS:
        flaw = f"{_octets(text)} octets instead of {MAX_MXID_OCTETS} at most"
    else:
        return text
    raise UriError(f"no Matrix user id, {flaw}: {text[:200]!r}")


def e164(text: str) -> str:
    """Return a phone number with its plus sign, which ``text`` may lack; 2 to 15 digits."""
    digits = text.removeprefix("+")
    if found := _NOT_A_DIGIT.search(digits):
        flaw = f"{_at(text, found.start() + len(text) - len(digits))} is no digit"
    elif not 2 <= len(digits) <= 15:
        flaw = f"{len(digits)} digits instead of 2 to 15"
    elif digits.startswith("0"):
        flaw = "no country's code starts with 0"
    else:
        return f"+{digits}"
    raise UriError(f"no phone number in E.164, {flaw}: {text[:200]!r}")


def bsuid(text: str) -> str:
    """Return a business-scoped user id unchanged, if it is one: a country, perhaps ``ENT``, and letters or digits."""
    if not _BSUID.fullmatch(text):
        raise UriError(
            "no business-scoped user id, which is two capital letters, a dot, perhaps ENT and a dot, and 1 to 128"
            f" letters or digits: {text[:200]!r}"
        )
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
_NOT_IN_LOCALPART: Final = re.compile("[\"&'/:<>@]")
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ASCII_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\]")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
_NOT_IN_MXID: Final = re.compile(r"[\x00\ud800-\udfff]")
_NOT_A_DIGIT: Final = re.compile(r"[^0-9]")
_BSUID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_SHRINKS: Final = 4  # how many times longer a text may be before it is prepared: a full-width U with two marks is


def _localpart(text: str) -> str:
    local = _prepared(text, _USERNAME, "localpart")
    if found := _NOT_IN_LOCALPART.search(local):
        raise UriError(f"no localpart of a JID, {_at(local, found.start())} is not allowed: {text[:200]!r}")
    return local


def _prepared(text: str, profile: Profile, name: str) -> str:
    """Apply a PRECIS profile until it changes nothing any more, four times at most (RFC 8264 §7)."""
    _sized(text, name, _SHRINKS * MAX_JID_PART_OCTETS)
    for _ in range(4):
        try:
            result = profile.enforce(text)
        except UnicodeEncodeError as error:
            where = _at(error.object, error.start)
            raise UriError(f"no {name} of a JID, {where} is refused ({error.reason}): {text[:200]!r}") from error
        if result == text:
            return _sized(text, name)
        text = result
    raise UriError(f"a {name} that never settles: {text[:200]!r}")


def _sized(text: str, name: str, most: int = MAX_JID_PART_OCTETS) -> str:
    if not 0 < _octets(text) <= most:
        raise UriError(f"a {name} of a JID has 1 to {MAX_JID_PART_OCTETS} octets, not {_octets(text)}: {text[:200]!r}")
    return text


def _octets(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _at(text: str, index: int) -> str:
    return f"U+{ord(text[index]):04X} at index {index}"


def _ipv6(text: str) -> str:
    found = _BRACKETED.fullmatch(text)
    if found is None:
        raise UriError(f"no IPv6 address in brackets: {text[:200]!r}")
    try:
        return f"[{IPv6Address(found[1])}]"
    except ValueError as error:
        raise UriError(f"no IPv6 address, {error}: {text[:200]!r}") from None
