"""The router's local HTTP interface as both sides see it: paths, bodies and frames.

A request's body and an answer's are MessagePack; an error is JSON ``{"code", "text"}`` with a fitting HTTP status. The
stream of ``notify`` is a row of frames: four octets of length, most significant first, and that many of MessagePack, a
batch of notifications. A frame of length 0 says that the router is alive.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from bridge.router.contract import (
    BadRequest,
    Envelope,
    HandshakeBundle,
    Kind,
    Notification,
    RouterUnavailable,
    Unintelligible,
)

T = TypeVar("T")

PREFIX = "/v1"
SESSION_HEADER = "Rialto-Session"
"""Names, in every request but ``hello``, the session that ``hello`` began."""

HEARTBEAT = 10.0
"""Seconds after which a silent stream carries an empty frame."""

SILENCE = 30.0
"""Seconds without any frame after which a client gives a stream up."""

FRAME_LIMIT = 64 * 1024 * 1024
"""No frame is longer; a length beyond it means that the stream is not ours."""


NO_SUCH_BLOB = "no-such-blob"
"""The error code for an attachment that is not there."""


class PublishRequest(Struct, forbid_unknown_fields=True):
    """Body of ``publish``; answered with a number."""

    key_packages: list[bytes]
    last_resort: bytes | None = None
    replace: bool = False


class TargetRequest(Struct, forbid_unknown_fields=True):
    """Body of ``keyMaterial`` (an endpoint or a user), ``identifierQuery`` (a user) and ``groupInfo`` (a room)."""

    target: str


class UpdateRequest(Struct, forbid_unknown_fields=True):
    """Body of ``update``; answered with ``Accepted`` or ``Refusal``."""

    room: str
    bundle: HandshakeBundle


class SubmitRequest(Struct, forbid_unknown_fields=True):
    """Body of ``submitMessage``; answered with a list of ``Accepted`` and ``Refusal``."""

    envelopes: list[Envelope]


class AcknowledgeRequest(Struct, forbid_unknown_fields=True):
    """Body of ``acknowledge``."""

    cursor: str


class Failure(Struct, frozen=True):
    """Body of every error."""

    code: str
    text: str


class _Kind(Struct):
    kind: str


KINDS = frozenset(Kind)
"""The kinds of notifications that this contract has a word for."""


class Material(Struct, frozen=True, tag="material"):
    """KeyPackages or a GroupInfo, where the other answer would be a ``Refusal``."""

    bodies: tuple[bytes, ...]


def decode(body: bytes, kind: type[T]) -> T:
    """Decode a MessagePack body; raise ``BadRequest`` saying what is wrong with it."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"not a {getattr(kind, '__name__', kind)}: {error}") from error  # a union has no name


def frame(batch: Sequence[Notification] | None) -> bytes:
    """Return a batch as a frame, or the frame that only says "alive"."""
    payload = b"" if batch is None else msgspec.msgpack.encode(batch)
    return len(payload).to_bytes(4, "big") + payload


async def batches(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[Notification]]:
    """Decode a stream of frames, cut anywhere.

    Raises ``RouterUnavailable`` for what is none, and ``Unintelligible`` in front of a notification of a kind that this
    contract has no word for.
    """
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) >= 4:
            length = int.from_bytes(buffer[:4], "big")
            if length > FRAME_LIMIT:
                raise RouterUnavailable(f"the stream has a frame of {length} octets; it is not the router's")
            if len(buffer) < 4 + length:
                break
            payload = bytes(buffer[4 : 4 + length])
            del buffer[: 4 + length]
            if payload:
                batch, beyond = _decode_batch(payload)
                if batch:
                    yield batch
                if beyond is not None:
                    raise beyond


def _decode_batch(payload: bytes) -> tuple[list[Notification], Unintelligible | None]:
    """Decode a batch as far as this contract goes, and say what of it lies beyond."""
    try:
        return decode(payload, list[Notification]), None
    except BadRequest as error:
        known = _known_part(payload)
        if known is None:
            raise RouterUnavailable(f"the stream is not the router's: {error}") from error
        return known


def _known_part(payload: bytes) -> tuple[list[Notification], Unintelligible] | None:
    """Return what comes before the first notification of an unknown kind; None if that is not what is wrong."""
    known: list[Notification] = []
    try:
        for raw in msgspec.msgpack.decode(payload, type=list[msgspec.Raw]):
            kind = msgspec.msgpack.decode(raw, type=_Kind)
            if kind.kind not in KINDS:
                reason = f"a notification of the kind {kind.kind[:40]!r}: this endpoint is older than its router"
                return known, Unintelligible(reason)
            known.append(msgspec.msgpack.decode(raw, type=Notification))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None
