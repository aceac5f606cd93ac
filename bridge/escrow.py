"""Keys sealed under a passphrase, to be laid away: without the ledger's key a ledger is noise.

A sealed file is the line ``RIALTO ESCROW 1``, a salt (16 octets), a nonce (12) and AES-256-GCM of a JSON object that
maps names of files to their octets in base64. The key is scrypt (RFC 7914) of the passphrase with N = 2^16, r = 8,
p = 1; the line and the salt are authenticated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bridge.errors import SecretError

HEAD = b"RIALTO ESCROW 1\n"
SHORTEST = 12
"""The fewest characters of a passphrase."""

_SALT = 16
_NONCE = 12
_COST = 1 << 16


def seal(files: Mapping[str, bytes], passphrase: str, random: Callable[[int], bytes]) -> bytes:
    """Seal files by name. Raises ``SecretError`` for a passphrase that is too short."""
    if len(passphrase) < SHORTEST:
        raise SecretError(f"a passphrase for keys has {SHORTEST} characters or more")
    salt, nonce = random(_SALT), random(_NONCE)
    sealed = AESGCM(_key(passphrase, salt)).encrypt(nonce, msgspec.json.encode(dict(files)), HEAD + salt)
    return HEAD + salt + nonce + sealed


def unseal(data: bytes, passphrase: str) -> dict[str, bytes]:
    """Open what was sealed. Raises ``SecretError`` if it is something else, damaged, or the passphrase another."""
    if not data.startswith(HEAD):
        raise SecretError("not a file that 'rialto key export' made")
    salt, rest = data[len(HEAD) :][:_SALT], data[len(HEAD) + _SALT :]
    try:
        plain = AESGCM(_key(passphrase, salt)).decrypt(rest[:_NONCE], rest[_NONCE:], HEAD + salt)
    except (InvalidTag, ValueError):
        raise SecretError("the passphrase is another, or the file is damaged") from None
    return msgspec.json.decode(plain, type=dict[str, bytes])


def _key(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode())
