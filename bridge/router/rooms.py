"""Rooms: what may found one and what may change one. Pure decisions; the journal makes them true.

A room is what it was founded as: its kind, URI, participants and founding number stay (``bridge.policy.rooms``). Only
endpoints that the configuration names come in, and nobody removes one of them whom a newer configuration may name.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import msgspec

from bridge.policy.rooms import changed, supersedes, unsound
from bridge.room_context import RoomContext
from bridge.router.configuration import RoomConfiguration
from bridge.router.contract import HandshakeBundle, Kind, Member, Refusal, RefusalCode
from bridge.router.grants import Grants
from bridge.router.groups import Groups, GroupStep
from bridge.router.journal import Decide, Post, RoomChange, RoomState
from protocol.mls.errors import (
    DecodeError,
    MlsError,
    UngrantedError,
    UnsupportedError,
    WrongEpochError,
    WrongGroupError,
)


class RoomRules:
    """Judges handshakes by MLS, by the grants, by who sends them, and by what the configuration says of the room."""

    def __init__(self, groups: Groups, grants: Grants, domain: str, configuration: RoomConfiguration) -> None:
        self._groups = groups
        self._domain = domain
        self.grants = grants
        self.configuration = configuration

    def judge(
        self, endpoint: str, room: str, bundle: HandshakeBundle, now: int, *, away: AbstractSet[str] = frozenset()
    ) -> Decide:
        """Return the decision about ``bundle`` for ``room`` from the authenticated ``endpoint``.

        ``now`` is milliseconds; ``away`` are endpoints that were not heard of for so long that they may be removed.
        """

        def decide(state: RoomState | None) -> RoomChange | Refusal:
            try:
                if not bundle.commit:
                    return self._found(state, endpoint, room, bundle, now // 1000)
                return self._commit(state, endpoint, bundle, now // 1000, away)
            except MlsError as error:
                return refuse(error, state)

        return decide

    # --- founding -----------------------------------------------------------------------------------------------------

    def _found(
        self, state: RoomState | None, endpoint: str, room: str, bundle: HandshakeBundle, now: int
    ) -> RoomChange | Refusal:
        """Found a room, or found it anew: a new group with a higher founding number takes the place of the old one."""
        step = self._groups.found(bundle.group_info, now)
        if step.epoch != 0 or len(step.members) != 1:
            return Refusal(RefusalCode.INVALID_PROPOSAL, "a group begins in epoch 0 with its founder alone")
        if fault := unsound(step.context, room, self._domain):
            return Refusal(RefusalCode.INVALID_PROPOSAL, fault)
        assert step.context is not None  # noqa: S101 - that would be a fault
        if state is not None and step.group_id == state.group_id:
            return Refusal(RefusalCode.ROOM_EXISTS, f"{room} has this group already", state.epoch, state.founding)
        refusal = self._refuse_leaves(endpoint, step, ()) or self._refuse_founder(state, endpoint, step.context)
        return refusal or _change(step, bundle, ())

    def _refuse_founder(self, state: RoomState | None, endpoint: str, context: RoomContext) -> Refusal | None:
        before = -1 if state is None else state.founding
        if not supersedes(before, context.founding):
            if state is None:
                return Refusal(RefusalCode.INVALID_PROPOSAL, f"a founding number of {context.founding}")
            text = f"{state.room} exists, with the founding number {before}: {context.founding} does not supersede it"
            return Refusal(RefusalCode.ROOM_EXISTS, text, state.epoch, before)
        named = self.configuration.named(context, self.grants)
        if endpoint in (named or ()) or (named is None and state is not None and state.holds(endpoint)):
            return None
        return Refusal(RefusalCode.NOT_ALLOWED, f"the configuration does not name {endpoint} in {context.uri}")

    # --- commits ------------------------------------------------------------------------------------------------------

    def _commit(
        self, state: RoomState | None, endpoint: str, bundle: HandshakeBundle, now: int, away: AbstractSet[str]
    ) -> RoomChange | Refusal:
        if state is None:
            return Refusal(RefusalCode.NO_SUCH_ROOM, "there is no such room")
        if not state.holds(endpoint):
            return Refusal(RefusalCode.NOT_ALLOWED, f"{endpoint} is not in {state.room}")
        header = self._groups.commit(bundle.commit)
        if header.group_id != state.group_id:
            code = RefusalCode.WRONG_EPOCH if state.founding else RefusalCode.INVALID_PROPOSAL
            return Refusal(code, f"a commit of another group than {state.room}'s", state.epoch, state.founding)
        if header.epoch != state.epoch:
            text = f"a commit of epoch {header.epoch}, the room is in {state.epoch}"
            return Refusal(RefusalCode.WRONG_EPOCH, text, state.epoch, state.founding)
        step = self._groups.follow(state.group, bundle.commit, bundle.group_info, now)
        if bool(step.added) != bool(bundle.welcome):
            text = "a commit that adds someone comes with a Welcome, and no other does"
            return Refusal(RefusalCode.INVALID_PROPOSAL, text, state.epoch)
        refusal = (
            self._refuse_leaves(endpoint, step, state.members)
            or self._refuse_description(state, step)
            or self._refuse_membership(state, endpoint, step, away)
        )
        return refusal or _change(step, bundle, _posts(state, step, bundle))

    def _refuse_leaves(self, endpoint: str, step: GroupStep, before: tuple[Member, ...]) -> Refusal | None:
        if step.committer != endpoint:
            return Refusal(RefusalCode.NOT_ALLOWED, f"{endpoint} sent a handshake signed by {step.committer}")
        claims = {(member.endpoint, member.namespaces) for member in before}
        for member in step.members:
            claim = (member.endpoint, member.namespaces)
            if claim not in claims and not self.grants.allows(*claim):
                text = f"{member.endpoint} may not speak for {', '.join(member.namespaces) or 'itself'}"
                return Refusal(RefusalCode.NOT_ALLOWED, text)
        if len({member.endpoint for member in step.members}) != len(step.members):
            return Refusal(RefusalCode.INVALID_PROPOSAL, "an endpoint has one leaf in a room")
        return None

    def _refuse_description(self, state: RoomState, step: GroupStep) -> Refusal | None:
        fault = changed(step.before, step.context)
        return Refusal(RefusalCode.INVALID_PROPOSAL, fault, state.epoch) if fault else None

    def _refuse_membership(
        self, state: RoomState, endpoint: str, step: GroupStep, away: AbstractSet[str]
    ) -> Refusal | None:
        """Refuse who brings in, or is, somebody whom nothing names; and who removes somebody who is to stay."""
        context = step.context
        assert context is not None  # noqa: S101 - ``changed`` has refused that
        named = self.configuration.named(context, self.grants) or frozenset()
        coming = {member.endpoint for member in step.members} - {member.endpoint for member in state.members}
        for stranger in sorted((coming | {endpoint}) - named):
            text = f"the configuration does not name {stranger} in {state.room}"
            return Refusal(RefusalCode.NOT_ALLOWED, text, state.epoch)
        if context.kind == "group" and context.revision > self.configuration.revision:
            return None  # by a file that is newer than ours
        for kept in sorted(set(_gone(state, step)) & named - step.suspects - away):
            text = f"the configuration (revision {self.configuration.revision}) names {kept} in {state.room}"
            return Refusal(RefusalCode.NOT_ALLOWED, text, state.epoch)
        return None


def refuse(error: MlsError, state: RoomState | None) -> Refusal:
    """Return the refusal that tells a peer of an MLS error."""
    code = RefusalCode.INVALID_PROPOSAL
    if isinstance(error, WrongEpochError):
        code = RefusalCode.WRONG_EPOCH
    elif isinstance(error, UngrantedError):
        code = RefusalCode.NOT_GRANTED
    elif isinstance(error, DecodeError | UnsupportedError | WrongGroupError):
        code = RefusalCode.MALFORMED
    return Refusal(code, f"{error.code}: {error}", None if state is None else state.epoch)


def _gone(state: RoomState, step: GroupStep) -> tuple[str, ...]:
    """Return who had a leaf and has none any more; who was only given another leaf is not gone."""
    staying = {member.endpoint for member in step.members}
    return tuple(member.endpoint for member in state.members if member.endpoint not in staying)


def _posts(state: RoomState, step: GroupStep, bundle: HandshakeBundle) -> tuple[Post, ...]:
    """Tell the members of the old epoch of the commit, those who leave included, welcome the new ones, and say to those
    who stay that nobody who left will answer them any more.
    """
    before = tuple(member.endpoint for member in state.members)
    posts = [Post(Kind.COMMIT, state.epoch, bundle.commit, before)]
    if step.added:
        posts.append(Post(Kind.WELCOME, step.epoch, bundle.welcome, step.added))
    if gone := _gone(state, step):
        posts.append(left(gone, step.epoch, tuple(member for member in before if member not in gone)))
    return tuple(posts)


def left(gone: tuple[str, ...], epoch: int, recipients: tuple[str, ...]) -> Post:
    """Return what tells ``recipients`` that those who are ``gone`` are no longer served in a room."""
    return Post(Kind.LEFT, epoch, msgspec.json.encode(gone), recipients)


def _change(step: GroupStep, bundle: HandshakeBundle, posts: tuple[Post, ...]) -> RoomChange:
    return RoomChange(
        group_id=step.group_id,
        epoch=step.epoch,
        members=step.members,
        group=step.state,
        group_info=bundle.group_info,
        posts=posts,
        founding=0 if step.context is None else step.context.founding,
        revision=0 if step.context is None else step.context.revision,
    )
