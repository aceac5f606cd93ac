"""The examples of draft-ietf-mimi-content: decode, encode to the same octets, give them the ids that the draft gives.

The folder named by ``RIALTO_VECTORS`` holds ``mimi-content/<name>.cbor`` and ``<name>.edn``, whose comment has the id.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cddl_verifier import Validator  # type: ignore[import-untyped]

from protocol import cbor
from protocol.content import (
    MARKDOWN,
    Content,
    Disposition,
    ExternalPart,
    MultiPart,
    NullPart,
    Semantics,
    SinglePart,
    decode,
    encode,
    message_id,
)

FOLDER = Path(os.environ.get("RIALTO_VECTORS", "unset")) / "mimi-content"
EXAMPLES = sorted(FOLDER.glob("*.cbor"))
SCHEMA = Path(__file__).parents[2] / "specs" / "content.cddl"
MESSAGE_ID = re.compile(r"message ID\s*=\s*h'([0-9a-f\s#]+)'")

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="RIALTO_VECTORS names no folder with the examples of MIMI content")


def example(name: str) -> Content:
    return decode((FOLDER / f"{name}.cbor").read_bytes())


def published_id(path: Path) -> bytes:
    found = MESSAGE_ID.search(path.with_suffix(".edn").read_text())
    assert found, f"{path.stem}.edn gives no message id"
    return bytes.fromhex(re.sub(r"[\s#]", "", found[1]))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_read_and_written_octet_for_octet(path: Path) -> None:
    data = path.read_bytes()
    assert encode(decode(data)) == data
    assert cbor.encode(cbor.decode(data)) == data


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_by_our_schema(path: Path) -> None:
    assert Validator(SCHEMA.read_text()).validate(path.read_bytes(), require_deterministic=True).valid


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_the_id_that_the_draft_gives_it(path: Path) -> None:
    data = path.read_bytes()
    said = decode(data).extensions
    assert message_id(data, said[1], said[2]) == published_id(path)


def test_a_reply_an_edit_and_a_deletion_refer_to_the_messages_the_draft_says() -> None:
    original, reply = published_id(FOLDER / "original.cbor"), published_id(FOLDER / "reply.cbor")
    assert example("reply").in_reply_to == original
    assert (example("edit").replaces, example("edit").in_reply_to) == (reply, original)
    assert example("delete").replaces == reply
    assert example("delete").part == NullPart()


def test_a_reaction_is_a_heart() -> None:
    part = example("reaction").part
    assert isinstance(part, SinglePart)
    assert (part.disposition, part.text) == (Disposition.REACTION, "❤")


def test_an_attachment_says_how_to_open_it() -> None:
    part = example("attachment").part
    assert isinstance(part, ExternalPart)
    assert (part.content_type, part.size, part.enc_alg, part.hash_alg) == ("video/mp4", 708_234_961, 1, 1)
    assert (len(part.key), len(part.nonce), len(part.content_hash)) == (16, 12, 32)
    assert (part.description, part.filename) == ("2 hours of key signing video", "bigfile.mp4")


def test_a_message_in_two_formats_is_a_choice() -> None:
    part = example("multipart-1").part
    assert isinstance(part, MultiPart)
    assert part.semantics is Semantics.CHOOSE_ONE
    markdown, fancy = part.parts
    assert markdown == SinglePart(MARKDOWN, b"# Welcome!")
    assert isinstance(fancy, SinglePart)
    assert fancy.content_type == "application/vnd.examplevendor-fancy-im-message"
