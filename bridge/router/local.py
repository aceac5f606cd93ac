"""The router as an endpoint in the same process has it: a call is a call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from bridge.router.contract import (
    Accepted,
    Envelope,
    HandshakeBundle,
    Hello,
    HelloAnswer,
    Notification,
    Refusal,
    RoomView,
    RouterUnavailable,
)
from bridge.router.sessions import Caller
from bridge.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.router.hub import Hub


class LocalRouter:
    """Implements ``bridge.router.contract.Router``; see there."""

    def __init__(self, hub: Hub, endpoint: str) -> None:
        self._hub = hub
        self.endpoint = endpoint
        self.session = ""
        """The session that ``hello`` began."""

    @property
    def _caller(self) -> Caller:
        return Caller(self.endpoint, self.session)

    async def hello(self, hello: Hello) -> HelloAnswer:
        """Begin."""
        with _storage_trouble():
            answer = await self._hub.hello(self.endpoint, hello)
        self.session = hello.session
        return answer

    async def publish(
        self, key_packages: Sequence[bytes], *, last_resort: bytes | None = None, replace: bool = False
    ) -> int:
        """Leave KeyPackages at the router."""
        with _storage_trouble():
            return await self._hub.publish(self._caller, key_packages, last_resort, replace=replace)

    async def key_material(self, target: str) -> Sequence[bytes] | Refusal:
        """Claim a KeyPackage."""
        with _storage_trouble():
            return await self._hub.key_material(self._caller, target)

    async def identifier_query(self, uri: str) -> tuple[str, ...]:
        """Find who speaks for a user."""
        with _storage_trouble():
            return await self._hub.identifier_query(self._caller, uri)

    async def update(self, room: str, bundle: HandshakeBundle) -> Accepted | Refusal:
        """Create or change a room."""
        with _storage_trouble():
            return await self._hub.update(self._caller, room, bundle)

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        """Put messages into the journal."""
        with _storage_trouble():
            return await self._hub.submit(self._caller, envelopes)

    async def notify(self, cursor: str) -> AsyncGenerator[Sequence[Notification]]:
        """Stream what is for this endpoint."""
        with _storage_trouble():
            async with aclosing(self._hub.notify(self._caller, cursor)) as batches:
                async for batch in batches:
                    yield batch

    async def acknowledge(self, cursor: str) -> None:
        """Let the router forget."""
        with _storage_trouble():
            await self._hub.acknowledge(self._caller, cursor)

    async def group_info(self, room: str) -> bytes | Refusal:
        """Fetch a GroupInfo."""
        with _storage_trouble():
            return await self._hub.group_info(self._caller, room)

    async def rooms(self) -> Sequence[RoomView]:
        """List this endpoint's rooms."""
        with _storage_trouble():
            return await self._hub.rooms_of(self._caller)

    async def put_blob(self, blob: AsyncIterator[bytes]) -> str:
        """Store ciphertext."""
        with _storage_trouble():
            return await self._hub.put_blob(self._caller, blob)

    async def get_blob(self, name: str) -> AsyncGenerator[bytes]:
        """Stream ciphertext."""
        async with aclosing(self._hub.get_blob(self._caller, name)) as pieces:
            async for piece in pieces:
                yield piece


@contextmanager
def _storage_trouble() -> Iterator[None]:
    """Say of a journal or disk that fails what an endpoint over HTTP would see too: not now."""
    try:
        yield
    except (StorageError, OSError) as error:
        raise RouterUnavailable(f"the router cannot store: {error}") from error
