"""The wire: lengths, absent values, and structures that are not what they claim."""

from __future__ import annotations

import os

import pytest

from protocol.mls import ContentType, WireFormat, peek
from protocol.mls.codec import MAX_VECTOR, Reader, decode, optional, u16, u32, u64, varint, vec
from protocol.mls.errors import DecodeError, DecryptionError, FramingError, InputError, LengthError, UnsupportedError
from protocol.mls.extensions import AuthenticatedData, decode_dictionary, encode_dictionary
from protocol.mls.kem import Dhkem
from protocol.mls.leaf import LeafContent
from protocol.mls.messages import Authenticated, Sender, read_content_type, read_message
from protocol.mls.proposals import AppDataUpdate, Commit, PskId, read_proposal
from protocol.mls.signing import Scheme
from protocol.mls.suites import suite_of
from tests.unit.mls.support import new_bundle, new_identity, new_members, say, stage


@pytest.mark.parametrize("size", [0, 1, 63, 64, 16383, 16384, MAX_VECTOR])
def test_a_length_reads_as_it_was_written(size):
    assert decode(varint(size), Reader.varint) == size


def test_a_vector_that_is_longer_than_lengths_can_say():
    with pytest.raises(LengthError):
        varint(MAX_VECTOR + 1)


@pytest.mark.parametrize("data", ["", "05aa", "7fff", "bfffffff", "c0", "4001", "80000001", "40"])
def test_absurd_lengths_are_refused_before_anything_is_read(data):
    for read in (Reader.vec, Reader.sub, lambda reader: reader.items(Reader.u8)):
        with pytest.raises(LengthError):
            read(Reader(bytes.fromhex(data)))


def test_an_element_does_not_read_beyond_its_vector():
    with pytest.raises(LengthError):
        Reader(b"\x01\x00\x00").items(Reader.u16)
    with pytest.raises(LengthError):
        Reader(b"\x02\x3f\x00" + bytes(80)).items(Reader.vec)


def test_half_a_number_is_no_number():
    assert Reader(b"\x04\x00\x01\x00\x02").u16s() == (1, 2)
    with pytest.raises(LengthError):
        Reader(b"\x03\x00\x01\x00").u16s()


def test_trailing_bytes_and_odd_presence():
    with pytest.raises(DecodeError):
        decode(b"\x00\x00", Reader.u8)
    with pytest.raises(DecodeError):
        Reader(b"\x02").optional(Reader.u8)
    assert decode(optional(None), lambda reader: reader.optional(Reader.u8)) is None
    assert decode(optional(b"\x07"), lambda reader: reader.optional(Reader.u8)) == 7


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (Sender.read, b"\x05"),
        (Sender.read, b"\x00"),
        (read_content_type, b"\x00"),
        (read_content_type, b"\x04"),
        (PskId.read, b"\x03"),
        (PskId.read, b"\x02\x04"),
        (AppDataUpdate.read, b"\x00\x01\x03"),
        (Authenticated.read, b"\x00\x05"),
        (Commit.read, b"\x01\x03\x00"),
        (decode_dictionary, vec(b"\x00\x02\x00\x00\x01\x00")),
        (decode_dictionary, vec(b"\x00\x01\x00\x00\x01\x00")),
    ],
)
def test_values_that_do_not_exist(read, data):
    with pytest.raises(DecodeError):
        read(data if read is decode_dictionary else Reader(data))


def test_a_leaf_source_that_does_not_exist():
    encoded = bytearray(new_bundle(new_identity("a")).package.leaf.body)
    content = decode(bytes(encoded), LeafContent.read)
    place = len(vec(content.encryption_key) + vec(content.signature_key))
    place += len(content.credential.encode()) + len(content.capabilities.encode())
    encoded[place] = 4
    with pytest.raises(DecodeError, match="source"):
        decode(bytes(encoded), LeafContent.read)


def test_types_that_we_do_not_speak():
    with pytest.raises(UnsupportedError):
        read_proposal(Reader(u16(0x0A0A)))
    with pytest.raises(UnsupportedError):
        suite_of(4)
    with pytest.raises(UnsupportedError):
        read_message(b"\x00\x02\x00\x01")
    for wire_format in (0, 6):
        with pytest.raises(UnsupportedError):
            read_message(u16(1) + u16(wire_format))


