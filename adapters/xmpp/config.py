"""The settings of an XMPP account: the table ``[endpoint.NAME.account]`` of ``rialto.toml``."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct, field

from adapters.contract import SignedOut
from adapters.xmpp.errors import NameRefused
from adapters.xmpp.names import bare


class XmppConfig(Struct, forbid_unknown_fields=True, kw_only=True):
    """How to be a component (XEP-0114) of an XMPP server.

    ``component`` is the JID that the server knows it by; ``host`` and ``port`` are where the server listens for
    components. The secret that both share is in ``secret_file``, in the environment variable ``secret_env``, or, for
    trying things out, in ``secret`` itself.

    ``server`` is the server's own domain ('' for what follows the component's first dot); the services that are not
    named are looked for there: ``upload`` for files (XEP-0363), ``rooms`` for the room ``sent_log`` in which the bridge
    keeps the keys of what it sent ('' to choose its name, ``off`` for none).

    ``nick`` is the bridge's own name in rooms. Files are taken from anywhere public and from ``media_hosts``.
    """

    component: str
    host: str = "127.0.0.1"
    port: int = 5347
    secret: str = ""
    secret_file: str = ""
    secret_env: str = ""
    server: str = ""
    upload: str = ""
    rooms: str = ""
    sent_log: str = ""
    nick: str = "Rialto"
    media_hosts: list[str] = field(default_factory=list)
    max_text_bytes: int = 65_536
    max_file_bytes: int = 100 * 1024 * 1024
    self_ping_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant; the message names the field."""
        if not _is_domain(self.component):
            raise ValueError(f"component: {self.component!r} is not a domain in lower case")
        if not 0 < self.port < 65_536:
            raise ValueError(f"port: {self.port} is not within 1..65535")
        if sum(map(bool, (self.secret, self.secret_file, self.secret_env))) != 1:
            raise ValueError("secret_file: exactly one of secret_file, secret_env and secret must be given")
        if not self.nick.strip():
            raise ValueError("nick: it is empty")
        for name in ("max_text_bytes", "max_file_bytes", "self_ping_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not above zero")

    def __repr__(self) -> str:
        return f"XmppConfig({self.component} at {self.host}:{self.port})"

    def shared_secret(self) -> str:
        """Return the component's secret. Raises ``SignedOut``, which says which field leads nowhere."""
        if self.secret:
            return self.secret
        if self.secret_env:
            value = os.environ.get(self.secret_env, "")
            if not value:
                raise SignedOut(f"secret_env: the variable {self.secret_env} is not set")
            return value
        path = Path(self.secret_file)
        try:
            return path.read_text().strip()
        except OSError as error:
            raise SignedOut(f"secret_file: {path}: {error.strerror}") from error

    @property
    def exclusive(self) -> tuple[str, ...]:
        """What no second account may have: a server hands a component's stanzas to one connection only."""
        return (f"component {self.component}",)

    @property
    def domain(self) -> str:
        """The server's own domain."""
        return self.server or self.component.partition(".")[2]


def _is_domain(text: str) -> bool:
    try:
        return "@" not in text and "/" not in text and bare(text) == text
    except NameRefused:
        return False
