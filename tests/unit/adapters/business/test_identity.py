"""Every person gets two identities, at random and for ever."""

from __future__ import annotations

import asyncio
import itertools
import re

import pytest

from adapters.business.errors import InvalidParameter, RecipientUnknown
from adapters.business.identity import Identities, Minted, read
from protocol.uri import Address
from tests.unit.adapters.business.memory import MemoryStore

JULIET = Address("xmpp", "juliet@capulet.example")
ROMEO = Address("matrix", "@romeo:montague.example")


async def test_a_person_is_minted_once_and_found_by_every_name() -> None:
    store = MemoryStore()
    juliet = await Identities(store).of(JULIET)
    assert re.fullmatch(r"999[0-9]{12}", juliet.wa_id)
    assert re.fullmatch(r"XX\.[0-9]{19}", juliet.user_id)
    assert juliet.username == "juliet@capulet.example"

    later = Identities(store)  # after a restart
    spaced = f"+999 ({juliet.wa_id[3:8]}) {juliet.wa_id[8:]}"
    names = (juliet.wa_id, f"+{juliet.wa_id}", f"tel:+{juliet.wa_id}", spaced, juliet.user_id, f" {JULIET.id} ")
    for name in names:
        assert await later.find(name) == juliet
    assert await later.find("xmpp:Juliet@CAPULET.example/balcony") == juliet


async def test_two_people_are_two() -> None:
    identities = Identities(MemoryStore())
    juliet, romeo = await identities.of(JULIET), await identities.of(ROMEO)
    assert {juliet.wa_id, juliet.user_id}.isdisjoint({romeo.wa_id, romeo.user_id})


async def test_an_identity_that_is_taken_is_drawn_again() -> None:
    draws = itertools.chain([5, 6], [5, 7, 6, 8])  # a number and a user id for each; hers are taken when his turn comes
    identities = Identities(MemoryStore(), below=lambda _: next(draws))
    juliet, romeo = await identities.of(JULIET), await identities.of(ROMEO)
    assert (juliet.wa_id, juliet.user_id) == ("999000000000005", "XX.1000000000000000006")
    assert (romeo.wa_id, romeo.user_id) == ("999000000000007", "XX.1000000000000000008")


async def test_two_requests_at_once_mint_one_person() -> None:
    identities = Identities(MemoryStore())
    assert len(set(await asyncio.gather(*(identities.of(JULIET) for _ in range(20))))) == 1


async def test_half_a_minting_is_none() -> None:
    """Whatever was written before a crash, the person ends up with one pair of identities that leads back to them."""
    for survived in range(3):
        store = MemoryStore()
        whole = await Identities(store).of(JULIET)
        for key in list(store.rows)[survived:]:
            del store.rows[key]
        again = await Identities(store).of(JULIET)
        assert await Identities(store).find(again.wa_id) == again
        assert await Identities(store).find(again.user_id) == again
        if survived:
            assert await Identities(store).find(whole.wa_id) == again


async def test_nobody_is_found_under_a_strangers_number() -> None:
    with pytest.raises(RecipientUnknown):
        await Identities(MemoryStore()).find("+49 30 1234567")
    with pytest.raises(RecipientUnknown):
        await Identities(MemoryStore()).find("DE.1349120865530274191")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("999123456789012", Minted("wa/999123456789012")),
        ("+1 (555) 000-1001", Minted("wa/15550001001")),
        ("XX.1234567890123456789", Minted("bsuid/XX.1234567890123456789")),
        ("juliet@capulet.example", JULIET),
        ("@romeo:montague.example", ROMEO),
        ("12345@capulet.example", Address("xmpp", "12345@capulet.example")),
    ],
)
def test_a_name_is_understood(text: str, meant: Minted | Address) -> None:
    assert read(text) == meant


@pytest.mark.parametrize("text", ["", " ", "romeo", "@romeo", "a@", "@b", "a b@c", "é", "\x00@x", "xx.123"])
def test_what_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        read(text)