def test_peeking_reads_headers_of_every_kind():
    alice, _ = new_members("a", "b")
    bundle = new_bundle(new_identity("c"))
    staged = stage(alice, add=[bundle.message])
    header = peek(staged.commit)
    assert (header.wire_format, header.content_type) == (WireFormat.PUBLIC, ContentType.COMMIT)
    assert header.sender.index == 0
    assert peek(say(alice)).sender is None
    assert peek(staged.welcome).group_id is None
    assert peek(bundle.message).wire_format == WireFormat.KEY_PACKAGE
    info = peek(alice.group_info(random=os.urandom))
    assert (info.group_id, info.epoch) == (b"room", 1)
    for data in (b"", b"\x00\x01\x00\x01", staged.commit[:12]):
        with pytest.raises(DecodeError):
            peek(data)


def test_safe_authenticated_data_has_a_shape():
    framed = AuthenticatedData(safe=True)
    assert framed.split(framed.join({3: b"x"}, b"tail")) == ({3: b"x"}, b"tail")
    assert framed.join(None, b"") == b"\x00"
    for data in (b"", b"\x05", vec(b"\x00\x02\x00\x00\x01\x00")):
        with pytest.raises(FramingError):
            framed.split(data)
    assert AuthenticatedData(safe=False).split(b"anything") == ({}, b"anything")
    assert encode_dictionary({}) == b"\x00"


@pytest.mark.parametrize("kem", list(Dhkem), ids=lambda kem: kem.name)
def test_encapsulation_ends_in_the_same_secret(kem):
    private, public = kem.derive(b"receiver")
    assert (len(private), len(public)) == (kem.private_size, kem.encapsulated)
    shared, output = kem.encapsulate(public, b"sender")
    assert kem.decapsulate(private, output) == shared
    with pytest.raises(DecodeError):
        kem.load_public(b"short")
    with pytest.raises(InputError):
        kem.load_private(bytes(65) if kem is Dhkem.X25519 else bytes(kem.private_size))


def test_a_candidate_outside_the_curves_order_is_passed_over(monkeypatch):
    honest = Dhkem._expand
    expected = {}

    def unlucky(kem, prk, label, info, length):
        if info == b"\x00":
            return b"\xff" * length
        expected.setdefault(info, honest(kem, prk, label, info, length))
        return expected[info]

    monkeypatch.setattr(Dhkem, "_expand", unlucky)
    assert Dhkem.P256.derive(b"seed")[0] == expected[b"\x01"]


def test_a_weak_public_key_is_refused():
    field = (1 << 255) - 19
    for point in (0, 1, field - 1, field, field + 1, 1 << 255, (1 << 255) | 1):
        with pytest.raises(DecodeError, match="small order"):
            Dhkem.X25519.encapsulate(point.to_bytes(32, "little"), b"sender")


@pytest.mark.parametrize("scheme", list(Scheme), ids=lambda scheme: scheme.name)
def test_signature_keys_that_are_none(scheme):
    with pytest.raises(DecodeError):
        scheme.load_public(b"short")
    with pytest.raises(InputError):
        scheme.load_private(bytes(65) if scheme is Scheme.ED25519 else b"")


def test_an_hpke_ciphertext_that_is_cut():
    suite = suite_of(1)
    private, public = suite.kem.derive(b"seed")
    output, ciphertext = suite.encrypt_with_label(suite.kem.load_public(public), b"label", b"", b"secret")
    key = suite.kem.load_private(private)
    for cut in ((output[:-1], ciphertext), (output, ciphertext[:-1]), (output, b""), (bytes(32), ciphertext)):
        with pytest.raises(DecryptionError):
            suite.decrypt_with_label(key, b"label", b"", *cut)


def test_long_expansions_take_several_blocks():
    suite = suite_of(1)
    long = suite.expand(bytes(32), b"info", 100)
    assert len(long) == 100
    assert long.startswith(suite.expand(bytes(32), b"info", 32))


def test_numbers_are_big_endian():
    assert (u16(1), u32(1), u64(1)) == (b"\0\1", b"\0\0\0\1", b"\0" * 7 + b"\1")
