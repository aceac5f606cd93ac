"""Any bytes taken for a Matrix event are a message or refused in words, and a message can be said on Matrix again.

``python -m tests.fuzz.fuzz_matrix [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import sys

import msgspec

from adapters.contract import Message, Refused
from adapters.matrix import codec
from adapters.matrix.names import Names
from protocol.content import ExternalPart, MultiPart

NAMES = Names("hs.test", "rialto_", "rialto")


def one_input(data: bytes) -> None:
    """Read ``data`` as an event and say what it says; and as the name of a ghost."""
    _named(data.decode(errors="replace"))
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if not isinstance(event, dict):
        return
    try:
        message = codec.decode(event)
    except Refused:
        return
    _said(message)


def _said(message: Message) -> None:
    said = codec.encode(message, "mxc://hs.test/again", 1)
    if isinstance(said, codec.Redaction):
        assert said.event_id == message.replaces
        return
    msgspec.json.encode(said.content)
    again = codec.decode({"type": said.type, "content": said.content})
    assert again.replaces == message.replaces
    assert isinstance(again.part, ExternalPart | MultiPart) == isinstance(message.part, ExternalPart | MultiPart)


def _named(text: str) -> None:
    user_id = f"@rialto_{text}:hs.test"
    address = NAMES.address(user_id)
    assert address is None or NAMES.ghost(address) == user_id


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
