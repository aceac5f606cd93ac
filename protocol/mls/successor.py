"""Groups that continue another: re-initialised with other parameters, or branched off (RFC 9420 §11.2 and §11.3).

The new group's first commit mixes in a secret of the old one, so that only its members can take part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from protocol.mls.errors import InputError, WelcomeError
from protocol.mls.extensions import Extensions
from protocol.mls.group import Group
from protocol.mls.identity import Identity, KeyPackageBundle
from protocol.mls.plan import resumption_psk
from protocol.mls.proposals import PskUsage, ReInit
from protocol.mls.staged import Staged
from protocol.mls.state import Standing
from protocol.mls.suites import Random


class Successor(NamedTuple):
    """A new group of one, and the staged commit that brings the others in; merge it when it was accepted."""

    group: Group
    staged: Staged


def start_again(
    old: Group, identity: Identity, key_packages: Sequence[bytes], *, now: int, random: Random
) -> Successor:
    """Start a re-initialised group again with everybody's new key packages.

    ``identity`` is ours for the new cipher suite. Raises ``InputError`` if no ReInit was committed or the identity
    does not fit it.
    """
    reinit = _reinit(old)
    if identity.suite.id != reinit.suite_id:
        raise InputError(f"the new group's cipher suite is {reinit.suite_id}, ours {identity.suite.id}")
    return _begin(
        old,
        identity,
        reinit.group_id,
        reinit.extensions,
        PskUsage.REINIT,
        key_packages,
        now=now,
        random=random,
    )


def branch(
    old: Group,
    identity: Identity,
    group_id: bytes,
    key_packages: Sequence[bytes],
    *,
    extensions: Extensions = (),
    now: int,
    random: Random,
) -> Successor:
    """Branch a new group of some of the members off an old one, which lives on."""
    if identity.suite is not old.view.suite:
        raise InputError("a branch keeps the cipher suite of its group")
    return _begin(old, identity, group_id, extensions, PskUsage.BRANCH, key_packages, now=now, random=random)


def _begin(
    old: Group,
    identity: Identity,
    group_id: bytes,
    extensions: Extensions,
    usage: PskUsage,
    key_packages: Sequence[bytes],
    *,
    now: int,
    random: Random,
) -> Successor:
    group = Group.create(identity, group_id, extensions=extensions, now=now, random=random)
    psk = resumption_psk(old.group_id, old.epoch, usage, random, identity.suite.hash_size)
    known = {(old.group_id, old.epoch): old.resumption_psk()}
    staged = group.stage(add=key_packages, psk_ids=[psk], psks=known, path=True, now=now, random=random)
    return Successor(group, staged)


def follow_again(
    old: Group,
    identity: Identity,
    welcome: bytes,
    bundles: Iterable[KeyPackageBundle],
    *,
    fresh: bool = False,
    now: int | None,
) -> Group:
    """Join the group that a re-initialised one became; ``WelcomeError`` if it is not what was agreed.

    ``fresh`` is as for ``Group.join``.
    """
    reinit = _reinit(old)
    group = _follow(old, identity, welcome, bundles, PskUsage.REINIT, now, fresh=fresh)
    context = group.view.context
    agreed = (reinit.group_id, reinit.suite_id, reinit.extensions)
    if (context.group_id, context.suite_id, context.extensions) != agreed:
        raise WelcomeError("the new group is not what the re-initialisation agreed on")
    if _credentials(group) != _credentials(old):
        raise WelcomeError("the new group has other members than the old one")
    return group


def follow_branch(
    old: Group,
    identity: Identity,
    welcome: bytes,
    bundles: Iterable[KeyPackageBundle],
    *,
    fresh: bool = False,
    now: int | None,
) -> Group:
    """Join a group that was branched off one of ours; ``fresh`` is as for ``Group.join``."""
    group = _follow(old, identity, welcome, bundles, PskUsage.BRANCH, now, fresh=fresh)
    if group.view.context.suite_id != old.view.context.suite_id:
        raise WelcomeError("a branch with another cipher suite")
    if not set(_credentials(group)) <= set(_credentials(old)):
        raise WelcomeError("a branch with members that its group does not have")
    return group


def _follow(
    old: Group,
    identity: Identity,
    welcome: bytes,
    bundles: Iterable[KeyPackageBundle],
    usage: PskUsage,
    now: int | None,
    *,
    fresh: bool,
) -> Group:
    known = {(old.group_id, epoch): key for epoch, key in old.resumption_psks().items()}
    group = Group.join(identity, welcome, bundles, psks=known, continues=usage, fresh=fresh, now=now)
    origin = group.origin
    if usage == PskUsage.REINIT and (origin is None or origin.epoch != old.epoch):
        raise WelcomeError("the new group continues an epoch before the re-initialisation")
    return group


def _reinit(old: Group) -> ReInit:
    if old.standing != Standing.REINITIALISED or old.reinit is None:
        raise InputError("no re-initialisation was committed in this group")
    return old.reinit


def _credentials(group: Group) -> list[bytes]:
    return sorted(leaf.content.credential.encode() for _, leaf in group.view.tree.leaves())
