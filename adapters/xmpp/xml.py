"""The names of XMPP's XML, and the few things done with elements everywhere. Pure.

Elements are ``xml.etree.ElementTree`` elements whose stanzas stand in ``jabber:client``, on both sides of the codec;
the link renames them to the component's own namespace and back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from xml.etree.ElementTree import Element, SubElement

CLIENT: Final = "jabber:client"
COMPONENT: Final = "jabber:component:accept"
STANZAS: Final = "urn:ietf:params:xml:ns:xmpp-stanzas"

CAPS: Final = "http://jabber.org/protocol/caps"  # XEP-0115
CHATSTATES: Final = "http://jabber.org/protocol/chatstates"  # 0085
CORRECT: Final = "urn:xmpp:message-correct:0"  # 0308
DATA: Final = "jabber:x:data"  # 0004
DELAY: Final = "urn:xmpp:delay"  # 0203
DISCO_INFO: Final = "http://jabber.org/protocol/disco#info"  # 0030
DISCO_ITEMS: Final = "http://jabber.org/protocol/disco#items"
FALLBACK: Final = "urn:xmpp:fallback:0"  # 0428
FORWARD: Final = "urn:xmpp:forward:0"  # 0297
HINTS: Final = "urn:xmpp:hints"  # 0334
MAM: Final = "urn:xmpp:mam:2"  # 0313
MARKERS: Final = "urn:xmpp:chat-markers:0"  # 0333
MUC: Final = "http://jabber.org/protocol/muc"  # 0045
MUC_OWNER: Final = "http://jabber.org/protocol/muc#owner"
MUC_USER: Final = "http://jabber.org/protocol/muc#user"
NICK: Final = "http://jabber.org/protocol/nick"  # 0172
OCCUPANT: Final = "urn:xmpp:occupant-id:0"  # 0421
OMEMO: Final = ("eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2")  # 0384
OOB: Final = "jabber:x:oob"  # 0066
PING: Final = "urn:xmpp:ping"  # 0199
REACTIONS: Final = "urn:xmpp:reactions:0"  # 0444
RECEIPTS: Final = "urn:xmpp:receipts"  # 0184
REPLY: Final = "urn:xmpp:reply:0"  # 0461
RETRACT: Final = "urn:xmpp:message-retract:1"  # 0424
RSM: Final = "http://jabber.org/protocol/rsm"  # 0059
SID: Final = "urn:xmpp:sid:0"  # 0359
STYLING: Final = "urn:xmpp:styling:0"  # 0393
UPLOAD: Final = "urn:xmpp:http:upload:0"  # 0363
VCARD4: Final = "urn:ietf:params:xml:ns:vcard-4.0"  # 0292
VCARD_TEMP: Final = "vcard-temp"  # 0054
SENT: Final = "urn:rialto:sent:0"
"""Marks what the bridge itself says in a room, so that it knows its own words in the archive."""

HEARD: Final = "urn:rialto:heard:0"
"""Stands in a room's message once it was heard: who said it, as far as the room told it then."""

MESSAGE: Final = f"{{{CLIENT}}}message"
PRESENCE: Final = f"{{{CLIENT}}}presence"
IQ: Final = f"{{{CLIENT}}}iq"
BODY: Final = f"{{{CLIENT}}}body"
ERROR: Final = f"{{{CLIENT}}}error"


def q(namespace: str, name: str) -> str:
    """Return a qualified name as ElementTree writes it."""
    return f"{{{namespace}}}{name}"


def child(parent: Element, namespace: str, name: str, text: str | None = None, **attributes: str | None) -> Element:
    """Add a child and return it; attributes that are None are left out."""
    element = SubElement(parent, q(namespace, name), {k: v for k, v in attributes.items() if v is not None})
    element.text = text
    return element


def stanza(tag: str, **attributes: str | None) -> Element:
    """Return a new stanza; ``from_`` stands for ``from``, attributes that are None are left out."""
    named = {key.rstrip("_"): value for key, value in attributes.items() if value is not None}
    return Element(tag, named)


def text_of(parent: Element, namespace: str, name: str) -> str:
    """Return the text of a child, '' if there is none."""
    return parent.findtext(q(namespace, name)) or ""


def legal(text: str) -> str:
    """Return ``text`` without what XML 1.0 cannot carry: control characters become U+FFFD, and so do surrogates."""
    return text.translate(_ILLEGAL) if not text.isprintable() else text


def serialise(element: Element) -> str:
    """Return the XML of a stanza as it goes over a component's stream.

    Namespaces are declared where they change, as people and servers are used to; prefixes are only ever ``xml:``.
    """
    out: list[str] = []
    _write(element, CLIENT, out)
    return "".join(out)


def rename(element: Element, old: str, new: str) -> Element:
    """Move every element of one namespace to another, in place."""
    prefix = f"{{{old}}}"
    for each in element.iter():
        if each.tag.startswith(prefix):
            each.tag = f"{{{new}}}{each.tag.removeprefix(prefix)}"
    return element


def _write(element: Element, around: str, out: list[str]) -> None:
    namespace, _, name = element.tag.rpartition("}")
    namespace = namespace.removeprefix("{")
    out.append(f"<{name}")
    if namespace != around:
        out.append(f' xmlns="{_escape(namespace)}"')
    for key, value in element.attrib.items():
        out.append(f' {key.replace(_XML, "xml:")}="{_attribute(value)}"')
    if element.text or len(element):
        out.append(">")
        out.append(_escape(element.text or ""))
        for each in element:
            _write(each, namespace, out)
            if each.tail:
                out.append(_escape(each.tail))
        out.append(f"</{name}>")
    else:
        out.append("/>")


def _escape(text: str) -> str:
    return legal(text).translate(_ENTITIES)


def _attribute(text: str) -> str:
    return _escape(text).replace("\n", "&#10;").replace("\t", "&#9;")


def _never() -> Iterable[int]:
    yield from (code for code in range(0x20) if chr(code) not in "\t\n\r")
    yield from range(0xD800, 0xE000)
    yield from (0xFFFE, 0xFFFF)


# A parser turns a bare carriage return into a line feed, and all white space in attributes into spaces.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})
_XML = "{http://www.w3.org/XML/1998/namespace}"
_ILLEGAL = dict.fromkeys(_never(), "�")
