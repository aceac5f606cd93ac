"""Who may answer what we sent: an id alone proves nothing, for anybody may write one. Pure."""

from __future__ import annotations

from protocol import address
from protocol.uri import UriError


def same(one: str, other: str) -> bool:
    """Say whether two JIDs are the same one, however each is spelt."""
    return one == other or prepared(one) == prepared(other)


def may_bounce(sender: str, to: str, *, room: bool) -> bool:
    """Say whether an error from ``sender`` can be about a stanza that we sent ``to``.

    In a room that is the room alone: what an occupant sends has the occupant's own JID. Elsewhere it is the recipient's
    server, or any client of the recipient's.
    """
    if same(sender, to):
        return True
    if room:
        return False
    bare = prepared(to.partition("/")[0])
    return prepared(sender.partition("/")[0]) == bare or prepared(sender) == bare.rpartition("@")[2]


def prepared(jid: str) -> str:
    """Return a JID in its one spelling; what is none stays as it is."""
    try:
        return address.jid(jid)
    except UriError:
        return jid
