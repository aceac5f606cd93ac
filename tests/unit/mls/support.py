"""People and groups for the stories of these tests."""

from __future__ import annotations

import os

from msgspec.structs import replace

from protocol.leg import LegClass
from protocol.mls import Group, Identity, KeyPackageBundle
from protocol.mls.identity import CAPABILITIES

NOW = 1_700_000_000


def new_identity(name, leg=LegClass.OPERATOR, suite=1, **capabilities):
    """An endpoint that speaks for its network's people; capabilities may be bent."""
    uri = f"mimi://bridge.example/d/{name}"
    spaces = [f"mimi://bridge.example/u/{name}~"]
    made = Identity.generate(uri, leg=leg, namespaces=spaces, suite=suite, random=os.urandom)
    if capabilities:
        bent = replace(CAPABILITIES, **capabilities)
        made = Identity(made.suite, made._private, made.credential, made.extensions, bent)
    return made


def new_bundle(identity, *, now=NOW, **options):
    """A key package of this identity."""
    return KeyPackageBundle.generate(identity, now=now, random=os.urandom, **options)


def stage(group, **wishes):
    """A commit of this group, not yet accepted."""
    return group.stage(now=NOW, random=os.urandom, **wishes)


def commit(author, *others, **wishes):
    """A commit that everyone follows."""
    staged = stage(author, **wishes)
    for other in others:
        other.process(staged.commit, now=NOW, psks=wishes.get("psks"))
    author.merge(staged)
    return staged


def invite(author, identity, *others, **wishes):
    """Add one more member by Welcome."""
    bundle = new_bundle(identity)
    staged = commit(author, *others, add=[bundle.message], **wishes)
    return Group.join(identity, staged.welcome, [bundle], psks=wishes.get("psks"), now=NOW)


def new_group(identity, group_id=b"room", **options):
    """A group of one."""
    return Group.create(identity, group_id, now=NOW, random=os.urandom, **options)


def new_members(*names, suite=1, **options):
    """A group of these endpoints, each with its own view of it."""
    first, *rest = (new_identity(name, suite=suite) for name in names)
    members = [new_group(first, **options)]
    for identity in rest:
        members.append(invite(members[0], identity, *members[1:]))
    return members


def say(sender, data=b"hello", **options):
    """An application message."""
    return sender.protect(data, random=os.urandom, **options)


class Drawer:
    """A ledger: keeps what a group says must be kept, and can give a group back."""

    def __init__(self, group):
        self.identity = group.identity
        self.records: dict[str, bytes] = {}
        self.keep(group)

    def keep(self, group):
        changes = group.changes()
        for name, value in changes.items():
            if value is None:
                self.records.pop(name, None)
            else:
                self.records[name] = value
        return changes

    def restore(self, **options):
        return Group.restore(self.identity, dict(self.records), **options)
