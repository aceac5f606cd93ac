"""A stand-in for MLS that reads like it: groups as plain JSON, so that stories about the router can be told briefly.

Whatever a test wants a member to do, it writes with the functions here; ``PlainGroups`` judges them by the same rules
as MLS would, without the cryptography.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from bridge.room_context import RoomContext
from bridge.router.contract import Envelope, HandshakeBundle, Member
from bridge.router.groups import GroupStep, Header, KeyPackageFacts
from protocol.leg import LegClass
from protocol.mls.errors import DecodeError, LifetimeError, SignatureError

DOMAIN = "bridge.example"


def endpoint(name: str) -> str:
    return f"mimi://{DOMAIN}/d/{name}"


def namespace(name: str) -> str:
    return f"mimi://{DOMAIN}/u/{name}~"


def room_uri(name: str) -> str:
    return f"mimi://{DOMAIN}/r/{name}"


class Leaf(msgspec.Struct, frozen=True):
    endpoint: str
    namespaces: tuple[str, ...]


class Plain(msgspec.Struct, frozen=True):
    """Any message of the stand-in."""

    type: str
    group: str = ""
    epoch: int = 0
    text: str = ""
    committer: str = ""
    add: tuple[Leaf, ...] = ()
    remove: tuple[str, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    context: RoomContext | None = None
    suspects: tuple[str, ...] = ()
    signed: bool = True
    expires: int = 2_000_000_000

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def decode(message: bytes, *types: str) -> Plain:
    try:
        plain = msgspec.json.decode(message, type=Plain)
    except msgspec.DecodeError as error:
        raise DecodeError(str(error)) from error
    if plain.type not in types:
        raise DecodeError(f"a {plain.type} where {' or '.join(types)} belongs")
    return plain


def leaf(name: str) -> Leaf:
    return Leaf(endpoint(name), (namespace(name),))


def plumbed(room: str, founding: int = 0, revision: int = 0) -> RoomContext:
    """What the GroupContext of a plumbed room says."""
    return RoomContext(room_uri(room), "group", room.title(), (), founding, revision)


def creation(
    name: str, *, group: str = "g", room: str = "balcony", founding: int = 0, **changes: object
) -> HandshakeBundle:
    """The bundle with which endpoint ``name`` founds a room."""
    info = Plain("info", group=group, leaves=(leaf(name),), context=plumbed(room, founding))
    return HandshakeBundle(group_info=msgspec.structs.replace(info, **changes).encode())


def commit(
    name: str, epoch: int, *, add: Sequence[str | Leaf] = (), remove: Sequence[str] = (), group: str = "g", **changes
) -> HandshakeBundle:
    """The bundle with which endpoint ``name`` moves a room on from ``epoch``; a ``context`` replaces the room's."""
    leaves = tuple(leaf(item) if isinstance(item, str) else item for item in add)
    gone = tuple(endpoint(item) for item in remove)
    message = Plain("commit", group=group, epoch=epoch, committer=endpoint(name), add=leaves, remove=gone)
    return HandshakeBundle(
        commit=msgspec.structs.replace(message, **changes).encode(),
        welcome=b"welcome" if leaves else b"",
        group_info=Plain("info", group=group, epoch=epoch + 1).encode(),
    )


def says(name: str, text: str, *, room: str = "balcony", epoch: int = 0, group: str = "g", **changes) -> Envelope:
    """The envelope with which endpoint ``name`` says something."""
    body = Plain("application", group=group, epoch=epoch, text=text).encode()
    envelope = Envelope(room=room_uri(room), epoch=epoch, sender=endpoint(name), body=body)
    return msgspec.structs.replace(envelope, **changes)


def text_of(body: bytes) -> str:
    return decode(body, "application").text


def key_package(name: str, number: int = 0, **changes) -> bytes:
    """A KeyPackage of endpoint ``name``."""
    package = Plain("key package", leaves=(leaf(name),), text=str(number))
    return msgspec.structs.replace(package, **changes).encode()


class PlainGroups:
    """The stand-in's rules; a ``bridge.router.groups.Groups``."""

    def application(self, body: bytes) -> Header:
        plain = decode(body, "application")
        return Header(plain.group.encode(), plain.epoch)

    def commit(self, body: bytes) -> Header:
        plain = decode(body, "commit")
        return Header(plain.group.encode(), plain.epoch)

    def found(self, group_info: bytes, now: int) -> GroupStep:
        info = decode(group_info, "info")
        _check_signature(info)
        return _step(info, info.leaves[0].endpoint, ())

    def follow(self, state: bytes, commit: bytes, group_info: bytes, now: int) -> GroupStep:
        before, plain = decode(state, "info"), decode(commit, "commit")
        _check_signature(plain)
        kept = tuple(leaf for leaf in before.leaves if leaf.endpoint not in plain.remove)
        after = msgspec.structs.replace(
            before, epoch=before.epoch + 1, leaves=kept + plain.add, context=plain.context or before.context
        )
        step = _step(after, plain.committer, tuple(leaf.endpoint for leaf in plain.add))
        suspects = frozenset(before.suspects)
        external = plain.text == "external"
        return msgspec.structs.replace(step, before=before.context, external=external, suspects=suspects)

    def key_package(self, message: bytes, now: int) -> KeyPackageFacts:
        plain = decode(message, "key package")
        _check_signature(plain)
        if plain.expires < now:
            raise LifetimeError("over")
        (own,) = plain.leaves
        return KeyPackageFacts(own.endpoint, own.namespaces, hashlib.sha256(message).digest(), plain.expires)


def _check_signature(plain: Plain) -> None:
    if not plain.signed:
        raise SignatureError("unsigned")


def _step(info: Plain, committer: str, added: tuple[str, ...]) -> GroupStep:
    members = tuple(
        Member(leaf.endpoint, index, LegClass.OPERATOR, leaf.namespaces) for index, leaf in enumerate(info.leaves)
    )
    return GroupStep(info.group.encode(), info.epoch, members, committer, added, info.encode(), info.context)
