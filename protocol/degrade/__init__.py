"""From what was said to what one network can show: pure, total and deterministic.

``plan`` turns one content into the native messages that will be sent, and says in words what is lost. It never raises,
whatever the content and the capabilities: what cannot be sent at all is a ``Refusal``.

Later answers find their way back with ``match_option``: buttons and lists that became numbered text are answered by a
digit or a title.
"""

from __future__ import annotations

from protocol.degrade.choices import match_option
from protocol.degrade.files import inline_bytes
from protocol.degrade.model import Context, Loss, Plan, Planned, Referenced, Refusal
from protocol.degrade.planner import plan

__all__ = [
    "Context",
    "Loss",
    "Plan",
    "Planned",
    "Referenced",
    "Refusal",
    "inline_bytes",
    "match_option",
    "plan",
]
