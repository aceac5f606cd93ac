r"""People of other networks as JIDs under the component, and back: total, reversible, pure.

``matrix~@romeo:hs.test`` under ``rialto.example`` is ``matrix~\40romeo\3ahs.test@rialto.example``. A local part is
written in two layers: octets that JID preparation (RFC 7622) would change or forbid, upper-case letters above all, are
percent-encoded (``US.7`` becomes ``%55%53.7``); then XEP-0106 escapes what a local part may not hold. Only the one
canonical form is accepted back, so that nobody has two JIDs.
"""

from __future__ import annotations

import re
from typing import TypeAlias
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

from adapters.kit import addresses
from adapters.xmpp.errors import NameRefused
from protocol import address
from protocol.uri import Address, UriError

NETWORK = "xmpp"
MAX_LOCAL_BYTES = 1023

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789!#$()*+,-.;=?[]^_`{|}~")
_ESCAPED = {
    '"': r"\22",
    "&": r"\26",
    "'": r"\27",
    "/": r"\2f",
    ":": r"\3a",
    "<": r"\3c",
    ">": r"\3e",
    "@": r"\40",
    "\\": r"\5c",
}
_UNESCAPED = {escape: char for char, escape in _ESCAPED.items()}
_ESCAPE = re.compile("|".join(map(re.escape, _UNESCAPED)))
_NETWORK = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z][a-z0-9_-]*)?")


def ghost_jid(person: Address, component: str, own: str = NETWORK) -> str:
    """Return the bare JID of a person of another network than ``own``. Raises ``NameRefused`` when there can be none.

    ``own`` is the network of the account's own people; those of another XMPP account are strangers like all others.
    """
    if not _NETWORK.fullmatch(person.network):
        raise NameRefused(f"{person.network!r} is not the name of a network")
    if person.network == own:
        raise NameRefused("a person of this network has a JID already")
    if not person.id:
        raise NameRefused("an address without an id")
    try:
        local = f"{person.network}~" + "".join(map(_written, person.id))
    except UnicodeEncodeError:
        raise NameRefused("an address that is not valid Unicode") from None
    if len(local) > MAX_LOCAL_BYTES:
        raise NameRefused(f"a JID's local part holds {MAX_LOCAL_BYTES} octets, this address needs {len(local)}")
    return f"{local}@{component}"


def ghost_address(local: str, own: str = NETWORK) -> Address:
    """Return who a local part under the component stands for. Raises ``NameRefused`` when it is nobody."""
    network, tilde, written = local.partition("~")
    if not tilde or not written:
        raise NameRefused(f"{local!r} is not of the form network~address")
    try:
        id_ = unquote_to_bytes(_ESCAPE.sub(lambda found: _UNESCAPED[found[0]], written)).decode()
        person = Address(network, id_)
        canonical = ghost_jid(person, "", own).removesuffix("@")
    except UnicodeDecodeError:
        raise NameRefused(f"{local!r} does not decode to Unicode") from None
    if canonical != local:
        raise NameRefused(f"{local!r} is written {canonical!r}")
    return person


def person(local: str, own: str = NETWORK) -> Address:
    """Return who a local part under the component stands for, if somebody can be there. Raises ``NameRefused``."""
    found = ghost_address(local, own)
    if flaw := addresses.flaw(found):
        raise NameRefused(flaw)
    return found


def user_address(jid: str, own: str = NETWORK) -> Address:
    """Return the address of a person of the XMPP network: the JID's bare form. Raises ``NameRefused``."""
    return Address(own, bare(jid))


def occupant_address(jid: str, own: str = NETWORK) -> Address:
    """Return the address of an occupant whose own JID the room does not show. Raises ``NameRefused``."""
    return Address(own, _prepared(jid))


def bare(jid: str) -> str:
    """Return the bare form of a JID, prepared as RFC 7622 asks. Raises ``NameRefused``."""
    return _prepared(jid.partition("/")[0])


