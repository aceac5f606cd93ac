"""Who is who: one person, one name, whoever writes it."""

from __future__ import annotations

from typing import cast

import pytest

from bridge.directory import Directory
from bridge.router.contract import Router
from protocol.uri import Address, UriError, user_uri

DOMAIN = "bridge.example"


@pytest.fixture
def directory() -> Directory:
    return Directory(DOMAIN, cast("Router", None), now=lambda: 0)


@pytest.mark.parametrize(
    ("network", "written", "meant"),
    [
        ("xmpp", "Romeo@montague.lit", "romeo@montague.lit"),
        ("xmpp", "romeo@xn--bcher-kva.example", "romeo@bücher.example"),
        ("whatsapp", "393331234567", "+393331234567"),
    ],
)
def test_another_spelling_does_not_make_another_person(
    directory: Directory, network: str, written: str, meant: str
) -> None:
    """An XMPP user may write to ``whatsapp~39333...`` without the plus: that is told, not answered by a second room."""
    meant_address = Address(network, meant)
    assert directory.address(directory.user(meant_address)) == meant_address
    with pytest.raises(UriError, match=r"is written .*~"):
        directory.user(Address(network, written))
    with pytest.raises(UriError, match=r"is written .*~"):
        directory.address(user_uri(DOMAIN, Address(network, written)))


@pytest.mark.parametrize(("network", "id_"), [("xmpp", "a b@c"), ("matrix", "romeo"), ("whatsapp", "+0")])
def test_what_a_network_would_never_call_anybody_is_nobody(directory: Directory, network: str, id_: str) -> None:
    with pytest.raises(UriError, match=r"^no "):
        directory.user(Address(network, id_))


def test_a_network_without_rules_spells_as_it_likes(directory: Directory) -> None:
    for name in ("Anna", "anna"):
        assert directory.address(directory.user(Address("sea", name))).id == name
