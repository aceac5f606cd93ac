"""Any text is a MIMI URI or an address in its one spelling, or refused.

``python -m tests.fuzz.fuzz_uri [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import sys

from protocol import address, uri


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


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
