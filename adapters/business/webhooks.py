"""Calling the business's program: one signed event in each POST, byte for byte the same at every attempt."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Coroutine, Mapping
from typing import Final

import aiohttp
import structlog

from adapters.business.errors import CallbackRefused
from adapters.contract import Permanent, Reason, Retry, Store, Throttled, Unreachable, Unsure

_log = structlog.get_logger(__name__)

SIGNATURE: Final = "X-Hub-Signature-256"
_HANDSHAKE_SECONDS: Final = 6.0
_ANSWER_OCTETS: Final = 4096
_AWAY = frozenset({502, 503, 504})  # what a proxy answers while the program is not there
_PATIENT = frozenset({401, 403, 404, 408, 425})
"""Refusals that end when somebody mends the program's deployment or its secret."""


def sign(body: bytes, app_secret: str) -> str:
    """Return the value of the signature header: HMAC-SHA256 of the raw body under the app's secret."""
    return "sha256=" + hmac.digest(app_secret.encode(), body, hashlib.sha256).hex()


class Callbacks:
    """Where webhooks go: the URLs that the program registered, kept in the account's store.

    A scope is an id of the Cloud API; a number's own callback goes before the account's, that before the app's, and
    that before the configured one.
    """

    def __init__(self, store: Store, configured: str = "") -> None:
        self._store = store
        self._configured = configured
        self._urls: dict[str, str] = {}

    async def load(self) -> None:
        """Read what was registered before."""
        stored = await self._store.scan("callback/")
        self._urls = {key.removeprefix("callback/"): value.decode() for key, value in stored}

    async def register(self, scope: str, url: str) -> None:
        """Remember the callback of ``scope``; '' forgets it."""
        if url:
            await self._store.put(f"callback/{scope}", url.encode())
            self._urls[scope] = url
        else:
            await self._store.delete(f"callback/{scope}")
            self._urls.pop(scope, None)

    def registered(self, scope: str) -> str:
        """Return what the program registered for just this scope, or ''."""
        return self._urls.get(scope, "")

    def find(self, scopes: tuple[str, ...]) -> str:
        """Return the URL of the first scope that has one, else the configured one, which may be ''."""
        return next((self._urls[scope] for scope in scopes if scope in self._urls), self._configured)


class Caller:
    """The HTTP client that calls the program; ``seconds`` is how long it may take to answer."""

    def __init__(self, app_secret: str, seconds: float) -> None:
        self._secret = app_secret
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "facebookexternalua"},
        )
        self.trouble = ""
        """Why the last call failed, for the operator; '' if it did not."""

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def post(self, url: str, body: bytes) -> None:
        """Deliver one event; return when the program has answered 2xx. Raises an ``Outcome``.

        Of a call that broke off, nobody knows whether the program has it: that is ``Unsure``, and as the next attempt
        has the same bytes and the same message id, the program can tell that it is the same event.
        """
        headers = {"Content-Type": "application/json", SIGNATURE: sign(body, self._secret)}
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                status, wait = response.status, response.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            self.trouble = f"cannot be reached: {error}"
            raise Unreachable(f"the callback {self.trouble}") from error
        except aiohttp.InvalidURL as error:
            self.trouble = f"is not a URL: {error}"
            raise Retry(f"the callback {self.trouble}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            self.trouble = f"did not answer: {str(error) or type(error).__name__}"
            raise Unsure(f"the callback {self.trouble}") from error
        self._judge(status, wait)

    async def handshake(self, url: str, verify_token: str) -> None:
        """Ask the program at ``url`` whether it wants our events. Raises ``CallbackRefused``."""
        challenge = str(secrets.randbelow(9 * 10**9) + 10**9)
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token}
        timeout = aiohttp.ClientTimeout(total=_HANDSHAKE_SECONDS)
        try:
            async with self._session.get(url, params=query, timeout=timeout, allow_redirects=False) as response:
                status = response.status
                answer = await response.content.read(_ANSWER_OCTETS)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise CallbackRefused(f"{url}: {str(error) or type(error).__name__}") from error
        if status != 200 or answer.strip() != challenge.encode():
            raise CallbackRefused(f"{url}: HTTP status {status}, and the challenge was not answered")
        _log.info("callback verified", url=url)

    def _judge(self, status: int, headers: Mapping[str, str]) -> None:
        if 200 <= status < 300:
            self.trouble = ""
            return
        self.trouble = f"answered {status}"
        if status == 429:
            raise Throttled(_seconds(headers) or 5.0, f"the callback {self.trouble}")
        if status in _AWAY:
            raise Unreachable(f"the callback {self.trouble}", after=_seconds(headers))
        if status in _PATIENT or not 400 <= status < 500:
            raise Retry(f"the callback {self.trouble}", after=_seconds(headers))
        raise Permanent(Reason.REJECTED, f"the callback {self.trouble}")


def _seconds(headers: Mapping[str, str]) -> float | None:
    stated = headers.get("Retry-After", "")
    return float(stated) if stated.isascii() and stated.isdigit() else None


class Flights:
    """Events that are on their way to the program.

    A program may answer a message, or mark it as read, before it has answered the webhook that brought it; some answer
    the webhook only afterwards. That it names the message proves that it has it: the delivery is over then, and what
    it says about the message need not wait for it.
    """

    def __init__(self) -> None:
        self._seen: dict[str, asyncio.Event] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def deliver(self, message_id: str, call: Coroutine[None, None, None]) -> None:
        """Make ``call``; return when it has succeeded or the program has named the message. Raises what it raises."""
        seen = self._seen.setdefault(message_id, asyncio.Event())
        posting, proof = asyncio.create_task(call), asyncio.create_task(seen.wait())
        try:
            await asyncio.wait({posting, proof}, return_when=asyncio.FIRST_COMPLETED)
            if posting.done():
                posting.result()
            else:
                self._calls.add(posting)
                posting.add_done_callback(self._over)
        except asyncio.CancelledError:
            posting.cancel()
            raise
        finally:
            proof.cancel()
            self._seen.pop(message_id, None)

    def seen(self, message_id: str) -> None:
        """The program has named this message."""
        if event := self._seen.get(message_id):
            event.set()

    async def close(self) -> None:
        """Break off the calls whose outcome no longer matters."""
        for call in tuple(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def _over(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled() and (error := call.exception()):
            _log.info("webhook failed after the program had used its message", error=str(error))
