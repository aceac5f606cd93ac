"""Who we are in a group, and the key packages by which others can add us (RFC 9420 §5.3 and §10)."""

from __future__ import annotations

from collections.abc import Sequence

from protocol.grant import SignedGrant
from protocol.leg import LegClass
from protocol.mls.codec import Reader, decode, u8, u16, vec, vec_of
from protocol.mls.errors import DecodeError, InputError, StateError
from protocol.mls.extensions import Component, Extension, Extensions, ExtensionType, dictionary_of, encode_dictionary
from protocol.mls.leaf import (
    MAX_LIFETIME,
    Capabilities,
    Credential,
    CredentialType,
    KeyPackage,
    LeafContent,
    LeafNode,
    LeafSource,
    Lifetime,
)
from protocol.mls.leafext import Leg, grant_extension, grant_of, leg_of
from protocol.mls.messages import encode_message, key_package_of
from protocol.mls.proposals import ProposalType
from protocol.mls.signing import SigningKey
from protocol.mls.suites import MLS10, SUITES, CipherSuite, Random, suite_of

_VERSION = 1

OUR_EXTENSIONS = (ExtensionType.APP_DATA_DICTIONARY, ExtensionType.LEG, ExtensionType.GRANT)
OUR_PROPOSALS = (ProposalType.APP_DATA_UPDATE, ProposalType.SELF_REMOVE)

CAPABILITIES = Capabilities(
    versions=(MLS10,),
    suites=tuple(SUITES),
    extensions=tuple(int(kind) for kind in OUR_EXTENSIONS),
    proposals=tuple(int(kind) for kind in OUR_PROPOSALS),
    credentials=(int(CredentialType.BASIC), int(CredentialType.X509)),
)
"""What this implementation can do, as our leaves say it."""


class Identity:
    """A signature key with a credential, and what its leaves say of themselves. Immutable."""

    def __init__(
        self,
        suite: CipherSuite,
        private: bytes,
        credential: Credential,
        extensions: Extensions,
        capabilities: Capabilities = CAPABILITIES,
    ) -> None:
        """Bind a raw private signature key to a credential; ``generate`` is the usual way."""
        self.suite = suite
        self.credential = credential
        self.extensions = extensions
        self.capabilities = capabilities
        self._private = private
        self.key: SigningKey = suite.scheme.load_private(private)
        self.public = suite.scheme.public_of(private)

    @classmethod
    def generate(
        cls, uri: str, *, leg: LegClass, namespaces: Sequence[str] = (), suite: int = 1, random: Random
    ) -> Identity:
        """Draw a new signature key for the client named by ``uri``.

        ``namespaces`` are URI prefixes of those it may speak for; ``suite`` is the cipher suite's IANA number.
        Raises ``UnsupportedError`` for a suite that we do not speak, ``InputError`` for unusable namespaces.
        """
        chosen = suite_of(suite)
        private = chosen.scheme.private_from(random(chosen.scheme.seed_size))
        claim = Leg.make(leg, namespaces)
        return cls(chosen, private, Credential(CredentialType.BASIC, uri.encode()), (claim.extension(),))

    @property
    def uri(self) -> str:
        """The name in the credential."""
        return self.credential.data.decode()

    @property
    def leg(self) -> Leg:
        """The claim that our leaves carry."""
        return leg_of(self.extensions)

    @property
    def grant(self) -> SignedGrant | None:
        """The grant that our leaves carry. Raises ``UngrantedError`` for one that does not parse."""
        return grant_of(self.extensions)

    def saying(self, leg: LegClass, namespaces: Sequence[str], grant: SignedGrant | None) -> Identity:
        """Return the same client, key and credential kept, whose leaves say this of themselves from now on.

        A group takes it over by its next commit with a path (``Group.identify``). Raises ``InputError`` for unusable
        namespaces.
        """
        extensions: Extensions = (Leg.make(leg, namespaces).extension(),)
        if grant is not None:
            extensions += (grant_extension(grant),)
        return Identity(self.suite, self._private, self.credential, extensions)

    def to_bytes(self) -> bytes:
        """Encode for storage, private key included."""
        head = u8(_VERSION) + u16(self.suite.id) + vec(self._private) + self.credential.encode()
        return head + vec_of(extension.encode() for extension in self.extensions) + self.capabilities.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Identity:
        """Decode what ``to_bytes`` gave; raises ``StateError`` if it is something else."""
        try:
            return decode(data, cls._read)
        except DecodeError as error:
            raise StateError(f"not a stored identity: {error}") from None

    @classmethod
    def _read(cls, reader: Reader) -> Identity:
        version = reader.u8()
        if version != _VERSION:
            raise StateError(f"a stored identity of version {version}")
        suite, private, credential = suite_of(reader.u16()), reader.vec(), Credential.read(reader)
        extensions = reader.items(Extension.read)
        return cls(suite, private, credential, extensions, Capabilities.read(reader))

    def leaf(
        self,
        encryption_key: bytes,
        source: LeafSource,
        *,
        binding: tuple[bytes, int] | None = None,
        lifetime: Lifetime | None = None,
        parent_hash: bytes = b"",
    ) -> LeafNode:
        """Sign a leaf of ours."""
        content = LeafContent(
            encryption_key,
            self.public,
            self.credential,
            self.capabilities,
            source,
            lifetime,
            parent_hash,
            self.extensions,
        )
        return LeafNode.signed(self.suite, self.key, content, binding)


