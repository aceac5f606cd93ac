"""MIMI URIs: one spelling for each name, and every other refused."""

from __future__ import annotations

import pytest

from protocol.uri import (
    Address,
    Kind,
    MimiUri,
    UriError,
    address_of,
    endpoint_uri,
    group_uri,
    namespace,
    parse,
    room_uri,
    user_uri,
)

D = "rialto.example"


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        (Address("xmpp", "juliet@capulet.lit"), "mimi://rialto.example/u/xmpp~juliet%40capulet.lit"),
        (Address("xmpp", "a@b/ü"), "mimi://rialto.example/u/xmpp~a%40b%2F%C3%BC"),
        (Address("matrix", "@romeo:hs.test"), "mimi://rialto.example/u/matrix~%40romeo%3Ahs.test"),
        (Address("whatsapp", "+393331234567"), "mimi://rialto.example/u/whatsapp~%2B393331234567"),
        (Address("whatsapp", "IT.1234"), "mimi://rialto.example/u/whatsapp~IT.1234"),
        (Address("x", "~"), "mimi://rialto.example/u/x~~"),
        (Address("x", "%25"), "mimi://rialto.example/u/x~%2525"),
        (Address("x", "😀"), "mimi://rialto.example/u/x~%F0%9F%98%80"),
    ],
)
def test_a_person_has_one_uri(address: Address, uri: str) -> None:
    assert user_uri(D, address) == uri
    assert address_of(uri, D) == address


def test_an_address_reads_network_first() -> None:
    assert str(Address("xmpp", "a@b")) == "xmpp~a@b"
    assert len({Address("xmpp", "a"), Address("xmpp", "a"), Address("matrix", "a")}) == 2


def test_endpoints_rooms_and_groups_have_uris() -> None:
    assert endpoint_uri(D, "xmpp") == "mimi://rialto.example/d/xmpp"
    assert room_uri(D, "balcony") == "mimi://rialto.example/r/balcony"
    assert group_uri(D, "a/b") == "mimi://rialto.example/g/a%2Fb"
    assert parse(room_uri(D, "ü")) == MimiUri(D, Kind.ROOM, ("ü",))
    assert parse(group_uri(D, "g")).kind is Kind.GROUP


def test_the_drafts_examples_are_read() -> None:
    assert parse("mimi://example.com/u/alice-smith") == MimiUri("example.com", Kind.USER, ("alice-smith",))
    assert parse("mimi://example.com/r/engineering_team").id == "engineering_team"
    device = parse("mimi://example.com/d/3b52249d-68f9-45ce-8bf5-c799f3cad7ec/0003")
    assert device.path == ("3b52249d-68f9-45ce-8bf5-c799f3cad7ec", "0003")
    assert device.id == "3b52249d-68f9-45ce-8bf5-c799f3cad7ec/0003"


