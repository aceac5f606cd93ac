"""What people on other networks are told of a failure: our own words, by its reason.

What an adapter or a library says of an error may name hosts, files and people of the inside. That stays in the log and
in the ledger of whoever failed.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.contract import REPLAYED, Reason
from bridge.endpoint.translate import Failure

_WORDS: Mapping[str, str] = {
    Reason.RECIPIENT_UNKNOWN: "There is nobody of this name.",
    Reason.RECIPIENT_UNREACHABLE: "It could not be delivered in time.",
    Reason.NOT_ALLOWED: "This is not allowed here.",
    Reason.WINDOW_CLOSED: "The recipient has not written for too long to be written to.",
    Reason.UNSUPPORTED: "The recipient's network cannot show this.",
    Reason.MEDIA_UNREACHABLE: "The file could not be fetched.",
    Reason.MEDIA_TOO_LARGE: "The file is too large.",
    Reason.MEDIA_REFUSED: "The recipient's network does not take this file.",
    Reason.TOO_LARGE: "It is too large.",
    Reason.EXPIRED: "It expired before it could be delivered.",
    Reason.DELETED: "It was deleted before it was delivered.",
    Reason.REJECTED: "The recipient's network refused it.",
    Reason.UNCERTAIN: "Nobody can say whether it was delivered.",
    Reason.LEFT: "The recipient is no longer here.",
    Reason.ATTACHMENT_LOST: "The file was lost on the way: please send it again.",
    REPLAYED: "It was delivered after all.",
}


def told(failure: Failure) -> Failure:
    """Return a failure as it may be told to somebody on another network."""
    return Failure(failure.reason, failure.words or _WORDS.get(failure.reason, "It could not be delivered."))
