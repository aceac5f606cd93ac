"""The reference page's examples are what the code says: ``specs/content.md`` shows each of these, in this order.

``python -m tests.unit.protocol.test_reference_page`` prints them in diagnostic notation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from protocol import cbor, content, extensions, status
from protocol.attachment import Sealer
from protocol.content import (
    HTML,
    MARKDOWN,
    MIMI_STATUS,
    TEXT_PLAIN,
    TYPING,
    Content,
    Disposition,
    Expiration,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    cid,
    encode,
    message_id,
    reaction,
    text,
)
from protocol.uri import Address, room_uri, user_uri

PAGE = Path(__file__).parents[3] / "specs" / "content.md"
DOMAIN = "rialto.example"
JULIET, ROMEO = Address("xmpp", "juliet@capulet.lit"), Address("matrix", "@romeo:montague.lit")
ROOM = room_uri(DOMAIN, "balcony")


def by(address: Address, **more: Any) -> dict[int | str, Any]:
    """The two extensions that every message of ours has, and ``more`` by their short names."""
    named: dict[int | str, Any] = {1: user_uri(DOMAIN, address), 2: ROOM}
    return named | {f"rialto.{name.replace('_', '-')}": value for name, value in more.items()}


def salt(number: int) -> bytes:
    return sha256(bytes([number])).digest()[:16]


ORIGINAL = Content(salt(1), text("Wherefore art thou Romeo?"), extensions=by(JULIET))
ORIGINAL_ID = message_id(encode(ORIGINAL), user_uri(DOMAIN, JULIET), ROOM)
REACTION = Content(salt(4), reaction("❤"), in_reply_to=ORIGINAL_ID, extensions=by(ROMEO))
REACTION_ID = message_id(encode(REACTION), user_uri(DOMAIN, ROMEO), ROOM)
MENTION = f"Good night, [@romeo]({user_uri(DOMAIN, ROMEO)})"
WITHDRAWN = reaction()


def attached() -> ExternalPart:
    sealer = Sealer(salt(91), salt(92)[:12])
    stored = sealer.update(b"not really a picture") + sealer.finish()
    url = f"https://{DOMAIN}/proxyDownload/{sha256(stored).hexdigest()}"
    return sealer.part("image/png", url, description="The balcony by night", filename="balcony.png")


EXAMPLES: dict[str, Content] = {
    "text": ORIGINAL,
    "reply in Markdown with a mention": Content(
        salt(2), text(MENTION, MARKDOWN), in_reply_to=ORIGINAL_ID, topic_id=b"balcony", extensions=by(JULIET)
    ),
    "edit": Content(salt(3), text("Wherefore art thou Romeo, Romeo?"), replaces=ORIGINAL_ID, extensions=by(JULIET)),
    "reaction": REACTION,
    "vanishing": Content(
        salt(8), text("Burn this letter."), expires=Expiration(relative=True, time=3600), extensions=by(JULIET)
    ),
    "deletion": Content(salt(7), NullPart(), replaces=ORIGINAL_ID, extensions=by(JULIET)),
    "reaction withdrawn": Content(
        salt(6), WITHDRAWN, replaces=REACTION_ID, in_reply_to=ORIGINAL_ID, extensions=by(ROMEO)
    ),
    "attachment": Content(salt(9), attached(), extensions=by(ROMEO)),
    "link to a conference": Content(
        salt(10),
        ExternalPart("", "https://meet.example/balcony", description="The balcony", disposition=Disposition.SESSION),
        extensions=by(ROMEO),
    ),
    "alternatives": Content(
        salt(11),
        MultiPart(Semantics.CHOOSE_ONE, (text("**Good** night", MARKDOWN), text("Good night"))),
        extensions=by(JULIET),
    ),
    "one whole": Content(
        salt(12),
        MultiPart(
            Semantics.SINGLE_UNIT,
            (
                text(f'<p>See: <img src="{cid(2)}" alt="moon"></p>', HTML),
                SinglePart("image/gif", b"GIF89a", disposition=Disposition.INLINE),
            ),
        ),
        extensions=by(ROMEO),
    ),
    "independent parts": Content(
        salt(13),
        MultiPart(
            Semantics.PROCESS_ALL,
            (
                SinglePart(TEXT_PLAIN, b"Buona notte", language="it"),
                ExternalPart("image/png", "https://files.example/moon.png", disposition=Disposition.PREVIEW),
            ),
        ),
        extensions=by(ROMEO),
    ),
    "several reactions": Content(salt(5), reaction("❤", "🥳"), in_reply_to=ORIGINAL_ID, extensions=by(ROMEO)),
    "all extensions": Content(
        salt(14),
        text("A rose by any other name"),
        extensions=by(
            JULIET,
            sender_name="Juliet",
            sender_avatar="https://capulet.lit/juliet.png",
            forwarded=1,
            origin_network="xmpp",
        )
        | {
            3: extensions.timestamp(1_762_760_377_462),
            4: extensions.external_id("de305d54-75b4", user_uri(DOMAIN, JULIET)),
        },
    ),
    "status report": Content(
        salt(15),
        SinglePart(
            MIMI_STATUS,
            status.encode([(ORIGINAL_ID, status.Status.ERROR)]),
            disposition=Disposition.UNSPECIFIED,
        ),
        extensions=by(ROMEO, failure=extensions.failure("window-closed", "The reply window has closed.")),
    ),
    "typing": Content(
        salt(16),
        SinglePart(TYPING, cbor.encode({"active": True}), disposition=Disposition.UNSPECIFIED),
        extensions=by(ROMEO, sender_name="Romeo"),
    ),
}

FIELDS = ("salt", "replaces", "topic", "expires", "in reply to", "extensions", "body")
ABOUT = ("disposition", "language", "cardinality")
AFTER: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("content type", "content"),
    2: (
        "content type", "url", "expires", "size", "encryption", "key", "nonce", "aad",
        "hash", "content hash", "description", "filename",
    ),
    3: ("semantics", "parts"),
}  # fmt: skip


def diagnostic(said: Content) -> str:
    """A content in diagnostic notation (RFC 8949 §8), each field with its name in a comment."""
    return "\n".join(_fields(cbor.decode(encode(said)), FIELDS, ""))


def _fields(values: list[Any], names: tuple[str, ...], indent: str) -> Iterator[str]:
    yield f"{indent}["
    for position, (name, value) in enumerate(zip(names, values, strict=True)):
        comma = "," if position < len(values) - 1 else ""
        yield from _field(name, value, comma, indent + "  ")
    yield f"{indent}]"


def _field(name: str, value: Any, comma: str, indent: str) -> Iterator[str]:
    if name == "body":
        yield f"{indent}/ body /"
        yield from _fields(value, ABOUT + AFTER[value[2]], indent)
    elif name == "parts":
        yield f"{indent}/ parts / ["
        for index, part in enumerate(value):
            *lines, last = _fields(part, ABOUT + AFTER[part[2]], indent + "  ")
            yield from lines
            yield last + ("," if index < len(value) - 1 else "")
        yield f"{indent}]"
    elif name == "extensions":
        yield f"{indent}/ extensions / {{"
        rows = [f"{_spelt(key)}: {_spelt(inner)}" for key, inner in value.items()]
        yield ",\n".join(f"{indent}  {row}" for row in rows)
        yield f"{indent}}}{comma}"
    else:
        yield f"{indent}/ {name} / {_spelt(value)}{comma}"


def _spelt(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, bytes):
        return f"'{value.decode()}'" if value and _readable(value) else f"h'{value.hex()}'"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_spelt, value)) + "]"
    if isinstance(value, cbor.Tag):
        return f"{value.number}({_spelt(value.value)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_spelt(key)}: {_spelt(inner)}" for key, inner in value.items()) + "}"
    return repr(value)


def _readable(value: bytes) -> bool:
    try:
        return value.decode().isprintable() and b"'" not in value and b"\\" not in value
    except UnicodeDecodeError:
        return False


def test_the_page_shows_every_example_as_the_code_encodes_it() -> None:
    shown = re.findall(r"```cbor-diag\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
    assert shown == [diagnostic(said) for said in EXAMPLES.values()]


@pytest.mark.parametrize("row", extensions.TABLE.values(), ids=lambda row: row.name)
def test_the_page_lists_every_extension(row: extensions.Extension) -> None:
    key = f"`{row.key}`" if isinstance(row.key, str) else str(row.key)
    assert f"| {key} | {row.name} | {row.setter} | {row.meaning} | {row.value} |" in PAGE.read_text()


def test_the_page_lists_every_refusal() -> None:
    family = cbor.CborError.__subclasses__() + content.ContentError.__subclasses__()
    listed = re.findall(r"`((?:cbor|content)-[a-z0-9-]+)`", PAGE.read_text())
    assert sorted(listed) == sorted(error.code for error in family)


if __name__ == "__main__":
    for title, example in EXAMPLES.items():
        print(f"### {title}\n\n```cbor-diag\n{diagnostic(example)}\n```\n")
