"""Names: addresses of people on their networks, and the MIMI URIs that stand for them everywhere else.

A MIMI URI is ``mimi://<domain>/<kind>/<id>``. A bridge mints names under its own domain only: the person ``a@b`` of
network ``n`` is ``mimi://<domain>/u/n~a%40b``. Each name has exactly one spelling, and any other is refused, so names
may be compared octet by octet: percent-encoding leaves the unreserved characters of RFC 3986 alone and writes
everything else as upper-case ``%XX`` of its UTF-8. ``protocol.address`` gives an address its one spelling, before it
becomes a URI.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import ClassVar, Final
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from protocol.errors import ProtocolError

MAX_OCTETS: Final = 65_535
"""How long a URI may be: a message id hashes its length in two octets."""


class UriError(ProtocolError):
    """Not a MIMI URI in its one spelling, or an address that has none."""

    code: ClassVar[str] = "uri"


class Kind(StrEnum):
    """What a MIMI URI names, by the letter in its path."""

    USER = "u"
    DEVICE = "d"
    ROOM = "r"
    GROUP = "g"


class Address(Struct, frozen=True):
    """One way to reach a person: ``id`` is what the network calls them, in the one spelling it has.

    ``network`` names the account through which they are reached: the network itself (``xmpp``) for its first account,
    ``xmpp.shop2`` for the account ``shop2`` of several. One human who is seen through two accounts has two addresses.
    """

    network: str
    id: str

    def __str__(self) -> str:
        return f"{self.network}~{self.id}"


class MimiUri(Struct, frozen=True):
    """A MIMI URI in its parts, decoded. ``path`` is the id, in several segments where it has slashes."""

    domain: str
    kind: Kind
    path: tuple[str, ...]

    def __str__(self) -> str:
        return _build(self.domain, self.kind, self.path)

    @property
    def id(self) -> str:
        """The id as one text; a device's segments are joined by slashes."""
        return "/".join(self.path)


def parse(uri: str) -> MimiUri:
    """Take a MIMI URI apart; raise ``UriError`` unless it is one in its one spelling."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise UriError(f"not a MIMI URI, {_flaw(uri)}: {uri[:200]!r}")
    domain, kind, path = found.groups()
    parsed = MimiUri(domain, Kind(kind), tuple(_unquote(segment, uri) for segment in path.split("/")))
    if str(parsed) != uri:
        raise UriError(f"a MIMI URI that should be spelt {str(parsed)[:200]!r}: {uri[:200]!r}")
    return parsed


def user_uri(domain: str, address: Address) -> str:
    """Return the URI, under the bridge's own ``domain``, of the person at ``address``."""
    if not _NETWORK.fullmatch(address.network):
        raise UriError(f"no name of a network: {address.network[:200]!r}")
    if not address.id:
        raise UriError("an empty address")
    return _build(domain, Kind.USER, (str(address),))


def address_of(uri: str, domain: str) -> Address:
    """Return the address that ``user_uri`` made ``uri`` of; raise ``UriError`` if it is no such URI of ``domain``."""
    parsed = parse(uri)
    network, tilde, native = parsed.id.partition("~")
    if parsed.kind is not Kind.USER or not tilde or not native or not _NETWORK.fullmatch(network):
        raise UriError(f"not the URI of a person: {uri[:200]!r}")
    if parsed.domain != domain:
        raise UriError(f"not a URI of {domain}: {uri[:200]!r}")
    return Address(network, native)


def endpoint_uri(domain: str, name: str) -> str:
    """Return the URI of the endpoint ``name``, which its MLS leaf has as its credential."""
    return _build(domain, Kind.DEVICE, (name,))


def room_uri(domain: str, id: str) -> str:  # noqa: A002 - the word of the field
    """Return the URI of the room with this id."""
    return _build(domain, Kind.ROOM, (id,))


