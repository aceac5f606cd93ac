"""Proposals from outside a group: by external senders that it lists, and by those who want in (RFC 9420 §12.1.8)."""

from __future__ import annotations

from protocol.mls.framing import sign
from protocol.mls.identity import Identity, KeyPackageBundle
from protocol.mls.messages import (
    NEW_MEMBER_PROPOSAL,
    FramedContent,
    PublicMessage,
    Sender,
    SenderType,
    WireFormat,
    encode_message,
)
from protocol.mls.proposals import Add, Proposal
from protocol.mls.rules import check_sender


def external_proposal(
    identity: Identity,
    index: int,
    proposal: Proposal,
    *,
    group_id: bytes,
    epoch: int,
    authenticated_data: bytes = b"",
) -> bytes:
    """Propose as the external sender at ``index`` of the group's list: an encoded MLSMessage.

    Raises ``SenderError`` for a proposal that an external sender may not make. In a group that uses safe
    authenticated data, ``authenticated_data`` begins with it (``encode_safe_aad``).
    """
    sender = Sender(SenderType.EXTERNAL, index)
    return _propose(identity, sender, proposal, group_id, epoch, authenticated_data)


def join_proposal(
    identity: Identity,
    bundle: KeyPackageBundle,
    *,
    group_id: bytes,
    epoch: int,
    authenticated_data: bytes = b"",
) -> bytes:
    """Ask to be added by one's own key package: an encoded MLSMessage."""
    proposal = Add(bundle.package)
    return _propose(identity, NEW_MEMBER_PROPOSAL, proposal, group_id, epoch, authenticated_data)


def _propose(identity: Identity, sender: Sender, proposal: Proposal, group_id: bytes, epoch: int, aad: bytes) -> bytes:
    check_sender(proposal, sender)
    content = FramedContent.make(group_id, epoch, sender, proposal, aad)
    signed = sign(identity.suite, identity.key, WireFormat.PUBLIC, content, b"")
    return encode_message(PublicMessage(signed, None))
