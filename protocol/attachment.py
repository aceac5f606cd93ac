"""Attachments: files encrypted with AES-128-GCM, in constant memory, that show nothing until all of it is proven.

An attachment is stored as its ciphertext followed by the 16 octets of the tag (RFC 5116). What a receiver needs
travels in an ``ExternalPart`` inside the encrypted message: key, nonce, and a hash. MIMI content defines
``contentHash`` as the hash of the content *at the target url*: it covers the ciphertext and its tag, as stored.
``size`` is the size of the plaintext, the one that people and networks' limits mean.

Sealing is one pass. Opening is two over a stored copy, because GCM can only be trusted once its tag has been checked::

    sealer = Sealer.generate(os.urandom)             opener = Opener(part)
    for chunk in plaintext:                          for chunk in download:
        store(sealer.update(chunk))                      opener.examine(chunk); spool.write(chunk)
    store(sealer.finish())                           opener.proven()           # raises, or all of it is genuine
    part = sealer.part("image/png", url)             for chunk in spool:
                                                         show(opener.open(chunk))
                                                     opener.finish()
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from hashlib import sha256, sha384, sha512
from hmac import compare_digest
from typing import Any, ClassVar, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from protocol.content import Disposition, ExternalPart
from protocol.errors import ProtocolError

AES_128_GCM: Final = 1
"""The AEAD that MIMI content requires, by its IANA number."""
SHA_256: Final = 1
"""The hash that we use, by its number in the IANA registry of named information hashes."""
KEY_OCTETS: Final = 16
NONCE_OCTETS: Final = 12
TAG_OCTETS: Final = 16
CHUNK_OCTETS: Final = 1 << 16
MAX_OCTETS: Final = 2 << 30
"""The largest plaintext that is sealed or opened: 2 GiB (the AEAD itself would bear 64)."""

_HASHES: Final[dict[int, Any]] = {SHA_256: sha256, 7: sha384, 8: sha512}


class AttachmentError(ProtocolError):
    """An attachment that cannot be sealed or opened."""

    code: ClassVar[str] = "attachment"


class UnknownAlgorithm(AttachmentError):
    """An encryption or a hash that we do not have, or a key or nonce of the wrong length."""

    code: ClassVar[str] = "attachment-algorithm"


class TooLarge(AttachmentError):
    """More octets than are allowed, or than the message announced."""

    code: ClassVar[str] = "attachment-size"


class Altered(AttachmentError):
    """What was fetched is not what was sent: truncated, swapped or replaced."""

    code: ClassVar[str] = "attachment-altered"


class WrongKey(AttachmentError):
    """The key, nonce or additional data do not open what was fetched."""

    code: ClassVar[str] = "attachment-key"


class NotProven(AttachmentError):
    """A caller asked for plaintext before, or after, the time for it: a defect of the caller."""

    code: ClassVar[str] = "attachment-not-proven"


class Sealer:
    """Encrypts one attachment. A key and nonce must never be used for a second one: use ``generate``."""

    def __init__(self, key: bytes, nonce: bytes, aad: bytes = b"", *, limit: int = MAX_OCTETS) -> None:
        self._encryptor = _cipher(key, nonce).encryptor()
        self._encryptor.authenticate_additional_data(aad)
        self._hash = sha256()
        self._secrets = key, nonce, aad
        self._limit = limit
        self._finished = False
        self.size = 0
        """How many octets of plaintext there were so far."""

    @classmethod
    def generate(cls, random: Callable[[int], bytes], *, limit: int = MAX_OCTETS) -> Sealer:
        """Return a sealer with a fresh key and nonce."""
        return cls(random(KEY_OCTETS), random(NONCE_OCTETS), limit=limit)

    def update(self, chunk: bytes) -> bytes:
        """Return the ciphertext of the next octets, ready to be stored. Raises ``TooLarge``."""
        if self._finished:
            raise NotProven("the attachment is sealed already")
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge(f"an attachment of more than {self._limit} octets")
        sealed = self._encryptor.update(chunk)
        self._hash.update(sealed)
        return sealed

    def finish(self) -> bytes:
        """Return what must be stored last: the rest of the ciphertext and the tag."""
        if self._finished:
            raise NotProven("the attachment is sealed already")
        self._finished = True
        last = self._encryptor.finalize() + self._encryptor.tag
        self._hash.update(last)
        return last

    @property
    def content_hash(self) -> bytes:
        """The SHA-256 of everything that was stored."""
        if not self._finished:
            raise NotProven("the attachment is not sealed yet")
        return self._hash.digest()

    def part(
        self,
        content_type: str,
        url: str,
        *,
        expires: int = 0,
        description: str = "",
        filename: str = "",
        disposition: int = Disposition.ATTACHMENT,
        language: str = "",
    ) -> ExternalPart:
        """Return the part that tells a receiver where the attachment is and how to open it."""
        key, nonce, aad = self._secrets
        return ExternalPart(
            content_type,
            url,
            expires,
            self.size,
            AES_128_GCM,
            key,
            nonce,
            aad,
            SHA_256,
            self.content_hash,
            description,
            filename,
            disposition=disposition,
            language=language,
        )


class Opener:
    """Opens what ``part`` describes, encrypted or not: ``examine`` it all, ``proven``, ``open`` it all, ``finish``.

    ``limit`` bounds the plaintext. A size that the message announced must be the one that is found: of the plaintext,
    or, as some may read the draft, of what is stored. Without encryption and hash nothing else is proven. Raises
    ``UnknownAlgorithm`` or ``TooLarge`` at once when fetching would be in vain.
    """

    def __init__(self, part: ExternalPart, *, limit: int = MAX_OCTETS) -> None:
        if part.hash_alg and part.hash_alg not in _HASHES:
            raise UnknownAlgorithm(f"hash algorithm {part.hash_alg}")
        if part.size > limit:
            raise TooLarge(f"an attachment of {part.size} octets; {limit} are allowed")
        self._part = part
        self._hash = _HASHES[part.hash_alg]() if part.hash_alg else None
        self._limit = (part.size or limit) + TAG_OCTETS * bool(part.enc_alg)
        self._trial = _decryption(part)
        self._decryption: _Decryption | None = None
        self.fetched = 0
        """How many octets were examined so far."""

    def examine(self, chunk: bytes) -> None:
        """Take the next octets that were fetched, on the first pass. Raises ``TooLarge`` once they are too many."""
        self.fetched += len(chunk)
        if self.fetched > self._limit:
            raise TooLarge(f"an attachment of more than {self._limit} octets as stored")
        if self._hash:
            self._hash.update(chunk)
        self._trial.update(chunk)

    def proven(self) -> None:
        """End the first pass: raise ``Altered`` or ``WrongKey`` unless everything is as it was sent."""
        if self._hash and not compare_digest(self._hash.digest(), self._part.content_hash):
            raise Altered("the hash of what was fetched is not the one that was sent")
        size = self._part.size
        if size and self.fetched not in {size, self._limit}:
            raise Altered(f"{self.fetched} octets were fetched where {size} were announced")
        self._trial.finish()
        self._decryption = _decryption(self._part)

    def open(self, chunk: bytes) -> bytes:
        """Return plaintext of the next stored octets, on the second pass."""
        if self._decryption is None:
            raise NotProven("the attachment has not been proven genuine")
        return self._decryption.update(chunk)

    def finish(self) -> None:
        """End the second pass: raise ``Altered`` or ``WrongKey`` if the stored copy was not the one examined."""
        if self._decryption is None:
            raise NotProven("the attachment has not been proven genuine")
        self._decryption.finish()


class _Decryption(Protocol):
    def update(self, chunk: bytes) -> bytes: ...

    def finish(self) -> None: ...


class _Plain:
    """No encryption: what is stored is what is shown."""

    def update(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self) -> None:
        """Nothing is left to check."""


class _Gcm:
    """Decrypts a stream that ends with its tag: it always holds back the last octets, which may be the tag."""

    def __init__(self, part: ExternalPart) -> None:
        self._decryptor = _cipher(part.key, part.nonce).decryptor()
        self._decryptor.authenticate_additional_data(part.aad)
        self._held = b""

    def update(self, chunk: bytes) -> bytes:
        if len(chunk) >= TAG_OCTETS:
            head, body = self._held, chunk[:-TAG_OCTETS]
            self._held = chunk[-TAG_OCTETS:]
            return self._decryptor.update(head) + self._decryptor.update(body)
        held = self._held + chunk
        self._held = held[-TAG_OCTETS:]
        return self._decryptor.update(held[:-TAG_OCTETS])

    def finish(self) -> None:
        if len(self._held) < TAG_OCTETS:
            raise Altered("what was fetched is too short to hold a tag")
        try:
            self._decryptor.finalize_with_tag(self._held)
        except InvalidTag:
            raise WrongKey("the key, nonce or additional data do not open what was fetched") from None


def _decryption(part: ExternalPart) -> _Decryption:
    if not part.enc_alg:
        return _Plain()
    if part.enc_alg != AES_128_GCM:
        raise UnknownAlgorithm(f"encryption algorithm {part.enc_alg}")
    return _Gcm(part)


def _cipher(key: bytes, nonce: bytes) -> Cipher[GCM]:
    if len(key) != KEY_OCTETS or len(nonce) != NONCE_OCTETS:
        raise UnknownAlgorithm(f"AES-128-GCM with a key of {len(key)} and a nonce of {len(nonce)} octets")
    return Cipher(AES(key), GCM(nonce))


# --- whole streams ----------------------------------------------------------------------------------------------------


class Spool(Protocol):
    """Where a caller lets an attachment lie between two passes: a ``tempfile.SpooledTemporaryFile`` will do."""

    def write(self, data: bytes, /) -> object:
        """Append ``data``."""

    def read(self, size: int, /) -> bytes:
        """Return the next octets, at most ``size``; none at the end."""

    def seek(self, offset: int, /) -> object:
        """Go to ``offset``."""


async def seal(chunks: AsyncIterable[bytes], spool: Spool, sealer: Sealer) -> None:
    """Write the sealed form of a whole stream to ``spool``; ``sealer.part`` then describes it."""
    async for chunk in chunks:
        spool.write(sealer.update(chunk))
    spool.write(sealer.finish())


async def unseal(chunks: AsyncIterable[bytes], spool: Spool, opener: Opener) -> AsyncIterator[bytes]:
    """Yield the plaintext of a whole stream, none of it before all of it, kept in ``spool``, is proven genuine."""
    async for chunk in chunks:
        opener.examine(chunk)
        spool.write(chunk)
    opener.proven()
    spool.seek(0)
    while stored := spool.read(CHUNK_OCTETS):
        if opened := opener.open(stored):
            yield opened
    opener.finish()
