"""Any text is a MIMI URI or an address in its one spelling, or refused.

``python -m tests.fuzz.fuzz_uri [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol import address, uri
from tests.fuzz.harness import fuzz


def one_input(data: bytes) -> None:
    """Read ``data`` as every kind of name there is."""
    text = data.decode(errors="surrogateescape")
    for written in (text, f"mimi://a.example/{text}"):
        try:
            assert str(uri.parse(written)) == written
            assert uri.user_uri("a.example", uri.address_of(written, "a.example")) == written
        except uri.UriError:
            continue
    for network in ("xmpp", "matrix", "whatsapp"):
        try:
            person = address.address(network, text)
        except uri.UriError:
            continue
        assert address.address(network, person.id) == person
        assert uri.address_of(uri.user_uri("a.example", person), "a.example") == person


SEEDS = (
    *("mimi://a.example/u/xmpp~juliet%40capulet.example", "mimi://[::1]:80/d/xmpp/1", "mimi://a.example/r/verona"),
    *("juliet@capulet.example/balcony", "J\u00fcliet@b\u00fccher.example.", "a@[::1]", "xn--bcher-kva.example"),
    *("@romeo:montague.example:8448", "+15550100", "XX.ENT.a1", "\u03a3@\u65e5\u672c.jp", "u/x~%F0%9F%8C%B9"),
)
WORDS = ("%C3%A9", "%2F", "xn--", "/u/", "~", "@", "[::", "\u00df", "\u0345", "\u3002", "\u200d", "\u0660", "\uff21")


def seeds() -> Iterator[bytes]:
    """Names of every kind."""
    yield from map(str.encode, SEEDS)


if __name__ == "__main__":
    packages = ("protocol.uri", "protocol.address", "idna", "precis_i18n")
    fuzz(one_input, *packages, seeds=seeds(), words=map(str.encode, WORDS))
