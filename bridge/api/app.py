"""The operator's HTTP interface of one process.

``/healthz`` and ``/metrics`` are for anybody who can reach the listener. What is below ``/v1/`` needs the operator's
own bearer token: no token that the router knows opens anything here. Described in ``specs/openapi.yaml``.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from bridge.api.metrics import CONTENT_TYPE, Figures
from bridge.errors import ConfigError

log = structlog.get_logger(__name__)


class MemberView(Struct, frozen=True):
    """One member of a room: its endpoint's URI, and where plaintext exists on its leg."""

    endpoint: str
    leaf: int
    leg: int
    label: str
    namespaces: tuple[str, ...]


class RoomView(Struct, frozen=True):
    """One room as an endpoint knows it; its assurance is the worst leg class of its members.

    ``held_for`` says why nothing is sealed to it, '' if it is not held.
    """

    room: str
    name: str
    phase: str
    epoch: int
    conversation: str
    members: tuple[MemberView, ...]
    assurance: int
    label: str
    held_for: str = ""
    hold: str = ""
    reason: str = ""
    since: int = 0
    next_step: str = ""
    founding: int = -1


class StepView(Struct, frozen=True):
    """One step in a message's life; ``by`` is '' for this endpoint itself, ``who`` the endpoint that answered."""

    state: str
    at: int
    by: str = ""
    reason: str = ""
    text: str = ""
    who: str = ""


class MessageView(Struct, frozen=True):
    """One message, never its body. ``direction`` is ``in`` (from this network) or ``out`` (to it)."""

    id: str
    room: str
    direction: str
    sender: str
    at: int
    state: str
    native_id: str = ""
    reason: str = ""
    parked: bool = False
    attempts: int = 0
    timeline: tuple[StepView, ...] = ()


class KeyView(Struct, frozen=True):
    """An endpoint's signature key: its fingerprint is SHA-256 over the public key, in hexadecimal.

    ``leg`` is the class that its leaves claim from the next commit on, ``grant`` the number of its grant (0: none).
    """

    endpoint: str
    uri: str
    fingerprint: str
    leg: int
    label: str
    grant: int = 0


class QuarantineView(Struct, frozen=True):
    """Something that was put aside, never what it says: its reason (``code`` stays, ``text`` is for people)."""

    id: int
    kind: str
    place: str
    code: str
    text: str
    at: int
    attempts: int


class Observed(Protocol):
    """What the interface asks of one endpoint."""

    async def messages(self, *, limit: int, room: str, state: str, before: str = "") -> Sequence[MessageView]:
        """Return the newest messages, newest first; ``state`` '' for all, ``parked`` for those that wait.

        ``before`` is the id of a message: only what is older is wanted.
        """

    async def message(self, id: str) -> MessageView | None:  # noqa: A002 - the word of the field
        """Return one message with its timeline."""

    async def replay(self, id: str) -> bool:  # noqa: A002 - the word of the field
        """Send a parked message again; False if there is none of that id."""

    async def rooms(self) -> Sequence[RoomView]:
        """Return its rooms."""

    def key(self) -> KeyView:
        """Return its signature key's fingerprint."""

    async def quarantine(self, *, limit: int, kind: str) -> Sequence[QuarantineView]:
        """Return what was put aside, newest first; ``kind`` '' for all. Raises ``ValueError`` for no kind."""

    async def quarantined(self, id: int) -> QuarantineView | None:  # noqa: A002 - the word of the field
        """Return one thing that was put aside."""

    async def retry(self, id: int) -> bool:  # noqa: A002 - the word of the field
        """Handle it again; False if there is none of that id. Raises ``ValueError`` with why it failed again."""

    async def drop(self, id: int) -> bool:  # noqa: A002 - the word of the field
        """Let go of it; False if there is none of that id."""


class Reloaded(Protocol):
    """What a reload found to be different."""

    def words(self) -> dict[str, list[str]]:
        """Return it by name."""


Reload = Callable[[], Awaitable[Reloaded]]
"""Reads the configuration again and has the parts follow it. Raises ``ConfigError``."""

Health = Callable[[], Mapping[str, Mapping[str, object]]]
"""Answers from memory how each part is; a part that is not ready has ``ready`` false."""


