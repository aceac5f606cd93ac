"""The key schedule of one epoch (RFC 9420 §8)."""

from __future__ import annotations

from msgspec import Struct

from protocol.mls.codec import Reader, vec
from protocol.mls.suites import CipherSuite


class EpochSecrets(Struct, frozen=True):
    """The secrets of one epoch, without the secret tree's root, which is spent at once."""

    sender_data: bytes
    exporter: bytes
    external: bytes
    confirmation: bytes
    membership: bytes
    resumption: bytes
    authenticator: bytes
    init: bytes

    def encode(self) -> bytes:
        """Encode them for storage."""
        return b"".join(vec(getattr(self, name)) for name in self.__struct_fields__)

    @classmethod
    def read(cls, reader: Reader) -> EpochSecrets:
        """Read them from storage."""
        return cls(*(reader.vec() for _ in cls.__struct_fields__))


class Schedule(Struct, frozen=True):
    """What one run of the key schedule yields: the epoch's secrets, and two that are used once and dropped."""

    secrets: EpochSecrets
    encryption: bytes
    welcome: bytes


def joiner_secret(suite: CipherSuite, init: bytes, commit: bytes, context: bytes) -> bytes:
    """Derive the joiner secret from the last epoch's init secret and the commit secret."""
    extracted = suite.extract(init, commit)
    return suite.expand_with_label(extracted, b"joiner", context, suite.hash_size)


def run(suite: CipherSuite, joiner: bytes, psk_secret: bytes, context: bytes) -> Schedule:
    """Derive an epoch's secrets from its joiner secret."""
    intermediate = suite.extract(joiner, psk_secret)
    epoch = suite.expand_with_label(intermediate, b"epoch", context, suite.hash_size)
    return from_epoch(suite, epoch, suite.derive_secret(intermediate, b"welcome"))


def from_epoch(suite: CipherSuite, epoch: bytes, welcome: bytes = b"") -> Schedule:
    """Derive an epoch's secrets from its epoch secret, as a group's first epoch does."""

    def derive(label: bytes) -> bytes:
        return suite.derive_secret(epoch, label)

    secrets = EpochSecrets(
        sender_data=derive(b"sender data"),
        exporter=derive(b"exporter"),
        external=derive(b"external"),
        confirmation=derive(b"confirm"),
        membership=derive(b"membership"),
        resumption=derive(b"resumption"),
        authenticator=derive(b"authentication"),
        init=derive(b"init"),
    )
    return Schedule(secrets, derive(b"encryption"), welcome)


def welcome_key(suite: CipherSuite, welcome: bytes) -> tuple[bytes, bytes]:
    """Derive the key and nonce under which a Welcome's GroupInfo is sealed."""
    key = suite.expand_with_label(welcome, b"key", b"", suite.key_size)
    return key, suite.expand_with_label(welcome, b"nonce", b"", suite.nonce_size)


def export(suite: CipherSuite, exporter: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """MLS-Exporter of RFC 9420 §8.5."""
    secret = suite.derive_secret(exporter, label)
    return suite.expand_with_label(secret, b"exported", suite.hash(context), length)


def confirmed_hash(suite: CipherSuite, interim: bytes, commit_input: bytes) -> bytes:
    """Extend the transcript by a commit (RFC 9420 §8.2); the input is wire format, content and signature."""
    return suite.hash(interim + commit_input)


def interim_hash(suite: CipherSuite, confirmed: bytes, tag: bytes) -> bytes:
    """Close the transcript of an epoch with its confirmation tag."""
    return suite.hash(confirmed + vec(tag))
