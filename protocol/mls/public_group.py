"""A group as the router sees it: its public half and nothing else.

It follows and judges commits as far as that is possible without a secret. What it cannot judge are the membership
and confirmation tags and whether a path's secrets fit its keys; members check those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from protocol.leg import LegClass, assurance
from protocol.mls import joining
from protocol.mls.authority import Authority, Suspect, suspects
from protocol.mls.codec import Reader, decode, u16, vec, vec_of
from protocol.mls.errors import DecodeError, FramingError, StateError, SuspendedError
from protocol.mls.extensions import dictionary_of
from protocol.mls.leaf import LeafNode
from protocol.mls.members import Member, member_at, members_of
from protocol.mls.messages import (
    Authenticated,
    GroupContext,
    PublicMessage,
    Sender,
    read_message,
)
from protocol.mls.proposals import Commit, Proposal, ReInit
from protocol.mls.suites import suite_of
from protocol.mls.tree import RatchetTree
from protocol.mls.view import Policy, View

_VERSION = 1


class AddedMember(Struct, frozen=True):
    """A member that a commit added, and the reference of the key package that was used."""

    member: Member
    key_package_ref: bytes


class PublicChange(Struct, frozen=True):
    """What a message did: a commit begins ``epoch``; a proposal only has a reference.

    ``suspects`` are those leaves, of all that the commit brought or changed, that the authority does not vouch for.
    """

    epoch: int
    sender: Sender
    authenticated_data: bytes = b""
    proposal: Proposal | None = None
    ref: bytes = b""
    added: tuple[AddedMember, ...] = ()
    removed: tuple[Member, ...] = ()
    joined: Member | None = None
    reinit: ReInit | None = None
    suspects: tuple[Suspect, ...] = ()


class PublicGroup:
    """The key-less view of one group."""

    def __init__(self, view: View, *, ended: bool = False, authority: Authority | None = None) -> None:
        """Hold a view; ``create`` and ``from_bytes`` are the ways to come by one."""
        self._view = view
        self._ended = ended
        self._authority = authority

    @classmethod
    def create(
        cls, group_info: bytes, *, now: int | None, tree: bytes | None = None, authority: Authority | None = None
    ) -> PublicGroup:
        """Begin from a member's GroupInfo (an MLSMessage), after checking it and its tree in full.

        ``now`` is unix seconds: leaves that came by key package must be valid then; None leaves that unjudged. Raises
        ``UngrantedError`` unless the ``authority`` vouches for every leaf.
        """
        view = joining.open_group_info(joining.group_info_of(group_info), tree, authority)
        for _, leaf in view.tree.leaves():
            lifetime = leaf.content.lifetime
            if now is not None and lifetime is not None:
                lifetime.check(now)
        return cls(view, authority=authority)

    @property
    def group_id(self) -> bytes:
        """The group's name."""
        return self._view.context.group_id

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._view.context.epoch

    @property
    def suite_id(self) -> int:
        """The cipher suite's IANA number."""
        return self._view.context.suite_id

    @property
    def context(self) -> Mapping[int, bytes]:
        """The application components of the GroupContext."""
        return dictionary_of(self._view.context.extensions)

    @property
    def assurance(self) -> LegClass:
        """The worst leg class among the members."""
        return assurance(member.leg for member in self.members())

    @property
    def ended(self) -> bool:
        """Whether a ReInit was committed, after which nothing more may be."""
        return self._ended

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """The leaves that the authority does not vouch for now; none without an authority."""
        return suspects(self._authority, self._view.tree.leaves())

    def members(self) -> Sequence[Member]:
        """Describe the members, by ascending leaf index."""
        return members_of(self._view.tree)

    def check(self, message: bytes, *, policy: Policy | None = None, now: int | None) -> PublicChange:
        """Judge a message as ``process`` does, without advancing."""
        return self._judge(message, policy, now)[0]

    def process(self, message: bytes, *, policy: Policy | None = None, now: int | None) -> PublicChange:
        """Validate a proposal or commit in a PublicMessage and advance; raises what is wrong and changes nothing.

        ``now`` is unix seconds. ``policy`` may refuse a commit by raising ``PolicyError``.
        """
        change, view, authenticated = self._judge(message, policy, now)
        if view is None:
            self._view.remember(authenticated, now)
        else:
            self._view = view
            self._ended = change.reinit is not None
        return change

    def _judge(
        self, data: bytes, policy: Policy | None, now: int | None
    ) -> tuple[PublicChange, View | None, Authenticated]:
        message = read_message(data)
        if not isinstance(message, PublicMessage):
            raise FramingError("only public handshake messages can be followed")
        if self._ended:
            raise SuspendedError("the group was re-initialised")
        authenticated = message.authenticated
        content, view = authenticated.content, self._view
        view.check_place(content)
        if isinstance(content.body, bytes):
            raise FramingError("an application message that is not encrypted")
        view.verify(authenticated)
        if isinstance(content.body, Commit):
            change, reached = self._follow(authenticated, policy, now)
            return change, reached, authenticated
        trial = View(view.context, view.tree, view.interim)
        ref = trial.remember(authenticated, now)
        change = PublicChange(self.epoch, content.sender, content.authenticated_data, content.body, ref)
        return change, None, authenticated

    def _follow(self, message: Authenticated, policy: Policy | None, now: int | None) -> tuple[PublicChange, View]:
        view, content = self._view, message.content
        followed = view.follow(message, now, policy)
        applied = followed.applied
        added = tuple(
            AddedMember(member_at(index, package.leaf), package.ref(view.suite)) for index, package in applied.added
        )
        joiner = applied.tree.leaf(followed.committer) if applied.external_init is not None else None
        change = PublicChange(
            followed.context.epoch,
            content.sender,
            content.authenticated_data,
            added=added,
            removed=tuple(member_at(index, leaf) for index, leaf in applied.removed),
            joined=None if joiner is None else member_at(followed.committer, joiner),
            reinit=applied.reinit,
            suspects=suspects(self._authority, _new_leaves(view.tree, applied.tree)),
        )
        return change, View(followed.context, applied.tree, followed.interim)

    def to_bytes(self) -> bytes:
        """Encode the view for storage; there is nothing secret in it."""
        view = self._view
        proposals = vec_of(vec(message.encode()) for message in view.proposals.values())
        head = u16(_VERSION) + bytes((self._ended,)) + view.encoded_context + vec(view.interim)
        return head + vec(view.tree.encode()) + proposals

    @classmethod
    def from_bytes(cls, data: bytes, *, authority: Authority | None = None) -> PublicGroup:
        """Decode what ``to_bytes`` gave; raises ``StateError`` if it is something else.

        The leaves that it holds already are not refused: ``suspects`` names those the ``authority`` does not vouch for.
        """
        try:
            view, ended = decode(data, cls._read)
        except DecodeError as error:
            raise StateError(f"not a stored public group: {error}") from None
        return cls(view, ended=ended, authority=authority)

    @classmethod
    def _read(cls, reader: Reader) -> tuple[View, bool]:
        version = reader.u16()
        if version != _VERSION:
            raise StateError(f"a stored public group of version {version}")
        ended, context, interim = bool(reader.u8()), GroupContext.read(reader), reader.vec()
        tree = RatchetTree.decode(suite_of(context.suite_id), reader.vec())
        view = View(context, tree, interim)
        for message in reader.items(Reader.vec):
            view.remember(decode(message, Authenticated.read), None)
        return view, ended


def _new_leaves(old: RatchetTree, new: RatchetTree) -> list[tuple[int, LeafNode]]:
    """Return the leaves of a tree, with their index, that another tree does not have at the same place."""
    return [(index, leaf) for index, leaf in new.leaves() if index >= old.size or old.leaf(index) is not leaf]
