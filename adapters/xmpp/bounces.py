"""Error stanzas, both ways: what a bounce means for a delivery, and how a refusal is told to a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from adapters.contract import Outcome, Permanent, Reason, Refused, Retry
from adapters.xmpp import xml
from adapters.xmpp.errors import StanzaError, StanzaRefused

_REASONS = {
    "item-not-found": Reason.RECIPIENT_UNKNOWN,
    "gone": Reason.RECIPIENT_UNKNOWN,
    "jid-malformed": Reason.RECIPIENT_UNKNOWN,
    "remote-server-not-found": Reason.RECIPIENT_UNKNOWN,
    "service-unavailable": Reason.RECIPIENT_UNREACHABLE,
    "recipient-unavailable": Reason.RECIPIENT_UNREACHABLE,
    "forbidden": Reason.NOT_ALLOWED,
    "not-acceptable": Reason.NOT_ALLOWED,  # the recipient has blocked the sender
    "not-allowed": Reason.NOT_ALLOWED,
    "not-authorized": Reason.NOT_ALLOWED,
    "policy-violation": Reason.NOT_ALLOWED,
    "registration-required": Reason.NOT_ALLOWED,
    "subscription-required": Reason.NOT_ALLOWED,
}
_PASSING = frozenset({"remote-server-timeout", "resource-constraint", "internal-server-error"})

_REFUSALS = {
    "unknown-conversation": ("item-not-found", "cancel", "There is nobody of this name."),
    "too-large": ("policy-violation", "modify", "This message is too large to be carried to the other network."),
    "not-allowed": ("forbidden", "auth", "You may not write there."),
    "too-many": ("policy-violation", "wait", "You are writing faster than messages can be carried."),
    "invalid": ("bad-request", "modify", "This message cannot be carried to the other network."),
}
_FAILURES: Mapping[str, tuple[str, str]] = {
    Reason.RECIPIENT_UNKNOWN: ("item-not-found", "cancel"),
    Reason.RECIPIENT_UNREACHABLE: ("recipient-unavailable", "wait"),
    Reason.NOT_ALLOWED: ("forbidden", "auth"),
    Reason.WINDOW_CLOSED: ("not-allowed", "cancel"),
    Reason.UNSUPPORTED: ("feature-not-implemented", "cancel"),
    Reason.MEDIA_TOO_LARGE: ("policy-violation", "modify"),
    Reason.TOO_LARGE: ("policy-violation", "modify"),
    Reason.EXPIRED: ("remote-server-timeout", "wait"),
    Reason.UNCERTAIN: ("undefined-condition", "cancel"),
}


def read(stanza: Element) -> StanzaError:
    """Return what an error stanza says; a broken one counts as ``undefined-condition``."""
    error = stanza.find(xml.ERROR)
    if error is None:
        return StanzaError("undefined-condition")
    condition, text = "undefined-condition", ""
    for each in error:
        namespace, _, name = each.tag.rpartition("}")
        if namespace == f"{{{xml.STANZAS}":
            if name == "text":
                text = (each.text or "")[:500]
            else:
                condition = name
    return StanzaError(condition, error.get("type", "cancel"), text)


def outcome(error: StanzaError) -> Outcome:
    """Return what a bounce means for the delivery that caused it."""
    if error.kind == "wait" or error.condition in _PASSING:
        return Retry(str(error))
    return Permanent(_REASONS.get(error.condition, Reason.REJECTED), str(error))


def reason(error: StanzaError) -> str:
    """Return why what was sent has not arrived, in the contract's words."""
    return _REASONS.get(error.condition, Reason.RECIPIENT_UNREACHABLE)


def refusal(refused: Refused) -> StanzaRefused:
    """Return how the endpoint's refusal is told to the person whose message it was."""
    condition, kind, text = _REFUSALS.get(refused.reason, _REFUSALS["invalid"])
    said = str(refused)
    return StanzaRefused(condition, text if said in {"", refused.reason} else said, kind)


def failure(reason: str, text: str) -> StanzaRefused:
    """Return how a failed or uncertain delivery is told to the person whose message it was."""
    condition, kind = _FAILURES.get(reason, ("undefined-condition", "cancel"))
    return StanzaRefused(condition, text or f"This message was not delivered ({reason or 'unknown reason'}).", kind)


def failed(ghost: str, user: str, client: str, id_: str, failure: StanzaRefused, key: str) -> Element:
    """Return what tells ``user`` that the message ``id_`` to ``ghost`` failed.

    An error stanza, if we still know the client (full JID) that it came from; servers drop errors to bare JIDs, so
    otherwise an ordinary message.
    """
    if client:
        return error_stanza(xml.MESSAGE, ghost, client, id_, failure)
    return notice(ghost, user, f"A message to me was not delivered: {failure.text}", key)


def notice(ghost: str, user: str, text: str, key: str) -> Element:
    """Return an ordinary message in which ``ghost`` tells ``user`` what became of one."""
    message = xml.stanza(xml.MESSAGE, type="chat", from_=ghost, to=user, id=key)
    xml.child(message, xml.CLIENT, "body", text)
    return message


def write(stanza: Element, refused: StanzaRefused) -> Element:
    """Return the error stanza that answers ``stanza``; what it said is not repeated."""
    return error_stanza(stanza.tag, stanza.get("to"), stanza.get("from"), stanza.get("id"), refused)


def error_stanza(tag: str, from_: str | None, to: str | None, id_: str | None, refused: StanzaRefused) -> Element:
    """Return an error stanza from ``from_`` about the stanza ``id_`` that ``to`` sent."""
    answer = xml.stanza(tag, type="error", from_=from_, to=to, id=id_)
    error = xml.child(answer, xml.CLIENT, "error", type=refused.kind)
    xml.child(error, xml.STANZAS, refused.condition)
    xml.child(error, xml.STANZAS, "text", refused.text)
    return answer
