"""The root of the daemon's own errors: those an operator reads.

::

    RialtoError
    ├── ConfigError    bridge.config    rialto.toml is wrong; says where and what would be right
    ├── SecretError    bridge.secrets   a key or token is missing or malformed
    ├── AdapterError   bridge.service   no such adapter, or its settings are refused
    ├── NotGrantedError bridge.authority  an endpoint has no grant of the operator's authority; says what to run
    └── ServiceError   bridge.service   the daemon cannot do what it was asked to
"""

from __future__ import annotations

from typing import ClassVar


class RialtoError(Exception):
    """Something the operator can mend; the message names what, where and how."""

    code: ClassVar[str] = "rialto"


class ConfigError(RialtoError):
    """``rialto.toml`` is wrong. ``findings`` has one entry for each thing that is."""

    code = "config"

    def __init__(self, findings: tuple[str, ...]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class SecretError(RialtoError):
    """A key or token is missing, unreadable or malformed."""

    code = "secret"


class AdapterError(RialtoError):
    """There is no such adapter."""

    code = "adapter"


class NotGrantedError(RialtoError):
    """An endpoint has no grant of the operator's authority, or one that is revoked or unreadable."""

    code = "not-granted"


class ServiceError(RialtoError):
    """The daemon cannot do what it was asked to."""

    code = "service"
