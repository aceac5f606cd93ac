"""Messaging Layer Security (RFC 9420): group encryption, unaudited.

``Group`` is what a member holds, ``PublicGroup`` what a router may see. Nothing here reads a clock, draws randomness
of its own accord (but see ``suites``) or does I/O: the moment and the source of randomness are arguments, and what
must be durable is handed to the caller as small records.
"""

from __future__ import annotations

from protocol.mls.authority import Authority, Suspect
from protocol.mls.errors import MlsError, OwnMessageError, UngrantedError
from protocol.mls.extensions import Component, Extension, ExtensionType, RequiredCapabilities
from protocol.mls.group import ExternalJoin, Group
from protocol.mls.identity import Identity, KeyPackageBundle
from protocol.mls.joining import welcomed
from protocol.mls.members import Member, speaks_for
from protocol.mls.messages import ContentType, Peeked, Sender, SenderType, WireFormat, peek
from protocol.mls.outside import external_proposal, join_proposal
from protocol.mls.passing import Passed
from protocol.mls.public_group import AddedMember, PublicChange, PublicGroup
from protocol.mls.receiving import Application, Processed
from protocol.mls.session import Session
from protocol.mls.staged import Staged
from protocol.mls.state import Retention, Standing
from protocol.mls.successor import Successor, branch, follow_again, follow_branch, start_again
from protocol.mls.suites import Random

__all__ = [
    "AddedMember",
    "Application",
    "Authority",
    "Component",
    "ContentType",
    "Extension",
    "ExtensionType",
    "ExternalJoin",
    "Group",
    "Identity",
    "KeyPackageBundle",
    "Member",
    "MlsError",
    "OwnMessageError",
    "Passed",
    "Peeked",
    "Processed",
    "PublicChange",
    "PublicGroup",
    "Random",
    "RequiredCapabilities",
    "Retention",
    "Sender",
    "SenderType",
    "Session",
    "Staged",
    "Standing",
    "Successor",
    "Suspect",
    "UngrantedError",
    "WireFormat",
    "branch",
    "external_proposal",
    "follow_again",
    "follow_branch",
    "join_proposal",
    "peek",
    "speaks_for",
    "start_again",
    "welcomed",
]
