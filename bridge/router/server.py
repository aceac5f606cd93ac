"""The way into the hub for endpoints in processes of their own: HTTP on a loopback address, a bearer token for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import structlog
from aiohttp import web

from bridge.router.contract import (
    BadRequest,
    BlobTooLarge,
    Forked,
    Hello,
    NoHello,
    Notification,
    Refusal,
    RouterDenied,
    RouterError,
    RouterUnavailable,
    Unintelligible,
    WentBack,
)
from bridge.router.hub import Hub
from bridge.router.sessions import Caller
from bridge.router.wire import (
    HEARTBEAT,
    NO_SUCH_BLOB,
    PREFIX,
    SESSION_HEADER,
    AcknowledgeRequest,
    Failure,
    Material,
    PublishRequest,
    SubmitRequest,
    TargetRequest,
    UpdateRequest,
    decode,
    frame,
)
from bridge.storage import StorageError

log = structlog.get_logger(__name__)

_CALLER = web.RequestKey("caller", Caller)
_STATUS: dict[type[RouterError], int] = {
    BadRequest: 400,
    RouterDenied: 401,
    Forked: 409,
    WentBack: 410,
    Unintelligible: 426,
    NoHello: 428,
    BlobTooLarge: 413,
    RouterUnavailable: 503,
}
_REQUEST_OVERHEAD = 64 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RouterServer:
    """Serves one hub. ``start`` returns the port, which matters when it was asked for any (0)."""

    def __init__(self, hub: Hub, *, heartbeat: float = HEARTBEAT) -> None:
        self._hub = hub
        self._heartbeat = heartbeat
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.app = web.Application(
            middlewares=[_errors, self._authenticate],
            client_max_size=max(hub.limits.request, hub.limits.handshake) + _REQUEST_OVERHEAD,
        )
        self.app.add_routes(
            [
                web.post(f"{PREFIX}/hello", self._hello),
                web.post(f"{PREFIX}/publish", self._publish),
                web.post(f"{PREFIX}/keyMaterial", self._key_material),
                web.post(f"{PREFIX}/identifierQuery", self._identifier_query),
                web.post(f"{PREFIX}/update", self._update),
                web.post(f"{PREFIX}/submitMessage", self._submit),
                web.post(f"{PREFIX}/acknowledge", self._acknowledge),
                web.post(f"{PREFIX}/groupInfo", self._group_info),
                web.get(f"{PREFIX}/rooms", self._rooms),
                web.get(f"{PREFIX}/notify", self._notify),
                web.post(f"{PREFIX}/blobs", self._put_blob),
                web.get(f"{PREFIX}/blobs/{{name}}", self._get_blob),
            ]
        )

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises ``OSError`` if the address is taken."""
        self._runner = web.AppRunner(self.app, access_log=None, handler_cancellation=True, shutdown_timeout=5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def stop(self) -> None:
        """End the streams, finish the requests under way, close."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        grant = self._hub.grants.authenticate(token) if scheme == "Bearer" and token else None
        if grant is None:
            log.warning("unknown token", peer=request.remote, path=request.path)
            raise RouterDenied("this token opens nothing here")
        request[_CALLER] = Caller(grant.uri, request.headers.get(SESSION_HEADER, ""))
        return await handler(request)

    async def _hello(self, request: web.Request) -> web.Response:
        return _answer(await self._hub.hello(request[_CALLER].endpoint, decode(await request.read(), Hello)))

    async def _publish(self, request: web.Request) -> web.Response:
        asked = decode(await request.read(), PublishRequest)
        count = await self._hub.publish(request[_CALLER], asked.key_packages, asked.last_resort, replace=asked.replace)
        return _answer(count)

    async def _key_material(self, request: web.Request) -> web.Response:
        asked = decode(await request.read(), TargetRequest)
        answer = await self._hub.key_material(request[_CALLER], asked.target)
        return _answer(answer if isinstance(answer, Refusal) else Material(tuple(answer)))

    async def _identifier_query(self, request: web.Request) -> web.Response:
        asked = decode(await request.read(), TargetRequest)
        return _answer(await self._hub.identifier_query(request[_CALLER], asked.target))

    async def _update(self, request: web.Request) -> web.Response:
        asked = decode(await request.read(), UpdateRequest)
        return _answer(await self._hub.update(request[_CALLER], asked.room, asked.bundle))

    async def _submit(self, request: web.Request) -> web.Response:
        asked = decode(await request.read(), SubmitRequest)
        return _answer(await self._hub.submit(request[_CALLER], asked.envelopes))

    async def _acknowledge(self, request: web.Request) -> web.Response:
        asked = decode(await request.read(), AcknowledgeRequest)
        await self._hub.acknowledge(request[_CALLER], asked.cursor)
        return _answer(None)

    async def _group_info(self, request: web.Request) -> web.Response:
        asked = decode(await request.read(), TargetRequest)
        answer = await self._hub.group_info(request[_CALLER], asked.target)
        return _answer(answer if isinstance(answer, Refusal) else Material((answer,)))

    async def _rooms(self, request: web.Request) -> web.Response:
        return _answer(await self._hub.rooms_of(request[_CALLER]))

    async def _notify(self, request: web.Request) -> web.StreamResponse:
        cursor = request.query.get("cursor", "")
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await self._hub.position(request[_CALLER], cursor)  # while the answer can still be an error
        async with aclosing(self._hub.notify(request[_CALLER], cursor)) as notifications:
            await response.prepare(request)
            try:
                async for payload in _with_heartbeats(notifications, self._heartbeat, self._stopping):
                    await response.write(payload)
            except RouterError as error:  # the next request for a stream is told the reason
                log.info("stream ended", endpoint=request[_CALLER].endpoint, code=error.code, reason=str(error))
        return response

    async def _put_blob(self, request: web.Request) -> web.Response:
        return _answer(await self._hub.put_blob(request[_CALLER], request.content.iter_any()))

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        async with aclosing(self._hub.get_blob(request[_CALLER], name)) as pieces:
            try:
                first = await anext(pieces, b"")
            except KeyError:
                return _failure(404, NO_SUCH_BLOB, f"there is no blob {name[:64]}")
            response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            await response.prepare(request)
            await response.write(first)
            async for piece in pieces:
                await response.write(piece)
        return response


async def _with_heartbeats(
    notifications: AsyncGenerator[Sequence[Notification]], heartbeat: float, stopping: asyncio.Event
) -> AsyncGenerator[bytes]:
    """Turn batches into frames, with an empty one at once and after each silence; end when the server stops."""
    end = asyncio.create_task(stopping.wait())
    following: asyncio.Task[Sequence[Notification]] | None = None
    try:
        yield frame(None)
        while not stopping.is_set():
            following = following or asyncio.create_task(_next(notifications))
            await asyncio.wait({following, end}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                batch, following = following.result(), None
                yield frame(batch)
            elif not stopping.is_set():
                yield frame(None)
    finally:
        tasks = [end] if following is None else [end, following]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _next(notifications: AsyncGenerator[Sequence[Notification]]) -> Sequence[Notification]:
    return await anext(notifications)


def _answer(body: Any) -> web.Response:  # noqa: ANN401  anything MessagePack can say
    return web.Response(body=msgspec.msgpack.encode(body), content_type="application/msgpack")


def _failure(status: int, code: str, text: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(Failure(code, text)), content_type="application/json")


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as JSON; only what nobody foresaw is a 500, and says no more than that."""
    try:
        return await handler(request)
    except RouterError as error:
        return _failure(_STATUS.get(type(error), 500), error.code, str(error))
    except web.HTTPException as error:
        return _failure(error.status, BadRequest.code, error.text or error.reason)
    except (StorageError, OSError) as error:
        log.error("cannot store", path=request.path, cause=f"{type(error).__name__}: {error}")  # noqa: TRY400
        return _failure(503, RouterUnavailable.code, "the router cannot store just now")
    except Exception as error:
        log.exception("request failed", path=request.path, cause=type(error).__name__)
        return _failure(500, RouterError.code, "the router failed; its log says why")
