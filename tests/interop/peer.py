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
                                        IANA number, 1 if not given; it is the member's for good.
``create`` group suite? context?        epoch. Creates a group of one with that id. ``context`` are application
                                        components of the GroupContext's app_data_dictionary: decimal component
                                        number to octets.
``add`` key_package private?            proposal. Signs an Add proposal for someone else to commit; ``private``
                                        makes it a PrivateMessage instead of a PublicMessage, here and below.
``remove`` leaf private?                proposal. Likewise a Remove of the member at a leaf index.
``update`` private?                     proposal. Likewise an Update: new keys for the member's own leaf.
``psk`` id secret                       (nothing). Tells the member an external pre-shared key.
``commit`` add? remove? psk?            commit welcome. Commits all proposals heard in this epoch and besides,
private? path?                          by value: an Add for each key package of ``add``, a Remove for each leaf
                                        of ``remove``, a PreSharedKey for each known id of ``psk``. ``welcome``
                                        is empty if nobody was added. ``path`` true asks for a path where the
                                        proposals do not.
``join`` welcome                        epoch leaf. Joins by a Welcome for any key package of this member.
``external_join`` group_info replace?   epoch leaf commit. Joins by an external commit, which the others must
suite?                                  process; the joiner is in the new epoch at once. ``replace`` is the leaf
                                        of a former self, removed by the same commit.
``encrypt`` data authenticated_data?    message. A PrivateMessage with application data.
``process`` message                     kind, and with it: ``application``: data authenticated_data sender (leaf);
                                        ``proposal``: epoch; ``commit``: epoch, and left, true if it removed this
                                        member. Fields that an implementation does not tell are null.
``exporter`` label context length       secret. The MLS exporter (RFC 9420 section 8.5), label as text.
``state`` group_info?                   epoch leaf authenticator members (list of leaf and name), group_info (on
                                        demand: for external joiners, with ratchet_tree and external_pub).
``forget``                              (nothing). Forgets the member and all its keys.
======================================= ======================================================================

Key packages, welcomes, group infos and all messages are whole MLSMessage structures.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from protocol.leg import LegClass
from protocol.mls import ContentType, Group, Identity, KeyPackageBundle, Staged, peek
from protocol.mls.messages import key_package_of
from protocol.mls.plan import external_psk
from protocol.mls.proposals import Add, Remove
from tests.interop.lines import Refused, Request, serve


@dataclass
class Client:
    """One member: who it is, and all that it holds."""

    identity: Identity
    bundles: list[KeyPackageBundle] = field(default_factory=list)
    psks: dict[bytes, bytes] = field(default_factory=dict)
    group: Group | None = None
    staged: Staged | None = None


def now() -> int:
    """The moment, in unix seconds."""
    return int(time.time())


