"""Cipher suites 1, 2, 3, 5 and 7 and the labelled operations of RFC 9420 §5.1, §5.2 and §8.

The primitives are those of ``cryptography``; the KDF steps go through ``hmac.digest``, which is the fastest way
to HMAC from Python. HPKE's ephemeral keys and ECDSA's nonces are drawn inside the primitives' own library, from
the operating system; everything else that is random comes from the caller.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from protocol.mls.codec import u16, u32, vec
from protocol.mls.errors import DecryptionError, SignatureError, UnsupportedError
from protocol.mls.kem import Dhkem, HpkePrivate, HpkePublic
from protocol.mls.signing import Scheme, SigningKey, VerifyingKey

Random = Callable[[int], bytes]
"""A source of randomness: gives that many bytes; ``os.urandom`` in production."""

MLS10 = 1
"""The only protocol version."""


@lru_cache(maxsize=512)
def _label(label: bytes) -> bytes:
    return vec(b"MLS 1.0 " + label)


class CipherSuite:
    """One cipher suite: its sizes and every operation that RFC 9420 defines over it."""

    def __init__(
        self,
        suite_id: int,
        hash_name: str,
        kem: Dhkem,
        aead: type[AESGCM | ChaCha20Poly1305],
        key_size: int,
        scheme: Scheme,
    ) -> None:
        """Bind the suite's algorithms together; only the table at the end of this module does."""
        self.id = suite_id
        self.hash_name = hash_name
        self.hash_size = hashlib.new(hash_name).digest_size
        self.key_size = key_size
        self.nonce_size = 12
        self.aead = aead
        self.kem = kem
        self.scheme = scheme
        self._hpke = hpke.Suite(kem.kem, _KDFS[hash_name], _AEADS[aead, key_size])
        aead_id = {(AESGCM, 16): 1, (AESGCM, 32): 2, (ChaCha20Poly1305, 32): 3}[aead, key_size]
        kdf_id = {"sha256": 1, "sha384": 2, "sha512": 3}[hash_name]
        self._hpke_id = b"HPKE" + u16(kem.kem_id) + u16(kdf_id) + u16(aead_id)
        self.zero = bytes(self.hash_size)
        self.key_info = u16(key_size) + _label(b"key")
        self.nonce_info = u16(self.nonce_size) + _label(b"nonce")
        self._hash = getattr(hashlib, hash_name)

    def hash(self, data: bytes) -> bytes:
        """Hash ``data`` with the suite's hash function."""
        digest: bytes = self._hash(data).digest()
        return digest

    def mac(self, key: bytes, data: bytes) -> bytes:
        """Compute the suite's HMAC."""
        return hmac.digest(key, data, self.hash_name)

    def extract(self, salt: bytes, ikm: bytes) -> bytes:
        """KDF.Extract."""
        return hmac.digest(salt, ikm, self.hash_name)

    def expand(self, secret: bytes, info: bytes, length: int) -> bytes:
        """KDF.Expand."""
        if length <= self.hash_size:
            return hmac.digest(secret, info + b"\x01", self.hash_name)[:length]
        blocks, block = b"", b""
        count = 0
        while len(blocks) < length:
            count += 1
            block = hmac.digest(secret, block + info + count.to_bytes(1, "big"), self.hash_name)
            blocks += block
        return blocks[:length]

    def expand_with_label(self, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        """ExpandWithLabel of RFC 9420 §8."""
        return self.expand(secret, u16(length) + _label(label) + vec(context), length)

    def derive_secret(self, secret: bytes, label: bytes) -> bytes:
        """DeriveSecret of RFC 9420 §8."""
        return self.expand(secret, u16(self.hash_size) + _label(label) + b"\x00", self.hash_size)

    def derive_tree_secret(self, secret: bytes, label: bytes, generation: int, length: int) -> bytes:
        """DeriveTreeSecret of RFC 9420 §9.1."""
        return self.expand_with_label(secret, label, u32(generation), length)

    def ref_hash(self, label: bytes, value: bytes) -> bytes:
        """RefHash of RFC 9420 §5.2; the label is given in full."""
        return self.hash(vec(label) + vec(value))

    def key_package_ref(self, encoded: bytes) -> bytes:
        """Name an encoded KeyPackage."""
        return self.ref_hash(b"MLS 1.0 KeyPackage Reference", encoded)

    def proposal_ref(self, authenticated: bytes) -> bytes:
        """Name the encoded AuthenticatedContent of a proposal."""
        return self.ref_hash(b"MLS 1.0 Proposal Reference", authenticated)

    def sign(self, key: SigningKey, label: bytes, content: bytes) -> bytes:
        """SignWithLabel."""
        return key.sign(_label(label) + vec(content))

    def verify(self, key: VerifyingKey, label: bytes, content: bytes, signature: bytes, what: str) -> None:
        """VerifyWithLabel; ``what`` names the signed thing in the error."""
        if not signature:
            raise SignatureError(f"{what} is not signed")
        try:
            key.verify(signature, _label(label) + vec(content))
        except InvalidSignature:
            raise SignatureError(f"the signature of {what} does not verify") from None

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """AEAD encryption."""
        return self.aead(key).encrypt(nonce, plaintext, aad)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """AEAD decryption."""
        try:
            return self.aead(key).decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise DecryptionError("a ciphertext does not open") from None

    def encrypt_with_label(
        self, key: HpkePublic, label: bytes, context: bytes, plaintext: bytes
    ) -> tuple[bytes, bytes]:
        """EncryptWithLabel of RFC 9420 §5.1.3: (KEM output, ciphertext)."""
        sealed = self._hpke.encrypt(plaintext, key, _label(label) + vec(context))
        return sealed[: self.kem.encapsulated], sealed[self.kem.encapsulated :]

    def decrypt_with_label(
        self, key: HpkePrivate, label: bytes, context: bytes, kem_output: bytes, ciphertext: bytes
    ) -> bytes:
        """DecryptWithLabel of RFC 9420 §5.1.3."""
        if len(kem_output) != self.kem.encapsulated:
            raise DecryptionError(f"an encapsulated key of {len(kem_output)} bytes")
        try:
            return self._hpke.decrypt(kem_output + ciphertext, key, _label(label) + vec(context))
        except (InvalidTag, ValueError):
            raise DecryptionError("an HPKE ciphertext does not open") from None

    def export_secret(self, shared: bytes, exporter_context: bytes, length: int) -> bytes:
        """HPKE's exporter interface (RFC 9180 §5.3) in base mode with an empty info."""
        psk_id_hash = self._labeled_extract(b"", b"psk_id_hash", b"")
        info_hash = self._labeled_extract(b"", b"info_hash", b"")
        context = b"\x00" + psk_id_hash + info_hash
        secret = self._labeled_extract(shared, b"secret", b"")
        exporter = self._labeled_expand(secret, b"exp", context, self.hash_size)
        return self._labeled_expand(exporter, b"sec", exporter_context, length)

    def _labeled_extract(self, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return self.extract(salt, b"HPKE-v1" + self._hpke_id + label + ikm)

    def _labeled_expand(self, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return self.expand(prk, u16(length) + b"HPKE-v1" + self._hpke_id + label + info, length)


_KDFS = {"sha256": hpke.KDF.HKDF_SHA256, "sha384": hpke.KDF.HKDF_SHA384, "sha512": hpke.KDF.HKDF_SHA512}
_AEADS: dict[tuple[type[AESGCM | ChaCha20Poly1305], int], hpke.AEAD] = {
    (AESGCM, 16): hpke.AEAD.AES_128_GCM,
    (AESGCM, 32): hpke.AEAD.AES_256_GCM,
    (ChaCha20Poly1305, 32): hpke.AEAD.CHACHA20_POLY1305,
}

SUITES: dict[int, CipherSuite] = {
    suite.id: suite
    for suite in (
        CipherSuite(1, "sha256", Dhkem.X25519, AESGCM, 16, Scheme.ED25519),
        CipherSuite(2, "sha256", Dhkem.P256, AESGCM, 16, Scheme.P256),
        CipherSuite(3, "sha256", Dhkem.X25519, ChaCha20Poly1305, 32, Scheme.ED25519),
        CipherSuite(5, "sha512", Dhkem.P521, AESGCM, 32, Scheme.P521),
        CipherSuite(7, "sha384", Dhkem.P384, AESGCM, 32, Scheme.P384),
    )
}
"""The suites we speak; 4 and 6 need X448, which the primitives' HPKE does not carry."""


def suite_of(suite_id: int) -> CipherSuite:
    """Return the cipher suite with this IANA number, or refuse one that we do not speak."""
    try:
        return SUITES[suite_id]
    except KeyError:
        raise UnsupportedError(f"cipher suite {suite_id} is not supported") from None
