"""Leaves and key packages: who a member is, what its client can do, and until when (RFC 9420 §7.2, §10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from msgspec import Struct

from protocol.mls.codec import Reader, u8, u16, u32, u64, vec, vec_u16
from protocol.mls.errors import DecodeError, LifetimeError
from protocol.mls.extensions import Extensions, encode_extensions, read_extensions
from protocol.mls.kem import HpkePublic
from protocol.mls.signing import SigningKey, VerifyingKey
from protocol.mls.suites import CipherSuite


class CredentialType(IntEnum):
    """Credential types by their IANA numbers."""

    BASIC = 1
    X509 = 2


class Credential(Struct, frozen=True):
    """A credential. Every registered type is one vector after its number, so unknown ones can be carried."""

    type: int
    data: bytes

    def encode(self) -> bytes:
        """Encode it."""
        return u16(self.type) + vec(self.data)

    @classmethod
    def read(cls, reader: Reader) -> Credential:
        """Read one."""
        return cls(reader.u16(), reader.vec())


class Capabilities(Struct, frozen=True):
    """The versions, suites, extensions, proposals and credentials that a client supports."""

    versions: tuple[int, ...]
    suites: tuple[int, ...]
    extensions: tuple[int, ...]
    proposals: tuple[int, ...]
    credentials: tuple[int, ...]

    def encode(self) -> bytes:
        """Encode them."""
        lists = (self.versions, self.suites, self.extensions, self.proposals, self.credentials)
        return b"".join(map(vec_u16, lists))

    @classmethod
    def read(cls, reader: Reader) -> Capabilities:
        """Read them."""
        return cls(reader.u16s(), reader.u16s(), reader.u16s(), reader.u16s(), reader.u16s())


MAX_LIFETIME = 86400 * 400
"""The longest lifetime, in seconds, that we give a key package."""


class Lifetime(Struct, frozen=True):
    """From when until when a key package may be used, in seconds since 1970."""

    not_before: int
    not_after: int

    def check(self, now: int) -> None:
        """Refuse a moment outside the lifetime."""
        if not self.not_before <= now <= self.not_after:
            raise LifetimeError(f"valid from {self.not_before} to {self.not_after}, and it is {now}")


class LeafSource(IntEnum):
    """What a leaf node was made for."""

    KEY_PACKAGE = 1
    UPDATE = 2
    COMMIT = 3


class LeafContent(Struct, frozen=True):
    """What a leaf says before it is signed."""

    encryption_key: bytes
    signature_key: bytes
    credential: Credential
    capabilities: Capabilities
    source: LeafSource
    lifetime: Lifetime | None
    parent_hash: bytes
    extensions: Extensions

    def encode(self) -> bytes:
        """Encode everything up to the signature."""
        tail = b""
        if self.lifetime is not None:
            tail = u64(self.lifetime.not_before) + u64(self.lifetime.not_after)
        elif self.source == LeafSource.COMMIT:
            tail = vec(self.parent_hash)
        return b"".join(
            (
                vec(self.encryption_key),
                vec(self.signature_key),
                self.credential.encode(),
                self.capabilities.encode(),
                u8(self.source),
                tail,
                encode_extensions(self.extensions),
            )
        )

    @classmethod
    def read(cls, reader: Reader) -> LeafContent:
        """Read everything up to the signature."""
        encryption_key, signature_key = reader.vec(), reader.vec()
        credential, capabilities = Credential.read(reader), Capabilities.read(reader)
        number = reader.u8()
        if not 1 <= number <= 3:
            raise DecodeError(f"leaf node source {number} does not exist")
        source = LeafSource(number)
        lifetime, parent_hash = None, b""
        if source == LeafSource.KEY_PACKAGE:
            lifetime = Lifetime(reader.u64(), reader.u64())
        elif source == LeafSource.COMMIT:
            parent_hash = reader.vec()
        extensions = read_extensions(reader)
        return cls(
            encryption_key,
            signature_key,
            credential,
            capabilities,
            source,
            lifetime,
            parent_hash,
            extensions,
        )


@dataclass(slots=True, eq=False)
class LeafNode:
    """A signed leaf. It is never changed; the two fields at the end only remember loaded key objects."""

    content: LeafContent
    signature: bytes
    body: bytes
    encoded: bytes
    _verifier: VerifyingKey | None = field(default=None, repr=False)
    _public: HpkePublic | None = field(default=None, repr=False)

    @classmethod
    def read(cls, reader: Reader) -> LeafNode:
        """Read one and keep its exact bytes."""
        start = reader.pos
        content = LeafContent.read(reader)
        body = reader.data[start : reader.pos]
        signature = reader.vec()
        return cls(content, signature, body, reader.data[start : reader.pos])

    @classmethod
    def signed(
        cls, suite: CipherSuite, key: SigningKey, content: LeafContent, binding: tuple[bytes, int] | None = None
    ) -> LeafNode:
        """Sign a leaf; ``binding`` is (group id, leaf index) unless it is for a key package."""
        body = content.encode()
        signature = suite.sign(key, b"LeafNodeTBS", _tbs(body, content.source, binding))
        return cls(content, signature, body, body + vec(signature))

    def verify(self, suite: CipherSuite, binding: tuple[bytes, int] | None = None) -> None:
        """Check the leaf's own signature."""
        tbs = _tbs(self.body, self.content.source, binding)
        suite.verify(self.verifier(suite), b"LeafNodeTBS", tbs, self.signature, "a leaf node")

    def verifier(self, suite: CipherSuite) -> VerifyingKey:
        """Return the loaded signature key."""
        if self._verifier is None:
            self._verifier = suite.scheme.load_public(self.content.signature_key)
        return self._verifier

    def public(self, suite: CipherSuite) -> HpkePublic:
        """Return the loaded encryption key."""
        if self._public is None:
            self._public = suite.kem.load_public(self.content.encryption_key)
        return self._public

    @property
    def encryption_key(self) -> bytes:
        """The encoded HPKE key."""
        return self.content.encryption_key

    def encode(self) -> bytes:
        """Return the exact bytes."""
        return self.encoded


