"""Ghosts: Matrix users that stand for people of other networks, made when they are first needed."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator

import msgspec
from msgspec import Struct

from adapters.contract import Profile, Store
from adapters.matrix.client import DEVICE, Client, Rejected, path
from adapters.matrix.locks import Locks
from adapters.matrix.names import Names
from protocol.bounded import Bounded
from protocol.uri import Address

log = logging.getLogger(__name__)

_REMEMBERED = 10_000  # the others are read from the store again
_MAX_NAME = 250
_MAX_AVATAR = 1 << 20


class Ghost(Struct, frozen=True):
    """What the homeserver has been told of a ghost: whose it is, its name and its avatar's reference."""

    network: str
    id: str
    name: str = ""
    avatar: str = ""


class Ghosts:
    """All ghosts of the application service; what was done for each stands in the store."""

    def __init__(self, client: Client, names: Names, store: Store) -> None:
        self._client = client
        self._names = names
        self._store = store
        self._known: Bounded[str, Ghost] = Bounded(_REMEMBERED)
        self._locks = Locks()

    def __len__(self) -> int:
        return len(self._known)

    async def ensure(self, profile: Profile) -> str:
        """Return the id of the ghost of ``profile``, registered, with a device, and looking like its profile.

        A profile without a name or an avatar leaves what the ghost has.
        """
        ghost = self._names.ghost(profile.address)
        if not self._is_current(ghost, profile):
            async with self._locks.hold(ghost):
                if not self._is_current(ghost, profile):
                    self._known[ghost] = await self._bring_up(ghost, profile)
        return ghost

    async def address(self, ghost: str) -> Address | None:
        """Return whose ghost this is; None if it is nobody's."""
        address = self._names.address(ghost)
        if address is None and self._names.owns(ghost) and (record := await self._read(ghost)):
            address = Address(record.network, record.id)
        return address

    def _is_current(self, ghost: str, profile: Profile) -> bool:
        known = self._known.get(ghost)
        return (
            known is not None and profile.name[:_MAX_NAME] in {"", known.name} and profile.avatar in {"", known.avatar}
        )

    async def _read(self, ghost: str) -> Ghost | None:
        value = await self._store.get(f"ghost/{ghost}")
        return None if value is None else msgspec.json.decode(value, type=Ghost)

    async def _bring_up(self, ghost: str, profile: Profile) -> Ghost:
        before = await self._read(ghost)
        if before is None:
            await register(self._client, ghost)
        known = before or Ghost(profile.address.network, profile.address.id)
        name = (profile.name or known.name or profile.address.id)[:_MAX_NAME]
        if name != known.name:
            await self._show(ghost, "displayname", name)
        avatar = profile.avatar or known.avatar
        if avatar != known.avatar:
            await self._show(ghost, "avatar_url", await self._picture(ghost, avatar))
        now = msgspec.structs.replace(known, name=name, avatar=avatar)
        if now != before:
            await self._store.put(f"ghost/{ghost}", msgspec.json.encode(now))
        return now

    async def _show(self, ghost: str, field: str, value: str) -> None:
        """Set a part of a ghost's profile. A homeserver that refuses it still carries the ghost's messages."""
        if not value:
            return
        try:
            await self._client.call("PUT", path("profile", ghost, field), {field: value}, user=ghost)
        except Rejected as e:
            log.warning("the homeserver refuses a ghost's %s: %s", field, e)

    async def _picture(self, ghost: str, avatar: str) -> str:
        """Return the ``mxc://`` URI of an avatar given as one, or as a ``data:`` URL; '' for anything else.

        Links are not followed: whoever chooses an avatar must not choose what this machine asks for.
        """
        if avatar.startswith("mxc://"):
            return avatar
        head, _, data = avatar.partition(";base64,")
        if not head.startswith("data:image/") or len(data) > 2 * _MAX_AVATAR:
            return ""
        try:
            content, mime = base64.b64decode(data, validate=True), head.removeprefix("data:")
            return await self._client.upload(_once(content), len(content), mime, "", ghost)
        except (ValueError, Rejected) as e:
            log.warning("a ghost's avatar cannot be used: %s", e)
            return ""


async def register(client: Client, user_id: str) -> None:
    """Make one of our users, and the device that it sends with; nothing happens if both are there."""
    localpart = user_id[1:].partition(":")[0]
    body = {"type": "m.login.application_service", "username": localpart, "inhibit_login": True}
    try:
        await client.call("POST", path("register"), body)
    except Rejected as e:
        if e.errcode != "M_USER_IN_USE":
            raise
    await client.call("PUT", path("devices", DEVICE), {"display_name": "Rialto"}, user=user_id)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