def group_uri(domain: str, id: str) -> str:  # noqa: A002 - the word of the field
    """Return the URI of the MLS group with this id."""
    return _build(domain, Kind.GROUP, (id,))


def namespace(domain: str, network: str) -> str:
    """Return what the URIs of all people of ``network`` under ``domain`` start with, and no others.

    ``network`` is an ``Address``'s: that of one account. No two accounts' namespaces overlap.
    """
    return user_uri(domain, Address(network, "-"))[:-1]


def account_network(network: str, account: str) -> str:
    """Return what stands for the account ``account`` of ``network`` in the addresses of its people.

    That of the network's first account is the network itself. Raises ``UriError`` for names that cannot stand there.
    """
    name = f"{network}.{account}"
    if not _PLAIN_NETWORK.fullmatch(network) or not _NETWORK.fullmatch(name):
        raise UriError(f"no name of a network's account: {name[:200]!r}")
    return name


def base_network(network: str) -> str:
    """Return the network that an account's name in addresses belongs to: ``xmpp`` of ``xmpp`` and ``xmpp.shop2``."""
    return network.partition(".")[0]


def is_network(name: str) -> bool:
    """Say whether a network may be called so: 32 letters, digits and hyphens at most; a dot would name an account."""
    return _PLAIN_NETWORK.fullmatch(name) is not None


_PLAIN_NETWORK: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NETWORK: Final = re.compile(rf"{_PLAIN_NETWORK.pattern}(?:\.[a-z][a-z0-9_-]{{0,63}})?")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{{0,4}})?")
_SCHEME: Final = "mimi://"
_DOTS: Final = frozenset((".", ".."))  # RFC 3986 §6.2.2.3: whoever normalises a path removes them
_KINDS: Final = frozenset(Kind)
_NOT_IN_ID: Final = re.compile(r"[^A-Za-z0-9._~%/-]")
_URI: Final = re.compile(rf"mimi://({_DOMAIN.pattern})/([udrg])/([A-Za-z0-9._~%-]+(?:/[A-Za-z0-9._~%-]+)*)")


def _flaw(uri: str) -> str:
    """Say what keeps ``uri`` from being a MIMI URI, and where."""
    domain, _, path = uri.removeprefix(_SCHEME).partition("/")
    kind, _, id_ = path.partition("/")
    start = len(uri) - len(id_)
    if not uri.startswith(_SCHEME):
        return f"which starts with {_SCHEME}"
    if not _DOMAIN.fullmatch(domain):
        return f"what stands from index {len(_SCHEME)} on is no domain in lower case"
    if kind not in _KINDS:
        return f"what stands from index {len(_SCHEME) + len(domain)} on is none of /u/, /d/, /r/ and /g/"
    if wrong := _NOT_IN_ID.search(id_):
        return f"U+{ord(wrong[0]):04X} at index {start + wrong.start()} must be percent-encoded"
    return f"a part of the id that starts at index {start} is empty"


def _build(domain: str, kind: Kind, path: tuple[str, ...]) -> str:
    if not _DOMAIN.fullmatch(domain):
        raise UriError(f"no domain in lower case: {domain[:200]!r}")
    if not path or not all(path) or (len(path) > 1 and kind is not Kind.DEVICE):
        raise UriError(f"an id that is empty or in too many parts: {path!r:.200}")
    if not _DOTS.isdisjoint(path):
        raise UriError(f"an id that is a dot or two: {path!r:.200}")
    try:
        uri = f"mimi://{domain}/{kind}/{'/'.join(quote(segment, safe='') for segment in path)}"
    except UnicodeEncodeError:
        raise UriError(f"an id with half of a surrogate pair: {path!r:.200}") from None
    if len(uri) > MAX_OCTETS:
        raise UriError(f"a URI of {len(uri)} octets; {MAX_OCTETS} are allowed: {uri[:200]!r}")
    return uri


def _unquote(segment: str, uri: str) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise UriError(f"percent-encoded octets that are not UTF-8: {uri[:200]!r}") from None