class Api:
    """The application; give it endpoints as they come up. ``token`` is the operator's."""

    def __init__(self, health: Health, figures: Figures, token: str, reload: Reload | None = None) -> None:
        self._health, self._figures = health, figures
        self._token = token
        self._reload = reload
        self._endpoints: dict[str, Observed] = {}
        self.app = web.Application(middlewares=[_errors])
        self.app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/metrics", self._metrics),
                web.get("/v1/endpoints/{endpoint}/messages", self._messages),
                web.get("/v1/endpoints/{endpoint}/messages/{id}", self._message),
                web.post("/v1/endpoints/{endpoint}/messages/{id}/replay", self._replay),
                web.get("/v1/endpoints/{endpoint}/rooms", self._rooms),
                web.get("/v1/endpoints/{endpoint}/key", self._key),
                web.get("/v1/endpoints/{endpoint}/quarantine", self._quarantine),
                web.get("/v1/endpoints/{endpoint}/quarantine/{id}", self._quarantined),
                web.post("/v1/endpoints/{endpoint}/quarantine/{id}/retry", self._retry),
                web.post("/v1/endpoints/{endpoint}/quarantine/{id}/drop", self._drop),
                web.post("/v1/reload", self._reload_now),
            ]
        )

    def add(self, name: str, endpoint: Observed) -> None:
        """Serve an endpoint."""
        self._endpoints[name] = endpoint

    def remove(self, name: str) -> None:
        """Serve an endpoint no longer, if it was."""
        self._endpoints.pop(name, None)

    async def _healthz(self, _request: web.Request) -> web.Response:
        parts = self._health()
        ready = all(part.get("ready", True) for part in parts.values())
        return _json({"status": "ready" if ready else "not ready", "parts": parts}, 200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._figures.text(), headers={"Content-Type": CONTENT_TYPE})

    def _admit(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not _is(token, self._token):
            raise web.HTTPUnauthorized(text="this is not the operator's token")

    def _asked(self, request: web.Request) -> Observed:
        self._admit(request)
        name = request.match_info["endpoint"]
        known = self._endpoints.get(name)
        if known is None:
            raise web.HTTPNotFound(text=f"no endpoint {name[:80]} runs here just now: /healthz says why")
        return known

    async def _messages(self, request: web.Request) -> web.Response:
        endpoint = self._asked(request)
        limit = request.query.get("limit", "50")
        if not limit.isdecimal() or not 1 <= int(limit) <= 10_000:
            raise web.HTTPBadRequest(text=f"limit: '{limit}' is not within 1..10000")
        room, state, before = (request.query.get(name, "") for name in ("room", "state", "before"))
        return _json(await endpoint.messages(limit=int(limit), room=room, state=state, before=before))

    async def _message(self, request: web.Request) -> web.Response:
        found = await self._asked(request).message(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text=f"there is no message {request.match_info['id'][:80]}")
        return _json(found)

    async def _replay(self, request: web.Request) -> web.Response:
        if not await self._asked(request).replay(request.match_info["id"]):
            raise web.HTTPNotFound(text=f"no parked message is called {request.match_info['id'][:80]}")
        return _json({"replayed": request.match_info["id"]})

    async def _rooms(self, request: web.Request) -> web.Response:
        return _json(await self._asked(request).rooms())

    async def _key(self, request: web.Request) -> web.Response:
        return _json(self._asked(request).key())

    async def _quarantine(self, request: web.Request) -> web.Response:
        endpoint = self._asked(request)
        limit = request.query.get("limit", "50")
        if not limit.isdecimal() or not 1 <= int(limit) <= 10_000:
            raise web.HTTPBadRequest(text=f"limit: '{limit}' is not within 1..10000")
        return _json(await endpoint.quarantine(limit=int(limit), kind=request.query.get("kind", "")))

    async def _quarantined(self, request: web.Request) -> web.Response:
        found = await self._asked(request).quarantined(_number(request))
        if found is None:
            raise _nothing_aside(request)
        return _json(found)

    async def _retry(self, request: web.Request) -> web.Response:
        if not await self._asked(request).retry(_number(request)):
            raise _nothing_aside(request)
        return _json({"retried": _number(request)})

    async def _drop(self, request: web.Request) -> web.Response:
        if not await self._asked(request).drop(_number(request)):
            raise _nothing_aside(request)
        return _json({"dropped": _number(request)})

    async def _reload_now(self, request: web.Request) -> web.Response:
        self._admit(request)
        if self._reload is None:
            raise web.HTTPNotFound(text="this process has no configuration to read again")
        try:
            return _json((await self._reload()).words())
        except ConfigError as error:
            raise web.HTTPBadRequest(text="\n".join(error.findings)) from error


def _number(request: web.Request) -> int:
    """Return the number in the path. Raises ``HTTPBadRequest``."""
    text = request.match_info["id"]
    if not text.isdecimal() or len(text) > 18:
        raise web.HTTPBadRequest(text=f"'{text[:80]}' is no number of something put aside")
    return int(text)


def _nothing_aside(request: web.Request) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=f"nothing is put aside under {request.match_info['id'][:80]}")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _is(given: str, token: str) -> bool:
    """Whether what a header holds, any octets at all, is the token; takes the same time whatever it is."""
    return hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())


def _json(body: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - anything JSON can say
    return web.Response(body=msgspec.json.encode(body), content_type="application/json", status=status)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _json({"code": error.reason.lower().replace(" ", "-"), "text": error.text or ""}, error.status)
    except ValueError as error:
        return _json({"code": "bad-request", "text": str(error)}, 400)
    except Exception:
        log.exception("api.failed", path=request.path)
        return _json({"code": "internal", "text": "the daemon failed; its log says why"}, 500)
