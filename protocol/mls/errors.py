"""Everything that this MLS implementation refuses: one class a reason, each with a stable ``code``.

The family::

MlsError
├── DecodeError               bytes that are not the structure they claim to be
│   └── LengthError           a length beyond the data, over a limit, or not in its shortest form
├── UnsupportedError          a cipher suite, version, credential or proposal type that we do not speak
├── SignatureError            a signature is missing or does not verify
├── MembershipTagError        a public message's membership tag is missing or wrong
├── ConfirmationTagError      a commit's or GroupInfo's confirmation tag is missing or wrong
├── DecryptionError           a ciphertext does not open
├── WrongGroupError           a message of another group
├── WrongEpochError           a message of an epoch that is over, not yet here, or no longer kept
├── SenderError               a sender that is blank, foreign, or may not send this
├── ReplayError               a message whose key was used and deleted, or dropped from the window
├── GenerationError           a message too far ahead in its sender's ratchet
├── FramingError              content, wire format or padding that the framing rules forbid
├── TreeError                 a ratchet tree that breaks its invariants
│   ├── ParentHashError       a parent hash that does not hold
│   ├── TreeHashError         a tree that is not the one that the GroupInfo signed
│   ├── DuplicateKeyError     one key at two places of the tree
│   └── TreeSizeError         a tree too large, or deep only on paper
├── LeafError                 a leaf node that may not stand where it stands
│   ├── LifetimeError         a key package used outside its lifetime
│   ├── CapabilityError       a capability that the leaf lacks and the group needs
│   ├── LegError              a leg-class extension that does not parse
│   └── UngrantedError        the caller's authority does not vouch for what the leaf says
├── KeyPackageError           a key package that is not usable for this group
├── ExtensionError            an extension that is unknown where it matters, doubled or malformed
├── ProposalError             a proposal list that the rules forbid
│   ├── CommitterRemovedError a commit that removes its author
│   ├── UnknownProposalError  a reference to a proposal that never arrived
│   ├── PathRequiredError     a commit without the path that its proposals call for
│   └── PolicyError           the caller's policy hook refused
├── PathError                 an UpdatePath that does not fit the tree
├── OwnMessageError           our own staged commit came back: merge it instead
├── StaleCommitError          a commit staged for an epoch that is over
├── PskError                  a pre-shared key that we do not hold or that is not allowed here
├── WelcomeError              a Welcome that is not for us or contradicts itself
├── SuspendedError            the group was re-initialised, or we are no longer a member
├── RekeyRequiredError        restored from records that may be old: re-key before sending
├── StateError                stored records that do not make a group
└── InputError                an argument of the caller that cannot be used
"""

from __future__ import annotations

from typing import ClassVar

from protocol.errors import ProtocolError


class MlsError(ProtocolError):
    """Something that RFC 9420 or this implementation's limits refuse."""

    code: ClassVar[str] = "mls"


class DecodeError(MlsError):
    """Bytes that are not the structure they claim to be."""

    code = "mls.decode"


class LengthError(DecodeError):
    """A length beyond the data, over a limit, or not in its shortest form."""

    code = "mls.length"


class UnsupportedError(MlsError):
    """A cipher suite, version, credential or proposal type that this implementation does not speak."""

    code = "mls.unsupported"


class SignatureError(MlsError):
    """A signature is missing or does not verify."""

    code = "mls.signature"


class MembershipTagError(MlsError):
    """A member's public message carries no membership tag or a wrong one."""

    code = "mls.membership-tag"


class ConfirmationTagError(MlsError):
    """A commit's or GroupInfo's confirmation tag is missing or wrong."""

    code = "mls.confirmation-tag"


class DecryptionError(MlsError):
    """A ciphertext does not open."""

    code = "mls.decryption"


class WrongGroupError(MlsError):
    """A message that names another group."""

    code = "mls.wrong-group"


