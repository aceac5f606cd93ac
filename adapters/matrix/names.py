"""Names on Matrix for people of other networks, and back: pure.

A ghost is a Matrix user that stands for a person of another network: ``juliet@xmpp.test`` on XMPP is
``@rialto_xmpp_juliet=40xmpp.test:hs.test``. The mapping is total and reversible: octets that a localpart may not hold,
and those that would make two names alike, are written ``=xx``. An address too long for a Matrix id (255 octets) gets a
ghost that is named by its digest, ``@rialto_-<digest>:hs.test``; only who has seen the address can turn it back.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import sha256
from typing import Final

from msgspec import Struct

from protocol.address import mxid
from protocol.uri import Address, Kind, UriError, parse

NETWORK: Final = "matrix"
MAX_ID_OCTETS: Final = 255
MATRIX_TO: Final = "https://matrix.to/#/"
"""What a link to a user starts with, who is thereby mentioned."""

_NETWORK_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")
_ID_SAFE: Final = _NETWORK_SAFE | frozenset(b"-._")
_ESCAPE: Final = re.compile(rb"=([0-9a-f]{2})")
_USER_ID: Final = re.compile(r"@[^:\s\x00-\x1f\x7f\ud800-\udfff]+:[A-Za-z0-9.\-:\[\]]+")


def escape(text: str, safe: frozenset[int] = _ID_SAFE) -> str:
    """Write ``text`` with the octets of ``safe`` only; all others become ``=xx``."""
    return "".join(chr(o) if o in safe else f"={o:02x}" for o in text.encode(errors="surrogatepass"))


def unescape(text: str) -> str | None:
    """Undo ``escape``; None if this cannot have come from it."""
    octets = _ESCAPE.sub(lambda m: bytes.fromhex(m[1].decode()), text.encode(errors="surrogatepass"))
    try:
        return octets.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return None


def is_user_id(text: str) -> bool:
    """Whether this can be a Matrix user's id, for us and for everybody who is told of it."""
    if _USER_ID.fullmatch(text) is None:
        return False
    try:
        return mxid(text) == text
    except UriError:
        return False


def digest(text: str) -> str:
    """A short name for ``text`` that is safe in ids and aliases."""
    return b32encode(sha256(text.encode(errors="surrogatepass")).digest()).decode().rstrip("=").lower()


class Names(Struct, frozen=True):
    """The names that an application service may give on ``server``.

    ``prefix`` starts every ghost's localpart and every alias, ``bot`` is the localpart of the service's own user.
    ``network`` is the network of this account's own people in addresses.
    """

    server: str
    prefix: str
    bot: str
    network: str = NETWORK

    @property
    def bot_id(self) -> str:
        """The id of the service's own user, who joins plumbed rooms and speaks for Rialto itself."""
        return f"@{self.bot}:{self.server}"

    def localpart(self, address: Address) -> str:
        """The localpart of the ghost of ``address``."""
        network = escape(address.network, _NETWORK_SAFE)
        local = f"{self.prefix}{network}_{escape(address.id)}"
        if len(local) + len(self.server) + 2 > MAX_ID_OCTETS:
            return f"{self.prefix}-{digest(str(address))}"
        return local

    def ghost(self, address: Address) -> str:
        """The id of the ghost of ``address``."""
        return f"@{self.localpart(address)}:{self.server}"

    def address(self, user_id: str) -> Address | None:
        """The address whose ghost this is; None if it is nobody's, or named by a digest."""
        start, end = f"@{self.prefix}", f":{self.server}"
        if not (user_id.startswith(start) and user_id.endswith(end)):
            return None
        network, _, person = user_id[len(start) : -len(end)].partition("_")
        name, id_ = unescape(network), unescape(person)
        if not name or not id_:
            return None
        address = Address(name, id_)
        return address if self.ghost(address) == user_id else None

    def owns(self, user_id: str) -> bool:
        """Whether only this application service can act as ``user_id``: a ghost, or the bot."""
        return user_id == self.bot_id or (user_id.startswith(f"@{self.prefix}") and user_id.endswith(f":{self.server}"))

    def owns_alias(self, alias: str) -> bool:
        """Whether only this application service can create the room alias ``alias``."""
        return alias.startswith(f"#{self.prefix}") and alias.endswith(f":{self.server}")

    def alias_localpart(self, alias: str) -> str:
        """The part of one of our aliases that a new room is created with."""
        return alias.removeprefix("#").removesuffix(f":{self.server}")

    def mention(self, target: str) -> str:
        """Turn a link to a person's MIMI URI into one to their Matrix user; any other link stays what it is."""
        try:
            uri = parse(target)
        except UriError:
            return target
        network, _, id_ = uri.id.partition("~")
        if uri.kind is not Kind.USER or not network or not id_:
            return target
        return MATRIX_TO + (id_ if network == self.network else self.ghost(Address(network, id_)))

    def direct_alias(self, key: str) -> str:
        """The alias under which the direct room of the conversation ``key`` is found again."""
        return f"#{self.prefix}direct_{digest(key)}:{self.server}"
