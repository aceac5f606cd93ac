"""People of other networks as JIDs, and back; the native ids of messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp import JID

from adapters.xmpp.errors import NameRefused
from adapters.xmpp.names import Chat, Room, bare, ghost_address, ghost_jid, user_address
from protocol.address import jid
from protocol.uri import Address

networks = st.sampled_from(["matrix", "whatsapp", "business"])


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (Address("matrix", "@romeo:hs.test"), r"matrix~\40romeo\3ahs.test"),
        (Address("whatsapp", "+393331234567"), "whatsapp~+393331234567"),
        (Address("business", "US.Shop 7"), "business~%55%53.%53hop%207"),
        (Address("matrix", "@100%:hs.test"), r"matrix~\40100%25\3ahs.test"),
        (Address("matrix", r"@back\slash/it's:hs.test"), r"matrix~\40back\5cslash\2fit\27s\3ahs.test"),
        (Address("matrix", "@zoë:hs.test"), r"matrix~\40zo%c3%ab\3ahs.test"),
    ],
)
def test_a_person_has_one_jid(address: Address, local: str) -> None:
    assert ghost_jid(address, "rialto.test") == f"{local}@rialto.test"
    assert ghost_address(local) == address


@given(networks, st.text(min_size=1, max_size=80))
def test_every_address_comes_back_and_survives_what_servers_do_to_jids(network: str, id_: str) -> None:
    address = Address(network, id_)
    written = ghost_jid(address, "rialto.test")
    assert jid(written) == written
    assert str(JID(written)) == written
    assert ghost_address(written.partition("@")[0]) == address


@given(st.text(max_size=60))
def test_any_local_part_is_one_person_or_nobody(local: str) -> None:
    try:
        address = ghost_address(local)
    except NameRefused:
        return
    assert ghost_jid(address, "c") == f"{local}@c"


@pytest.mark.parametrize(
    "local",
    ["", "romeo", "~x", "matrix~", "Matrix~x", "matrix~X", "matrix~%41%zz", "matrix~%ff", "matrix~a b", "xmpp~a"],
)
def test_names_of_nobody(local: str) -> None:
    with pytest.raises(NameRefused):
        ghost_address(local)


def test_an_address_too_long_for_a_jid_is_refused() -> None:
    ghost_jid(Address("matrix", "a" * 1016), "c")
    with pytest.raises(NameRefused, match="1023 octets"):
        ghost_jid(Address("matrix", "a" * 1017), "c")


def test_a_user_is_their_bare_jid() -> None:
    assert user_address("Juliet@XMPP.test/balcony") == Address("xmpp", "juliet@xmpp.test")
    with pytest.raises(NameRefused):
        bare("@xmpp.test")


@given(st.text(min_size=1, max_size=20))
def test_native_ids_of_a_chat_are_its_own(id_: str) -> None:
    chat = Chat("juliet@xmpp.test", r"matrix~\40romeo\3ahs.test@rialto.test")
    assert chat.wire(chat.native(id_)) == id_
    with pytest.raises(NameRefused):
        Chat("nurse@xmpp.test", chat.ghost).wire(chat.native(id_))


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_native_ids_of_a_room_tell_authors_apart(nick: str, id_: str) -> None:
    room = Room("verona@muc.test")
    assert room.wire(room.by(nick, id_)) == id_
    assert room.is_by(room.by(nick, id_))
    assert room.by(nick, id_) != room.by(f"{nick}/", id_)


def test_people_of_another_account_of_xmpp_are_strangers_like_all_others() -> None:
    juliet = Address("xmpp", "juliet@xmpp.test")
    assert ghost_jid(juliet, "two.test", "xmpp.two") == r"xmpp~juliet\40xmpp.test@two.test"
    assert ghost_address(r"xmpp~juliet\40xmpp.test", "xmpp.two") == juliet
    mine = Address("xmpp.two", "juliet@xmpp.test")
    assert ghost_address(r"xmpp.two~juliet\40xmpp.test") == mine
    with pytest.raises(NameRefused, match="has a JID already"):
        ghost_jid(mine, "two.test", "xmpp.two")
    assert user_address("Juliet@XMPP.test/balcony", "xmpp.two") == mine
