"""What clients ask about a person of another network: features (0030, 0115), name (0054, 0292), a ping (0199). Pure."""

from __future__ import annotations

import base64
import hashlib
from xml.etree.ElementTree import Element

from adapters.xmpp import xml

RESOURCE = "rialto"
"""The one client that every person of another network has."""
NODE = "https://github.com/rialto-bridge/rialto"

# A person can do what the bridge carries; clients offer their users nothing that is not listed here.
_PERSON = ("account", "registered")
_GATEWAY = ("gateway", "xmpp")
FEATURES = tuple(
    sorted(
        (
            xml.CAPS,
            xml.CHATSTATES,
            xml.CORRECT,
            xml.DISCO_INFO,
            xml.FALLBACK,
            xml.MARKERS,
            xml.NICK,
            xml.OOB,
            xml.PING,
            xml.REACTIONS,
            xml.RECEIPTS,
            xml.REPLY,
            xml.RETRACT,
            xml.SID,
            xml.STYLING,
            xml.VCARD_TEMP,
            xml.VCARD4,
        )
    )
)


def answer(iq: Element, name: str | None) -> Element | None:
    """Return the result of an iq-get to a person called ``name`` (None: to the bridge itself); None if not known."""
    result = xml.stanza(xml.IQ, type="result", from_=iq.get("to"), to=iq.get("from"), id=iq.get("id"))
    asked = next(iter(iq), None)
    if asked is None or iq.get("type") != "get":
        return None
    if asked.tag == xml.q(xml.PING, "ping"):
        return result
    if asked.tag == xml.q(xml.DISCO_INFO, "query"):
        _describe(xml.child(result, xml.DISCO_INFO, "query", node=asked.get("node")), name)
        return result
    if asked.tag == xml.q(xml.DISCO_ITEMS, "query"):
        xml.child(result, xml.DISCO_ITEMS, "query", node=asked.get("node"))
        return result
    if asked.tag == xml.q(xml.VCARD_TEMP, "vCard"):
        card = xml.child(result, xml.VCARD_TEMP, "vCard")
        xml.child(card, xml.VCARD_TEMP, "FN", _shown(name))
        xml.child(card, xml.VCARD_TEMP, "NICKNAME", _shown(name))
        return result
    if asked.tag == xml.q(xml.VCARD4, "vcard"):
        full_name = xml.child(xml.child(result, xml.VCARD4, "vcard"), xml.VCARD4, "fn")
        xml.child(full_name, xml.VCARD4, "text", _shown(name))
        return result
    return None


def presence(from_: str, to: str, id_: str, name: str = "") -> Element:
    """Return the presence of somebody who can always be written to."""
    stanza = xml.stanza(xml.PRESENCE, from_=f"{from_}/{RESOURCE}", to=to, id=id_)
    xml.child(stanza, xml.CAPS, "c", hash="sha-1", node=NODE, ver=VERSION)
    if name:
        xml.child(stanza, xml.NICK, "nick", name)
    return stanza


def _describe(query: Element, name: str | None) -> None:
    category, type_ = _GATEWAY if name is None else _PERSON
    # The verification string covers identities: people all have the same, nameless one, and so the same hash.
    xml.child(query, xml.DISCO_INFO, "identity", category=category, type=type_)
    for feature in FEATURES:
        xml.child(query, xml.DISCO_INFO, "feature", var=feature)


def _shown(name: str | None) -> str:
    return "Rialto" if name is None else name


def _version() -> str:
    """Return the verification string of XEP-0115 §5.1 for a person."""
    text = "/".join(_PERSON) + "//<" + "".join(f"{feature}<" for feature in FEATURES)
    return base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()  # noqa: S324 - the XEP says SHA-1


VERSION = _version()
