"""A group as one of its members holds it (RFC 9420).

Every method either does what it says or raises an ``MlsError`` and leaves the group as it was. What must be durable
is handed out by ``changes()``; commit it before anything that the same call returned leaves the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from protocol.leg import LegClass, assurance
from protocol.mls import joining, schedule
from protocol.mls.authority import Authority, Suspect, admit, suspects
from protocol.mls.codec import decode
from protocol.mls.committing import Base, make, sign_group_info
from protocol.mls.errors import (
    InputError,
    RekeyRequiredError,
    StaleCommitError,
    StateError,
    SuspendedError,
    WrongGroupError,
)
from protocol.mls.extensions import (
    Extension,
    Extensions,
    ExtensionType,
    check_known,
    dictionary_of,
    encode_dictionary,
    find,
)
from protocol.mls.framing import sign, to_public
from protocol.mls.identity import Identity, KeyPackageBundle, is_last_resort
from protocol.mls.leaf import LeafSource, Lifetime
from protocol.mls.members import Member, members_of
from protocol.mls.messages import (
    Authenticated,
    FramedContent,
    GroupContext,
    PublicMessage,
    Sender,
    SenderType,
    WireFormat,
    encode_message,
)
from protocol.mls.passing import Passed, Signs
from protocol.mls.plan import Intent, plan_commit, plan_external
from protocol.mls.proposals import Commit, Proposal, PskId, PskUsage, ReInit, Update
from protocol.mls.psk import GivenPsks, Psks, gather
from protocol.mls.receiving import Application, Processed, Receiver, describe, open_application
from protocol.mls.secret_tree import APPLICATION
from protocol.mls.session import Session
from protocol.mls.staged import Staged
from protocol.mls.state import Retention, Standing, State, enter, first_state, load
from protocol.mls.suites import Random
from protocol.mls.tree import RatchetTree
from protocol.mls.validation import check_capabilities
from protocol.mls.view import Policy, View


class ExternalJoin(NamedTuple):
    """A join without invitation: send ``commit``; use ``group`` once the router has accepted it."""

    commit: bytes
    group: Group
    group_info: bytes


class Group:
    """One member's group."""

    def __init__(
        self,
        identity: Identity,
        state: State,
        keep: Retention,
        joined_with: bytes = b"",
        origin: PskId | None = None,
        authority: Authority | None = None,
    ) -> None:
        """Hold a state; the class methods are the ways to come by one."""
        self.identity = identity
        self.authority = authority
        self.joined_with = joined_with
        self.origin = origin
        self._state = state
        self._keep = keep
        self._drawer = object()
        self._signs = Signs()

    # Coming into being

    @classmethod
    def create(
        cls,
        identity: Identity,
        group_id: bytes,
        *,
        context: Mapping[int, bytes] | None = None,
        extensions: Extensions = (),
        authority: Authority | None = None,
        keep: Retention = Retention(),  # noqa: B008 - immutable
        now: int,
        random: Random,
    ) -> Group:
        """Create a group of which we are the only member, in epoch 0 (RFC 9420 §11).

        ``context`` are application components (component id to data), ``extensions`` further extensions of the
        GroupContext such as required capabilities or external senders. ``now`` is unix seconds. Raises
        ``UngrantedError`` if the ``authority`` does not vouch for ourselves; the group asks it about all leaves from
        now on.
        """
        suite = identity.suite
        private, public = suite.kem.derive(random(suite.hash_size))
        lifetime = Lifetime(max(now - 3600, 0), now + 90 * 86400)
        leaf = identity.leaf(public, LeafSource.KEY_PACKAGE, lifetime=lifetime)
        if context:
            data = encode_dictionary(context)
            extensions = (*extensions, Extension(ExtensionType.APP_DATA_DICTIONARY, data))
        check_known(extensions)
        check_capabilities(suite, leaf, extensions)
        admit(authority, (leaf,))
        tree = RatchetTree(suite, [leaf])
        group_context = GroupContext(suite.id, group_id, 0, tree.hash(), b"", extensions)
        run = schedule.from_epoch(suite, random(suite.hash_size))
        tag = suite.mac(run.secrets.confirmation, b"")
        view = View(group_context, tree, schedule.interim_hash(suite, b"", tag))
        state = first_state(view, run.secrets, run.encryption, 0, {0: private}, sending=True)
        return cls(identity, state, keep, authority=authority)

    @classmethod
    def join(
        cls,
        identity: Identity,
        welcome: bytes,
        bundles: Iterable[KeyPackageBundle],
        *,
        psks: GivenPsks | None = None,
        tree: bytes | None = None,
        continues: PskUsage | None = None,
        authority: Authority | None = None,
        fresh: bool = False,
        keep: Retention = Retention(),  # noqa: B008 - immutable
        now: int | None,
    ) -> Group:
        """Join by a Welcome that is for one of these key packages; ``joined_with`` then names it.

        ``tree`` is the ratchet tree if it was sent apart from the Welcome; ``continues`` is set by
        ``protocol.mls.successor``, for Welcomes of groups that continue another. Our own key package must still be
        valid at ``now`` (unix seconds; None leaves that unjudged). Forget the bundle afterwards, unless it is a
        last resort. Raises ``UngrantedError`` if the ``authority`` does not vouch for every member; the group asks it
        from now on.

        A group joined so may send only after a commit of ours, since the Welcome may have been used before: by a ledger
        that is lost, or by the router's handing it out twice. ``fresh`` says that it was not: its key package was drawn
        by this session and used by no Welcome so far. A last resort is never fresh.
        """
        joined = joining.join(identity, welcome, bundles, gather(psks), tree, continues, authority)
        lifetime = joined.bundle.package.leaf.content.lifetime
        if now is not None and lifetime is not None:
            lifetime.check(now)
        run = joined.schedule
        sending = fresh and not is_last_resort(joined.bundle.package)
        own = joined.own_leaf
        state = first_state(joined.view, run.secrets, run.encryption, own, joined.private, sending=sending)
        return cls(identity, state, keep, joined.bundle.ref, joined.origin, authority)

    @classmethod
    def join_external(
        cls,
        identity: Identity,
        group_info: bytes,
        *,
        replace: int | None = None,
        psk_ids: Sequence[PskId] = (),
        psks: GivenPsks | None = None,
        departures: Sequence[bytes] = (),
        tree: bytes | None = None,
        authority: Authority | None = None,
        keep: Retention = Retention(),  # noqa: B008 - immutable
        now: int,
        random: Random,
    ) -> ExternalJoin:
        """Join by an external commit on a current GroupInfo (RFC 9420 §12.4.3.2).

        ``replace`` is the leaf of a former self to be removed by the same commit; ``departures`` are members'
        SelfRemove proposals (MLSMessages) of this epoch, to be committed with it. Raises ``UngrantedError`` if the
        ``authority`` does not vouch for every member, ourselves included; our former self is not asked about.
        """
        info = joining.group_info_of(group_info)
        view = joining.open_group_info(info, tree)
        joining.check_understood(identity, view)
        external = find(info.extensions, ExtensionType.EXTERNAL_PUB)
        if external is None:
            raise InputError("this GroupInfo has no external key to join by")
        suite = view.suite
        if suite is not identity.suite:
            raise InputError(f"the group's cipher suite is {suite.id}, the identity's {identity.suite.id}")
        key = decode(external, lambda reader: reader.vec())
        shared, output = suite.kem.encapsulate(key, random(suite.hash_size))
        init = suite.export_secret(shared, b"MLS 1.0 external init secret", suite.hash_size)
        known = gather(psks)
        plan = plan_external(view, output, known, replace=replace, psk_ids=psk_ids, departures=departures)
        made = make(Base(view, identity, init, {}, None), plan, now=now, random=random)
        following = made.next
        assert following.tree is not None  # noqa: S101 - just made
        admit(authority, (leaf for _, leaf in following.tree.leaves()))
        reached = View(following.context, following.tree, following.interim)
        own = following.own_leaf
        state = first_state(reached, following.secrets, following.encryption, own, following.private, sending=True)
        commit = encode_message(PublicMessage(made.message, None))
        return ExternalJoin(commit, cls(identity, state, keep, authority=authority), made.group_info)

    @classmethod
    def restore(
        cls,
        identity: Identity,
        records: Mapping[str, bytes],
        *,
        authority: Authority | None = None,
        session: Session | None = None,
        keep: Retention = Retention(),  # noqa: B008 - immutable
    ) -> Group:
        """Rebuild a group from its stored records; raises ``StateError`` if they do not make one.

        The group asks the ``authority`` about its leaves from now on: those it holds already show in ``suspects``.
        The records may be older than what was sent, so ``protect`` refuses until a commit that was staged by the new
        object has been merged, unless this very ``session`` unloaded it. Read the records only after those of
        ``unload`` are durable.
        """
        state = load(records, session)
        leaf = state.view.tree.leaf(state.own_leaf)
        if state.standing != Standing.REMOVED and (leaf is None or leaf.content.signature_key != identity.public):
            raise StateError("these records belong to another identity")
        return cls(identity, state, keep, authority=authority)

    def unload(self, session: Session) -> None:
        """Put the group away: its last ``changes`` hold our own ratchets, and only ``session`` goes on with them.

        This object sends nothing any more.
        """
        self._state.put_away(session)

    # What it is

    @property
    def group_id(self) -> bytes:
        """The group's name."""
        return self._state.view.context.group_id

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._state.view.context.epoch

    @property
    def own_leaf(self) -> int:
        """Our leaf index."""
        return self._state.own_leaf

    @property
    def standing(self) -> Standing:
        """Whether we can take part, were removed, or the group was re-initialised."""
        return self._state.standing

    @property
    def reinit(self) -> ReInit | None:
        """What the group shall be started again with, once a ReInit was committed."""
        return self._state.reinit

    @property
    def may_send(self) -> bool:
        """Whether we are active, and the epoch descends from keys that this object's session drew itself."""
        return self._state.sending and self._state.standing == Standing.ACTIVE

    @property
    def must_rekey(self) -> bool:
        """Whether a commit of ours is needed before anything can be sent."""
        return not self._state.sending

    @property
    def generation(self) -> int:
        """How many application messages this object has sealed in the current epoch."""
        return self._state.epoch.tree.sending().get(APPLICATION, (0, b""))[0]

    @property
    def extensions(self) -> Extensions:
        """The extensions of the GroupContext."""
        return self._state.view.context.extensions

    @property
    def context(self) -> Mapping[int, bytes]:
        """The application components of the GroupContext."""
        return dictionary_of(self.extensions)

    @property
    def epoch_authenticator(self) -> bytes:
        """A value that members compare to know that they agree."""
        return self._state.secrets.authenticator

    @property
    def view(self) -> View:
        """The public half of the group's state; not to be changed."""
        return self._state.view

    @property
    def assurance(self) -> LegClass:
        """The worst leg class among the members."""
        return assurance(member.leg for member in self.members())

    def members(self) -> Sequence[Member]:
        """Describe the members, by ascending leaf index."""
        return members_of(self._state.view.tree)

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """The leaves that the authority does not vouch for now; none without an authority."""
        return suspects(self.authority, self._state.view.tree.leaves())

    @property
    def outdated(self) -> bool:
        """Whether our leaf says something else than our identity: the next commit with a path sets it right."""
        leaf = self._state.view.tree.leaf(self.own_leaf)
        return leaf is not None and leaf.content.extensions != self.identity.extensions

    def identify(self, identity: Identity) -> None:
        """Take what this identity says into our leaf by the next commit with a path; see ``Identity.saying``.

        Raises ``InputError`` if it is another client's.
        """
        if (identity.public, identity.credential) != (self.identity.public, self.identity.credential):
            raise InputError(f"{identity.uri} is another client than {self.identity.uri}")
        self.identity = identity

    def resumption_psk(self, epoch: int | None = None) -> bytes:
        """Return the resumption PSK of an epoch, by default the current one; ``StateError`` if not kept."""
        number = self.epoch if epoch is None else epoch
        try:
            return self._state.resumption[number]
        except KeyError:
            raise StateError(f"the resumption PSK of epoch {number} is not kept") from None

    def resumption_psks(self) -> Mapping[int, bytes]:
        """Return the resumption PSKs that are kept, by epoch."""
        return dict(self._state.resumption)

    def export(self, label: str, context: bytes, length: int) -> bytes:
        """Derive a secret of ``length`` bytes for the application (RFC 9420 §8.5)."""
        exporter = self._state.secrets.exporter
        return schedule.export(self._state.view.suite, exporter, label.encode(), context, length)

    def group_info(self, *, random: Random, extensions: tuple[Extension, ...] = ()) -> bytes:
        """Sign a GroupInfo (an MLSMessage) with the ratchet tree and the external key, for those who join."""
        del random  # Ed25519 needs none, and ECDSA draws its own
        self._require_active()
        state = self._state
        view = state.view
        info = sign_group_info(self.identity, view.context, state.secrets, view.tree, state.own_leaf, extensions)
        return encode_message(info)

    # Changing it

    def stage(
        self,
        *,
        add: Sequence[bytes] = (),
        remove: Sequence[int] = (),
        context: Mapping[int, bytes | None] | None = None,
        extensions: Extensions | None = None,
        psk_ids: Sequence[PskId] = (),
        psks: GivenPsks | None = None,
        reinit: ReInit | None = None,
        pending: bool = True,
        path: bool | None = None,
        private: bool = False,
        authenticated_data: bytes = b"",
        safe_aad: Mapping[int, bytes] | None = None,
        now: int,
        random: Random,
    ) -> Staged:
        """Make a commit without entering its epoch: send it, and ``merge`` it when it was accepted.

        ``add`` are MLSMessages of key packages, ``remove`` leaf indices, ``context`` application components to
        set (None removes one), ``extensions`` all extensions of the GroupContext anew, ``psk_ids`` keys to mix in,
        found in ``psks``. Proposals that others sent in this epoch are committed too, as far as they are valid
        beside these, unless ``pending`` is false.
        Raises ``UngrantedError`` for a key package whose leaf the authority does not vouch for; proposals of others
        that would bring such a leaf are left out.
        There is a path, hence new keys for us, unless the commit only adds, or ``path`` says otherwise; while we may
        not send there is one in any case but the latter. ``private`` hides the commit from the router. ``safe_aad`` is
        as for ``protect``.
        """
        self._require_active()
        state = self._state
        if not state.sending and path is None:
            path = True
        if not state.sending and private:
            raise RekeyRequiredError("re-key by a public commit: sending a private one would need a fresh key")
        aad = state.view.aad.join(safe_aad, authenticated_data)
        intent = Intent(add, remove, context, extensions, psk_ids, reinit, pending, path, private, aad)
        known = self._psks(psks)
        plan = plan_commit(state.view, state.own_leaf, intent, known, now, self.authority)
        base = Base(state.view, self.identity, state.secrets.init, state.private, state.own_leaf)
        made = make(base, plan, now=now, random=random)
        body = made.message.content.body
        drawn = self._drawer if isinstance(body, Commit) and body.path is not None else None
        commit = self._frame(made.message, random)
        return Staged(commit, made.welcome, made.group_info, self.epoch, now, made.next, drawn)

    def merge(self, staged: Staged) -> None:
        """Enter the epoch of our own commit, which the router has accepted.

        From there on we may send if this very object staged it, with a path: a commit that was read from storage may
        have been merged, and spoken under, by another life.

        Raises ``StaleCommitError`` if another commit was accepted first; stage anew then.
        """
        self._require_active()
        if staged.epoch != self.epoch:
            raise StaleCommitError(f"staged in epoch {staged.epoch}, and it is {self.epoch}")
        if staged.next.context.group_id != self.group_id:
            raise WrongGroupError("a commit staged for another group")
        enter(self._state, staged.next, staged.now, self._keep, drawn=staged.drawn is self._drawer)

    def propose(self, proposal: Proposal, *, random: Random, private: bool = False) -> bytes:
        """Sign a proposal for someone else to commit: an encoded MLSMessage."""
        self._require_active()
        if private:
            self._require_fresh()
        state = self._state
        view = state.view
        wire_format = WireFormat.PRIVATE if private else WireFormat.PUBLIC
        sender = Sender(SenderType.MEMBER, state.own_leaf)
        aad = view.aad.join(None, b"")
        content = FramedContent.make(self.group_id, self.epoch, sender, proposal, aad)
        signed = sign(view.suite, self.identity.key, wire_format, content, view.encoded_context)
        ref = view.remember(signed, None)
        state.records.put(f"p/{ref.hex()}", signed.encode())
        return self._frame(signed, random)

    def propose_update(self, *, random: Random, private: bool = False) -> bytes:
        """Propose new keys for our own leaf."""
        suite = self._state.view.suite
        key, public = suite.kem.derive(random(suite.hash_size))
        binding = (self.group_id, self.own_leaf)
        leaf = self.identity.leaf(public, LeafSource.UPDATE, binding=binding)
        message = self.propose(Update(leaf), random=random, private=private)
        self._state.updates[public] = key
        self._state.records.put(f"u/{public.hex()}", key)
        return message

    def process(
        self, message: bytes, *, psks: GivenPsks | None = None, policy: Policy | None = None, now: int | None
    ) -> Processed:
        """Take a proposal or a commit of someone else.

        ``now`` is when the router accepted it, in unix seconds: key packages must be valid then; None leaves their
        lifetimes unjudged. ``policy`` may refuse a commit by raising ``PolicyError``.
        """
        if self._state.standing != Standing.ACTIVE:
            raise SuspendedError("the group has ended for us")
        state = self._state
        receiver = Receiver(state, self._psks(psks), policy)
        authenticated = receiver.authenticate(message)
        body = authenticated.content.body
        if not isinstance(body, Commit):
            taken = self._take_proposal(authenticated, now)
            receiver.accept()
            return taken
        safe, _ = state.view.aad.split(authenticated.content.authenticated_data)
        followed, following = receiver.commit(authenticated, now)
        receiver.accept()
        if following is None:
            state.standing = Standing.REMOVED
            state.forget_proposals()
            state.note_group()
            return describe(followed, authenticated, safe, left=True)
        enter(state, following, now, self._keep, drawn=False)
        return describe(followed, authenticated, safe, left=False)

    def _take_proposal(self, message: Authenticated, now: int | None) -> Processed:
        state = self._state
        ref = state.view.remember(message, now)
        state.records.put(f"p/{ref.hex()}", message.encode())
        content = message.content
        body = content.body
        assert not isinstance(body, bytes | Commit)  # noqa: S101 - ``remember`` takes proposals only
        return Processed(self.epoch, content.sender, content.authenticated_data, body, ref)

    # Talking

    def protect(
        self,
        data: bytes,
        *,
        random: Random,
        authenticated_data: bytes = b"",
        safe_aad: Mapping[int, bytes] | None = None,
        padding: int = 0,
    ) -> bytes:
        """Sign and encrypt application data for the group: an MLSMessage.

        ``authenticated_data`` travels in the clear and is signed; ``safe_aad`` is what components put before it, in
        groups that use safe authenticated data. ``padding`` rounds the length up to a multiple of so many octets.
        Sealing writes no record: another session has other keys. Raises ``RekeyRequiredError`` unless ``may_send``.
        """
        self._require_active()
        self._require_fresh()
        epoch = self._state.epoch
        aad = epoch.aad.join(safe_aad, authenticated_data)
        return epoch.seal(self.identity.key, data, random, aad, padding=padding)

    def unprotect(self, message: bytes, *, now: int | None = None) -> Application:
        """Decrypt and verify an application message of this epoch or of one that is still kept.

        ``now`` (unix seconds), if given, first forgets past epochs that are too old.
        """
        if now is not None:
            self.forget(now)
        return open_application(self._state, message, self.authority)

    def pass_sign(self, room: str, content: bytes, *, now: int, random: Random) -> bytes:
        """Seal a passing sign for who listens now; ``now`` in milliseconds. See ``protocol.mls.passing``.

        It spends no generation, and needs no ``may_send``.
        """
        self._require_active()
        return self._signs.give(self._state, self.identity, room, content, now, random)

    def open_passing(self, room: str, uri: str, sign: bytes, *, now: int) -> Passed:
        """Open a passing sign that is said to be of the member ``uri``; ``now`` in milliseconds.

        Raises ``DecryptionError`` for one of another epoch, room or member, ``ReplayError`` for one that is too old or
        not newer than the member's last, ``UngrantedError`` for a leaf that the authority does not vouch for.
        """
        leaves = [member.leaf for member in self.members() if member.uri == uri]
        passed = self._signs.open(self._state, room, leaves, sign, now)
        leaf = self._state.epoch.leaf(passed.sender.leaf)
        admit(self.authority, (leaf,))
        return passed

    def mistrust(self) -> None:
        """Send nothing more before a commit of ours: another copy of this very object may have gone on."""
        self._state.sending = False
        self._state.epoch.tree.stop_sending()
        self._drawer = object()

    # Lasting

    def forget(self, now: int) -> None:
        """Delete past epochs that are too old at ``now``."""
        self._state.expire(self._keep, now)

    def changes(self) -> dict[str, bytes | None]:
        """Return the records written since the last call; None stands for a deletion.

        Commit them before a commit that the last call returned leaves the process, and before a message that it opened
        is acknowledged.
        """
        return self._state.records.take()

    def _frame(self, message: Authenticated, random: Random) -> bytes:
        state = self._state
        if message.wire_format == WireFormat.PRIVATE:
            return state.epoch.seal_handshake(message, random)
        view = state.view
        return encode_message(to_public(view.suite, state.secrets.membership, message, view.encoded_context))

    def _psks(self, given: GivenPsks | None) -> Psks:
        return gather(given, {(self.group_id, epoch): key for epoch, key in self._state.resumption.items()})

    def _require_active(self) -> None:
        if self._state.standing != Standing.ACTIVE:
            raise SuspendedError("the group has ended for us")

    def _require_fresh(self) -> None:
        if not self._state.sending:
            raise RekeyRequiredError("this epoch's keys may have been used by another life: commit before sending")