class OurDesk:
    """Our side of the line protocol."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}

    # Coming into being

    def keypackage(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        bundle = KeyPackageBundle.generate(client.identity, now=now(), random=os.urandom)
        client.bundles.append(bundle)
        return {"key_package": bundle.message.hex()}

    def create(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        context, group_id = request.components("context"), request.octets("group")
        client.group = Group.create(client.identity, group_id, context=context, now=now(), random=os.urandom)
        return {"epoch": client.group.epoch}

    def join(self, request: Request) -> dict[str, Any]:
        client = self._client(request)
        group = Group.join(client.identity, request.octets("welcome"), client.bundles, psks=client.psks, now=now())
        client.bundles = [bundle for bundle in client.bundles if bundle.ref != group.joined_with]
        client.group = group
        return {"epoch": group.epoch, "leaf": group.own_leaf}

    def external_join(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        joined = Group.join_external(
            client.identity,
            request.octets("group_info"),
            replace=request.get("replace", int, None),
            now=now(),
            random=os.urandom,
        )
        client.group, client.staged = joined.group, None
        return {"epoch": joined.group.epoch, "leaf": joined.group.own_leaf, "commit": joined.commit.hex()}

    # Changing the group

    def add(self, request: Request) -> dict[str, Any]:
        return self._propose(request, Add(key_package_of(request.octets("key_package"))))

    def remove(self, request: Request) -> dict[str, Any]:
        return self._propose(request, Remove(request.get("leaf", int)))

    def update(self, request: Request) -> dict[str, Any]:
        private = request.get("private", bool, False)
        return {"proposal": self._group(request).propose_update(random=os.urandom, private=private).hex()}

    def _propose(self, request: Request, proposal: Add | Remove) -> dict[str, Any]:
        private = request.get("private", bool, False)
        return {"proposal": self._group(request).propose(proposal, random=os.urandom, private=private).hex()}

    def psk(self, request: Request) -> dict[str, Any]:
        self._client(request).psks[request.octets("id")] = request.octets("secret")
        return {}

    def commit(self, request: Request) -> dict[str, Any]:
        client, group = self._client(request), self._group(request)
        size = client.identity.suite.hash_size
        client.staged = group.stage(
            add=request.list_of("add", bytes),
            remove=request.list_of("remove", int),
            psk_ids=[external_psk(name, os.urandom, size) for name in request.list_of("psk", bytes)],
            psks=client.psks,
            private=request.get("private", bool, False),
            path=True if request.get("path", bool, False) else None,
            now=now(),
            random=os.urandom,
        )
        return {"commit": client.staged.commit.hex(), "welcome": client.staged.welcome.hex()}

    def process(self, request: Request) -> dict[str, Any]:
        client, group, message = self._client(request), self._group(request), request.octets("message")
        if client.staged is not None and message == client.staged.commit:
            group.merge(client.staged)
            client.staged = None
            return {"kind": "commit", "epoch": group.epoch, "left": False}
        if peek(message).content_type == ContentType.APPLICATION:
            opened = group.unprotect(message, now=now())
            aad = opened.authenticated_data.hex()
            return {
                "kind": "application",
                "data": opened.data.hex(),
                "authenticated_data": aad,
                "sender": opened.sender.leaf,
            }
        done = group.process(message, psks=client.psks, now=now())
        if done.proposal is not None:
            return {"kind": "proposal", "epoch": done.epoch}
        client.staged = None
        return {"kind": "commit", "epoch": done.epoch, "left": done.left}

    # Using it

    def encrypt(self, request: Request) -> dict[str, Any]:
        aad = request.octets("authenticated_data", b"")
        message = self._group(request).protect(request.octets("data"), random=os.urandom, authenticated_data=aad)
        return {"message": message.hex()}

    def exporter(self, request: Request) -> dict[str, Any]:
        group = self._group(request)
        secret = group.export(request.get("label", str), request.octets("context"), request.get("length", int))
        return {"secret": secret.hex()}

    def state(self, request: Request) -> dict[str, Any]:
        group = self._group(request)
        told = {
            "epoch": group.epoch,
            "leaf": group.own_leaf,
            "authenticator": group.epoch_authenticator.hex(),
            "members": [[member.leaf, member.uri] for member in group.members()],
        }
        if request.get("group_info", bool, False):
            told["group_info"] = group.group_info(random=os.urandom).hex()
        return told

    def forget(self, request: Request) -> dict[str, Any]:
        self._client(request)
        del self.clients[request.get("member", str)]
        return {}

    def _client(self, request: Request, *, new: bool = False) -> Client:
        name = request.get("member", str)
        suite = request.get("suite", int, 1)
        client = self.clients.get(name)
        if client is None and new:
            identity = Identity.generate(
                name, leg=LegClass.OPERATOR, namespaces=[f"{name}~"], suite=suite, random=os.urandom
            )
            client = self.clients[name] = Client(identity)
        if client is None:
            raise Refused("request", f"no member {name!r} here")
        return client

    def _group(self, request: Request) -> Group:
        group = self._client(request).group
        if group is None:
            raise Refused("request", "this member is in no group")
        return group


if __name__ == "__main__":
    serve(OurDesk())
