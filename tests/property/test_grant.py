"""Grants: each comes back from its octets, and no change of a grant keeps its signature."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol.grant import KEY_ID_OCTETS, MAX_NUMBER, Grant, GrantError, decode, key_id, public_of, sign
from protocol.leg import LegClass
from tests.property.strategies import texts

PRIVATE = bytes(range(32))
PUBLIC = public_of(PRIVATE)

names = texts(60).filter(bool)
grants = st.builds(
    Grant,
    authority=st.just(key_id(PUBLIC)),
    uri=names,
    key=st.binary(min_size=32, max_size=32),
    leg=st.sampled_from(LegClass),
    namespaces=st.lists(names, max_size=5, unique=True).map(tuple),
    number=st.integers(0, MAX_NUMBER),
    not_after=st.none() | st.integers(0, MAX_NUMBER),
)


@given(grants)
def test_every_grant_comes_back_from_its_octets(grant: Grant) -> None:
    data = sign(grant, PRIVATE).encode()
    read = decode(data)
    read.verify(PUBLIC)
    assert read.grant == grant
    assert read.encode() == data
    assert len(read.grant.authority) == KEY_ID_OCTETS


@given(grants, st.data())
def test_no_changed_octet_keeps_the_signature(grant: Grant, data: st.DataObject) -> None:
    octets = bytearray(sign(grant, PRIVATE).encode())
    place = data.draw(st.integers(0, len(octets) - 1))
    octets[place] ^= data.draw(st.integers(1, 255))
    try:
        decode(bytes(octets)).verify(PUBLIC)
    except GrantError:
        return
    raise AssertionError(f"octet {place} may be changed")


@given(st.binary(max_size=200))
def test_any_octets_are_a_grant_or_refused(octets: bytes) -> None:
    try:
        read = decode(octets)
    except GrantError:
        return
    assert read.encode() == octets
