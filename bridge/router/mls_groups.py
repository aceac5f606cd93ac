"""What the router asks of MLS, answered by ``protocol.mls``: parses, follows and validates, and holds no secret."""

from __future__ import annotations

from collections.abc import Container, Iterable

from msgspec import structs

from bridge.room_context import room_context
from bridge.router.contract import Member
from bridge.router.external_key import check_external_key
from bridge.router.groups import GroupStep, Header, KeyPackageFacts
from protocol.mls import Authority, ContentType, PublicChange, PublicGroup, SenderType, WireFormat, peek
from protocol.mls import Member as MlsMember
from protocol.mls.errors import DecodeError, KeyPackageError, PolicyError, UngrantedError
from protocol.mls.members import member_at
from protocol.mls.messages import key_package_of
from protocol.mls.suites import suite_of
from protocol.mls.validation import check_key_package

LONGEST_LIFETIME = 400 * 86400
"""Seconds after which a KeyPackage is forgotten, however long it claims to live."""


class MlsGroups:
    """Implements ``bridge.router.groups.Groups``; see there. The ``authority`` vouches for leaves (None: for all)."""

    def __init__(self, authority: Authority | None = None) -> None:
        self._authority = authority

    def application(self, body: bytes) -> Header:
        """Read the header of a PrivateMessage with application data."""
        return _header(body, WireFormat.PRIVATE, ContentType.APPLICATION)

    def commit(self, body: bytes) -> Header:
        """Read the header of a PublicMessage with a commit."""
        return _header(body, WireFormat.PUBLIC, ContentType.COMMIT)

    def found(self, group_info: bytes, now: int) -> GroupStep:
        """Open a new group's GroupInfo, its tree and signatures included."""
        group = PublicGroup.create(group_info, now=now, authority=self._authority)
        members = group.members()
        check_external_key(group_info)
        return _step(group, members[0].uri if members else "", ())

    def follow(self, state: bytes, commit: bytes, group_info: bytes, now: int) -> GroupStep:
        """Follow a commit; its author must stay who it is, and the GroupInfo must be of the epoch it makes."""
        group = PublicGroup.from_bytes(state, authority=self._authority)
        before, bare = group.members(), {one.leaf for one in group.suspects if one.bare}
        described, suspects = room_context(group.context), frozenset(suspect.uri for suspect in group.suspects)
        change = group.process(commit, now=now)
        if change.reinit is not None:
            raise PolicyError("rooms do not end by re-initialisation")
        _check_granted(change, bare, before, group.members())
        committer = _committer(change, before, group.members())
        # Lifetimes are judged when a leaf is added: a member that has been here for long is still a member.
        if PublicGroup.create(group_info, now=None).to_bytes() != group.to_bytes():
            raise PolicyError("the GroupInfo is not of the epoch that the commit makes")
        check_external_key(group_info)
        step = _step(group, committer, tuple(added.member.uri for added in change.added))
        return structs.replace(step, before=described, external=change.joined is not None, suspects=suspects)

    def key_package(self, message: bytes, now: int) -> KeyPackageFacts:
        """Check a KeyPackage's signatures and lifetime."""
        package = key_package_of(message)
        suite = suite_of(package.suite_id)
        check_key_package(suite, package, now)
        lifetime = package.leaf.content.lifetime
        if lifetime is None:
            raise KeyPackageError("a key package without a lifetime")
        if self._authority is not None:
            self._authority.judge(package.leaf)
        owner = member_at(0, package.leaf)
        return KeyPackageFacts(
            endpoint=owner.uri,
            namespaces=owner.namespaces,
            ref=package.ref(suite),
            expires_at=min(lifetime.not_after, now + LONGEST_LIFETIME),
        )


def _header(body: bytes, wire_format: WireFormat, content_type: ContentType) -> Header:
    peeked = peek(body)
    if peeked.wire_format != wire_format or peeked.content_type != content_type:
        raise DecodeError(f"not {content_type.name.lower()} in a {wire_format.name.lower()} message")
    if peeked.group_id is None or peeked.epoch is None:
        raise DecodeError("a message without group or epoch")
    return Header(peeked.group_id, peeked.epoch)


def _check_granted(
    change: PublicChange, bare: Container[int], before: Iterable[MlsMember], after: Iterable[MlsMember]
) -> None:
    """Refuse a commit that brings a leaf which nobody vouches for, or takes a member's grant away.

    A member from before there were grants may go on as it was: whether it is heard, its peers decide.
    """
    known = {member.leaf: member for member in before}
    now = {member.leaf: member for member in after}
    for suspect in change.suspects:
        if not suspect.bare or suspect.leaf not in bare or known[suspect.leaf] != now[suspect.leaf]:
            raise UngrantedError(f"{suspect.uri}: {suspect.reason}")


def _committer(change: PublicChange, before: Iterable[MlsMember], after: Iterable[MlsMember]) -> str:
    """Return the name of who committed; one that changes its name by the same commit is nobody we know."""
    if change.joined is not None:
        return change.joined.uri
    if change.sender.type != SenderType.MEMBER:
        raise PolicyError("a commit from outside the group")
    names = [_name_at(change.sender.index, members) for members in (before, after)]
    if names[0] != names[1]:
        raise PolicyError(f"{names[0]} would become {names[1]} by its own commit")
    return names[0]


def _name_at(leaf: int, members: Iterable[MlsMember]) -> str:
    return next((member.uri for member in members if member.leaf == leaf), "")


def _step(group: PublicGroup, committer: str, added: tuple[str, ...]) -> GroupStep:
    members = tuple(
        Member(endpoint=member.uri, leaf=member.leaf, leg=member.leg, namespaces=member.namespaces)
        for member in group.members()
    )
    context = room_context(group.context)
    return GroupStep(group.group_id, group.epoch, members, committer, added, group.to_bytes(), context)
