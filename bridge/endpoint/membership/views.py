"""A room as the plan wants to see it: what the router lists, what the ledger keeps, what the configuration names."""

from __future__ import annotations

from adapters.contract import Direct
from bridge.endpoint.ledger.contract import RoomPhase
from bridge.endpoint.rooms.room import Room
from bridge.policy.membership import Configured, GroupView, LedgerView, RouterView
from bridge.room_context import room_context
from bridge.router.contract import RoomView
from protocol import mls


def configured(room: Room, members: tuple[str, ...], revision: int) -> Configured:
    """Return what the configuration of this ``revision`` says of a room."""
    return Configured(members, revision, isinstance(room.conversation, Direct))


def router_view(view: RoomView, away: int) -> RouterView:
    """Return what the router says of a room that it counts us in; who was last heard of before ``away`` is away."""
    members = tuple(member.endpoint for member in view.members)
    gone = frozenset(endpoint for endpoint, at in view.seen.items() if 0 < at < away)
    return RouterView(view.group_id, view.epoch, members, view.founding, view.revision, away=gone)


def group_view(group: mls.Group) -> GroupView:
    """Return what our own group says."""
    said = room_context(group.context)
    return GroupView(
        group.group_id,
        group.epoch,
        tuple(member.uri for member in group.members()),
        0 if said is None else said.founding,
        0 if said is None else said.revision,
        suspects=frozenset(suspect.uri for suspect in group.suspects),
    )


def ledger_view(room: Room, *, traffic: bool) -> LedgerView:
    """Return what we know of a room; ``traffic``: something waits to be sent there."""
    group = room.group
    return LedgerView(
        founding=room.founding,
        epoch=room.highest_epoch,
        group=None if group is None else group_view(group),
        announced=room.phase is RoomPhase.MEMBER,
        removed=room.removed,
        diverged=room.diverged,
        complete=room.complete,
        staged=room.pending is not None,
        sealing=group is not None and group.may_send and not room.renews and not room.exhausted,
        traffic=traffic,
        unanswered=room.unanswered,
        refused=room.refused,
        since=room.since,
    )
