"""The fuzz target itself, on inputs that once mattered and on what Hypothesis thinks of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.fuzz_business import one_input


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"messaging_product":"whatsapp"}',
        b'{"messaging_product":"whatsapp","to":"juliet@capulet.example","text":{"body":"\\u0000 *x* _"}}',
        b'{"messaging_product":"whatsapp","to":"1","type":"image","image":{"id":"1","caption":"```"}}',
        b'{"messaging_product":"whatsapp","to":1e400,"text":{"body":"x"}}',
        b'{"messaging_product":"whatsapp","to":"1","text":{"body":"' + b"> " * 2000 + b'"}}',
        b'{"messaging_product":"whatsapp","to":"1","text":{"body":"' + b"*_~`" * 1000 + b'"}}',
    ],
)
def test_a_request_that_once_mattered(body: bytes) -> None:
    one_input(body)


@given(st.text(max_size=300))
def test_any_words(body: str) -> None:
    escaped = body.encode("ascii", "backslashreplace").replace(b"\\", b"").replace(b'"', b"")
    one_input(b'{"messaging_product":"whatsapp","to":"1","text":{"body":"' + escaped + b'"}}')


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    one_input(body)
