"""The public half of a group in one epoch: everything that can be known and judged without a secret.

``Group`` adds secrets to it; ``PublicGroup`` is it and nothing more. A commit is followed in three steps: its
proposals are resolved and judged as a list, applied to a copy of the tree, and its path put on top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from protocol.mls import schedule
from protocol.mls.codec import Reader, decode, u16, vec, vec_of
from protocol.mls.errors import (
    ConfirmationTagError,
    DuplicateKeyError,
    FramingError,
    ProposalError,
    SenderError,
    TreeHashError,
    UnknownProposalError,
    WrongEpochError,
    WrongGroupError,
)
from protocol.mls.extensions import (
    AuthenticatedData,
    Extensions,
    ExtensionType,
    check_known,
    encode_dictionary,
    find,
    replace,
)
from protocol.mls.leaf import Credential, KeyPackage, LeafNode, LeafSource
from protocol.mls.messages import (
    Authenticated,
    FramedContent,
    GroupContext,
    Sender,
    SenderType,
    proposal_ref,
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
    ReInit,
    Remove,
    Update,
    UpdatePath,
)
from protocol.mls.rules import (
    Item,
    apply_app_data,
    check_former_self,
    check_list,
    check_path,
    check_sender,
    target,
)
from protocol.mls.signing import VerifyingKey
from protocol.mls.suites import CipherSuite, suite_of
from protocol.mls.tree import RatchetTree
from protocol.mls.treekem import apply_path
from protocol.mls.validation import (
    check_capabilities,
    check_credentials,
    check_key_package,
    check_proposal_support,
    check_source,
)

MAX_PROPOSALS = 1024
"""How many proposals are kept in one epoch."""

LAST_EPOCH = (1 << 64) - 1
"""The last epoch that has a number."""


class ExternalSender(Struct, frozen=True):
    """Someone outside the group whose proposals it accepts (RFC 9420 §12.1.8.1)."""

    signature_key: bytes
    credential: Credential

    def encode(self) -> bytes:
        """Encode it."""
        return vec(self.signature_key) + self.credential.encode()

    @classmethod
    def read(cls, reader: Reader) -> ExternalSender:
        """Read one."""
        return cls(reader.vec(), Credential.read(reader))


def encode_external_senders(senders: Sequence[ExternalSender]) -> bytes:
    """Encode the data of the ``external_senders`` extension."""
    return vec_of(sender.encode() for sender in senders)


def external_senders(extensions: Extensions) -> tuple[ExternalSender, ...]:
    """Return those whose proposals a group with these extensions accepts."""
    data = find(extensions, ExtensionType.EXTERNAL_SENDERS)
    return () if data is None else decode(data, lambda reader: reader.items(ExternalSender.read))


@dataclass(slots=True)
class Applied:
    """A copy of the tree with a commit's proposals applied, and what they changed."""

    tree: RatchetTree
    extensions: Extensions
    added: list[tuple[int, KeyPackage]] = field(default_factory=list)
    removed: list[tuple[int, LeafNode]] = field(default_factory=list)
    updated: list[int] = field(default_factory=list)
    psks: list[PskId] = field(default_factory=list)
    reinit: ReInit | None = None
    external_init: ExternalInit | None = None

    @property
    def new(self) -> frozenset[int]:
        """The leaves that were added, to whom no path secret is sealed."""
        return frozenset(index for index, _ in self.added)


class Followed(Struct, frozen=True):
    """A commit that was followed as far as one can without secrets."""

    applied: Applied
    context: GroupContext
    interim: bytes
    committer: int
    path: UpdatePath | None
    path_context: bytes
    proposals: tuple[Proposal, ...]


Policy = Callable[["View", Sequence[Item], Sender, LeafNode | None], None]
"""A hook that may refuse a commit by raising ``PolicyError``.

It sees the view, the proposals, the committer, and the committer's new leaf if the commit has a path.
"""


