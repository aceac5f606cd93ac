"""Any content that can be decoded has a plan, on a network of plain text and on one that can show everything.

``python -m tests.fuzz.fuzz_degrade [-max_total_time=600] [CORPUS]``; needs atheris. The first octet limits text.
"""

from __future__ import annotations

import sys

from protocol import content, degrade
from protocol.capabilities import Capabilities, Feature, FileRule, Format, Level, Limits, Way
from protocol.errors import ProtocolError

EVERYTHING = Way(
    features=dict.fromkeys(Feature, Level.FULL),
    formatting=dict.fromkeys(Format, Level.FULL),
    files={"*/*": FileRule(caption=Level.FULL)},
)


def one_input(data: bytes) -> None:
    """Plan what ``data`` says."""
    try:
        said = content.decode(data[1:])
    except ProtocolError:
        return
    limits = Limits(text=data[0])
    for network in (Capabilities(limits=limits), Capabilities(send=EVERYTHING, limits=limits)):
        plan = degrade.plan(said, network)
        assert not (plan.refused and plan.messages)
        assert all(loss.text for loss in plan.losses)


def main() -> None:
    """Fuzz until told to stop."""
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
