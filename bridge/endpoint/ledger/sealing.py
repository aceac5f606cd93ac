"""Sealing of ledger rows: AES-256-GCM under the ledger's key.

A sealed value is ``version (1) || key id (4) || nonce (12) || ciphertext and tag``. The key id and the identity of the
row (its table and primary key) are authenticated, so that a value copied into another row does not open there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.endpoint.errors import SealError

_VERSION = b"\x01"
_KEY_ID = 4
_NONCE = 12
_HEADER = len(_VERSION) + _KEY_ID + _NONCE


class Sealer:
    """Seals and opens under one 32-octet key; ``random(n)`` gives n unpredictable octets."""

    def __init__(self, key: bytes, random: Callable[[int], bytes]) -> None:
        if len(key) != 32:
            raise SealError(f"a ledger key has 32 octets, not {len(key)}")
        self._cipher = AESGCM(key)
        self._random = random
        self.key_id = hashlib.sha256(b"rialto ledger key id" + key).digest()[:_KEY_ID]

    def seal(self, plain: bytes, row: str) -> bytes:
        """Seal ``plain`` for the row whose identity is ``row``."""
        nonce = self._random(_NONCE)
        header = _VERSION + self.key_id
        return header + nonce + self._cipher.encrypt(nonce, plain, header + row.encode())

    def open(self, sealed: bytes, row: str) -> bytes:
        """Open what was sealed for ``row``. Raises ``SealError``."""
        header, nonce = sealed[: _HEADER - _NONCE], sealed[_HEADER - _NONCE : _HEADER]
        if header[:1] != _VERSION or len(sealed) < _HEADER:
            raise SealError(f"{row}: not a sealed value of this version")
        if header[1:] != self.key_id:
            raise SealError(f"{row}: sealed under another ledger key ({header[1:].hex()}, not {self.key_id.hex()})")
        try:
            return self._cipher.decrypt(nonce, sealed[_HEADER:], header + row.encode())
        except InvalidTag:
            raise SealError(f"{row}: damaged, or moved here from another row") from None
