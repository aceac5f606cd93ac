"""What comes in: application messages, proposals and commits of others (RFC 9420 §6 and §12.4.2)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from msgspec import Struct

from protocol.mls import schedule
from protocol.mls import treemath as tm
from protocol.mls.authority import Authority, suspicion
from protocol.mls.committing import keep_private
from protocol.mls.errors import (
    ConfirmationTagError,
    DecodeError,
    FramingError,
    OwnMessageError,
    PathError,
    WrongEpochError,
    WrongGroupError,
)
from protocol.mls.framing import Epoch, check_public
from protocol.mls.members import Member, member_at
from protocol.mls.messages import (
    Authenticated,
    ContentType,
    PrivateMessage,
    PublicMessage,
    Sender,
    SenderType,
    read_message,
)
from protocol.mls.proposals import Commit, Proposal, ReInit
from protocol.mls.psk import Psks, psk_secret
from protocol.mls.secret_tree import Opened
from protocol.mls.staged import Next, Patch
from protocol.mls.state import State
from protocol.mls.treekem import open_path
from protocol.mls.view import Followed, Policy


class Application(Struct, frozen=True):
    """An application message that was opened; ``epoch`` may be a past one.

    ``safe_aad`` is what components put before the authenticated data, in groups that use that. ``suspicion`` says why
    the authority does not vouch for the leaf that sent it, as it was in that epoch; '' if it does.
    """

    sender: Member
    data: bytes
    authenticated_data: bytes
    epoch: int
    generation: int
    safe_aad: Mapping[int, bytes]
    suspicion: str = ""


class Processed(Struct, frozen=True):
    """What a handshake message did.

    A proposal changes nothing yet: ``proposal`` and ``ref`` name it. A commit begins ``epoch``; ``removed`` are the
    members as they were, ``left`` says that we are among them. ``safe_aad`` is what components put before a commit's
    authenticated data, in groups that use that.
    """

    epoch: int
    sender: Sender
    authenticated_data: bytes = b""
    proposal: Proposal | None = None
    ref: bytes = b""
    added: tuple[Member, ...] = ()
    removed: tuple[Member, ...] = ()
    updated: tuple[Member, ...] = ()
    left: bool = False
    reinit: ReInit | None = None
    safe_aad: Mapping[int, bytes] = {}


def epoch_for(state: State, message: PrivateMessage) -> Epoch:
    """Find the epoch that can open a message, the current one or a past one."""
    context = state.view.context
    if message.group_id != context.group_id:
        raise WrongGroupError("a message of another group")
    if message.epoch == context.epoch:
        return state.epoch
    past = state.past.get(message.epoch)
    if past is None:
        raise WrongEpochError(f"a message of epoch {message.epoch}, which is not kept or not yet here")
    return past


def open_application(state: State, data: bytes, authority: Authority | None = None) -> Application:
    """Open an application message of this epoch or a past one, and ask the authority about its sender's leaf."""
    message = read_message(data)
    if isinstance(message, PublicMessage) and isinstance(message.authenticated.content.body, bytes):
        raise FramingError("an application message that is not encrypted")
    if not isinstance(message, PrivateMessage) or message.content_type != ContentType.APPLICATION:
        raise FramingError("this message is not an application message")
    epoch = epoch_for(state, message)
    safe, rest = epoch.aad.split(message.authenticated_data)
    received = epoch.open(message)
    content = received.message.content
    assert isinstance(content.body, bytes)  # noqa: S101 - the content type said so
    sender = epoch.member(content.sender.index)
    leaf = epoch.leaves[content.sender.index]
    doubt = "" if leaf is None else suspicion(authority, leaf)
    epoch.tree.spend(received.key)
    return Application(sender, content.body, rest, epoch.number, received.key.generation, safe, doubt)


