"""Rooms: what may create one and what may change one. Pure decisions; the journal makes them true."""

from __future__ import annotations

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
    """Judges handshakes by MLS, by the grants, and by who sends them."""

    def __init__(self, groups: Groups, grants: Grants) -> None:
        self._groups = groups
        self._grants = grants

    def judge(self, endpoint: str, bundle: HandshakeBundle, now: int) -> Decide:
        """Return the decision about ``bundle`` from the authenticated ``endpoint``; ``now`` is milliseconds."""

        def decide(state: RoomState | None) -> RoomChange | Refusal:
            try:
                if not bundle.commit:
                    return self._create(state, endpoint, bundle, now // 1000)
                return self._commit(state, endpoint, bundle, now // 1000)
            except MlsError as error:
                return refuse(error, None if state is None else state.epoch)

        return decide

    def _create(
        self, state: RoomState | None, endpoint: str, bundle: HandshakeBundle, now: int
    ) -> RoomChange | Refusal:
        if state is not None:
            return Refusal(RefusalCode.ROOM_EXISTS, f"{state.room} exists", state.epoch)
        step = self._groups.found(bundle.group_info, now)
        if step.epoch != 0 or len(step.members) != 1:
            return Refusal(RefusalCode.INVALID_PROPOSAL, "a room begins in epoch 0 with its creator alone")
        return self._refuse_members(endpoint, step, ()) or _change(step, bundle, ())

    def _commit(
        self, state: RoomState | None, endpoint: str, bundle: HandshakeBundle, now: int
    ) -> RoomChange | Refusal:
        if state is None:
            return Refusal(RefusalCode.NO_SUCH_ROOM, "there is no such room")
        if not state.holds(endpoint):
            return Refusal(RefusalCode.NOT_ALLOWED, f"{endpoint} is not in {state.room}")
        header = self._groups.commit(bundle.commit)
        if header.group_id != state.group_id:
            return Refusal(RefusalCode.INVALID_PROPOSAL, f"a commit of another group than {state.room}'s")
        if header.epoch != state.epoch:
            text = f"a commit of epoch {header.epoch}, the room is in {state.epoch}"
            return Refusal(RefusalCode.WRONG_EPOCH, text, state.epoch)
        step = self._groups.follow(state.group, bundle.commit, bundle.group_info, now)
        if bool(step.added) != bool(bundle.welcome):
            text = "a commit that adds someone comes with a Welcome, and no other does"
            return Refusal(RefusalCode.INVALID_PROPOSAL, text, state.epoch)
        refusal = self._refuse_members(endpoint, step, state.members)
        return refusal or _change(step, bundle, _posts(state, step, bundle))

    def _refuse_members(self, endpoint: str, step: GroupStep, before: tuple[Member, ...]) -> Refusal | None:
        if step.committer != endpoint:
            return Refusal(RefusalCode.NOT_ALLOWED, f"{endpoint} sent a handshake signed by {step.committer}")
        claims = {(member.endpoint, member.namespaces) for member in before}
        for member in step.members:
            claim = (member.endpoint, member.namespaces)
            if claim not in claims and not self._grants.allows(*claim):
                text = f"{member.endpoint} may not speak for {', '.join(member.namespaces) or 'itself'}"
                return Refusal(RefusalCode.NOT_ALLOWED, text)
        if len({member.endpoint for member in step.members}) != len(step.members):
            return Refusal(RefusalCode.INVALID_PROPOSAL, "an endpoint has one leaf in a room")
        return None


def refuse(error: MlsError, epoch: int | None) -> Refusal:
    """Return the refusal that tells a peer of an MLS error."""
    code = RefusalCode.INVALID_PROPOSAL
    if isinstance(error, WrongEpochError):
        code = RefusalCode.WRONG_EPOCH
    elif isinstance(error, UngrantedError):
        code = RefusalCode.NOT_GRANTED
    elif isinstance(error, DecodeError | UnsupportedError | WrongGroupError):
        code = RefusalCode.MALFORMED
    return Refusal(code, f"{error.code}: {error}", epoch)


def _posts(state: RoomState, step: GroupStep, bundle: HandshakeBundle) -> tuple[Post, ...]:
    """Tell the members of the old epoch of the commit, those who leave included, and welcome the new ones."""
    commit = Post(Kind.COMMIT, state.epoch, bundle.commit, tuple(member.endpoint for member in state.members))
    if not step.added:
        return (commit,)
    return (commit, Post(Kind.WELCOME, step.epoch, bundle.welcome, step.added))


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
