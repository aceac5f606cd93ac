"""A thin client of the client-server API: it acts as the bot or as any ghost, and names what went wrong.

What a call may raise, in the words of the adapter contract::

    Outcome
    ├── Retry        the homeserver is in trouble with this call
    ├── Unreachable  no connection, or nobody but a proxy answers
    ├── Throttled    429, with the homeserver's own retry_after_ms
    ├── Unsure       the same as Retry, when the call says something and may have been taken
    ├── SignedOut    the homeserver does not know our token
    └── Rejected     any other refusal: a Permanent that keeps Matrix's own error code
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from yarl import URL

from adapters.contract import Outcome, Permanent, Reason, Retry, SignedOut, Throttled, Unreachable, Unsure
from adapters.kit import foreign

Json: TypeAlias = dict[str, Any]

DEVICE: Final = "RIALTO"
"""The device that every ghost sends with: a homeserver remembers transaction ids for devices only."""

CLIENT: Final = "/_matrix/client/v3"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)
_TRANSFER: Final = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)
_REASONS: Final = {
    "M_FORBIDDEN": Reason.NOT_ALLOWED,
    "M_NOT_FOUND": Reason.RECIPIENT_UNKNOWN,
    "M_TOO_LARGE": Reason.TOO_LARGE,
}
_AWAY: Final = frozenset({502, 503, 504})
"""What a reverse proxy answers while the homeserver is not there."""
_SIGNED_OUT: Final = frozenset({"M_UNKNOWN_TOKEN", "M_MISSING_TOKEN"})


class Rejected(Permanent):
    """The homeserver refuses; ``errcode`` is Matrix's word for it and ``status`` the HTTP status."""

    def __init__(self, status: int, errcode: str, text: str) -> None:
        super().__init__(_REASONS.get(errcode, Reason.REJECTED), f"{errcode or status}: {text}")
        self.status = status
        self.errcode = errcode


def path(*segments: str, base: str = CLIENT) -> str:
    """Build a path below ``base``; every segment is percent-encoded."""
    return "/".join((base, *(quote(segment, safe="") for segment in segments)))


class Client:
    """The homeserver, over one pool of kept connections. ``reachable``: it answered the last call."""

    def __init__(self, base: str, token: str) -> None:
        self._base = base.rstrip("/")
        self.reachable = True
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=60),
            timeout=_TIMEOUT,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = "",
        device: bool = False,
        query: Mapping[str, str] | None = None,
        says: bool = False,
    ) -> Json:
        """Call as ``user`` (the bot if empty), with the ghost's device if asked, and return the answer.

        ``says`` marks a call whose effect others see: when its answer is lost the outcome is ``Unsure``.
        """
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        url = self._url(path, user, device, query)
        try:
            async with self._session.request(method, url, data=data, headers=headers) as answer:
                content = await answer.read()
        except aiohttp.ClientConnectorError as e:
            self.reachable = False
            raise Unreachable(f"cannot reach the homeserver: {e}") from e
        except (aiohttp.ClientError, TimeoutError) as e:
            self.reachable = False
            raise _lost(says, f"no answer from the homeserver: {type(e).__name__} {e}") from e
        self.reachable = True
        found = _json(content)
        if 200 <= answer.status < 300 and found is not None:
            return found
        raise _outcome(answer, found or {}, says=says)

    async def upload(self, body: AsyncIterator[bytes], size: int, mime: str, filename: str, user: str) -> str:
        """Store a file of ``size`` octets in the media repository; return its ``mxc://`` URI."""
        query = {"filename": filename} if filename else None
        headers = {"Content-Type": mime, "Content-Length": str(size)}
        url = self._url("/_matrix/media/v3/upload", user, device=False, query=query)
        try:
            async with self._session.post(url, data=body, headers=headers, timeout=_TRANSFER) as answer:
                found = _json(await answer.read())
        except (aiohttp.ClientError, TimeoutError) as e:
            raise Retry(f"the upload broke off: {type(e).__name__} {e}") from e
        if answer.status == 200 and found is not None and isinstance(found.get("content_uri"), str):
            return str(found["content_uri"])
        raise _outcome(answer, found or {}, says=False)

    @asynccontextmanager
    async def download(self, path: str) -> AsyncIterator[aiohttp.StreamReader]:
        """Open a file of the media repository for reading."""
        try:
            async with self._session.get(self._url(path), timeout=_TRANSFER) as answer:
                if answer.status != 200:
                    raise _outcome(answer, _json(await answer.read()) or {}, says=False)
                yield answer.content
        except (aiohttp.ClientError, TimeoutError) as e:
            raise Retry(f"the download broke off: {type(e).__name__} {e}") from e

    def _url(self, path: str, user: str = "", device: bool = False, query: Mapping[str, str] | None = None) -> URL:
        parameters = dict(query or {})
        if user:
            parameters["user_id"] = user
        if device:
            parameters["device_id"] = DEVICE
        text = f"{self._base}{path}?{urlencode(parameters)}" if parameters else self._base + path
        return URL(text, encoded=True)


def _lost(says: bool, text: str, *, away: bool = True) -> Outcome:
    """What is to be raised for a call without an answer; ``away``: the homeserver is, whatever the call was."""
    if says:
        return Unsure(text)
    return Unreachable(text) if away else Retry(text)


def _json(content: bytes) -> Json | None:
    try:
        found = foreign.decode(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _outcome(answer: aiohttp.ClientResponse, found: Json, *, says: bool) -> Outcome:
    errcode, text = str(found.get("errcode", "")), str(found.get("error", answer.reason or ""))
    if answer.status == 429:
        return Throttled(_wait(answer, found), text)
    if answer.status >= 500 or answer.status < 400:
        return _lost(says, f"the homeserver answered {answer.status} {errcode} {text}", away=answer.status in _AWAY)
    if errcode in _SIGNED_OUT:
        return SignedOut("the homeserver does not know as_token: give it the registration file and restart it")
    return Rejected(answer.status, errcode, text)


def _wait(answer: aiohttp.ClientResponse, found: Json) -> float:
    """How long a 429 asks for, in seconds; half a second when it does not say."""
    milliseconds = found.get("retry_after_ms")
    if isinstance(milliseconds, int | float) and milliseconds >= 0:
        return milliseconds / 1000
    header = answer.headers.get("Retry-After", "")
    return float(header) if header.isdecimal() else 0.5
