"""What a commit of ours shall contain: the caller's wishes and the proposals that others have sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from protocol.mls.authority import Authority, admit, suspicion
from protocol.mls.committing import Plan
from protocol.mls.errors import InputError, MlsError
from protocol.mls.extensions import Extension, Extensions
from protocol.mls.leaf import LeafNode
from protocol.mls.messages import (
    NEW_MEMBER_COMMIT,
    Authenticated,
    PublicMessage,
    Sender,
    SenderType,
    WireFormat,
    key_package_of,
    read_message,
)
from protocol.mls.proposals import (
    Add,
    AppDataUpdate,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    PskId,
    PskUsage,
    ReInit,
    Remove,
    Update,
)
from protocol.mls.psk import Psks, key_of
from protocol.mls.rules import Item, target
from protocol.mls.suites import Random
from protocol.mls.view import View

Entry = tuple[Item, bytes | None]


class Intent(Struct, frozen=True):
    """What a caller wants of a commit; see ``Group.stage``."""

    add: Sequence[bytes] = ()
    remove: Sequence[int] = ()
    context: Mapping[int, bytes | None] | None = None
    extensions: Extensions | None = None
    psk_ids: Sequence[PskId] = ()
    reinit: ReInit | None = None
    pending: bool = True
    path: bool | None = None
    private: bool = False
    authenticated_data: bytes = b""
    group_info_extensions: tuple[Extension, ...] = ()


def external_psk(psk_id: bytes, random: Random, size: int) -> PskId:
    """Name an external pre-shared key with a fresh nonce."""
    return PskId(psk_id, None, b"", 0, random(size))


def resumption_psk(group_id: bytes, epoch: int, usage: PskUsage, random: Random, size: int) -> PskId:
    """Name a resumption pre-shared key with a fresh nonce."""
    return PskId(b"", usage, group_id, epoch, random(size))


def plan_commit(
    view: View, own: int, intent: Intent, psks: Psks, now: int | None, authority: Authority | None = None
) -> Plan:
    """Turn wishes and pending proposals into a commit's plan.

    A commit has a path unless it only adds members, or the caller says otherwise. Raises ``UngrantedError`` for a key
    package that the ``authority`` does not vouch for; of what others proposed, what brings such a leaf is left out.
    """
    sender = Sender(SenderType.MEMBER, own)
    fresh = _fresh(intent)
    admit(authority, filter(None, map(_brought, fresh)))
    items: list[Entry] = [(Item(one, sender, inline=True), None) for one in fresh]
    if intent.pending and intent.reinit is None:
        pending = [entry for entry in _pending(view, own, items, psks) if _is_granted(authority, entry)]
        items = _valid(view, sender, pending, items, now) + items
    if not items and intent.path is False:
        raise InputError("a commit without proposals has a path")
    only_adds = bool(items) and all(isinstance(item.proposal, Add) for item, _ in items)
    path = not only_adds if intent.path is None else intent.path
    wire_format = WireFormat.PRIVATE if intent.private else WireFormat.PUBLIC
    extra = intent.group_info_extensions
    return Plan(items, psks, path, wire_format, intent.authenticated_data, extra)


def _brought(proposal: Proposal) -> LeafNode | None:
    """Return the leaf that a proposal would bring into the group."""
    if isinstance(proposal, Add):
        return proposal.key_package.leaf
    return proposal.leaf if isinstance(proposal, Update) else None


def _is_granted(authority: Authority | None, entry: Entry) -> bool:
    leaf = _brought(entry[0].proposal)
    return leaf is None or not suspicion(authority, leaf)


def _valid(view: View, sender: Sender, pending: list[Entry], fresh: list[Entry], now: int | None) -> list[Entry]:
    """Leave out pending proposals that would spoil the commit, so that nobody can block a group with one."""

    def fits(chosen: list[Entry]) -> bool:
        try:
            view.check_tree(view.apply([item for item, _ in chosen + fresh], sender, now))
        except MlsError:
            return False
        return True

    if not pending or fits(pending):
        return pending
    kept: list[Entry] = []
    for entry in pending:
        if fits([*kept, entry]):
            kept.append(entry)
    return kept


def plan_external(
    view: View,
    kem_output: bytes,
    psks: Psks,
    *,
    replace: int | None,
    psk_ids: Sequence[PskId],
    departures: Sequence[bytes],
) -> Plan:
    """Plan the commit by which someone joins without invitation."""
    proposals: list[Proposal] = [ExternalInit(kem_output)]
    if replace is not None:
        proposals.append(Remove(replace))
    proposals += [PreSharedKey(psk) for psk in psk_ids]
    items: list[Entry] = [(Item(one, NEW_MEMBER_COMMIT, inline=True), None) for one in proposals]
    items += [_departure(view, message) for message in departures]
    return Plan(items, psks, path=True, authenticated_data=view.aad.join(None, b""))


def _departure(view: View, message: bytes) -> Entry:
    """Check a member's proposal as far as one can from outside, and refer to it."""
    decoded = read_message(message)
    if not isinstance(decoded, PublicMessage):
        raise InputError("a departure is a proposal in a public message")
    authenticated = decoded.authenticated
    view.check_place(authenticated.content)
    view.verify(authenticated)
    ref = view.remember(authenticated, None)
    return _item(authenticated), ref


def _fresh(intent: Intent) -> list[Proposal]:
    fresh: list[Proposal] = []
    if intent.extensions is not None:
        fresh.append(GroupContextExtensions(intent.extensions))
    fresh += [Remove(leaf) for leaf in intent.remove]
    fresh += [Add(key_package_of(message)) for message in intent.add]
    fresh += [PreSharedKey(psk) for psk in intent.psk_ids]
    if intent.reinit is not None:
        fresh.append(intent.reinit)
    if intent.context is not None:
        fresh += [AppDataUpdate(number, data) for number, data in intent.context.items()]
    return fresh


def _pending(view: View, own: int, fresh: list[Entry], psks: Psks) -> list[Entry]:
    """Choose from what was proposed: nothing about ourselves, one change a leaf, removals first."""
    found = [(_item(message), ref) for ref, message in view.proposals.items()]
    found.sort(key=lambda pair: not isinstance(pair[0].proposal, Remove))
    touched = {own, *(target(item) for item, _ in fresh)} - {None}
    chosen: list[Entry] = []
    singles: set[type[Proposal]] = {type(item.proposal) for item, _ in fresh}
    for item, ref in found:
        leaf = target(item)
        if leaf in touched or isinstance(item.proposal, ReInit):
            continue
        if isinstance(item.proposal, GroupContextExtensions) and GroupContextExtensions in singles:
            continue
        if isinstance(item.proposal, PreSharedKey) and key_of(item.proposal.psk) not in psks:
            continue
        singles.add(type(item.proposal))
        if leaf is not None:
            touched.add(leaf)
        chosen.append((item, ref))
    return chosen


def _item(message: Authenticated) -> Item:
    body = message.content.body
    assert not isinstance(body, bytes | Commit)  # noqa: S101 - a view remembers proposals only
    return Item(body, message.content.sender, inline=False)