class View:
    """A group's public state in one epoch, with the proposals that were sent in it."""

    __slots__ = ("aad", "context", "encoded_context", "interim", "proposals", "suite", "tree")

    def __init__(self, context: GroupContext, tree: RatchetTree, interim: bytes) -> None:
        self.suite: CipherSuite = suite_of(context.suite_id)
        self.context, self.tree, self.interim = context, tree, interim
        self.encoded_context = context.encode()
        self.aad = AuthenticatedData.of(context.extensions)
        self.proposals: dict[bytes, Authenticated] = {}

    def check_place(self, content: FramedContent) -> None:
        """Refuse content of another group or epoch."""
        if content.group_id != self.context.group_id:
            raise WrongGroupError("a message of another group")
        if content.epoch != self.context.epoch:
            raise WrongEpochError(f"a message of epoch {content.epoch} in epoch {self.context.epoch}")
        self.aad.split(content.authenticated_data)

    def verify(self, message: Authenticated) -> None:
        """Check the signature over handshake content, whoever may have sent it."""
        key = self._signer(message.content)
        tbs = message.tbs(self.encoded_context)
        self.suite.verify(key, b"FramedContentTBS", tbs, message.signature, "a message")

    def _signer(self, content: FramedContent) -> VerifyingKey:
        sender, body = content.sender, content.body
        if sender.type == SenderType.MEMBER:
            leaf = self.tree.leaf(sender.index)
            if leaf is None:
                raise SenderError(f"leaf {sender.index} is blank or outside the tree")
            return leaf.verifier(self.suite)
        if sender.type == SenderType.EXTERNAL and not isinstance(body, bytes | Commit):
            senders = external_senders(self.context.extensions)
            if sender.index >= len(senders):
                raise SenderError(f"the group has no external sender {sender.index}")
            return self.suite.scheme.load_public(senders[sender.index].signature_key)
        if sender.type == SenderType.NEW_MEMBER_PROPOSAL and isinstance(body, Add):
            return body.key_package.leaf.verifier(self.suite)
        if sender.type == SenderType.NEW_MEMBER_COMMIT and isinstance(body, Commit) and body.path is not None:
            return body.path.leaf.verifier(self.suite)
        raise SenderError(f"a sender of type {sender.type.name} may not send this")

    def remember(self, message: Authenticated, now: int | None) -> bytes:
        """Check a proposal on its own and keep it until the epoch ends; return its reference."""
        body = message.content.body
        if isinstance(body, bytes | Commit):
            raise FramingError("this message is not a proposal")
        check_sender(body, message.content.sender)
        if len(self.proposals) >= MAX_PROPOSALS:
            raise ProposalError(f"{MAX_PROPOSALS} proposals in one epoch are the most we keep")
        if isinstance(body, Add):
            check_key_package(self.suite, body.key_package, now)
        elif isinstance(body, Update):
            self._check_update(message.content.sender.index, body.leaf)
        elif isinstance(body, Remove) and self.tree.leaf(body.leaf) is None:
            raise ProposalError(f"leaf {body.leaf} is not there to be removed")
        ref = proposal_ref(self.suite, message)
        self.proposals[ref] = message
        return ref

    def _check_update(self, index: int, leaf: LeafNode) -> None:
        check_source(leaf, LeafSource.UPDATE, self.tree.leaf(index))
        leaf.verify(self.suite, (self.context.group_id, index))

    def resolve(self, commit: Commit, committer: Sender) -> list[Item]:
        """Look up the proposals that a commit refers to."""
        items = []
        for entry in commit.proposals:
            if not isinstance(entry, bytes):
                items.append(Item(entry, committer, inline=True))
                continue
            known = self.proposals.get(entry)
            if known is None or isinstance(known.content.body, bytes | Commit):
                raise UnknownProposalError("a commit refers to a proposal that is not here")
            items.append(Item(known.content.body, known.content.sender, inline=False))
        return items

    def apply(self, items: Sequence[Item], committer: Sender, now: int | None) -> Applied:
        """Judge a list of proposals and apply it to a copy of the tree (RFC 9420 §12.3)."""
        check_list(items, committer, self.context, self.suite)
        proposals = [item.proposal for item in items]
        check_proposal_support(self.tree, {int(proposal.kind) for proposal in proposals})
        applied = Applied(self.tree.clone(), self._extensions(proposals))
        for item in items:
            self._apply_leaving(item, applied)
        for proposal in proposals:
            if isinstance(proposal, Add):
                check_key_package(self.suite, proposal.key_package, now)
                applied.added.append((applied.tree.add(proposal.key_package.leaf), proposal.key_package))
            elif isinstance(proposal, PreSharedKey):
                applied.psks.append(proposal.psk)
            elif isinstance(proposal, ReInit):
                applied.reinit = proposal
            elif isinstance(proposal, ExternalInit):
                applied.external_init = proposal
        self._check_changes(applied)
        return applied

    def _extensions(self, proposals: Sequence[Proposal]) -> Extensions:
        extensions = self.context.extensions
        for proposal in proposals:
            if isinstance(proposal, GroupContextExtensions):
                extensions = proposal.extensions
        updates = [proposal for proposal in proposals if isinstance(proposal, AppDataUpdate)]
        if updates:
            data = encode_dictionary(apply_app_data(extensions, updates))
            extensions = replace(extensions, ExtensionType.APP_DATA_DICTIONARY, data)
        if extensions is not self.context.extensions:
            check_known(extensions)
            external_senders(extensions)
        return extensions

    def _apply_leaving(self, item: Item, applied: Applied) -> None:
        index = target(item)
        if index is None:
            return
        leaf = applied.tree.leaf(index)
        if leaf is None:
            raise ProposalError(f"leaf {index} is not there to be changed")
        if isinstance(item.proposal, Update):
            self._check_update(index, item.proposal.leaf)
            applied.tree.update(index, item.proposal.leaf)
            applied.updated.append(index)
        else:
            applied.tree.remove(index)
            applied.removed.append((index, leaf))

    def _check_changes(self, applied: Applied) -> None:
        """Check the leaves that are new, or all of them when the group's extensions changed."""
        if applied.extensions is not self.context.extensions:
            judged = [leaf for _, leaf in applied.tree.leaves()]
        else:
            places = [*(index for index, _ in applied.added), *applied.updated]
            judged = [leaf for leaf in map(applied.tree.leaf, places) if leaf is not None]
        for leaf in judged:
            check_capabilities(self.suite, leaf, applied.extensions)

    def next_context(self, applied: Applied, transcript: bytes) -> GroupContext:
        """Describe the next epoch as far as it is known."""
        now = self.context
        if now.epoch == LAST_EPOCH:
            raise WrongEpochError("this epoch is the last that has a number")
        return GroupContext(
            now.suite_id,
            now.group_id,
            now.epoch + 1,
            applied.tree.hash(),
            transcript,
            applied.extensions,
        )

    def check_tree(self, applied: Applied) -> None:
        """Refuse doubled keys and credentials that some member cannot read."""
        applied.tree.check_keys()
        check_credentials(applied.tree)

    def follow(self, message: Authenticated, now: int | None, policy: Policy | None = None) -> Followed:
        """Follow a commit whose signature was checked; raises what is wrong with it and changes nothing."""
        content = message.content
        commit = content.body
        if not isinstance(commit, Commit):
            raise FramingError("this message is not a commit")
        if message.confirmation_tag is None:
            raise ConfirmationTagError("a commit carries no confirmation tag")
        if content.sender.type not in (SenderType.MEMBER, SenderType.NEW_MEMBER_COMMIT):
            raise SenderError(f"a sender of type {content.sender.type.name} may not commit")
        items = self.resolve(commit, content.sender)
        if policy is not None:
            policy(self, items, content.sender, None if commit.path is None else commit.path.leaf)
        applied = self.apply(items, content.sender, now)
        proposals = tuple(item.proposal for item in items)
        check_path(proposals, commit.path)
        committer, path_context = self._follow_path(content.sender, items, commit.path, applied)
        self.check_tree(applied)
        confirmed = self.confirmed(message)
        context = self.next_context(applied, confirmed)
        interim = schedule.interim_hash(self.suite, confirmed, message.confirmation_tag)
        return Followed(applied, context, interim, committer, commit.path, path_context, proposals)

    def confirmed(self, message: Authenticated) -> bytes:
        """Extend the transcript by a commit."""
        head = u16(message.wire_format) + message.content.encoded + vec(message.signature)
        return schedule.confirmed_hash(self.suite, self.interim, head)

    def _follow_path(
        self, sender: Sender, items: Sequence[Item], path: UpdatePath | None, applied: Applied
    ) -> tuple[int, bytes]:
        tree = applied.tree
        if path is None:
            return sender.index, b""
        check_capabilities(self.suite, path.leaf, applied.extensions)
        if sender.type == SenderType.MEMBER:
            index = sender.index
            check_source(path.leaf, LeafSource.COMMIT, tree.leaf(index))
        else:
            check_source(path.leaf, LeafSource.COMMIT, None)
            check_former_self(path.leaf, items, self.tree)
            index = tree.add(path.leaf)
        path.leaf.verify(self.suite, (self.context.group_id, index))
        self._check_path_keys(tree, path)
        apply_path(tree, index, path, applied.new)
        return index, self.next_context(applied, self.context.confirmed_transcript_hash).encode()

    def _check_path_keys(self, tree: RatchetTree, path: UpdatePath) -> None:
        known = {node.encryption_key for node in self.tree.nodes if node is not None}
        fresh = [path.leaf.encryption_key, *(node.encryption_key for node in path.nodes)]
        if len(set(fresh)) != len(fresh) or not known.isdisjoint(fresh):
            raise DuplicateKeyError("a path brings a key that the tree had before")
        for key in fresh:
            self.suite.kem.load_public(key)

    def check_tree_hash(self) -> None:
        """Refuse a tree whose hash is not the one in the GroupContext."""
        if self.tree.hash() != self.context.tree_hash:
            raise TreeHashError("the tree is not the one that the GroupContext names")
