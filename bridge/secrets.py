"""Keys and tokens: where they come from, and how they are made.

A secret is looked for in the environment, then among systemd's credentials, then in a file of the data folder. They
are separate on purpose: the router's process reads the endpoints' tokens and never a ledger key, nor the authority's
private one, only what is public of it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.authority import KEY_OCTETS, read_public, write_public
from bridge.errors import SecretError
from protocol.grant import public_of

LEDGER_KEY_BYTES = 32
AUTHORITY_KEY = "authority.key"
AUTHORITY_NEXT = "authority.next.key"
"""The key that is to follow, from when it was announced until it signs."""
AUTHORITY_PUBLIC = "authority.pub"


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


def operator_token(data: Path, env: Mapping[str, str] = os.environ) -> str:
    """Return the token that opens the operator's interface, and nothing else does; it is made if it is not there yet.

    ``RIALTO_OPERATOR_TOKEN``, credential ``rialto-operator-token`` or the file ``operator.token``. Raises
    ``SecretError``.
    """
    path = data / "operator.token"
    try:
        token, source = _find("RIALTO_OPERATOR_TOKEN", "rialto-operator-token", path, env)
    except SecretError:
        if path.exists():
            raise
        try:
            write_secret(path, base64.urlsafe_b64encode(os.urandom(33)) + b"\n")
        except FileExistsError:  # another process was faster
            pass
        except OSError as error:
            raise SecretError(f"{path}: cannot be made: {error.strerror}") from error
        token, source = path.read_text().strip(), str(path)
    if len(token) < 32:
        raise SecretError(f"{source}: a token has 32 characters or more")
    return token


def authority_key(data: Path, env: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the private key of the operator's authority; None if it is not on this machine, as it need not be.

    ``RIALTO_AUTHORITY_KEY``, credential ``rialto-authority-key`` or the file ``authority.key``; 32 octets in base64. A
    router never asks for it. Raises ``SecretError`` for one that cannot be read.
    """
    return _authority_private("RIALTO_AUTHORITY_KEY", "rialto-authority-key", data / AUTHORITY_KEY, env)


def authority_next(data: Path) -> bytes:
    """Return the key that is to follow the authority's, from when it was announced. Raises ``SecretError``."""
    found = _authority_private("RIALTO_AUTHORITY_NEXT_KEY", "rialto-authority-next-key", data / AUTHORITY_NEXT, {})
    if found is None:
        raise SecretError(f"{data / AUTHORITY_NEXT} is not there")
    return found


def _authority_private(variable: str, credential: str, path: Path, env: Mapping[str, str]) -> bytes | None:
    found = _look(variable, credential, path, env)
    if found is None:
        return None
    text, source = found
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecretError(f"{source}: not base64: {error}") from error
    if len(key) != KEY_OCTETS:
        raise SecretError(f"{source}: {len(key)} octets where an authority's key has {KEY_OCTETS}")
    return key


def authority_public(data: Path) -> tuple[bytes, ...]:
    """Return the public keys in ``authority.pub``, one a line, the one that signs first; none if there is no such file.

    Raises ``SecretError`` if it cannot be read, or holds something else.
    """
    path = data / AUTHORITY_PUBLIC
    try:
        lines = path.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"{path}: cannot be read: {error}") from error
    try:
        return tuple(read_public(line) for line in lines)
    except ValueError as error:
        raise SecretError(f"{path}: {error}") from error


def create_authority(data: Path) -> tuple[Path, ...]:
    """Make the operator's authority unless there is one: its private key, and beside it the public one for all.

    Return the files made.
    """
    if authority_public(data):
        return ()
    private = authority_key(data)
    made = []
    if private is None:
        private = os.urandom(KEY_OCTETS)
        write_secret(data / AUTHORITY_KEY, base64.b64encode(private) + b"\n")
        made.append(data / AUTHORITY_KEY)
    write_public_keys(data, (public_of(private),))
    return (*made, data / AUTHORITY_PUBLIC)


def write_public_keys(data: Path, keys: Sequence[bytes]) -> None:
    """Set what ``authority_public`` returns: the whole file at once, or not at all."""
    path = data / AUTHORITY_PUBLIC
    new = path.with_suffix(".new")
    new.write_text("".join(f"{write_public(key)}\n" for key in keys), encoding="ascii")
    new.replace(path)


def write_secret(path: Path, value: bytes) -> None:
    """Write a new file that only its owner reads. Raises ``FileExistsError`` rather than replace one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())


def create(data: Path, endpoints: tuple[str, ...]) -> tuple[Path, ...]:
    """Make the secrets that are not there yet, readable by their owner only; return the files made."""
    made = []
    for folder in (data, data / "tokens"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = [
        (data / "ledger.key", base64.b64encode(os.urandom(LEDGER_KEY_BYTES))),
        (data / "operator.token", base64.urlsafe_b64encode(os.urandom(33))),
    ]
    wanted += [(data / "tokens" / name, base64.urlsafe_b64encode(os.urandom(33))) for name in endpoints]
    for path, value in wanted:
        try:
            write_secret(path, value + b"\n")
        except FileExistsError:
            continue
        made.append(path)
    return tuple(made)


def _find(variable: str, credential: str, path: Path, env: Mapping[str, str]) -> tuple[str, str]:
    found = _look(variable, credential, path, env)
    if found is None:
        raise SecretError(f"{path} is not there, and neither is the variable {variable}: 'rialto init' makes it")
    return found


def _look(variable: str, credential: str, path: Path, env: Mapping[str, str]) -> tuple[str, str] | None:
    if value := env.get(variable):
        return value.strip(), f"the variable {variable}"
    if folder := env.get("CREDENTIALS_DIRECTORY"):
        held = Path(folder) / credential
        if held.exists():
            return held.read_text().strip(), f"the credential {credential}"
    try:
        return path.read_text().strip(), str(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretError(f"{path}: cannot be read: {error.strerror}") from error
