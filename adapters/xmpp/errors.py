"""What this package raises inside itself; towards the endpoint it speaks the contract's outcomes.

::

    XmppError
    ├── NameRefused    an address that can have no JID here, or a JID that names nobody
    ├── StanzaRefused  a stanza that its sender gets back with a condition and a text
    ├── StanzaError    the other side's answer was an error stanza
    └── LinkLost       the stream to the server is gone, or was never there
"""

from __future__ import annotations

from typing import ClassVar


class XmppError(Exception):
    """The root of the family."""

    code: ClassVar[str] = "xmpp"


class NameRefused(XmppError):
    """There is no way from this address to a JID, or from this JID to an address; the message says why."""

    code = "xmpp-name"


class StanzaRefused(XmppError):
    """A stanza that cannot be carried: ``kind`` and ``condition`` of RFC 6120 §8.3, ``text`` for a person."""

    code = "xmpp-refused"

    def __init__(self, condition: str, text: str, kind: str = "modify") -> None:
        super().__init__(text)
        self.condition = condition
        self.kind = kind
        self.text = text


class StanzaError(XmppError):
    """An error stanza answered ours: ``kind``, ``condition`` and ``text`` as it said them."""

    code = "xmpp-answer"

    def __init__(self, condition: str, kind: str = "cancel", text: str = "") -> None:
        super().__init__(f"{condition}: {text}" if text else condition)
        self.condition = condition
        self.kind = kind
        self.text = text


class LinkLost(XmppError):
    """The stream ended. ``written`` says whether our stanza may have left before it did."""

    code = "xmpp-link"

    def __init__(self, text: str = "the stream to the XMPP server is down", *, written: bool = False) -> None:
        super().__init__(text)
        self.written = written
