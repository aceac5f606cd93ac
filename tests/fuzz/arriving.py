"""What an adapter hands over must be fit for the endpoint: it can be kept, and it becomes a content or is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from adapters.contract import Event, Inbound, Receipt, Refused, TypingNotice
from bridge.endpoint import translate
from bridge.endpoint.from_network.stored import Stored
from protocol import content
from protocol.errors import ProtocolError
from protocol.uri import user_uri

DOMAIN: Final = "rialto.example"
ROOM: Final = f"mimi://{DOMAIN}/r/1"
NOW: Final = 1_800_000_000_000


class MemoryStore:
    """An account's store that never waits."""

    def __init__(self, rows: Mapping[str, bytes] = {}) -> None:
        self.rows = dict(rows)

    async def get(self, key: str) -> bytes | None:
        """Return what stands under ``key``."""
        return self.rows.get(key)

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value."""
        self.rows[key] = value

    async def delete(self, key: str) -> None:
        """Forget a value."""
        self.rows.pop(key, None)

    async def scan(self, prefix: str) -> Sequence[tuple[str, bytes]]:
        """Return all that starts with ``prefix``."""
        return sorted(item for item in self.rows.items() if item[0].startswith(prefix))


def taken(event: Event) -> None:
    """Do with an event what an endpoint does."""
    match event:
        case Inbound():
            _kept(event)
            _posted(event)
            if event.acknowledge is not None:
                event.acknowledge(Refused("invalid") if len(event.native_id) % 2 else None)
        case Receipt():
            assert user_uri(DOMAIN, event.sender.address)
            if event.acknowledge is not None:
                event.acknowledge(None)
        case TypingNotice():
            assert user_uri(DOMAIN, event.sender.address)


def _kept(event: Inbound) -> None:
    stored = Stored(event.native_id, event.aliases, event.conversation, event.sender, event.message, event.sent_at)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Stored) == stored


def _posted(event: Inbound) -> None:
    try:
        posted = translate.post(
            event,
            salt=translate.salt(b"s" * 32, event.sender.address.network, "account", event.native_id),
            sender=user_uri(DOMAIN, event.sender.address),
            name=event.sender.name,
            room=ROOM,
            known={native: bytes(32) for native in translate.references(event.message)},
            now=NOW,
            avatar=event.sender.avatar,
        )
    except ProtocolError:
        return  # refused before it is accepted
    received = content.decode(posted.encoded, now=NOW // 1000)
    assert received.part == event.message.part
    assert translate.names(received).sender == user_uri(DOMAIN, event.sender.address)
    translate.excerpt(received.part)
