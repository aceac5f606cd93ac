"""People and groups for the stories of these tests."""

from __future__ import annotations

import os

from msgspec.structs import replace

from protocol.leg import LegClass
from protocol.mls import Group, Identity, KeyPackageBundle
from protocol.mls.codec import vec
from protocol.mls.framing import sign, to_public
from protocol.mls.identity import CAPABILITIES
from protocol.mls.messages import (
    Authenticated,
    ContentType,
    FramedContent,
    PublicMessage,
    Sender,
    SenderType,
    WireFormat,
    encode_message,
    read_message,
)
from protocol.mls.proposals import Commit

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
    return Group.join(identity, staged.welcome, [bundle], psks=wishes.get("psks"), fresh=True, now=NOW)


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


def forge(author, body, *, sender=None, key=None, group_id=None, epoch=None, confirmation=b"tag", membership=None):
    """A public message as a malicious member would make it; what is not bent is as it should be."""
    view, state = author.view, author._state
    sender = Sender(SenderType.MEMBER, author.own_leaf) if sender is None else sender
    where = view.context.group_id if group_id is None else group_id
    number = view.context.epoch if epoch is None else epoch
    content = FramedContent.make(where, number, sender, body)
    signer = author.identity.key if key is None else key
    signed = sign(view.suite, signer, WireFormat.PUBLIC, content, view.encoded_context)
    tag = confirmation if isinstance(body, Commit) else None
    message = Authenticated(WireFormat.PUBLIC, content, signed.signature, tag)
    if membership is not None:
        return encode_message(PublicMessage(message, membership))
    return encode_message(to_public(view.suite, state.secrets.membership, message, view.encoded_context))


def rewrite(author, staged, change):
    """Our staged commit with its content changed, signed and tagged anew."""
    authenticated = read_message(staged.commit).authenticated
    body = change(authenticated.content.body)
    return forge(author, body, confirmation=authenticated.confirmation_tag)


def sealed(author, plaintext, kind=ContentType.APPLICATION, aad=b""):
    """A private message around any plaintext."""
    return author._state.epoch._seal(kind, vec(aad), plaintext, os.urandom, 0)