class KeyPackageBundle:
    """A key package and its private keys; keep it sealed, delete it when a Welcome has used it."""

    def __init__(self, package: KeyPackage, init_private: bytes, leaf_private: bytes) -> None:
        """Hold a key package with the private keys that belong to it."""
        self.package = package
        self.init_private = init_private
        self.leaf_private = leaf_private
        self.message = encode_message(package)
        self.ref = package.ref(suite_of(package.suite_id))

    @classmethod
    def generate(
        cls,
        identity: Identity,
        *,
        now: int,
        random: Random,
        lifetime: int = 90 * 86400,
        last_resort: bool = False,
    ) -> KeyPackageBundle:
        """Make a key package valid from an hour ago for ``lifetime`` seconds.

        A ``last_resort`` package says so of itself: whoever hands packages out may hand it out again.
        """
        if not 0 < lifetime <= MAX_LIFETIME:
            raise InputError(f"a lifetime of {lifetime} seconds; {MAX_LIFETIME} is the longest")
        suite = identity.suite
        init_private, init_public = suite.kem.derive(random(suite.hash_size))
        leaf_private, leaf_public = suite.kem.derive(random(suite.hash_size))
        valid = Lifetime(max(now - 3600, 0), now + lifetime)
        leaf = identity.leaf(leaf_public, LeafSource.KEY_PACKAGE, lifetime=valid)
        extensions: Extensions = ()
        if last_resort:
            mark = encode_dictionary({Component.LAST_RESORT_KEY_PACKAGE: b""})
            extensions = (Extension(ExtensionType.APP_DATA_DICTIONARY, mark),)
        package = KeyPackage.signed(suite, identity.key, init_public, leaf, extensions)
        return cls(package, init_private, leaf_private)

    def to_bytes(self) -> bytes:
        """Encode for storage, private keys included."""
        return u8(_VERSION) + vec(self.message) + vec(self.init_private) + vec(self.leaf_private)

    @classmethod
    def from_bytes(cls, data: bytes) -> KeyPackageBundle:
        """Decode what ``to_bytes`` gave; raises ``StateError`` if it is something else."""
        try:
            return decode(data, cls._read)
        except DecodeError as error:
            raise StateError(f"not a stored key package: {error}") from None

    @classmethod
    def _read(cls, reader: Reader) -> KeyPackageBundle:
        version = reader.u8()
        if version != _VERSION:
            raise StateError(f"a stored key package of version {version}")
        return cls(key_package_of(reader.vec()), reader.vec(), reader.vec())


def is_last_resort(package: KeyPackage) -> bool:
    """Say whether a key package says of itself that it may be handed out more than once."""
    return Component.LAST_RESORT_KEY_PACKAGE in dictionary_of(package.extensions)
