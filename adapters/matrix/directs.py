"""Direct rooms: one person of the homeserver and one ghost, whoever of the two speaks first.

A room that we make is made once, even if we are killed in the middle. Only the homeserver can promise that, so the
room is found again by an alias that follows from the two people: the room is created empty, then takes the alias, and
only who holds the alias invites the person. A crash before that leaves an empty room that nobody ever sees.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from adapters.contract import Direct, Permanent, Reason, Store
from adapters.matrix.client import Client, Rejected, path
from adapters.matrix.locks import Locks
from adapters.matrix.names import Names, is_user_id
from protocol.uri import Address

_PREFIX = "direct/"


class Binding(Struct, frozen=True):
    """Which two people a room belongs to; the room bound last is the one we write to.

    ``left``: the person has left it and must be invited again before they can see anything.
    """

    user: str
    network: str
    id: str
    order: int
    left: bool = False

    def direct(self, own: str) -> Direct:
        """The conversation that happens in the room; ``own`` is the network of the account's own people."""
        return Direct(Address(own, self.user), Address(self.network, self.id))


class Directs:
    """All direct rooms, from the store."""

    def __init__(self, client: Client, names: Names, store: Store) -> None:
        self._client = client
        self._names = names
        self._store = store
        self._rooms: dict[str, Binding] = {}
        self._active: dict[str, str] = {}
        self._order = 0
        self._locks = Locks()

    def __len__(self) -> int:
        return len(self._rooms)

    async def load(self) -> None:
        """Read what is known from the store."""
        found = [(key, msgspec.json.decode(v, type=Binding)) for key, v in await self._store.scan(_PREFIX)]
        for key, binding in sorted(found, key=lambda pair: pair[1].order):
            self._remember(key.removeprefix(_PREFIX), binding)

    def of(self, room_id: str) -> Direct | None:
        """The conversation that happens in a room; None if it is not a direct room of ours."""
        binding = self._rooms.get(room_id)
        return None if binding is None else self._direct(binding)

    def known(self, direct: Direct) -> str | None:
        """The room of a conversation, if there is one already."""
        return self._active.get(direct.key)

    async def ensure(self, direct: Direct, ghost: str) -> str:
        """Return the room of a conversation; make it and invite the person if need be."""
        room_id = self._active.get(direct.key)
        if room_id is not None and not self._rooms[room_id].left:
            return room_id
        async with self._locks.hold(direct.key):
            room_id = self._active.get(direct.key)
            if room_id is None:
                return await self._make(direct, ghost)
            if self._rooms[room_id].left:
                return await self._call_back(direct, ghost, room_id)
            return room_id

    async def bind(self, room_id: str, direct: Direct) -> None:
        """Remember that a room is the conversation's, from now on the one that we write to."""
        peer = direct.peer
        binding = Binding(direct.local.id, peer.network, peer.id, self._order + 1)
        await self._write(room_id, binding)

    async def unbind(self, room_id: str, ghost: str) -> None:
        """Forget a room that its ghost is no longer in."""
        binding = self._rooms.get(room_id)
        if binding is not None and self._names.ghost(self._direct(binding).peer) == ghost:
            await self._store.delete(_PREFIX + room_id)
            del self._rooms[room_id]
            key = self._direct(binding).key
            if self._active.get(key) == room_id:
                del self._active[key]

    async def present(self, room_id: str, user: str, *, here: bool) -> None:
        """Note that the person of a room has left it or come back."""
        binding = self._rooms.get(room_id)
        if binding is not None and binding.user == user and binding.left == here:
            await self._write(room_id, msgspec.structs.replace(binding, left=not here))

    # --- inside ---

    def _direct(self, binding: Binding) -> Direct:
        return binding.direct(self._names.network)

    def _remember(self, room_id: str, binding: Binding) -> None:
        self._rooms[room_id] = binding
        key = self._direct(binding).key
        current = self._rooms.get(self._active.get(key, ""))
        if current is None or current.order <= binding.order:
            self._active[key] = room_id
        self._order = max(self._order, binding.order)

    async def _write(self, room_id: str, binding: Binding) -> None:
        await self._store.put(_PREFIX + room_id, msgspec.json.encode(binding))
        self._remember(room_id, binding)

    async def _make(self, direct: Direct, ghost: str) -> str:
        await self._check(direct.local.id)
        alias = self._names.direct_alias(direct.key)
        room_id = await self._find(alias, ghost) or await self._create(alias, ghost)
        await self._invite(room_id, direct.local.id, ghost)
        await self.bind(room_id, direct)
        return room_id

    async def _check(self, user: str) -> None:
        """A homeserver lets people invite those who do not exist; senders should learn that nobody is there."""
        if not is_user_id(user) or self._names.owns(user):
            raise Permanent(Reason.RECIPIENT_UNKNOWN, f"{user} cannot be the id of a person on Matrix")
        if user.endswith(f":{self._names.server}"):
            try:
                await self._client.call("GET", path("profile", user))
            except Rejected as e:
                raise Permanent(Reason.RECIPIENT_UNKNOWN, f"the homeserver knows no {user}: {e}") from e

    async def _find(self, alias: str, ghost: str) -> str | None:
        """The room that we made before and did not get to remember, if the ghost can still be in it."""
        try:
            room_id: str = (await self._client.call("GET", path("directory", "room", alias)))["room_id"]
        except Rejected as e:
            if e.status == 404:
                return None
            raise
        try:
            await self._client.call("POST", path("join", room_id), {}, user=ghost)
        except Rejected:
            await self._client.call("DELETE", path("directory", "room", alias))
            return None
        return room_id

    async def _create(self, alias: str, ghost: str) -> str:
        room = {"preset": "private_chat", "visibility": "private"}
        room_id: str = (await self._client.call("POST", path("createRoom"), room, user=ghost))["room_id"]
        await self._client.call("PUT", path("directory", "room", alias), {"room_id": room_id}, user=ghost)
        return room_id

    async def _invite(self, room_id: str, user: str, ghost: str) -> None:
        """Invite to a direct chat: only the state event itself, not the invite call, can say that it is one."""
        member = path("rooms", room_id, "state", "m.room.member", user)
        try:
            now = (await self._client.call("GET", member, user=ghost)).get("membership")
        except Rejected as e:
            if e.status != 404:
                raise
            now = None
        if now not in {"join", "invite"}:
            await self._client.call("PUT", member, {"membership": "invite", "is_direct": True}, user=ghost)

    async def _call_back(self, direct: Direct, ghost: str, room_id: str) -> str:
        """Invite a person again who has left; if that is not possible, make another room."""
        try:
            await self._invite(room_id, direct.local.id, ghost)
        except Rejected:
            await self.unbind(room_id, ghost)
            return await self._make(direct, ghost)
        await self.present(room_id, direct.local.id, here=True)
        return room_id
