"""The planner: one content and what the network can do, to what will be sent."""

from __future__ import annotations

from protocol.capabilities import Capabilities
from protocol.content import Content
from protocol.degrade.model import Context, Plan, Planned

_NOTHING_KNOWN = Context()


def plan(content: Content, capabilities: Capabilities, *, context: Context = _NOTHING_KNOWN) -> Plan:
    """Return what will be sent of ``content`` and what is lost. Never raises."""
    message = Planned(
        part=content.part,
        keeps_replaces=content.replaces is not None,
        keeps_in_reply_to=content.in_reply_to is not None,
    )
    return Plan(messages=(message,))
