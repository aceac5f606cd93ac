"""Who is who: every person of another network is minted two identities that business programs can live with.

Older programs know people by a phone number, newer ones by a business-scoped user id (BSUID). A person gets both, at
random and for ever, and neither can be computed from the address:

- ``wa_id``: ``999`` and twelve digits. It is shaped like an international number, and +999 is assigned to nobody.
- ``user_id``: ``XX.`` and nineteen digits. XX is no country.

A program may name a person by either, or write the JID or MXID itself.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

import msgspec
from msgspec import Struct

from adapters.business.errors import InvalidParameter, RecipientUnknown
from adapters.contract import Store
from protocol.address import address
from protocol.bounded import Bounded
from protocol.uri import Address, UriError

_REMEMBERED = 10_000  # the others are read from the store again
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[0-9]{1,32}")
_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]*")
_SCHEMES = ("xmpp:", "tel:")


class Person(Struct, frozen=True):
    """A person of another network and the two identities that stand for them in the business API."""

    address: Address
    wa_id: str
    user_id: str

    @property
    def username(self) -> str:
        """What is shown as their user name: the JID or MXID."""
        return self.address.id


class Minted(Struct, frozen=True):
    """One of our own identities, as a program wrote it: what the store files it under."""

    key: str


def read(text: str) -> Minted | Address:
    """Understand how a program names a person. Raises ``InvalidParameter`` for what names nobody."""
    name = text.strip()
    for scheme in _SCHEMES:
        name = name.removeprefix(scheme)
    if _USER_ID.fullmatch(name):
        return Minted(f"bsuid/{name}")
    if _NUMBER.fullmatch(name):
        return Minted(f"wa/{re.sub(r'[^0-9]', '', name)}")
    try:
        if name.startswith("@"):
            return address("matrix", name)
        bare = name.partition("/")[0]
        if "@" in bare:
            return address("xmpp", bare)
    except UriError as error:
        raise InvalidParameter(str(error)) from error
    raise InvalidParameter(f"'{text[:100]}' is not a number, a user id, a JID or a Matrix user id")


class Identities:
    """The address table of one account, kept in its store in both directions.

    ``below(n)`` gives a random number from 0 to n - 1.
    """

    def __init__(self, store: Store, below: Callable[[int], int] = secrets.randbelow) -> None:
        self._store = store
        self._below = below
        self._known: Bounded[Address, Person] = Bounded(_REMEMBERED)
        self._minting = asyncio.Lock()

    async def of(self, who: Address) -> Person:
        """Return the person at this address, minted now if they are new."""
        if person := self._known.get(who):
            return person
        async with self._minting:
            stored = await self._store.get(f"person/{who}")
            person = msgspec.json.decode(stored, type=Person) if stored else await self._mint(who)
            self._known[who] = person
            return person

    async def find(self, name: str) -> Person:
        """Return the person a program names in ``to`` or ``recipient``.

        Raises ``InvalidParameter`` if the name has no known form and ``RecipientUnknown`` if it is none of ours.
        """
        meant = read(name)
        if isinstance(meant, Address):
            return await self.of(meant)
        stored = await self._store.get(meant.key)
        if stored is None:
            raise RecipientUnknown(f"'{name[:100]}' is nobody's number or id here")
        return await self.of(msgspec.json.decode(stored, type=Address))

    async def _mint(self, who: Address) -> Person:
        """Mint both identities; the person's own record goes in last, so that half a minting is none."""
        person = Person(who, await self._free("wa", self._number), await self._free("bsuid", self._user_id))
        encoded = msgspec.json.encode(who)
        await self._store.put(f"wa/{person.wa_id}", encoded)
        await self._store.put(f"bsuid/{person.user_id}", encoded)
        await self._store.put(f"person/{who}", msgspec.json.encode(person))
        return person

    async def _free(self, kind: str, draw: Callable[[], str]) -> str:
        while True:
            name = draw()
            if await self._store.get(f"{kind}/{name}") is None:
                return name

    def _number(self) -> str:
        return f"999{self._below(10**12):012}"

    def _user_id(self) -> str:
        return f"XX.{10**18 + self._below(9 * 10**18)}"
