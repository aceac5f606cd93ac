"""Keys and tokens: where they come from, and how they are made.

A secret is looked for in the environment, then among systemd's credentials, then in a file of the data folder. They
are separate on purpose: the router's process reads the endpoints' tokens and never a ledger key.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import SecretError

LEDGER_KEY_BYTES = 32


def ledger_key(data: Path, env: Mapping[str, str] = os.environ) -> bytes:
    """Return the key that seals ledgers: ``RIALTO_LEDGER_KEY``, credential ``rialto-ledger-key`` or ``ledger.key``.

    It is 32 octets, written in base64. Raises ``SecretError``.
    """
    text, source = _find("RIALTO_LEDGER_KEY", "rialto-ledger-key", data / "ledger.key", env)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecretError(f"{source}: not base64: {error}") from error
    if len(key) != LEDGER_KEY_BYTES:
        raise SecretError(f"{source}: {len(key)} octets where a ledger key has {LEDGER_KEY_BYTES}")
    return key


def router_token(data: Path, endpoint: str, env: Mapping[str, str] = os.environ) -> str:
    """Return the token by which ``endpoint`` proves itself to the router.

    ``RIALTO_TOKEN_<NAME>``, credential ``rialto-token-<name>`` or the file ``tokens/<name>``. Raises ``SecretError``.
    """
    variable = f"RIALTO_TOKEN_{endpoint.upper().replace('-', '_')}"
    token, source = _find(variable, f"rialto-token-{endpoint}", data / "tokens" / endpoint, env)
    if len(token) < 32:
        raise SecretError(f"{source}: a token has 32 characters or more")
    return token


def create(data: Path, endpoints: tuple[str, ...]) -> tuple[Path, ...]:
    """Make the secrets that are not there yet, readable by their owner only; return the files made."""
    made = []
    for folder in (data, data / "tokens"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = [(data / "ledger.key", base64.b64encode(os.urandom(LEDGER_KEY_BYTES)))]
    wanted += [(data / "tokens" / name, base64.urlsafe_b64encode(os.urandom(33))) for name in endpoints]
    for path, value in wanted:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "wb") as file:
            file.write(value + b"\n")
        made.append(path)
    return tuple(made)


def _find(variable: str, credential: str, path: Path, env: Mapping[str, str]) -> tuple[str, str]:
    if value := env.get(variable):
        return value.strip(), f"the variable {variable}"
    if folder := env.get("CREDENTIALS_DIRECTORY"):
        held = Path(folder) / credential
        if held.exists():
            return held.read_text().strip(), f"the credential {credential}"
    try:
        return path.read_text().strip(), str(path)
    except FileNotFoundError:
        raise SecretError(
            f"{path} is not there, and neither is the variable {variable}: 'rialto init' makes it"
        ) from None
    except OSError as error:
        raise SecretError(f"{path}: cannot be read: {error.strerror}") from error