def test_a_namespace_holds_its_network_and_no_other() -> None:
    assert namespace(D, "xmpp") == "mimi://rialto.example/u/xmpp~"
    assert user_uri(D, Address("xmpp", "a")).startswith(namespace(D, "xmpp"))
    assert not user_uri(D, Address("xmpp2", "a")).startswith(namespace(D, "xmpp"))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mimi:",
        "mimi://",
        "https://rialto.example/u/a",
        "MIMI://rialto.example/u/a",
        "mimi://Rialto.example/u/a",
        "mimi://rialto.example/u",
        "mimi://rialto.example/u/",
        "mimi://rialto.example/x/a",
        "mimi://rialto.example/U/a",
        "mimi://rialto.example/u/a/b",
        "mimi://rialto.example/r/a/",
        "mimi://rialto.example/d/a//b",
        "mimi://rialto.example/u/a?q",
        "mimi://rialto.example/u/a#f",
        "mimi://rialto.example/u/a@b",  # should be a%40b
        "mimi://rialto.example/u/%61",  # should be a
        "mimi://rialto.example/u/%c3%bc",  # should be %C3%BC
        "mimi://rialto.example/u/%C3",
        "mimi://rialto.example/u/%ED%A0%80",
        "mimi://rialto.example/u/%zz",
        "mimi://rialto.example/u/%4",
        "mimi://rialto.example/u/ü",
        "mimi://rialto.example/u/a\n",
        "mimi://rialto.example:0/u/a",
        "mimi://rialto.example:99999999/u/a",
        "mimi://-rialto/u/a",
        "mimi://rialto..example/u/a",
        "mimi://user@rialto.example/u/a",
        f"mimi://{'a' * 64}.example/u/a",
    ],
)
def test_no_other_spelling_is_read(uri: str) -> None:
    with pytest.raises(UriError):
        parse(uri)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mimi:a", "not a MIMI URI, which starts with mimi://: 'mimi:a'"),
        ("mimi://A.b/u/a", "not a MIMI URI, what stands from index 7 on is no domain in lower case: 'mimi://A.b/u/a'"),
        (
            "mimi://a.b/x/a",
            "not a MIMI URI, what stands from index 10 on is none of /u/, /d/, /r/ and /g/: 'mimi://a.b/x/a'",
        ),
        ("mimi://a.b/u/a@b", "not a MIMI URI, U+0040 at index 14 must be percent-encoded: 'mimi://a.b/u/a@b'"),
        ("mimi://a.b/d/a//b", "not a MIMI URI, a part of the id that starts at index 13 is empty: 'mimi://a.b/d/a//b'"),
        ("mimi://a.b/u", "not a MIMI URI, a part of the id that starts at index 12 is empty: 'mimi://a.b/u'"),
        ("mimi://a.b/r/..", "an id that is a dot or two: ('..',)"),
        ("mimi://a.b/u/%61", "a MIMI URI that should be spelt 'mimi://a.b/u/a': 'mimi://a.b/u/%61'"),
        ("mimi://a.b/u/%C3", "percent-encoded octets that are not UTF-8: 'mimi://a.b/u/%C3'"),
    ],
)
def test_a_refusal_says_what_would_do(uri: str, words: str) -> None:
    with pytest.raises(UriError) as caught:
        parse(uri)
    assert str(caught.value) == words


def test_a_refusal_quotes_no_more_than_it_must() -> None:
    with pytest.raises(UriError) as caught:
        parse("mimi://" + "x" * 100_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "domain", ["Rialto.example", "", "a b", "rialto.example.", "bücher.example", "a/b", "[::g]", ".a"]
)
def test_a_bridge_needs_a_domain_in_its_one_spelling(domain: str) -> None:
    with pytest.raises(UriError, match="no domain"):
        room_uri(domain, "a")


@pytest.mark.parametrize(
    "domain", ["localhost", "localhost:8443", "192.0.2.1", "[2001:db8::1]:80", "xn--bcher-kva.example", "a_b"]
)
def test_domains_that_will_do(domain: str) -> None:
    assert parse(room_uri(domain, "a")).domain == domain


@pytest.mark.parametrize("network", ["", "XMPP", "a~b", "-a", "a b", "a" * 33, "ü"])
def test_a_network_has_a_plain_name(network: str) -> None:
    with pytest.raises(UriError, match="no name of a network"):
        user_uri(D, Address(network, "a"))


def test_what_has_no_uri() -> None:
    with pytest.raises(UriError, match="empty address"):
        user_uri(D, Address("xmpp", ""))
    with pytest.raises(UriError, match="empty or in too many parts"):
        room_uri(D, "")
    with pytest.raises(UriError, match="empty or in too many parts"):
        str(MimiUri(D, Kind.ROOM, ("a", "b")))
    with pytest.raises(UriError, match="empty or in too many parts"):
        str(MimiUri(D, Kind.DEVICE, ()))
    for dots in (".", ".."):
        with pytest.raises(UriError, match="a dot or two"):
            room_uri(D, dots)
    with pytest.raises(UriError, match="surrogate"):
        room_uri(D, "\ud800")
    with pytest.raises(UriError, match="65535 are allowed"):
        room_uri(D, "a" * 65_535)
    assert len(room_uri(D, "a" * (65_535 - len("mimi://rialto.example/r/")))) == 65_535


@pytest.mark.parametrize(
    "uri",
    [
        "mimi://rialto.example/r/xmpp~a",  # a room
        "mimi://rialto.example/u/alice",  # of no network
        "mimi://rialto.example/u/~a",
        "mimi://rialto.example/u/xmpp~",
        "mimi://rialto.example/u/XMPP~a",
    ],
)
def test_not_every_uri_is_a_person(uri: str) -> None:
    with pytest.raises(UriError, match="not the URI of a person"):
        address_of(uri, D)


def test_a_person_of_another_bridge_is_not_ours() -> None:
    with pytest.raises(UriError, match=r"not a URI of rialto\.example"):
        address_of("mimi://other.example/u/xmpp~a", D)
