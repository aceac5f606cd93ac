"""The registration file that tells a homeserver about this application service."""

from __future__ import annotations

import json
import re

from adapters.matrix.config import MatrixConfig


def registration(config: MatrixConfig) -> str:
    """Return the registration (YAML, of which JSON strings are a part) to be named in ``app_service_config_files``.

    Beside what the specification asks for it switches on ephemeral events (typing and receipts; once under its stable
    and once under its older name) and device management (MSC4190): without a device a homeserver forgets at its
    restart which messages it has taken already.
    """
    server, prefix = re.escape(config.server_name), re.escape(config.user_prefix)

    def namespace(sigil: str) -> str:
        return f"{{exclusive: true, regex: {json.dumps(f'{sigil}{prefix}.*:{server}')}}}"

    return "\n".join(
        [
            f"id: {json.dumps(config.id)}",
            f"url: {json.dumps(config.url)}",
            f"as_token: {json.dumps(config.secret('as_token'))}",
            f"hs_token: {json.dumps(config.secret('hs_token'))}",
            f"sender_localpart: {json.dumps(config.sender_localpart)}",
            "rate_limited: false",
            "receive_ephemeral: true",
            "de.sorunome.msc2409.push_ephemeral: true",
            "io.element.msc4190: true",
            "namespaces:",
            f"  users: [{namespace('@')}]",
            f"  aliases: [{namespace('#')}]",
            "  rooms: []",
            "",
        ]
    )
