"""Signature schemes of the cipher suites: Ed25519 and ECDSA over the NIST curves (RFC 9420 §5.1.2).

Loading a key costs as much as using it, so keys are objects that their owners keep.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.mls.errors import DecodeError, InputError


class SigningKey(Protocol):
    """A private signature key."""

    def sign(self, data: bytes) -> bytes:
        """Sign ``data``."""
        ...


class VerifyingKey(Protocol):
    """A public signature key."""

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if the signature verifies; raise ``cryptography.exceptions.InvalidSignature`` if not."""
        ...


class _EcdsaSigning:
    __slots__ = ("_algorithm", "_key")

    def __init__(self, key: ec.EllipticCurvePrivateKey, algorithm: ec.ECDSA) -> None:
        self._key, self._algorithm = key, algorithm

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, self._algorithm)


class _EcdsaVerifying:
    __slots__ = ("_algorithm", "_key")

    def __init__(self, key: ec.EllipticCurvePublicKey, algorithm: ec.ECDSA) -> None:
        self._key, self._algorithm = key, algorithm

    def verify(self, signature: bytes, data: bytes) -> None:
        self._key.verify(signature, data, self._algorithm)


class Scheme(Enum):
    """The signature schemes; private keys travel as raw seeds or scalars, public keys as in the RFC."""

    ED25519 = "ed25519"
    P256 = "p256"
    P384 = "p384"
    P521 = "p521"

    def load_private(self, raw: bytes) -> SigningKey:
        """Load a private key: an Ed25519 seed, or a big-endian scalar."""
        try:
            if self is Scheme.ED25519:
                return Ed25519PrivateKey.from_private_bytes(raw)
            curve, algorithm = _CURVES[self]
            return _EcdsaSigning(ec.derive_private_key(int.from_bytes(raw, "big"), curve), algorithm)
        except ValueError as error:
            raise InputError(f"not a private key of {self.value}: {error}") from None

    def load_public(self, raw: bytes) -> VerifyingKey:
        """Load a public key: 32 octets, or an uncompressed point."""
        try:
            if self is Scheme.ED25519:
                return Ed25519PublicKey.from_public_bytes(raw)
            curve, algorithm = _CURVES[self]
            return _EcdsaVerifying(ec.EllipticCurvePublicKey.from_encoded_point(curve, raw), algorithm)
        except ValueError as error:
            raise DecodeError(f"not a public key of {self.value}: {error}") from None

    def public_of(self, raw: bytes) -> bytes:
        """Compute the encoded public key that belongs to a private key."""
        if self is Scheme.ED25519:
            return Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
        key = ec.derive_private_key(int.from_bytes(raw, "big"), _CURVES[self][0]).public_key()
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @property
    def seed_size(self) -> int:
        """Octets of randomness from which ``private_from`` makes a key."""
        return 32 if self is Scheme.ED25519 else _SCALARS[self] + 16

    def private_from(self, seed: bytes) -> bytes:
        """Make a private key from ``seed_size`` random octets; 16 surplus ones keep a scalar unbiased."""
        if self is Scheme.ED25519:
            return seed
        curve = _CURVES[self][0]
        scalar = int.from_bytes(seed, "big") % (curve.group_order - 1) + 1
        return scalar.to_bytes(_SCALARS[self], "big")


_CURVES: dict[Scheme, tuple[ec.EllipticCurve, ec.ECDSA]] = {
    Scheme.P256: (ec.SECP256R1(), ec.ECDSA(hashes.SHA256())),
    Scheme.P384: (ec.SECP384R1(), ec.ECDSA(hashes.SHA384())),
    Scheme.P521: (ec.SECP521R1(), ec.ECDSA(hashes.SHA512())),
}
_SCALARS = {Scheme.P256: 32, Scheme.P384: 48, Scheme.P521: 66}
