"""Joining a group by Welcome (RFC 9420 §12.4.3.1), and checking a GroupInfo from outside."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

from msgspec import Struct

from protocol.mls import schedule
from protocol.mls import treemath as tm
from protocol.mls.authority import Authority, admit
from protocol.mls.codec import decode
from protocol.mls.errors import (
    ConfirmationTagError,
    DecodeError,
    ExtensionError,
    InputError,
    SenderError,
    TreeError,
    WelcomeError,
)
from protocol.mls.extensions import DEFAULT_EXTENSIONS, ExtensionType, check_known, check_unique, find
from protocol.mls.identity import Identity, KeyPackageBundle
from protocol.mls.messages import GroupInfo, GroupSecrets, Welcome, read_message
from protocol.mls.proposals import PskId, PskUsage
from protocol.mls.psk import Psks, psk_secret
from protocol.mls.schedule import Schedule
from protocol.mls.suites import CipherSuite, suite_of
from protocol.mls.tree import RatchetTree
from protocol.mls.treecheck import check_tree
from protocol.mls.treekem import check_keys, climb
from protocol.mls.validation import check_members
from protocol.mls.view import View


class Joined(Struct, frozen=True):
    """What a Welcome led to."""

    view: View
    schedule: Schedule
    own_leaf: int
    private: dict[int, bytes]
    bundle: KeyPackageBundle
    origin: PskId | None


def group_info_of(message: bytes) -> GroupInfo:
    """Decode an MLSMessage that must carry a GroupInfo."""
    info = read_message(message)
    if not isinstance(info, GroupInfo):
        raise DecodeError("this message is not a GroupInfo")
    return info


def open_group_info(info: GroupInfo, tree_data: bytes | None = None, authority: Authority | None = None) -> View:
    """Check a GroupInfo and its tree in full and return the view of its epoch.

    The tree comes with the GroupInfo or, if it was sent apart, as ``tree_data``. Raises ``UngrantedError`` unless the
    ``authority`` vouches for every leaf.
    """
    context = info.context
    suite = suite_of(context.suite_id)
    check_unique(info.extensions, "a GroupInfo")
    check_known(context.extensions)
    data = find(info.extensions, ExtensionType.RATCHET_TREE) if tree_data is None else tree_data
    if data is None:
        raise TreeError("a GroupInfo without its ratchet tree, and none beside it")
    tree = RatchetTree.decode(suite, data)
    signer = tree.leaf(info.signer)
    if signer is None:
        raise SenderError(f"a GroupInfo signed by leaf {info.signer}, which is blank or outside the tree")
    suite.verify(signer.verifier(suite), b"GroupInfoTBS", info.tbs(), info.signature, "a GroupInfo")
    view = View(context, tree, _interim(suite, info))
    view.check_tree_hash()
    check_tree(tree)
    check_members(tree, context.group_id, context.extensions)
    admit(authority, (leaf for _, leaf in tree.leaves()))
    return view


def _interim(suite: CipherSuite, info: GroupInfo) -> bytes:
    return schedule.interim_hash(suite, info.context.confirmed_transcript_hash, info.confirmation_tag)


def check_understood(identity: Identity, view: View) -> None:
    """Refuse a group whose context has extensions that we do not speak."""
    ours = {*DEFAULT_EXTENSIONS, *identity.capabilities.extensions}
    for extension in view.context.extensions:
        if extension.type not in ours:
            raise ExtensionError(f"the group uses extension {extension.type:#06x}, which we do not speak")


def welcomed(message: bytes) -> tuple[bytes, ...]:
    """Return the references of the key packages that a Welcome is for; ``DecodeError`` if it is none."""
    welcome = read_message(message)
    if not isinstance(welcome, Welcome):
        raise DecodeError("this message is not a Welcome")
    return tuple(sealed.recipient for sealed in welcome.secrets)


def join(
    identity: Identity,
    message: bytes,
    bundles: Iterable[KeyPackageBundle],
    psks: Psks,
    tree_data: bytes | None = None,
    continues: PskUsage | None = None,
    authority: Authority | None = None,
) -> Joined:
    """Open a Welcome with whichever of our key packages it is for.

    ``continues`` says that the new group must continue an old one by re-initialisation or branching; without it
    such a Welcome is refused. So is one to a group with a leaf that the ``authority`` does not vouch for.
    """
    welcome = read_message(message)
    if not isinstance(welcome, Welcome):
        raise DecodeError("this message is not a Welcome")
    suite = suite_of(welcome.suite_id)
    bundle, secrets = _open_secrets(suite, welcome, list(bundles))
    if bundle.package.leaf.content.signature_key != identity.public:
        raise InputError("a Welcome for a key package of another identity")
    run_for_info = _intermediate(suite, secrets, psks)
    key, nonce = schedule.welcome_key(suite, run_for_info)
    info = decode(suite.open(key, nonce, welcome.encrypted_group_info, b""), GroupInfo.read)
    if info.context.suite_id != suite.id:
        raise WelcomeError("a Welcome for another cipher suite than its group's")
    view = open_group_info(info, tree_data, authority)
    check_understood(identity, view)
    origin = _origin(secrets, view, continues)
    own = _own_leaf(view.tree, bundle)
    combined = psk_secret(suite, secrets.psks, psks)
    run = schedule.run(suite, secrets.joiner_secret, combined, view.encoded_context)
    tag = suite.mac(run.secrets.confirmation, view.context.confirmed_transcript_hash)
    if not hmac.compare_digest(tag, info.confirmation_tag):
        raise ConfirmationTagError("the confirmation tag of a Welcome's GroupInfo is wrong")
    private = {2 * own: bundle.leaf_private} | _path_keys(view.tree, own, info.signer, secrets.path_secret)
    return Joined(view, run, own, private, bundle, origin)


def _open_secrets(
    suite: CipherSuite, welcome: Welcome, bundles: Sequence[KeyPackageBundle]
) -> tuple[KeyPackageBundle, GroupSecrets]:
    ours = {bundle.ref: bundle for bundle in bundles}
    for sealed in welcome.secrets:
        bundle = ours.get(sealed.recipient)
        if bundle is None:
            continue
        if bundle.package.suite_id != suite.id:
            raise WelcomeError("a Welcome for another cipher suite than its key package's")
        key = suite.kem.load_private(bundle.init_private)
        info = welcome.encrypted_group_info
        opened = suite.decrypt_with_label(key, b"Welcome", info, sealed.kem_output, sealed.ciphertext)
        return bundle, decode(opened, GroupSecrets.read)
    raise WelcomeError("a Welcome for none of these key packages")


def _intermediate(suite: CipherSuite, secrets: GroupSecrets, psks: Psks) -> bytes:
    combined = psk_secret(suite, secrets.psks, psks)
    return suite.derive_secret(suite.extract(secrets.joiner_secret, combined), b"welcome")


def _origin(secrets: GroupSecrets, view: View, continues: PskUsage | None) -> PskId | None:
    """Return the PSK by which a group continues another; it does so at epoch 1 and for the expected reason."""
    special = [psk for psk in secrets.psks if psk.usage in (PskUsage.REINIT, PskUsage.BRANCH)]
    if continues is None and not special:
        return None
    if len(special) != 1 or special[0].usage != continues or view.context.epoch != 1:
        raise WelcomeError("a Welcome continues another group in a way that was not expected")
    return special[0]


def _own_leaf(tree: RatchetTree, bundle: KeyPackageBundle) -> int:
    encoded = bundle.package.leaf.encoded
    for index, leaf in tree.leaves():
        if leaf.encoded == encoded:
            return index
    raise WelcomeError("our leaf is not in the tree of the group we are welcomed to")


def _path_keys(tree: RatchetTree, own: int, signer: int, path_secret: bytes | None) -> dict[int, bytes]:
    """Derive the private keys above us from the path secret that the Welcome gave."""
    if path_secret is None:
        return {}
    place = next((place for place in tm.direct_path(2 * own, tree.size) if tm.below(2 * signer, place)), None)
    if place is None:
        raise WelcomeError("a path secret in a group of one")
    above = [where for where in (place, *tm.direct_path(place, tree.size)) if tree.nodes[where] is not None]
    if not above or above[0] != place:
        raise WelcomeError("a path secret for a node that is blank")
    opened = climb(tree.suite, path_secret, above)
    check_keys(tree, opened)
    return opened.private
