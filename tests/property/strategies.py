"""Hypothesis strategies for everything that ``protocol`` can say.

``contents()`` generates every shape of content that the draft allows, with unknown dispositions, media types and
extensions among them; ``cbor_values()`` everything that deterministic CBOR can hold; ``addresses()`` people.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from protocol import cbor
from protocol.content import (
    HTML,
    MARKDOWN,
    MAX_DEPTH,
    MAX_EXPIRY_SECONDS,
    MAX_TOPIC_OCTETS,
    MESSAGE_ID_OCTETS,
    MIMI_STATUS,
    SALT_OCTETS,
    TEXT_PLAIN,
    TYPING,
    Content,
    Expiration,
    ExternalPart,
    MultiPart,
    NullPart,
    Part,
    Semantics,
    SinglePart,
)
from protocol.uri import Address

# --- CBOR -------------------------------------------------------------------------------------------------------------


def texts(max_size: int = 40) -> SearchStrategy[str]:
    """Any text that UTF-8 can hold: no halves of surrogate pairs."""
    return st.text(st.characters(codec="utf-8"), max_size=max_size)


def keys() -> SearchStrategy[int | str | bytes]:
    """What the key of a map inside an extension may be."""
    return (
        st.integers(-cbor.MAX_INTEGER_KEY, cbor.MAX_INTEGER_KEY)
        | st.integers(-300, 300)
        | texts(8)
        | st.binary(max_size=8)
    )


def scalars() -> SearchStrategy[Any]:
    """Everything that holds nothing else. NaN is left out: it is not equal to itself."""
    return (
        st.none()
        | st.booleans()
        | st.integers(-(1 << 64), (1 << 64) - 1)
        | st.floats(allow_nan=False)
        | texts()
        | st.binary(max_size=40)
        | (st.integers(0, 19) | st.just(23) | st.integers(32, 255)).map(cbor.Simple)
        | st.builds(
            cbor.Tag, st.sampled_from([2, 3]), st.binary(min_size=9, max_size=20).filter(lambda raw: raw[0] > 0)
        )
    )


def cbor_values(depth: int = 5) -> SearchStrategy[Any]:
    """Everything that deterministic CBOR can hold, with at most ``depth`` levels of arrays, maps and tags."""
    values = scalars()
    for _ in range(depth - 1):
        inner = values
        values = scalars() | (
            st.lists(inner, max_size=4)
            | st.dictionaries(keys(), inner, max_size=4)
            | st.builds(cbor.Tag, st.integers(4, (1 << 64) - 1), inner)
        )
    return values


@st.composite
def damaged(draw: DrawFn, encodings: SearchStrategy[bytes]) -> bytes:
    """An encoding with some octets replaced, inserted or removed."""
    octets = bytearray(draw(encodings))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(octets)))
        octets[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(octets)


# --- content ----------------------------------------------------------------------------------------------------------


def content_types() -> SearchStrategy[str]:
    """Media types, known, unknown and outlandish."""
    return (
        st.sampled_from([TEXT_PLAIN, MARKDOWN, HTML, MIMI_STATUS, TYPING, "image/png", "application/x-unknown"])
        | texts()
    )


def dispositions() -> SearchStrategy[int]:
    """All of them: those from 9 on are unknown and legitimate."""
    return st.integers(0, 255)


def languages() -> SearchStrategy[str]:
    """Language tags, and what somebody else may take for one."""
    return st.sampled_from(["", "en", "it", "de-CH", "en,fr-CA", "zh-Hant"]) | texts(12)


def null_parts() -> SearchStrategy[NullPart]:
    """Deletions."""
    return st.builds(NullPart, disposition=dispositions(), language=languages())


def single_parts() -> SearchStrategy[SinglePart]:
    """Bodies that travel inside the message, text and otherwise."""
    return st.builds(
        SinglePart,
        content_types(),
        texts(60).map(str.encode) | st.binary(max_size=60),
        disposition=dispositions(),
        language=languages(),
    )


def external_parts() -> SearchStrategy[ExternalPart]:
    """Attachments, links and sessions."""
    return st.builds(
        ExternalPart,
        content_types(),
        st.sampled_from(["https://files.example/a.png", "mxc://hs.example/abc", "1037543291543636"]) | texts(),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, (1 << 16) - 1),
        st.binary(max_size=32),
        st.binary(max_size=12),
        st.binary(max_size=8),
        st.integers(0, (1 << 8) - 1),
        st.binary(max_size=32),
        texts(),
        texts(),
        disposition=dispositions(),
        language=languages(),
    )


def multi_parts(inner: SearchStrategy[Part]) -> SearchStrategy[MultiPart]:
    """Two to four parts of ``inner``."""
    return st.builds(
        MultiPart,
        st.sampled_from(Semantics),
        st.lists(inner, min_size=2, max_size=4).map(tuple),
        disposition=dispositions(),
        language=languages(),
    )


def parts(depth: int = MAX_DEPTH) -> SearchStrategy[Part]:
    """Every kind of part, nested as deeply as the draft allows."""
    leaves = null_parts() | single_parts() | external_parts()
    return leaves if depth == 1 else leaves | multi_parts(parts(depth - 1))


def message_ids() -> SearchStrategy[bytes]:
    """Ids of messages that nobody has seen."""
    return st.binary(min_size=MESSAGE_ID_OCTETS - 1, max_size=MESSAGE_ID_OCTETS - 1).map(b"\x01".__add__)


def expirations() -> SearchStrategy[Expiration]:
    """Relative ones within a year, and absolute ones at any time."""
    relative = st.builds(Expiration, st.just(True), st.integers(0, MAX_EXPIRY_SECONDS))
    return relative | st.builds(Expiration, st.just(False), st.integers(0, (1 << 32) - 1))


def extensions() -> SearchStrategy[dict[int | str, Any]]:
    """The two that the draft defines, sometimes, and others with any value, four levels deep at most."""
    known = st.fixed_dictionaries({}, optional={1: texts(), 2: texts()})
    names = st.integers(3, cbor.MAX_INTEGER_KEY) | st.integers(-cbor.MAX_INTEGER_KEY, -1) | texts(12).filter(bool)
    unknown = st.dictionaries(names, cbor_values(3), max_size=3)
    return st.builds(lambda one, other: one | other, unknown, known)


def contents() -> SearchStrategy[Content]:
    """Every content that the draft allows."""
    return st.builds(
        Content,
        st.binary(min_size=SALT_OCTETS, max_size=SALT_OCTETS),
        parts(),
        st.none() | message_ids(),
        st.binary(max_size=40) | st.just(b"t" * MAX_TOPIC_OCTETS),
        st.none() | expirations(),
        st.none() | message_ids(),
        extensions(),
    )


# --- people -----------------------------------------------------------------------------------------------------------


def domains() -> SearchStrategy[str]:
    """Domains that a bridge may have."""
    return st.sampled_from(
        ["rialto.example", "localhost", "xn--bcher-kva.example:8443", "[::1]:80", "192.0.2.1", "a_b.c-d.x"]
    )


def networks() -> SearchStrategy[str]:
    """Names of networks, ours and others'."""
    return st.sampled_from(["xmpp", "matrix", "whatsapp", "business"]) | st.from_regex(
        r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True
    )


