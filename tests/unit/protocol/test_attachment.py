"""Attachments: sealed and opened in small pieces, and refused before anything is shown."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from hashlib import sha256, sha512
from io import BytesIO
from random import Random
from tempfile import TemporaryFile
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol import attachment
from protocol.attachment import Altered, NotProven, Opener, Sealer, TooLarge, UnknownAlgorithm, WrongKey, seal, unseal
from protocol.content import Content, ExternalPart, decode, encode

KEY, NONCE = bytes(range(16)), bytes(range(12))
URL = "https://rialto.example/proxyDownload/0"


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def sealed(plain: bytes, size: int = 7) -> tuple[bytes, ExternalPart]:
    sealer = Sealer(KEY, NONCE)
    stored = b"".join(map(sealer.update, chunked(plain, size))) + sealer.finish()
    return stored, sealer.part("image/png", URL, filename="a.png")


def opened(stored: bytes, part: ExternalPart, size: int = 7) -> bytes:
    opener = Opener(part)
    for chunk in chunked(stored, size):
        opener.examine(chunk)
    opener.proven()
    plain = b"".join(map(opener.open, chunked(stored, size)))
    opener.finish()
    return plain


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 31, 32, 33, 1000])
@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 4096])
def test_what_was_sealed_is_opened_whatever_the_pieces(length: int, size: int) -> None:
    plain = Random(length).randbytes(length)
    stored, part = sealed(plain, size)
    assert opened(stored, part, size) == plain
    assert len(stored) == length + 16


def test_the_stored_form_is_plain_aes_gcm() -> None:
    stored, part = sealed(b"hello")
    assert AESGCM(KEY).decrypt(NONCE, stored, b"") == b"hello"
    assert opened(AESGCM(KEY).encrypt(NONCE, b"hello", b""), part) == b"hello"


def test_the_part_tells_everything_but_the_file() -> None:
    stored, part = sealed(b"hello")
    assert (part.enc_alg, part.key, part.nonce, part.aad, part.hash_alg) == (1, KEY, NONCE, b"", 1)
    assert part.content_hash == sha256(stored).digest()  # of what is at the url
    assert part.size == 5  # of what people see
    assert (part.content_type, part.url, part.filename, part.disposition) == ("image/png", URL, "a.png", 6)
    assert decode(encode(Content(bytes(16), part))).part == part


def test_what_is_not_said_about_the_part_is_left_open() -> None:
    sealer = Sealer(KEY, NONCE)
    sealer.finish()
    bare = ExternalPart("a/b", URL, 0, 0, 1, KEY, NONCE, b"", 1, sealer.content_hash, disposition=6)
    assert sealer.part("a/b", URL) == bare
    with pytest.raises(TooLarge, match="more than 3 octets"):
        Sealer.generate(bytes, limit=3).update(b"four")


def test_everything_about_the_part_may_be_said() -> None:
    sealer = Sealer(KEY, NONCE, b"aad")
    sealer.finish()
    part = sealer.part("a/b", URL, expires=9, description="d", filename="f", disposition=4, language="it")
    assert part == ExternalPart(
        "a/b", URL, 9, 0, 1, KEY, NONCE, b"aad", 1, sealer.content_hash, "d", "f", disposition=4, language="it"
    )


def test_each_attachment_has_a_key_of_its_own() -> None:
    asked: list[int] = []

    def random(octets: int) -> bytes:
        asked.append(octets)
        return bytes([len(asked)]) * octets

    sealer = Sealer.generate(random)
    sealer.finish()
    part = sealer.part("a/b", URL)
    assert asked == [16, 12]
    assert (part.key, part.nonce) == (b"\x01" * 16, b"\x02" * 12)


# --- refused before anything is shown ---------------------------------------------------------------------------------


def first_pass(opener: Opener, stored: bytes) -> None:
    for chunk in chunked(stored, 7):
        opener.examine(chunk)
    opener.proven()


def refused(stored: bytes, part: ExternalPart, error: type[attachment.AttachmentError]) -> None:
    """It is refused at the end of the first pass, and even then nothing can be had."""
    opener = Opener(part)
    with pytest.raises(error) as caught:
        first_pass(opener, stored)
    assert type(caught.value) is error
    with pytest.raises(NotProven):
        opener.open(stored)
    with pytest.raises(NotProven):
        opener.finish()


def changed(part: ExternalPart, **fields: Any) -> ExternalPart:
    return msgspec.structs.replace(part, **fields)


@pytest.mark.parametrize(
    "harm",
    [
        lambda stored: b"",
        lambda stored: stored[:10],
        lambda stored: stored[:-1],
        lambda stored: stored[:-16],
        lambda stored: stored[1:],
        lambda stored: bytes([stored[0] ^ 1]) + stored[1:],
        lambda stored: stored[:-1] + bytes([stored[-1] ^ 1]),
        lambda stored: stored[:20] + stored[21:22] + stored[20:21] + stored[22:],
        lambda stored: bytes(len(stored)),
    ],
)
def test_damage_is_refused_with_and_without_a_hash(harm: Callable[[bytes], bytes]) -> None:
    stored, part = sealed(Random(1).randbytes(100))
    refused(harm(stored), part, Altered)
    without = changed(part, hash_alg=0, content_hash=b"")
    refused(harm(stored), without, WrongKey if len(harm(stored)) in {100, 116} else Altered)
    refused(harm(stored), changed(without, size=0), Altered if len(harm(stored)) < 16 else WrongKey)


@pytest.mark.parametrize("wrong", [{"key": b"k" * 16}, {"nonce": b"n" * 12}, {"aad": b"a"}])
def test_a_wrong_key_is_refused_though_the_hash_is_right(wrong: dict[str, Any]) -> None:
    stored, part = sealed(b"hello")
    refused(stored, changed(part, **wrong), WrongKey)


def test_a_wrong_hash_is_refused_though_the_key_is_right() -> None:
    stored, part = sealed(b"hello")
    refused(stored, changed(part, content_hash=bytes(32)), Altered)
    refused(stored, changed(part, content_hash=b""), Altered)


def test_less_than_announced_is_not_shown_even_where_nothing_else_is_proven() -> None:
    """A public file that is neither encrypted nor hashed: its size is all that tells a truncated one."""
    part = ExternalPart("a/b", URL, size=5)
    assert opened(b"hello", part) == b"hello"
    for stored in (b"hell", b""):
        with pytest.raises(Altered, match=f"{len(stored)} octets were fetched where 5 were announced"):
            opened(stored, part)


def test_a_size_may_count_the_tag_or_not() -> None:
    stored, part = sealed(b"hello")
    assert opened(stored, changed(part, size=5 + 16)) == b"hello"
    for size in (4 + 2, 20, 22):
        with pytest.raises(Altered, match="announced"):
            opened(stored, changed(part, size=size))


def test_more_than_announced_is_refused_at_once() -> None:
    stored, part = sealed(b"hello")
    refused(stored + b"x", part, TooLarge)
    opener = Opener(changed(part, size=0), limit=10)
    opener.examine(bytes(26))
    with pytest.raises(TooLarge, match="26 octets as stored"):
        opener.examine(b"x")
    with pytest.raises(TooLarge, match="5 octets; 4 are allowed"):
        Opener(part, limit=4)
    assert Opener(part, limit=5)


def test_more_than_is_allowed_is_not_sealed() -> None:
    sealer = Sealer(KEY, NONCE, limit=10)
    sealer.update(bytes(10))
    with pytest.raises(TooLarge):
        sealer.update(b"x")


@pytest.mark.parametrize(
    "wrong",
    [{"enc_alg": 2}, {"enc_alg": 65535}, {"hash_alg": 2}, {"hash_alg": 255}, {"key": b"k" * 32}, {"nonce": b""}],
)
def test_what_we_do_not_have_is_refused_before_it_is_fetched(wrong: dict[str, Any]) -> None:
    _, part = sealed(b"hello")
    with pytest.raises(UnknownAlgorithm):
        Opener(changed(part, **wrong))


def test_another_hash_of_the_registry_is_understood() -> None:
    stored, part = sealed(b"hello")
    assert opened(stored, changed(part, hash_alg=8, content_hash=sha512(stored).digest())) == b"hello"
    refused(stored, changed(part, hash_alg=8), Altered)


def test_a_file_that_is_not_encrypted_is_proven_by_its_hash_alone() -> None:
    part = ExternalPart("a/b", URL, size=5, hash_alg=1, content_hash=sha256(b"hello").digest())
    assert opened(b"hello", part) == b"hello"
    refused(b"hallo", part, Altered)
    refused(b"hello!", part, TooLarge)
    assert opened(b"anything", ExternalPart("a/b", URL)) == b"anything"


def test_a_stored_copy_that_changes_between_the_passes_is_noticed() -> None:
    stored, part = sealed(bytes(100))
    opener = Opener(part)
    opener.examine(stored)
    opener.proven()
    opener.open(bytes(len(stored)))
    with pytest.raises(WrongKey):
        opener.finish()


def test_a_sealer_is_used_in_order_and_once() -> None:
    sealer = Sealer(KEY, NONCE)
    with pytest.raises(NotProven):
        sealer.part("a/b", URL)
    sealer.finish()
    for again in (lambda: sealer.update(b""), sealer.finish):
        with pytest.raises(NotProven):
            again()


# --- whole streams ----------------------------------------------------------------------------------------------------


async def stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_stream_is_sealed_into_a_spool_and_opened_out_of_one() -> None:
    plain = Random(2).randbytes(200_000)
    sealer, store = Sealer(KEY, NONCE), BytesIO()
    await seal(stream(chunked(plain, 1000)), store, sealer)
    part = sealer.part("a/b", URL)
    shown = [chunk async for chunk in unseal(stream(chunked(store.getvalue(), 999)), BytesIO(), Opener(part))]
    assert b"".join(shown) == plain
    assert all(shown)


async def test_an_empty_file_is_a_file() -> None:
    stored, part = sealed(b"")
    assert [chunk async for chunk in unseal(stream([stored]), BytesIO(), Opener(part))] == []


async def test_nothing_of_a_damaged_stream_is_shown() -> None:
    stored, part = sealed(bytes(100_000), 4096)
    with pytest.raises(Altered):
        await anext(unseal(stream(chunked(stored[:-1], 4096)), BytesIO(), Opener(part)))


@pytest.mark.slow
async def test_half_a_gibibyte_takes_no_more_memory_than_a_few_chunks() -> None:
    chunk, count = Random(3).randbytes(1 << 18), 2048
    sealer = Sealer(KEY, NONCE)
    with TemporaryFile() as store, TemporaryFile() as spool:
        tracemalloc.start()
        await seal(stream(chunk for _ in range(count)), store, sealer)
        part, total = sealer.part("a/b", URL), 0
        store.seek(0)
        async for plain in unseal(stream(iter(lambda: store.read(1 << 18), b"")), spool, Opener(part)):
            total += len(plain)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert total == part.size == count * len(chunk)
    assert peak < 4 << 20
