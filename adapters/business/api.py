"""The HTTP API that the business's program calls: paths and answers of the WhatsApp Cloud API, under any version.

Every path works with a version before it (``/v23.0/...``), whichever it is, and without. All of them begin with a
version, a number or ``oauth``, so that they leave room for other routes on the same server.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import structlog
from aiohttp import hdrs, web

from adapters.business import codec, templates
from adapters.business.config import BusinessConfig, Number
from adapters.business.errors import (
    BadParameter,
    BadToken,
    BusinessError,
    TooLarge,
    Unexplained,
    UnknownObject,
    UnknownPath,
)
from adapters.business.media import MediaStore
from adapters.business.posting import Posting
from adapters.business.uploads import Upload
from adapters.business.webhooks import Callbacks, Caller

_log = structlog.get_logger(__name__)

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_VERSIONS: Final = ("", r"/{version:v\d{1,3}(?:\.\d{1,3})?}")
_URL_SECONDS: Final = 300
"""How long the URL of a file works."""


class Api:
    """The routes and what stands behind them; ``now`` gives the time in milliseconds since 1970."""

    def __init__(
        self,
        config: BusinessConfig,
        *,
        app_secret: str,
        access_token: str,
        posting: Posting,
        media: MediaStore,
        callbacks: Callbacks,
        caller: Caller,
        now: Callable[[], int],
    ) -> None:
        self._config = config
        self._secret = app_secret.encode()
        self._token = access_token
        self._app_token = f"{config.app_id}|{self._mac('app access token')}"
        self._posting = posting
        self._media = media
        self._callbacks = callbacks
        self._caller = caller
        self._now = now

    def routes(self) -> Iterable[web.RouteDef]:
        """Give every route, each under every way of writing its version; the last ones answer what is unknown."""
        table: list[tuple[str, str, Handler]] = [
            (hdrs.METH_GET, "/oauth/access_token", self.app_token),
            (hdrs.METH_POST, "/oauth/access_token", self.app_token),
            (hdrs.METH_GET, "/debug_token", self._open(self.debug_token)),
            (hdrs.METH_GET, "/whatsapp_business/attachments/", self._open(self.download)),
            (hdrs.METH_POST, r"/{id:\d+}/messages", self._open(self.messages)),
            (hdrs.METH_POST, r"/{id:\d+}/media", self._open(self.upload)),
            (hdrs.METH_GET, r"/{id:\d+}/phone_numbers", self._open(self.phone_numbers)),
            (hdrs.METH_GET, r"/{id:\d+}/message_templates", self._open(self.templates)),
            (hdrs.METH_GET, r"/{id:\d+}/subscribed_apps", self._open(self.subscribed_apps)),
            (hdrs.METH_POST, r"/{id:\d+}/subscribed_apps", self._open(self.subscribe_app)),
            (hdrs.METH_DELETE, r"/{id:\d+}/subscribed_apps", self._open(self.unsubscribe_app)),
            (hdrs.METH_GET, r"/{id:\d+}/subscriptions", self._open(self.subscriptions)),
            (hdrs.METH_POST, r"/{id:\d+}/subscriptions", self._open(self.subscribe)),
            (hdrs.METH_DELETE, r"/{id:\d+}/subscriptions", self._open(self.unsubscribe)),
            (hdrs.METH_GET, r"/{id:\d+}{end:/?}", self._open(self.show)),
            (hdrs.METH_POST, r"/{id:\d+}{end:/?}", self._open(self.change)),
            (hdrs.METH_DELETE, r"/{id:\d+}{end:/?}", self._open(self.delete)),
            (hdrs.METH_ANY, r"/{id:\d+}/{rest:.*}", self.unknown),
        ]
        for prefix in _VERSIONS:
            for method, path, handler in table:
                yield web.route(method, prefix + path, self._answering(handler))
        yield web.route(hdrs.METH_ANY, _VERSIONS[1] + "{rest:(?:/.*)?}", self._answering(self.unknown))

    # --- messages and files -------------------------------------------------------------------------------------------

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """``POST /{phone}/messages``: say something, or mark as read."""
        number = self._number(request)
        command = codec.command(await self._body(request), self._config.templates)
        if isinstance(command, codec.Send):
            return web.json_response(await self._posting.send(number, command))
        await self._posting.mark_read(number, command)
        return _success()

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """``POST /{phone}/media``: multipart, with or without a stated length."""
        number = self._number(request)
        limit = self._config.limits.media_bytes
        if (request.content_length or 0) > limit + self._config.limits.json_bytes:
            raise TooLarge(f"a file has at most {limit} octets")
        file = await Upload(self._media, number.phone_number_id, limit).read(request)
        return web.json_response({"id": file.id})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """``GET`` the URL of a file: it works for five minutes, and with the token only."""
        media_id, expiry = request.query.get("mid", ""), request.query.get("ext", "")
        file = self._media.get(media_id)
        signed = hmac.compare_digest(request.query.get("hash", "").encode(), self._mac(media_id + expiry).encode())
        if not signed or not expiry.isdigit() or int(expiry) * 1000 < self._now() or file is None:
            raise UnknownObject("the URL is wrong, or its time is over")
        headers = {"Content-Type": file.mime, "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(self._media.path(file), headers=headers)

    # --- the account --------------------------------------------------------------------------------------------------

    async def show(self, request: web.Request) -> web.StreamResponse:
        """``GET /{id}``: a number, the account or a file."""
        node = request.match_info["id"]
        if number := self._config.by_id(node):
            return web.json_response(_only(request, self._describe(number)))
        if node == self._config.waba_id:
            return web.json_response(_only(request, {"id": node, "name": self._config.numbers[0].verified_name}))
        file = self._media.get(node)
        if file is None or request.query.get("phone_number_id", file.owner) != file.owner:
            raise UnknownObject(f"there is no object '{node}'")
        expiry = str(self._now() // 1000 + _URL_SECONDS)
        query = f"mid={file.id}&ext={expiry}&hash={self._mac(file.id + expiry)}"
        described = {
            "messaging_product": "whatsapp",
            "url": f"{self._config.public_url.rstrip('/')}/whatsapp_business/attachments/?{query}",
            "mime_type": file.mime,
            "sha256": file.sha256,
            "file_size": file.size,
            "id": file.id,
        }
        return web.json_response(described)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /{media}``."""
        file = self._media.get(request.match_info["id"])
        if file is None or request.query.get("phone_number_id", file.owner) != file.owner:
            raise UnknownObject(f"there is no file '{request.match_info['id']}'")
        self._media.delete(file)
        return _success()

    async def phone_numbers(self, request: web.Request) -> web.StreamResponse:
        """``GET /{waba}/phone_numbers``."""
        self._node(request, self._config.waba_id)
        return web.json_response({"data": [_only(request, self._describe(each)) for each in self._config.numbers]})

    async def templates(self, request: web.Request) -> web.StreamResponse:
        """``GET /{waba}/message_templates``: those of the configuration, which may be asked for by name or language."""
        self._node(request, self._config.waba_id)
        wanted = {key: request.query[key] for key in ("name", "language") if request.query.get(key)}
        found = [
            each for each in self._config.templates if all(getattr(each, key) == value for key, value in wanted.items())
        ]
        summary = {
            "total_count": len(found),
            "message_template_count": len(self._config.templates),
            "message_template_limit": len(self._config.templates),
            "are_translations_complete": True,
        }
        return web.json_response({"data": list(map(templates.listed, found)), "summary": summary})

    async def debug_token(self, _: web.Request) -> web.StreamResponse:
        """``GET /debug_token``: what the token is good for."""
        scopes = ["whatsapp_business_management", "whatsapp_business_messaging"]
        data = {
            "app_id": self._config.app_id,
            "type": "SYSTEM_USER",
            "is_valid": True,
            "expires_at": 0,
            "scopes": scopes,
        }
        return web.json_response({"data": data})

    # --- where webhooks go --------------------------------------------------------------------------------------------

    async def app_token(self, request: web.Request) -> web.StreamResponse:
        """``/oauth/access_token``: the app's own token, for its id and secret."""
        given = await self._parameters(request)
        if given.get("client_id") != self._config.app_id or not hmac.compare_digest(
            given.get("client_secret", "").encode(), self._secret
        ):
            raise BadToken("client_id or client_secret is wrong")
        return web.json_response({"access_token": self._app_token, "token_type": "bearer"})

    async def subscribe(self, request: web.Request) -> web.StreamResponse:
        """``POST /{app}/subscriptions``: register the app's callback, which is asked before we answer."""
        self._node(request, self._config.app_id)
        given = await self._parameters(request)
        if given.get("object") != "whatsapp_business_account":
            raise BadParameter("object: must be 'whatsapp_business_account'")
        return await self._register(self._config.app_id, given.get("callback_url", ""), given)

    async def subscriptions(self, request: web.Request) -> web.StreamResponse:
        """``GET /{app}/subscriptions``."""
        self._node(request, self._config.app_id)
        url = self._callbacks.registered(self._config.app_id)
        fields = [{"name": "messages", "version": "v23.0"}]
        entry = {"object": "whatsapp_business_account", "callback_url": url, "active": True, "fields": fields}
        return web.json_response({"data": [entry] if url else []})

    async def unsubscribe(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /{app}/subscriptions``."""
        self._node(request, self._config.app_id)
        await self._callbacks.register(self._config.app_id, "")
        return _success()

    async def subscribed_apps(self, request: web.Request) -> web.StreamResponse:
        """``GET /{waba}/subscribed_apps``."""
        self._node(request, self._config.waba_id)
        data = {"id": self._config.app_id, "name": "Rialto", "link": self._config.public_url}
        entry: dict[str, Any] = {"whatsapp_business_api_data": data}
        if url := self._callbacks.registered(self._config.waba_id):
            entry["override_callback_uri"] = url
        return web.json_response({"data": [entry]})

    async def subscribe_app(self, request: web.Request) -> web.StreamResponse:
        """``POST /{waba}/subscribed_apps``: a callback becomes the account's own; without one, that is forgotten."""
        self._node(request, self._config.waba_id)
        given = await self._parameters(request)
        if url := given.get("override_callback_uri", ""):
            return await self._register(self._config.waba_id, url, given)
        await self._callbacks.register(self._config.waba_id, "")
        return _success()

    async def unsubscribe_app(self, request: web.Request) -> web.StreamResponse:
        """``DELETE /{waba}/subscribed_apps``: the account's own callback is forgotten."""
        self._node(request, self._config.waba_id)
        await self._callbacks.register(self._config.waba_id, "")
        return _success()

    async def change(self, request: web.Request) -> web.StreamResponse:
        """``POST /{phone}``: a number's own callback; nothing else of a number can be changed here."""
        number = self._number(request)
        wanted = codec.read_object(await self._body(request)).get("webhook_configuration")
        if not isinstance(wanted, dict):
            raise BadParameter("only webhook_configuration can be changed")
        given = {str(key): value for key, value in wanted.items() if isinstance(value, str)}
        if url := given.get("override_callback_uri", ""):
            return await self._register(number.phone_number_id, url, given)
        await self._callbacks.register(number.phone_number_id, "")
        return _success()

    async def _register(self, scope: str, url: str, given: Mapping[str, str]) -> web.StreamResponse:
        if not url.startswith(("http://", "https://")) or len(url) > 2048:
            raise BadParameter("the callback is not an http or https URL")
        if not given.get("verify_token"):
            raise BadParameter("verify_token: is missing")
        await self._caller.handshake(url, given["verify_token"])
        await self._callbacks.register(scope, url)
        return _success()

    # --- what all of them share ---------------------------------------------------------------------------------------

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """Refuse everything else."""
        raise UnknownPath(f"{request.method} {request.path[:200]}")

    def _answering(self, handler: Handler) -> Handler:
        """Turn refusals and defects into the Cloud API's errors."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except BusinessError as error:
                refusal = error
            except web.HTTPException:
                raise
            except Exception:
                _log.exception("a request ended in a defect", path=request.path)
                refusal = Unexplained("the log of the bridge has more")
            trace = secrets.token_urlsafe(9)
            _log.info("request refused", code=refusal.code, path=request.path, trace=trace, reason=str(refusal))
            return web.json_response(refusal.body(trace), status=refusal.status)

        return answer

    def _open(self, handler: Handler) -> Handler:
        """Let in who has the access token, or the app's own; in the header or, as some do, in the query."""

        async def checked(request: web.Request) -> web.StreamResponse:
            scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            given = [request.query.get("access_token", "")]
            if scheme.lower() == "bearer":
                given.append(token.strip())
            octets = [one.encode(errors="surrogateescape") for one in given]  # a header may hold any
            known = [self._token.encode(), self._app_token.encode()]
            if not any([hmac.compare_digest(one, other) for one in octets for other in known]):  # noqa: C419
                raise BadToken("the access token is missing or wrong")
            return await handler(request)

        return checked

    async def _body(self, request: web.Request) -> bytes:
        limit = self._config.limits.json_bytes
        body = bytearray()
        if (request.content_length or 0) <= limit:
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    break
            else:
                return bytes(body)
        raise TooLarge(f"a body has at most {limit} octets")

    async def _parameters(self, request: web.Request) -> Mapping[str, str]:
        """What is in the query, in a form or in a JSON body: clients differ."""
        given = dict(request.query)
        body = await self._body(request)
        if request.content_type == "application/json" and body:
            given |= {key: value for key, value in codec.read_object(body).items() if isinstance(value, str)}
        elif request.content_type == "application/x-www-form-urlencoded":
            given |= dict(parse_qsl(body.decode(errors="replace")))
        return given

    def _number(self, request: web.Request) -> Number:
        number = self._config.by_id(request.match_info["id"])
        if number is None:
            raise UnknownObject(f"there is no phone number '{request.match_info['id']}'")
        return number

    def _node(self, request: web.Request, wanted: str) -> None:
        if request.match_info["id"] != wanted:
            raise UnknownObject(f"there is no object '{request.match_info['id']}' here")

    def _describe(self, number: Number) -> dict[str, Any]:
        described: dict[str, Any] = {
            "id": number.phone_number_id,
            "verified_name": number.verified_name or number.shop,
            "display_phone_number": number.display_phone_number,
            "code_verification_status": "VERIFIED",
            "quality_rating": "GREEN",
            "platform_type": "CLOUD_API",
            "status": "CONNECTED",
            "throughput": {"level": "STANDARD"},
        }
        scopes = {
            "phone_number": number.phone_number_id,
            "whatsapp_business_account": self._config.waba_id,
            "application": self._config.app_id,
        }
        urls = {name: self._callbacks.registered(scope) for name, scope in scopes.items()}
        return described | {"webhook_configuration": {name: url for name, url in urls.items() if url}}

    def _mac(self, what: str) -> str:
        return hmac.digest(self._secret, b"rialto business\0" + what.encode(), "sha256").hex()[:40]


def _success() -> web.StreamResponse:
    return web.json_response({"success": True})


def _only(request: web.Request, described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep the fields that the request asks for, and always the id."""
    wanted = request.query.get("fields")
    if not wanted:
        return described
    return {key: value for key, value in described.items() if key == "id" or key in wanted.split(",")}
