"""Who is who: persons and their addresses, which room a conversation has, which endpoint speaks for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from adapters.contract import Conversation, Direct, Group, Profile
from bridge.policy.rooms import direct_uri
from bridge.router.contract import Router
from protocol import uri
from protocol.address import address as in_one_spelling
from protocol.bounded import Bounded
from protocol.uri import Address, UriError

_FRESH_MS = 600_000  # how long "this endpoint speaks for that person" is believed


class PlumbedRoom(Struct, frozen=True):
    """A room that the configuration plumbs: this network's side of it is the native room ``conversation``.

    ``id`` is the room's id under the domain, ``members`` the names of all its endpoints; the ``creator`` among them
    makes it and adds the others.
    """

    id: str
    name: str
    conversation: str
    creator: bool
    members: tuple[str, ...]


class Person(Struct, frozen=True):
    """One human with many addresses, each written ``network~id``; ``name`` is shown wherever they speak."""

    name: str
    addresses: tuple[str, ...]


def direct_room(domain: str, one: Address, other: Address) -> str:
    """Return the URI of the room of two people: both sides compute the same one."""
    return direct_uri(domain, (uri.user_uri(domain, one), uri.user_uri(domain, other)))


def _check_spelling(address: Address) -> None:
    spelt = in_one_spelling(address.network, address.id)
    if spelt != address:
        raise UriError(f"{str(address)[:200]!r} is written {str(spelt)[:200]!r}")


class Directory:
    """One endpoint's view of the people and rooms; ``now`` is the wall clock in milliseconds.

    At most ``remembered`` people are kept in memory; the others are computed, or asked about, again.
    """

    def __init__(
        self,
        domain: str,
        router: Router,
        *,
        rooms: Iterable[PlumbedRoom] = (),
        persons: Iterable[Person] = (),
        now: Callable[[], int],
        remembered: int = 10_000,
    ) -> None:
        self.domain = domain
        self._router = router
        self._now = now
        self._plumbed = {room.conversation: room for room in rooms}
        self._names = {address: person.name for person in persons for address in person.addresses}
        self._users: Bounded[Address, str] = Bounded(remembered)
        self._addresses: Bounded[str, Address] = Bounded(remembered)
        self._endpoints: Bounded[str, tuple[int, tuple[str, ...]]] = Bounded(remembered)

    def plumb(self, rooms: Iterable[PlumbedRoom]) -> None:
        """Take these rooms for the plumbed ones from now on, and believe nothing of who speaks for whom any more."""
        self._plumbed = {room.conversation: room for room in rooms}
        self._endpoints.clear()

    def user(self, address: Address) -> str:
        """Return the URI of the person at ``address``.

        Raises ``UriError`` if the address can have none, or is spelt in another way than its network's one: a person
        must not be two.
        """
        known = self._users.get(address)
        if known is None:
            _check_spelling(address)
            known = self._users[address] = uri.user_uri(self.domain, address)
        return known

    def address(self, user: str) -> Address:
        """Return the address that a user URI of this domain stands for. Raises ``UriError`` as ``user`` does."""
        known = self._addresses.get(user)
        if known is None:
            known = uri.address_of(user, self.domain)
            _check_spelling(known)
            self._addresses[user] = known
        return known

    def profile(self, address: Address, name: str = "", avatar: str = "") -> Profile:
        """Return how a person is shown: under the configured name, else the one they go by on their network."""
        return Profile(address, self._names.get(str(address), name), avatar)

    def room_of(self, conversation: Conversation) -> str | None:
        """Return the room that a conversation has, or None for a native room that is not plumbed."""
        match conversation:
            case Direct(local=local, peer=peer):
                return direct_room(self.domain, local, peer)
            case Group(id=native):
                plumbed = self._plumbed.get(native)
                return None if plumbed is None else uri.room_uri(self.domain, plumbed.id)

    def plumbed(self, conversation: Group) -> PlumbedRoom | None:
        """Return the configuration of a plumbed native room."""
        return self._plumbed.get(conversation.id)

    async def endpoints_of(self, address: Address) -> tuple[str, ...]:
        """Return the URIs of the endpoints that speak for a person, in a fixed order; none if nobody does.

        Raises ``RouterUnavailable``.
        """
        user = self.user(address)
        known = self._endpoints.get(user)
        if known is not None and self._now() - known[0] < _FRESH_MS:
            return known[1]
        found = await self._router.identifier_query(user)
        if found:
            self._endpoints[user] = (self._now(), found)
        return found

    async def endpoint_of(self, address: Address) -> str | None:
        """Return the first of the endpoints that speak for a person, or None. Raises ``RouterUnavailable``."""
        return next(iter(await self.endpoints_of(address)), None)

    def members(self, plumbed: PlumbedRoom) -> tuple[str, ...]:
        """Return the URIs of a plumbed room's endpoints, in the order in which they are its keepers."""
        return tuple(uri.endpoint_uri(self.domain, name) for name in plumbed.members)

    def owner_of(self, conversation: Conversation) -> str:
        """Return the endpoint of this account that a conversation belongs to: this one, as long as it has one."""
        del conversation
        return self._router.endpoint