def _tbs(body: bytes, source: LeafSource, binding: tuple[bytes, int] | None) -> bytes:
    if source == LeafSource.KEY_PACKAGE or binding is None:
        return body
    group_id, leaf = binding
    return body + vec(group_id) + u32(leaf)


@dataclass(slots=True, eq=False)
class KeyPackage:
    """What a client publishes so that others can add it to groups."""

    version: int
    suite_id: int
    init_key: bytes
    leaf: LeafNode
    extensions: Extensions
    signature: bytes
    body: bytes
    encoded: bytes

    @classmethod
    def read(cls, reader: Reader) -> KeyPackage:
        """Read one and keep its exact bytes."""
        start = reader.pos
        version, suite_id, init_key = reader.u16(), reader.u16(), reader.vec()
        leaf, extensions = LeafNode.read(reader), read_extensions(reader)
        body = reader.data[start : reader.pos]
        signature = reader.vec()
        encoded = reader.data[start : reader.pos]
        return cls(version, suite_id, init_key, leaf, extensions, signature, body, encoded)

    @classmethod
    def signed(
        cls, suite: CipherSuite, key: SigningKey, init_key: bytes, leaf: LeafNode, extensions: Extensions
    ) -> KeyPackage:
        """Sign a key package for protocol version mls10."""
        head = u16(1) + u16(suite.id) + vec(init_key) + leaf.encoded
        body = head + encode_extensions(extensions)
        signature = suite.sign(key, b"KeyPackageTBS", body)
        return cls(1, suite.id, init_key, leaf, extensions, signature, body, body + vec(signature))

    def verify(self, suite: CipherSuite) -> None:
        """Check the key package's signature (the leaf's own is checked with the leaf)."""
        key = self.leaf.verifier(suite)
        suite.verify(key, b"KeyPackageTBS", self.body, self.signature, "a key package")

    def encode(self) -> bytes:
        """Return the exact bytes."""
        return self.encoded

    def ref(self, suite: CipherSuite) -> bytes:
        """Return the KeyPackageRef."""
        return suite.key_package_ref(self.encoded)
