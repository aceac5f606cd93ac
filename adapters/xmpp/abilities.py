"""What XMPP can show, as the degradation plan wants to know it."""

from __future__ import annotations

from adapters.xmpp import styling
from adapters.xmpp.config import XmppConfig
from protocol.capabilities import Capabilities, Feature, FileRule, Level, Limits, Unit, Way
from protocol.leg import LegClass

_FEATURES = {
    Feature.REPLY: Level.FULL,
    Feature.REACTION: Level.FULL,
    Feature.EDIT: Level.FULL,
    Feature.DELETE: Level.FULL,
    Feature.LOCATION: Level.FULL,
    Feature.DELIVERED: Level.FULL,
    Feature.READ: Level.FULL,
    Feature.TYPING: Level.FULL,
}
_FORMATTING = dict.fromkeys(styling.FORMATTING, Level.FULL)


def capabilities(config: XmppConfig, *, room: bool, files: bool) -> Capabilities:
    """Return what a chat or a room can show; ``files`` says whether the server takes uploads.

    ``idempotent_send`` is not claimed: XMPP has no such key. A send that ended unsure is looked up instead
    (``Reconcile``), in the room's archive or in the log of what was sent.
    """
    rule = FileRule(max_size=config.max_file_bytes)
    received = Way(features=_FEATURES, formatting=_FORMATTING, files={"*/*": rule})
    sent = Way(features=_FEATURES, formatting=_FORMATTING, files={"*/*": rule} if files else {})
    return Capabilities(
        leg=LegClass.OPEN,
        send=sent,
        receive=received,
        limits=Limits(unit=Unit.UTF8, text=config.max_text_bytes),
        shows_sender=True,
        reports_delivery=not room,
        ordered=True,
        history=room,
    )