def addresses() -> SearchStrategy[Address]:
    """People on any network, called anything at all."""
    return st.builds(Address, networks(), texts(60).filter(bool))


def native_names() -> SearchStrategy[tuple[str, str]]:
    """Networks, and people on them as the network writes them, not always in the one spelling."""
    letters = st.text(st.sampled_from("abcXYZ019._-ßÄéΣςжЖ名字"), min_size=1, max_size=12)
    hosts = st.sampled_from(
        ["a.example", "A.Example", "bücher.example", "xn--bcher-kva.example", "192.0.2.1", "[::1]", "日本.jp."]
    )
    resources = st.just("") | texts(12).filter(str.isprintable).filter(str.isalnum).map("/".__add__)
    jids = st.builds("{}@{}{}".format, letters, hosts, resources) | hosts
    mxids = st.builds("@{}:{}".format, texts(20).filter(lambda t: not {":", "\0"} & set(t)), st.just("hs.example:8448"))
    phones = st.from_regex(r"\+?[1-9][0-9]{1,14}", fullmatch=True)
    bsuids = st.from_regex(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,20}", fullmatch=True)
    return (
        st.tuples(st.just("xmpp"), jids)
        | st.tuples(st.just("matrix"), mxids)
        | st.tuples(st.just("whatsapp"), phones | bsuids)
        | st.tuples(st.just("another"), texts().filter(bool))
    )
