"""One person, one URI; one URI, one person."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from protocol import address, uri
from protocol.uri import Address, Kind, MimiUri, UriError
from tests.property.strategies import addresses, domains, native_names, texts


@given(domains(), addresses())
@example("rialto.example", Address("xmpp", "romeo@montague.lit/garden~%2F"))
@example("rialto.example", Address("matrix", "@Ῥωμαῖος:hs.example"))
def test_an_address_comes_back_from_its_uri(domain: str, person: Address) -> None:
    named = uri.user_uri(domain, person)
    assert uri.address_of(named, domain) == person
    assert uri.parse(named).domain == domain
    assert named.isascii()
    assert named.startswith(uri.namespace(domain, person.network))


@given(domains(), addresses(), addresses())
def test_no_two_addresses_share_a_uri(domain: str, one: Address, other: Address) -> None:
    assert (uri.user_uri(domain, one) == uri.user_uri(domain, other)) == (one == other)
    if one.network != other.network:
        assert not uri.user_uri(domain, one).startswith(uri.namespace(domain, other.network))


ids = texts().filter(lambda text: text not in {"", ".", ".."})


@given(domains(), st.sampled_from(Kind), ids)
def test_every_name_comes_back_from_its_uri(domain: str, kind: Kind, id_: str) -> None:
    name = MimiUri(domain, kind, (id_,))
    assert uri.parse(str(name)) == name


@given(domains(), st.lists(ids, min_size=1, max_size=4))
def test_a_device_may_have_several_segments(domain: str, path: list[str]) -> None:
    name = MimiUri(domain, Kind.DEVICE, tuple(path))
    assert uri.parse(str(name)) == name


@given(
    texts(200)
    | st.from_regex(r"mimi://[a-z.]{1,9}/[a-z]/([a-zA-Z~_/]|%[0-9A-Fa-f]{2}){0,9}", fullmatch=True)
    | st.from_regex(r"mimi://[a-z.]{1,9}/u/[a-z]{1,3}~([a-zA-Z~_]|%[0-9A-F]{2}){0,9}", fullmatch=True)
)
def test_what_is_parsed_is_spelt_the_one_way(text: str) -> None:
    try:
        name = uri.parse(text)
    except UriError:
        return
    assert str(name) == text


@given(st.text())
def test_any_text_has_one_spelling_as_a_jid_or_none(text: str) -> None:
    for candidate in (text, f"{text}@a.example", f"a@a.example/{text}", f"a@{text}.example", f"@{text}:a.example"):
        for rule in (address.jid, address.mxid, address.phone_or_bsuid, address.domain_name):
            try:
                spelt = rule(candidate)
            except UriError:
                continue
            assert rule(spelt) == spelt


@given(native_names())
def test_a_name_as_its_network_gives_it_has_a_uri(name: tuple[str, str]) -> None:
    person = address.address(*name)
    named = uri.user_uri("d.example", person)
    assert uri.address_of(named, "d.example") == person
    assert address.address(*name) == address.address(person.network, person.id)


@given(st.text(st.characters(codec="utf-8", categories=["Lu", "Ll"]), min_size=1, max_size=8))
def test_case_never_makes_two_people_of_one_jid(local: str) -> None:
    try:
        spelt = address.jid(f"{local}@a.example")
        lower = address.jid(f"{local.lower()}@A.EXAMPLE")
    except UriError:
        assume(False)
    assert spelt == lower


@given(st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2))
def test_half_a_surrogate_pair_has_no_uri(text: str) -> None:
    with pytest.raises(UriError):
        uri.user_uri("d.example", Address("xmpp", text))