def is_local(jid: str, component: str) -> bool:
    """Whether a JID's domain is of the server that the component is connected to: that of its parent, or beside it."""
    parent, domain = component.partition(".")[2], jid.partition("/")[0].rpartition("@")[2]
    return bool(parent) and (domain == parent or domain.endswith(f".{parent}"))


def resource(jid: str) -> str:
    """Return what stands behind the first slash of a JID ('' if nothing): in a room, the nickname."""
    return jid.partition("/")[2]


# --- native ids of messages -------------------------------------------------------------------------------------------


class Chat(Struct, frozen=True):
    """The messages between two people, named by bare JID: ``user`` of XMPP and ``ghost`` of another network.

    References in XMPP (reactions, markers, replies) name a message of a chat by its stanza id alone and not by its
    author, so the native id of both sides' messages is made of the two names and the stanza id.
    """

    user: str
    ghost: str

    @property
    def prefix(self) -> str:
        """What the native ids of this chat start with."""
        return f"{self.user}/{self.ghost.partition('@')[0]}/"

    def native(self, stanza_id: str) -> str:
        """Return the native id by which others name the message with this id on the wire: the last one that had it."""
        return self.prefix + _id_written(stanza_id)

    def unique(self, stanza_id: str, words: str) -> str:
        """Return the native id of one received message, which no other has: see ``_id_written``."""
        return self.prefix + _id_written(stanza_id, words)

    def wire(self, native_id: str) -> str:
        """Return the id on the wire. Raises ``NameRefused`` for a message of another conversation."""
        if not native_id.startswith(self.prefix):
            raise NameRefused("that message is not of this conversation")
        return _id_read(native_id.removeprefix(self.prefix))


class Room(Struct, frozen=True):
    """The messages of a room: the room itself numbers them (stanza-id of XEP-0359), for replies and reactions.

    An occupant's own corrections name a message by the id its sender gave it: ``by`` is a second native id for that.
    """

    jid: str

    def native(self, archive_id: str) -> str:
        """Return the native id of the message that the room calls ``archive_id``."""
        return f"{self.jid}/{archive_id}"

    def by(self, author: str, stanza_id: str, words: str = "") -> str:
        """Return the native id of the message that the occupant ``author`` calls ``stanza_id``.

        ``author`` is a nickname, or better what does not change hands; with ``words`` no other message has the id.
        """
        return f"{self.jid}//{quote(author, safe='')}/{_id_written(stanza_id, words)}"

    def is_by(self, native_id: str) -> bool:
        """Say whether a native id is of the second form: an author's, not the room's."""
        return native_id.startswith(f"{self.jid}//")

    def wire(self, native_id: str) -> str:
        """Return the id on the wire of either form. Raises ``NameRefused`` for a message of another room."""
        if not native_id.startswith(f"{self.jid}/"):
            raise NameRefused("that message is not of this room")
        id_ = native_id[len(self.jid) + 1 :]
        return _id_read(id_[1:].partition("/")[2]) if id_.startswith("/") else id_


Place: TypeAlias = Chat | Room


def _id_written(stanza_id: str, words: str = "") -> str:
    """Write a stanza id into a native id; with ``words``, a digest of what was said, as one that is unique for ever.

    RFC 6120 §8.1.3 has ids unique within one stream only, and clients that count start again at 1: only what says the
    same under the same id is the same message. ``=digest=id`` is the unique form; an id that begins with an equals sign
    gets two more in front.
    """
    if words:
        return f"={words}={stanza_id}"
    return f"=={stanza_id}" if stanza_id.startswith("=") else stanza_id


def _id_read(written: str) -> str:
    if not written.startswith("="):
        return written
    digest, _, stanza_id = written[1:].partition("=")
    return stanza_id if digest else written[2:]


def _prepared(jid: str) -> str:
    try:
        return address.jid(jid)
    except UriError as error:
        raise NameRefused(str(error)) from error


def _written(char: str) -> str:
    if char in _PLAIN:
        return char
    return _ESCAPED.get(char) or "".join(f"%{octet:02x}" for octet in char.encode())
