"""Who says what in a room (XEP-0045): a nickname is not a person, it changes hands.

A person is told from the room's others by the occupant id that the room gives (XEP-0421), where it gives one, by the
JID that it shows, or else by having held a nickname without a break since we have been there. What is said is marked
with who said it as soon as it is heard: later the nickname may be somebody else's.
"""

from __future__ import annotations

from collections import OrderedDict
from secrets import token_urlsafe
from typing import TypeVar
from xml.etree.ElementTree import Element

from msgspec import Struct

from adapters.xmpp import codec, names, xml
from adapters.xmpp.errors import NameRefused

REMEMBERED = 5_000

ValueT = TypeVar("ValueT")


class Speaker(Struct, frozen=True):
    """Who said something in a room, as far as the room told it when it was said.

    ``jid`` is their own bare JID, if the room shows it. ``key`` tells them from all others of the room, whatever
    nickname either had or has: '' if that cannot be known, and then nobody is taken for them.
    """

    jid: str = ""
    key: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """All that tells this person from others of the room."""
        keys = (self.key, f"jid {self.jid}" if self.jid else "")
        return tuple(key for key in dict.fromkeys(keys) if key)

    def is_surely(self, other: Speaker) -> bool:
        """Say whether both are one person; no as long as that cannot be known."""
        return not set(self.keys).isdisjoint(other.keys)


def speaker_of(stanza: Element) -> Speaker:
    """Return who said a message that a room has handed over."""
    noted = stanza.find(xml.q(xml.HEARD, "speaker"))
    return Speaker() if noted is None else Speaker(noted.get("jid", ""), noted.get("key", ""))


def mark(stanza: Element, speaker: Speaker) -> None:
    """Note in a stanza who said it, in place of whatever a stranger may have noted there."""
    for old in stanza.findall(xml.q(xml.HEARD, "speaker")):
        stanza.remove(old)
    xml.child(stanza, xml.HEARD, "speaker", jid=speaker.jid, key=speaker.key)


class Speakers:
    """The people of one room. ``open_jids``: it shows everybody's JID; ``numbered``: it gives occupant ids."""

    def __init__(self) -> None:
        self.open_jids = False
        self.numbered = False
        self.real: dict[str, str] = {}  # nickname to bare JID, where the room shows it
        self._tenures: dict[str, str] = {}  # nickname to what stands for its present holder
        self._jids: OrderedDict[str, str] = OrderedDict()  # occupant ids to bare JIDs, where the room shows them
        self._authors: OrderedDict[str, Speaker] = OrderedDict()  # archive ids to who wrote them

    def enter(self, *, numbered: bool) -> None:
        """Begin anew, as somebody who enters: who held a nickname before may be gone."""
        self._tenures.clear()
        self.real.clear()
        self.numbered = numbered

    def presence(self, stanza: Element) -> None:
        """Take note of who holds a nickname now, or no longer."""
        nick = names.resource(stanza.get("from", ""))
        self.real.pop(nick, None)
        if stanza.get("type") == "unavailable":
            self._tenures.pop(nick, None)
            return
        self._tenures.setdefault(nick, token_urlsafe(9))
        if jid := _shown_jid(stanza):
            self.real[nick] = jid
            if occupant := self._occupant(stanza):
                note(self._jids, occupant, jid)

    def speaking(self, stanza: Element) -> Speaker:
        """Return who says a message just now."""
        nick = names.resource(stanza.get("from", ""))
        jid = self.real.get(nick, "") if self.open_jids else ""
        held = f"held {self._tenures[nick]}" if nick in self._tenures else ""
        return Speaker(jid, _key(self._occupant(stanza), jid) or held)

    def archived(self, stanza: Element) -> Speaker:
        """Return who said a message of the archive then, whoever has the nickname now."""
        occupant = self._occupant(stanza)
        jid = (_shown_jid(stanza) or self._jids.get(occupant, "")) if self.open_jids else ""
        return Speaker(jid, _key(occupant, jid))

    def wrote(self, number: str, speaker: Speaker) -> None:
        """Remember who wrote the message ``number``."""
        note(self._authors, number, speaker)

    def author(self, number: str) -> Speaker | None:
        """Return who wrote the message ``number``, None if that is forgotten."""
        return self._authors.get(number)

    def _occupant(self, stanza: Element) -> str:
        """Return the id that the room gives to an occupant for good (XEP-0421 §4); what others claim is no such id."""
        said = stanza.find(xml.q(xml.OCCUPANT, "occupant-id")) if self.numbered else None
        return (said.get("id", "") if said is not None else "")[: codec.MAX_ID]


def note(memory: OrderedDict[str, ValueT], key: str, value: ValueT) -> None:
    """Remember something, and forget the oldest when there is too much."""
    memory[key] = value
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _key(occupant: str, jid: str) -> str:
    return f"occupant {occupant}" if occupant else f"jid {jid}" if jid else ""


def _shown_jid(stanza: Element) -> str:
    """Return the bare JID that the room itself says an occupant has; '' if it hides who it is, or says nobody."""
    item = stanza.find(f"{{{xml.MUC_USER}}}x/{{{xml.MUC_USER}}}item")
    try:
        return names.bare(item.get("jid", "")) if item is not None else ""
    except NameRefused:
        return ""
