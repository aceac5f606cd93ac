"""Any bytes posted to the business API's ``/messages`` are read or refused, and what was read can be told again.

``python -m tests.fuzz.fuzz_business [-max_total_time=600] [CORPUS]``; needs atheris.
"""

from __future__ import annotations

import contextlib
import sys

from adapters.business import codec, wamid
from adapters.business.config import Number, Subscriber
from adapters.business.errors import BusinessError
from adapters.business.files import File
from adapters.business.identity import Person, read
from protocol.uri import Address

PERSON = Person(Address("xmpp", "juliet@capulet.example"), "999123456789012", "XX.1234567890123456789")
LINE = codec.Line("2001", Number("shop", "1001", "+1 555-000-1001"), Subscriber.DUAL)
FILE = File(id="77", mime="image/png", sha256="00" * 32, size=4, owner="1001", expires=0)


def one_input(data: bytes) -> None:
    """Read ``data`` as a request, and tell what it says to a program."""
    try:
        command = codec.command(data)
    except BusinessError:
        return
    if isinstance(command, codec.MarkRead):
        assert str(wamid.parse(command.message_id)) == command.message_id
        return
    with contextlib.suppress(BusinessError):
        read(command.to)
    if isinstance(command.what, codec.Reaction) and not command.what.emoji:
        return
    message = codec.to_message(command, FILE)
    told = codec.message_event(LINE, PERSON, "Juliet", message, "key", 0, FILE)
    assert told[1].isascii()
    assert told == codec.message_event(LINE, PERSON, "Juliet", message, "key", 0, FILE)


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
