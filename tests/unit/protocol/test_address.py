"""Addresses: two spellings of one person become one, two people never do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from protocol.address import _prepared, address, bsuid, domain_name, e164, jid, mxid, phone_or_bsuid
from protocol.uri import Address, UriError


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("juliet@capulet.lit", "juliet@capulet.lit"),
        ("Juliet@Capulet.LIT", "juliet@capulet.lit"),
        ("juliet@capulet.lit.", "juliet@capulet.lit"),
        ("\uff4a\uff55liet@capulet.lit", "juliet@capulet.lit"),  # full width
        ("Ju\u0308rgen@a.example", "j\u00fcrgen@a.example"),  # composed
        ("FUẞ@a.example", "fuß@a.example"),
        ("Σωκράτης@a.example", "σωκράτης@a.example"),
        ("иван@пример.рф", "иван@пример.рф"),
        ("иван@xn--e1afmkfd.xn--p1ai", "иван@пример.рф"),
        ("a@BÜCHER.example", "a@bücher.example"),
        ("a@xn--bcher-kva.example", "a@bücher.example"),
        ("a@XN--BCHER-KVA.example", "a@bücher.example"),
        ("a@my_server.example", "a@my_server.example"),
        ("a@192.0.2.1", "a@192.0.2.1"),
        ("a@[2001:DB8:0::1]", "a@[2001:db8::1]"),
        ("gateway.example", "gateway.example"),
        ("room@conf.example/Juliet C.", "room@conf.example/Juliet C."),
        ("a@b.example/slash/es@and more", "a@b.example/slash/es@and more"),
        ("a@b.example/Ju\u0308", "a@b.example/J\u00fc"),
    ],
)
def test_a_jid_has_one_spelling(written: str, spelt: str) -> None:
    assert jid(written) == spelt
    assert jid(spelt) == spelt


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@a.example",
        "a@",
        "a@/r",
        "a@b.example/",
        "a b@c.example",
        "a@b@c.example",
        "a&b@c.example",
        "a'b@c.example",
        'a"b@c.example',
        "a:b@c.example",
        "a<b@c.example",
        "a>b@c.example",
        "♥@a.example",
        "\ud800@a.example",
        "a@b.example/\x00",
        "a@b.example/\ud800",
        "a" * 1024 + "@b.example",
        "ü" * 512 + "@b.example",
        "a@" + "b" * 1024,
        "a@b.example/" + "r" * 1024,
        "a@xn--.example",
        "a@b..example",
        "a@b c.example",
        "a@\u2460\ud800",
        "a@" + "ü" * 64 + ".example",
        "a@" + "b" * 64 + ".example",
        "a@[::g]",
        "a@[::1",
        "a@[fe80::1%eth0]",
        "a@[]",
        "a@.",
        "a@b..",
        "a@b\u3002.",
    ],
)
def test_what_is_no_jid(text: str) -> None:
    with pytest.raises(UriError):
        jid(text)


def test_the_longest_jid() -> None:
    longest = f"{'a' * 1023}@b.example/{'r' * 1023}"
    assert jid(longest) == longest


def test_length_counts_once_the_spelling_is_settled() -> None:
    """A full-width A has three octets, and the a that it means has one (RFC 7622 §3.3.1)."""
    assert jid("\uff21" * 1023 + "@b.example") == "a" * 1023 + "@b.example"
    with pytest.raises(UriError, match="1 to 1023 octets, not 1024"):
        jid("\uff21" * 1024 + "@b.example")


@pytest.mark.parametrize(
    ("rule", "text", "words"),
    [
        (jid, "a b@c", "no localpart of a JID, U+0020 at index 1 is refused (DISALLOWED/spaces): 'a b'"),
        (jid, "a:b@c", "no localpart of a JID, U+003A at index 1 is not allowed: 'a:b'"),
        (jid, "a@b/\t", "no resource of a JID, U+0009 at index 0 is refused (DISALLOWED/controls): '\\t'"),
        (jid, "@b", "a localpart of a JID has 1 to 1023 octets, not 0: ''"),
        (jid, "a@", "a domain of a JID has 1 to 1023 octets, not 0: ''"),
        (jid, "a" * 1024 + "@b", f"a localpart of a JID has 1 to 1023 octets, not 1024: '{'a' * 200}'"),
        (jid, "a@b..", "no domain name, it ends with an empty label: 'b..'"),
        (jid, "a@b-", "no domain name, Label must not start or end with a hyphen: 'b-'"),
        (jid, "a@[::1%lo]", "no IPv6 address in brackets: '[::1%lo]'"),
        (jid, "a@[::1::]", "no IPv6 address, At most one '::' permitted in '::1::': '[::1::]'"),
        (mxid, "a:b", "no Matrix user id, it does not start with an @: 'a:b'"),
        (mxid, "@a\0:b", "no Matrix user id, U+0000 at index 2 is not allowed: '@a\\x00:b'"),
        (mxid, "@a", "no Matrix user id, a colon and the name of a server are missing: '@a'"),
        (mxid, "@a:b c", "no Matrix user id, what stands from index 3 on is no name of a server: '@a:b c'"),
        (e164, "+49 1", "no phone number in E.164, U+0020 at index 3 is no digit: '+49 1'"),
        (e164, "1", "no phone number in E.164, 1 digits instead of 2 to 15: '1'"),
        (e164, "+012", "no phone number in E.164, no country's code starts with 0: '+012'"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(rule: Callable[[str], str], text: str, words: str) -> None:
    with pytest.raises(UriError) as caught:
        rule(text)
    assert str(caught.value) == words


def test_a_matrix_id_is_measured_in_octets() -> None:
    assert mxid("@" + "ü" * 126 + ":b")
    with pytest.raises(UriError, match="257 octets instead of 255 at most"):
        mxid("@" + "ü" * 127 + ":b")


def test_a_profile_that_never_settles_is_given_up_on() -> None:
    class Growing:
        def enforce(self, text: str) -> str:
            return text + "a"

    with pytest.raises(UriError, match="never settles"):
        _prepared("a", Growing(), "localpart")  # type: ignore[arg-type]


def test_a_domain_alone_is_prepared_the_same_way() -> None:
    assert domain_name("Straße.Example") == "straße.example"
    assert domain_name("日本。jp") == "日本.jp"


@pytest.mark.parametrize(
    "text", ["@romeo:hs.test", "@Romeo:hs.test:8448", "@:hs.test", "@ü /=:[::1]:80", f"@{'a' * 246}:b.test"]
)
def test_a_matrix_id_is_left_as_it_is(text: str) -> None:
    assert mxid(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "romeo:hs.test",
        "@romeo",
        "@romeo:",
        "@a:b:c:d",
        "@a\x00:b",
        "@a:ü",
        "@a:b\n",
        "@\ud800:b",
        f"@{'a' * 250}:b.test",
        "@a:b:123456",
    ],
)
def test_what_is_no_matrix_id(text: str) -> None:
    with pytest.raises(UriError):
        mxid(text)


def test_a_phone_number_gets_its_plus() -> None:
    assert e164("393331234567") == e164("+393331234567") == "+393331234567"
    assert e164("12") == "+12"
    assert e164("1" * 15) == "+" + "1" * 15


@pytest.mark.parametrize(
    "text", ["", "+", "1", "+1", "0123", "+0123", "1" * 16, "+39 333", "٣٣٣", "12a", "12\n", "++12"]
)
def test_what_is_no_phone_number(text: str) -> None:
    with pytest.raises(UriError):
        e164(text)


@pytest.mark.parametrize("text", ["IT.1", "US.13491208655302741918", "BR.ENT.a1", "DE." + "9" * 128])
def test_a_business_scoped_id_is_left_as_it_is(text: str) -> None:
    assert bsuid(text) == text
    assert phone_or_bsuid(text) == text


@pytest.mark.parametrize(
    "text", ["", "IT.", "it.1", "ITA.1", "IT1", "IT.a-b", "IT.ENT.", "DE." + "9" * 129, "IT.1\n", "ÄÖ.1"]
)
def test_what_is_no_business_scoped_id(text: str) -> None:
    with pytest.raises(UriError):
        bsuid(text)


def test_each_network_has_its_rule_and_others_have_none() -> None:
    assert address("xmpp", "Juliet@Capulet.LIT") == Address("xmpp", "juliet@capulet.lit")
    assert address("matrix", "@Romeo:hs.test") == Address("matrix", "@Romeo:hs.test")
    assert address("whatsapp", "393331234567") == Address("whatsapp", "+393331234567")
    assert address("whatsapp", "IT.1") == Address("whatsapp", "IT.1")
    assert address("another", "Anything At All") == Address("another", "Anything At All")
    with pytest.raises(UriError):
        address("whatsapp", "")


def test_a_refusal_quotes_no_more_than_it_must() -> None:
    for rule in (jid, mxid, e164, bsuid, domain_name):
        with pytest.raises(UriError) as caught:
            rule("\x00" * 100_000)
        assert len(str(caught.value)) < 1000


def test_every_account_of_a_network_spells_as_the_network_does() -> None:
    assert address("xmpp.shop_2", "Juliet@XMPP.test") == Address("xmpp.shop_2", "juliet@xmpp.test")
    with pytest.raises(UriError):
        address("matrix.work", "romeo")