class Receiver:
    """Handles handshake messages for one group's state; what it returns is for the group to enter."""

    def __init__(self, state: State, psks: Psks, policy: Policy | None) -> None:
        """Look at a state with the pre-shared keys at hand and a hook that may refuse commits."""
        self._state, self._psks, self._policy = state, psks, policy
        self._key: Opened | None = None

    def accept(self) -> None:
        """Delete the key of the message, if it was a private one: its content has been accepted."""
        if self._key is not None:
            self._state.epoch.tree.spend(self._key)

    def authenticate(self, data: bytes) -> Authenticated:
        """Decode a handshake message and check that it is genuine and of this epoch."""
        state, message = self._state, read_message(data)
        if isinstance(message, PrivateMessage):
            if message.content_type == ContentType.APPLICATION:
                raise FramingError("an application message is not for process()")
            if epoch_for(state, message) is not state.epoch:
                raise WrongEpochError(f"a handshake of epoch {message.epoch}, which is over")
            state.epoch.aad.split(message.authenticated_data)
            received = state.epoch.open(message)
            self._key = received.key
            return received.message
        if not isinstance(message, PublicMessage):
            raise DecodeError("this message is no handshake")
        authenticated = message.authenticated
        content = authenticated.content
        state.view.check_place(content)
        if isinstance(content.body, bytes):
            raise FramingError("an application message that is not encrypted")
        own = Sender(SenderType.MEMBER, state.own_leaf)
        if isinstance(content.body, Commit) and content.sender == own:
            raise OwnMessageError("our own commit came back: merge it")
        check_public(state.view.suite, state.secrets.membership, message, state.view.encoded_context)
        state.view.verify(authenticated)
        return authenticated

    def commit(self, message: Authenticated, now: int | None) -> tuple[Followed, Next | None]:
        """Follow a commit; the epoch that it leads to is None if it removes us."""
        state = self._state
        followed = state.view.follow(message, now, self._policy)
        applied = followed.applied
        if any(index == state.own_leaf for index, _ in applied.removed):
            return followed, None
        private = keep_private(state.private, state.view.tree, applied.tree)
        if state.own_leaf in applied.updated:
            private[2 * state.own_leaf] = self._updated_key(followed)
        commit_secret, private = self._open_path(followed, private)
        suite, context = state.view.suite, followed.context
        joiner = schedule.joiner_secret(suite, self._init(followed), commit_secret, context.encode())
        run = schedule.run(suite, joiner, psk_secret(suite, applied.psks, self._psks), context.encode())
        tag = suite.mac(run.secrets.confirmation, context.confirmed_transcript_hash)
        if not hmac.compare_digest(tag, message.confirmation_tag or b""):
            raise ConfirmationTagError("a commit's confirmation tag is wrong")
        patch = Patch.between(state.view.tree, applied.tree)
        return followed, Next(
            context,
            followed.interim,
            run.secrets,
            run.encryption,
            state.own_leaf,
            private,
            patch,
            applied.reinit,
            applied.tree,
        )

    def _updated_key(self, followed: Followed) -> bytes:
        leaf = followed.applied.tree.leaf(self._state.own_leaf)
        key = None if leaf is None else self._state.updates.get(leaf.encryption_key)
        if key is None:
            raise PathError("a commit brings an update of ours whose key we do not hold")
        return key

    def _open_path(self, followed: Followed, private: dict[int, bytes]) -> tuple[bytes, dict[int, bytes]]:
        state, tree = self._state, followed.applied.tree
        if followed.path is None:
            return state.view.suite.zero, private
        above = set(tm.direct_path(2 * followed.committer, tree.size))
        private = {place: key for place, key in private.items() if place not in above}
        opened = open_path(
            tree,
            followed.committer,
            state.own_leaf,
            private,
            followed.path,
            followed.path_context,
            followed.applied.new,
        )
        return opened.commit_secret, private | opened.private

    def _init(self, followed: Followed) -> bytes:
        """Return the init secret: the last epoch's, or what an external joiner sent us."""
        state, external = self._state, followed.applied.external_init
        if external is None:
            return state.secrets.init
        suite = state.view.suite
        private, _ = suite.kem.derive(state.secrets.external)
        shared = suite.kem.decapsulate(private, external.kem_output)
        return suite.export_secret(shared, b"MLS 1.0 external init secret", suite.hash_size)


def describe(followed: Followed, message: Authenticated, safe: Mapping[int, bytes], *, left: bool) -> Processed:
    """Tell what a commit did."""
    applied = followed.applied
    added = tuple(member_at(index, package.leaf) for index, package in applied.added)
    removed = tuple(member_at(index, leaf) for index, leaf in applied.removed)
    changed = {*applied.updated, *([] if followed.path is None else [followed.committer])}
    leaves = ((index, applied.tree.leaf(index)) for index in sorted(changed))
    updated = tuple(member_at(index, leaf) for index, leaf in leaves if leaf is not None)
    content = message.content
    return Processed(
        followed.context.epoch,
        content.sender,
        content.authenticated_data,
        added=added,
        removed=removed,
        updated=updated,
        left=left,
        reinit=applied.reinit,
        safe_aad=safe,
    )