class WrongEpochError(MlsError):
    """A message of an epoch that is over, not yet here, or no longer kept."""

    code = "mls.wrong-epoch"


class SenderError(MlsError):
    """A sender that is blank, foreign, or may not send this."""

    code = "mls.sender"


class ReplayError(MlsError):
    """The key of this message was used and deleted, or has fallen out of the window of skipped keys."""

    code = "mls.replay"


class GenerationError(MlsError):
    """A message too far ahead in its sender's ratchet."""

    code = "mls.generation"


class FramingError(MlsError):
    """Content, wire format or padding that the framing rules forbid."""

    code = "mls.framing"


class TreeError(MlsError):
    """A ratchet tree that breaks its invariants."""

    code = "mls.tree"


class ParentHashError(TreeError):
    """A parent hash does not hold (RFC 9420 §7.9)."""

    code = "mls.parent-hash"


class TreeHashError(TreeError):
    """A tree is not the one whose hash the GroupContext names."""

    code = "mls.tree-hash"


class DuplicateKeyError(TreeError):
    """One encryption or signature key stands at two places of the tree."""

    code = "mls.duplicate-key"


class TreeSizeError(TreeError):
    """A tree that is larger than allowed, or deep only on paper."""

    code = "mls.tree-size"


class LeafError(MlsError):
    """A leaf node that may not stand where it stands."""

    code = "mls.leaf"


class LifetimeError(LeafError):
    """A key package is used before or after its lifetime."""

    code = "mls.lifetime"


class CapabilityError(LeafError):
    """A leaf lacks a capability that the group needs."""

    code = "mls.capability"


class LegError(LeafError):
    """A leg-class extension that does not parse."""

    code = "mls.leg"


class UngrantedError(LeafError):
    """The caller's authority does not vouch for a leaf: no grant, somebody else's, a revoked one, or one that says less
    than the leaf claims (RFC 9420 §5.3.1).
    """

    code = "mls.ungranted"


class KeyPackageError(MlsError):
    """A key package that is not usable for this group."""

    code = "mls.key-package"


class ExtensionError(MlsError):
    """An extension that is unknown where it matters, doubled or malformed."""

    code = "mls.extension"


class ProposalError(MlsError):
    """A proposal list that the rules of RFC 9420 §12.2 forbid."""

    code = "mls.proposal"


class CommitterRemovedError(ProposalError):
    """A commit removes or updates its own author by proposal."""

    code = "mls.committer-removed"


class UnknownProposalError(ProposalError):
    """A commit refers to a proposal that never arrived in this epoch."""

    code = "mls.unknown-proposal"


class PathRequiredError(ProposalError):
    """A commit lacks the path that its proposals call for."""

    code = "mls.path-required"


class PolicyError(ProposalError):
    """The caller's policy hook refused the commit."""

    code = "mls.policy"


class PathError(MlsError):
    """An UpdatePath that does not fit the tree, or whose secrets do not lead to its keys."""

    code = "mls.path"


class OwnMessageError(MlsError):
    """A message of our own came back: merge the staged commit instead of processing it."""

    code = "mls.own-message"


class StaleCommitError(MlsError):
    """A staged commit belongs to an epoch that is over: another commit was accepted first."""

    code = "mls.stale-commit"


class PskError(MlsError):
    """A pre-shared key that we do not hold, that is doubled, or that is not allowed here."""

    code = "mls.psk"


class WelcomeError(MlsError):
    """A Welcome that is not for us or contradicts itself."""

    code = "mls.welcome"


class SuspendedError(MlsError):
    """The group was re-initialised, or we are no longer its member: nothing can be sent or committed."""

    code = "mls.suspended"


class RekeyRequiredError(MlsError):
    """The group was restored from records that may be old: commit with a path before sending."""

    code = "mls.rekey-required"


class StateError(MlsError):
    """Stored records that do not make a group."""

    code = "mls.state"


class InputError(MlsError):
    """An argument of the caller that cannot be used."""

    code = "mls.input"
