"""Who of this network has people of other networks as contacts, and what the contact list shows.

Everybody may add anybody: a subscription is approved at once and kept in the account's store, so that contacts come
back as available after every reconnect. Whether somebody really exists shows when the first message is written.
"""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

import structlog

from adapters.contract import Profile, Store
from adapters.xmpp import disco, names, xml
from adapters.xmpp.errors import LinkLost
from adapters.xmpp.link import Link
from protocol.uri import Address

_SUBSCRIPTION = "subscription/"
_PROFILE = "profile/"
MAX_CONTACTS = 2_000
"""So many people of other networks may one person have as contacts; each is sent presence at every connect."""

log = structlog.get_logger("adapters.xmpp.presence")


class Contacts:
    """The names of people of other networks, and who subscribes to them."""

    def __init__(self, link: Link, store: Store, network: str = names.NETWORK) -> None:
        self._link, self._store, self._network = link, store, network
        self._names: dict[str, str] = {}
        self._subscriptions: set[tuple[str, str]] = set()
        self._counts: Counter[str] = Counter()  # by who has them

    async def load(self) -> None:
        """Read what an earlier run has kept."""
        for key, value in await self._store.scan(_PROFILE):
            self._names[key.removeprefix(_PROFILE)] = value.decode()
        for key, _ in await self._store.scan(_SUBSCRIPTION):
            ghost, _, user = key.removeprefix(_SUBSCRIPTION).partition(" ")
            self._subscriptions.add((ghost, user))
            self._counts[user] += 1

    def name(self, person: Address) -> str:
        """Return the name to show for a person of another network: their id as long as no name is known."""
        return self._names.get(str(person)) or person.id

    async def learn(self, profile: Profile) -> None:
        """Remember a person's name."""
        if profile.name and self._names.get(str(profile.address)) != profile.name:
            self._names[str(profile.address)] = profile.name
            await self._store.put(_PROFILE + str(profile.address), profile.name.encode())

    def announce(self) -> None:
        """Show everybody's contacts as available, after a connect."""
        for ghost, user in self._subscriptions:
            self._show(ghost, user)

    def withdraw(self) -> None:
        """Show everybody's contacts as gone, before a disconnect."""
        for ghost, user in self._subscriptions:
            self._link.post(xml.stanza(xml.PRESENCE, type="unavailable", from_=f"{ghost}/{disco.RESOURCE}", to=user))

    async def take(self, stanza: Element, ghost: str, user: str) -> None:
        """Answer one presence stanza that a person sent to a person of another network, both as bare JIDs."""
        kind = stanza.get("type")
        key = f"{_SUBSCRIPTION}{ghost} {user}"
        try:
            if kind == "subscribe":
                if self._full(ghost, user):
                    self._link.post(xml.stanza(xml.PRESENCE, type="unsubscribed", from_=ghost, to=user))
                    log.warning("too many contacts", user=user, most=MAX_CONTACTS)
                    return
                await self._store.put(key, b"")
                if (ghost, user) not in self._subscriptions:
                    self._counts[user] += 1
                self._subscriptions.add((ghost, user))
                self._link.post(xml.stanza(xml.PRESENCE, type="subscribed", from_=ghost, to=user))
                self._show(ghost, user)
            elif kind == "probe":
                self._show(ghost, user)
            elif kind == "unsubscribe":
                await self._store.delete(key)
                if (ghost, user) in self._subscriptions:
                    self._subscriptions.discard((ghost, user))
                    self._counts[user] -= 1
                    if not self._counts[user]:
                        del self._counts[user]
                self._link.post(xml.stanza(xml.PRESENCE, type="unsubscribed", from_=ghost, to=user))
        except LinkLost:
            log.info("presence not answered", kind=kind)  # the server asks again when the stream is back

    def _full(self, ghost: str, user: str) -> bool:
        """Say whether a person has as many contacts here as anybody may have, and this is one more."""
        return (ghost, user) not in self._subscriptions and self._counts[user] >= MAX_CONTACTS

    def _show(self, ghost: str, user: str) -> None:
        name = self.name(names.ghost_address(ghost.partition("@")[0], self._network))
        self._link.post(disco.presence(ghost, user, self._link.new_id(), name))
