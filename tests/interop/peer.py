"""Our MLS as a program that another implementation can be put against: ``python -m tests.interop.peer``.

One JSON object a line on stdin, one JSON object a line on stdout in answer, in the same order. Octets are lower-case
hexadecimal. A program plays any number of members; ``member`` in every request says which one, by a name that becomes
its basic credential. A member is in one group at most.

An answer with the field ``error`` refuses: its value is a stable code (ours are those of ``protocol.mls.errors``, and
``request`` for a request that cannot be read, ``unsupported`` for what an implementation cannot do), ``text`` is for
people. A refused operation changes nothing.

Whoever speaks the protocol plays the delivery service too: it carries every message to every *other* member, except
that a commit comes back to its author: by ``commit`` one only stages, and one enters the new epoch when ``process``
is given the very same octets. If it is given another commit first, the staged one is dropped. Proposals do not come
back to their author.

======================================= ======================================================================
request (besides ``op`` and ``member``) answer
======================================= ======================================================================
``keypackage`` suite?                   key_package. Makes the member if the name is new. ``suite`` is the
                                        IANA number, by default the member's own, else 1; another than
                                        the member's own is for a group that starts again.
``create`` group suite? context?        epoch. Creates a group of one with that id. ``context`` are application
                                        components of the GroupContext's app_data_dictionary: decimal component
                                        number to octets.
``add`` key_package private?            proposal. Signs an Add proposal for someone else to commit; ``private``
                                        makes it a PrivateMessage instead of a PublicMessage, here and below.
``remove`` leaf private?                proposal. Likewise a Remove of the member at a leaf index.
``update`` private?                     proposal. Likewise an Update: new keys for the member's own leaf.
``psk`` id secret                       (nothing). Tells the member an external pre-shared key.
``commit`` add? remove? psk? resume?    commit welcome. Commits all proposals heard in this epoch and besides,
extensions? private? path?              by value: an Add for each key package of ``add``, a Remove for each leaf
                                        of ``remove``, a PreSharedKey for each known id of ``psk`` and for each
                                        earlier epoch of ``resume``, and all ``extensions`` of the GroupContext
                                        anew (a list of type and octets). ``welcome`` is empty if nobody was
                                        added. ``path`` true asks for a path where the proposals do not.
``join`` welcome continues?             epoch leaf. Joins by a Welcome for any key package of this member; if
                                        ``continues``, a group that continues the one which it is in.
``external_join`` group_info replace?   epoch leaf commit. Joins by an external commit, which the others must
suite?                                  process; the joiner is in the new epoch at once. ``replace`` is the leaf
                                        of a former self, removed by the same commit.
``knock`` group_info                    proposal. Asks to be added: an Add proposal of a new member's own.
``reinit`` group suite                  commit. Stages a ReInit: the group shall start again with that id and suite.
``restart`` key_packages                epoch leaf welcome. Starts it again, once the ReInit was processed, with
                                        these for the others; the member is in the new group at once.
``branch`` group key_packages           epoch leaf welcome. Branches a group with that id off for the holders of
                                        these; the member is in the new group at once.
``encrypt`` data authenticated_data?    message. A PrivateMessage with application data.
``process`` message                     kind, and with it: ``application``: data authenticated_data sender (leaf);
                                        ``proposal``: epoch; ``commit``: epoch, and left, true if it removed this
                                        member. Fields that an implementation does not tell are null.
``exporter`` label context length       secret. The MLS exporter (RFC 9420 §8.5), label as text.
``state`` group_info?                   epoch leaf authenticator members (list of leaf and name), group_info (on
                                        demand: for external joiners, with ratchet_tree and external_pub).
``forget``                              (nothing). Forgets the member and all its keys.
======================================= ======================================================================

A question mark marks what may be left out. ``member`` and ``label`` are text; ``suite``, ``leaf``, ``replace``,
``epoch``, ``length`` and ``resume`` numbers; ``private``, ``path``, ``continues``, ``left`` and ``group_info`` of a
``state`` request true or false; everything else octets. Key packages, welcomes, group infos and all messages are
whole MLSMessage structures. For example, shortened::

    {"op": "create", "member": "anna", "group": "726f6f6d"}
    {"epoch": 0}
    {"op": "keypackage", "member": "bert"}
    {"key_package": "000100050001..."}
    {"op": "commit", "member": "anna", "add": ["000100050001..."]}
    {"commit": "0001000104726f6f6d...", "welcome": "000100030001..."}
    {"op": "process", "member": "anna", "message": "0001000104726f6f6d..."}
    {"kind": "commit", "epoch": 1, "left": false}
    {"op": "join", "member": "bert", "welcome": "000100030001..."}
    {"epoch": 1, "leaf": 1}
    {"op": "join", "member": "carl", "welcome": "000100030001..."}
    {"error": "request", "text": "no member 'carl' here"}
"""

from __future__ import annotations

from tests.interop.lines import serve
from tests.interop.ours import OurDesk

if __name__ == "__main__":
    serve(OurDesk())
