"""Any body, stream or token that comes to the router, or from it, is read or refused in words of its own.

``python -m tests.fuzz.fuzz_wire [-max_total_time=600] [CORPUS]``; needs atheris. The first octet says what it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec

from bridge.room_context import (
    DESCRIPTION,
    FORMER_METADATA,
    FORMER_PARTICIPANTS,
    REVISION,
    RoomContext,
    encode_context,
    room_context,
)
from bridge.router import wire
from bridge.router.contract import (
    Accepted,
    BadRequest,
    Envelope,
    HandshakeBundle,
    Hello,
    HelloAnswer,
    Kind,
    Notification,
    Refusal,
    RefusalCode,
    RoomView,
    RouterUnavailable,
    Standing,
)
from bridge.router.grants import EndpointGrant, Grants, hash_token
from protocol import cbor
from tests.fuzz.harness import fuzz, structured

KINDS: Final[tuple[Any, ...]] = (
    wire.PublishRequest,
    wire.TargetRequest,
    wire.UpdateRequest,
    wire.SubmitRequest,
    wire.AcknowledgeRequest,
    Hello,
    HelloAnswer,
    list[Accepted | Refusal],
    wire.Material | Refusal,
    list[RoomView],
    str | int | None,
)
GRANTS = Grants([EndpointGrant("mimi://a.example/d/xmpp", ("mimi://a.example/u/xmpp~",), hash_token("token"))])
NOTIFIED = [Notification(1, "mimi://a.example/r/1", 1, Kind.COMMIT, 0, "mimi://a.example/d/xmpp", b"body", 1)]


def one_input(data: bytes) -> None:
    """Read ``data`` as what its first octet says."""
    way, rest = data[0] % (len(KINDS) + 3) if data else 0, data[1:]
    if way < len(KINDS):
        _body(rest, KINDS[way])
    elif way == len(KINDS):
        _stream(rest)
    elif way == len(KINDS) + 1:
        _described(rest)
    else:
        text = rest.decode(errors="surrogateescape")
        assert (GRANTS.authenticate(text) is None) == (rest != b"token")
        GRANTS.speakers(text)


def _body(data: bytes, kind: Any) -> None:
    try:
        value = wire.decode(data, kind)
    except BadRequest:
        return
    assert wire.decode(msgspec.msgpack.encode(value), kind) == value


def _stream(data: bytes) -> None:
    """However the octets of a stream are cut, the same comes out of it."""
    assert _batches([data]) == _batches([data[at : at + 7] for at in range(0, len(data), 7)])


def _batches(chunks: Sequence[bytes]) -> list[object]:
    async def come() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    found: list[object] = []

    async def collect() -> None:
        try:
            async for batch in wire.batches(come()):
                found.extend(batch)
        except RouterUnavailable:
            found.append("broken")

    with contextlib.suppress(StopIteration):  # nothing here waits
        collect().send(None)
    return found


def _described(data: bytes) -> None:
    """What a stranger has put into the context of a group that we are invited to."""
    length, former = data[1] if len(data) > 1 else 0, bool(data[:1] < b"\x80")
    first, second = (FORMER_METADATA, FORMER_PARTICIPANTS) if former else (DESCRIPTION, REVISION)
    found = room_context({first: data[2 : 2 + length], second: data[2 + length :]})
    assert found is None or all(isinstance(user, str) for user in found.participants)
    assert found is None or room_context(encode_context(found)) == found


def seeds() -> Iterator[bytes]:
    """One of everything, as it should be."""
    bundle = HandshakeBundle(b"info", b"commit", b"welcome")
    envelope = Envelope("mimi://a.example/r/1", 1, "mimi://a.example/d/xmpp", b"body")
    values: tuple[Any, ...] = (
        wire.PublishRequest([b"package"], b"last"),
        wire.TargetRequest("mimi://a.example/r/1"),
        wire.UpdateRequest("mimi://a.example/r/1", bundle),
        wire.SubmitRequest([envelope, envelope]),
        wire.AcknowledgeRequest("4a.7"),
        Hello(1, 2, ("left",), "new", "old", 3),
        HelloAnswer(2, ("left",), "4a", Standing.CURRENT, "4a.7"),
        [Refusal(RefusalCode.WRONG_EPOCH, "late", 7)],
        wire.Material((b"info",)),
        [],
        "name",
    )
    yield from (bytes([way]) + msgspec.msgpack.encode(value) for way, value in enumerate(values))
    yield bytes([len(KINDS)]) + wire.frame(NOTIFIED) + wire.frame(None) + wire.frame(NOTIFIED * 2)
    meta = cbor.encode({"uri": "mimi://a.example/r/1", "kind": "group", "name": "Verona"})
    yield bytes([len(KINDS) + 1, 0, len(meta)]) + meta + cbor.encode({"users": ["mimi://a.example/u/xmpp~a"]})
    user = "mimi://a.example/u/xmpp~a"
    context = encode_context(RoomContext("mimi://a.example/r/1", "direct", "", (user,), founding=2, revision=7))
    fixed, revision = context[DESCRIPTION], context[REVISION]
    yield bytes([len(KINDS) + 1, 255, len(fixed)]) + fixed + revision
    yield bytes([len(KINDS) + 2]) + b"token"


def _read(data: bytes) -> list[Any]:
    return [data[0], msgspec.msgpack.decode(data[1:])]


def _write(value: list[Any]) -> bytes:
    return bytes([value[0] % 256]) + msgspec.msgpack.encode(value[1])


if __name__ == "__main__":
    fuzz(
        one_input,
        "bridge.router",
        "bridge.room_context",
        "protocol.cbor",
        seeds=seeds(),
        mutator=structured(_read, _write),
    )
