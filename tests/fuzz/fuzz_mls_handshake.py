"""Whatever a malicious member signs is followed or refused in MLS's own words, and a refusal changes nothing.

``python -m tests.fuzz.fuzz_mls_handshake [-max_total_time=600] [CORPUS]``; needs atheris. The first octet says how the
rest is taken; signatures are believed, and tags and encryption are right, so that what lies behind them is reached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from protocol.mls import ContentType, Group, SenderType
from protocol.mls.codec import decode, vec
from protocol.mls.errors import MlsError
from protocol.mls.framing import to_public
from protocol.mls.messages import (
    Authenticated,
    FramedContent,
    PublicMessage,
    Sender,
    WireFormat,
    encode_message,
    read_body,
)
from protocol.mls.proposals import Commit
from tests.fuzz.mls_world import NOW, World, believe_signatures, content_of, fuzz

WORLD = World()
ROUTER = WORLD.router()
BOB = WORLD.member("bob")
SENDERS = (
    Sender(SenderType.MEMBER, 0),
    Sender(SenderType.EXTERNAL, 0),
    Sender(SenderType.NEW_MEMBER_PROPOSAL),
    Sender(SenderType.NEW_MEMBER_COMMIT),
)


def one_input(data: bytes) -> None:
    """Give ``data`` to the router and to Bob."""
    way, rest = data[0] % 8 if data else 0, data[1:]
    try:
        message = _message(way, rest)
    except MlsError:
        return
    global ROUTER, BOB  # restoring them for each input would take longer than the input
    if _router(message):
        ROUTER = WORLD.router()
    if _bob(BOB, message):
        BOB = WORLD.member("bob")


def _message(way: int, rest: bytes) -> bytes:
    """The octets as they are, as a plaintext that Alice encrypts, or as a body that she or someone signs."""
    if way == 0:
        return rest
    if way <= 3:
        seal = WORLD.member("alice")._state.epoch._seal
        return seal(ContentType(way), vec(b""), rest, WORLD.random, 0)
    return _framed(SENDERS[way - 4], rest)


def _framed(sender: Sender, rest: bytes) -> bytes:
    """A public message around a body, with the tags that belong to it."""
    kind = ContentType(2 + (rest[:1] > b"\x7f"))
    body = decode(rest[1:], lambda reader: read_body(reader, kind))
    content = FramedContent.make(b"room", ROUTER.epoch, sender, body)
    tag = bytes(32) if isinstance(body, Commit) else None
    message = Authenticated(WireFormat.PUBLIC, content, b"believed", tag)
    state = WORLD.alice._state
    if sender.type != SenderType.MEMBER:
        return encode_message(PublicMessage(message, None))
    return encode_message(to_public(state.view.suite, state.secrets.membership, message, state.view.encoded_context))


def _router(message: bytes) -> bool:
    before = ROUTER.to_bytes()
    try:
        ROUTER.process(message, now=NOW)
    except MlsError:
        assert ROUTER.to_bytes() == before
        return False
    assert ROUTER.from_bytes(ROUTER.to_bytes()).epoch == ROUTER.epoch
    ROUTER.members()
    return True


def _bob(bob: Group, message: bytes) -> bool:
    epoch, proposals = bob.epoch, len(bob.view.proposals)
    done = False
    with contextlib.suppress(MlsError):
        bob.unprotect(message)
        done = True
    with contextlib.suppress(MlsError):
        bob.process(message, now=NOW)
        bob.members()
        done = True
    assert done or (bob.epoch, len(bob.view.proposals)) == (epoch, proposals)
    return done


def seeds() -> Iterator[bytes]:
    """Messages as they are, and their bodies."""
    yield from (b"\0" + message for message in WORLD.messages())
    yield b"\x01" + vec(b"Wherefore?") + vec(bytes(64)) + bytes(7)
    for message in (one for one in WORLD.messages() if one[:4] == bytes((0, 1, 0, 1))):
        content = content_of(message).content
        body = content.encoded[len(_head(content)) :]
        kind = b"\xff" if isinstance(content.body, Commit) else b"\0"
        ways = (3, 4, 7) if isinstance(content.body, Commit) else (2, 4, 5, 6)
        tail = vec(bytes(64)) + (vec(bytes(32)) if isinstance(content.body, Commit) else b"")
        yield from (bytes((way,)) + (body + tail if way < 4 else kind + body) for way in ways)


def _head(content: FramedContent) -> bytes:
    where = vec(content.group_id) + content.epoch.to_bytes(8, "big") + content.sender.encode()
    return where + vec(content.authenticated_data) + b"\x03"


if __name__ == "__main__":
    believe_signatures()
    fuzz(one_input, seeds())
