"""The router as an endpoint in a process of its own has it: HTTP to ``bridge.router.server``."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import structlog

from bridge.router.contract import (
    Accepted,
    BadRequest,
    BlobTooLarge,
    Envelope,
    Forked,
    HandshakeBundle,
    Hello,
    HelloAnswer,
    NoHello,
    Notification,
    Refusal,
    RoomView,
    RouterDenied,
    RouterError,
    RouterUnavailable,
    Unintelligible,
    WentBack,
)
from bridge.router.wire import (
    NO_SUCH_BLOB,
    PREFIX,
    SESSION_HEADER,
    SILENCE,
    AcknowledgeRequest,
    Failure,
    Material,
    PublishRequest,
    SubmitRequest,
    TargetRequest,
    UpdateRequest,
    batches,
    decode,
)

log = structlog.get_logger(__name__)

_ERRORS = {
    error.code: error for error in (BadRequest, RouterDenied, BlobTooLarge, Forked, NoHello, WentBack, Unintelligible)
}
_REQUEST_TIMEOUT = 60.0
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 10.0
_PIECE = 256 * 1024
_ENVELOPE = 2048  # octets beside a message's body, at most

T = TypeVar("T")


class HttpRouter:
    """Implements ``bridge.router.contract.Router``; see there. Close it when done.

    ``url`` is like ``http://127.0.0.1:8440``. Refusals of a whole request raise ``BadRequest``, ``RouterDenied`` or
    ``BlobTooLarge``; a router that is away, or fails, ``RouterUnavailable``.
    """

    def __init__(self, url: str, token: str, endpoint: str, *, silence: float = SILENCE) -> None:
        self.endpoint = endpoint
        self._url = url.rstrip("/") + PREFIX
        self._headers = {"Authorization": f"Bearer {token}"}
        self.session = ""
        """The session that ``hello`` began."""
        self._request_octets = HelloAnswer.__struct_defaults__[-1]
        self._silence = silence
        self._open_session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._open_session is not None:
            await self._open_session.close()
            self._open_session = None

    async def hello(self, hello: Hello) -> HelloAnswer:
        """Begin."""
        answer: HelloAnswer = await self._call("hello", hello, HelloAnswer)
        self.session, self._request_octets = hello.session, answer.request_octets
        return answer

    async def publish(
        self, key_packages: Sequence[bytes], *, last_resort: bytes | None = None, replace: bool = False
    ) -> int:
        """Leave KeyPackages at the router, in several requests if they are too long for one."""
        unclaimed = 0
        for part in split(key_packages, len, self._request_octets) or [[]]:
            unclaimed = await self._call("publish", PublishRequest(part, last_resort, replace), int)
            last_resort, replace = None, False
        return unclaimed

    async def key_material(self, target: str) -> Sequence[bytes] | Refusal:
        """Claim KeyPackages."""
        answer: Material | Refusal = await self._call("keyMaterial", TargetRequest(target), Material | Refusal)
        return answer if isinstance(answer, Refusal) else answer.bodies

    async def identifier_query(self, uri: str) -> tuple[str, ...]:
        """Find who speaks for a user."""
        answer: tuple[str, ...] = await self._call("identifierQuery", TargetRequest(uri), tuple[str, ...])
        return answer

    async def update(self, room: str, bundle: HandshakeBundle) -> Accepted | Refusal:
        """Create or change a room."""
        answer: Accepted | Refusal = await self._call("update", UpdateRequest(room, bundle), Accepted | Refusal)
        return answer

    async def submit(self, envelopes: Sequence[Envelope]) -> Sequence[Accepted | Refusal]:
        """Put messages into the journal, in several requests if they are too long for one.

        If a later one fails, the answers to those before it are lost: submitted again they get the same ones.
        """
        answers: list[Accepted | Refusal] = []
        for part in split(envelopes, lambda envelope: len(envelope.body) + _ENVELOPE, self._request_octets):
            answers += await self._call("submitMessage", SubmitRequest(part), list[Accepted | Refusal])
        return answers

    async def acknowledge(self, cursor: str) -> None:
        """Let the router forget."""
        await self._call("acknowledge", AcknowledgeRequest(cursor), None)

    async def group_info(self, room: str) -> bytes | Refusal:
        """Fetch a GroupInfo."""
        answer: Material | Refusal = await self._call("groupInfo", TargetRequest(room), Material | Refusal)
        return answer if isinstance(answer, Refusal) else b"".join(answer.bodies)

    async def rooms(self) -> Sequence[RoomView]:
        """List this endpoint's rooms."""
        async with self._request("GET", "rooms") as response:
            return decode(await response.read(), list[RoomView])

    async def put_blob(self, blob: AsyncIterator[bytes]) -> str:
        """Store ciphertext."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_REQUEST_TIMEOUT)
        source = _Source(blob)
        try:
            async with self._request("POST", "blobs", data=source.pieces(), timeout=timeout) as response:
                return decode(await response.read(), str)
        except RouterUnavailable:
            if source.error is not None:
                raise source.error from None
            raise

    async def get_blob(self, name: str) -> AsyncGenerator[bytes]:
        """Stream ciphertext."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_REQUEST_TIMEOUT)
        async with self._request("GET", f"blobs/{name}", timeout=timeout) as response:
            async for piece in response.content.iter_chunked(_PIECE):
                yield piece

    async def notify(self, cursor: str) -> AsyncGenerator[Sequence[Notification]]:
        """Stream what is for this endpoint; a link that breaks or falls silent is made again from where it broke."""
        wait = _FIRST_WAIT
        while True:
            try:
                async with aclosing(self._listen(cursor)) as heard:
                    async for batch in heard:
                        wait = _FIRST_WAIT
                        cursor = batch[-1].cursor or cursor  # a passing sign has none
                        yield batch
            except NoHello:
                raise
            except RouterUnavailable as error:
                log.info("router stream broken", cause=str(error), wait=round(wait, 1))
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311  only spreads the load
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _listen(self, cursor: str) -> AsyncGenerator[list[Notification]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._silence)
        async with (
            self._request("GET", f"notify?cursor={quote(cursor)}", timeout=timeout) as response,
            aclosing(batches(response.content.iter_any())) as heard,
        ):
            async for batch in heard:
                yield batch

    async def _call(self, operation: str, body: object, kind: Any) -> Any:  # noqa: ANN401  as ``kind`` says
        data = io.BytesIO(msgspec.msgpack.encode(body))  # aiohttp sends a stream in pieces, other work goes on between
        async with self._request("POST", operation, data=data) as response:
            return decode(await response.read(), kind)

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncGenerator[aiohttp.ClientResponse]:  # noqa: ANN401
        """Ask; raise what the router's refusal or absence means."""
        try:
            headers = {SESSION_HEADER: self.session}
            async with self._session().request(method, f"{self._url}/{path}", headers=headers, **options) as response:
                if response.status != 200:
                    raise await _error(response)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise RouterUnavailable(f"the router does not answer: {type(error).__name__} {error}") from error

    def _session(self) -> aiohttp.ClientSession:
        if self._open_session is None:
            self._open_session = aiohttp.ClientSession(
                headers=self._headers, timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT, sock_connect=10)
            )
        return self._open_session


def split(items: Sequence[T], size: Callable[[T], int], most: int) -> list[list[T]]:
    """Cut a row of items into rows that have at most ``most`` octets each, or one item."""
    parts: list[list[T]] = []
    octets = 0
    for item in items:
        octets += size(item)
        if not parts or octets > most:
            parts.append([])
            octets = size(item)
        parts[-1].append(item)
    return parts


class _Source:
    """A stream to upload, whose own failure is not to be taken for the router's."""

    def __init__(self, blob: AsyncIterator[bytes]) -> None:
        self._blob = blob
        self.error: Exception | None = None

    async def pieces(self) -> AsyncGenerator[bytes]:
        try:
            async for piece in self._blob:
                yield piece
        except Exception as error:
            self.error = error
            raise


async def _error(response: aiohttp.ClientResponse) -> RouterError | KeyError:
    """Return the exception that an error answer stands for."""
    body = await response.read()
    try:
        failure = msgspec.json.decode(body, type=Failure)
    except (msgspec.DecodeError, UnicodeDecodeError):
        failure = Failure("http", f"HTTP {response.status}")
    if failure.code == NO_SUCH_BLOB:
        return KeyError(failure.text)
    return _ERRORS.get(failure.code, RouterUnavailable)(failure.text)
