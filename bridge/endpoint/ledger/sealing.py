"""Sealing of ledger rows: AES-256-GCM under a key of the ledger's own; and what is looked up, as an HMAC.

Both keys come from the configured ledger key by HKDF-SHA256 with the ledger's random id as salt, each under a label of
its own, so that no two ledgers share a key although they are given the same one.

A sealed value is ``version (1) || key id (4) || nonce (12) || ciphertext and tag``. The key id and the identity of the
row (its table and primary key) are authenticated, so that a value copied into another row does not open there. Version
1 was sealed under the configured key itself; it is opened still, and sealed anew whenever its row is written.

Nonces are random: after 2^32 values under one key the chance that two are alike is still below 2^-32 (NIST SP 800-38D).
A ledger that seals a hundred values a second comes there after sixteen months without a pause; ``sealed`` counts what
this process has sealed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bridge.endpoint.errors import SealError

_CONFIGURED = b"\x01"
_OWN = b"\x02"
_KEY_ID = 4
_NONCE = 12
_HEADER = 1 + _KEY_ID + _NONCE
INDEX_OCTETS = 16


class Sealer:
    """Seals and opens under one configured 32-octet key; ``random(n)`` gives n unpredictable octets.

    As it is made it knows no ledger, and seals as version 1; ``of(ledger_id)`` returns the one of a ledger.
    """

    def __init__(self, key: bytes, random: Callable[[int], bytes], ledger_id: bytes = b"") -> None:
        if len(key) != 32:
            raise SealError(f"a ledger key has 32 octets, not {len(key)}")
        self._key = key
        self.random = random
        self.key_id = hashlib.sha256(b"rialto ledger key id" + key).digest()[:_KEY_ID]
        self._ciphers = {_CONFIGURED: AESGCM(key)}
        self._version = _CONFIGURED
        self.ledger_id = ledger_id
        self._index_key = b""
        if ledger_id:
            self._version = _OWN
            self._ciphers[_OWN] = AESGCM(_derive(key, ledger_id, b"rialto ledger seal 2"))
            self._index_key = _derive(key, ledger_id, b"rialto ledger index 2")
        self.sealed = 0
        """How many values this object has sealed: the part of the nonce budget that this process has spent."""

    def of(self, ledger_id: bytes) -> Sealer:
        """Return the sealer of the ledger whose id is ``ledger_id``."""
        return Sealer(self._key, self.random, ledger_id)

    def seal(self, plain: bytes, row: str) -> bytes:
        """Seal ``plain`` for the row whose identity is ``row``."""
        self.sealed += 1
        nonce = self.random(_NONCE)
        header = self._version + self.key_id
        return header + nonce + self._ciphers[self._version].encrypt(nonce, plain, header + row.encode())

    def open(self, sealed: bytes, row: str) -> bytes:
        """Open what was sealed for ``row``. Raises ``SealError``."""
        header, nonce = sealed[: _HEADER - _NONCE], sealed[_HEADER - _NONCE : _HEADER]
        cipher = self._ciphers.get(header[:1])
        if cipher is None or len(sealed) < _HEADER:
            raise SealError(f"{row}: not a sealed value of this version")
        if header[1:] != self.key_id:
            raise SealError(f"{row}: sealed under another ledger key ({header[1:].hex()}, not {self.key_id.hex()})")
        try:
            return cipher.decrypt(nonce, sealed[_HEADER:], header + row.encode())
        except InvalidTag:
            raise SealError(f"{row}: damaged, or moved here from another row") from None

    def index(self, kind: str, value: str) -> bytes:
        """Return what ``value`` is looked up by: the same for the same value of one ledger, and telling nothing else.

        ``kind`` keeps values of different columns apart; its length is part of what is hashed.
        """
        if not self._index_key:
            raise SealError("only a ledger's own sealer has an index key")
        label = kind.encode()
        octets = len(label).to_bytes(2, "big") + label + value.encode("utf-8", "surrogatepass")
        return hmac.digest(self._index_key, octets, "sha256")[:INDEX_OCTETS]


def cell(table: str, key: object, column: str = "") -> str:
    """Return the identity under which a value is sealed: its table, its row's key, and its column if there are more."""
    name = key.hex() if isinstance(key, bytes | memoryview) else str(key)
    return f"{table}/{name}/{column}" if column else f"{table}/{name}"


def _derive(key: bytes, ledger_id: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=ledger_id, info=label).derive(key)
