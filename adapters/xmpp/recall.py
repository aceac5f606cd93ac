"""What is remembered of the last few thousand messages, in memory only: enough to quote and to answer them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from adapters.contract import Message
from adapters.xmpp.codec import Quote
from protocol.content import SinglePart, walk
from protocol.richtext import parts

ValueT = TypeVar("ValueT")

REMEMBERED = 5_000
QUOTED_CHARACTERS = 280
QUOTED_LINES = 4


class Recall:
    """By native id: who wrote a message and how it began, and which client it came from."""

    def __init__(self) -> None:
        self._quotes: OrderedDict[str, Quote] = OrderedDict()
        self._clients: OrderedDict[str, str] = OrderedDict()

    def note(self, native_id: str, author: str, message: Message, *aliases: str) -> None:
        """Remember a message by ``author``, a JID as replies name it."""
        said = (part for _, part in walk(message.part) if isinstance(part, SinglePart) and parts.is_text(part))
        text = next((part.text for part in said), "")
        quote = Quote(author, shortened(text))
        for id_ in (native_id, *aliases):
            _keep(self._quotes, id_, quote)

    def note_client(self, native_id: str, jid: str) -> None:
        """Remember the full JID that a message came from: servers drop error stanzas to bare ones."""
        _keep(self._clients, native_id, jid)

    def quote(self, native_id: str) -> Quote | None:
        """Return what a reply to this message may quote."""
        return self._quotes.get(native_id)

    def client(self, native_id: str) -> str:
        """Return the full JID that this message came from, '' if it is forgotten."""
        return self._clients.get(native_id, "")


def shortened(text: str) -> str:
    """Return the beginning of a text, whole lines and words where possible."""
    lines = text.splitlines()
    beginning = "\n".join(lines[:QUOTED_LINES])
    if len(beginning) > QUOTED_CHARACTERS:
        beginning = beginning[:QUOTED_CHARACTERS].rsplit(" ", 1)[0] + " …"
    elif len(lines) > QUOTED_LINES:
        beginning += " …"
    return beginning


def _keep(memory: OrderedDict[str, ValueT], key: str, value: ValueT) -> None:
    memory[key] = value
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
