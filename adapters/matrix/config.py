"""What the configuration says about one Matrix account: an application service on one homeserver."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from adapters.matrix.names import Names

_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")


class MatrixConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account's table in ``rialto.toml``.

    ``homeserver`` is the base URL of the homeserver's client-server API, ``server_name`` the part after the colon in
    its users' ids, ``url`` where the homeserver reaches this endpoint. ``as_token`` and ``hs_token`` are the secrets of
    the registration file, either here or in files of their own. ``id`` names the registration, ``sender_localpart`` the
    service's own user, and ``user_prefix`` starts the names of all ghosts and aliases.
    """

    homeserver: str
    server_name: str
    url: str
    as_token: str = ""
    as_token_file: str = ""
    hs_token: str = ""
    hs_token_file: str = ""
    id: str = "rialto"
    sender_localpart: str = "rialto"
    user_prefix: str = "rialto_"

    def __post_init__(self) -> None:
        for field in ("homeserver", "url"):
            value = urlsplit(getattr(self, field))
            if value.scheme not in {"http", "https"} or not value.hostname:
                raise ValueError(f"{field}: must be an http or https URL, such as http://127.0.0.1:8008")
        if not self.server_name or set(self.server_name) & set("@/ "):
            raise ValueError("server_name: must be the homeserver's name, such as example.org")
        for field in ("sender_localpart", "user_prefix"):
            if not _LOCALPART.fullmatch(getattr(self, field)):
                raise ValueError(f"{field}: may hold only a-z, 0-9 and . _ = / + -")
        if not self.id:
            raise ValueError("id: must not be empty")
        for field in ("as_token", "hs_token"):
            if bool(getattr(self, field)) == bool(getattr(self, f"{field}_file")):
                raise ValueError(f"{field}: give exactly one of {field} and {field}_file")

    @property
    def names(self) -> Names:
        """The names that this application service gives."""
        return Names(self.server_name, self.user_prefix, self.sender_localpart)

    @property
    def exclusive(self) -> tuple[str, ...]:
        """What no second account may have: each would take the other's ghosts for its own."""
        return (
            f"user @{self.user_prefix}* of {self.server_name}",
            f"user @{self.sender_localpart} of {self.server_name}",
            f"id {self.id} at {self.homeserver.rstrip('/')}",
        )

    def secret(self, field: str) -> str:
        """Return the token ``field``, read from its file if it has one; raises ``ValueError`` naming the field."""
        value: str = getattr(self, field)
        if value:
            return value
        path = Path(getattr(self, f"{field}_file"))
        try:
            value = path.read_text().strip()
        except OSError as e:
            raise ValueError(f"{field}_file: cannot be read: {e.strerror}: {path}") from e
        if not value:
            raise ValueError(f"{field}_file: is empty: {path}")
        return value
