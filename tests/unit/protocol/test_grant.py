"""What an operator's authority lets an endpoint say of itself: read strictly, and believed by its signature only."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from protocol import cbor
from protocol.grant import (
    LABEL,
    MAX_NUMBER,
    MAX_OCTETS,
    Grant,
    GrantError,
    GrantSignatureError,
    decode,
    key_hash,
    key_id,
    public_of,
    sign,
)
from protocol.leg import LegClass

AUTHORITY = bytes(range(32))
PUBLIC = public_of(AUTHORITY)
ENDPOINT = b"an endpoint's public signature key"
GRANT = Grant(
    authority=key_id(PUBLIC),
    uri="mimi://bridge.example/d/sea",
    key=key_hash(ENDPOINT),
    leg=LegClass.OPERATOR,
    namespaces=("mimi://bridge.example/u/xmpp~",),
    number=7,
)


def items(grant: Grant = GRANT) -> list[Any]:
    """The array of a signed grant, to be bent."""
    return list(cbor.decode(sign(grant, AUTHORITY).encode()))


@pytest.mark.parametrize("grant", [GRANT, replace(GRANT, not_after=1_800_000_000), replace(GRANT, namespaces=())])
def test_a_grant_says_after_encoding_what_it_said_before(grant: Grant) -> None:
    read = decode(sign(grant, AUTHORITY).encode())
    read.verify(PUBLIC)
    assert read.grant == grant


def test_a_grant_is_what_its_description_says() -> None:
    """The format, written out by hand: what others implement from the description."""
    said = [1, GRANT.authority, GRANT.uri, GRANT.key, 2, list(GRANT.namespaces), 7, None]
    signature = Ed25519PrivateKey.from_private_bytes(AUTHORITY).sign(LABEL + b"\x00" + cbor.encode(said))
    assert LABEL == b"Rialto Grant 1"
    assert sign(GRANT, AUTHORITY).encode() == cbor.encode([*said, signature])


def test_nobody_but_the_authority_signs_its_grants() -> None:
    with pytest.raises(GrantSignatureError):
        sign(GRANT, AUTHORITY).verify(public_of(bytes(32)))


@pytest.mark.parametrize(
    ("place", "other"),
    [
        (1, key_id(b"another")),
        (2, "mimi://bridge.example/d/sky"),
        (3, key_hash(b"another")),
        (4, 0),
        (5, ["mimi://bridge.example/u/"]),
        (6, 8),
        (7, 1),
        (8, bytes(64)),
    ],
)
def test_whatever_is_changed_is_no_longer_signed(place: int, other: object) -> None:
    bent = items()
    bent[place] = other
    with pytest.raises(GrantSignatureError):
        decode(cbor.encode(bent)).verify(PUBLIC)


def test_a_signature_over_the_same_octets_for_another_purpose_is_none() -> None:
    said = cbor.encode(items()[:-1])
    key = Ed25519PrivateKey.from_private_bytes(AUTHORITY)
    for other in (said, b"Rialto Grant 2\x00" + said, LABEL + said):
        with pytest.raises(GrantSignatureError):
            decode(cbor.encode([*items()[:-1], key.sign(other)])).verify(PUBLIC)


@pytest.mark.parametrize(
    ("place", "other"),
    [
        (0, 2),
        (0, True),
        (1, bytes(7)),
        (1, "12345678"),
        (2, ""),
        (2, b"mimi://bridge.example/d/sea"),
        (2, "x" * 1025),
        (3, bytes(31)),
        (4, 5),
        (4, -1),
        (4, True),
        (4, None),
        (5, "mimi://bridge.example/u/xmpp~"),
        (5, [""]),
        (5, [["nested"]]),
        (5, ["x", "x"]),
        (5, [f"{n}" for n in range(65)]),
        (6, -1),
        (6, MAX_NUMBER + 1),
        (6, 1.0),
        (6, True),
        (7, -1),
        (7, False),
        (7, "never"),
        (8, bytes(63)),
        (8, None),
    ],
)
def test_what_is_no_grant_is_refused(place: int, other: object) -> None:
    bent = items()
    bent[place] = other
    with pytest.raises(GrantError):
        decode(cbor.encode(bent))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        cbor.encode([]),
        cbor.encode(items()[:-1]),
        cbor.encode([*items(), 0]),
        cbor.encode({"uri": GRANT.uri}),
        sign(GRANT, AUTHORITY).encode() + b"\x00",
        bytes(MAX_OCTETS + 1),
    ],
)
def test_octets_that_are_no_grant_are_refused(data: bytes) -> None:
    with pytest.raises(GrantError):
        decode(data)


def test_nothing_is_signed_that_could_not_be_read() -> None:
    for bent in ({"uri": ""}, {"number": -1}, {"key": b""}, {"namespaces": ("",)}, {"namespaces": ("\ud800",)}):
        with pytest.raises(GrantError):
            sign(replace(GRANT, **bent), AUTHORITY)


def test_no_key_signs_in_anothers_name() -> None:
    with pytest.raises(GrantError, match="another authority"):
        sign(GRANT, bytes(32))
    for private in (b"", bytes(31)):
        with pytest.raises(GrantError):
            sign(GRANT, private)
        with pytest.raises(GrantError):
            public_of(private)


def test_every_refusal_has_a_code_of_its_own() -> None:
    assert (GrantError.code, GrantSignatureError.code) == ("grant", "grant.signature")
