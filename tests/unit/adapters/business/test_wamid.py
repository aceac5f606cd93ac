"""Message ids say who the conversation is with, and are the same at every attempt."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.business import wamid
from adapters.business.errors import InvalidParameter
from adapters.business.wamid import Kind, Wamid

USER = "XX.1234567890123456789"
users = st.integers(10**18, 10**19 - 1).map(lambda number: f"XX.{number}")
uniques = st.binary(min_size=18, max_size=18)
plain = st.builds(Wamid, st.sampled_from(sorted(set(Kind) - {Kind.REACTION})), users, uniques, st.none())
reactions = st.builds(Wamid, st.just(Kind.REACTION), users, uniques, plain.map(str))


@given(plain | reactions)
def test_an_id_is_read_as_it_was_written(each: Wamid) -> None:
    assert wamid.parse(str(each)) == each
    assert len(str(each)) <= 128


def test_the_same_delivery_has_the_same_id() -> None:
    assert wamid.derive(USER, "key-1") == wamid.derive(USER, "key-1")
    assert wamid.derive(USER, "key-1") != wamid.derive(USER, "key-2")
    assert str(wamid.derive(USER, "key-1")) == "wamid.AhEiEPR96YEVruliahJ2hIlG6Y4ODI6XIfh2"


def test_a_reaction_carries_what_it_reacts_to() -> None:
    target = str(wamid.derive(USER, "a question"))
    reaction = wamid.parse(str(wamid.derive(USER, "a thumb", target)))
    assert (reaction.kind, reaction.target) == (Kind.REACTION, target)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wamid.",
        "wamid.AAAA",
        "wamid.é",
        "wamid.!!!!",
        "AhUtE9yP3oEV" * 3,
        "wamid." + base64.urlsafe_b64encode(bytes([9]) + bytes(26)).decode(),  # no such kind
        "wamid." + base64.urlsafe_b64encode(bytes([3]) + bytes(26)).decode(),  # a reaction to nothing
        "wamid." + base64.urlsafe_b64encode(bytes([1]) + bytes(53)).decode(),  # too long
        "wamid." + base64.urlsafe_b64encode(bytes([3]) + bytes(53)).decode(),  # a reaction to no message
        "wamid." + base64.urlsafe_b64encode(bytes([3]) + bytes(26) + bytes([3]) + bytes(26)).decode(),
    ],
)
def test_what_we_never_wrote_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        wamid.parse(text)


@given(st.text(max_size=90))
def test_nothing_but_our_own_error_comes_out(text: str) -> None:
    for candidate in (text, "wamid." + text):
        try:
            parsed = wamid.parse(candidate)
        except InvalidParameter:
            continue
        assert str(parsed) == candidate
