"""Our MLS behind the line protocol, which ``tests.interop.peer`` documents."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from protocol.grant import Grant, key_hash, key_id, public_of, sign
from protocol.leg import LegClass
from protocol.mls import (
    ContentType,
    Extension,
    Group,
    Identity,
    KeyPackageBundle,
    Session,
    Staged,
    Successor,
    branch,
    follow_again,
    follow_branch,
    join_proposal,
    peek,
    start_again,
)
from protocol.mls.joining import group_info_of
from protocol.mls.messages import key_package_of
from protocol.mls.plan import external_psk, resumption_psk
from protocol.mls.proposals import Add, PskUsage, ReInit, Remove
from protocol.mls.suites import MLS10
from tests.interop.lines import Refused, Request


@dataclass
class Client:
    """One member: who it is, and all that it holds."""

    identities: dict[int, Identity]
    suite: int
    bundles: list[KeyPackageBundle] = field(default_factory=list)
    psks: dict[bytes, bytes] = field(default_factory=dict)
    group: Group | None = None
    records: dict[str, bytes] = field(default_factory=dict)
    staged: Staged | None = None

    @property
    def identity(self) -> Identity:
        """Who it is in the suite of its group."""
        return self.identities[self.suite]

    def enter(self, group: Group) -> dict[str, Any]:
        """Be in this group from now on."""
        self.bundles = [bundle for bundle in self.bundles if bundle.ref != group.joined_with]
        self.group, self.records, self.staged, self.suite = group, {}, None, group.identity.suite.id
        return {"epoch": group.epoch, "leaf": group.own_leaf}


AUTHORITY = bytes(range(32))


def _granted(identity: Identity) -> Identity:
    """The same client with a grant in its leaves, which the others carry without knowing what it is."""
    said = Grant(
        authority=key_id(public_of(AUTHORITY)),
        uri=identity.uri,
        key=key_hash(identity.public),
        leg=identity.leg.leg,
        namespaces=identity.leg.namespaces,
        number=now(),
    )
    return identity.saying(identity.leg.leg, identity.leg.namespaces, sign(said, AUTHORITY))


def now() -> int:
    """The moment, in unix seconds."""
    return int(time.time())


class OurDesk:
    """Our side of the line protocol."""

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.session = Session(os.urandom(16))

    # Coming into being

    def keypackage(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        identity = self._identity(client, request)
        bundle = KeyPackageBundle.generate(identity, now=now(), random=os.urandom)
        client.bundles.append(bundle)
        return {"key_package": bundle.message.hex()}

    def create(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        context, group_id = request.components("context"), request.octets("group")
        group = Group.create(client.identity, group_id, context=context, now=now(), random=os.urandom)
        client.enter(group)
        return {"epoch": group.epoch}

    def join(self, request: Request) -> dict[str, Any]:
        client, welcome = self._client(request), request.octets("welcome")
        if not request.get("continues", bool, False):
            joined = Group.join(client.identity, welcome, client.bundles, psks=client.psks, fresh=True, now=now())
            return client.enter(joined)
        old = self._group(request)
        if old.reinit is None:
            return client.enter(follow_branch(old, client.identity, welcome, client.bundles, fresh=True, now=now()))
        identity = client.identities[old.reinit.suite_id]
        return client.enter(follow_again(old, identity, welcome, client.bundles, fresh=True, now=now()))

    def external_join(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        joined = Group.join_external(
            client.identity,
            request.octets("group_info"),
            replace=request.get("replace", int, None),
            now=now(),
            random=os.urandom,
        )
        return {**client.enter(joined.group), "commit": joined.commit.hex()}

    def knock(self, request: Request) -> dict[str, Any]:
        client = self._client(request, new=True)
        context = group_info_of(request.octets("group_info")).context
        bundle = KeyPackageBundle.generate(client.identity, now=now(), random=os.urandom)
        client.bundles.append(bundle)
        asked = join_proposal(client.identity, bundle, group_id=context.group_id, epoch=context.epoch)
        return {"proposal": asked.hex()}

    # Starting again

    def reinit(self, request: Request) -> dict[str, Any]:
        client, group = self._client(request), self._group(request)
        wish = ReInit(request.octets("group"), MLS10, request.get("suite", int), group.extensions)
        client.staged = group.stage(reinit=wish, now=now(), random=os.urandom)
        return {"commit": client.staged.commit.hex()}

    def restart(self, request: Request) -> dict[str, Any]:
        client, old, packages = self._client(request), self._group(request), request.list_of("key_packages", bytes)
        suite = client.suite if old.reinit is None else old.reinit.suite_id
        identity = self._identity(client, Request({**request.fields, "suite": suite}))
        return self._begin(client, start_again(old, identity, packages, now=now(), random=os.urandom))

    def branch(self, request: Request) -> dict[str, Any]:
        client, old, packages = self._client(request), self._group(request), request.list_of("key_packages", bytes)
        group_id, more = request.octets("group"), old.extensions
        begun = branch(old, client.identity, group_id, packages, extensions=more, now=now(), random=os.urandom)
        return self._begin(client, begun)

    def _begin(self, client: Client, begun: Successor) -> dict[str, Any]:
        begun.group.merge(begun.staged)
        return {**client.enter(begun.group), "welcome": begun.staged.welcome.hex()}

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
        extensions = tuple(Extension(number, data) for number, data in request.pairs("extensions"))
        psk_ids = [external_psk(name, os.urandom, size) for name in request.list_of("psk", bytes)]
        psk_ids += [
            resumption_psk(group.group_id, epoch, PskUsage.APPLICATION, os.urandom, size)
            for epoch in request.list_of("resume", int)
        ]
        client.staged = group.stage(
            add=request.list_of("add", bytes),
            remove=request.list_of("remove", int),
            psk_ids=psk_ids,
            extensions=extensions or None,
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

    def reload(self, name: str) -> None:
        """Not of the protocol: the member goes down and comes up again from its records."""
        client = self.clients[name]
        client.group.unload(self.session)
        for key, value in client.group.changes().items():
            if value is None:
                client.records.pop(key, None)
            else:
                client.records[key] = value
        client.group = Group.restore(client.identity, client.records, session=self.session)
        if client.staged is not None:
            client.staged = Staged.from_bytes(client.staged.to_bytes())

    def forget(self, request: Request) -> dict[str, Any]:
        self._client(request)
        del self.clients[request.get("member", str)]
        return {}

    def _client(self, request: Request, *, new: bool = False) -> Client:
        name = request.get("member", str)
        if name not in self.clients:
            if not new:
                raise Refused("request", f"no member {name!r} here")
            client = Client({}, request.get("suite", int, 1))
            self._identity(client, request)
            self.clients[name] = client
        return self.clients[name]

    def _identity(self, client: Client, request: Request) -> Identity:
        """Who the member is in the suite that the request names, by default its own."""
        suite, name = request.get("suite", int, client.suite), request.get("member", str)
        if suite not in client.identities:
            client.identities[suite] = _granted(
                Identity.generate(name, leg=LegClass.OPERATOR, namespaces=[f"{name}~"], suite=suite, random=os.urandom)
            )
        return client.identities[suite]

    def _group(self, request: Request) -> Group:
        group = self._client(request).group
        if group is None:
            raise Refused("request", "this member is in no group")
        return group
