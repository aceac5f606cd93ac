"""Whether a leaf or key package may stand where it stands (RFC 9420 §7.3, §10.1 and §12.4.3.1)."""

from __future__ import annotations

from protocol.grant import Grant, key_hash
from protocol.mls.errors import CapabilityError, KeyPackageError, LeafError, UngrantedError
from protocol.mls.extensions import (
    DEFAULT_EXTENSIONS,
    Extensions,
    RequiredCapabilities,
    check_unique,
)
from protocol.mls.leaf import CredentialType, KeyPackage, LeafNode, LeafSource
from protocol.mls.leafext import grant_of, leg_of, within
from protocol.mls.proposals import DEFAULT_PROPOSALS
from protocol.mls.suites import MLS10, CipherSuite
from protocol.mls.tree import RatchetTree


def check_key_package(suite: CipherSuite, package: KeyPackage, now: int | None) -> None:
    """Refuse a key package that cannot be added to a group of this suite.

    ``now`` is unix seconds; None leaves lifetimes unjudged, as when a record of the past is replayed.
    """
    if package.version != MLS10 or package.suite_id != suite.id:
        raise KeyPackageError(f"a key package for version {package.version}, suite {package.suite_id}")
    leaf = package.leaf
    if leaf.content.source != LeafSource.KEY_PACKAGE:
        raise LeafError("a key package's leaf was made for something else")
    if package.init_key == leaf.encryption_key:
        raise KeyPackageError("a key package uses one key twice")
    package.verify(suite)
    leaf.verify(suite)
    suite.kem.load_public(package.init_key)
    check_unique(package.extensions, "a key package")
    if now is not None and leaf.content.lifetime is not None:
        leaf.content.lifetime.check(now)


def check_source(leaf: LeafNode, source: LeafSource, previous: LeafNode | None) -> None:
    """Refuse a leaf that was made for something else, or that is no fit successor of the one before it.

    A successor has a new encryption key and keeps its credential. What it says of its leg and for whom it speaks may
    change under a grant only: one for this very credential and signature key, not older than the one before. Whether
    an authority signed that grant, each member judges by itself (``protocol.mls.authority``).
    """
    if leaf.content.source != source:
        raise LeafError(f"a leaf made for {leaf.content.source.name} where {source.name} belongs")
    if previous is None:
        return
    if previous.encryption_key == leaf.encryption_key:
        raise LeafError("an update keeps the old encryption key")
    if previous.content.credential != leaf.content.credential:
        raise LeafError("an update changes the credential")
    before, after = previous.content.extensions, leaf.content.extensions
    if leg_of(before) != leg_of(after):
        _check_regranted(leaf, previous)


def _check_regranted(leaf: LeafNode, previous: LeafNode) -> None:
    """Refuse a leaf that changes its claim without a grant that covers the new one."""
    new, old = grant_of(leaf.content.extensions), grant_of(previous.content.extensions)
    if new is None:
        raise LeafError("an update changes the leg class or the namespaces without a grant")
    if leaf.content.signature_key != previous.content.signature_key:
        raise LeafError("an update changes the leg class or the namespaces, and the signature key as well")
    if old is not None and new.grant.number < old.grant.number:
        raise LeafError(f"an update goes back from grant {old.grant.number} to {new.grant.number}")
    check_granted(leaf, new.grant)


def check_granted(leaf: LeafNode, grant: Grant) -> None:
    """Refuse a leaf that a grant is not for, or that claims more than the grant allows. Raises ``UngrantedError``.

    The grant's signature, its number and its end are the authority's to judge.
    """
    content = leaf.content
    if grant.uri.encode() != content.credential.data or content.credential.type != CredentialType.BASIC:
        raise UngrantedError(f"a leaf with the grant of {grant.uri}")
    if grant.key != key_hash(content.signature_key):
        raise UngrantedError(f"a leaf with the grant of {grant.uri}, which is for another signature key")
    claim = leg_of(content.extensions)
    if claim.leg < grant.leg:
        raise UngrantedError(f"{grant.uri} claims leg class {int(claim.leg)}; it is granted {int(grant.leg)}")
    if not within(claim, grant):
        raise UngrantedError(f"{grant.uri} claims to speak for more than it is granted")


def check_capabilities(suite: CipherSuite, leaf: LeafNode, extensions: Extensions) -> None:
    """Refuse a leaf without a usable key, or that lacks what itself or the group's extensions call for."""
    content = leaf.content
    able = content.capabilities
    check_unique(content.extensions, "a leaf node")
    leg_of(content.extensions)
    leaf.public(suite)
    if MLS10 not in able.versions or suite.id not in able.suites:
        raise CapabilityError(f"a leaf does not list protocol version {MLS10} and cipher suite {suite.id}")
    if content.credential.type not in able.credentials:
        raise CapabilityError(f"a leaf does not list its own credential type {content.credential.type}")
    for where, wanted in (("its own", content.extensions), ("the group's", extensions)):
        for extension in wanted:
            if extension.type not in DEFAULT_EXTENSIONS and extension.type not in able.extensions:
                raise CapabilityError(f"a leaf does not support {where} extension {extension.type:#06x}")
    required = RequiredCapabilities.of(extensions)
    if required is not None:
        _check_required(leaf, required)


def _check_required(leaf: LeafNode, required: RequiredCapabilities) -> None:
    able = leaf.content.capabilities
    missing = (
        set(required.extensions) - set(able.extensions) - DEFAULT_EXTENSIONS,
        set(required.proposals) - set(able.proposals) - DEFAULT_PROPOSALS,
        set(required.credentials) - set(able.credentials),
    )
    if any(missing):
        raise CapabilityError(f"a leaf lacks required capabilities: {missing}")


def check_credentials(tree: RatchetTree) -> None:
    """Refuse a tree in which a member does not support the credential type of another."""
    contents = [leaf.content for _, leaf in tree.leaves()]
    used = {content.credential.type for content in contents}
    for able in {content.capabilities.credentials for content in contents}:
        if not used.issubset(able):
            raise CapabilityError(f"a member does not support all credential types in use: {sorted(used)}")


def check_proposal_support(tree: RatchetTree, kinds: set[int]) -> None:
    """Refuse proposal types that some member does not support."""
    special = kinds - DEFAULT_PROPOSALS
    if not special:
        return
    for index, leaf in tree.leaves():
        if not special.issubset(leaf.content.capabilities.proposals):
            raise CapabilityError(f"leaf {index} does not support all of the proposal types {sorted(special)}")


def check_members(tree: RatchetTree, group_id: bytes, extensions: Extensions) -> None:
    """Check every leaf of a tree that arrives whole: signatures, capabilities, credentials."""
    for index, leaf in tree.leaves():
        leaf.verify(tree.suite, (group_id, index))
        check_capabilities(tree.suite, leaf, extensions)
    check_credentials(tree)
