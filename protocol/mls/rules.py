"""Which proposals may stand together in one commit (RFC 9420 §12.1 and §12.2, and the extensions draft)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from protocol.mls.errors import (
    CommitterRemovedError,
    ExtensionError,
    PathRequiredError,
    ProposalError,
    PskError,
    SenderError,
)
from protocol.mls.extensions import Extensions, ExtensionType, RequiredCapabilities, dictionary_of, find
from protocol.mls.leaf import LeafNode
from protocol.mls.messages import GroupContext, Sender, SenderType
from protocol.mls.proposals import (
    Add,
    AppDataUpdate,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ProposalType,
    PskUsage,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from protocol.mls.suites import CipherSuite
from protocol.mls.tree import RatchetTree

_BY_EXTERNAL = frozenset(
    {
        ProposalType.ADD,
        ProposalType.REMOVE,
        ProposalType.PSK,
        ProposalType.REINIT,
        ProposalType.GROUP_CONTEXT_EXTENSIONS,
        ProposalType.APP_DATA_UPDATE,
    }
)
_NEEDS_PATH = frozenset(
    {
        ProposalType.UPDATE,
        ProposalType.REMOVE,
        ProposalType.EXTERNAL_INIT,
        ProposalType.GROUP_CONTEXT_EXTENSIONS,
        ProposalType.SELF_REMOVE,
    }
)


class Item(Struct, frozen=True):
    """A proposal of a commit, who made it, and whether the commit carries it in full."""

    proposal: Proposal
    sender: Sender
    inline: bool


def check_sender(proposal: Proposal, sender: Sender) -> None:
    """Refuse a proposal that this kind of sender may not make."""
    kind = proposal.kind
    allowed = {
        SenderType.MEMBER: kind != ProposalType.EXTERNAL_INIT,
        SenderType.EXTERNAL: kind in _BY_EXTERNAL,
        SenderType.NEW_MEMBER_PROPOSAL: kind == ProposalType.ADD,
        SenderType.NEW_MEMBER_COMMIT: kind in (*_EXTERNAL_COMMIT,),
    }
    if not allowed[sender.type]:
        raise SenderError(f"a sender of type {sender.type.name} may not propose {kind.name}")


_EXTERNAL_COMMIT = (
    ProposalType.EXTERNAL_INIT,
    ProposalType.REMOVE,
    ProposalType.PSK,
    ProposalType.APP_DATA_UPDATE,
)


def needs_path(proposals: Sequence[Proposal]) -> bool:
    """Say whether a commit of these proposals must have a path."""
    return not proposals or any(proposal.kind in _NEEDS_PATH for proposal in proposals)


def check_path(proposals: Sequence[Proposal], path: object) -> None:
    """Refuse a commit without the path that its proposals call for."""
    if path is None and needs_path(proposals):
        raise PathRequiredError("these proposals need a commit with a path")


def check_list(items: Sequence[Item], committer: Sender, context: GroupContext, suite: CipherSuite) -> None:
    """Refuse a list of proposals that the rules forbid; the tree's own checks come when it is applied."""
    for item in items:
        check_sender(item.proposal, item.sender)
    if committer.type == SenderType.MEMBER:
        _check_regular(items, committer.index)
    else:
        _check_external(items)
    psks = [item.proposal for item in items if isinstance(item.proposal, PreSharedKey)]
    _check_psks(psks, suite, founding=context.epoch == 0)
    proposals = [item.proposal for item in items]
    if any(isinstance(one, ReInit) and one.version < context.version for one in proposals):
        raise ProposalError("a re-initialisation goes back to an older version")
    _check_context(proposals, context.extensions)


def _check_regular(items: Sequence[Item], committer: int) -> None:
    touched: list[int] = []
    for item in items:
        leaf = target(item)
        if leaf is None:
            continue
        if leaf == committer:
            raise CommitterRemovedError(f"a commit with {item.proposal.kind.name} of its own author")
        touched.append(leaf)
    if len(set(touched)) != len(touched):
        raise ProposalError("two proposals change one leaf")
    signers = [item.proposal.key_package.leaf.content.signature_key for item in items if isinstance(item.proposal, Add)]
    if len(set(signers)) != len(signers):
        raise ProposalError("one client is added twice")
    if len(items) > 1 and any(isinstance(item.proposal, ReInit) for item in items):
        raise ProposalError("a re-initialisation stands alone in its commit")


def target(item: Item) -> int | None:
    """Return the leaf that an update or a removal concerns."""
    if isinstance(item.proposal, Remove):
        return item.proposal.leaf
    return item.sender.index if isinstance(item.proposal, Update | SelfRemove) else None


def _check_external(items: Sequence[Item]) -> None:
    kinds = Counter(item.proposal.kind for item in items)
    if kinds[ProposalType.EXTERNAL_INIT] != 1:
        raise ProposalError("an external commit has exactly one ExternalInit")
    if kinds[ProposalType.REMOVE] > 1:
        raise ProposalError("an external commit removes at most one leaf")
    for item in items:
        if not item.inline and not isinstance(item.proposal, SelfRemove):
            raise ProposalError("an external commit refers only to departures")
    touched = [leaf for leaf in map(target, items) if leaf is not None]
    if len(set(touched)) != len(touched):
        raise ProposalError("two proposals change one leaf")


def _check_psks(psks: Sequence[PreSharedKey], suite: CipherSuite, *, founding: bool) -> None:
    if len({item.psk.encode() for item in psks}) != len(psks):
        raise PskError("one pre-shared key stands twice in a commit")
    for item in psks:
        if len(item.psk.nonce) != suite.hash_size:
            raise PskError(f"a PSK nonce of {len(item.psk.nonce)} bytes")
        if item.psk.usage not in (None, PskUsage.APPLICATION) and not founding:
            raise PskError("re-initialisation and branching PSKs belong into a new group's first commit")


def _check_context(proposals: Sequence[Proposal], extensions: Extensions) -> None:
    contexts = [proposal for proposal in proposals if isinstance(proposal, GroupContextExtensions)]
    if len(contexts) > 1:
        raise ProposalError("two proposals replace the group's extensions")
    required = RequiredCapabilities.of(extensions)
    if contexts and required is not None and ProposalType.APP_DATA_UPDATE in required.proposals:
        kind = ExtensionType.APP_DATA_DICTIONARY
        if find(contexts[0].extensions, kind) != find(extensions, kind):
            raise ExtensionError("app_data_dictionary changes by AppDataUpdate only in this group")


def apply_app_data(extensions: Extensions, proposals: Sequence[AppDataUpdate]) -> dict[int, bytes]:
    """Return the application components after these updates; the last update of one component stands."""
    components = dictionary_of(extensions)
    removals = [item.component for item in proposals if item.data is None]
    updates = {item.component: item.data for item in proposals if item.data is not None}
    if len(set(removals)) != len(removals) or set(removals) & set(updates):
        raise ProposalError("a component's removal stands alone in a commit")
    for component in removals:
        if component not in components:
            raise ProposalError(f"component {component:#06x} is not there to be removed")
        del components[component]
    return components | updates


def check_former_self(leaf: LeafNode, items: Sequence[Item], tree: RatchetTree) -> None:
    """Refuse an external commit that removes someone other than a former self, told by the credential."""
    for item in items:
        if isinstance(item.proposal, Remove):
            former = tree.leaf(item.proposal.leaf)
            if former is not None and former.content.credential != leaf.content.credential:
                raise SenderError("an external commit may remove a former self only")
