"""Ghosts' names: total, reversible, and never two people's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.matrix.names import MAX_ID_OCTETS, Names, escape, is_user_id, unescape
from protocol.uri import Address, user_uri

NAMES = Names("hs.test", "rialto_", "rialto")

networks = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
ids = st.text(min_size=1, max_size=60)
addresses = st.builds(Address, networks, ids)


@pytest.mark.parametrize(
    ("address", "ghost"),
    [
        (Address("xmpp", "juliet@xmpp.test"), "@rialto_xmpp_juliet=40xmpp.test:hs.test"),
        (Address("business", "4912345"), "@rialto_business_4912345:hs.test"),
        (Address("xmpp", "Élise_1"), "@rialto_xmpp_=c3=89lise_1:hs.test"),
        (Address("x-y", "A=b"), "@rialto_x=2dy_=41=3db:hs.test"),
    ],
)
def test_a_ghost_is_named_after_the_person(address: Address, ghost: str) -> None:
    assert NAMES.ghost(address) == ghost
    assert NAMES.address(ghost) == address


@given(addresses)
def test_every_address_comes_back(address: Address) -> None:
    ghost = NAMES.ghost(address)
    assert is_user_id(ghost)
    assert NAMES.owns(ghost)
    if "_" in ghost.removeprefix("@rialto_"):
        assert NAMES.address(ghost) == address


@given(addresses, addresses)
def test_two_people_never_share_a_ghost(one: Address, other: Address) -> None:
    assert (one == other) == (NAMES.ghost(one) == NAMES.ghost(other))


@given(st.text(max_size=80))
def test_whatever_is_read_as_a_ghost_is_that_ghost(localpart: str) -> None:
    for user_id in (f"@rialto_{localpart}:hs.test", f"@rialto_xmpp_{localpart}:hs.test", localpart):
        address = NAMES.address(user_id)
        assert address is None or NAMES.ghost(address) == user_id


@given(st.text())
def test_escapes_are_undone(text: str) -> None:
    assert unescape(escape(text)) == text


def test_an_address_too_long_for_an_id_is_named_by_its_digest() -> None:
    long = Address("xmpp", "j" * 300 + "@xmpp.test")
    ghost = NAMES.ghost(long)
    assert len(ghost) <= MAX_ID_OCTETS
    assert NAMES.owns(ghost)
    assert NAMES.address(ghost) is None
    assert ghost != NAMES.ghost(Address("xmpp", "j" * 301 + "@xmpp.test"))


@pytest.mark.parametrize(
    "user_id",
    [
        "@rialto_xmpp_juliet=40xmpp.test:elsewhere.test",
        "@romeo:hs.test",
        "@rialto:hs.test",
        "@rialto_xmpp_:hs.test",
        "@rialto__juliet:hs.test",
        "@rialto_xmpp_=6auliet:hs.test",
        "@rialto_xmpp_=ff:hs.test",
        "@rialto_xmpp_JULIET:hs.test",
        "rialto_xmpp_juliet",
    ],
)
def test_what_is_nobodys_ghost(user_id: str) -> None:
    assert NAMES.address(user_id) is None


@pytest.mark.parametrize(
    "target", ["https://x.test/", "mimi://b.test/r/room", "mimi://b.test/u/nobody", "mimi:", "", "mimi://b.test/u/x~"]
)
def test_a_link_to_nobody_stays_what_it_is(target: str) -> None:
    assert NAMES.mention(target) == target


def test_whose_names_are_ours() -> None:
    assert NAMES.owns("@rialto:hs.test") and NAMES.owns("@rialto_xmpp_x:hs.test")
    assert not NAMES.owns("@rialto:other.test") and not NAMES.owns("@rialtos:hs.test")
    assert not NAMES.owns("@rialto_xmpp_x:other.test")
    assert NAMES.owns_alias("#rialto_square:hs.test") and not NAMES.owns_alias("#square:hs.test")
    assert NAMES.alias_localpart("#rialto_square:hs.test") == "rialto_square"
    assert NAMES.owns_alias(NAMES.direct_alias("a|b"))
    assert NAMES.direct_alias("a|b") != NAMES.direct_alias("a|c")


def test_an_accounts_name_is_part_of_a_ghosts_and_its_own_people_are_no_ghosts() -> None:
    names = Names("hs.test", "rialto_", "rialto", "matrix.work")
    juliet = Address("xmpp.two", "juliet@xmpp.test")
    assert names.ghost(juliet) == "@rialto_xmpp=2etwo_juliet=40xmpp.test:hs.test"
    assert names.address(names.ghost(juliet)) == juliet
    romeo = user_uri("bridge.example", Address("matrix.work", "@romeo:hs.test"))
    assert names.mention(romeo) == "https://matrix.to/#/@romeo:hs.test"
    elsewhere = user_uri("bridge.example", Address("matrix", "@romeo:home.test"))
    assert names.mention(elsewhere) == "https://matrix.to/#/" + names.ghost(Address("matrix", "@romeo:home.test"))
