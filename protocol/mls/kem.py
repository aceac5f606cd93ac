"""DHKEM (RFC 9180 §4.1): keys, DeriveKeyPair, and the encapsulation that ExternalInit needs.

Sealing to a key goes through the primitives' own HPKE; what it lacks, deriving a key pair from a secret and the
bare shared secret for the exporter, is here.
"""

from __future__ import annotations

import hmac
from enum import Enum
from typing import TypeAlias

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.mls.codec import u16
from protocol.mls.errors import DecodeError, InputError

HpkePrivate: TypeAlias = X25519PrivateKey | ec.EllipticCurvePrivateKey
HpkePublic: TypeAlias = X25519PublicKey | ec.EllipticCurvePublicKey


class Dhkem(Enum):
    """The KEMs of the cipher suites, by their IANA numbers."""

    P256 = 0x0010
    P384 = 0x0011
    P521 = 0x0012
    X25519 = 0x0020

    @property
    def kem_id(self) -> int:
        """The IANA number."""
        return self.value

    @property
    def kem(self) -> hpke.KEM:
        """The KEM as the primitives' HPKE names it."""
        return _HPKE[self]

    @property
    def encapsulated(self) -> int:
        """Octets of an encapsulated key, which is also a public key's size."""
        return _PUBLIC_SIZES[self]

    @property
    def private_size(self) -> int:
        """Octets of a private key."""
        return _PRIVATE_SIZES[self]

    def load_private(self, raw: bytes) -> HpkePrivate:
        """Load a private key: X25519's octets, or a big-endian scalar."""
        try:
            if self is Dhkem.X25519:
                return X25519PrivateKey.from_private_bytes(raw)
            return ec.derive_private_key(int.from_bytes(raw, "big"), _CURVES[self])
        except ValueError as error:
            raise InputError(f"not a private key of {self.name}: {error}") from None

    def load_public(self, raw: bytes) -> HpkePublic:
        """Load a public key: X25519's octets, or an uncompressed point on the curve.

        X25519's points of small order are refused: nothing can be sealed to them, so a member with such a key
        would stop all others from committing.
        """
        try:
            if self is Dhkem.X25519:
                if int.from_bytes(raw, "little") & _X25519_MASK in _SMALL_ORDER:
                    raise DecodeError("an X25519 public key of small order")
                return X25519PublicKey.from_public_bytes(raw)
            return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[self], raw)
        except ValueError as error:
            raise DecodeError(f"not a public key of {self.name}: {error}") from None

    def public_of(self, private: HpkePrivate) -> bytes:
        """Encode the public key that belongs to a private one."""
        public = private.public_key()
        if isinstance(public, X25519PublicKey):
            return public.public_bytes_raw()
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def derive(self, secret: bytes) -> tuple[bytes, bytes]:
        """DeriveKeyPair: (private, public), both encoded."""
        prk = self._extract(b"", b"dkp_prk", secret)
        if self is Dhkem.X25519:
            raw = self._expand(prk, b"sk", b"", 32)
            return raw, self.public_of(X25519PrivateKey.from_private_bytes(raw))
        curve = _CURVES[self]
        for counter in range(256):
            candidate = bytearray(self._expand(prk, b"candidate", bytes((counter,)), _PRIVATE_SIZES[self]))
            candidate[0] &= 0x01 if self is Dhkem.P521 else 0xFF
            scalar = int.from_bytes(candidate, "big")
            if 0 < scalar < curve.group_order:
                raw = bytes(candidate)
                return raw, self.public_of(ec.derive_private_key(scalar, curve))
        raise InputError("no key pair can be derived from this secret")  # pragma: no cover, 2**-8192

    def encapsulate(self, public: bytes, seed: bytes) -> tuple[bytes, bytes]:
        """Encapsulate to a public key with an ephemeral key derived from ``seed``: (shared secret, output)."""
        raw, ephemeral = self.derive(seed)
        dh = self._exchange(self.load_private(raw), self.load_public(public))
        return self._shared(dh, ephemeral + public), ephemeral

    def decapsulate(self, private: bytes, output: bytes) -> bytes:
        """Return the shared secret of an encapsulation to our key."""
        key = self.load_private(private)
        dh = self._exchange(key, self.load_public(output))
        return self._shared(dh, output + self.public_of(key))

    def _exchange(self, private: HpkePrivate, public: HpkePublic) -> bytes:
        if isinstance(private, X25519PrivateKey) and isinstance(public, X25519PublicKey):
            return private.exchange(public)
        assert isinstance(private, ec.EllipticCurvePrivateKey)  # noqa: S101 - both come from this KEM
        assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101
        return private.exchange(ec.ECDH(), public)

    def _shared(self, dh: bytes, context: bytes) -> bytes:
        prk = self._extract(b"", b"eae_prk", dh)
        return self._expand(prk, b"shared_secret", context, _SHARED_SIZES[self])

    def _extract(self, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        data = b"HPKE-v1KEM" + u16(self.value) + label + ikm
        return hmac.digest(salt, data, _HASHES[self])

    def _expand(self, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
        data = u16(length) + b"HPKE-v1KEM" + u16(self.value) + label + info
        first = hmac.digest(prk, data + b"\x01", _HASHES[self])
        if length <= len(first):
            return first[:length]
        return (first + hmac.digest(prk, first + data + b"\x02", _HASHES[self]))[:length]


_HPKE = {
    Dhkem.P256: hpke.KEM.P256,
    Dhkem.P384: hpke.KEM.P384,
    Dhkem.P521: hpke.KEM.P521,
    Dhkem.X25519: hpke.KEM.X25519,
}
_CURVES: dict[Dhkem, ec.EllipticCurve] = {
    Dhkem.P256: ec.SECP256R1(),
    Dhkem.P384: ec.SECP384R1(),
    Dhkem.P521: ec.SECP521R1(),
}
_HASHES = {Dhkem.P256: "sha256", Dhkem.P384: "sha384", Dhkem.P521: "sha512", Dhkem.X25519: "sha256"}
_SHARED_SIZES = {Dhkem.P256: 32, Dhkem.P384: 48, Dhkem.P521: 64, Dhkem.X25519: 32}
_PUBLIC_SIZES = {Dhkem.P256: 65, Dhkem.P384: 97, Dhkem.P521: 133, Dhkem.X25519: 32}
_PRIVATE_SIZES = {Dhkem.P256: 32, Dhkem.P384: 48, Dhkem.P521: 66, Dhkem.X25519: 32}

_P25519 = (1 << 255) - 19
_X25519_MASK = (1 << 255) - 1
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
        _P25519 - 1,
        _P25519,
        _P25519 + 1,
    }
)
"""The u-coordinates of small order, those that only look different modulo the prime included (RFC 7748)."""
