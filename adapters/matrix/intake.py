"""Where the homeserver pushes to: transactions of events, and questions about users and aliases.

A transaction is answered only when each of its events is durable. Until then the homeserver keeps it, and everything
after it, in order, and brings it again: after our crash as after a lost answer.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct, field

from adapters.contract import Outcome, Store
from adapters.kit import foreign
from adapters.matrix.arrivals import Arrivals, Settled
from adapters.matrix.client import Json

log = logging.getLogger(__name__)

Exists = Callable[[str], Awaitable[bool]]

_BASE: Final = "/_matrix/app/v1"
_MAX_BODY: Final = 64 << 20
_LAST: Final = "transaction"


class Transaction(Struct):
    """What the homeserver pushes at once. Events stay undecoded here, so that a bad one spoils no others."""

    events: list[msgspec.Raw] = []
    ephemeral: list[msgspec.Raw] = []
    unstable: list[msgspec.Raw] = field(name="de.sorunome.msc2409.ephemeral", default=[])


class Intake:
    """The application service's HTTP side. ``user`` and ``alias`` say whether a user or an alias of ours exists."""

    def __init__(self, token: str, store: Store, arrivals: Arrivals, user: Exists, alias: Exists) -> None:
        self._token = token.encode()
        self._store = store
        self._arrivals = arrivals
        self._user = user
        self._alias = alias
        self._last: str | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self.count = 0

    async def load(self) -> None:
        """Read which transaction was done last."""
        value = await self._store.get(_LAST)
        self._last = None if value is None else value.decode()

    async def close(self) -> None:
        """Drop what is not done; the homeserver brings it again."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes of the application-service API, also under the paths that old homeservers use."""
        for base in (_BASE, ""):
            yield web.put(base + "/transactions/{id}", self._transaction)
            yield web.get(base + "/users/{id}", self._asked(self._user), allow_head=False)
            yield web.get(base + "/rooms/{id}", self._asked(self._alias), allow_head=False)
        yield web.post(_BASE + "/ping", self._ping)

    # --- questions ---

    async def _ping(self, request: web.Request) -> web.Response:
        return self._denied(request) or web.json_response({})

    def _asked(self, exists: Exists) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            if (denied := self._denied(request)) is not None:
                return denied
            try:
                found = await exists(request.match_info["id"])
            except Outcome as e:
                log.warning("a question of the homeserver cannot be answered: %s", e)
                return _error(503, "M_UNKNOWN", "not now")
            return web.json_response({}) if found else _error(404, "M_NOT_FOUND", "nobody and nothing here")

        return answer

    def _denied(self, request: web.Request) -> web.Response | None:
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ") if header.startswith("Bearer ") else request.query.get("access_token")
        if token is None:
            return _error(401, "M_UNAUTHORIZED", "hs_token is missing")
        if not hmac.compare_digest(token.encode(errors="replace"), self._token):
            log.warning("a request with a wrong hs_token was refused: %s %s", request.method, request.remote)
            return _error(403, "M_FORBIDDEN", "hs_token is wrong")
        return None

    # --- transactions ---

    async def _transaction(self, request: web.Request) -> web.Response:
        if (denied := self._denied(request)) is not None:
            return denied
        name = request.match_info["id"]
        if name == self._last:
            return web.json_response({})
        if (task := self._running.get(name)) is None:
            try:
                transaction = await _read(request)
            except ValueError as e:
                log.warning("a transaction that cannot be read was refused: %s", e)
                return _error(400, "M_NOT_JSON", str(e))
            task = self._running.get(name) or self._start(name, transaction)
        try:
            await asyncio.shield(task)
        except Outcome as e:
            log.warning("a transaction is not done yet: %s", e)
            return _error(503, "M_UNKNOWN", "not now")
        except asyncio.CancelledError:
            if task.cancelled():  # by close; otherwise it is this request that was cancelled
                return _error(503, "M_UNKNOWN", "closing")
            raise
        return web.json_response({})

    def _start(self, name: str, transaction: Transaction) -> asyncio.Task[None]:
        task = asyncio.create_task(self._work(name, transaction))
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))
        return task

    async def _work(self, name: str, transaction: Transaction) -> None:
        waiting: list[asyncio.Future[object]] = []

        def wait_for(settled: Settled | None) -> None:
            if settled is not None:
                waiting.append(asyncio.ensure_future(settled))

        try:
            for raw in transaction.events:
                wait_for(await self._arrivals.event(_event(raw)))
            for raw in transaction.ephemeral or transaction.unstable:
                wait_for(self._arrivals.ephemeral(_event(raw)))
            await asyncio.gather(*map(_borne, waiting))
        except BaseException:
            for each in waiting:
                each.cancel()
            raise
        if transaction.events:
            await self._store.put(_LAST, name.encode())
        self._last = name
        self.count += 1


async def _borne(settled: Settled) -> None:
    """Wait for one event. Raises an outcome when the endpoint has not taken it: the homeserver is to bring it again."""
    try:
        await settled
    except Outcome:
        raise
    except Exception:  # it would come again for ever, and nothing after it
        log.exception("a defect: an event was left out")


async def _read(request: web.Request) -> Transaction:
    """Read a body as long as a homeserver may send it, whatever the server's own limit is.

    An event with more in it than a reader can bear loses that part and no other event anything: a transaction that is
    refused comes again for ever, and nothing after it.
    """
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY:
            raise ValueError("the transaction is too large")
    try:
        return msgspec.json.decode(foreign.tamed(body), type=Transaction)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise ValueError(f"not a transaction: {e}") from e


def _event(raw: msgspec.Raw) -> Json:
    try:
        event = foreign.decode(raw)
    except ValueError as e:
        log.warning("an event that is not JSON was left out: %s", e)
        return {}
    return event if isinstance(event, dict) else {}


def _error(status: int, errcode: str, text: str) -> web.Response:
    return web.json_response({"errcode": errcode, "error": text}, status=status)
