"""Whatever is said and whatever a network can do, there is a plan, and it keeps to what the network takes.

``python -m tests.fuzz.fuzz_degrade [-max_total_time=600] [CORPUS]``; needs atheris. The octets choose the capabilities,
what is known of the messages that the content names, and the content.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from protocol import content, degrade
from protocol.capabilities import Capabilities
from protocol.content import Content
from protocol.errors import ProtocolError
from tests.fuzz import said
from tests.fuzz.harness import fuzz
from tests.property.test_degrade import obeys


def one_input(data: bytes) -> None:
    """Draw what is said and where, and plan it."""
    drawn = said.choices(data)
    try:
        network, context, message = drawn.of(Capabilities), drawn.of(degrade.Context), drawn.of(Content)
        content.check(message)
    except (ValueError, ProtocolError):
        return  # nothing that could be said
    plan = degrade.plan(message, network, context=context)
    assert plan == degrade.plan(message, network, context=context)
    assert not (plan.refused and plan.messages)
    for planned in plan.messages:
        obeys(planned.part, network)
        content.check(Content(bytes(16), planned.part))
        assert not planned.keeps_replaces or message.replaces is not None
        assert not planned.keeps_in_reply_to or message.in_reply_to is not None
    assert all(loss.text for loss in plan.losses)
    if plan.offers is not None:
        degrade.match_option(drawn.text(), plan.offers)


def seeds() -> Iterator[bytes]:
    """Choices at random, the same in every run."""
    random = Random(1)
    yield from (random.randbytes(size) for size in range(40, 360, 5))


if __name__ == "__main__":
    fuzz(one_input, "protocol", seeds=seeds())
